//! What may be done to the modelled cluster.

use std::time::Duration;

use super::detection::{BY_COMMAND, SLOW_KUBELET};
use super::topology::{NodeId, OwnerId, PodId, TaintId};
pub use crate::timeline::Component;
use crate::timeline::{Cut, Ends, FaultFacts, FaultTraits, Impact};

impl Component {
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// One action, at an instant that the caller gives.
///
/// Each is idempotent: what is so already is left alone. An undo of what was not done changes
/// nothing. A fault on a node that boots happens when it is up, unless it is undone before; a
/// frozen machine or an ended kubelet there can't be where the machine is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Shuts a node down in order, as `docker stop` does: its kubelet and its containers end soon,
    /// the machine when the grace is over (a shutdown in a container waits for processes that
    /// ignore SIGTERM).
    Stop {
        node: NodeId,
        /// Until the machine is off; Docker gives 10 s.
        grace: Duration,
    },
    /// Takes a node's power: all in it ends immediately.
    Kill { node: NodeId },
    /// Starts a stopped or killed node.
    Start { node: NodeId },
    /// Freezes a node: nothing in it runs, its sockets stay.
    Pause { node: NodeId },
    /// Unfreezes a node.
    Unpause { node: NodeId },
    /// Cuts a node's cable.
    Disconnect { node: NodeId },
    /// Drops the packets between a node and the API servers of the others. Its pods can be reached.
    CutFromApi { node: NodeId },
    /// Plugs it in again, and drops nothing any more.
    Reconnect { node: NodeId },
    /// Stops a node's kubelet; its pods go on.
    StopKubelet { node: NodeId },
    /// Starts it again.
    StartKubelet { node: NodeId },
    /// The kubelet lives and reports that its node is not ready (a container runtime that is down):
    /// Ready is False, not Unknown.
    Ail { node: NodeId },
    /// The kubelet reports that its node is ready again.
    Heal { node: NodeId },
    /// Ends a part of the control plane and holds it down (its static pod's manifest is moved
    /// away).
    StopComponent { node: NodeId, component: Component },
    /// Lets it start again.
    StartComponent { node: NodeId, component: Component },
    /// Ends a part of the control plane; the kubelet starts it again by itself.
    KillComponent { node: NodeId, component: Component },
    /// Freezes a part of the control plane.
    PauseComponent { node: NodeId, component: Component },
    /// Unfreezes it.
    UnpauseComponent { node: NodeId, component: Component },
    /// Sets an owner's number of replicas (an API write: the caller asks
    /// [`super::Model::api_serves`] first).
    Scale { owner: OwnerId, replicas: usize },
    /// Deletes an owner and its pods (an API write).
    DeleteOwner { owner: OwnerId },
    /// Keeps new pods off a node, or lets them on it again (an API write).
    Cordon { node: NodeId, cordoned: bool },
    /// Sets one of a node's taints, or removes it (an API write).
    Taint { node: NodeId, taint: TaintId, present: bool },
    /// Deletes a pod: it is Terminating until its kubelet says that it has ended (an API write).
    DeletePod {
        pod: PodId,
        /// Whether it is gone immediately, whatever its kubelet says (`--force --grace-period=0`).
        force: bool,
    },
}

impl Action {
    /// The node that it is done to; `None`: something else.
    pub fn target(self) -> Option<NodeId> {
        match self {
            Action::StopComponent { node, .. }
            | Action::StartComponent { node, .. }
            | Action::KillComponent { node, .. }
            | Action::PauseComponent { node, .. }
            | Action::UnpauseComponent { node, .. }
            | Action::Taint { node, .. } => Some(node),
            _ => self.node(),
        }
    }

    /// The node whose machine, cable or kubelet it is done to; `None`: something else's.
    pub fn node(self) -> Option<NodeId> {
        match self {
            Action::Stop { node, .. }
            | Action::Kill { node }
            | Action::Start { node }
            | Action::Pause { node }
            | Action::Unpause { node }
            | Action::Disconnect { node }
            | Action::CutFromApi { node }
            | Action::Reconnect { node }
            | Action::StopKubelet { node }
            | Action::StartKubelet { node } => Some(node),
            _ => None,
        }
    }

    /// A fault on a node, by what it takes away. Whether a kubelet is stopped or frozen, nobody
    /// hears of it. Errors say why it is not modelled.
    pub fn of_fault(fault: FaultFacts, node: NodeId) -> Result<Self, &'static str> {
        let component = fault.component.ok_or("the control-plane component is not known");
        let FaultTraits { impact, ends, by_command, .. } = fault.traits;
        if by_command {
            return Err(BY_COMMAND);
        }
        match (impact, ends) {
            (Impact::MachineOff, Ends::ByItself) => {
                Err("a node that starts again by itself is not modelled")
            }
            (Impact::MachineOff, _) => Ok(match fault.grace {
                Some(grace) => Action::Stop { node, grace },
                None => Action::Kill { node },
            }),
            (Impact::MachineFrozen, _) => Ok(Action::Pause { node }),
            (Impact::Network | Impact::SomeNetwork, _) => match fault.cut {
                Some(Cut::All) => Ok(Action::Disconnect { node }),
                Some(Cut::ApiServer) => Ok(Action::CutFromApi { node }),
                _ => Err("cuts in one direction, or from some nodes only, are not modelled"),
            },
            (Impact::Kubelet, _) => Ok(Action::StopKubelet { node }),
            (Impact::KubeletSlow, _) => Err(SLOW_KUBELET),
            (Impact::ProcessGone, Ends::ByItself) => {
                Ok(Action::KillComponent { node, component: component? })
            }
            (Impact::ProcessGone, _) => Ok(Action::StopComponent { node, component: component? }),
            (Impact::ProcessFrozen, _) => {
                Ok(Action::PauseComponent { node, component: component? })
            }
            (Impact::EtcdData, _) => Err("etcd's data is not modelled"),
            (Impact::Containers, _) => Err("containers that end one by one are not modelled"),
            (Impact::Objects, _) => Err("changes to objects through the API are not modelled"),
            (Impact::Command, _) => Err("what a command does is not known"),
            (Impact::Unknown, _) => Err("it is not known to this version"),
        }
    }

    /// The undo of a fault on a node. A part that was killed is started again by its kubelet, or is
    /// about to be.
    pub fn undo(self) -> Option<Action> {
        match self {
            Action::Stop { node, .. } | Action::Kill { node } => Some(Action::Start { node }),
            Action::Pause { node } => Some(Action::Unpause { node }),
            Action::Disconnect { node } | Action::CutFromApi { node } => {
                Some(Action::Reconnect { node })
            }
            Action::StopKubelet { node } => Some(Action::StartKubelet { node }),
            Action::StopComponent { node, component }
            | Action::KillComponent { node, component } => {
                Some(Action::StartComponent { node, component })
            }
            Action::PauseComponent { node, component } => {
                Some(Action::UnpauseComponent { node, component })
            }
            Action::Taint { node, taint, present } => {
                Some(Action::Taint { node, taint, present: !present })
            }
            _ => None,
        }
    }

    /// Whether it can only be done to a machine that is up.
    pub(super) fn needs_power(self) -> bool {
        matches!(
            self,
            Action::Stop { .. }
                | Action::Kill { .. }
                | Action::Pause { .. }
                | Action::StopKubelet { .. }
        )
    }
}
