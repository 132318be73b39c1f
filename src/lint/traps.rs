//! The model's traps, at the places of the settings that they are about.

use super::effective::{Asked, KubeletGroup};
use super::settings::{AskedSettings, Set};
use super::told::Told;
use crate::experiment::Diagnostic;
use crate::experiment::tree::Node;
use crate::model::{About, Trap, traps_of_tuning};

/// Tells the traps of each group of kubelets, each once.
pub(super) fn tell(told: &mut Told, root: &Node, asked: &Asked, settings: &AskedSettings) {
    let mut known: Vec<Trap> = Vec::new();
    for group in &asked.kubelets {
        for trap in traps_of_tuning(&group.tuning, &asked.kubernetes, asked.api_servers) {
            if !known.contains(&trap) {
                let problem = diagnostic(told, root, &trap, group, asked, settings);
                told.tell(problem);
                known.push(trap);
            }
        }
    }
    if let [slowest, _, ..] = asked.kubelets.as_slice() {
        let at = settings.update_flags.iter().flatten().next().map_or(root.focus(), |set| set.at);
        let message = format!(
            "the kubelets differ; the slowest count: those of {}",
            slowest.nodes.join(", ")
        );
        told.warn(at, message)
            .hint("a KubeletConfiguration at the top level is the same for all nodes");
    }
}

fn diagnostic(
    told: &Told,
    root: &Node,
    trap: &Trap,
    group: &KubeletGroup,
    asked: &Asked,
    settings: &AskedSettings,
) -> Diagnostic {
    let place = place(trap.about, group, asked, settings).map_or(root.focus(), |set| set.at);
    let on = if asked.kubelets.len() > 1 {
        format!(" (on {})", group.nodes.join(", "))
    } else {
        String::new()
    };
    problem(trap, &on).at(told.file(), place)
}

/// A trap where there is no file: of a live cluster.
pub(crate) fn without_place(trap: &Trap) -> Diagnostic {
    problem(trap, "")
}

fn problem(trap: &Trap, on: &str) -> Diagnostic {
    let message = format!("{}{on}: {} [{}]", trap.text, trap.why, trap.name);
    let problem =
        if trap.certain { Diagnostic::error(message) } else { Diagnostic::warning(message) };
    problem.hint(&trap.hint)
}

/// Where the setting stands; one that is a default has no place, and another one of the pair made the trap.
fn place(
    about: About,
    group: &KubeletGroup,
    asked: &Asked,
    settings: &AskedSettings,
) -> Option<Set> {
    let update = flag_of(group, asked, settings).or(settings.update);
    match about {
        About::NodeStatusUpdateFrequency => update,
        About::NodeMonitorPeriod => settings.period.or(settings.grace),
        _ => settings.grace.or(update).or(settings.lease),
    }
}

/// The flag of the group's first node, if it has one.
fn flag_of(group: &KubeletGroup, asked: &Asked, settings: &AskedSettings) -> Option<Set> {
    let index = asked.nodes.iter().position(|node| Some(&node.name) == group.nodes.first())?;
    settings.update_flags.get(index).copied().flatten()
}
