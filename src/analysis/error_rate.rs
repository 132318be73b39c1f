//! The highest error rate over any window of one length: a ring of the last attempts' results.
//!
//! A window is so many attempts in a row, by when they were due: no resolution is lost, and an
//! attempt that was never made is one whose result is missing.

use super::findings::ErrorRate;
use crate::stats::Seconds;
use crate::timeline::ProbeSpan;

/// No window has more attempts: more than an hour of the highest rate.
const MOST_SLOTS: u64 = 1 << 22;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Missing,
    Succeeded,
    Failed,
}

/// What a window has, up to its last slot.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    failed: u64,
    judged: u64,
}

impl Count {
    /// Who adds it up, and who takes it away again.
    fn of(&mut self, slot: Slot, change: fn(u64, u64) -> u64) {
        self.failed = change(self.failed, u64::from(slot == Slot::Failed));
        self.judged = change(self.judged, u64::from(slot != Slot::Missing));
    }
}

/// Follows a probe's attempts from the first fault on.
#[derive(Debug)]
pub(super) struct RollingRate {
    window: Seconds,
    slots: u64,
    ring: Vec<Slot>,
    first: u64,
    /// The slot after the last.
    next: u64,
    now: Count,
    /// The window with the most failures, and the slot after its last.
    worst: Option<(Count, u64)>,
    most_failed: u64,
}

impl RollingRate {
    pub(super) fn new(window: Seconds, span: &ProbeSpan) -> Self {
        let interval = span.interval_ns.max(1);
        let slots = u64::try_from(window.as_nanos()).unwrap_or(0).div_ceil(interval);
        Self {
            window,
            slots: slots.clamp(1, MOST_SLOTS),
            ring: Vec::new(),
            first: 0,
            next: 0,
            now: Count::default(),
            worst: None,
            most_failed: 0,
        }
    }

    /// Takes an attempt that says something; they come by slot.
    #[inline]
    pub(super) fn take(&mut self, slot: u64, failed: bool) {
        let result = if failed { Slot::Failed } else { Slot::Succeeded };
        if self.ring.is_empty() {
            self.ring = vec![Slot::Missing; self.slots as usize];
            (self.first, self.next) = (slot, slot);
        }
        if slot < self.next {
            return self.late(slot, result);
        }
        // In a longer gap all windows are alike: they have nothing.
        for _ in 0..(slot - self.next).min(self.slots) {
            self.advance(Slot::Missing);
        }
        self.next = slot;
        self.advance(result);
    }

    /// One that was waited for no longer counts where its slot is still in the window.
    fn late(&mut self, slot: u64, result: Slot) {
        let place = (slot % self.slots) as usize;
        let inside = slot >= self.first && self.next - slot <= self.slots;
        if inside && self.ring[place] == Slot::Missing {
            self.ring[place] = result;
            self.now.of(result, |sum, one| sum + one);
            self.note();
        }
    }

    #[inline]
    fn advance(&mut self, result: Slot) {
        let left = std::mem::replace(&mut self.ring[(self.next % self.slots) as usize], result);
        self.now.of(left, |sum, one| sum - one);
        self.now.of(result, |sum, one| sum + one);
        self.next = self.next.saturating_add(1);
        self.note();
    }

    #[inline]
    fn note(&mut self) {
        if self.next - self.first < self.slots {
            return;
        }
        self.most_failed = self.most_failed.max(self.slots - self.now.judged + self.now.failed);
        if self.worst.is_none_or(|(worst, _)| self.now.failed > worst.failed) {
            self.worst = Some((self.now, self.next));
        }
    }

    /// The worst window; where there was not time for a whole one, what there was. `None` without
    /// an attempt.
    pub(super) fn finish(&self, start: Seconds, interval: Seconds) -> Option<ErrorRate> {
        if self.ring.is_empty() {
            return None;
        }
        let slots = self.slots.min(self.next - self.first);
        let all = (self.now, self.next);
        let (Count { failed, judged }, end) = self.worst.unwrap_or(all);
        let due = |slot: u64| {
            let nanos = i128::from(slot) * i128::from(interval.as_nanos());
            start + Seconds::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
        };
        Some(ErrorRate {
            window: self.window,
            from: due(end - slots),
            until: due(end),
            failed,
            judged,
            attempts: slots,
            most_failed: if self.worst.is_some() {
                self.most_failed
            } else {
                slots - judged + failed
            },
            whole: self.worst.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::span;
    use proptest::prelude::*;

    const INTERVAL_MS: u64 = 20;

    fn rate(slots: u64, attempts: &[(u64, bool)]) -> Option<ErrorRate> {
        let span = span("web", INTERVAL_MS, 200);
        let window = Seconds::from_nanos((slots * INTERVAL_MS * 1_000_000) as i64);
        let mut rate = RollingRate::new(window, &span);
        attempts.iter().for_each(|(slot, failed)| rate.take(*slot, *failed));
        rate.finish(Seconds::ZERO, Seconds::from_nanos(INTERVAL_MS as i64 * 1_000_000))
    }

    /// The same without a ring: each window is counted for itself.
    fn naive(slots: u64, attempts: &[(u64, bool)]) -> Option<(u64, u64)> {
        let (first, last) = (attempts.first()?.0, attempts.last()?.0);
        let ends = (first + slots - 1).min(last)..=last;
        let counts = ends.map(|end| {
            let from = (end + 1).saturating_sub(slots).max(first);
            let inside = || attempts.iter().filter(|(slot, _)| (from..=end).contains(slot));
            let failed = inside().filter(|(_, failed)| *failed).count() as u64;
            (failed, end + 1 - from - inside().count() as u64 + failed)
        });
        counts.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
    }

    proptest! {
        #[test]
        fn the_ring_finds_what_counting_each_window_finds(
            slots in 1u64..40,
            steps in proptest::collection::vec((prop_oneof![9 => Just(1u64), 1 => 2u64..60], any::<bool>()), 0..200),
        ) {
            let mut slot = 100;
            let attempts: Vec<(u64, bool)> =
                steps.into_iter().map(|(step, failed)| { slot += step; (slot, failed) }).collect();
            let found = rate(slots, &attempts);
            prop_assert_eq!(
                found.as_ref().map(|rate| (rate.failed, rate.most_failed)),
                naive(slots, &attempts)
            );
            if let Some(found) = found {
                let due = |slot: u64| Seconds::from_nanos((slot * INTERVAL_MS * 1_000_000) as i64);
                let inside = || attempts.iter().filter(|(slot, _)| {
                    due(*slot) >= found.from && due(*slot) < found.until
                });
                prop_assert_eq!(inside().count() as u64, found.judged);
                prop_assert_eq!(inside().filter(|(_, failed)| *failed).count() as u64, found.failed);
            }
        }
    }

    #[test]
    fn a_window_is_told_by_its_attempts() {
        let attempts: Vec<_> = (0..100).map(|slot| (slot, (40..45).contains(&slot))).collect();
        let found = rate(10, &attempts).unwrap();
        assert_eq!((found.failed, found.judged, found.most_failed), (5, 10, 5));
        assert_eq!(
            (found.from, found.until),
            (Seconds::from_f64(0.7), Seconds::from_f64(0.9)),
            "the first of the windows that have all five"
        );
        let short = rate(200, &attempts).unwrap();
        assert!(!short.whole && short.attempts == 100 && short.failed == 5, "{short:?}");
        assert_eq!(rate(10, &[]), None);
    }

    #[test]
    fn late_attempts_and_leaps_lose_nothing_and_take_no_memory() {
        let found = rate(4, &[(0, false), (2, true), (3, false), (1, true), (4, false)]).unwrap();
        assert_eq!((found.failed, found.judged), (2, 4));
        let far = rate(4, &[(0, true), (u64::MAX - 2, true), (u64::MAX - 1, true)]).unwrap();
        assert_eq!((far.failed, far.most_failed), (2, 4));
    }
}
