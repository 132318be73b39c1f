//! How long attempts took, by period, back end and phase, in one pass.

use hdrhistogram::Histogram;

use super::findings::{
    BackendLatency, Disturbance, FaultFinding, Latency, Period, Quantiles, UndisturbedLatency,
};
use super::order::InOrder;
use super::run::{Run, Stretch};
use crate::stats::Seconds;
use crate::timeline::attempts::Phases;
use crate::timeline::{Attempt, Outcome, ProbeFile, ProbeHeader};

/// The longest time that is told apart from longer ones: ten minutes, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// Counts attempts, which come by the time of their sending.
pub(super) struct LatencyBuilder {
    parts: Vec<Part>,
    current: usize,
    /// Whether a success on a connection that was there says anything.
    reusable: bool,
    /// The phases of a canary are others.
    phased: bool,
}

struct Part {
    period: Period,
    from: Option<Seconds>,
    failed: u64,
    timed_out: u64,
    /// By backend; the first one is of those that are not known.
    answered: Vec<Times>,
    /// DNS, connect, TLS, first byte.
    phases: [Times; 4],
}

/// A histogram of three digits tells apart all microseconds below this.
const SHORT_US: usize = 2048;

/// How often each time was seen. Short ones are counted by the microsecond until the end: that
/// takes a fraction of a histogram's time, and gives the same.
struct Times {
    short: Vec<u32>,
    long: Histogram<u32>,
}

impl Times {
    fn new() -> Self {
        let long = Histogram::new(3).expect("three digits are possible");
        Self { short: vec![0; SHORT_US], long }
    }

    #[inline]
    fn record(&mut self, us: u64) {
        match self.short.get_mut(us as usize) {
            Some(count) => *count = count.saturating_add(1),
            None => self.long.record(us.min(LONGEST_US)).expect("it grows"),
        }
    }

    fn all(self) -> Histogram<u32> {
        let mut all = self.long;
        for (us, count) in self.short.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            all.record_n(us as u64, count).expect("it grows");
        }
        all
    }
}

impl LatencyBuilder {
    pub(super) fn new(probe: &ProbeHeader, run: &Run<'_>) -> Self {
        let over = |fault: &FaultFinding| fault.undone.or(fault.undo_requested);
        let part = |stretch: Stretch<'_>| Part::new(stretch.period, stretch.from);
        Self {
            parts: run.stretches(over).into_iter().map(part).collect(),
            current: 0,
            reusable: probe.kind.proves_peer_when_reused(),
            phased: !probe.kind.is_canary(),
        }
    }

    /// Takes an attempt that says something.
    #[inline]
    pub(super) fn take(&mut self, attempt: &Attempt, sent: Seconds, done: Seconds) {
        while self.begins(self.current + 1).is_some_and(|from| sent >= from) {
            self.current += 1;
        }
        let next = self.current + 1;
        let in_flight = self.begins(next).is_some_and(|from| done >= from)
            && matches!(self.parts[next].period, Period::Fault { .. });
        let part = &mut self.parts[if in_flight { next } else { self.current }];
        if !attempt.outcome.is_ok() {
            part.failed += 1;
            part.timed_out += u64::from(matches!(attempt.outcome, Outcome::Timeout(_)));
        } else if self.reusable || !attempt.reused {
            part.answer(attempt, self.phased);
        }
    }

    #[inline]
    fn begins(&self, part: usize) -> Option<Seconds> {
        self.parts.get(part)?.from
    }

    /// The periods in which there were attempts; `backends` by index.
    pub(super) fn finish(self, backends: &[&str]) -> Vec<Latency> {
        let begin: Vec<_> = self.parts.iter().map(|part| part.from).collect();
        let ends = begin.into_iter().skip(1).chain([None]);
        let all =
            self.parts.into_iter().zip(ends).map(|(part, until)| part.finish(until, backends));
        all.filter(|latency| latency.judged() > 0 && latency.period != Period::Settling).collect()
    }
}

impl Part {
    fn new(period: Period, from: Option<Seconds>) -> Self {
        let phases = [(); 4].map(|()| Times::new());
        Self { period, from, failed: 0, timed_out: 0, answered: Vec::new(), phases }
    }

    #[inline]
    fn answer(&mut self, attempt: &Attempt, phased: bool) {
        let backend = attempt.backend.map_or(0, |index| index as usize + 1);
        if backend >= self.answered.len() {
            self.answered.resize_with(backend + 1, Times::new);
        }
        self.answered[backend].record(attempt.duration_us());
        if phased {
            let Phases { dns_us, connect_us, tls_us, first_byte_us, .. } = attempt.phases;
            let phases = [dns_us, connect_us, tls_us, first_byte_us];
            for (times, took) in self.phases.iter_mut().zip(phases).filter(|(_, us)| *us > 0) {
                times.record(took);
            }
        }
    }

    fn finish(self, until: Option<Seconds>, backends: &[&str]) -> Latency {
        let answered: Vec<_> = self.answered.into_iter().map(Times::all).collect();
        let mut all = Times::new().long;
        for one in &answered {
            all.add(one).expect("it grows");
        }
        let count = all.len();
        let [dns, connect, tls, first_byte] =
            self.phases.map(|phase| Some(quantiles(&phase.all())).filter(|phase| phase.count > 0));
        let named = backends.iter().zip(answered.iter().skip(1));
        let named = named.filter(|(_, answered)| !answered.is_empty());
        Latency {
            period: self.period,
            from: self.from,
            until,
            failed: self.failed,
            timed_out: self.timed_out,
            answered: quantiles(&all),
            all: Quantiles::of(count + self.failed, |rank| at(&all, rank)),
            dns,
            connect,
            tls,
            first_byte,
            backends: named
                .map(|(name, answered)| BackendLatency {
                    backend: (*name).to_owned(),
                    answered: quantiles(answered),
                })
                .collect(),
        }
    }
}

fn quantiles(histogram: &Histogram<u32>) -> Quantiles {
    Quantiles::of(histogram.len(), |rank| at(histogram, rank))
}

/// The time of a rank, from 1; `None` beyond the last one.
fn at(histogram: &Histogram<u32>, rank: u64) -> Option<Seconds> {
    let count = histogram.len();
    let micros = || histogram.value_at_quantile((rank as f64 - 0.5) / count as f64);
    (rank <= count).then(|| Seconds::from_nanos(micros() as i64 * 1000))
}

/// The same without the attempts that were under way at one of these times.
pub(super) fn undisturbed(
    file: &ProbeFile,
    run: &Run<'_>,
    disturbances: Vec<Disturbance>,
) -> UndisturbedLatency {
    let span = &file.span;
    let mut builder = LatencyBuilder::new(&span.probe, run);
    let mut attempts = InOrder::new(span, file.attempts());
    while attempts.advance() {
        let attempt = attempts.current();
        let sent = run.zero.at(span.sent(attempt));
        let done = run.zero.at(span.done(attempt));
        let says = attempt.outcome.is_ok() || attempt.outcome.is_failure();
        if says && !disturbances.iter().any(|times| times.overlaps(sent, done)) {
            builder.take(attempt, sent, done);
        }
    }
    let latency = builder.finish(attempts.reader().backends());
    UndisturbedLatency { latency, disturbances }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::analysis::testing::{Run, attempt, file, s, span};
    use crate::analysis::{Wanted, analyse, analyse_for};
    use crate::timeline::Phase;

    /// An attempt every 20 ms from -5 s to +25 s, and a fault from 0 until 15 s, whose undo is
    /// confirmed later.
    fn latency(took: impl Fn(i64) -> Attempt) -> Vec<Latency> {
        let attempts = (0..1500).map(|slot| Attempt { slot, ..took(slot as i64 * 20 - 5000) });
        let file = file(&span("web", 20, 1000), &["web-0", "web-1"], attempts.collect());
        let run = Run::new().endpoints(2, 1).kill(15_000).probe(file).ended(27_000);
        analyse(&run.build()).probes.remove(0).latency
    }

    fn answered(ms: u64) -> Attempt {
        attempt(0, Outcome::Ok, ms * 1000)
    }

    /// In milliseconds: a bucket is up to 0.1 % wide.
    fn ms(took: Option<Seconds>) -> Option<f64> {
        took.map(|took| (took.as_f64() * 1e3).round())
    }

    fn counts(latency: &[Latency]) -> Vec<(Period, u64, u64)> {
        latency.iter().map(|one| (one.period, one.answered.count, one.failed)).collect()
    }

    #[test]
    fn a_fault_lasts_until_its_undo_is_confirmed() {
        let found = latency(|_| answered(5));
        let step = 0;
        let [before, fault, after] = &found[..] else { panic!("{found:?}") };
        assert_eq!(before.period, Period::Before);
        assert_eq!((fault.period, fault.from), (Period::Fault { step }, Some(s(0.0))));
        assert_eq!((after.period, after.from), (Period::AfterUndo { step }, fault.until));
        assert!(fault.until > Some(s(15.0)), "{:?}", fault.until);
        let sum: u64 = found.iter().map(|one| one.answered.count).sum();
        assert_eq!((sum, before.answered.count), (1500, 250));
    }

    #[test]
    fn what_was_in_flight_at_the_request_belongs_to_the_fault() {
        let found = latency(|ms| answered(if ms == -500 { 600 } else { 5 }));
        assert_eq!(counts(&found)[0], (Period::Before, 249, 0));
        assert_eq!(ms(found[1].answered.max), Some(600.0));
        assert_eq!(ms(found[0].answered.max), Some(5.0));
    }

    #[test]
    fn what_failed_is_beside_the_answers_and_slower_than_them() {
        let found = latency(|ms| match ms {
            0..=999 => attempt(0, Outcome::Timeout(Phase::Connect), 1_000_000),
            1000..=1099 => attempt(0, Outcome::Refused, 100),
            _ => answered(5),
        });
        let fault = &found[1];
        assert_eq!((fault.failed, fault.timed_out), (55, 50));
        let took = [fault.answered.p99, fault.all.p90, fault.all.p99].map(ms);
        assert_eq!(took, [Some(5.0), Some(5.0), None]);
        assert_eq!(fault.all.count, fault.answered.count + 55);
    }

    #[test]
    fn each_backend_and_phase_has_its_own() {
        let found = latency(|ms| {
            let slow = ms >= 0 && ms % 40 == 0;
            let phases = Phases {
                connect_us: 1000,
                first_byte_us: if slow { 300_000 } else { 4000 },
                ..Phases::default()
            };
            Attempt { phases, backend: Some(u32::from(slow)), ..answered(0) }
        });
        assert_eq!(found[0].backends.len(), 1);
        let [quick, slow] = &found[1].backends[..] else { panic!("{:?}", found[1]) };
        assert_eq!((quick.backend.as_str(), slow.backend.as_str()), ("web-0", "web-1"));
        let took = [quick.answered.max, slow.answered.p50].map(ms);
        assert_eq!(took, [Some(5.0), Some(301.0)]);
        let phases: Vec<_> = found[1].phases().map(|(name, took)| (name, ms(took.p99))).collect();
        assert_eq!(phases, [("connect", Some(1.0)), ("first byte", Some(300.0))]);
    }

    #[test]
    fn what_a_disturbed_prober_saw_is_left_out_where_that_is_wanted() {
        let late = |slot| Attempt { slot, late_us: 2_000_000, ..answered(900) };
        let quick = |slot| Attempt { slot, ..answered(5) };
        let attempts = (0..1500).map(|slot| if slot == 500 { late(slot) } else { quick(slot) });
        let file = file(&span("web", 20, 1000), &[], attempts.collect());
        let run = Run::new().endpoints(1, 1).kill(15_000).probe(file).ended(27_000).build();
        let quiet = |undisturbed_latency| {
            let wanted = Wanted { windows: BTreeSet::new(), undisturbed_latency };
            analyse_for(&run, &wanted).probes.remove(0).undisturbed_latency
        };
        let seen = quiet(true).expect("the prober stalled").latency;
        assert_eq!(ms(seen[1].answered.max), Some(5.0));
        assert_eq!(quiet(false), None);
    }

    #[test]
    fn short_times_are_counted_as_a_histogram_counts_them() {
        let (mut times, mut histogram) = (Times::new(), Times::new().long);
        for us in (0..5000).chain((0..5000).step_by(7)).chain([LONGEST_US, u64::MAX]) {
            times.record(us);
            histogram.record(us.min(LONGEST_US)).unwrap();
        }
        let all = times.all();
        assert_eq!(all, histogram);
        assert_eq!((all.min(), all.max()), (histogram.min(), histogram.max()));
    }

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let found = latency(|ms| attempt(0, Outcome::Ok, (ms + 5000) as u64 * 2));
        let before = &found[0].answered;
        assert_eq!(before.count, 250);
        let tenths = |took: Option<Seconds>| (took.unwrap().as_f64() * 1e4).round();
        assert_eq!([before.p50, before.p99, before.max].map(tenths), [50.0, 99.0, 100.0]);
        assert_eq!(before.p999, None);
    }
}
