//! What a fault on a node is planned from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::error::FaultError;
use super::record::{NodeTarget, mark};
use super::undo_timer::{UndoAfter, UndoTimer};
use crate::experiment::Fault;
use crate::timeline::NodeRole;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub fault: &'a Fault,
    pub target: &'a NodeTarget,
    /// What Kubernetes knows of it.
    pub facts: NodeFacts<'a>,
    /// All machines of the cluster, the load balancer among them.
    pub cluster: &'a [NodeTarget],
    /// The pod on the node that it hits; `None`: the node itself.
    pub pod: Option<PodContainers<'a>>,
    pub run: &'a str,
    /// The step of its method, from 0.
    pub step: u32,
    /// When the fault is undone if its run has died.
    pub undo_after: UndoAfter,
}

/// What Kubernetes knows of a node, for commands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NodeFacts<'a> {
    pub address: Option<&'a str>,
    pub provider_id: Option<&'a str>,
    pub labels: Option<&'a BTreeMap<String, String>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PodContainers<'a> {
    pub pod: &'a str,
    /// The containers' ids, without the runtime's name.
    pub ids: &'a [String],
    /// Tells the pods of a step apart.
    pub number: usize,
}

impl Plan<'_> {
    pub(super) fn undo_timer(&self) -> UndoTimer {
        UndoTimer { mark: mark(self.run, self.step), times: self.undo_after }
    }

    /// The addresses of the other machines with such a role.
    pub(super) fn others(&self, wanted: impl Fn(NodeRole) -> bool) -> Vec<IpAddr> {
        let others = self
            .cluster
            .iter()
            .filter(|other| other.container_id != self.target.container_id && wanted(other.role));
        others.flat_map(|other| other.addresses.values().flatten().copied()).collect()
    }

    pub(super) fn another_fault(&self) -> FaultError {
        self.impossible(format!("{} is not a fault on a node", self.fault.kind()), None)
    }

    /// The fault can't be injected here.
    pub(super) fn impossible(&self, why: String, hint: Option<&'static str>) -> FaultError {
        FaultError::Impossible { why, hint }
    }
}
