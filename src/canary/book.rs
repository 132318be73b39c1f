//! The attempts of one canary that are under way, and what they come to. Pure: every moment is given.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::timeline::{Attempt, Bracket, Moment, Outcome, Phase};

/// What became known of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It has ended.
    Ended(End),
    /// It had timed out, and came true after all.
    Late {
        /// The attempt.
        slot: u64,
        /// When.
        at: Bracket,
    },
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The attempt.
    pub slot: u64,
    /// When it was sent.
    pub sent: Moment,
    /// When the API server had taken it; `None`: it never had.
    pub accepted: Option<Moment>,
    /// When its outcome was known; of a timeout its deadline.
    pub done: Moment,
    /// The outcome.
    pub outcome: Outcome,
}

/// Attempts that may still come true.
#[derive(Debug)]
pub(super) struct Book {
    timeout: Duration,
    /// Until a watch that went blind has said so.
    silence: Duration,
    open: BTreeMap<u64, Open>,
    /// When the watch was blind; the last one may go on.
    gaps: Vec<(Moment, Option<Moment>)>,
    /// The last change that is known to be done, and since when.
    done: Option<(i64, Bracket)>,
}

#[derive(Debug)]
struct Open {
    sent: Moment,
    accepted: Option<Moment>,
    /// The number of the change that was asked for.
    change: Option<i64>,
    waits_for: Phase,
    /// Its outcome was told: it may still come true, late.
    timed_out: bool,
}

impl Open {
    fn end(&self, slot: u64, done: Moment, outcome: Outcome) -> Told {
        Told::Ended(End { slot, sent: self.sent, accepted: self.accepted, done, outcome })
    }
}

impl Book {
    /// Nothing under way.
    pub(super) fn new(timeout: Duration, silence: Duration) -> Self {
        Self { timeout, silence, open: BTreeMap::new(), gaps: Vec::new(), done: None }
    }

    /// An attempt is sent.
    pub(super) fn sent(&mut self, slot: u64, at: Moment) {
        let open = Open {
            sent: at,
            accepted: None,
            change: None,
            waits_for: Phase::Accepted,
            timed_out: false,
        };
        self.open.insert(slot, open);
    }

    /// The API server's answer to an attempt: taken (with the number of the change, where it has one), or not. What is waited for next.
    pub(super) fn answered(
        &mut self,
        slot: u64,
        at: Moment,
        answer: Result<Option<i64>, Outcome>,
        next: Phase,
    ) -> Option<Told> {
        let open = self.open.get_mut(&slot)?;
        match answer {
            Ok(change) => {
                open.accepted.get_or_insert(at);
                open.change = change;
                open.waits_for =
                    if open.waits_for == Phase::Accepted { next } else { open.waits_for };
                let (done, when) =
                    self.done.filter(|(done, _)| change.is_some_and(|change| change <= *done))?;
                let known = Bracket { earliest: when.earliest.min(at), latest: at };
                self.up_to(done, known).into_iter().next()
            }
            // It was seen to be there: the answer alone was lost.
            Err(_) if open.accepted.is_some() => None,
            Err(outcome) => self.open.remove(&slot).map(|open| open.end(slot, at, outcome)),
        }
    }

    /// What an attempt asked for was seen to exist, and waits for `next`.
    pub(super) fn waits_for(&mut self, slot: u64, at: Moment, next: Phase) {
        if let Some(open) = self.open.get_mut(&slot) {
            open.accepted.get_or_insert(at);
            open.waits_for = next;
        }
    }

    /// An attempt came true. One that nobody waits for any more says nothing.
    pub(super) fn came_true(&mut self, slot: u64, at: Bracket) -> Vec<Told> {
        let Some(mut open) = self.open.remove(&slot) else { return Vec::new() };
        open.accepted.get_or_insert(at.latest);
        let deadline = open.sent.plus(self.timeout);
        let late = Told::Late { slot, at };
        match open.timed_out {
            true => vec![late],
            false if at.latest <= deadline => vec![open.end(slot, at.latest, Outcome::Ok)],
            false if at.earliest >= deadline => {
                vec![open.end(slot, deadline, Outcome::Timeout(open.waits_for)), late]
            }
            false => vec![open.end(slot, deadline, Outcome::Unseen)],
        }
    }

    /// All changes up to this one are done.
    pub(super) fn up_to(&mut self, change: i64, at: Bracket) -> Vec<Told> {
        self.done = Some((change, at));
        let asked = |(slot, open): (&u64, &Open)| {
            open.change.is_some_and(|asked| asked <= change).then_some(*slot)
        };
        let slots: Vec<u64> = self.open.iter().filter_map(asked).collect();
        slots.into_iter().flat_map(|slot| self.came_true(slot, at)).collect()
    }

    /// The watch is blind since `from`; `until`: it sees again.
    pub(super) fn blind(&mut self, from: Moment, until: Option<Moment>) {
        self.gaps.retain(|(_, until)| until.is_some());
        let oldest = self.open.values().map(|open| open.sent).min();
        self.gaps
            .retain(|(_, until)| until.zip(oldest).is_some_and(|(until, oldest)| until >= oldest));
        self.gaps.push((from, until));
    }

    fn was_blind(&self, at: Moment) -> bool {
        self.gaps.iter().any(|(from, until)| *from <= at && until.is_none_or(|until| at <= until))
    }

    /// Tells what has come to nothing. The verdict waits until a blindness at the deadline would be known.
    pub(super) fn judge(&mut self, now: Moment) -> Vec<Told> {
        let due = |open: &Open| {
            !open.timed_out && open.accepted.is_some() && self.verdict_at(open) <= now
        };
        let slots: Vec<u64> =
            self.open.iter().filter(|(_, open)| due(open)).map(|(slot, _)| *slot).collect();
        slots.into_iter().filter_map(|slot| self.verdict(slot)).collect()
    }

    fn verdict(&mut self, slot: u64) -> Option<Told> {
        let deadline = self.open.get(&slot)?.sent.plus(self.timeout);
        if self.was_blind(deadline) {
            return self.open.remove(&slot).map(|open| open.end(slot, deadline, Outcome::Unseen));
        }
        let open = self.open.get_mut(&slot)?;
        open.timed_out = true;
        Some(open.end(slot, deadline, Outcome::Timeout(open.waits_for)))
    }

    fn verdict_at(&self, open: &Open) -> Moment {
        let deadline = open.sent.plus(self.timeout);
        if self.was_blind(deadline) { deadline } else { deadline.plus(self.silence) }
    }

    /// When [`Self::judge`] has something to tell, if nothing comes true before.
    pub(super) fn next_verdict(&self) -> Option<Moment> {
        self.open
            .values()
            .filter(|open| !open.timed_out && open.accepted.is_some())
            .map(|open| self.verdict_at(open))
            .min()
    }

    /// Attempts that may still come true.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// The oldest that has timed out is no longer waited for.
    pub(super) fn give_up_one(&mut self) -> Option<u64> {
        let slot = self.open.iter().find(|(_, open)| open.timed_out).map(|(slot, _)| *slot)?;
        self.open.remove(&slot).map(|_| slot)
    }

    /// Nothing is waited for any more.
    pub(super) fn cut(&mut self, now: Moment) -> Vec<Told> {
        let open = std::mem::take(&mut self.open).into_iter().filter(|(_, open)| !open.timed_out);
        open.map(|(slot, open)| open.end(slot, now, Outcome::Cut)).collect()
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

    /// Attempts may take 10 s; a blind watch is known 5 s later.
    fn book(slots: &[u64]) -> Book {
        let mut book = Book::new(Duration::from_secs(10), Duration::from_secs(5));
        for slot in slots {
            book.sent(*slot, s(*slot as f64));
            assert_eq!(book.answered(*slot, s(*slot as f64 + 0.1), Ok(None), Phase::Bound), None);
        }
        book
    }

    fn outcomes(told: &[Told]) -> Vec<(u64, Outcome)> {
        told.iter()
            .filter_map(|told| {
                if let Told::Ended(end) = told { Some((end.slot, end.outcome)) } else { None }
            })
            .collect()
    }

    #[test]
    fn what_comes_true_in_time_is_ok() {
        let mut book = book(&[0, 1]);
        let told = book.came_true(1, at(3.0));
        assert_eq!(outcomes(&told), [(1, Outcome::Ok)]);
        let Told::Ended(end) = told[0] else { panic!("it ended") };
        let attempt = end.attempt(s(0.99));
        assert_eq!(
            (attempt.late_us, attempt.phases.first_byte_us, attempt.phases.body_us),
            (10_000, 100_000, 1_900_000)
        );
        assert_eq!((book.len(), book.came_true(1, at(4.0))), (1, Vec::new()));
    }

    #[test]
    fn what_was_not_taken_failed_as_a_request() {
        let mut book = Book::new(Duration::from_secs(10), Duration::ZERO);
        book.sent(0, s(0.0));
        let told: Vec<Told> =
            book.answered(0, s(0.5), Err(Outcome::Refused), Phase::Bound).into_iter().collect();
        assert_eq!(outcomes(&told), [(0, Outcome::Refused)]);
        assert_eq!((book.len(), book.next_verdict()), (0, None));
    }

    #[test]
    fn what_was_taken_and_not_done_failed_in_its_phase_and_may_come_late() {
        let mut book = book(&[0, 1]);
        book.waits_for(1, s(2.0), Phase::Running);
        assert_eq!(book.next_verdict(), Some(s(15.0)));
        assert!(book.judge(s(14.9)).is_empty(), "a blind watch might not be known yet");
        assert_eq!(
            outcomes(&book.judge(s(16.0))),
            [(0, Outcome::Timeout(Phase::Bound)), (1, Outcome::Timeout(Phase::Running))]
        );
        assert!(book.judge(s(17.0)).is_empty(), "an outcome is told once");
        assert_eq!((book.next_verdict(), book.len()), (None, 2));
        assert_eq!(book.came_true(0, at(40.0)), [Told::Late { slot: 0, at: at(40.0) }]);
        assert_eq!((book.give_up_one(), book.give_up_one()), (Some(1), None));
    }

    #[test]
    fn what_is_seen_after_its_deadline_and_before_the_verdict_is_late() {
        let told = book(&[0]).came_true(0, at(12.0));
        assert_eq!(outcomes(&told), [(0, Outcome::Timeout(Phase::Bound))]);
        assert_eq!(told[1], Told::Late { slot: 0, at: at(12.0) });
    }

    #[test]
    fn a_blind_watch_makes_no_failure() {
        let mut book = book(&[0, 4]);
        book.blind(s(9.0), None);
        assert_eq!(book.next_verdict(), Some(s(10.0)), "that it can't be seen is known already");
        assert_eq!(outcomes(&book.judge(s(10.0))), [(0, Outcome::Unseen)]);
        book.blind(s(9.0), Some(s(12.0)));
        assert_eq!(
            outcomes(&book.judge(s(19.0))),
            [(4, Outcome::Timeout(Phase::Bound))],
            "it saw again by the deadline"
        );
    }

    #[test]
    fn what_came_true_in_a_gap_around_the_deadline_is_unseen() {
        let told = book(&[0]).came_true(0, Bracket { earliest: s(8.0), latest: s(11.0) });
        assert_eq!(outcomes(&told), [(0, Outcome::Unseen)]);
        let told = book(&[0]).came_true(0, Bracket { earliest: s(2.0), latest: s(9.0) });
        assert_eq!(outcomes(&told), [(0, Outcome::Ok)]);
    }

    #[test]
    fn a_change_is_done_with_the_newer_ones() {
        let mut book = Book::new(Duration::from_secs(10), Duration::from_secs(5));
        for slot in 0..3 {
            book.sent(slot, s(slot as f64));
            assert_eq!(
                book.answered(
                    slot,
                    s(slot as f64 + 0.1),
                    Ok(Some(5 + slot as i64)),
                    Phase::Observed
                ),
                None
            );
        }
        assert_eq!(outcomes(&book.up_to(6, at(3.0))), [(0, Outcome::Ok), (1, Outcome::Ok)]);
        book.sent(3, s(4.0));
        assert_eq!(outcomes(&book.up_to(8, at(4.05))), [(2, Outcome::Ok)]);
        // The watch was faster than the answer.
        let told: Vec<Told> =
            book.answered(3, s(4.1), Ok(Some(8)), Phase::Observed).into_iter().collect();
        assert_eq!(outcomes(&told), [(3, Outcome::Ok)]);
    }

    #[test]
    fn what_is_under_way_at_the_end_says_nothing() {
        let mut book = book(&[0, 9]);
        assert_eq!(outcomes(&book.judge(s(15.0))).len(), 1);
        assert_eq!(outcomes(&book.cut(s(15.0))), [(9, Outcome::Cut)]);
    }
}
