//! A burst of errors: the failures between two long runs of successes, and what bounds them.
//!
//! Draws prove by what they would have hit. Where the back ends that were hit are known by their
//! own successes, the answers of others say nothing of them: they would have come from a dead back
//! end's neighbours as well as from a living one's. Only at the end they do, when an endpoint has
//! left: that nothing is sent to the dead any more shows in others' answers alone.
//!
//! Where no fault hit any of them, whatever fails is at least one of them: an edge is bounded by
//! the answers of all of them, or by as many draws as would have hit one.
//!
//! A client that keeps its connections draws no back ends: its neighbouring successes show that its
//! own way worked. The window of such a probe is what clients of its kind saw, and not how long a
//! back end was away.

use std::collections::VecDeque;

use super::classes::Classes;
use super::findings::{Burst, Edge, Gap, Period, Proof, When, Window};
use super::segment::{FEWEST_APART, Observation, Segment, Success, UNKNOWN_DRAWS};
use crate::stats::{Between, Seconds, draws_to_exclude, share_at_least};
use crate::timeline::Outcome;

/// Successes before a failure of which the slowest tells how long it was on its way: of 20 alike,
/// one is the slowest with 5 %.
const NEIGHBOURS: usize = 19;

/// Bursts of a window that are told apart.
pub(super) const MOST_BURSTS: usize = 1000;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Before {
    pub last: Option<Success>,
    /// The last proof that those that may fail did answer.
    pub hit: Option<Success>,
    /// The end of the burst before it, as far as it is proven.
    pub healed: Option<Seconds>,
}

#[derive(Debug, Default)]
pub(super) struct Open {
    first: Success,
    first_in_flight: bool,
    first_answered: bool,
    /// The first failure that was sent after the fault's request.
    first_after_request: Option<Seconds>,
    last_sent: Seconds,
    waited_until: Seconds,
    draws_before: Vec<Success>,
    before: Before,
    draws_after: Vec<Success>,
    first_success_after: Option<Success>,
    hit_after: Option<Success>,
    /// The back ends that have answered since, where any may be the one that fails.
    answered_after: Vec<u32>,
    failed: u64,
    in_flight: u64,
    seen: u64,
    seen_at_last: u64,
    successes: u64,
    gap: Option<Gap>,
    streak: u64,
    longest_streak: u64,
    classes: Classes,
}

impl Open {
    /// Begins with a failure, and the successes before it.
    pub(super) fn new(
        first: Observation,
        first_in_flight: bool,
        draws: &VecDeque<Success>,
        before: Before,
    ) -> Self {
        Self {
            first: Success { sent: first.sent, done: first.done },
            first_in_flight,
            first_answered: !matches!(
                first.outcome,
                Outcome::Timeout(_) | Outcome::Unreachable | Outcome::Dns
            ),
            last_sent: first.sent,
            waited_until: first.done,
            draws_before: draws.iter().copied().collect(),
            before,
            ..Self::default()
        }
    }

    /// Successes since the last failure.
    pub(super) fn successes(&self) -> u64 {
        self.successes
    }

    /// Takes a success; `hit` when a back end that was hit answered; `any_of` as of the segment. No
    /// more than `keep` draws are kept.
    #[inline]
    pub(super) fn success(
        &mut self,
        seen: Observation,
        hit: bool,
        any_of: Option<u32>,
        keep: usize,
    ) {
        let success = Success { sent: seen.sent, done: seen.done };
        self.seen += 1;
        self.successes += 1;
        self.streak = 0;
        if !seen.proves {
            return;
        }
        self.first_success_after = self.first_success_after.or(Some(success));
        if seen.draw && self.draws_after.len() < keep {
            self.draws_after.push(success);
        }
        if self.hit_after.is_none() && (hit || self.all_answered(seen.backend, any_of)) {
            self.hit_after = Some(success);
        }
    }

    /// Whether this answer is the last of as many back ends as there are.
    fn all_answered(&mut self, backend: Option<u32>, any_of: Option<u32>) -> bool {
        let (Some(backend), Some(all)) = (backend, any_of) else { return false };
        if !self.answered_after.contains(&backend) {
            self.answered_after.push(backend);
        }
        self.answered_after.len() >= all as usize
    }

    #[inline]
    pub(super) fn failure(&mut self, seen: Observation, in_flight: bool) {
        if self.successes > self.gap.map_or(0, |gap| gap.successes) {
            self.gap = Some(Gap { from: self.last_sent, to: seen.sent, successes: self.successes });
        }
        self.seen += 1;
        self.seen_at_last = self.seen;
        self.failed += 1;
        self.in_flight += u64::from(in_flight);
        self.successes = 0;
        self.streak += 1;
        self.longest_streak = self.longest_streak.max(self.streak);
        self.classes.count(seen.outcome);
        self.last_sent = seen.sent;
        self.waited_until = seen.done;
        if !in_flight {
            self.first_after_request = self.first_after_request.or(Some(seen.sent));
        }
        self.draws_after.clear();
        self.answered_after.clear();
        (self.first_success_after, self.hit_after) = (None, None);
    }

    /// How many draws prove an edge. Where successes lie between failures although all back ends
    /// were hit, or the share isn't known, the share that was seen failing inside the window (its
    /// lower bound) takes its place; where that says nothing, as many as would make a further
    /// failure another burst. No more than are kept.
    fn draws_needed(&self, miss: Option<f64>) -> u64 {
        let mixed = self.seen_at_last > self.failed;
        let inside = |count: u64| count.saturating_sub(2);
        let seen = share_at_least(inside(self.failed), inside(self.seen_at_last));
        let needed = match miss.filter(|miss| *miss > 0.0 || !mixed) {
            Some(miss) => draws_to_exclude(miss),
            None => draws_to_exclude(1.0 - seen).map(|needed| needed.min(UNKNOWN_DRAWS)),
        };
        needed.unwrap_or(FEWEST_APART)
    }

    /// Ends it, with its brackets. `limit` bounds the end where nothing else does.
    pub(super) fn close(
        self,
        segment: &Segment,
        start_of_data: Seconds,
        limit: (Seconds, Proof),
        kept: bool,
    ) -> Part {
        let needed = self.draws_needed(segment.miss);
        let (start_at, start_proof) = self.start_bound(needed, segment, start_of_data, kept);
        let (end_at, end_proof) = self.end_bound(needed, segment, kept).unwrap_or(limit);
        Part {
            first_failure: self.first.sent,
            last_failure: self.last_sent,
            waited_until: self.waited_until,
            start: (When { earliest: start_at, latest: self.start_latest() }, start_proof),
            end: (When { earliest: self.last_sent, latest: end_at.max(self.last_sent) }, end_proof),
            failed: self.failed,
            attempts: self.seen_at_last,
            successes_after: self.successes,
            classes: self.classes,
            in_flight: self.in_flight,
            gap: self.gap,
            streak: self.longest_streak,
        }
    }

    /// By when the back end had gone. A failure that was answered had reached it by then; one
    /// without an answer had done so, at 5 %, within the time of the slowest of its neighbours.
    fn start_latest(&self) -> Seconds {
        let before = self.draws_before.iter().rev().take(NEIGHBOURS);
        let neighbours = before.chain(&self.before.last).chain(&self.first_success_after);
        let slowest = neighbours.map(|s| s.done - s.sent).max().unwrap_or(Seconds::ZERO);
        let own = self.first.done - self.first.sent;
        let transit = if slowest > Seconds::ZERO { slowest.min(own) } else { own };
        if self.first_in_flight {
            return self
                .first_after_request
                .map_or(self.first.done, |sent| self.first.done.min(sent + transit));
        }
        if self.first_answered { self.first.done } else { self.first.sent + transit }
    }

    fn start_bound(
        &self,
        needed: u64,
        segment: &Segment,
        start_of_data: Seconds,
        kept: bool,
    ) -> (Seconds, Proof) {
        if self.first_in_flight {
            // What was sent before the request and answered was not affected, whichever back end it
            // went to.
            return self
                .before
                .last
                .map_or((start_of_data, Proof::StartOfData), |s| (s.sent, Proof::Neighbour));
        }
        let neighbour =
            self.before.last.filter(|_| kept || needed == 1).map(|s| (s.sent, Proof::Neighbour));
        let draws = self.draws_before.iter().nth_back(needed as usize - 1);
        let draws = draws.map(|s| (s.sent, Proof::Draws { attempts: needed }));
        let hit = self.before.hit.map(|s| (s.sent, Proof::BackEnd));
        // What was healed before cannot have begun to fail earlier.
        let healed = self.before.healed.map(|at| (at.min(self.first.sent), Proof::BurstBefore));
        let proofs = [hit, neighbour, draws.filter(|_| needed != 1 && hit.is_none()), healed];
        let best = proofs
            .into_iter()
            .flatten()
            .max_by_key(|(at, _)| *at)
            .unwrap_or((start_of_data, Proof::StartOfData));
        // No fault was in effect earlier.
        if best.0 < segment.from { (segment.from, segment.limit()) } else { best }
    }

    fn end_bound(&self, needed: u64, segment: &Segment, kept: bool) -> Option<(Seconds, Proof)> {
        let neighbour = self
            .first_success_after
            .filter(|_| kept || needed == 1)
            .map(|s| (s.done, Proof::Neighbour));
        let in_rotation =
            self.hit_after.is_some_and(|hit| segment.left.is_none_or(|left| left > hit.done));
        let draws = self.draws_after.get(needed as usize - 1);
        let draws = draws
            .filter(|_| needed > 1 && !in_rotation)
            .map(|draw| (draw.done, Proof::Draws { attempts: needed }));
        let hit = self.hit_after.map(|s| (s.done, Proof::BackEnd));
        [hit, neighbour, draws].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

/// A burst that has ended. Its brackets are of the prober's own clock.
#[derive(Debug)]
pub(super) struct Part {
    first_failure: Seconds,
    last_failure: Seconds,
    waited_until: Seconds,
    start: (When, Proof),
    end: (When, Proof),
    failed: u64,
    attempts: u64,
    successes_after: u64,
    classes: Classes,
    in_flight: u64,
    gap: Option<Gap>,
    streak: u64,
}

impl Part {
    /// When its end is proven; where only the next failure bounds it, when it can have been at
    /// the earliest.
    pub(super) fn healed(&self) -> Seconds {
        match self.end {
            (when, Proof::NextFailure) => when.earliest,
            (when, _) => when.latest,
        }
    }

    fn burst(&self, uncertainty: Seconds) -> Burst {
        let edge = |(when, proof): (When, Proof)| {
            let when =
                When { earliest: when.earliest - uncertainty, latest: when.latest + uncertainty };
            Edge { when, proof }
        };
        Burst {
            first_failure: self.first_failure,
            last_failure: self.last_failure,
            waited_until: self.waited_until,
            start: edge(self.start),
            end: edge(self.end),
            // One clock stamped both ends: its offset falls out.
            length: Between::new(
                self.last_failure - self.start.0.latest,
                self.end.0.latest - self.start.0.earliest,
            ),
            failed: self.failed,
            attempts: self.attempts,
            longest_gap: self.gap,
        }
    }
}

/// A period's bursts as one window; `None` without any. `limit` is what bounds the last one where
/// nothing else does.
pub(super) fn merge(
    period: Period,
    parts: Vec<Part>,
    limit: Proof,
    uncertainty: Seconds,
) -> Option<Window> {
    let (first, last) = (parts.first()?, parts.last()?);
    let mut classes = Classes::default();
    parts.iter().for_each(|part| classes.add(&part.classes));
    let between: u64 = parts[..parts.len() - 1].iter().map(|part| part.successes_after).sum();
    let apart = parts.windows(2).map(|two| Gap {
        from: two[0].last_failure,
        to: two[1].first_failure,
        successes: two[0].successes_after,
    });
    let bursts: Vec<Burst> = parts.iter().map(|part| part.burst(uncertainty)).collect();
    // One clock stamped both ends: its offset falls out.
    let length = Between::new(
        last.last_failure - first.start.0.latest,
        last.end.0.latest - first.start.0.earliest,
    );
    Some(Window {
        period,
        first_failure: first.first_failure,
        last_failure: last.last_failure,
        waited_until: last.waited_until,
        start: bursts[0].start,
        end: bursts[bursts.len() - 1].end,
        length,
        failing: failing(&bursts, length),
        open: last.end.1 == limit,
        failed: parts.iter().map(|part| part.failed).sum(),
        attempts: between + parts.iter().map(|part| part.attempts).sum::<u64>(),
        classes: classes.counts(),
        in_flight: parts.iter().map(|part| part.in_flight).sum(),
        longest_gap: parts
            .iter()
            .filter_map(|part| part.gap)
            .chain(apart)
            .max_by_key(|gap| gap.successes),
        longest_streak: parts.iter().map(|part| part.streak).max().unwrap_or(0),
        bursts,
        causes: Vec::new(),
    })
}

/// The bursts alone, added up: the sum of their brackets. Two of them may share the time between
/// two failures, so that no more than the whole window is left.
fn failing(bursts: &[Burst], window: Between) -> Option<Between> {
    let sum = |end: fn(&Burst) -> Seconds, bursts: &[Burst]| {
        bursts.iter().map(end).fold(Seconds::ZERO, |sum, length| sum + length)
    };
    // The last of too many is not told apart from those after it: nothing failed in between.
    let apart = &bursts[..bursts.len().min(MOST_BURSTS)];
    let least = sum(|burst| burst.length.least, apart);
    let most = sum(|burst| burst.length.most, bursts).min(window.most);
    (bursts.len() > 1).then(|| Between::new(least, most))
}
