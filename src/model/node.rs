//! One node: its machine, its kubelet, its object in the API, and what the controller remembers of
//! it.

use std::time::Duration;

use super::action::{Action, Component};
use super::change::{Power, Taint};
use super::settings::{LEASE_RETRY_FIRST, Nanos, Settings};
use super::topology::{NodeSpec, TaintId};
use crate::timeline::{NodeRole, Ready};

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) power: Power,
    pub(super) frozen: bool,
    pub(super) connected: bool,
    /// Whether the way to other nodes' API servers is cut.
    pub(super) api_cut: bool,
    /// What was asked of it while it boots, and is done when it is up.
    pub(super) put_off: Vec<Action>,
    /// How many pods are bound to it that are not gone.
    pub(super) pods: usize,
    /// Keeps pods off that do not tolerate the control plane's taint.
    pub(super) control_plane_taint: bool,
    pub(super) cordoned: bool,
    /// Those that somebody set.
    pub(super) taints: Vec<TaintId>,
    pub(super) kubelet: Kubelet,
    /// The API object.
    pub(super) object: Object,
    /// What the node lifecycle controller remembers; `None` where a new leader has not seen the
    /// node yet.
    pub(super) health: Option<Health>,
    /// What the controller's cache shows while its watches are broken.
    pub(super) cached: Option<Object>,
    /// Its parts of the control plane, if it has one.
    pub(super) plane: Option<Plane>,
    /// Whether an API server could be reached (no more than: the way there is open).
    pub(super) reaches: bool,
    /// Whether its agents have a connection.
    pub(super) online: bool,
    /// Whether its kube-proxy's watch is connected.
    pub(super) watching: bool,
    /// Since when it is cut off: from the API, or from time.
    pub(super) lost_at: Nanos,
    /// What cut it off, where it is.
    pub(super) cut: Option<Cut>,
    /// When its kube-proxy last wrote its rules.
    pub(super) proxy_synced: Option<Nanos>,
    /// Its place in the controller's zones.
    pub(super) zone: usize,
}

/// A Node and its Lease in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) ready: Ready,
    pub(super) reason: &'static str,
    pub(super) ready_since: Nanos,
    /// `lastHeartbeatTime`, in whole seconds of the wall clock: that is all the API has.
    pub(super) heartbeat: u64,
    pub(super) posted: Nanos,
    pub(super) renewed: Nanos,
    pub(super) taints: u8,
}

impl Object {
    pub(super) fn has(&self, taint: Taint) -> bool {
        self.taints & taint.bit() != 0
    }
}

impl Node {
    pub(super) fn new(spec: &NodeSpec, settings: &Settings) -> Self {
        let object = Object {
            ready: Ready::True,
            reason: "KubeletReady",
            ready_since: 0,
            heartbeat: 0,
            posted: 0,
            renewed: 0,
            taints: 0,
        };
        Self {
            power: Power::On,
            frozen: false,
            connected: true,
            api_cut: false,
            put_off: Vec::new(),
            pods: 0,
            control_plane_taint: spec.tainted,
            cordoned: false,
            taints: Vec::new(),
            kubelet: Kubelet::new(settings),
            object,
            health: None,
            cached: None,
            plane: (spec.role == NodeRole::ControlPlane).then(Plane::default),
            reaches: true,
            online: true,
            watching: true,
            lost_at: 0,
            cut: None,
            proxy_synced: None,
            zone: 0,
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.power.is_up() && !self.frozen
    }

    /// Whether its kubelet runs and can talk to the API.
    pub(super) fn kubelet_works(&self) -> bool {
        self.kubelet.running && self.runs() && self.online
    }

    pub(super) fn state(&self) -> NodeState {
        let object = &self.object;
        NodeState {
            ready: object.ready,
            reason: object.reason,
            ready_since: Duration::from_nanos(object.ready_since),
            status_posted: Duration::from_nanos(object.posted),
            lease_renewed: Duration::from_nanos(object.renewed),
            taints: object.taints,
            power: self.power,
            frozen: self.frozen,
            connected: self.connected,
            api_cut: self.api_cut,
            kubelet: self.kubelet.running,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeState {
    /// Its condition Ready, as the API has it.
    pub ready: Ready,
    pub reason: &'static str,
    /// Since when it is so: since the model's beginning.
    pub ready_since: Duration,
    pub status_posted: Duration,
    pub lease_renewed: Duration,
    pub(super) taints: u8,
    pub power: Power,
    pub frozen: bool,
    /// Whether its cable is plugged in.
    pub connected: bool,
    /// Whether the way to other nodes' API servers is cut.
    pub api_cut: bool,
    /// Whether its kubelet runs (it may be frozen with its node).
    pub kubelet: bool,
}

/// A process, as those see it who talk to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Runs,
    /// It is there, and does nothing.
    Frozen,
    Gone,
}

impl NodeState {
    /// What became of an action on this node.
    pub(crate) fn effect(&self, action: Action) -> Effect {
        let off = self.power == Power::Off;
        let there = match action {
            Action::Stop { .. } | Action::Kill { .. } => off,
            Action::Start { .. } => self.power == Power::On,
            Action::Pause { .. } | Action::StopKubelet { .. } if off => return Effect::Never,
            Action::Pause { .. } => self.frozen,
            Action::Unpause { .. } => !self.frozen,
            Action::Disconnect { .. } => !self.connected,
            Action::CutFromApi { .. } => self.api_cut,
            Action::Reconnect { .. } => self.connected && !self.api_cut,
            Action::StopKubelet { .. } => !self.kubelet && self.power != Power::Booting,
            Action::StartKubelet { .. } => self.kubelet,
            _ => true,
        };
        if there { Effect::There } else { Effect::Coming }
    }

    #[cfg(test)]
    pub(crate) fn has(&self, taint: Taint) -> bool {
        self.taints & taint.bit() != 0
    }
}

/// How far an action's effect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It can be seen.
    There,
    Coming,
    /// It can't be: the machine is off.
    Never,
}

/// A node's condition Ready.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadyCondition {
    pub(super) ready: Ready,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct Kubelet {
    pub(super) running: bool,
    /// Whether it is to run.
    pub(super) wanted: bool,
    /// Whether it finds its node not ready.
    pub(super) ails: bool,
    /// Its last status post; `None` since it was started.
    pub(super) reported: Option<Nanos>,
    /// The wait that makes a status post due: the report frequency, and once after a change half of
    /// it more or less.
    pub(super) report_after: Nanos,
    pub(super) lease_retry: Nanos,
}

impl Kubelet {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            running: true,
            wanted: true,
            ails: false,
            reported: Some(0),
            report_after: settings.status_report,
            lease_retry: LEASE_RETRY_FIRST,
        }
    }

    pub(super) fn ready(&self) -> ReadyCondition {
        match self.ails {
            true => ReadyCondition { ready: Ready::False, reason: "KubeletNotReady" },
            false => ReadyCondition { ready: Ready::True, reason: "KubeletReady" },
        }
    }
}

/// The parts of the control plane on one node, by [`Component::index`].
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) up: [bool; 4],
    /// Held down: not to be started again.
    pub(super) held: [bool; 4],
    pub(super) frozen: [bool; 4],
    pub(super) serves: [bool; 4],
    pub(super) candidates: [Candidate; 2],
}

impl Default for Plane {
    fn default() -> Self {
        let candidates = [Candidate::default(); 2];
        Self { up: [true; 4], held: [false; 4], frozen: [false; 4], serves: [false; 4], candidates }
    }
}

impl Plane {
    /// A part's process, whether or not its machine runs.
    pub(super) fn process(&self, component: Component) -> Process {
        match (self.up[component.index()], self.frozen[component.index()]) {
            (false, _) => Process::Gone,
            (true, true) => Process::Frozen,
            (true, false) => Process::Runs,
        }
    }
}

/// What cut a node's agents off. The later ones take longer to come back from, and hide the
/// earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cut {
    /// The API servers are frozen: connections to them stay, and go on when they do.
    Silence,
    /// No API server answered.
    Api,
    Cable,
    Frozen,
    /// Switched off.
    Off,
}

/// A write to a leader's lease, as a candidate saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenWrite {
    pub(super) version: u64,
    pub(super) at: Nanos,
}

/// What a process knows of its election.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Candidate {
    pub(super) leads: bool,
    pub(super) life: u32,
    /// The write that it saw last.
    pub(super) seen: Option<SeenWrite>,
    /// Since when it can't renew.
    pub(super) failing: Option<Nanos>,
}

impl Candidate {
    /// The process ends; the next one of it knows nothing.
    pub(super) fn end(&mut self) {
        *self = Self { life: self.life + 1, ..Self::default() };
    }
}

/// What the controller remembers of a node (`nodeHealthData`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    /// `probeTimestamp`: the pass at which a sign of life was last seen.
    pub(super) stamp: Nanos,
    /// The heartbeat of the status that it knew.
    pub(super) heartbeat: u64,
    /// The renewal of the lease that it knew.
    pub(super) lease: Option<Nanos>,
    /// Whether its pods are still to be marked (`nodesToRetry`).
    pub(super) retry: bool,
}
