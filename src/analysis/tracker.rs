//! Finds the windows of errors of a probe, from its attempts in the order of sending.
//!
//! An edge of a window carries its bracket. Inside it lies the first (or last) failure; on its outer side it is bounded by what proves
//! that the back ends that were hit did answer: a success of one of them, or, where the back end isn't known, so many successes in a
//! row that all of them missing the dead ones is excluded at 5 %. With all back ends hit that is the neighbouring success; with one of
//! two hit, five; with one of ten, twenty-nine. On a reused connection only the attempts that opened one are draws.

use std::collections::VecDeque;

use super::classes::Classes;
use super::findings::{Period, When};
use super::window::{Edge, Gap, Proof, Window};
use crate::stats::{Between, Seconds, draws_to_exclude, share_at_least};
use crate::timeline::Outcome;

/// Successes that are kept where the share of dead back ends isn't known.
const UNKNOWN_DRAWS: usize = 300;
/// And never more than this.
const MOST_DRAWS: usize = 5000;

/// A part of the run, and what is known of the back ends that were hit in it.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Which part.
    pub period: Period,
    /// Where it begins.
    pub from: Seconds,
    /// The share of attempts that go to back ends that were not hit: 0 where all were. `None`: not known.
    pub miss: Option<f64>,
}

impl Segment {
    fn limit(&self) -> Proof {
        match self.period {
            Period::Settling | Period::Before => Proof::StartOfData,
            Period::Fault { .. } => Proof::FaultRequest,
            Period::AfterUndo { .. } => Proof::UndoRequest,
        }
    }
}

/// An attempt that says something, in seconds after +0.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// When it was sent.
    pub sent: Seconds,
    /// When its outcome was known.
    pub done: Seconds,
    /// Its outcome.
    pub outcome: Outcome,
    /// Whether its way to a back end was chosen anew (a connection of its own).
    pub draw: bool,
    /// Whether it shows that something answers (a kept TCP connection does not).
    pub proves: bool,
    /// The back end that answered, as it was told to [`Tracker::back_end`].
    pub backend: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Success {
    sent: Seconds,
    done: Seconds,
}

#[derive(Debug)]
struct BackEnd {
    last: Option<Success>,
    /// By segment, whether that segment's fault hit it.
    hit_in: Vec<bool>,
}

/// Follows attempts through the segments.
#[derive(Debug)]
pub struct Tracker {
    segments: Vec<Segment>,
    current: usize,
    keep: usize,
    uncertainty: Seconds,
    draws: VecDeque<Success>,
    last: Option<Success>,
    backends: Vec<BackEnd>,
    open: Option<Open>,
    windows: Vec<Window>,
    first_sent: Option<Seconds>,
    end_of_data: Seconds,
}

impl Tracker {
    /// Begins, with segments in order (the first one holds everything before the second). `uncertainty` is that of the prober's clock.
    pub fn new(segments: Vec<Segment>, uncertainty: Seconds) -> Self {
        let needed = |s: &Segment| match s.miss {
            Some(miss) => draws_to_exclude(miss).map_or(UNKNOWN_DRAWS, |k| k.min(MOST_DRAWS as u64) as usize).max(UNKNOWN_DRAWS),
            None => UNKNOWN_DRAWS,
        };
        let keep = segments.iter().map(needed).max().unwrap_or(1);
        let (draws, windows, backends) = (VecDeque::with_capacity(keep + 1), Vec::new(), Vec::new());
        let end_of_data = Seconds::from_nanos(i64::MIN);
        Self {
            segments,
            current: 0,
            keep,
            uncertainty,
            draws,
            last: None,
            backends,
            open: None,
            windows,
            first_sent: None,
            end_of_data,
        }
    }

    /// The segment that an attempt belongs to: that of its sending; a failure in flight at a fault's request belongs to the fault.
    #[inline]
    pub fn enter(&mut self, sent: Seconds, done: Seconds, failed: bool) -> usize {
        while let Some(next) = self.segments.get(self.current + 1) {
            let in_flight = failed && done >= next.from && matches!(next.period, Period::Fault { .. });
            if sent < next.from && !in_flight {
                break;
            }
            self.leave();
        }
        self.current
    }

    /// Takes one attempt. Call [`Self::enter`] with it first.
    #[inline]
    pub fn take(&mut self, seen: Observation) {
        self.first_sent = self.first_sent.or(Some(seen.sent));
        self.end_of_data = self.end_of_data.max(seen.done);
        if seen.outcome.is_ok() {
            self.success(seen);
        } else {
            self.failure(seen);
        }
    }

    #[inline]
    fn success(&mut self, seen: Observation) {
        let success = Success { sent: seen.sent, done: seen.done };
        let backend = seen.backend.and_then(|index| self.backends.get_mut(index as usize));
        if let Some(open) = &mut self.open {
            let hit = backend.as_ref().is_some_and(|b| b.hit_in[self.current]);
            open.success(success, seen, hit, self.keep);
        }
        if !seen.proves {
            return;
        }
        self.last = Some(success);
        if let Some(backend) = backend {
            backend.last = self.last;
        }
        if seen.draw {
            if self.draws.len() == self.keep {
                self.draws.pop_front();
            }
            self.draws.push_back(success);
        }
    }

    /// Names the next back end (they count from 0): whether it was hit, by segment.
    pub fn back_end(&mut self, hit_in: Vec<bool>) {
        self.backends.push(BackEnd { last: None, hit_in });
    }

    /// The last success of the back ends that were hit.
    fn last_of_hit(&self) -> Option<Success> {
        let hit = self.backends.iter().filter(|b| b.hit_in[self.current]);
        hit.filter_map(|b| b.last).max_by_key(|success| success.sent)
    }

    fn failure(&mut self, seen: Observation) {
        if matches!(self.segments[self.current].period, Period::Settling | Period::Before) {
            return;
        }
        let in_flight = seen.sent < self.segments[self.current].from;
        if self.open.is_none() {
            self.open = Some(Open::new(seen, in_flight, &self.draws, self.last, self.last_of_hit()));
        }
        if let Some(open) = &mut self.open {
            open.failure(seen, in_flight);
        }
    }

    fn leave(&mut self) {
        if let Some(open) = self.open.take() {
            let next = self.segments.get(self.current + 1);
            let limit = next.map_or((self.end_of_data, Proof::EndOfData), |next| (next.from, next.limit()));
            let start = self.first_sent.unwrap_or(open.first.sent);
            self.windows.push(open.close(&self.segments[self.current], start, limit, self.uncertainty));
        }
        self.current += 1;
    }

    /// All windows, in order.
    pub fn finish(mut self) -> Vec<Window> {
        self.leave();
        self.windows
    }
}

/// A window that has begun.
#[derive(Debug)]
struct Open {
    first: Success,
    first_in_flight: bool,
    /// The first failure that was sent after the fault's request.
    first_after_request: Option<Seconds>,
    last_sent: Seconds,
    waited_until: Seconds,
    draws_before: Vec<Success>,
    last_before: Option<Success>,
    hit_before: Option<Success>,
    draws_after: Vec<Success>,
    first_success_after: Option<Success>,
    hit_after: Option<Success>,
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
    fn new(
        first: Observation,
        first_in_flight: bool,
        draws: &VecDeque<Success>,
        last_before: Option<Success>,
        hit_before: Option<Success>,
    ) -> Self {
        Self {
            first: Success { sent: first.sent, done: first.done },
            first_in_flight,
            first_after_request: None,
            last_sent: first.sent,
            waited_until: first.done,
            draws_before: draws.iter().copied().collect(),
            last_before,
            hit_before,
            draws_after: Vec::new(),
            first_success_after: None,
            hit_after: None,
            failed: 0,
            in_flight: 0,
            seen: 0,
            seen_at_last: 0,
            successes: 0,
            gap: None,
            streak: 0,
            longest_streak: 0,
            classes: Classes::default(),
        }
    }

    #[inline]
    fn success(&mut self, success: Success, seen: Observation, hit: bool, keep: usize) {
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
        if hit {
            self.hit_after = self.hit_after.or(Some(success));
        }
    }

    #[inline]
    fn failure(&mut self, seen: Observation, in_flight: bool) {
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
        (self.first_success_after, self.hit_after) = (None, None);
    }

    /// How many draws prove an edge. Where successes lie between failures although all back ends were hit, or the share isn't known,
    /// the share that was seen failing inside the window (its lower bound) takes its place.
    fn draws_needed(&self, miss: Option<f64>) -> Option<u64> {
        let mixed = self.seen_at_last > self.failed;
        match miss {
            Some(miss) if miss > 0.0 || !mixed => draws_to_exclude(miss),
            _ => draws_to_exclude(1.0 - share_at_least(self.failed.saturating_sub(2), self.seen_at_last.saturating_sub(2))),
        }
    }

    fn close(self, segment: &Segment, start_of_data: Seconds, limit: (Seconds, Proof), uncertainty: Seconds) -> Window {
        let needed = self.draws_needed(segment.miss);
        let (end_at, end_proof) = self.end_bound(needed).unwrap_or(limit);
        let open = end_proof == limit.1;
        let (start_at, start_proof) = self.start_bound(needed, segment, start_of_data);
        let start_latest = self.start_latest();
        let start = When { earliest: start_at - uncertainty, latest: start_latest + uncertainty };
        let end = When { earliest: self.last_sent - uncertainty, latest: end_at.max(self.last_sent) + uncertainty };
        Window {
            period: segment.period,
            first_failure: self.first.sent,
            last_failure: self.last_sent,
            waited_until: self.waited_until,
            start: Edge { when: start, proof: start_proof },
            end: Edge { when: end, proof: end_proof },
            // One clock stamped both ends: its offset falls out.
            length: Between::new(self.last_sent - start_latest, end_at - start_at),
            open,
            failed: self.failed,
            attempts: self.seen_at_last,
            classes: self.classes.counts(),
            in_flight: self.in_flight,
            longest_gap: self.gap,
            longest_streak: self.longest_streak,
        }
    }

    /// By when the back end had gone: a request reaches it a little after it was sent, and no later than its neighbours were answered.
    fn start_latest(&self) -> Seconds {
        let took = |s: Option<Success>| s.map_or(Seconds::ZERO, |s| s.done - s.sent);
        let own = self.first.done - self.first.sent;
        let neighbours = took(self.last_before).max(took(self.first_success_after));
        let transit = if neighbours > Seconds::ZERO { neighbours.min(own) } else { own };
        if !self.first_in_flight {
            return self.first.sent + transit;
        }
        self.first_after_request.map_or(self.first.done, |sent| self.first.done.min(sent + transit))
    }

    fn start_bound(&self, needed: Option<u64>, segment: &Segment, start_of_data: Seconds) -> (Seconds, Proof) {
        if self.first_in_flight {
            // What was sent before the request and answered was not harmed, whichever back end it went to.
            return self.last_before.map_or((start_of_data, Proof::StartOfData), |s| (s.sent, Proof::Neighbour));
        }
        let neighbour = self.last_before.filter(|_| needed == Some(1)).map(|s| (s.sent, Proof::Neighbour));
        let draws = needed.and_then(|k| {
            let place = self.draws_before.len().checked_sub(usize::try_from(k).ok()?)?;
            Some((self.draws_before[place].sent, Proof::Draws { attempts: k }))
        });
        let hit = self.hit_before.map(|s| (s.sent, Proof::BackEnd));
        let proofs = [hit, neighbour, draws.filter(|_| needed != Some(1))];
        let best = proofs.into_iter().flatten().max_by_key(|(at, _)| *at).unwrap_or((start_of_data, Proof::StartOfData));
        // Nothing was harmed earlier.
        if best.0 < segment.from { (segment.from, segment.limit()) } else { best }
    }

    fn end_bound(&self, needed: Option<u64>) -> Option<(Seconds, Proof)> {
        let neighbour = self.first_success_after.filter(|_| needed == Some(1)).map(|s| (s.done, Proof::Neighbour));
        let draws = needed.filter(|k| *k > 1).and_then(|k| {
            let draw = self.draws_after.get(usize::try_from(k).ok()? - 1)?;
            Some((draw.done, Proof::Draws { attempts: k }))
        });
        let hit = self.hit_after.map(|s| (s.done, Proof::BackEnd));
        [hit, neighbour, draws].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
