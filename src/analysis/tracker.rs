//! Finds the windows of errors of a probe, from its attempts in the order of sending.
//!
//! An edge of a window carries its bracket. Inside it lies the first (or last) failure; on its
//! outer side it is bounded by what proves that the back ends that were hit did answer: a success
//! of one of them, or, where that isn't known, so many successes in a row that all of them missing
//! the dead ones is excluded at 5 %. With all back ends hit that is the neighbouring success; with
//! one of two hit, five; with one of ten, twenty-nine. Only attempts that opened a connection are
//! draws.

use std::collections::VecDeque;

use super::burst::{Before, MOST_BURSTS, Open, Part, merge};
use super::findings::{Period, Proof, Window};
use super::segment::{Observation, Segment, Success, UNKNOWN_DRAWS};
use crate::stats::{Seconds, draws_to_exclude};

/// Never more successes than this are kept.
const MOST_DRAWS: u64 = 5000;

#[derive(Debug)]
struct BackEnd {
    last: Option<Success>,
    /// By segment, whether that segment's fault hit it.
    hit_in: Vec<bool>,
}

/// Field by field: a processor waits for a whole that it has just written in parts.
#[inline(always)]
fn note(last: &mut Option<Success>, success: Success) {
    let last = last.get_or_insert(success);
    (last.sent, last.done) = (success.sent, success.done);
}

/// Follows attempts through the segments.
#[derive(Debug)]
pub(super) struct Tracker {
    segments: Vec<Segment>,
    current: usize,
    keep: usize,
    uncertainty: Seconds,
    kept: bool,
    proven_until: Seconds,
    draws: VecDeque<Success>,
    last: Option<Success>,
    backends: Vec<BackEnd>,
    open: Option<Open>,
    parts: Vec<Part>,
    windows: Vec<Window>,
    first_sent: Option<Seconds>,
    end_of_data: Seconds,
}

impl Tracker {
    /// Begins, with segments in order (the first one holds everything before the second).
    /// `uncertainty` is that of the prober's clock; `kept` says that the probe keeps its
    /// connections; what was sent after `proven_until` ends no burst.
    pub(super) fn new(
        segments: Vec<Segment>,
        uncertainty: Seconds,
        kept: bool,
        proven_until: Seconds,
    ) -> Self {
        let needed = segments.iter().filter_map(|segment| draws_to_exclude(segment.miss?)).max();
        let keep = needed.unwrap_or(0).clamp(UNKNOWN_DRAWS, MOST_DRAWS) as usize;
        let (draws, windows, backends) =
            (VecDeque::with_capacity(keep + 1), Vec::new(), Vec::new());
        let end_of_data = Seconds::from_nanos(i64::MIN);
        Self {
            segments,
            current: 0,
            keep,
            uncertainty,
            kept,
            proven_until,
            parts: Vec::new(),
            draws,
            last: None,
            backends,
            open: None,
            windows,
            first_sent: None,
            end_of_data,
        }
    }

    /// The segment that an attempt belongs to: that of its sending; a failure in flight at a
    /// fault's request belongs to the fault.
    #[inline]
    pub(super) fn enter(&mut self, sent: Seconds, done: Seconds, failed: bool) -> usize {
        while let Some(next) = self.segments.get(self.current + 1) {
            let in_flight =
                failed && done >= next.from && matches!(next.period, Period::Fault { .. });
            if sent < next.from && !in_flight {
                break;
            }
            self.leave();
        }
        self.current
    }

    /// Takes one attempt. Call [`Self::enter`] with it first.
    #[inline]
    pub(super) fn take(&mut self, seen: Observation) {
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
            let proves = seen.proves && seen.sent <= self.proven_until;
            let seen = Observation { proves, ..seen };
            open.success(seen, hit, self.segments[self.current].any_of, self.keep);
        }
        if !seen.proves {
            return;
        }
        note(&mut self.last, success);
        if let Some(backend) = backend {
            note(&mut backend.last, success);
        }
        if seen.draw {
            if self.draws.len() == self.keep {
                self.draws.pop_front();
            }
            self.draws.push_back(success);
        }
    }

    /// Names the next back end (they count from 0): whether it was hit, by segment.
    pub(super) fn back_end(&mut self, hit_in: Vec<bool>) {
        self.backends.push(BackEnd { last: None, hit_in });
    }

    /// The last success of the back ends that were hit; where that isn't known, the last moment
    /// from which on as many answered as there are.
    fn last_of_hit(&self) -> Option<Success> {
        let all = self.segments[self.current].any_of;
        let may_fail = self.backends.iter().filter(|b| all.is_some() || b.hit_in[self.current]);
        let mut last: Vec<Success> = may_fail.filter_map(|b| b.last).collect();
        last.sort_unstable_by_key(|success| success.sent);
        last.iter().nth_back(all.unwrap_or(1) as usize - 1).copied()
    }

    fn failure(&mut self, seen: Observation) {
        if matches!(self.segments[self.current].period, Period::Settling | Period::Before) {
            return;
        }
        let segment = &self.segments[self.current];
        let in_flight = seen.sent < segment.from;
        let again = self.open.as_ref().is_some_and(|open| segment.apart(open.successes()))
            && self.parts.len() < MOST_BURSTS;
        if again {
            self.close(Proof::NextFailure, seen.sent);
        }
        if self.open.is_none() {
            let before = Before {
                last: self.last,
                hit: self.last_of_hit(),
                healed: self.parts.last().map(Part::healed),
            };
            self.open = Some(Open::new(seen, in_flight, &self.draws, before));
        }
        if let Some(open) = &mut self.open {
            open.failure(seen, in_flight);
        }
    }

    /// Ends the burst that is open; `limit` bounds it where nothing else does.
    fn close(&mut self, limit: Proof, at: Seconds) {
        if let Some(open) = self.open.take() {
            let start = self.first_sent.unwrap_or(at);
            self.parts.push(open.close(
                &self.segments[self.current],
                start,
                (at, limit),
                self.kept,
            ));
        }
    }

    fn leave(&mut self) {
        let next = self.segments.get(self.current + 1);
        let (at, limit) =
            next.map_or((self.end_of_data, Proof::EndOfData), |next| (next.from, next.limit()));
        self.close(limit, at);
        let period = self.segments[self.current].period;
        self.windows.extend(merge(
            period,
            std::mem::take(&mut self.parts),
            limit,
            self.uncertainty,
        ));
        self.current += 1;
    }

    pub(super) fn finish(mut self) -> Vec<Window> {
        self.leave();
        self.windows
    }
}
