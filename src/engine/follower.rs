//! Who follows a run as it goes on: what is shown, and the way there.

use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::timeline::{Component, Moment, Outcome, Record};

/// So much may wait to be looked at: a terminal that stands still (Ctrl-S) must neither hold the run
/// nor fill the memory.
const MOST: usize = 16_384;
/// So much of it is kept for what happens once.
const FOR_EVENTS: usize = MOST / 2;

/// The way to who follows. What it has no room for is not shown; the timeline has everything.
#[derive(Clone)]
pub(crate) struct Follower(Sender<Observation>);

impl Follower {
    pub(crate) fn new() -> (Self, Receiver<Observation>) {
        let (sender, seen) = mpsc::channel(MOST);
        (Self(sender), seen)
    }

    /// Never waits.
    pub(crate) fn show(&self, observation: Observation) {
        let comes_again =
            matches!(observation, Observation::Attempts { .. } | Observation::Waiting { .. });
        if !comes_again || self.0.capacity() > FOR_EVENTS {
            let _ = self.0.try_send(observation);
        }
    }
}

/// What someone who follows a run sees, as it happens.
#[derive(Clone, Debug)]
pub(crate) enum Observation {
    Record(Record),
    /// A probe began to fail.
    Failing {
        probe: String,
        /// When the first failure was sent.
        sent: Moment,
        class: String,
    },
    /// A probe has not failed for three seconds.
    Answering {
        probe: String,
        /// When the last failure was sent.
        sent: Moment,
    },
    /// What came in of a probe's attempts.
    Attempts {
        probe: String,
        tallies: Vec<Tally>,
    },
    /// A fault is about to be injected, and how it will be undone.
    ToUndo {
        step: u32,
        target: String,
        component: Option<Component>,
        undo: String,
    },
    Waiting {
        at: Moment,
        what: Vec<String>,
        /// When the wait ends at the latest.
        until: Moment,
    },
}

/// Attempts with the same outcome that were sent in the same part of a second.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tally {
    /// When the first that came in of them was sent.
    pub sent: Moment,
    pub outcome: Outcome,
    pub count: u32,
}

impl Tally {
    /// The parts of a second by which attempts are counted.
    pub(crate) const STEP: Duration = Duration::from_millis(500);

    pub(crate) fn column(moment: Moment) -> u64 {
        moment.0 / Self::STEP.as_nanos() as u64
    }

    pub(super) fn add(tallies: &mut Vec<Tally>, sent: Moment, outcome: Outcome) {
        let same = |tally: &&mut Tally| {
            tally.outcome == outcome && Self::column(tally.sent) == Self::column(sent)
        };
        match tallies.iter_mut().find(same) {
            Some(tally) => tally.count += 1,
            None => tallies.push(Tally { sent, outcome, count: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_look_holds_nobody() {
        let (follower, mut seen) = Follower::new();
        let attempts = || Observation::Attempts { probe: "web".into(), tallies: Vec::new() };
        (0..2 * MOST).for_each(|_| follower.show(attempts()));
        follower.show(Observation::Answering { probe: "web".into(), sent: Moment(0) });
        let mut kept: Vec<_> = std::iter::from_fn(|| seen.try_recv().ok()).collect();
        assert!(matches!(kept.pop(), Some(Observation::Answering { .. })), "events have room left");
        assert_eq!(kept.len(), MOST - FOR_EVENTS);
    }

    #[test]
    fn attempts_are_counted_by_half_second_and_outcome() {
        let mut tallies = Vec::new();
        let outcomes = [(0, Outcome::Ok), (499, Outcome::Ok), (450, Outcome::Refused)];
        for (ms, outcome) in outcomes.into_iter().chain([(500, Outcome::Ok), (10, Outcome::Ok)]) {
            Tally::add(&mut tallies, Moment(ms * 1_000_000), outcome);
        }
        let tally =
            |ms: u64, outcome, count| Tally { sent: Moment(ms * 1_000_000), outcome, count };
        let expected =
            [tally(0, Outcome::Ok, 3), tally(450, Outcome::Refused, 1), tally(500, Outcome::Ok, 1)];
        assert_eq!(tallies, expected);
    }
}
