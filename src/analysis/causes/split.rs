//! A window of errors, in parts by what caused it: a sweep over all moments at which what is known
//! changes.

use std::collections::BTreeMap;

use super::super::findings::{Cause, CausePart};
use super::interval_set::{IntervalSet, Known, Span};
use crate::stats::{Between, Seconds};

/// What shows a cause. Where several hold, the first one counts; one of them always holds.
pub(super) type Evidence = Vec<(Cause, IntervalSet)>;

/// The parts of a window, deepest cause first. Together they are the window: where only one cause
/// can be the one, its part is longer by that much at least; where several can, each one's may be.
pub(super) fn split(window: Span, evidence: &Evidence) -> Vec<CausePart> {
    let mut parts: BTreeMap<Cause, (Seconds, Seconds)> = BTreeMap::new();
    for slice in slices(window, evidence).windows(2) {
        let length = slice[1] - slice[0];
        let reached = reached(evidence, slice[0]);
        let sure =
            window.at(slice[0]) == Known::Yes && reached.iter().all(|cause| *cause == reached[0]);
        let first_time = |(number, cause): &(usize, &Cause)| !reached[..*number].contains(cause);
        for (_, cause) in reached.iter().enumerate().filter(first_time) {
            let (least, most) = parts.entry(*cause).or_default();
            *most = *most + length;
            *least = if sure { *least + length } else { *least };
        }
    }
    parts
        .into_iter()
        .map(|(cause, (least, most))| CausePart { cause, length: Between::new(least, most) })
        .collect()
}

/// The moments inside a window at which what is known changes, its own ends among them.
fn slices(window: Span, evidence: &Evidence) -> Vec<Seconds> {
    let mut edges = window.edges().to_vec();
    evidence.iter().for_each(|(_, holds)| holds.edges(&mut edges));
    edges.retain(|edge| window.from.earliest <= *edge && *edge <= window.until.latest);
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// The causes that may be the one at a moment: those that may hold, up to the first that surely
/// does.
fn reached(evidence: &Evidence, moment: Seconds) -> Vec<Cause> {
    let mut reached = Vec::new();
    for (cause, holds) in evidence {
        let known = holds.at(moment);
        if known != Known::No {
            reached.push(*cause);
        }
        if known == Known::Yes {
            break;
        }
    }
    reached
}
