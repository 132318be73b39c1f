//! What is known of the run around a probe's attempts.

use super::Wanted;
use super::clock::Zero;
use super::findings::{FaultFinding, Period};
use super::unreadable::Lost;
use crate::stats::Seconds;
use crate::timeline::Record;

pub(super) struct Run<'a> {
    pub zero: Zero,
    /// Since when the steady state held before the first fault.
    pub steady_since: Option<Seconds>,
    pub faults: &'a [FaultFinding],
    /// Its last moment.
    pub end: Seconds,
    pub records: &'a [Record],
    pub lost: Lost<'a>,
    pub wanted: &'a Wanted,
}

/// A part of the run: it lasts until the next one begins.
pub(super) struct Stretch<'a> {
    pub period: Period,
    /// `None`: it began with the data.
    pub from: Option<Seconds>,
    /// The faults whose period it is, or the time after it.
    pub faults: &'a [FaultFinding],
}

impl Run<'_> {
    /// The parts of the run, by the steady state, each fault's request and its `end`; of those that
    /// overlap, the last one's. While one of them has none, none is over.
    pub(super) fn stretches(
        &self,
        end: impl Fn(&FaultFinding) -> Option<Seconds>,
    ) -> Vec<Stretch<'_>> {
        let before = |period, from| Stretch { period, from, faults: &[] };
        let mut stretches = vec![before(Period::Before, self.steady_since)];
        if self.steady_since.is_some() {
            stretches.insert(0, before(Period::Settling, None));
        }
        for faults in self.faults.chunk_by(|a, b| a.overlap == b.overlap) {
            let (step, from) = (faults[0].overlap, Some(faults[0].requested));
            stretches.push(Stretch { period: Period::Fault { step }, from, faults });
            let ends: Option<Vec<Seconds>> = faults.iter().map(&end).collect();
            let from = ends.and_then(|all| all.into_iter().max());
            let period = Period::AfterUndo { step };
            stretches.extend(from.map(|_| Stretch { period, from, faults }));
        }
        stretches
    }
}
