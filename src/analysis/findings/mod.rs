//! What analysis finds in a timeline. Every time is in seconds after the run's +0.

mod cause;
mod delivery;
mod fault;
mod latency;
mod leader;
mod probe;
mod warning;
mod window;
mod writes;

use std::collections::BTreeMap;
use std::fmt;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{Between, Seconds};

pub use cause::{Cause, CausePart};
pub use delivery::{DeliveryFinding, MomentDelay};
pub use fault::{Detected, EndpointFinding, FaultFinding, NodeCount, NodeFinding, ServiceFinding};
pub use latency::{BackendLatency, Latency, Quantiles};
pub use leader::{LeaderFinding, LeaderGap, LeaderLoss, LeaderTerm, OldLeader};
pub use probe::{
    Disturbance, DisturbanceCause, ErrorRate, InEffect, KeptConnections, KeptEnd, LateFinding,
    Lateness, PathFinding, Period, PeriodTally, ProbeFinding, Recovered, Series, Tally,
    UndisturbedLatency,
};
pub(crate) use probe::{MOST_BLIND, NEAR_CONTROL};
pub use warning::{Warning, WarningText};
pub use window::{Burst, ClassCount, Edge, Gap, Proof, Window};
pub use writes::{Counted, WritesFinding};

/// The findings of a timeline, in the units of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    /// What +0 is.
    pub origin: Origin,
    /// How the run ended.
    pub completion: Completion,
    /// Until when the records are those of the planned run, if it was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_at: Option<Seconds>,
    /// The steady state before the first fault; `None` when the run did not get so far.
    pub steady_before: Option<Steady>,
    /// Each fault, in order.
    pub faults: Vec<FaultFinding>,
    /// The steady state after the last undo; `None` when the run did not get so far.
    pub steady_after: Option<Steady>,
    /// From the confirmed undo of the last fault (or its confirmation, where there is nothing to undo) until the steady state held again and every hit node had given a sign of life.
    pub recovery: Option<Between>,
    /// The hit nodes without a sign of life after their undo: their state may be stale, so that the recovery is not known.
    pub unheard: Vec<String>,
    /// The nodes that no fault hit.
    #[serde(default, rename = "bystanders")]
    pub other_nodes: Vec<OtherNode>,
    /// Each pod of the run's namespace, in the order in which they were first seen.
    #[serde(default)]
    pub pods: Vec<PodFinding>,
    /// Which of the cluster's objects were kept; `None`: they were not listed.
    #[serde(default)]
    pub objects: Option<ObjectsFinding>,
    /// Each probe, in the order in which they were started; control probes last.
    pub probes: Vec<ProbeFinding>,
    /// The leaders of each control-plane component with a known leader.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaders: Vec<LeaderFinding>,
    /// The heartbeats that were seen before the first fault, by node.
    pub heartbeats: Vec<HeartbeatFinding>,
    /// How late the watches delivered; `None`: the run had no object of its own to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryFinding>,
    /// The writes of the quiet time before the first fault; `None`: they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<WritesFinding>,
    /// Times after the first fault's request whose records could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Unreadable>,
    /// What makes the numbers less reliable.
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

/// A period for which recorded data could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Unreadable {
    /// The last moment before it that is known; `None`: it began with the run.
    pub from: Option<Seconds>,
    /// The first moment after it that is known; `None`: it lasted to the end.
    pub until: Option<Seconds>,
}

/// A period in which something was not observed, and may have changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Unobserved {
    /// When it began.
    pub from: Seconds,
    /// When it ended; `None`: it lasted to the end.
    pub until: Option<Seconds>,
    /// What could not be observed, and why.
    pub why: String,
}

impl Unreadable {
    /// Of the timeline: why nothing is known of that time.
    pub fn why(&self) -> String {
        format!("the timeline could not be read {self}")
    }

    /// Nothing is known of it. What began with the run began at `start`.
    pub fn unobserved(&self, start: Seconds) -> Unobserved {
        Unobserved { from: self.from.unwrap_or(start), until: self.until, why: self.why() }
    }

    /// Whether it has a moment in common with this time; `until` `None`: to the end.
    pub fn overlaps(&self, from: Seconds, until: Option<Seconds>) -> bool {
        self.from.zip(until).is_none_or(|(own, until)| own <= until)
            && self.until.is_none_or(|own| own >= from)
    }
}

/// A time in words; `until` `None`: to the end.
pub fn from_to(from: Seconds, until: Option<Seconds>) -> String {
    let until = until.map_or("on".into(), |until| format!("to {until:+.3}"));
    format!("from {from:+.3} {until}")
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.until) {
            (Some(from), until) => f.write_str(&from_to(from, until)),
            (None, Some(until)) => write!(f, "until {until:+.3}"),
            (None, None) => write!(f, "at any time"),
        }
    }
}

impl Findings {
    /// How late a watch may have shown this moment at most; `None`: not measured.
    pub fn delivered_within(&self, moment: Seconds) -> Option<Seconds> {
        let moments = &self.delivery.as_ref()?.moments;
        moments.iter().find(|one| one.at == moment).map(|one| one.at_most)
    }

    /// When a watch was down, after the first fault, or what it saw could not be read.
    pub fn watch_gaps(&self, wanted: &str) -> impl Iterator<Item = Unobserved> {
        let gaps = self.warnings.iter().filter_map(move |warning| match warning {
            Warning::WatchGap { watch, from, until, .. } if watch == wanted => {
                let why = format!("the watch of {watch} was down {}", from_to(*from, *until));
                Some(Unobserved { from: *from, until: *until, why })
            }
            _ => None,
        });
        let ever = Seconds::from_nanos(i64::MIN);
        gaps.chain(self.unreadable.iter().map(move |time| time.unobserved(ever)))
    }

    /// A moment after `since` that a record shows, where an earlier record that could not be read
    /// may have shown it, too.
    pub fn shown(&self, when: When, since: Seconds) -> When {
        let missed = self.unreadable.iter().filter(|time| time.overlaps(since, Some(when.latest)));
        let earliest = missed.map(|time| time.from.map_or(since, |from| from.max(since)));
        let earliest = earliest.fold(when.earliest, Seconds::min);
        When { earliest, ..when }
    }

    /// The same, where its watch may have been late, too.
    pub fn happened(&self, when: When, since: Seconds) -> When {
        let shown = self.shown(when, since);
        let late = self.delivered_within(when.latest).unwrap_or_default();
        When { earliest: shown.earliest.min((when.latest - late).max(since)), ..shown }
    }

    /// Why what no record since then shows may have been so all the same.
    pub fn unreadable_since(&self, since: Seconds) -> Option<String> {
        let time = self.unreadable.iter().find(|time| time.overlaps(since, None))?;
        Some(time.why())
    }

    /// Until when a fault was in effect as far as is known: its undo, or where a run was cut short.
    pub fn held_until(&self, fault: &FaultFinding) -> Option<Seconds> {
        fault.undo_requested.or(self.cut_at)
    }

    /// When the last of all faults was over, which is when its undo was confirmed, if it has one; `None` without any, or when one never was.
    pub fn last_undone(&self) -> Option<Seconds> {
        last_ended(&self.faults).map(|ended| ended.latest)
    }

    /// When the steady state was back after that.
    pub fn recovered(&self) -> Option<When> {
        let (took, ended) = (self.recovery?, last_ended(&self.faults)?);
        Some(When { earliest: ended.latest + took.least, latest: ended.earliest + took.most })
    }

    /// When the last of all undos was requested; `None` without any.
    pub fn last_undo_requested(&self) -> Option<Seconds> {
        self.faults.iter().filter_map(|fault| fault.undo_requested).max()
    }

    /// The fault that was over last.
    pub fn last_undone_fault(&self) -> Option<&FaultFinding> {
        self.faults.iter().max_by_key(|fault| fault.over())
    }
}

/// When the last of these faults was over; `None` without any, or when one never was.
pub(in crate::analysis) fn last_ended(faults: &[FaultFinding]) -> Option<When> {
    let ended: Option<Vec<When>> = faults.iter().map(FaultFinding::ended).collect();
    ended?.into_iter().reduce(When::later)
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
    /// It ran to its end.
    Complete,
    /// It was ended by a signal.
    Interrupted {
        /// The signal.
        signal: String,
    },
    /// It failed.
    Failed {
        /// The error.
        error: String,
    },
    /// It was refused before any fault was injected.
    Refused {
        /// Why.
        error: String,
    },
    /// It is still running: its timeline was being written when it was read.
    Running,
    /// Its timeline has no end and is not being written any more: the program was killed or crashed.
    Died,
}

/// How a run stands that did not come to its planned end, or not yet.
pub struct Ending<'a> {
    /// In a word: `interrupted`, `failed`, `refused`, `unfinished`, `running`.
    pub state: &'static str,
    /// The signal, the error, or what else is known.
    pub why: &'a str,
    /// Why its verdict is no more than it is.
    pub issue: String,
}

impl Completion {
    /// `None`: it ran to its end.
    pub fn ending(&self) -> Option<Ending<'_>> {
        let (state, why, issue) = match self {
            Completion::Complete => return None,
            Completion::Running => {
                ("running", "the run is still in progress", "the run is still in progress".into())
            }
            Completion::Interrupted { signal } => {
                ("interrupted", &**signal, format!("the run was interrupted ({signal})"))
            }
            Completion::Failed { error } => ("failed", &**error, format!("run error: {error}")),
            Completion::Refused { error } => {
                ("refused", &**error, format!("refused before any fault was injected: {error}"))
            }
            Completion::Died => (
                "unfinished",
                "the run did not finish",
                "the run did not finish: its timeline is incomplete".into(),
            ),
        };
        Some(Ending { state, why, issue })
    }

    /// Whether its measurements can decide anything: those of one that was refused, or that still
    /// goes on, cannot.
    pub fn is_judged(&self) -> bool {
        !matches!(self, Completion::Refused { .. } | Completion::Running)
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

/// Whether the steady state was reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Steady {
    /// When it was reached: the last moment at which one of its conditions was met. `None`: it was
    /// not reached in time.
    pub held_since: Option<Seconds>,
    /// When that became known.
    pub confirmed: Seconds,
    /// Each condition and what was seen; only those that were not met, if it was not reached.
    pub conditions: Vec<String>,
}

/// Something that was observed at a point in time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// When this program learned of it.
    pub at: Seconds,
    /// The source's own timestamp; Kubernetes' has whole seconds.
    pub own_time: Option<Seconds>,
    /// What it was.
    pub what: String,
    /// The exit code of the container's first process, if it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

/// A pod of the run's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PodFinding {
    /// The pod.
    pub pod: String,
    /// The node that it was bound to last.
    pub node: Option<String>,
    /// Its controller: `ReplicaSet/web-559b`. `None`: a bare pod.
    pub owner: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it came; `None`: it was there before the first fault.
    pub appeared: Option<When>,
    /// When a new one was first seen on a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<When>,
    /// Why the scheduler found no node for a new one, as it said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unschedulable: Option<String>,
    /// When a new one was first Ready.
    pub ready: Option<When>,
    /// When a container of it was first started again in place after the first fault's request.
    pub restarted: Option<When>,
    /// How often its containers were restarted, in total.
    pub restarts: u32,
    /// When its deletion began, or when it was gone.
    pub left: Option<When>,
}

/// The cluster's objects before the first fault and after the recovery, but for those that come and go by themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ObjectsFinding {
    /// The number of them.
    pub before: u32,
    /// The number of those that still exist as the same objects.
    #[serde(default)]
    pub kept: u32,
    /// Those that are gone, or replaced by others of the same name; `None`: they were not listed again.
    pub missing: Option<Vec<String>>,
    /// Objects that a controller creates for another object and that it has replaced by others.
    #[serde(default)]
    pub replaced: u32,
    /// Those that a controller creates for another object, that no longer exist, and that were not
    /// replaced.
    #[serde(default)]
    pub unreplaced: Vec<String>,
    /// The number of those whose kinds could not be listed afterwards.
    #[serde(default)]
    pub unseen: u32,
    /// Those that exist but have changed.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Kinds that could not be listed, with the reason.
    pub unread: Vec<String>,
}

/// A node that no fault hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OtherNode {
    /// The node.
    pub node: String,
    /// Whether it was Ready when the first fault was requested; `None`: not known.
    pub ready_before: Option<bool>,
    /// When it first left Ready after that; `None`: it never did, as far as a watch saw, or was not Ready at all.
    pub left_ready: Option<When>,
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
