//! The model's traps, at the places of the settings that they are about.

use super::KubeletGroup;
use crate::kind_config::{KindConfig, Places};
use crate::model::{About, Trap, traps_of_tuning};
use crate::timeline::{NodeRole, few};
use crate::yaml::{Diagnostic, Diagnostics, Span};

pub(super) fn of_config(config: &KindConfig, kubelets: &[KubeletGroup]) -> Diagnostics {
    let api_servers = config.count(NodeRole::ControlPlane) as u32;
    let (mut known, mut found): (Vec<Trap>, Vec<Diagnostic>) = (Vec::new(), Vec::new());
    for group in kubelets {
        let on = match kubelets.len() {
            1 => String::new(),
            _ => format!(" (on {})", few(&group.nodes)),
        };
        let first = config.nodes.iter().find(|node| Some(&node.name) == group.nodes.first());
        let places = first.map(|node| node.places).unwrap_or_default();
        for trap in traps_of_tuning(&group.tuning, &config.kubernetes, api_servers) {
            if !known.contains(&trap) {
                found.push(config.locate(problem(&trap, &on), place(trap.about, places)));
                known.push(trap);
            }
        }
    }
    if let [slowest, _, ..] = kubelets {
        let flags = config.nodes.iter().filter(|node| node.places.update_is_flag);
        let message =
            format!("the kubelets differ; the slowest count: those of {}", few(&slowest.nodes));
        let problem = Diagnostic::warning(message)
            .hint("a KubeletConfiguration at the top level is the same for all nodes");
        found.push(config.locate(problem, flags.filter_map(|node| node.places.update).next()));
    }
    found.into_iter().collect()
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

/// Where the setting stands; one that is a default has no place, and another one of the pair made
/// the trap.
fn place(about: About, places: Places) -> Option<Span> {
    match about {
        About::NodeStatusUpdateFrequency => places.update,
        About::NodeStatusReportFrequency => places.report.or(places.update),
        About::NodeMonitorPeriod => places.period.or(places.grace),
        _ => places.grace.or(places.update).or(places.lease),
    }
}
