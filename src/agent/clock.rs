//! Another machine's clock, measured by asking it.

use std::time::Duration;

use crate::timeline::clock::boot_id;
use crate::timeline::{Event, Moment, ProbeSpan, Record};

/// Exchanges of which the best measures a clock.
pub(crate) const EXCHANGES: usize = 8;
/// A bound that has grown by less is not worth a record.
const SMALL_NS: u64 = 100_000;

/// An agent's clock, as it was measured when the agent began, with a bound that grows where later
/// measurements differ.
#[derive(Debug)]
pub(crate) struct Clock {
    offset: Offset,
    /// The bound at the beginning, which is in the probes' files.
    first_ns: u64,
    same_boot: bool,
    exchanges: Vec<Offset>,
}

impl Clock {
    /// Of an agent on a machine with this boot id.
    pub(crate) fn new(boot: &str, exchanges: &[Offset]) -> Self {
        let same_boot = !boot.is_empty() && boot == boot_id();
        let offset = settle(same_boot, exchanges);
        Self { offset, first_ns: offset.uncertainty_ns, same_boot, exchanges: Vec::new() }
    }

    /// Takes another exchange; some of them make a measurement.
    pub(crate) fn exchanged(&mut self, exchange: Offset) {
        self.exchanges.push(exchange);
        if self.exchanges.len() >= EXCHANGES {
            self.measure();
        }
    }

    /// All moments are converted with the first offset: in between it was nowhere farther off than
    /// now. A measurement that is less exact and agrees says nothing new.
    fn measure(&mut self) {
        let exchanges = std::mem::take(&mut self.exchanges);
        let known = &mut self.offset;
        let seen = if exchanges.is_empty() { *known } else { settle(self.same_boot, &exchanges) };
        if seen.uncertainty_ns > known.uncertainty_ns && seen.allows(*known) {
            return;
        }
        let off = seen.ahead_ns.abs_diff(known.ahead_ns) + u128::from(seen.uncertainty_ns);
        known.uncertainty_ns = known.uncertainty_ns.max(u64::try_from(off).unwrap_or(u64::MAX));
    }

    /// How far its moments may be off, if that is more than at the beginning.
    pub(crate) fn widened(&mut self) -> Option<u64> {
        self.measure();
        let now = self.offset.uncertainty_ns;
        (now > self.first_ns.saturating_add(SMALL_NS)).then_some(now)
    }

    pub(crate) fn offset(&self) -> Offset {
        self.offset
    }
}

/// How far an agent's clock is ahead of the runner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// Agent minus runner, in nanoseconds.
    pub ahead_ns: i128,
    /// How far off that may be, either way.
    pub uncertainty_ns: u64,
}

impl Offset {
    pub(crate) const SAME: Self = Self { ahead_ns: 0, uncertainty_ns: 0 };

    /// What one exchange tells: the agent read its clock at some moment between the ping and the
    /// pong.
    pub(crate) fn of_exchange(ping: Moment, agent: Moment, pong: Moment) -> Self {
        let half = pong.0.saturating_sub(ping.0).div_ceil(2);
        Self {
            ahead_ns: i128::from(agent.0) - i128::from(ping.0) - i128::from(half),
            uncertainty_ns: half,
        }
    }

    /// Whether the true offset may be `other`'s.
    pub(crate) fn allows(self, other: Offset) -> bool {
        self.ahead_ns.abs_diff(other.ahead_ns)
            <= u128::from(self.uncertainty_ns) + u128::from(other.uncertainty_ns)
    }

    /// A moment of the agent on the runner's clock.
    pub(crate) fn to_runner(self, agent: Moment) -> Moment {
        Moment((i128::from(agent.0) - self.ahead_ns).clamp(0, i128::from(u64::MAX)) as u64)
    }

    pub(crate) fn convert(self, span: ProbeSpan) -> ProbeSpan {
        ProbeSpan {
            start: self.to_runner(span.start),
            clock_uncertainty_ns: self.uncertainty_ns,
            ..span
        }
    }

    /// A record with its moments on the runner's clock; its bracket is wider by as much as that may
    /// be off.
    pub(crate) fn convert_record(self, mut record: Record) -> Record {
        let off = Duration::from_nanos(self.uncertainty_ns);
        if let Event::ObserverGap { until, .. } = &mut record.event {
            *until = until.map(|until| self.to_runner(until).plus(off));
        }
        let at = self.to_runner(record.at).plus(off);
        Record {
            at,
            since: record.since.map(|since| self.to_runner(since).minus(off)),
            event: record.event,
        }
    }
}

/// This machine's wall clock, in nanoseconds since 1970.
pub(super) fn wall_ns() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or_default()
}

/// The offset that several exchanges tell. Where the boot ids agree and no exchange speaks against
/// it, both clocks are one.
pub(crate) fn settle(same_boot: bool, exchanges: &[Offset]) -> Offset {
    if same_boot && exchanges.iter().all(|exchange| exchange.allows(Offset::SAME)) {
        return Offset::SAME;
    }
    exchanges.iter().copied().min_by_key(|exchange| exchange.uncertainty_ns).unwrap_or(Offset::SAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_truth_lies_within_the_bound(ahead in -1_000_000_000i64..1_000_000_000, there in 0u64..5_000_000, back in 0u64..5_000_000) {
            let ping = 10_000_000_000u64;
            let agent = (ping + there).checked_add_signed(ahead).unwrap();
            let offset = Offset::of_exchange(Moment(ping), Moment(agent), Moment(ping + there + back));
            prop_assert!(offset.ahead_ns.abs_diff(ahead.into()) <= u128::from(offset.uncertainty_ns));
            let truth = Moment(ping + there);
            let converted = offset.to_runner(Moment(agent));
            prop_assert!(converted.0.abs_diff(truth.0) <= offset.uncertainty_ns);
        }
    }

    #[test]
    fn a_records_bracket_grows_by_the_uncertainty() {
        let offset = Offset { ahead_ns: 1000, uncertainty_ns: 30 };
        let event = Event::ObserverGap {
            node: "cp".into(),
            until: Some(Moment(5000)),
            reason: String::new(),
        };
        let record =
            offset.convert_record(Record { at: Moment(5000), since: Some(Moment(3000)), event });
        assert_eq!((record.at, record.since), (Moment(4030), Some(Moment(1970))));
        assert!(matches!(record.event, Event::ObserverGap { until: Some(Moment(4030)), .. }));
    }

    #[test]
    fn a_clock_that_drifts_is_less_certain() {
        let offset = |ahead_ns, uncertainty_ns| Offset { ahead_ns, uncertainty_ns };
        let mut clock = Clock::new("another machine's", &[offset(5_000_000, 300_000)]);
        // A slow exchange that agrees says nothing.
        clock.exchanged(offset(5_200_000, 50_000_000));
        assert_eq!(clock.widened(), None);
        // Of several the best counts; what it shows is not forgotten.
        clock.exchanged(offset(30_000_000, 90_000_000));
        clock.exchanged(offset(7_000_000, 200_000));
        assert_eq!(clock.widened(), Some(2_200_000));
        clock.exchanged(offset(5_000_000, 300_000));
        assert_eq!(clock.widened(), Some(2_200_000));
        assert_eq!(clock.offset(), offset(5_000_000, 2_200_000));
        // One boot is one clock.
        let mut own = Clock::new(&boot_id(), &[offset(10, 20)]);
        own.exchanged(offset(400, 500));
        assert_eq!((own.widened(), own.offset()), (None, Offset::SAME));
    }

    #[test]
    fn one_boot_is_one_clock_unless_an_exchange_denies_it() {
        let near = Offset { ahead_ns: 300, uncertainty_ns: 500 };
        let far = Offset { ahead_ns: 10_000, uncertainty_ns: 400 };
        assert_eq!(settle(true, &[near]), Offset::SAME);
        assert_eq!(settle(false, &[near]), near);
        assert_eq!(settle(true, &[near, far]), far);
    }
}
