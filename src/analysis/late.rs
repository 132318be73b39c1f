//! What of a canary had timed out, and came true after all.

use super::clock::Zero;
use super::findings::{LateFinding, Period, When};
use super::tracker::Segment;
use crate::timeline::{Event, ProbeSpan, Record};

/// By step, what became of the attempts that timed out. `timed_out`: how many did so in each segment.
pub fn late(records: &[Record], span: &ProbeSpan, zero: Zero, segments: &[Segment], timed_out: &[u64]) -> Vec<LateFinding> {
    let mut found: Vec<LateFinding> = Vec::new();
    for record in records {
        let Event::CameTrue { probe, slot } = &record.event else { continue };
        let sent = zero.at(span.due(*slot));
        let segment = segments.iter().rfind(|segment| segment.from <= sent);
        let Some(step) = segment.filter(|_| *probe == span.probe.name).and_then(|segment| step_of(segment.period)) else {
            continue;
        };
        let bracket = record.bracket();
        let at = When { earliest: zero.at(bracket.earliest), latest: zero.at(bracket.latest) };
        match found.iter_mut().find(|late| late.step == step) {
            Some(late) => {
                late.came_true += 1;
                late.last = late.last.later(at);
            }
            None => {
                found.push(LateFinding { step, timed_out: all_of(step, segments, timed_out), came_true: 1, first: at, last: at })
            }
        }
    }
    found.sort_by_key(|late| late.step);
    found
}

fn all_of(step: u32, segments: &[Segment], timed_out: &[u64]) -> u64 {
    let of_step = segments.iter().zip(timed_out).filter(|(segment, _)| step_of(segment.period) == Some(step));
    of_step.map(|(_, count)| count).sum()
}

fn step_of(period: Period) -> Option<u32> {
    match period {
        Period::Fault { step } | Period::AfterUndo { step } => Some(step),
        Period::Settling | Period::Before => None,
    }
}
