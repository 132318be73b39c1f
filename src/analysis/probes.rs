//! A probe's attempts, in one pass: counts, windows, lateness, and the columns of its sparkline.

use std::collections::{BTreeSet, HashSet};

use hdrhistogram::Histogram;

use super::classes::Classes;
use super::disturbance;
use super::error_rate::RollingRate;
use super::findings::{
    Disturbance, EndpointFinding, FaultFinding, KeptConnections, KeptEnd, Lateness, PathFinding,
    Period, PeriodTally, ProbeFinding, ServiceFinding, Tally, Unreadable, When,
};
use super::in_effect::{AttemptResult, StepTracker};
use super::kept::{self, Idle};
use super::late::late;
use super::latency::{self, LatencyBuilder};
use super::order::InOrder;
use super::run::{Run, Stretch};
use super::segment::{Observation, Segment};
use super::series::SeriesBuilder;
use super::tracker::Tracker;
use crate::stats::{Seconds, draws_to_exclude};
use crate::timeline::{Attempt, Event, Moment, Outcome, ProbeFile, ProbeSpan};

/// The largest lateness and duration that are told apart from larger ones: ten minutes, in
/// microseconds.
const MOST_LATE_US: u64 = 600_000_000;

/// A timeout is noticed late when this share of the timeout has passed since: the answer may have
/// been there in time.
const NOTICED: u64 = 10;
/// Less than this is ordinary scheduling delay, however short the timeout is.
const LEAST_SLACK_NS: u64 = 20_000_000;
/// A control probe that took less than this was not slow.
const LEAST_SLOW_NS: u64 = 50_000_000;

fn is_noticed_late(timeout: u64, took: u64) -> bool {
    took > timeout.saturating_add((timeout / NOTICED).max(LEAST_SLACK_NS))
}

/// Whether a control probe, which nothing but its own host can slow down, was slow.
fn is_slow_control(timeout: u64, took: u64) -> bool {
    took > (timeout / 2).max(LEAST_SLOW_NS)
}

pub(super) fn probes(files: &[ProbeFile], run: &Run<'_>) -> Vec<ProbeFinding> {
    let mut found: Vec<_> = files.iter().map(|file| probe(file, run, &[])).collect();
    let disturbed: Vec<_> =
        found.iter().map(|probe| disturbance::of_prober(probe, &found, run)).collect();
    for ((probe, mut times), file) in found.iter_mut().zip(disturbed).zip(files) {
        if run.wanted.undisturbed_latency && !times.is_empty() {
            probe.undisturbed_latency = Some(latency::undisturbed(file, run, times.clone()));
        }
        times.retain(|times| disturbance::met_failures(times, probe));
        if !times.is_empty() {
            probe.undisturbed = Some(Box::new(self::probe(file, run, &times)));
        }
        probe.disturbances = times;
    }
    found
}

/// What a probe's clients noticed, but for the failures of these times.
fn probe(file: &ProbeFile, run: &Run<'_>, disturbed: &[Disturbance]) -> ProbeFinding {
    let mut pass = Pass::new(&file.span, run, disturbed, proven_until(file, run));
    let faults = run.faults;
    let mut attempts = InOrder::new(&file.span, file.attempts());
    while attempts.advance() {
        let named = attempts.reader().backends();
        if named.len() > pass.named {
            pass.name_backends(named, faults);
        }
        pass.take(attempts.current());
    }
    let late = late(run.records, &file.span, run.zero, &pass.segments, &pass.pending);
    let found = pass.finish(faults, attempts.reader().backends());
    let mut unreadable = run.lost.attempts(&found.name);
    if attempts.reader().truncated() && unreadable.is_empty() {
        unreadable.push(Unreadable { from: found.asked.map(|asked| asked.latest), until: None });
    }
    ProbeFinding { late, unreadable, ..found }
}

/// Up to which sending successes prove a recovery. Where the attempts broke off, only the answered
/// ones are recorded of those that were in flight: they prove nothing unless none is missing.
fn proven_until(file: &ProbeFile, run: &Run<'_>) -> Seconds {
    let span = &file.span;
    let has_failed = |event: &Event| matches!(event, Event::ProbeStopped { probe, error: Some(_) } if *probe == span.probe.name);
    let broke_off = file.is_truncated() || run.records.iter().any(|r| has_failed(&r.event));
    let Some(last) = file.last().filter(|_| broke_off) else { return ALWAYS };
    let from = Moment(last.0.saturating_sub(span.timeout_ns));
    let due = span.slots(from, last);
    let recorded = file.attempts().map(|attempt| attempt.slot).filter(|slot| due.contains(slot));
    let all = recorded.collect::<HashSet<u64>>().len() as u64 >= due.end - due.start;
    if all { ALWAYS } else { run.zero.at(from) }
}

const ALWAYS: Seconds = Seconds::from_nanos(i64::MAX);

struct Pass<'a> {
    span: &'a ProbeSpan,
    start: i64,
    reusable: bool,
    canary: bool,
    tallies: Vec<Tally>,
    /// By segment, how many timed out that had been accepted.
    pending: Vec<u64>,
    segments: Vec<Segment>,
    tracker: Tracker,
    paths: Vec<(Tally, Classes)>,
    /// By segment, how attempts failed.
    classes: Vec<Classes>,
    late: Histogram<u64>,
    latency: LatencyBuilder,
    series: SeriesBuilder,
    asked: Option<When>,
    named: usize,
    steps: Vec<StepTracker>,
    rates: Vec<RollingRate>,
    kept: Vec<KeptConnections>,
    idle: Idle,
    gaps: Gaps,
    disturbed: &'a [Disturbance],
    proven_until: Seconds,
    stalls: Vec<Disturbance>,
}

/// The longest time between two attempts that say something, from the first fault on.
struct Gaps {
    from: Seconds,
    last: Option<Seconds>,
    longest: Seconds,
}

impl Gaps {
    #[inline]
    fn take(&mut self, sent: Seconds) {
        let last = self.last.replace(sent).unwrap_or(sent);
        if sent >= self.from {
            self.longest = self.longest.max(sent - last);
        }
    }
}

impl<'a> Pass<'a> {
    fn new(
        span: &'a ProbeSpan,
        run: &Run<'_>,
        disturbed: &'a [Disturbance],
        proven_until: Seconds,
    ) -> Self {
        let segments = segments(span, run);
        let start = run.zero.at(span.start);
        Self {
            span,
            start: start.as_nanos(),
            reusable: span.probe.kind.proves_peer_when_reused(),
            canary: span.probe.kind.is_canary(),
            tallies: vec![Tally::default(); segments.len()],
            pending: vec![0; segments.len()],
            tracker: Tracker::new(
                segments.clone(),
                Seconds::from_nanos(clamp(span.clock_uncertainty_ns)),
                span.probe.reused,
                proven_until,
            ),
            classes: vec![Classes::default(); segments.len()],
            segments,
            paths: vec![Default::default(); span.probe.paths.len()],
            late: Histogram::new_with_bounds(1, MOST_LATE_US, 2).expect("the bounds are constants"),
            latency: LatencyBuilder::new(&span.probe, run),
            series: SeriesBuilder::new(start, run.end),
            asked: None,
            named: 0,
            steps: StepTracker::all(run.faults),
            kept: Vec::new(),
            idle: Idle::default(),
            rates: run
                .wanted
                .windows
                .iter()
                .map(|window| RollingRate::new(*window, span))
                .collect(),
            gaps: Gaps {
                from: run.faults.first().map_or(run.end, |fault| fault.requested),
                last: None,
                longest: Seconds::ZERO,
            },
            disturbed,
            proven_until,
            stalls: Vec::new(),
        }
    }

    fn name_backends(&mut self, names: &[&str], faults: &[FaultFinding]) {
        for name in &names[self.named..] {
            let hit = |segment: &Segment| {
                let mut services = of_period(segment.period, faults)
                    .filter_map(|fault| service_of(self.span, fault));
                services.any(|service| is_hit(service, name))
            };
            self.tracker.back_end(self.segments.iter().map(hit).collect());
        }
        self.named = names.len();
    }

    #[inline]
    fn take(&mut self, attempt: &Attempt) {
        let micros = |us: u64| clamp(us).saturating_mul(1000);
        let due = clamp(attempt.slot)
            .saturating_mul(clamp(self.span.interval_ns))
            .saturating_add(self.start);
        let sent = Seconds::from_nanos(due.saturating_add(micros(attempt.late_us)));
        let done =
            Seconds::from_nanos(sent.as_nanos().saturating_add(micros(attempt.duration_us())));
        let (ok, failed) = (attempt.outcome.is_ok(), attempt.outcome.is_failure());
        // Others find out by using one whether it is still open.
        let idle_ended = match self.span.probe.reused && self.reusable {
            true => self.idle.ended(attempt, sent, done),
            false => Vec::new(),
        };
        if failed && self.disturbed.iter().any(|times| times.overlaps(sent, done)) {
            return;
        }
        let segment = self.tracker.enter(sent, done, failed);
        if self.segments[segment].period != Period::Settling {
            self.note_stall(attempt, due, done);
        }
        self.count_path(segment, attempt);
        let tally = &mut self.tallies[segment];
        let mut result = AttemptResult::Succeeded;
        if !ok {
            self.classes[segment].count(attempt.outcome);
            let pending = matches!(attempt.outcome, Outcome::Timeout(phase) if phase.is_pending());
            self.pending[segment] += u64::from(pending);
            result = match self.canary && !pending {
                true => AttemptResult::NotAccepted,
                false => AttemptResult::Failed,
            };
        }
        if !ok && !failed {
            tally.blind += 1;
            self.steps.iter_mut().for_each(|step| step.blind(sent, done));
            return;
        }
        *if failed { &mut tally.failed } else { &mut tally.ok } += 1;
        if self.segments[segment].period != Period::Settling {
            self.late.saturating_record(attempt.late_us);
        }
        self.latency.take(attempt, sent, done);
        self.series.count(sent, failed);
        self.gaps.take(sent);
        let is_proof = sent <= self.proven_until;
        self.steps.iter_mut().for_each(|step| step.take(sent, done, result, is_proof));
        if !matches!(self.segments[segment].period, Period::Settling | Period::Before) {
            self.rates.iter_mut().for_each(|rate| rate.take(attempt.slot, failed));
            kept::count(&mut self.kept, self.segments[segment].period, attempt, sent, done);
        }
        let period = self.segments[segment].period;
        if !matches!(period, Period::Settling | Period::Before) {
            for last in idle_ended {
                kept::add(&mut self.kept, period, KeptEnd::Idle, last, sent);
            }
        }
        let asked = self.asked.get_or_insert(When { earliest: sent, latest: sent });
        asked.latest = asked.latest.max(sent);
        self.tracker.take(Observation {
            sent,
            done,
            outcome: attempt.outcome,
            draw: !attempt.reused,
            proves: self.reusable || !attempt.reused,
            backend: attempt.backend,
        });
    }

    #[inline]
    fn count_path(&mut self, segment: usize, attempt: &Attempt) {
        if self.paths.is_empty() || self.segments[segment].period == Period::Settling {
            return;
        }
        let path = attempt.slot % self.paths.len() as u64;
        let (tally, classes) = &mut self.paths[path as usize];
        if attempt.outcome.is_ok() {
            tally.ok += 1;
            return;
        }
        classes.count(attempt.outcome);
        *if attempt.outcome.is_failure() { &mut tally.failed } else { &mut tally.blind } += 1;
    }

    /// Notes where the prober was late: an attempt was due longer ago than its timeout (it was sent
    /// late, or no more), or its end was noticed late.
    #[inline]
    fn note_stall(&mut self, attempt: &Attempt, due: i64, done: Seconds) {
        let (timeout, took) = (self.span.timeout_ns, attempt.duration_us().saturating_mul(1000));
        let timed_out = matches!(attempt.outcome, Outcome::Timeout(_));
        let from = if attempt.late_us.saturating_mul(1000) > timeout {
            due
        } else if timed_out && !self.canary && is_noticed_late(timeout, took) {
            done.as_nanos() - clamp(took - timeout)
        } else if self.span.probe.control && is_slow_control(timeout, took) {
            done.as_nanos() - clamp(took)
        } else {
            return;
        };
        disturbance::add_stall(&mut self.stalls, Seconds::from_nanos(from), done);
    }

    fn finish(self, faults: &[FaultFinding], backends: &[&str]) -> ProbeFinding {
        let span = self.span;
        let segments = self.segments.iter().zip(&self.tallies).zip(&self.classes);
        let periods = segments.map(|((segment, tally), classes)| PeriodTally {
            period: segment.period,
            tally: *tally,
            classes: classes.counts(),
        });
        let mut classes = Classes::default();
        self.classes.iter().for_each(|some| classes.add(some));
        let late = |p: f64| {
            Seconds::from_nanos(clamp(self.late.value_at_quantile(p)).saturating_mul(1000))
        };
        let interval = Seconds::from_nanos(clamp(span.interval_ns));
        ProbeFinding {
            name: span.probe.name.clone(),
            kind: span.probe.kind.clone(),
            target: span.probe.target.clone(),
            service: span.probe.service.clone(),
            from: span.probe.from.clone(),
            reused: span.probe.reused,
            control: span.probe.control,
            interval,
            timeout: Seconds::from_nanos(clamp(span.timeout_ns)),
            asked: self.asked,
            total: self.tallies.iter().fold(Tally::default(), |sum, t| sum.plus(*t)),
            classes: classes.counts(),
            paths: span
                .probe
                .paths
                .iter()
                .zip(&self.paths)
                .map(|(path, (total, classes))| PathFinding {
                    path: path.clone(),
                    total: *total,
                    classes: classes.counts(),
                })
                .collect(),
            periods: periods.collect(),
            windows: self.tracker.finish(),
            late: Vec::new(),
            in_effect: self.steps.iter().filter_map(StepTracker::in_effect).collect(),
            recovered: self.steps.iter().filter_map(StepTracker::recovered).collect(),
            kept: self.kept,
            error_rates: self
                .rates
                .iter()
                .filter_map(|rate| rate.finish(Seconds::from_nanos(self.start), interval))
                .collect(),
            blind_below: blind_below(span, faults, self.gaps.longest.max(interval)),
            lateness: Lateness { p50: late(0.5), p99: late(0.99), max: late(1.0) },
            latency: self.latency.finish(backends),
            undisturbed_latency: None,
            disturbances: self.stalls,
            undisturbed: None,
            clock_uncertainty: Seconds::from_nanos(clamp(span.clock_uncertainty_ns)),
            unreadable: Vec::new(),
            series: self.series.finish(),
        }
    }
}

fn clamp(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The parts of the run, and what is known of the back ends in each.
fn segments(span: &ProbeSpan, run: &Run<'_>) -> Vec<Segment> {
    let segment = |Stretch { period, from, faults }: Stretch<'_>| {
        let from = from.unwrap_or(Seconds::from_nanos(i64::MIN));
        if faults.is_empty() {
            return Segment { period, from, miss: None, any_of: None, left: None };
        }
        let (known, left) = (miss(span, faults), left(span, faults));
        let any_of = backends(span, faults).filter(|all| *all > 0 && known.is_none());
        let miss = known.or(any_of.map(|all| 1.0 - 1.0 / f64::from(all)));
        Segment { period, from, miss, any_of, left }
    };
    run.stretches(|fault| fault.undo_requested).into_iter().map(segment).collect()
}

/// The faults of a period that hit a machine, and so back ends: a part of the control plane is not
/// a back end.
fn of_period(period: Period, faults: &[FaultFinding]) -> impl Iterator<Item = &FaultFinding> {
    let overlap = match period {
        Period::Settling | Period::Before => None,
        Period::Fault { step } | Period::AfterUndo { step } => Some(step),
    };
    machines(faults).filter(move |fault| Some(fault.overlap) == overlap)
}

fn machines(faults: &[FaultFinding]) -> impl Iterator<Item = &FaultFinding> {
    faults.iter().filter(|fault| fault.component.is_none())
}

/// The Service that a probe sends requests to, as the fault found it.
fn service_of<'a>(span: &ProbeSpan, fault: &'a FaultFinding) -> Option<&'a ServiceFinding> {
    fault.service(span.probe.service.as_ref()?)
}

fn is_hit(service: &ServiceFinding, name: &str) -> bool {
    service
        .hit
        .iter()
        .any(|endpoint| endpoint.pod.as_deref() == Some(name) || endpoint.address == name)
}

/// How many back ends the Service that a probe asks had when faults began.
fn backends(span: &ProbeSpan, faults: &[FaultFinding]) -> Option<u32> {
    Some(faults.iter().find_map(|fault| service_of(span, fault))?.endpoints)
}

/// The share of attempts that go to back ends that overlapping faults did not hit. A target that is
/// not a Service counts as one back end; `None` where the endpoints are not known, or none of them
/// was hit.
fn miss(span: &ProbeSpan, faults: &[FaultFinding]) -> Option<f64> {
    if span.probe.service.is_none() {
        return Some(0.0);
    }
    let all = f64::from(machines(faults).find_map(|fault| service_of(span, fault))?.endpoints);
    let hit: BTreeSet<&str> = hit(span, faults)
        .map(|endpoint| endpoint.pod.as_deref().unwrap_or(&endpoint.address))
        .collect();
    let hit = hit.len() as f64;
    (hit > 0.0 && all >= hit).then(|| 1.0 - hit / all)
}

/// The endpoints that a probe asks and faults hit.
fn hit<'a>(
    span: &ProbeSpan,
    faults: &'a [FaultFinding],
) -> impl Iterator<Item = &'a EndpointFinding> {
    machines(faults).filter_map(|fault| service_of(span, fault)).flat_map(|service| &service.hit)
}

/// When the first of the endpoints that faults hit had left.
fn left(span: &ProbeSpan, faults: &[FaultFinding]) -> Option<Seconds> {
    hit(span, faults).filter_map(|endpoint| endpoint.left).map(|left| left.earliest).min()
}

fn blind_below(span: &ProbeSpan, faults: &[FaultFinding], gap: Seconds) -> Option<Seconds> {
    let overlaps = faults.chunk_by(|a, b| a.overlap == b.overlap);
    let draws = overlaps.map(|faults| draws_to_exclude(miss(span, faults).unwrap_or(0.0)));
    let draws = draws.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
    Some(Seconds::from_nanos(gap.as_nanos().saturating_mul(clamp(draws))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_delay_is_no_stall_however_short_the_timeout_is() {
        const MS: u64 = 1_000_000;
        for timeout in [20, 50, 200] {
            assert!(!is_noticed_late(timeout * MS, (timeout + 5) * MS), "{timeout}");
            assert!(is_noticed_late(timeout * MS, (timeout + 21) * MS), "{timeout}");
        }
        assert!(!is_noticed_late(1000 * MS, 1100 * MS) && is_noticed_late(1000 * MS, 1101 * MS));
        for (timeout, longest) in [(20, 50), (50, 50), (200, 100)] {
            assert!(!is_slow_control(timeout * MS, longest * MS), "{timeout}");
            assert!(is_slow_control(timeout * MS, (longest + 1) * MS), "{timeout}");
        }
    }
}
