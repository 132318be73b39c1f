//! kubeadm's `extraArgs`: flags of components, a map in v1beta3, a list of names and values in v1beta4.

use super::patches::kubeadm_version;
use super::told::Told;
use crate::experiment::tree::{Node, Value, quoted};
use crate::yaml::suggest;

/// The flags that matter here, and whose they are.
const FLAGS: &[(&str, &str)] = &[
    ("node-monitor-period", CONTROLLER_MANAGER),
    ("node-monitor-grace-period", CONTROLLER_MANAGER),
    ("node-startup-grace-period", CONTROLLER_MANAGER),
    ("node-eviction-rate", CONTROLLER_MANAGER),
    ("secondary-node-eviction-rate", CONTROLLER_MANAGER),
    ("unhealthy-zone-threshold", CONTROLLER_MANAGER),
    ("large-cluster-size-threshold", CONTROLLER_MANAGER),
    ("node-status-update-frequency", KUBELET),
    ("default-not-ready-toleration-seconds", API_SERVER),
    ("default-unreachable-toleration-seconds", API_SERVER),
];

/// The controller manager, for people.
pub(super) const CONTROLLER_MANAGER: &str = "the controller manager";
/// The API server, for people.
pub(super) const API_SERVER: &str = "the API server";
/// The kubelet, for people.
pub(super) const KUBELET: &str = "the kubelet";

/// The field of a ClusterConfiguration below which a flag stands.
pub(super) fn owner(flag: &str) -> Option<&'static str> {
    match FLAGS.iter().find(|(known, _)| *known == flag)?.1 {
        CONTROLLER_MANAGER => Some("controllerManager"),
        API_SERVER => Some("apiServer"),
        _ => None,
    }
}

/// The arguments for one component, each with its value. Forms that kubeadm does not take are told, and so are flags that were
/// misspelt or are another component's.
pub(super) fn read<'n>(
    told: &mut Told,
    args: &'n Node,
    component: &str,
    kubernetes: &str,
) -> Vec<(&'n str, &'n Node)> {
    let found: Vec<(&str, &Node)> = match &args.value {
        Value::Map(entries) => entries.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        Value::List(items) => {
            list_form(told, args, kubernetes);
            items
                .iter()
                .filter_map(|item| Some((item.text_at("name")?, item.get("value")?)))
                .collect()
        }
        Value::Scalar { .. } if args.is_null() => Vec::new(),
        Value::Scalar { .. } => {
            told.error(
                args.focus(),
                format!("expected flags and their values, found {}", args.described()),
            )
            .hint("write `flag: value` below");
            Vec::new()
        }
    };
    for (name, value) in &found {
        text(told, name, value);
        known(told, name, value, component);
    }
    found
}

fn list_form(told: &mut Told, args: &Node, kubernetes: &str) {
    let version = kubeadm_version(kubernetes);
    if version != "v1beta4" {
        let message = format!(
            "a list of flags is kubeadm v1beta4's form, and kind writes {version} for Kubernetes {kubernetes}: kubeadm refuses it"
        );
        told.error(args.focus(), message)
            .hint("write a map, `flag: value`: kind turns it into a list where kubeadm wants one");
    }
}

/// kubeadm takes texts only.
fn text(told: &mut Told, name: &str, value: &Node) {
    let Value::Scalar { text, plain } = &value.value else {
        told.error(
            value.focus(),
            format!("the value of {} is a text, found {}", quoted(name), value.described()),
        );
        return;
    };
    if *plain && (text.parse::<f64>().is_ok() || matches!(text.as_str(), "true" | "false")) {
        let message = format!(
            "the value of {} is `{text}`, which is no text for YAML: kubeadm refuses it",
            quoted(name)
        );
        told.error(value.focus(), message).hint(format!("put it in quotes: `\"{text}\"`"));
    }
}

fn known(told: &mut Told, name: &str, value: &Node, component: &str) {
    let at = value.key.unwrap_or(value.focus());
    match FLAGS.iter().find(|(flag, _)| *flag == name) {
        Some((_, owner)) if *owner != component => {
            told.error(
                at,
                format!(
                    "{} is a flag of {owner}, not of {component}, which will not start with it",
                    quoted(name)
                ),
            );
        }
        Some(_) => {}
        None => {
            let own = FLAGS.iter().filter(|(_, owner)| *owner == component).map(|(flag, _)| *flag);
            if let Some(near) =
                suggest::closest(name, own).filter(|near| strsim::osa_distance(name, near) <= SLIP)
            {
                let message = format!(
                    "{component} knows no flag {}, and will not start with it",
                    quoted(name)
                );
                told.error(at, message).hint(format!("did you mean `{near}`?"));
            }
        }
    }
}

/// Further away it is another flag.
const SLIP: usize = 3;
