//! Warnings as lines. Watches that were down together are one line, without advice where the fault
//! itself was the cause.

use super::view::View;
use crate::analysis::findings::{WarningText, from_to};
use crate::analysis::{FaultFinding, Warning};
use crate::stats::Seconds;
use crate::timeline::{Component, Impact, NodeRole, counted};

/// Nodes with slow heartbeats that have a line each.
const MOST_SLOW: usize = 4;

impl View<'_> {
    /// What makes its numbers less reliable: a sentence each, with why it matters and what to try.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.findings.warnings.iter();
        let (gaps, others): (Vec<&Warning>, Vec<&Warning>) =
            warnings.partition(|warning| matches!(warning, Warning::WatchGap { .. }));
        let (slow, others): (Vec<&Warning>, Vec<&Warning>) =
            others.into_iter().partition(|it| matches!(it, Warning::SlowHeartbeats { .. }));
        let others = others.into_iter().map(with_advice).chain(slow_heartbeats(&slow));
        others.chain(simultaneous(gaps).into_iter().map(|gaps| of_gaps(self, &gaps))).collect()
    }
}

fn with_advice(warning: &Warning) -> String {
    let WarningText { seen, matters, advice } = warning.text();
    format!("{seen} ({matters}). Try: {advice}")
}

/// In a large cluster they are those of all nodes.
fn slow_heartbeats(slow: &[&Warning]) -> Vec<String> {
    if slow.len() <= MOST_SLOW {
        return slow.iter().map(|warning| with_advice(warning)).collect();
    }
    let WarningText { seen, matters, advice } = slow[0].text();
    let others = counted(slow.len() - 1, "other node");
    vec![format!("{seen}, and {others} are also too slow ({matters}). Try: {advice}")]
}

/// From when and until when a watch was blind.
fn span(warning: &Warning) -> (Seconds, Option<Seconds>) {
    match warning {
        Warning::WatchGap { from, until, .. } => (*from, *until),
        _ => (Seconds::ZERO, None),
    }
}

/// Watches that were blind at the same time.
fn simultaneous(mut gaps: Vec<&Warning>) -> Vec<Vec<&Warning>> {
    gaps.sort_by_key(|gap| span(gap).0);
    let mut groups: Vec<Vec<&Warning>> = Vec::new();
    for gap in gaps {
        let beside = |group: &&mut Vec<&Warning>| {
            group.iter().any(|other| span(other).1.is_none_or(|until| until >= span(gap).0))
        };
        match groups.last_mut().filter(beside) {
            Some(group) => group.push(gap),
            None => groups.push(vec![gap]),
        }
    }
    groups
}

fn of_gaps(view: &View<'_>, gaps: &[&Warning]) -> String {
    let from = gaps.iter().map(|gap| span(gap).0).min().unwrap_or_default();
    let ends: Option<Vec<Seconds>> = gaps.iter().map(|gap| span(gap).1).collect();
    let until = ends.and_then(|ends| ends.into_iter().max());
    let WarningText { seen, matters, advice } = gaps[0].text();
    let blind = match gaps {
        [_] => seen,
        all => format!("{} watches were down {}", watches(all), from_to(from, until)),
    };
    let taken = view
        .findings
        .faults
        .iter()
        .find(|fault| takes_api_server(view, fault) && lasted(fault, from));
    match taken {
        Some(_) => format!("{blind}: the fault took the API server down ({matters})"),
        None => format!("{blind} ({matters}). Try: {advice}"),
    }
}

fn watches(gaps: &[&Warning]) -> usize {
    let names = gaps.iter().filter_map(|gap| match gap {
        Warning::WatchGap { watch, .. } => Some(watch),
        _ => None,
    });
    names.collect::<std::collections::BTreeSet<_>>().len()
}

fn lasted(fault: &FaultFinding, moment: Seconds) -> bool {
    fault.requested <= moment && fault.over().is_none_or(|over| over >= moment)
}

/// Whether it may have taken the API server down, and the watches with it.
fn takes_api_server(view: &View<'_>, fault: &FaultFinding) -> bool {
    let nodes = &view.timeline.header.cluster.nodes;
    let role = nodes.iter().find(|node| node.name == fault.target).map(|node| node.role);
    match fault.component {
        Some(part) => matches!(part, Component::ApiServer | Component::Etcd),
        None => {
            fault.kind.traits().impact == Impact::EtcdData
                || matches!(role, Some(NodeRole::ControlPlane | NodeRole::ExternalLoadBalancer))
        }
    }
}
