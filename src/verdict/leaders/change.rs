//! Whether a fault cost a leader its place, and how soon another took it.

use std::collections::BTreeSet;

use super::{blind, still_open, with_leaders};
use crate::analysis::findings::LeaderTerm;
use crate::analysis::{FaultFinding, Findings, LeaderFinding, When};
use crate::stats::{Between, Seconds};
use crate::timeline::Component;
use crate::verdict::faults::facts;
use crate::verdict::finding::Finding;

/// A new leader, from the request of each fault that hit the old one.
pub(crate) fn change(found: &Findings, component: Component, bound: Seconds) -> Finding {
    with_leaders(found, component, |leaders, first| {
        let hits = found.faults.iter().filter(|fault| hits(fault, leaders));
        let judged = hits
            .map(|fault| changed(found, leaders, fault, bound))
            .max_by_key(|finding| finding.outcome);
        judged.unwrap_or_else(|| {
            let cost = |fault: &&FaultFinding| {
                shakes(found, fault, leaders) && successor(found, leaders, fault).is_some()
            };
            let cause = found.faults.iter().find(cost);
            cause.map_or_else(
                || Finding::unknown(missed(leaders, first)),
                |fault| changed(found, leaders, fault, bound),
            )
        })
    })
}

/// Whether a fault took the process of a part from its node, or cut it off from all others.
fn takes(fault: &FaultFinding, part: Component) -> bool {
    facts(fault).takes(part)
}

/// Whether a fault hit the process that led when it was requested.
fn hits(fault: &FaultFinding, leaders: &LeaderFinding) -> bool {
    takes(fault, leaders.component) && on_its_node(fault, leaders)
}

/// Whether the leader depends on what a fault took from it, so that it may lose its lease and need
/// not: its own node's API server or etcd member, its node's ways to others, or etcd's quorum.
fn shakes(found: &Findings, fault: &FaultFinding, leaders: &LeaderFinding) -> bool {
    let own = facts(fault).takes_support_of(leaders.component);
    (own && on_its_node(fault, leaders)) || costs_quorum(found, fault, &leaders.control_planes)
}

/// Whether, with this fault, so many etcd members are away that etcd has no quorum.
fn costs_quorum(found: &Findings, fault: &FaultFinding, members: &[String]) -> bool {
    let is_member =
        |fault: &FaultFinding| takes(fault, Component::Etcd) && members.contains(&fault.target);
    let holds = |other: &&FaultFinding| other.lasts_at(fault.requested);
    let away = found.faults.iter().filter(|other| is_member(other)).filter(holds);
    let away: BTreeSet<&str> = away.map(|fault| fault.target.as_str()).collect();
    is_member(fault) && members.len() - away.len() <= members.len() / 2
}

/// When another fault may begin to cost the leader its place: one that hits it or shakes it, or any
/// once this one is being undone.
fn alone_until(found: &Findings, leaders: &LeaderFinding, fault: &FaultFinding) -> Option<Seconds> {
    let undone =
        |other: &FaultFinding| fault.undo_requested.is_some_and(|undo| other.requested >= undo);
    let affects = |other: &FaultFinding| hits(other, leaders) || shakes(found, other, leaders);
    let later = found.faults.iter().filter(|other| other.requested > fault.requested);
    later.filter(|other| undone(other) || affects(other)).map(|other| other.requested).min()
}

/// The successor of a leader that a fault cost its place: the one that led at its request was lost
/// before another fault could be the cause.
fn successor<'f>(
    found: &Findings,
    leaders: &'f LeaderFinding,
    fault: &FaultFinding,
) -> Option<(&'f LeaderTerm, When)> {
    let lost = leaders.at(fault.requested)?.until?;
    let own = alone_until(found, leaders, fault).is_none_or(|until| lost.latest <= until);
    own.then(|| leaders.next_after(fault.requested)).flatten()
}

fn on_its_node(fault: &FaultFinding, leaders: &LeaderFinding) -> bool {
    leaders.at(fault.requested).is_some_and(|leader| leader.node == fault.target)
}

fn missed(leaders: &LeaderFinding, first: &FaultFinding) -> String {
    let leader = leaders.at(first.requested);
    match leader {
        Some(leader) if leaders.next_after(first.requested).is_some() => {
            format!("the leader was on {}, which no fault hit: it changed by itself", leader.node)
        }
        Some(leader) => format!("the leader was on {}, which no fault hit", leader.node),
        None => "the leader at the fault is not known".into(),
    }
}

fn changed(
    found: &Findings,
    leaders: &LeaderFinding,
    fault: &FaultFinding,
    bound: Seconds,
) -> Finding {
    let since = |moment: Seconds| (moment - fault.requested).or_zero();
    if let Some((next, from)) = successor(found, leaders, fault) {
        let length = Between::new(since(from.earliest), since(from.latest));
        return Finding::bounded(length, bound, format!("{length:.3}, on {}", next.node));
    }
    let alone = alone_until(found, leaders, fault);
    let own = |from: When| alone.is_none_or(|until| from.latest <= until);
    let open = leaders.gaps.iter().find(|gap| gap.until.is_none() && own(gap.from));
    let lasted = found.held_until(fault).map_or(Seconds::ZERO, since);
    match open {
        _ if blind(leaders, fault.requested, Seconds::ZERO).is_some() => {
            Finding::unknown("the leader was not observed")
        }
        Some(gap) => still_open(gap, since(gap.from.latest) + gap.length.least, bound),
        None => went_on(lasted, alone.map(since), bound),
    }
}

/// No new leader is this fault's doing. `alone`: when another could have been the cause.
fn went_on(lasted: Seconds, alone: Option<Seconds>, bound: Seconds) -> Finding {
    match alone.filter(|alone| *alone < lasted) {
        Some(alone) if alone < bound => {
            Finding::unknown(format!("another fault {alone} later may have caused the change, too"))
        }
        _ if lasted < bound => Finding::unknown(format!(
            "the leader did not change, and the fault lasted only {lasted}"
        )),
        _ => Finding::failed("the leader did not change"),
    }
}
