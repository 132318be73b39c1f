//! Pure: a timeline in, findings out.
//!
//! ```text
//! records  -> clock.rs (+0) -> faults.rs, sign_of_life.rs, endpoints.rs, heartbeats.rs ─┐
//! attempts -> order.rs -> tracker.rs, series.rs (one pass: probes.rs) ───────────┴-> findings/ -> causes/ -> warnings.rs
//! ```

mod burst;
mod causes;
mod classes;
mod clock;
mod delivery;
mod disturbance;
pub mod endpoints;
mod error_rate;
mod faults;
pub mod findings;
mod heartbeats;
mod in_effect;
mod kept;
mod late;
mod latency;
mod leaders;
mod objects;
pub mod order;
mod other_nodes;
mod overlap;
mod pods;
mod probes;
mod recovering;
mod run;
mod segment;
mod series;
mod sign_of_life;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tracker;
mod unreadable;
mod warnings;
mod writes;

use std::collections::BTreeSet;

pub use clock::Zero;
pub use findings::{
    Cause, CausePart, Completion, Counted, DeliveryFinding, Disturbance, ErrorRate, FaultFinding,
    Findings, InEffect, LeaderFinding, LeaderGap, LeaderLoss, MomentDelay, OldLeader, OtherNode,
    Period, PodFinding, ProbeFinding, Proof, Recovered, ServiceFinding, Tally, Unreadable, Warning,
    When, Window, WritesFinding,
};
pub use recovering::Recovering;

use crate::stats::{Between, Seconds};
use crate::timeline::{Event, Moment, NodeRole, Timeline};

/// Finds in a timeline what happened, and what weakens the numbers. A timeline that was cut gives
/// what there is.
pub fn analyse(timeline: &Timeline) -> Findings {
    analyse_for(timeline, &Wanted { windows: BTreeSet::new(), undisturbed_latency: true })
}

/// What is found only where an expectation is judged by it.
#[derive(Debug)]
pub struct Wanted {
    /// The lengths of the windows whose highest error rates are.
    pub windows: BTreeSet<Seconds>,
    /// Whether the latency without the times in which a prober was disturbed is.
    pub undisturbed_latency: bool,
}

/// The same, with what is wanted.
pub fn analyse_for(timeline: &Timeline, wanted: &Wanted) -> Findings {
    let (zero, origin) = Zero::of(timeline);
    let faults = faults::faults(timeline, zero);
    let end = zero
        .at(timeline.records.last().map_or(timeline.header.anchor.monotonic, |record| record.at));
    let [steady_before, steady_after] = [true, false].map(|before| steady(timeline, zero, before));
    let requested = faults.first().map(|fault| fault.requested);
    let steady_since = steady_before.as_ref().and_then(|steady| steady.held_since);
    let steady_since = steady_since.filter(|since| requested.is_none_or(|at| *since <= at));
    let lost = unreadable::Lost { damage: &timeline.damage, zero };
    let unreadable = lost.records().into_iter();
    let unreadable = unreadable.filter(|time| requested.is_some_and(|at| time.overlaps(at, None)));
    let (faults_of_run, records) = (&faults[..], &timeline.records[..]);
    let run = run::Run { zero, steady_since, faults: faults_of_run, end, records, lost, wanted };
    let mut probes = probes::probes(&timeline.probes, &run);
    probes.sort_by_key(|probe| (probe.control, started(timeline, &probe.name)));
    let first_fault = faults.first().map_or(Moment(u64::MAX), |_| Moment(origin.monotonic_ns));
    let unheard = unheard(timeline, &faults);
    let completion = completion(timeline);
    let delivery = delivery::Delivery::of(timeline, zero);
    let mut found = Findings {
        cut_at: cut_at(timeline, &completion, zero),
        completion,
        steady_before,
        recovery: recovery(&faults, steady_after.as_ref(), &unheard),
        unheard,
        pods: pods::pods(&timeline.records, first_fault, zero),
        objects: objects::objects(&timeline.records),
        probes,
        other_nodes: other_nodes::other_nodes(timeline, &faults, zero),
        leaders: leaders::leaders(timeline, zero, &delivery),
        delivery: None,
        heartbeats: heartbeats::heartbeats(&timeline.records, first_fault),
        unreadable: unreadable.collect(),
        writes: writes::writes(timeline),
        warnings: Vec::new(),
        origin,
        faults,
        steady_after,
    };
    found.delivery = delivery.finding(&found);
    causes::explain(&mut found, timeline, zero);
    found.warnings = warnings::warnings(timeline, &found, zero);
    found
}

/// The place of a probe among those that were started: the files come by name.
fn started(timeline: &Timeline, name: &str) -> usize {
    let started =
        |event: &Event| matches!(event, Event::ProbeStarted { probe, .. } if probe == name);
    timeline.records.iter().position(|record| started(&record.event)).unwrap_or(usize::MAX)
}

fn completion(timeline: &Timeline) -> Completion {
    // One that was interrupted goes on until all is undone.
    if timeline.growing && !timeline.ended() {
        return Completion::Running;
    }
    let cut_short = timeline.records.iter().find_map(|record| match &record.event {
        Event::Interrupted { signal } => Some(Completion::Interrupted { signal: signal.clone() }),
        Event::Failed { error, refused: true } => {
            Some(Completion::Refused { error: error.clone() })
        }
        Event::Failed { error, .. } => Some(Completion::Failed { error: error.clone() }),
        _ => None,
    });
    cut_short.unwrap_or(if timeline.ended() { Completion::Complete } else { Completion::Died })
}

fn cut_at(timeline: &Timeline, completion: &Completion, zero: Zero) -> Option<Seconds> {
    let mut records = timeline.records.iter();
    let last = match completion {
        Completion::Complete | Completion::Refused { .. } | Completion::Running => None,
        Completion::Died => records.next_back(),
        Completion::Interrupted { .. } => {
            records.find(|record| matches!(record.event, Event::Interrupted { .. }))
        }
        Completion::Failed { .. } => {
            records.find(|record| matches!(record.event, Event::Failed { .. }))
        }
    };
    last.map(|record| zero.at(record.at))
}

/// The last steady state, before the first fault or after the last.
fn steady(timeline: &Timeline, zero: Zero, wanted: bool) -> Option<findings::Steady> {
    timeline.records.iter().rev().find_map(|record| {
        let (before, held_since, conditions) = match &record.event {
            Event::SteadyState { before, held_since, conditions } => {
                (before, Some(zero.at(*held_since)), conditions)
            }
            Event::SteadyStateMissed { before, conditions } => (before, None, conditions),
            _ => return None,
        };
        let (confirmed, conditions) = (zero.at(record.at), conditions.clone());
        (*before == wanted).then_some(findings::Steady { held_since, confirmed, conditions })
    })
}

/// The last fault on each target: what the others came to is undone with it.
fn last_on_each(faults: &[FaultFinding]) -> impl Iterator<Item = &FaultFinding> {
    faults
        .iter()
        .enumerate()
        .filter(|(i, fault)| !faults[i + 1..].iter().any(|later| later.target == fault.target))
        .map(|(_, f)| f)
}

/// The nodes without a sign of life since their fault was undone. Load balancers and pods are not
/// nodes, and give none.
fn unheard(timeline: &Timeline, faults: &[FaultFinding]) -> Vec<String> {
    let nodes = &timeline.header.cluster.nodes;
    let is_node = |name: &str| {
        nodes.iter().any(|node| node.name == name && node.role != NodeRole::ExternalLoadBalancer)
    };
    let silent = last_on_each(faults)
        .filter(|fault| fault.node.heard_again.is_none() && is_node(&fault.target));
    silent.map(|fault| fault.target.clone()).collect()
}

/// From the undo until the steady state held. One that came back before the undo was confirmed has
/// taken no time after it; but what was known of a node before its first sign of life is stale, and
/// not a recovery yet.
fn recovery(
    faults: &[FaultFinding],
    steady: Option<&findings::Steady>,
    unheard: &[String],
) -> Option<Between> {
    let undone = findings::last_ended(faults)?;
    let held = steady?.held_since?;
    let heard = last_on_each(faults).filter_map(|fault| fault.node.heard_again);
    let back = heard.fold(When { earliest: held, latest: held }, When::later);
    unheard
        .is_empty()
        .then(|| Between::new(back.earliest - undone.latest, back.latest - undone.earliest))
}
