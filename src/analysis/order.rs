//! Attempts in the order of their slots. They are stored in the order in which they ended, so those
//! that failed late come late.

use std::collections::VecDeque;

use crate::timeline::{Attempt, AttemptReader, ProbeSpan};

/// More slots than this are never waited for.
const MOST_WAITING: u64 = 1 << 16;
/// Slots that may be overtaken beyond those of a timeout.
const SLACK: u64 = 256;

/// Yields attempts by slot, in one pass, keeping and copying only those that have to wait for an
/// earlier one. A slot that never comes is given up when more successors wait than two timeouts
/// have slots.
#[derive(Debug)]
pub struct InOrder<'a> {
    reader: AttemptReader<'a>,
    current: Attempt,
    next: u64,
    waiting: VecDeque<Option<Attempt>>,
    leaper: Option<Attempt>,
    limit: u64,
    ended: bool,
}

impl<'a> InOrder<'a> {
    /// Attempts of a probe, by slot.
    pub fn new(span: &ProbeSpan, reader: AttemptReader<'a>) -> Self {
        let limit = (span.timeout_ns / span.interval_ns.max(1))
            .saturating_mul(2)
            .saturating_add(SLACK)
            .min(MOST_WAITING);
        Self {
            reader,
            current: Attempt::default(),
            next: 0,
            waiting: VecDeque::new(),
            leaper: None,
            limit,
            ended: false,
        }
    }

    /// The reader below: its back ends, and whether its file was cut.
    pub fn reader(&self) -> &AttemptReader<'a> {
        &self.reader
    }

    /// Whether the first that waits need not wait any longer.
    #[inline]
    fn release(&self) -> bool {
        match self.waiting.front() {
            None => false,
            Some(first) => {
                first.is_some()
                    || self.ended
                    || self.leaper.is_some()
                    || self.waiting.len() as u64 > self.limit
            }
        }
    }

    /// The first that waits; slots before it are given up. At the end of the file a slot that is
    /// missing was in flight when the prober died: what was sent after it and answered first is
    /// left out, for a failure would not have come in yet.
    fn first_waiting(&mut self) -> bool {
        while let Some(first) = self.waiting.pop_front() {
            self.next += 1;
            if let Some(first) = first {
                self.current = first;
                return true;
            }
            if self.ended {
                self.waiting.clear();
            }
        }
        false
    }

    fn keep(&mut self) {
        let place = (self.current.slot - self.next) as usize;
        if place >= self.waiting.len() {
            self.waiting.resize_with(place + 1, || None);
        }
        self.waiting[place] = Some(self.current.clone());
    }

    /// The attempt to which [`Self::advance`] has come.
    #[inline]
    pub fn current(&self) -> &Attempt {
        &self.current
    }

    /// Goes to the next attempt; false when there is none.
    #[inline]
    pub fn advance(&mut self) -> bool {
        loop {
            if self.release() && self.first_waiting() {
                return true;
            }
            if let Some(attempt) = self.leaper.take() {
                self.next = attempt.slot.saturating_add(1);
                self.current = attempt;
                return true;
            }
            if self.ended {
                return false;
            }
            if !self.reader.read(&mut self.current) {
                self.ended = true;
                continue;
            }
            match self.current.slot {
                // One that was given up, or is there twice: better late than never.
                slot if slot < self.next => return true,
                slot if slot == self.next && self.waiting.is_empty() => {
                    self.next = self.next.saturating_add(1);
                    return true;
                }
                // Nothing that waits has anything to wait for behind such a leap.
                slot if slot - self.next > 2 * self.limit => {
                    self.leaper = Some(self.current.clone())
                }
                _ => self.keep(),
            }
        }
    }
}

impl Iterator for InOrder<'_> {
    type Item = Attempt;

    fn next(&mut self) -> Option<Attempt> {
        self.advance().then(|| self.current.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing;
    use crate::timeline::Outcome;
    use crate::timeline::attempts::AttemptEncoder;

    fn ordered(slots: &[u64]) -> Vec<u64> {
        let (mut encoder, mut bytes) = (AttemptEncoder::default(), Vec::new());
        for &slot in slots {
            encoder.attempt(&testing::attempt(slot, Outcome::Ok, 100), &mut bytes);
        }
        let span = testing::span("web", 10, 200);
        InOrder::new(&span, AttemptReader::records(&bytes)).map(|a| a.slot).collect()
    }

    #[test]
    fn late_ones_are_put_in_their_place() {
        assert_eq!(ordered(&[0, 1, 4, 2, 5, 6, 3, 7]), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(ordered(&[2, 1, 0]), [0, 1, 2]);
    }

    #[test]
    fn a_missing_slot_does_not_stop_the_rest() {
        let slots: Vec<u64> = (0..3000).filter(|s| s % 1000 != 500).collect();
        assert_eq!(ordered(&slots), slots);
    }

    #[test]
    fn what_overtook_one_that_never_ended_is_left_out() {
        // Slot 1 was in flight when the prober died: that 2 and 3 were answered does not show that
        // errors had ended.
        assert_eq!(ordered(&[0, 2, 3]), [0]);
        assert_eq!(ordered(&[0, 1, 2, 3]), [0, 1, 2, 3]);
    }

    #[test]
    fn a_leap_loses_nothing_and_takes_no_memory() {
        assert_eq!(ordered(&[0, 2, 1 << 50, (1 << 50) + 1, 1]), [0, 2, 1 << 50, (1 << 50) + 1, 1]);
        assert_eq!(ordered(&[u64::MAX - 1, u64::MAX]), [u64::MAX - 1, u64::MAX]);
    }
}
