//! When a running run has recovered: the same moment that [`analyse`](super::analyse) finds
//! afterwards.

use std::collections::BTreeMap;

use super::sign_of_life;
use crate::timeline::leader::NODE_LEASES;
use crate::timeline::{Anchor, Event, FaultPhase, Moment, Record};

/// Follows a run, record by record.
#[derive(Debug)]
pub struct Recovering {
    anchor: Anchor,
    /// The nodes' signs of life.
    words: Vec<Record>,
    /// When the undo of the last fault on each target was requested.
    requested: BTreeMap<String, Moment>,
    /// From when on signs of life count, for each target whose last fault was undone.
    undone: BTreeMap<String, Moment>,
}

impl Recovering {
    /// Follows a run whose wall clock and monotonic clock are tied by `anchor`.
    pub fn new(anchor: Anchor) -> Self {
        Self { anchor, words: Vec::new(), requested: BTreeMap::new(), undone: BTreeMap::new() }
    }

    pub fn take(&mut self, record: &Record) {
        match &record.event {
            Event::Node { .. } => self.words.push(record.clone()),
            Event::Lease { namespace, .. } if namespace == NODE_LEASES => {
                self.words.push(record.clone())
            }
            Event::Fault { phase: FaultPhase::UndoRequested, target, .. } => {
                self.undone.remove(target);
                self.requested.insert(target.clone(), record.at);
            }
            // The effect is gone before it is verified that all works again.
            Event::Fault {
                phase: FaultPhase::Reverted | FaultPhase::Undone,
                target,
                fault,
                ..
            } => {
                let requested = self.requested.get(target).copied();
                let since = sign_of_life::counts_from(fault, requested, record.at);
                self.undone.entry(target.clone()).or_insert(since);
            }
            _ => {}
        }
    }

    /// When the steady state was back that holds since `held`: the state of a node before its first
    /// sign of life is stale.
    pub fn back(&mut self, held: Moment) -> Moment {
        self.words.sort_by_key(|record| record.at);
        let heard = |(node, undone): (&String, &Moment)| {
            sign_of_life::after(&self.words, &self.anchor, node, *undone)
        };
        self.undone.iter().filter_map(heard).map(|word| word.latest).fold(held, Moment::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Run, at};
    use crate::analysis::{Zero, analyse};
    use crate::timeline::{Ready, Timeline};

    /// What is followed while a run goes on, and what is found afterwards; in milliseconds after
    /// +0.
    fn both(run: &Timeline) -> (Moment, f64) {
        let mut following = Recovering::new(run.header.anchor.clone());
        let mut followed = None;
        for record in &run.records {
            following.take(record);
            if let Event::SteadyState { before: false, held_since, .. } = record.event {
                followed = Some(following.back(held_since));
            }
        }
        let found = analyse(run);
        let report = found.last_undone().unwrap() + found.recovery.unwrap().most;
        let followed = followed.unwrap();
        assert_eq!(Zero::of(run).0.at(followed), report);
        (followed, report.as_f64())
    }

    #[test]
    fn what_is_said_meanwhile_is_what_the_report_says() {
        let hit = || Run::new().beat(-500, "06:23:40Z", Ready::True).kill(15_000);
        let heard_last =
            hit().beat(19_600, "06:24:00Z", Ready::True).steady(20_000, false, 15_700).build();
        assert_eq!(both(&heard_last).0, at(19_600), "it held on old knowledge before");
        let heard_first =
            hit().beat(16_000, "06:23:57Z", Ready::True).steady(26_600, false, 21_600).build();
        assert_eq!(both(&heard_first).0, at(21_600));
        let heard_at_once = hit()
            .beat(15_200, "06:23:56Z", Ready::True)
            .beat(25_300, "06:24:06Z", Ready::True)
            .steady(26_600, false, 15_500)
            .build();
        assert_eq!(
            both(&heard_at_once).0,
            at(15_500),
            "while the call that undid it was returning"
        );
    }
}
