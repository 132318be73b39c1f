//! One line of a timeline: something that happened, at a moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::clock::{Bracket, Moment};
use super::component::Component;
use super::fault_kind::FaultName;

/// Something that happened, stamped with the moment at which this program learned of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When this program learned of it.
    pub at: Moment,
    /// Set when it happened at an unknown time after this moment and by `at` (a watch was blind in
    /// between).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// An event learned of now.
    pub fn now(event: Event) -> Self {
        Self::at(Moment::now(), event)
    }

    /// An event learned of at `at`.
    pub fn at(at: Moment, event: Event) -> Self {
        Self { at, since: None, event }
    }

    /// When it happened, as far as is known.
    pub fn bracket(&self) -> Bracket {
        Bracket { earliest: self.since.unwrap_or(self.at), latest: self.at }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeRole {
    ControlPlane,
    /// Runs workloads only.
    Worker,
    /// kind's load balancer before several control planes; no node of Kubernetes.
    ExternalLoadBalancer,
}

impl NodeRole {
    /// The label and the taint of a control-plane node; their value is empty.
    pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";
    /// The annotation of a node that no fault may hit; `false` is as good as none.
    pub const PROTECTED: &str = "outage.dev/protected";

    /// The role as kind and experiments write it: `control-plane`.
    pub fn name(self) -> &'static str {
        match self {
            NodeRole::ControlPlane => "control-plane",
            NodeRole::Worker => "worker",
            NodeRole::ExternalLoadBalancer => "external-load-balancer",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ready {
    True,
    /// Reports trouble itself.
    False,
    /// Has not been heard of.
    Unknown,
}

/// Whether a watch delivered something as it happened, or as part of its first list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Was so already when the watch began.
    Baseline,
    Changed,
    Deleted,
}

/// What one fault, or its undo, has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultPhase {
    /// The undo record is on disk, and the fault is being injected.
    Requested,
    /// What else is on the node that is hit.
    AlsoHits,
    /// What the injection or the undo waits for.
    Waits,
    /// The call came back.
    Returned,
    /// The effect was seen to be there.
    Confirmed,
    UndoRequested,
    /// Its undo found that the effect had been over before.
    WoreOff,
    /// The effect was seen to be gone. Earlier timelines have `Undone` alone.
    Reverted,
    /// What it hit works again.
    Undone,
    /// It could not be undone, or what it hit does not work again.
    NotUndone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ProcessState {
    Running,
    /// It is stopped by a signal: frozen.
    Stopped,
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Its first address.
    pub address: String,
    /// The pod behind it.
    pub pod: Option<String>,
    pub node: Option<String>,
    /// Whether traffic is sent to it (absent means so, as in Kubernetes).
    pub ready: bool,
}

/// Which pod it is, and what its containers went through. Timelines of older programs have none of
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodIdentity {
    /// Its uid: another of the same name has another.
    pub uid: String,
    /// Its controller: `ReplicaSet/web-559b`. `None`: a bare pod.
    pub owner: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// How often its containers were restarted, in total.
    pub restarts: u32,
    /// Whether it is being deleted.
    pub ending: bool,
    /// Why the scheduler finds no node for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unschedulable: Option<String>,
}

/// Who counts writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WriteSource {
    ApiServer,
    Etcd,
}

/// An object, as an inventory has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectName {
    /// Its kind: `Deployment.apps`.
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub uid: String,
    /// Whether another object's controller makes and replaces it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub controlled: bool,
    /// The uid of that other object; `None`: there is none, or it is not known (timelines of older
    /// programs).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What is another when its content is: its generation, or its version where it has none.
    /// `None`: that isn't known of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let namespace =
            self.namespace.as_ref().map_or(String::new(), |namespace| format!("{namespace}/"));
        write!(f, "{} {namespace}{}", self.kind, self.name)
    }
}

/// A kind, or all kinds of an API group, whose objects could not be listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadKind {
    /// The kind: `Deployment.apps`; or all of a group: `*.metrics.k8s.io`.
    pub kind: String,
    pub why: String,
}

impl UnreadKind {
    /// Of a group that does not answer.
    pub(crate) fn of_group(group: &str, why: String) -> Self {
        Self { kind: format!("{EVERY_KIND}{group}"), why }
    }

    /// Whether objects of a kind are among what was not listed.
    pub(crate) fn covers(&self, kind: &str) -> bool {
        match self.kind.strip_prefix(EVERY_KIND) {
            Some(group) => kind.split_once('.').is_some_and(|(_, of)| of == group),
            None => self.kind == kind,
        }
    }
}

const EVERY_KIND: &str = "*.";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Event {
    /// A stage of the run began: `workload`, `steady state`, `fault`, ...
    Stage { name: String },
    /// A note of the engine; `warning` when it weakens a number.
    Note {
        /// Whether it weakens a number.
        warning: bool,
        text: String,
    },
    WorkloadReady {
        /// The namespace of the run.
        namespace: String,
    },
    /// A probe started. Its attempts are in their own file.
    ProbeStarted {
        probe: String,
        /// Whether it is a control probe. Earlier timelines do not say it: there its name does.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        control: bool,
    },
    /// A probe ended; with the reason when it did so by itself.
    ProbeStopped {
        probe: String,
        /// Why it exited unexpectedly.
        error: Option<String>,
    },
    /// The steady state held for as long as was asked.
    SteadyState {
        /// Before the fault, or after its undo.
        before: bool,
        /// Since when it has held: the last moment at which a condition of it came true.
        held_since: Moment,
        conditions: Vec<String>,
    },
    SteadyStateMissed {
        /// Before the fault, or after its undo.
        before: bool,
        /// Each condition that did not hold and what was seen.
        conditions: Vec<String>,
    },
    /// A fault, or its undo, went on.
    Fault {
        /// The fault's number in the method, from 0.
        step: u32,
        /// Its step's name. The records of an undo after an early end have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        fault: FaultName,
        /// The node, or other target, that it hits.
        target: String,
        /// The part of the control plane on that node that it hits; `None`: the node itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        component: Option<Component>,
        phase: FaultPhase,
        /// What was seen: `container exited`, the error, ...
        detail: String,
    },
    /// An event of the container engine on a node's container.
    Docker {
        container: String,
        /// The action: `die`, `stop`, `start`, `pause`, ...
        action: String,
        /// Docker's own time of it.
        engine_time: Option<jiff::Timestamp>,
        /// With which code the container's first process ended, where it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i64>,
    },
    /// A watch began to follow, or did so again after a gap.
    WatchStarted {
        /// What it follows: `nodes`, `leases`, ...
        watch: String,
    },
    /// A watch was blind for the bracket's time.
    WatchGap {
        watch: String,
        /// Blind from and until; `None` while it lasts.
        until: Option<Moment>,
        reason: String,
    },
    Node {
        node: String,
        change: Change,
        ready: Ready,
        /// The condition's reason: `KubeletReady`, `NodeStatusUnknown`.
        reason: String,
        /// The object's own timestamp of the change (whole seconds).
        transition: Option<jiff::Timestamp>,
        /// The object's own time of the last heartbeat (whole seconds).
        heartbeat: Option<jiff::Timestamp>,
        /// Taints, as `key:effect`.
        taints: Vec<String>,
    },
    /// A Lease was renewed or changed hands: a node's heartbeat, or a leader.
    Lease {
        namespace: String,
        name: String,
        change: Change,
        holder: Option<String>,
        /// The object's own time of the renewal (microseconds).
        renewed: Option<jiff::Timestamp>,
        /// How often it has changed hands.
        transitions: Option<i32>,
        /// For how long a renewal holds, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lasts_s: Option<i32>,
    },
    /// The process of a part of the control plane, as the node's observer saw it. The first record
    /// of each is how it was when the observer began, all others are changes.
    Process {
        node: String,
        component: Component,
        /// Its number; `None`: there is none.
        pid: Option<u32>,
        state: ProcessState,
    },
    /// The status of an etcd member, as the node's observer read it: the first, and all changes.
    EtcdMember {
        node: String,
        /// Whether it answered. Where it did not, the rest is nothing (`false`, 0).
        answers: bool,
        /// Whether it knows of a leader, and so of a quorum.
        has_leader: bool,
        is_leader: bool,
        /// How often it has seen the leader change since it started.
        leader_changes: u64,
    },
    /// A node's observer was blind for the bracket's time: nothing is known of its processes and
    /// its etcd member. Recorded when it begins (`until` is `None`) and again when it ends.
    ObserverGap {
        node: String,
        /// When it saw again; `None` while it is blind.
        until: Option<Moment>,
        reason: String,
    },
    /// The writes that an API server or an etcd member has counted since it started, read within the
    /// bracket's time: before the first fault, when the steady state begins to be waited for and again
    /// when it has held.
    WriteCounters {
        /// Whose.
        source: WriteSource,
        /// The API server's address, or the etcd member's node.
        name: String,
        /// When it started, as it says: another process counts anew.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        started: Option<String>,
        /// By kind of write: `PATCH nodes/status`; of etcd `put` and `delete`.
        counts: BTreeMap<String, u64>,
        /// Why they could not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unread: Option<String>,
    },
    /// An endpoint of a Service appeared, changed or left.
    Endpoint {
        service: String,
        change: Change,
        /// The endpoint, as it is now (as it was, when it left).
        #[serde(flatten)]
        endpoint: Endpoint,
    },
    /// A pod of the run's namespace.
    Pod {
        pod: String,
        change: Change,
        /// The node that it is bound to.
        node: Option<String>,
        phase: String,
        ready: bool,
        /// What else is known of it.
        #[serde(flatten)]
        identity: PodIdentity,
    },
    /// The objects that the cluster holds, other than those that come and go by themselves.
    Objects {
        /// Before the first fault, or after the recovery.
        before: bool,
        objects: Vec<ObjectName>,
        unread: Vec<UnreadKind>,
    },
    KubeEvent {
        /// `Normal` or `Warning`.
        kind: String,
        /// The reason: `NodeNotReady`.
        reason: String,
        /// What it is about: `Node/fast-detection-worker`.
        regarding: String,
        message: String,
        /// The object's own time (often whole seconds).
        time: Option<jiff::Timestamp>,
        change: Change,
    },
    /// A Deployment of a canary: what is asked of it, and how far its controller has come.
    Deployment {
        deployment: String,
        change: Change,
        /// Counts the changes of what is asked.
        generation: i64,
        /// The last of them that its controller has observed.
        observed: i64,
        wanted: i32,
        replicas: i32,
    },
    /// A timed-out attempt of a canary succeeded late.
    #[serde(rename = "cameTrue")]
    LateSuccess { probe: String, slot: u64 },
    Interrupted {
        /// By what: `SIGINT`.
        signal: String,
    },
    /// The run failed; what had been done was undone as the fault records say.
    Failed {
        /// What failed, with its causes.
        error: String,
        /// Whether it was refused before any fault was injected. Timelines of older programs do not
        /// say.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
    },
    /// Attempts of the bracket's time are missing: the prober had no room for them while nobody read
    /// what it found.
    AttemptsLost { probe: String, attempts: u64 },
    /// A prober's clock drifted: from here on its moments are less certain than its probes' files
    /// say.
    ClockDrift {
        probes: Vec<String>,
        /// How far its clock may be off the runner's, in nanoseconds.
        uncertainty_ns: u64,
    },
    /// The run's last record. A timeline without it is of a run that died.
    Ended,
}

/// The Lease of a run's namespace that is renewed to see how late watches deliver. The holder of each
/// record of it is the moment at which that renewal was sent, in nanoseconds of the runner's clock. It is
/// a Lease like any other, so that programs from before it can read the timeline.
pub const DELIVERY_LEASE: &str = "outage-watch-delivery";
/// The watch of it. A gap of it alone: what was written was not delivered.
pub const DELIVERY_WATCH: &str = "test renewals";

impl Event {
    /// The stage in which the watches end, and what the run made is removed.
    pub const CLEAN_UP: &'static str = "clean up";
    /// The stage in which faults are undone.
    pub const UNDO: &'static str = "undo";

    /// What a watch delivered, as this kind of change.
    pub(crate) fn with_change(mut self, to: Change) -> Self {
        match &mut self {
            Event::Node { change, .. }
            | Event::Lease { change, .. }
            | Event::Endpoint { change, .. }
            | Event::Pod { change, .. }
            | Event::KubeEvent { change, .. }
            | Event::Deployment { change, .. } => *change = to,
            _ => {}
        }
        self
    }
}
