//! What is tried: which faults befall which nodes, and who asks what meanwhile.

use std::time::Duration;

use super::action::{Action, Component};
use super::machine::{Effect, Model};
use super::topology::{NodeId, PodSpec, Topology};

/// A course of events, to be tried many times at random phases.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The cluster's nodes.
    pub topology: Topology,
    /// The node of each pod of the Service that is asked.
    pub pods: Vec<NodeId>,
    /// What these pods are.
    pub pod: PodSpec,
    /// Whether a ReplicaSet owns them; bare pods are not replaced.
    pub owned: bool,
    /// The node whose kube-proxy the clients' connections go through.
    pub asked_from: NodeId,
    /// After how long a client gives a request up.
    pub timeout: Duration,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
    /// How long after the last step a trial is followed at most. It ends sooner when all is well again.
    pub horizon: Duration,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A fault that is held and then undone.
    Fault {
        /// What.
        kind: FaultKind,
        /// Where.
        node: NodeId,
        /// From its effect to its undo.
        hold: Duration,
    },
    /// Nothing, for so long.
    Pause(Duration),
}

/// What may befall a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An orderly shutdown.
    NodeStop {
        /// How long the machine has for it.
        grace: Duration,
    },
    /// Power loss.
    NodeKill,
    /// A freeze.
    NodePause,
    /// A cut cable.
    NodeDisconnect,
    /// The kubelet alone stops.
    KubeletStop,
    /// A part of the control plane ends and is held down.
    ComponentStop(Component),
    /// A part of the control plane freezes.
    ComponentPause(Component),
}

impl FaultKind {
    /// The fault of this name in an experiment (`nodeStop`, ...). `None`: one that is not modelled.
    pub fn of_fault(kind: &str, grace: Option<Duration>) -> Option<Self> {
        match kind {
            "nodeStop" => {
                Some(FaultKind::NodeStop { grace: grace.unwrap_or(Duration::from_secs(10)) })
            }
            "nodeKill" => Some(FaultKind::NodeKill),
            "nodePause" => Some(FaultKind::NodePause),
            "nodeDisconnect" => Some(FaultKind::NodeDisconnect),
            "kubeletStop" => Some(FaultKind::KubeletStop),
            _ => None,
        }
    }

    /// The deed.
    pub fn action(self, node: NodeId) -> Action {
        match self {
            FaultKind::NodeStop { grace } => Action::Stop { node, grace },
            FaultKind::NodeKill => Action::Kill { node },
            FaultKind::NodePause => Action::Pause { node },
            FaultKind::NodeDisconnect => Action::Disconnect { node },
            FaultKind::KubeletStop => Action::StopKubelet { node },
            FaultKind::ComponentStop(component) => Action::StopComponent { node, component },
            FaultKind::ComponentPause(component) => Action::PauseComponent { node, component },
        }
    }

    /// Its undo.
    pub fn undo(self, node: NodeId) -> Action {
        match self {
            FaultKind::NodeStop { .. } | FaultKind::NodeKill => Action::Start { node },
            FaultKind::NodePause => Action::Unpause { node },
            FaultKind::NodeDisconnect => Action::Reconnect { node },
            FaultKind::KubeletStop => Action::StartKubelet { node },
            FaultKind::ComponentStop(component) => Action::StartComponent { node, component },
            FaultKind::ComponentPause(component) => Action::UnpauseComponent { node, component },
        }
    }

    /// Whether it has taken effect, or never will: what a fault's confirmation waits for.
    pub fn holds(self, node: NodeId, model: &Model) -> bool {
        model.node(node).effect(self.action(node)) != Effect::Coming
    }
}
