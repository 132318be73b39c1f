//! The operations of one canary that are in flight, and their outcomes. Pure: every moment is
//! given.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::timeline::{Attempt, Bracket, Moment, Outcome, Phase};

/// What became known of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    Ended(End),
    /// It had timed out, and succeeded late.
    Late {
        slot: u64,
        at: Bracket,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub slot: u64,
    pub sent: Moment,
    /// When the API server had taken it; `None`: it never had.
    pub accepted: Option<Moment>,
    /// When its outcome was known; of a timeout its deadline.
    pub done: Moment,
    pub outcome: Outcome,
}

/// Attempts that may still succeed.
#[derive(Debug)]
pub(super) struct InFlight {
    timeout: Duration,
    /// How long a watch that fails takes to notice.
    silence: Duration,
    pending: BTreeMap<u64, Pending>,
    /// When the watch was down; the last gap may be open.
    gaps: Vec<(Moment, Option<Moment>)>,
    /// The last change that is known to be done, and when that was.
    done: Option<(i64, Bracket)>,
}

#[derive(Debug)]
struct Pending {
    sent: Moment,
    accepted: Option<Moment>,
    change: Option<i64>,
    waits_for: Phase,
    /// Its outcome was reported: it may still succeed, late.
    timed_out: bool,
}

impl Pending {
    fn end(&self, slot: u64, done: Moment, outcome: Outcome) -> Resolution {
        Resolution::Ended(End { slot, sent: self.sent, accepted: self.accepted, done, outcome })
    }
}

impl InFlight {
    pub(super) fn new(timeout: Duration, silence: Duration) -> Self {
        Self { timeout, silence, pending: BTreeMap::new(), gaps: Vec::new(), done: None }
    }

    pub(super) fn sent(&mut self, slot: u64, at: Moment) {
        let pending = Pending {
            sent: at,
            accepted: None,
            change: None,
            waits_for: Phase::Accepted,
            timed_out: false,
        };
        self.pending.insert(slot, pending);
    }

    /// The API server's answer to an attempt: taken (with the number of the change, where it has
    /// one), or not. What is waited for next.
    pub(super) fn answered(
        &mut self,
        slot: u64,
        at: Moment,
        answer: Result<Option<i64>, Outcome>,
        next: Phase,
    ) -> Option<Resolution> {
        let pending = self.pending.get_mut(&slot)?;
        match answer {
            Ok(change) => {
                pending.accepted.get_or_insert(at);
                pending.change = change;
                pending.waits_for =
                    if pending.waits_for == Phase::Accepted { next } else { pending.waits_for };
                let (done, when) =
                    self.done.filter(|(done, _)| change.is_some_and(|change| change <= *done))?;
                let known = Bracket { earliest: when.earliest.min(at), latest: at };
                self.completed_up_to(done, known).into_iter().next()
            }
            // It was seen to be there: the answer alone was lost.
            Err(_) if pending.accepted.is_some() => None,
            Err(outcome) => {
                self.pending.remove(&slot).map(|pending| pending.end(slot, at, outcome))
            }
        }
    }

    /// What an attempt asked for was seen to exist, and waits for `next`.
    pub(super) fn waits_for(&mut self, slot: u64, at: Moment, next: Phase) {
        if let Some(pending) = self.pending.get_mut(&slot) {
            pending.accepted.get_or_insert(at);
            pending.waits_for = next;
        }
    }

    /// An attempt succeeded. One that is no longer waited for is ignored.
    pub(super) fn completed(&mut self, slot: u64, at: Bracket) -> Vec<Resolution> {
        let Some(mut pending) = self.pending.remove(&slot) else { return Vec::new() };
        pending.accepted.get_or_insert(at.latest);
        let deadline = pending.sent.plus(self.timeout);
        let late = Resolution::Late { slot, at };
        match pending.timed_out {
            true => vec![late],
            false if at.latest <= deadline => vec![pending.end(slot, at.latest, Outcome::Ok)],
            false if at.earliest >= deadline => {
                vec![pending.end(slot, deadline, Outcome::Timeout(pending.waits_for)), late]
            }
            false => vec![pending.end(slot, deadline, Outcome::Unseen)],
        }
    }

    /// All changes up to this one are done.
    pub(super) fn completed_up_to(&mut self, change: i64, at: Bracket) -> Vec<Resolution> {
        self.done = Some((change, at));
        let asked = |(slot, pending): (&u64, &Pending)| {
            pending.change.is_some_and(|asked| asked <= change).then_some(*slot)
        };
        let slots: Vec<u64> = self.pending.iter().filter_map(asked).collect();
        slots.into_iter().flat_map(|slot| self.completed(slot, at)).collect()
    }

    /// The watch is down since `from`; `until`: it works again.
    pub(super) fn watch_down(&mut self, from: Moment, until: Option<Moment>) {
        self.gaps.retain(|(_, until)| until.is_some());
        let oldest = self.pending.values().map(|pending| pending.sent).min();
        self.gaps
            .retain(|(_, until)| until.zip(oldest).is_some_and(|(until, oldest)| until >= oldest));
        self.gaps.push((from, until));
    }

    fn watch_was_down(&self, at: Moment) -> bool {
        self.gaps.iter().any(|(from, until)| *from <= at && until.is_none_or(|until| at <= until))
    }

    /// Gives what has timed out. That waits until a gap of the watch at the deadline would be
    /// known.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<Resolution> {
        let due = |pending: &Pending| {
            !pending.timed_out && pending.accepted.is_some() && self.expires_at(pending) <= now
        };
        let slots: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| due(pending))
            .map(|(slot, _)| *slot)
            .collect();
        slots.into_iter().filter_map(|slot| self.expire_one(slot)).collect()
    }

    fn expire_one(&mut self, slot: u64) -> Option<Resolution> {
        let deadline = self.pending.get(&slot)?.sent.plus(self.timeout);
        if self.watch_was_down(deadline) {
            return self
                .pending
                .remove(&slot)
                .map(|pending| pending.end(slot, deadline, Outcome::Unseen));
        }
        let pending = self.pending.get_mut(&slot)?;
        pending.timed_out = true;
        Some(pending.end(slot, deadline, Outcome::Timeout(pending.waits_for)))
    }

    fn expires_at(&self, pending: &Pending) -> Moment {
        let deadline = pending.sent.plus(self.timeout);
        if self.watch_was_down(deadline) { deadline } else { deadline.plus(self.silence) }
    }

    /// When [`Self::expire`] has something to give, if nothing succeeds before.
    pub(super) fn next_expiry(&self) -> Option<Moment> {
        self.pending
            .values()
            .filter(|pending| !pending.timed_out && pending.accepted.is_some())
            .map(|pending| self.expires_at(pending))
            .min()
    }

    /// Attempts that may still succeed.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// The oldest that has timed out is no longer waited for.
    pub(super) fn give_up_one(&mut self) -> Option<u64> {
        let slot =
            self.pending.iter().find(|(_, pending)| pending.timed_out).map(|(slot, _)| *slot)?;
        self.pending.remove(&slot).map(|_| slot)
    }

    /// Nothing is waited for any more.
    pub(super) fn cut(&mut self, now: Moment) -> Vec<Resolution> {
        let pending =
            std::mem::take(&mut self.pending).into_iter().filter(|(_, pending)| !pending.timed_out);
        pending.map(|(slot, pending)| pending.end(slot, now, Outcome::Cut)).collect()
    }
}

impl End {
    /// As the attempts' file has it; `due` is when it was to be sent.
    pub(super) fn attempt(&self, due: Moment) -> Attempt {
        let micros = |later: Moment, earlier: Moment| later.since(earlier).as_micros() as u64;
        let mut attempt = Attempt {
            slot: self.slot,
            late_us: micros(self.sent, due),
            outcome: self.outcome,
            ..Attempt::default()
        };
        let accepted = self.accepted.unwrap_or(self.done).min(self.done);
        *attempt.phases.of_mut(Phase::Accepted) = micros(accepted, self.sent);
        *attempt.phases.of_mut(Phase::Observed) = micros(self.done, accepted);
        attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Moment {
        Moment((seconds * 1e9) as u64)
    }

    fn at(seconds: f64) -> Bracket {
        Bracket { earliest: s(seconds), latest: s(seconds) }
    }

    /// Attempts may take 10 s; a failed watch is noticed 5 s later.
    fn in_flight(slots: &[u64]) -> InFlight {
        let mut in_flight = InFlight::new(Duration::from_secs(10), Duration::from_secs(5));
        for slot in slots {
            in_flight.sent(*slot, s(*slot as f64));
            assert_eq!(
                in_flight.answered(*slot, s(*slot as f64 + 0.1), Ok(None), Phase::Bound),
                None
            );
        }
        in_flight
    }

    fn outcomes(resolved: &[Resolution]) -> Vec<(u64, Outcome)> {
        resolved
            .iter()
            .filter_map(|resolved| {
                if let Resolution::Ended(end) = resolved {
                    Some((end.slot, end.outcome))
                } else {
                    None
                }
            })
            .collect()
    }

    #[test]
    fn what_comes_true_in_time_is_ok() {
        let mut in_flight = in_flight(&[0, 1]);
        let resolved = in_flight.completed(1, at(3.0));
        assert_eq!(outcomes(&resolved), [(1, Outcome::Ok)]);
        let Resolution::Ended(end) = resolved[0] else { panic!("it ended") };
        let attempt = end.attempt(s(0.99));
        assert_eq!(
            (attempt.late_us, attempt.phases.first_byte_us, attempt.phases.body_us),
            (10_000, 100_000, 1_900_000)
        );
        assert_eq!((in_flight.len(), in_flight.completed(1, at(4.0))), (1, Vec::new()));
    }

    #[test]
    fn what_was_not_taken_failed_as_a_request() {
        let mut in_flight = InFlight::new(Duration::from_secs(10), Duration::ZERO);
        in_flight.sent(0, s(0.0));
        let resolved: Vec<Resolution> = in_flight
            .answered(0, s(0.5), Err(Outcome::Refused), Phase::Bound)
            .into_iter()
            .collect();
        assert_eq!(outcomes(&resolved), [(0, Outcome::Refused)]);
        assert_eq!((in_flight.len(), in_flight.next_expiry()), (0, None));
    }

    #[test]
    fn what_was_taken_and_not_done_failed_in_its_phase_and_may_come_late() {
        let mut in_flight = in_flight(&[0, 1]);
        in_flight.waits_for(1, s(2.0), Phase::Running);
        assert_eq!(in_flight.next_expiry(), Some(s(15.0)));
        assert!(in_flight.expire(s(14.9)).is_empty(), "a watch failure might not be noticed yet");
        assert_eq!(
            outcomes(&in_flight.expire(s(16.0))),
            [(0, Outcome::Timeout(Phase::Bound)), (1, Outcome::Timeout(Phase::Running))]
        );
        assert!(in_flight.expire(s(17.0)).is_empty(), "an outcome is reported once");
        assert_eq!((in_flight.next_expiry(), in_flight.len()), (None, 2));
        assert_eq!(in_flight.completed(0, at(40.0)), [Resolution::Late { slot: 0, at: at(40.0) }]);
        assert_eq!((in_flight.give_up_one(), in_flight.give_up_one()), (Some(1), None));
    }

    #[test]
    fn what_is_seen_after_its_deadline_and_before_the_verdict_is_late() {
        let resolved = in_flight(&[0]).completed(0, at(12.0));
        assert_eq!(outcomes(&resolved), [(0, Outcome::Timeout(Phase::Bound))]);
        assert_eq!(resolved[1], Resolution::Late { slot: 0, at: at(12.0) });
    }

    #[test]
    fn a_watch_that_is_down_makes_no_failure() {
        let mut in_flight = in_flight(&[0, 4]);
        in_flight.watch_down(s(9.0), None);
        assert_eq!(
            in_flight.next_expiry(),
            Some(s(10.0)),
            "that it cannot be seen is known already"
        );
        assert_eq!(outcomes(&in_flight.expire(s(10.0))), [(0, Outcome::Unseen)]);
        in_flight.watch_down(s(9.0), Some(s(12.0)));
        assert_eq!(
            outcomes(&in_flight.expire(s(19.0))),
            [(4, Outcome::Timeout(Phase::Bound))],
            "it saw again by the deadline"
        );
    }

    #[test]
    fn a_success_in_a_gap_around_the_deadline_is_unseen() {
        let resolved = in_flight(&[0]).completed(0, Bracket { earliest: s(8.0), latest: s(11.0) });
        assert_eq!(outcomes(&resolved), [(0, Outcome::Unseen)]);
        let resolved = in_flight(&[0]).completed(0, Bracket { earliest: s(2.0), latest: s(9.0) });
        assert_eq!(outcomes(&resolved), [(0, Outcome::Ok)]);
    }

    #[test]
    fn a_change_is_done_with_the_newer_ones() {
        let mut in_flight = InFlight::new(Duration::from_secs(10), Duration::from_secs(5));
        for slot in 0..3 {
            in_flight.sent(slot, s(slot as f64));
            assert_eq!(
                in_flight.answered(
                    slot,
                    s(slot as f64 + 0.1),
                    Ok(Some(5 + slot as i64)),
                    Phase::Observed
                ),
                None
            );
        }
        assert_eq!(
            outcomes(&in_flight.completed_up_to(6, at(3.0))),
            [(0, Outcome::Ok), (1, Outcome::Ok)]
        );
        in_flight.sent(3, s(4.0));
        assert_eq!(outcomes(&in_flight.completed_up_to(8, at(4.05))), [(2, Outcome::Ok)]);
        // The watch was faster than the answer.
        let resolved: Vec<Resolution> =
            in_flight.answered(3, s(4.1), Ok(Some(8)), Phase::Observed).into_iter().collect();
        assert_eq!(outcomes(&resolved), [(3, Outcome::Ok)]);
    }

    #[test]
    fn what_is_under_way_at_the_end_says_nothing() {
        let mut in_flight = in_flight(&[0, 9]);
        assert_eq!(outcomes(&in_flight.expire(s(15.0))).len(), 1);
        assert_eq!(outcomes(&in_flight.cut(s(15.0))), [(9, Outcome::Cut)]);
    }
}
