//! One node: its machine, its kubelet, its object in the API, and what the controller remembers of
//! it.

use super::action::Action;
use super::change::{Power, Taint};
use super::control_plane::{Cut, Plane};
use super::kubelet::Kubelet;
use super::machine::NodeState;
use super::node_lifecycle::Health;
use super::settings::{Nanos, Settings};
use super::topology::NodeSpec;
use crate::timeline::{NodeRole, Ready};

use std::time::Duration;

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

    /// Whether processes in it run.
    pub(super) fn runs(&self) -> bool {
        matches!(self.power, Power::On | Power::Stopping) && !self.frozen
    }

    /// Whether its kubelet runs and can talk to the API.
    pub(super) fn kubelet_works(&self) -> bool {
        self.kubelet.running && self.runs() && self.online
    }

    pub(super) fn state(&self) -> NodeState {
        NodeState::of(self)
    }
}

impl NodeState {
    fn of(node: &Node) -> Self {
        let object = &node.object;
        Self {
            ready: object.ready,
            reason: object.reason,
            ready_since: Duration::from_nanos(object.ready_since),
            status_posted: Duration::from_nanos(object.posted),
            lease_renewed: Duration::from_nanos(object.renewed),
            taints: object.taints,
            power: node.power,
            frozen: node.frozen,
            connected: node.connected,
            api_cut: node.api_cut,
            kubelet: node.kubelet.running,
        }
    }
}
