//! What is tried: which faults befall which nodes, and who asks what meanwhile.

use std::time::Duration;

use super::action::{Action, Component};
#[cfg(doc)]
use super::topology::TaintId;
use super::topology::{Controller, NodeId, PodSpec, Routing, Topology};
use crate::timeline::Taint;

/// A course of events, to be tried many times at random phases.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The cluster's nodes.
    pub topology: Topology,
    /// The node of each pod of the Service that is asked.
    pub pods: Vec<NodeId>,
    pub pod: PodSpec,
    pub controller: Controller,
    /// Which of them a connection goes to.
    pub routing: Routing,
    /// The node whose kube-proxy the clients' connections go through.
    pub asked_from: NodeId,
    /// After how long a client gives a request up.
    pub timeout: Duration,
    /// Who leads in the beginning; `None`: the seed draws.
    pub leads: Option<Leads>,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
    /// The taints of its steps, by [`TaintId`].
    pub taints: Vec<Taint>,
    /// How long after the last step a trial is followed at most. It ends sooner when all is well
    /// again.
    pub horizon: Duration,
}

/// A leader, as a fault that is aimed at one finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leads {
    /// The controller manager or the scheduler.
    pub component: Component,
    pub node: NodeId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A fault that is held and then undone.
    Fault {
        action: Action,
        /// From its effect to its undo: no less than what is done meanwhile takes.
        hold: Duration,
        /// What is done meanwhile, one after the other: taints, which no client notices by
        /// themselves, and pauses.
        meanwhile: Vec<Step>,
    },
    /// Nothing, for so long.
    Pause(Duration),
}

impl Step {
    /// The node that it hits; `None`: none.
    pub fn target(&self) -> Option<NodeId> {
        match self {
            Step::Fault { action, .. } => action.target(),
            Step::Pause(_) => None,
        }
    }
}
