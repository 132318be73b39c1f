//! Pure: a timeline in, findings out.
//!
//! ```text
//! records  -> clock.rs (+0) -> faults.rs, endpoints.rs, heartbeats.rs ─┐
//! attempts -> order.rs -> tracker.rs, series.rs (one pass: probes.rs) ─┴-> findings.rs -> doubts.rs (warnings)
//! ```

mod burst;
mod classes;
mod clock;
mod doubts;
pub mod endpoints;
mod faults;
pub mod findings;
mod heartbeats;
pub mod order;
mod probes;
pub mod quality;
mod series;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tracker;
pub mod window;

pub use clock::Zero;
pub use findings::{Completion, FaultFinding, Findings, Period, ProbeFinding, ServiceFinding, Tally, When};
pub use quality::Warning;
pub use window::{Proof, Window};

use crate::stats::Seconds;
use crate::timeline::{Event, Moment, Timeline};

/// Finds in a timeline what happened, and what weakens the numbers. A timeline that was cut gives what there is.
pub fn analyse(timeline: &Timeline) -> Findings {
    let (zero, origin) = Zero::of(timeline);
    let faults = faults::faults(timeline, zero);
    let end = zero.at(timeline.records.last().map_or(timeline.header.anchor.monotonic, |record| record.at));
    let steady_after = steady(timeline, zero, false);
    let steady_before = steady(timeline, zero, true);
    let harmed = faults.first().map(|fault| fault.requested);
    let steady_since = steady_before.as_ref().and_then(|steady| steady.held_since);
    let steady_since = steady_since.filter(|since| harmed.is_none_or(|harmed| *since <= harmed));
    let run = probes::Run { zero, steady_since, faults: &faults, end };
    let mut probes: Vec<_> = timeline.probes.iter().map(|file| probes::probe(file, &run)).collect();
    probes.sort_by_key(|probe| (probe.control, started(timeline, &probe.name)));
    let first_fault = faults.first().map_or(Moment(u64::MAX), |_| Moment(origin.monotonic_ns));
    let mut found = Findings {
        completion: completion(timeline),
        steady_before,
        recovery: recovery(&faults, steady_after.as_ref()),
        probes,
        heartbeats: heartbeats::heartbeats(&timeline.records, first_fault),
        warnings: Vec::new(),
        origin,
        faults,
        steady_after,
    };
    found.warnings = doubts::warnings(timeline, &found, zero);
    found
}

/// The place of a probe among those that were started: the files come by name.
fn started(timeline: &Timeline, name: &str) -> usize {
    let started = |event: &Event| matches!(event, Event::ProbeStarted { probe } if probe == name);
    timeline.records.iter().position(|record| started(&record.event)).unwrap_or(usize::MAX)
}

fn completion(timeline: &Timeline) -> Completion {
    let cut_short = timeline.records.iter().find_map(|record| match &record.event {
        Event::Interrupted { signal } => Some(Completion::Interrupted { signal: signal.clone() }),
        Event::Failed { error } => Some(Completion::Failed { error: error.clone() }),
        _ => None,
    });
    cut_short.unwrap_or(if timeline.ended() { Completion::Complete } else { Completion::Died })
}

/// The last word on the steady state, before any harm or after it.
fn steady(timeline: &Timeline, zero: Zero, wanted: bool) -> Option<findings::Steady> {
    timeline.records.iter().rev().find_map(|record| {
        let (before, held_since, conditions) = match &record.event {
            Event::SteadyState { before, held_since, conditions } => (before, Some(zero.at(*held_since)), conditions),
            Event::SteadyStateMissed { before, conditions } => (before, None, conditions),
            _ => return None,
        };
        let (confirmed, conditions) = (zero.at(record.at), conditions.clone());
        (*before == wanted).then_some(findings::Steady { held_since, confirmed, conditions })
    })
}

/// A steady state that came back before the undo was confirmed has taken no time after it.
fn recovery(faults: &[FaultFinding], steady: Option<&findings::Steady>) -> Option<Seconds> {
    let undone = faults.last()?.undone?;
    Some((steady?.held_since? - undone).or_zero())
}
