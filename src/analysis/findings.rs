//! What analysis finds in a timeline. Every time is in seconds after the run's +0.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bystanders::Bystander;
use super::in_effect::{InEffect, Recovered};
use super::leaders::LeaderFinding;
use super::quality::Warning;
use super::window::{ClassCount, Window};
use crate::stats::{Between, Seconds};
use crate::timeline::Component;

/// What a timeline says, in the units of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// What +0 is.
    pub origin: Origin,
    /// How the run ended.
    pub completion: Completion,
    /// The steady state before any harm; `None` when the run did not get so far.
    pub steady_before: Option<Steady>,
    /// Each fault, in order.
    pub faults: Vec<FaultFinding>,
    /// The steady state after the last undo; `None` when the run did not get so far.
    pub steady_after: Option<Steady>,
    /// From the confirmed undo of the last fault until the steady state held again, and every harmed node had given a sign of life.
    pub recovery: Option<Between>,
    /// The harmed nodes that gave none after their undo: what is said of them may be old, so that no recovery is known.
    pub unheard: Vec<String>,
    /// The nodes that no fault hit.
    #[serde(default)]
    pub bystanders: Vec<Bystander>,
    /// Each pod of the run's namespace, in the order in which they were first seen.
    #[serde(default)]
    pub pods: Vec<PodFinding>,
    /// What became of the cluster's objects; `None`: nobody looked.
    #[serde(default)]
    pub objects: Option<ObjectsFinding>,
    /// Each probe, in the order in which they were started; control probes last.
    pub probes: Vec<ProbeFinding>,
    /// Who led each part of the control plane of which a leader is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaders: Vec<LeaderFinding>,
    /// The heartbeats that were seen before the first fault, by node.
    pub heartbeats: Vec<HeartbeatFinding>,
    /// What weakens the numbers.
    pub warnings: Vec<Warning>,
}

/// The zero of a run's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// What happened then: the first fault's request, else the run's start.
    pub what: OriginKind,
    /// The wall time, UTC, RFC 3339.
    pub wall: String,
    /// The runner's monotonic clock then, in nanoseconds: the timeline's own time.
    pub monotonic_ns: u64,
}

impl Findings {
    /// When the last of all undos was confirmed; `None` without any, or when one never was.
    pub fn last_undone(&self) -> Option<Seconds> {
        self.faults.iter().map(|fault| fault.undone).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// When the last of all undos was requested; `None` without any.
    pub fn last_undo_requested(&self) -> Option<Seconds> {
        self.faults.iter().filter_map(|fault| fault.undo_requested).max()
    }

    /// The fault that was undone last.
    pub fn last_undone_fault(&self) -> Option<&FaultFinding> {
        self.faults.iter().max_by_key(|fault| fault.undone)
    }
}

/// What happened at a run's +0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum OriginKind {
    /// The first fault was requested.
    FaultRequested,
    /// The run began (no fault was requested).
    RunStarted,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Completion {
    /// It came to its own end.
    Complete,
    /// A signal ended it.
    Interrupted {
        /// The signal.
        signal: String,
    },
    /// It failed.
    Failed {
        /// With what.
        error: String,
    },
    /// It still goes on: its timeline was being written when it was read.
    Running,
    /// Its timeline has no end, and nobody writes it any more: the program died.
    Died,
}

impl FaultFinding {
    /// What the container engine itself said of the fault's effect. `None` for a fault of which no engine knows.
    pub fn engine_saw(&self) -> Option<&Seen> {
        let action = match self.kind.as_str() {
            "nodeStop" | "nodeKill" | "nodeReboot" => "die",
            "nodePause" => "pause",
            _ => return None,
        };
        self.engine.iter().find(|seen| seen.what == action)
    }
}

/// A moment as far as it is known: after `earliest` and no later than `latest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct When {
    /// The last moment at which it had not happened yet.
    pub earliest: Seconds,
    /// The first moment at which it had happened.
    pub latest: Seconds,
}

impl When {
    /// How uncertain it is.
    pub fn width(&self) -> Seconds {
        (self.latest - self.earliest).or_zero()
    }

    /// Two things that must both have happened.
    pub fn later(self, other: Self) -> Self {
        Self { earliest: self.earliest.max(other.earliest), latest: self.latest.max(other.latest) }
    }

    /// Whether it may have happened at `moment`.
    pub fn holds(&self, moment: Seconds) -> bool {
        self.earliest <= moment && moment <= self.latest
    }
}

/// A steady state that held, or did not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Steady {
    /// Since when it held: the last moment at which a condition of it came true. `None`: it did not hold in time.
    pub held_since: Option<Seconds>,
    /// When that was known.
    pub confirmed: Seconds,
    /// Each condition and what was seen; those that did not hold, when it did not.
    pub conditions: Vec<String>,
}

/// Something that was seen at a moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// When this program learned of it.
    pub at: Seconds,
    /// The source's own time of it; Kubernetes' has whole seconds.
    pub own_time: Option<Seconds>,
    /// What it was.
    pub what: String,
}

/// What one fault came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FaultFinding {
    /// Its number in the method, from 0.
    pub step: u32,
    /// Its step's name, if it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// The step with which its overlap began: errors while faults overlap belong to all of them, and are told as those of this one.
    #[serde(default)]
    pub overlap: u32,
    /// Its kind: `nodeStop`.
    pub kind: String,
    /// What it hit.
    pub target: String,
    /// The part of the control plane on the target that it hit; `None`: the target itself.
    pub component: Option<Component>,
    /// When the harming call began.
    pub requested: Seconds,
    /// When it came back.
    pub returned: Option<Seconds>,
    /// When its effect was seen.
    pub confirmed: Option<Seen>,
    /// The container engine's own words on the target, from the request on.
    pub engine: Vec<Seen>,
    /// When the undoing call began.
    pub undo_requested: Option<Seconds>,
    /// When the effect was seen to be gone.
    pub undone: Option<Seconds>,
    /// When it was given up to undo it, and why; `None` when it was undone in the end.
    pub not_undone: Option<Seen>,
    /// The node that it hit, as Kubernetes saw it.
    pub node: NodeFinding,
    /// The Services, and what became of their endpoints on the target.
    pub services: Vec<ServiceFinding>,
    /// Kubernetes' own events about the target, from the request on.
    pub notices: Vec<Seen>,
}

/// A node that was harmed, as Kubernetes saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeFinding {
    /// Whether it was Ready when the fault was requested; `None` when no watch said.
    pub ready_before: Option<bool>,
    /// When it was noticed.
    pub detected: Option<Detected>,
    /// When it was Ready again.
    pub ready_again: Option<When>,
    /// Its first sign of life (its own heartbeat, or its Lease's renewal) after the undo was confirmed; `None`: it gave none.
    pub heard_again: Option<When>,
}

/// A node's failure, noticed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Detected {
    /// When a watch saw that Ready is no longer True.
    pub at: When,
    /// What Ready became: `Unknown` (the node is silent) or `False` (the node reports trouble itself).
    pub status: String,
    /// The condition's reason.
    pub reason: String,
    /// The object's own time of the change (whole seconds).
    pub transition: Option<Seconds>,
}

/// A Service and its endpoints on the node that was harmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServiceFinding {
    /// The Service.
    pub service: String,
    /// How many endpoints were ready when the fault was requested.
    pub endpoints: u32,
    /// By node, how many.
    pub by_node: Vec<NodeCount>,
    /// Those on the node that was harmed.
    pub hit: Vec<EndpointFinding>,
    /// When the last of them left; `None` unless all had by the undo's request.
    pub removed: Option<When>,
    /// When the last of them was back.
    pub back: Option<When>,
    /// When so many new back ends were ready that had not been there, on other nodes than the one that was hit.
    #[serde(default)]
    pub replaced: Option<When>,
}

/// What became of a pod of the run's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PodFinding {
    /// The pod.
    pub pod: String,
    /// The node that it was bound to last.
    pub node: Option<String>,
    /// Who made it: `ReplicaSet/web-559b`. `None`: a bare pod.
    pub owner: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it came; `None`: it was there before the first fault.
    pub appeared: Option<When>,
    /// When one that came was first Ready.
    pub ready: Option<When>,
    /// When a container of it was first started again in place after the first fault's request.
    pub restarted: Option<When>,
    /// How often its containers were started again, in all.
    pub restarts: u32,
    /// When it began to be deleted, or was gone.
    pub left: Option<When>,
}

/// The cluster's objects before the first fault and after the recovery, but for those that come and go by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ObjectsFinding {
    /// How many there were.
    pub before: u32,
    /// Those that are not there any more, or are others of the same name; `None`: nobody looked again.
    pub missing: Option<Vec<String>>,
    /// Kinds that could not be listed, with the reason.
    pub unread: Vec<String>,
}

/// How many endpoints a node has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeCount {
    /// The node; `None` where the endpoint names none.
    pub node: Option<String>,
    /// How many.
    pub count: u32,
}

/// An endpoint on the node that was harmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EndpointFinding {
    /// Its address.
    pub address: String,
    /// The pod behind it.
    pub pod: Option<String>,
    /// When it was no longer ready, or gone.
    pub left: Option<When>,
    /// Whether it was deleted (and not only no longer ready).
    pub deleted: bool,
    /// When the same pod (or another on the same node) was ready again.
    pub back: Option<When>,
}

/// What a probe's clients noticed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProbeFinding {
    /// Its name.
    pub name: String,
    /// `http`, `tcp` or `canary`.
    pub protocol: String,
    /// What it asked, for people.
    pub target: String,
    /// The Service that it asked, if it is one.
    pub service: Option<String>,
    /// Where it asked from, for people.
    pub from: String,
    /// Whether connections were used again.
    pub reused: bool,
    /// Whether it asked something that no fault can touch.
    pub control: bool,
    /// The time between two attempts.
    pub interval: Seconds,
    /// The time that an attempt may take.
    pub timeout: Seconds,
    /// The first attempt's sending and the last one's.
    pub asked: Option<When>,
    /// How attempts ended, over the whole run.
    pub total: Tally,
    /// By class, over the whole run, most first.
    pub classes: Vec<ClassCount>,
    /// How attempts ended before, during and after each fault, by the time of sending.
    pub periods: Vec<PeriodTally>,
    /// The windows of errors, at most one for each period after the first fault's request.
    pub windows: Vec<Window>,
    /// Of a canary: what timed out in a fault or after its undo, and came true after all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateFinding>,
    /// While the faults of each step were in effect.
    pub in_effect: Vec<InEffect>,
    /// After each step's undo, where the probe had failed.
    pub recovered: Vec<Recovered>,
    /// An outage shorter than this may have gone unseen after the first fault: the longest time without an attempt, times the attempts
    /// that it takes to meet a dead back end. Where no fault hit a back end that is known, an outage of all of them.
    pub blind_below: Option<Seconds>,
    /// How late attempts were sent.
    pub lateness: Lateness,
    /// How far the prober's clock may be off the runner's.
    pub clock_uncertainty: Seconds,
    /// Whether its file was cut.
    pub truncated: bool,
    /// Attempts over time.
    pub series: Series,
}

/// Attempts of a canary that were accepted and timed out, in a fault or after its undo, and what became of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LateFinding {
    /// The fault's number in the method.
    pub step: u32,
    /// How many timed out.
    pub timed_out: u64,
    /// How many of them came true before the run's end.
    pub came_true: u64,
    /// When the first of them did.
    pub first: Option<When>,
    /// When the last of them did.
    pub last: Option<When>,
}

impl ProbeFinding {
    /// Whether the control plane is asked to do something.
    pub fn is_canary(&self) -> bool {
        self.protocol == crate::timeline::ProbeHeader::CANARY
    }

    /// The window of errors of a period.
    pub fn window(&self, period: Period) -> Option<&Window> {
        self.windows.iter().find(|window| window.period == period)
    }

    /// How attempts of a period ended.
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
        self.periods.iter().filter(|p| wanted(p.period)).fold(Tally::default(), |sum, p| sum.plus(p.tally))
    }
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
    /// Failed their client.
    pub failed: u64,
    /// Say nothing: not sent, cut off at the end, or failed by the prober itself.
    pub blind: u64,
}

impl Tally {
    /// The sum of two.
    pub fn plus(self, other: Tally) -> Self {
        Self { ok: self.ok + other.ok, failed: self.failed + other.failed, blind: self.blind + other.blind }
    }

    /// Attempts that say something.
    pub fn judged(&self) -> u64 {
        self.ok + self.failed
    }

    /// The share that failed, of those that say something; `None` without any.
    pub fn failed_share(&self) -> Option<f64> {
        (self.judged() > 0).then(|| self.failed as f64 / self.judged() as f64)
    }

    /// The share that says nothing; 0 without any attempt.
    pub fn blind_share(&self) -> f64 {
        self.blind as f64 / (self.judged() + self.blind).max(1) as f64
    }
}

/// How attempts of one period ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PeriodTally {
    /// The period.
    pub period: Period,
    /// The counts.
    #[serde(flatten)]
    pub tally: Tally,
}

/// How late attempts were sent once the steady state held: bounds of a histogram's buckets (HdrHistogram, two significant digits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Lateness {
    /// The median.
    pub p50: Seconds,
    /// The 99th percentile.
    pub p99: Seconds,
    /// The largest.
    pub max: Seconds,
}

/// Attempts over time, in columns of one width, by the time of sending.
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
    /// Attempts that say something, by column.
    pub judged: Vec<u32>,
}

/// A node's heartbeats before the first fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct HeartbeatFinding {
    /// The node.
    pub node: String,
    /// The median time between two renewals of its Lease; `None` with fewer than two.
    pub lease: Option<Seconds>,
    /// The median time between two posts of its status, as a watch received them; `None` with fewer than two.
    pub status: Option<Seconds>,
}

impl HeartbeatFinding {
    /// The sooner of the two.
    pub fn interval(&self) -> Option<Seconds> {
        [self.lease, self.status].into_iter().flatten().min()
    }
}
