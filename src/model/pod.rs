//! Pods and their owners, as the machines keep them.

use std::sync::Arc;

use serde_json::Value;

use super::change::Backend;
use super::settings::Nanos;
use super::topology::{Controller, NodeId, OwnerId, PodSpec, Spread, Tolerates};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not bound, or its containers have not run yet.
    Pending,
    /// Its containers ran, as far as the API knows.
    Running,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// Not started yet, or not since the last boot.
    Waiting,
    Running,
    /// Ended; its address is still there.
    Ended,
    /// Ended, and its address with it.
    Vanished,
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) owner: Option<OwnerId>,
    /// Of a StatefulSet: the first that was free.
    pub(super) ordinal: usize,
    pub(super) node: Option<NodeId>,
    pub(super) phase: Phase,
    pub(super) ready: bool,
    pub(super) terminating: bool,
    pub(super) endpoint: Option<bool>,
    pub(super) container: Container,
    pub(super) backend: Backend,
    pub(super) starts_in: Nanos,
    pub(super) stops_in: Nanos,
    pub(super) tolerates_not_ready: Tolerates,
    pub(super) tolerates_unreachable: Tolerates,
    pub(super) tolerates_control_plane: bool,
    pub(super) tolerations: Arc<[Value]>,
    pub(super) spread: Spread,
    pub(super) only_on: Vec<NodeId>,
    /// By node: whether its kube-proxy sends connections here.
    pub(super) routed: Vec<bool>,
}

impl Pod {
    pub(super) fn gone(&self) -> bool {
        self.phase == Phase::Gone
    }

    /// Neither gone nor going.
    pub(super) fn active(&self) -> bool {
        !self.gone() && !self.terminating
    }

    pub(super) fn routed_from(&self, node: NodeId) -> bool {
        self.routed[node.0]
    }

    pub(super) fn may_run_on(&self, node: NodeId) -> bool {
        self.only_on.is_empty() || self.only_on.contains(&node)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) template: PodSpec,
    pub(super) controller: Controller,
    pub(super) replicas: usize,
    pub(super) deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PodState {
    /// Its ReplicaSet or StatefulSet; `None`: a bare pod.
    pub owner: Option<OwnerId>,
    /// Of a StatefulSet: its number in its name.
    pub ordinal: usize,
    pub node: Option<NodeId>,
    pub phase: Phase,
    pub ready: bool,
    /// Whether it has a deletion timestamp.
    pub terminating: bool,
    /// How slices show it; `None`: not in them.
    pub endpoint: Option<bool>,
    /// What a client of it meets.
    pub backend: Backend,
}
