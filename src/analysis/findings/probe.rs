//! What a probe's clients noticed, and how attempts are counted.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::window::{ClassCount, Window};
use super::{Latency, Unreadable, When};
use crate::stats::Seconds;
use crate::timeline::ProbeKind;

/// What a probe's clients noticed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProbeFinding {
    /// Its name.
    pub name: String,
    /// `http`, `tcp` or `canary`.
    #[serde(rename = "protocol")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub kind: ProbeKind,
    /// What it probed, for people.
    pub target: String,
    /// The Service that it targeted, if any.
    pub service: Option<String>,
    /// Where it ran, for people.
    pub from: String,
    /// Whether connections were reused.
    pub reused: bool,
    /// Whether its target is something that no fault can affect.
    pub control: bool,
    /// The time between two attempts.
    pub interval: Seconds,
    /// The timeout of an attempt.
    pub timeout: Seconds,
    /// The first attempt's sending and the last one's.
    pub asked: Option<When>,
    /// How attempts ended, over the whole run.
    pub total: Tally,
    /// By class, over the whole run, most frequent first.
    pub classes: Vec<ClassCount>,
    /// By path, where it has several, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathFinding>,
    /// How attempts ended before, during and after each fault, by the time of sending.
    pub periods: Vec<PeriodTally>,
    /// The error windows, at most one for each period after the first fault's request.
    pub windows: Vec<Window>,
    /// Of a canary: attempts that timed out in a fault or after its undo, and succeeded late.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateFinding>,
    /// While the faults of each step were in effect.
    pub in_effect: Vec<InEffect>,
    /// After each step's undo, where the probe had failed.
    pub recovered: Vec<Recovered>,
    /// Connections that were kept, and failed a request or were ended by the server after the first
    /// fault's request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptConnections>,
    /// The highest error rates from the first fault on, for each length of window that an
    /// expectation asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_rates: Vec<ErrorRate>,
    /// An outage shorter than this may have gone unseen after the first fault: the longest time without an attempt, times the attempts
    /// that it takes to reach a dead backend. If no fault hit a known backend: an outage of all of them.
    pub blind_below: Option<Seconds>,
    /// How long attempts took, by period.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<Latency>,
    /// The same without the attempts of any time in which the prober was disturbed, and those
    /// times; `None`: it never was, or nobody asked.
    #[serde(skip)]
    pub undisturbed_latency: Option<UndisturbedLatency>,
    /// How late attempts were sent.
    pub lateness: Lateness,
    /// When it saw failures while the prober itself was disturbed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbances: Vec<Disturbance>,
    /// The same without the failures in those times: what it saw if they were the prober's own.
    #[serde(skip)]
    pub undisturbed: Option<Box<ProbeFinding>>,
    /// How far the prober's clock may be off the runner's.
    pub clock_uncertainty: Seconds,
    /// Periods whose attempts could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// Attempts over time.
    pub series: Series,
}

/// How long attempts took while their prober was well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndisturbedLatency {
    pub latency: Vec<Latency>,
    pub disturbances: Vec<Disturbance>,
}

/// A period in which failures may be the prober's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Disturbance {
    /// When it began.
    pub from: Seconds,
    /// When it ended.
    pub until: Seconds,
    /// What disturbed the prober.
    pub cause: DisturbanceCause,
}

/// What disturbed a prober.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum DisturbanceCause {
    /// Its control probe failed.
    Control {
        /// The control probe.
        probe: String,
    },
    /// What its control probe saw could not be read.
    Unreadable {
        /// The control probe.
        probe: String,
    },
    /// An attempt was due longer ago than its timeout, its end was noticed late, or the control
    /// probe was answered slowly.
    Stall,
}

/// A failure of the control probe makes its host unreliable for as long before and after as it
/// lasted, but at most for this time: other attempts do more work than the control probe, so they
/// fail earlier and for longer.
pub(crate) const NEAR_CONTROL: Seconds = Seconds::from_nanos(1_000_000_000);

impl Disturbance {
    /// From when until when failures may be the prober's own.
    fn unreliable(&self) -> (Seconds, Seconds) {
        let near = match self.cause {
            DisturbanceCause::Control { .. } => (self.until - self.from).min(NEAR_CONTROL),
            DisturbanceCause::Unreadable { .. } | DisturbanceCause::Stall => Seconds::ZERO,
        };
        (self.from - near, self.until + near)
    }

    /// Whether failures in this time may be the prober's own.
    pub fn overlaps(&self, from: Seconds, until: Seconds) -> bool {
        let (earliest, latest) = self.unreliable();
        earliest <= until && from <= latest
    }

    pub fn words(&self) -> String {
        let Self { from, until, cause } = self;
        match cause {
            DisturbanceCause::Control { probe } => format!(
                "the control probe {probe} failed too, from {from:+.3} to {until:+.3}: the prober's host was unhealthy"
            ),
            DisturbanceCause::Unreadable { probe } => format!(
                "attempts of the control probe {probe} could not be read from {from:+.3} to {until:+.3}: failures may be the prober's own"
            ),
            DisturbanceCause::Stall => {
                format!("the prober stalled from {from:+.3} to {until:+.3}")
            }
        }
    }
}

/// Attempts do not stand for all where more than this share of them say nothing.
pub(crate) const MOST_BLIND: f64 = 0.05;

/// How the attempts of one path ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PathFinding {
    /// The path.
    pub path: String,
    /// How its attempts ended, from the steady state on.
    pub total: Tally,
    /// Those that did not succeed, by class, most frequent first.
    pub classes: Vec<ClassCount>,
}

impl ProbeFinding {
    /// Whether its prober was late all the time.
    pub fn was_late(&self) -> bool {
        self.lateness.p99 > Seconds::from_nanos(self.timeout.as_nanos() / 2)
    }

    /// Whether what it saw may be its prober's own: that failed, stalled or was late.
    pub fn is_disturbed(&self) -> bool {
        !self.disturbances.is_empty() || self.was_late() || self.since_fault().is_blind()
    }

    /// Whether the control plane is asked to do something.
    pub fn is_canary(&self) -> bool {
        self.kind.is_canary()
    }

    pub fn window(&self, period: Period) -> Option<&Window> {
        self.windows.iter().find(|window| window.period == period)
    }

    pub fn latency_in(&self, period: Period) -> Option<&Latency> {
        self.latency.iter().find(|latency| latency.period == period)
    }

    pub fn tally(&self, period: Period) -> Tally {
        self.periods.iter().find(|p| p.period == period).map(|p| p.tally).unwrap_or_default()
    }

    /// How attempts ended from the first fault's request on.
    pub fn since_fault(&self) -> Tally {
        self.sum(|period| !matches!(period, Period::Settling | Period::Before))
    }

    /// How attempts ended once the steady state held.
    pub fn settled(&self) -> Tally {
        self.sum(|period| period != Period::Settling)
    }

    fn sum(&self, wanted: impl Fn(Period) -> bool) -> Tally {
        self.periods
            .iter()
            .filter(|p| wanted(p.period))
            .fold(Tally::default(), |sum, p| sum.plus(p.tally))
    }
}

/// Kept connections of one period that ended in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KeptConnections {
    /// The period.
    pub period: Period,
    /// What ended them.
    pub end: KeptEnd,
    /// How many.
    pub connections: u64,
    /// When the last request on the first of them was sent.
    pub first: Seconds,
    /// When the last of them ended.
    pub last: Seconds,
    /// The longest time from the last request on one of them until it ended.
    pub longest: Seconds,
}

/// What ended a kept connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum KeptEnd {
    /// The probe's own timeout: a client with a longer one would have waited longer.
    Timeout,
    /// A reset (RST).
    Reset,
    /// The server closed it before its answer was complete (FIN).
    Closed,
    /// One of these two; which one was not recorded.
    ResetOrClosed,
    /// The server ended it with a complete answer (`Connection: close`).
    Answered,
    /// It was gone when the next request needed it: the server, or what is between, ended it while it
    /// was idle.
    Idle,
}

/// The worst window of one length: so many attempts in a row, by when they were due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ErrorRate {
    /// The length of the window.
    pub window: Seconds,
    /// When the first attempt of the window with the most failures was due.
    pub from: Seconds,
    /// When the first attempt after that window was due.
    pub until: Seconds,
    /// The number of its attempts that failed.
    pub failed: u64,
    /// The number of its conclusive attempts.
    pub judged: u64,
    /// The number of attempts due in a window.
    pub attempts: u64,
    /// The most failures that any window can have had: attempts without a result counted as failed.
    pub most_failed: u64,
    /// Whether there was time for a whole window after the first fault; else this is all of that
    /// time.
    pub whole: bool,
}

/// Attempts of a canary that were accepted and timed out, in a fault or after its undo, and how
/// they ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LateFinding {
    /// The fault's number in the method.
    pub step: u32,
    /// The number that timed out.
    pub timed_out: u64,
    /// How many of them succeeded before the end of the run.
    #[serde(rename = "cameTrue")]
    pub succeeded: u64,
    /// When the first of them did.
    pub first: Option<When>,
    /// When the last of them did.
    pub last: Option<When>,
}

/// A part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Period {
    /// Before the steady state held: the workload comes up, and nothing is judged.
    Settling,
    /// From there, or from the beginning where no steady state was recorded, to the first fault's request.
    Before,
    /// From a fault's request to the request of its undo; of faults that overlap, from the first one's to the last one's.
    Fault {
        /// The fault's number in the method; of several, the first one's.
        step: u32,
    },
    /// From the request of a fault's undo to the next fault, or the end.
    AfterUndo {
        /// The fault's number in the method.
        step: u32,
    },
}

/// How attempts ended, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Succeeded.
    pub ok: u64,
    /// Failed.
    pub failed: u64,
    /// Inconclusive: not sent, cut off at the end, or failed because of the prober itself.
    pub blind: u64,
}

impl Tally {
    pub fn plus(self, other: Tally) -> Self {
        Self {
            ok: self.ok + other.ok,
            failed: self.failed + other.failed,
            blind: self.blind + other.blind,
        }
    }

    /// Attempts that say something.
    pub fn judged(&self) -> u64 {
        self.ok + self.failed
    }

    /// The share that failed, of those that say something; `None` without any.
    pub fn failed_share(&self) -> Option<f64> {
        (self.judged() > 0).then(|| self.failed as f64 / self.judged() as f64)
    }

    /// Whether too many attempts say nothing.
    pub fn is_blind(self) -> bool {
        self.blind_share() > MOST_BLIND
    }

    /// The share that says nothing; 0 without any attempt.
    pub fn blind_share(&self) -> f64 {
        self.blind as f64 / (self.judged() + self.blind).max(1) as f64
    }
}

/// How attempts of one period ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeriodTally {
    /// The period.
    pub period: Period,
    /// The counts.
    #[serde(flatten)]
    pub tally: Tally,
    /// Those that did not succeed by class, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassCount>,
}

/// How late something was: of attempts, how late they were sent once the steady state held (bounds of a histogram's buckets, HdrHistogram with two significant digits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Lateness {
    /// The median.
    pub p50: Seconds,
    /// The 99th percentile.
    pub p99: Seconds,
    /// The maximum.
    pub max: Seconds,
}

/// Attempts over time, in columns of equal width, by the time of sending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// Where the first column begins.
    pub start: Seconds,
    /// The width of a column.
    pub step: Seconds,
    /// Attempts that failed, by column.
    pub failed: Vec<u32>,
    /// Conclusive attempts, by column.
    pub judged: Vec<u32>,
}

/// A probe's attempts while all faults of a step were in effect: those that were sent after the last of them was confirmed, and had
/// ended when the first of them began to be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InEffect {
    /// The step's number in the method.
    pub step: u32,
    /// When the last fault was confirmed.
    pub from: Seconds,
    /// When the first fault's undo was requested; `None`: never.
    pub until: Option<Seconds>,
    /// How the attempts ended; of a canary those that the API server took.
    pub tally: Tally,
    /// Of a canary: attempts that the API server did not accept. They say nothing about the
    /// controller.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_accepted: u64,
    /// When the first attempt that succeeded was sent.
    pub first_success: Option<Seconds>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// When a probe that had failed was answered again after a step's undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    /// The step's number in the method.
    pub step: u32,
    /// When the last undo was requested.
    pub undo_requested: Seconds,
    /// The first success that lasted: after the last failure, until another fault or the end. `None`: there was none.
    pub at: Option<When>,
}
