//! Who led each part of the control plane, when nobody did, and who kept running alongside a
//! successor.
//!
//! ```text
//! records -> facts.rs (leases, etcd members' status, processes, faults) -> terms.rs (one walk in the order of time) -> findings
//! ```

mod facts;
mod terms;
#[cfg(test)]
mod tests;

use super::clock::Zero;
use super::delivery::Delivery;
use super::findings::{LeaderFinding, LeaderGap, LeaderTerm, OldLeader, Unobserved};
use super::unreadable::Lost;
use crate::stats::{Between, Seconds};
use crate::timeline::{
    Bracket, Component, Event, Moment, NodeRole, ProcessState, Record, Timeline,
};

/// The watch that follows the leases of leaders.
const LEASE_WATCH: &str = "leader leases";
/// A shorter time without observation is the interval between two looks.
const LOOK: Seconds = Seconds::from_nanos(1_000_000_000);
/// Of the parts of a control plane, those of which one leads.
const LED: [Component; 3] = [Component::Etcd, Component::ControllerManager, Component::Scheduler];

/// Every part of which a leader is known.
pub(super) fn leaders(timeline: &Timeline, zero: Zero, delivery: &Delivery) -> Vec<LeaderFinding> {
    let last = timeline
        .records
        .iter()
        .map(|record| record.at)
        .max()
        .unwrap_or(timeline.header.anchor.monotonic);
    let nodes = &timeline.header.cluster.nodes;
    let control_planes = nodes
        .iter()
        .filter(|node| node.role == NodeRole::ControlPlane)
        .map(|node| node.name.clone());
    let control_planes: Vec<String> = control_planes.collect();
    let found = LED.into_iter().filter_map(|component| {
        let mut facts = facts::facts(&timeline.records, component);
        facts.iter_mut().filter(|fact| fact.is_of_lease()).for_each(|fact| {
            let late = delivery.late_at(zero.at(fact.when.latest)).unwrap_or_default();
            let sent = fact.when.latest.0.saturating_sub(late.as_nanos().unsigned_abs());
            fact.when.earliest = fact.when.earliest.min(Moment(sent));
        });
        leader(&timeline.records, &facts, component, zero, last)
    });
    let start = zero.at(timeline.header.anchor.monotonic);
    let unreadable = Lost { damage: &timeline.damage, zero }.records();
    found
        .map(|mut leaders| {
            leaders.blind.extend(unreadable.iter().map(|time| time.unobserved(start)));
            LeaderFinding { control_planes: control_planes.clone(), ..leaders }
        })
        .collect()
}

/// Until when there was observation: the watches end with the clean up, which may take minutes, or
/// with the last thing they saw.
fn looked_until(records: &[Record], facts: &[facts::Fact<'_>], last: Moment) -> Moment {
    let ends = |record: &&Record| matches!(&record.event, Event::Stage { name } if name == Event::CLEAN_UP);
    let last_fact = facts.iter().map(|fact| fact.when.latest).max();
    records
        .iter()
        .find(ends)
        .map_or(last, |record| last_fact.map_or(record.at, |at| at.max(record.at)))
}

fn leader(
    records: &[Record],
    facts: &[facts::Fact<'_>],
    component: Component,
    zero: Zero,
    last: Moment,
) -> Option<LeaderFinding> {
    let end = looked_until(records, facts, last);
    let by_lease = component != Component::Etcd;
    let watched =
        if by_lease { gaps(records, |event| watch_gap(event, LEASE_WATCH)) } else { Vec::new() };
    let known = watched.last().filter(|gap| gap.until.is_none()).map_or(end, |gap| gap.from);
    let found = terms::walk(facts, known);
    if found.held.is_empty() {
        return None;
    }
    let mut blind = watched;
    blind.extend(found.held.iter().flat_map(|term| unseen(records, term, end)));
    let blind = blind
        .into_iter()
        .map(|gap| gap.blind(zero))
        .filter(|gap| gap.until.is_none_or(|until| until - gap.from > LOOK));
    Some(LeaderFinding {
        component,
        control_planes: Vec::new(),
        held: found.held.iter().map(|term| leader_term(term, zero)).collect(),
        gaps: found.gaps.iter().map(|gap| without(gap, zero, end)).collect(),
        old: found.old.iter().map(|old| lived_on(old, records, zero, end)).collect(),
        blind: blind.collect(),
    })
}

fn leader_term(term: &terms::Term<'_>, zero: Zero) -> LeaderTerm {
    let when = |bracket: Option<Bracket>| bracket.map(|bracket| zero.when(bracket));
    LeaderTerm { node: term.node.to_owned(), from: when(term.from), until: when(term.until) }
}

fn without(gap: &terms::Gap<'_>, zero: Zero, end: Moment) -> LeaderGap {
    let until = gap.until.map(|(until, _)| until);
    LeaderGap {
        node: gap.node.to_owned(),
        loss: gap.loss,
        from: zero.when(gap.from),
        until: until.map(|until| zero.when(until)),
        next: gap.until.map(|(_, next)| next.to_owned()),
        length: length(gap.from, until.unwrap_or(Bracket::exact(end)), zero),
    }
}

/// Whose end nobody observes may have ended at any time.
fn lived_on(old: &terms::Old<'_>, records: &[Record], zero: Zero, end: Moment) -> OldLeader {
    let unseen = Bracket { earliest: old.from.latest, latest: end };
    let end = if is_observed(records, old.node) { Bracket::exact(end) } else { unseen };
    OldLeader {
        node: old.node.to_owned(),
        next: old.next.to_owned(),
        from: zero.when(old.from),
        until: old.until.map(|until| zero.when(until)),
        length: length(old.from, old.until.unwrap_or(end), zero),
    }
}

/// Whether somebody looked at the processes of a node.
fn is_observed(records: &[Record], on: &str) -> bool {
    let of_it = |event: &Event| matches!(event, Event::Process { node, .. } if node == on);
    records.iter().any(|record| of_it(&record.event))
}

fn length(from: Bracket, until: Bracket, zero: Zero) -> Between {
    let (from, until) = (zero.when(from), zero.when(until));
    Between::new((until.earliest - from.latest).or_zero(), (until.latest - from.earliest).or_zero())
}

/// A time in which somebody did not see.
struct Unseen {
    from: Moment,
    until: Option<Moment>,
    why: String,
}

impl Unseen {
    fn blind(self, zero: Zero) -> Unobserved {
        Unobserved {
            from: zero.at(self.from),
            until: self.until.map(|until| zero.at(until)),
            why: self.why,
        }
    }
}

fn watch_gap(event: &Event, wanted: &str) -> Option<(Option<Moment>, String)> {
    match event {
        Event::WatchGap { watch, until, reason } if watch == wanted => {
            Some((*until, format!("the watch of {watch} was down: {reason}")))
        }
        _ => None,
    }
}

fn observer_gap(event: &Event, wanted: &str) -> Option<(Option<Moment>, String)> {
    match event {
        Event::ObserverGap { node, until, reason } if node == wanted => {
            Some((*until, format!("the observer on {node} was down: {reason}")))
        }
        _ => None,
    }
}

/// A process of a part of the control plane, and how it was from a time on.
pub(super) struct ProcessChange {
    pub when: Bracket,
    pub state: ProcessState,
}

/// What is known to have happened to the process of a part on a node, in the order of time.
pub(super) fn processes(records: &[Record], component: Component, on: &str) -> Vec<ProcessChange> {
    let facts = facts::facts(records, component).into_iter();
    let of = facts.filter_map(|fact| match fact.what {
        facts::What::Process { node, state, .. } | facts::What::Power { node, state }
            if node == on =>
        {
            Some(ProcessChange { when: fact.when, state })
        }
        _ => None,
    });
    of.collect()
}

pub(super) fn unobserved(records: &[Record], node: &str) -> Vec<(Moment, Option<Moment>)> {
    gaps(records, |event| observer_gap(event, node))
        .into_iter()
        .map(|gap| (gap.from, gap.until))
        .collect()
}

/// Gaps of one kind. Each is recorded when it opens and when it closes: the latter counts.
fn gaps(
    records: &[Record],
    read: impl Fn(&Event) -> Option<(Option<Moment>, String)>,
) -> Vec<Unseen> {
    let mut gaps: Vec<Unseen> = Vec::new();
    for record in records {
        let Some((until, why)) = read(&record.event) else { continue };
        let from = record.since.unwrap_or(record.at);
        gaps.retain(|gap| gap.from != from);
        gaps.push(Unseen { from, until, why });
    }
    gaps
}

/// When the leader's node was not observed during a term.
fn unseen(records: &[Record], term: &terms::Term<'_>, end: Moment) -> Vec<Unseen> {
    let (began, ended) =
        (term.from.map_or(Moment(0), |from| from.latest), term.until.map(|until| until.latest));
    if !is_observed(records, term.node) {
        let why = format!("no observer on {}", term.node);
        return vec![Unseen {
            from: began.max(records.first().map_or(end, |first| first.at)),
            until: ended,
            why,
        }];
    }
    let inside = |gap: Unseen| {
        let from = gap.from.max(began);
        let until = match (gap.until, ended) {
            (Some(gap), Some(term)) => Some(gap.min(term)),
            (gap, term) => gap.or(term),
        };
        until.is_none_or(|until| until > from).then_some(Unseen { from, until, why: gap.why })
    };
    gaps(records, |event| observer_gap(event, term.node)).into_iter().filter_map(inside).collect()
}
