//! When attempts are due: an open loop, which asks on time whether or not earlier attempts have
//! returned.

use crate::timeline::Moment;

/// The slots of one probe: slot i is due at start + i x interval.
#[derive(Debug)]
pub(super) struct Pacer {
    start: Moment,
    interval_ns: u64,
    next: u64,
}

/// A slot whose time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub number: u64,
    pub due: Moment,
}

impl Pacer {
    /// Slot 0 is due at `start`.
    pub(super) fn new(start: Moment, interval_ns: u64) -> Self {
        Self { start, interval_ns: interval_ns.max(1), next: 0 }
    }

    pub(super) fn due(&self) -> Moment {
        Moment(self.start.0.saturating_add(self.next.saturating_mul(self.interval_ns)))
    }

    /// Takes the next slot if it is due: never early.
    pub(super) fn take(&mut self, now: Moment) -> Option<Slot> {
        let due = self.due();
        (due <= now).then(|| {
            self.next += 1;
            Slot { number: self.next - 1, due }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_in_order_on_time_and_none_is_left_out() {
        let mut pacer = Pacer::new(Moment(1000), 10);
        assert_eq!(pacer.take(Moment(999)), None);
        assert_eq!(pacer.take(Moment(1000)), Some(Slot { number: 0, due: Moment(1000) }));
        assert_eq!(pacer.take(Moment(1009)), None);
        let late: Vec<u64> =
            std::iter::from_fn(|| pacer.take(Moment(1031))).map(|slot| slot.due.0).collect();
        assert_eq!(late, [1010, 1020, 1030]);
        assert_eq!(pacer.due(), Moment(1040));
    }
}
