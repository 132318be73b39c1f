//! The flags of components, in kubeadm's `extraArgs`.

use serde_json::Value as Json;

use super::documents::{Document, Place, escaped};
use super::known_flags::{Component, FLAGS, REMOVED, Removed};
use super::nodes::DeclaredNode;
use super::problems::Problems;
use crate::timeline::minor_version;
use crate::yaml::suggest;
use crate::yaml::tree::quoted;

/// Further away it is another flag.
const SLIP: usize = 3;

/// A flag that is set; where, unless by kind itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag<'d> {
    pub name: &'d str,
    pub value: &'d Json,
    pub place: Option<Place>,
}

/// A component's flags. Those with which it would not start are reported.
pub(super) fn read<'d>(
    problems: &mut Problems,
    document: &'d Document,
    component: Component,
    node: &DeclaredNode,
) -> Vec<Flag<'d>> {
    let pointer = component.pointer();
    let flags = document.json.pointer(pointer).unwrap_or(&Json::Null);
    let Some(flags) = flags.as_object() else {
        if let (false, Some(place)) = (flags.is_null(), document.place(pointer)) {
            problems
                .error(place.key, "expected flags and their values: kubeadm refuses it")
                .hint("write `flag: value` below");
        }
        return Vec::new();
    };
    let flag = |(name, value): (&'d String, &'d Json)| Flag {
        name,
        value,
        place: document.place(&format!("{pointer}/{}", escaped(name))),
    };
    let all: Vec<Flag> = flags.iter().map(flag).collect();
    for (flag, place) in all.iter().filter_map(|flag| Some((flag, flag.place?))) {
        is_text(problems, flag, place);
        exists(problems, flag.name, place, component, node);
    }
    all
}

/// kubeadm takes only strings.
fn is_text(problems: &mut Problems, flag: &Flag, place: Place) {
    let name = quoted(flag.name);
    match flag.value {
        Json::String(_) => {}
        Json::Number(_) | Json::Bool(_) => {
            let (value, what) =
                (flag.value, if flag.value.is_boolean() { "boolean" } else { "number" });
            problems
                .error(
                    place.value,
                    format!("the value of {name} is `{value}`, a {what} in YAML and not a string: kubeadm refuses it"),
                )
                .hint(format!("put it in quotes: `\"{value}\"`"));
        }
        _ => {
            let message = format!("the value of {name} must be a string: kubeadm refuses it");
            problems.error(place.value, message);
        }
    }
}

fn exists(
    problems: &mut Problems,
    name: &str,
    place: Place,
    component: Component,
    node: &DeclaredNode,
) {
    let who = component.name();
    let removed = REMOVED.iter().find(|flag| flag.name == name && flag.component == component);
    if let Some(Removed { since, hint, .. }) = removed
        && minor_version(&node.kubernetes).is_some_and(|minor| minor >= *since)
    {
        let message = format!(
            "{} was removed in Kubernetes 1.{since}: {who} of {} does not start with it",
            quoted(name),
            node.version()
        );
        node.error_of_version(problems, place.key, message).hint(*hint);
        return;
    }
    match FLAGS.iter().find(|(flag, _)| *flag == name) {
        Some((_, owner)) if *owner != component => {
            let message = format!(
                "{} is a flag of {}, not of {who}, which does not start with it",
                quoted(name),
                owner.name()
            );
            problems.error(place.key, message);
        }
        Some(_) => {}
        None => {
            let own = FLAGS.iter().filter(|(_, owner)| *owner == component).map(|(flag, _)| *flag);
            let near =
                suggest::closest(name, own).filter(|near| strsim::osa_distance(name, near) <= SLIP);
            if let Some(near) = near {
                let message =
                    format!("{who} has no flag {}, and does not start with it", quoted(name));
                problems.error(place.key, message).hint(format!("did you mean `{near}`?"));
            }
        }
    }
}
