//! Timed-out canary attempts that succeeded after all.

use std::time::Duration;

use super::clock::Zero;
use super::findings::{LateFinding, Period, When};
use super::segment::Segment;
use crate::timeline::{Event, ProbeSpan, Record};

/// By step, what became of the attempts that timed out. `timed_out`: how many did so in each
/// segment.
pub(super) fn late(
    records: &[Record],
    span: &ProbeSpan,
    zero: Zero,
    segments: &[Segment],
    timed_out: &[u64],
) -> Vec<LateFinding> {
    let mut found: Vec<LateFinding> = Vec::new();
    for (segment, count) in segments.iter().zip(timed_out).filter(|(_, count)| **count > 0) {
        let Some(step) = step_of(segment.period) else { continue };
        match found.iter_mut().find(|late| late.step == step) {
            Some(late) => late.timed_out += count,
            None => found.push(LateFinding {
                step,
                timed_out: *count,
                succeeded: 0,
                first: None,
                last: None,
            }),
        }
    }
    for record in records {
        let Event::LateSuccess { probe, slot } = &record.event else { continue };
        let step =
            step_at(segments, attempt_of(span, *slot, zero)).filter(|_| *probe == span.probe.name);
        let Some(late) = found.iter_mut().find(|late| Some(late.step) == step) else { continue };
        let at = zero.when(record.bracket());
        late.succeeded += 1;
        late.first = late.first.or(Some(at));
        late.last = Some(late.last.map_or(at, |last| last.later(at)));
    }
    found
}

/// When it was due, and given up.
fn attempt_of(span: &ProbeSpan, slot: u64, zero: Zero) -> When {
    let due = span.due(slot);
    When {
        earliest: zero.at(due),
        latest: zero.at(due.plus(Duration::from_nanos(span.timeout_ns))),
    }
}

/// The step of a failure: one in flight at a fault's request is the fault's.
fn step_at(segments: &[Segment], failed: When) -> Option<u32> {
    let at = segments.iter().rposition(|segment| segment.from <= failed.earliest)?;
    let in_flight = segments
        .get(at + 1)
        .filter(|next| matches!(next.period, Period::Fault { .. }) && next.from <= failed.latest);
    step_of(in_flight.unwrap_or(&segments[at]).period)
}

fn step_of(period: Period) -> Option<u32> {
    match period {
        Period::Fault { step } | Period::AfterUndo { step } => Some(step),
        Period::Settling | Period::Before => None,
    }
}
