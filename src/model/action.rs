//! What may be done to the modelled cluster.

use std::time::Duration;

use super::topology::{NodeId, OwnerId, PodId};
pub use crate::timeline::Component;
use crate::timeline::FaultKind;

impl Component {
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// One action, at an instant that the caller gives.
///
/// Each is idempotent: what is so already is left alone. An undo of what was not done changes
/// nothing. What harms a node that boots is done when it is up, unless it is taken back before; a
/// frozen machine or an ended kubelet there can't be where the machine is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Shuts a node down in order, as `docker stop` does: its kubelet and its containers end soon,
    /// the machine when the grace is over (a shutdown in a container waits for processes that
    /// ignore SIGTERM).
    Stop {
        /// Which.
        node: NodeId,
        /// Until the machine is off; Docker gives 10 s.
        grace: Duration,
    },
    /// Takes a node's power: all in it ends immediately.
    Kill {
        /// Which.
        node: NodeId,
    },
    /// Starts a stopped or killed node.
    Start {
        /// Which.
        node: NodeId,
    },
    /// Freezes a node: nothing in it runs, its sockets stay.
    Pause {
        /// Which.
        node: NodeId,
    },
    /// Thaws a node.
    Unpause {
        /// Which.
        node: NodeId,
    },
    /// Cuts a node's cable.
    Disconnect {
        /// Which.
        node: NodeId,
    },
    /// Plugs it in again.
    Reconnect {
        /// Which.
        node: NodeId,
    },
    /// Stops a node's kubelet; its pods go on.
    StopKubelet {
        /// Which.
        node: NodeId,
    },
    /// Starts it again.
    StartKubelet {
        /// Which.
        node: NodeId,
    },
    /// The kubelet lives and reports that its node is not ready (a container runtime that is down):
    /// Ready is False, not Unknown.
    Ail {
        /// Which.
        node: NodeId,
    },
    /// The kubelet reports that its node is ready again.
    Heal {
        /// Which.
        node: NodeId,
    },
    /// Ends a part of the control plane and holds it down (its static pod's manifest is moved
    /// away).
    StopComponent {
        /// On which node.
        node: NodeId,
        /// Which.
        component: Component,
    },
    /// Lets it start again.
    StartComponent {
        /// On which node.
        node: NodeId,
        /// Which.
        component: Component,
    },
    /// Ends a part of the control plane; the kubelet starts it again by itself.
    KillComponent {
        /// On which node.
        node: NodeId,
        /// Which.
        component: Component,
    },
    /// Freezes a part of the control plane.
    PauseComponent {
        /// On which node.
        node: NodeId,
        /// Which.
        component: Component,
    },
    /// Thaws it.
    UnpauseComponent {
        /// On which node.
        node: NodeId,
        /// Which.
        component: Component,
    },
    /// Sets an owner's number of replicas (an API write: the caller asks
    /// [`super::Model::api_serves`] first).
    Scale {
        /// Which.
        owner: OwnerId,
        /// How many.
        replicas: usize,
    },
    /// Deletes an owner and its pods (an API write).
    DeleteOwner {
        /// Which.
        owner: OwnerId,
    },
    /// Deletes a pod: it is Terminating until its kubelet says that it has ended (an API write).
    DeletePod {
        /// Which.
        pod: PodId,
        /// Whether it is gone immediately, whatever its kubelet says (`--force --grace-period=0`).
        force: bool,
    },
}

impl Action {
    /// The node whose machine, cable or kubelet it is done to; `None`: something else's.
    pub fn node(self) -> Option<NodeId> {
        match self {
            Action::Stop { node, .. }
            | Action::Kill { node }
            | Action::Start { node }
            | Action::Pause { node }
            | Action::Unpause { node }
            | Action::Disconnect { node }
            | Action::Reconnect { node }
            | Action::StopKubelet { node }
            | Action::StartKubelet { node } => Some(node),
            _ => None,
        }
    }

    /// A fault on a node. `None`: one that is not modelled, or an orderly shutdown without its
    /// grace. Whether a kubelet is stopped or frozen, nobody hears of it.
    pub fn of_fault(kind: FaultKind, node: NodeId, grace: Option<Duration>) -> Option<Self> {
        match kind {
            FaultKind::NodeStop => Some(Action::Stop { node, grace: grace? }),
            FaultKind::NodeKill => Some(Action::Kill { node }),
            FaultKind::NodePause => Some(Action::Pause { node }),
            FaultKind::NodeDisconnect => Some(Action::Disconnect { node }),
            FaultKind::KubeletStop | FaultKind::KubeletPause => Some(Action::StopKubelet { node }),
            _ => None,
        }
    }

    /// The undo of a fault on a node.
    pub fn undo(self) -> Option<Action> {
        match self {
            Action::Stop { node, .. } | Action::Kill { node } => Some(Action::Start { node }),
            Action::Pause { node } => Some(Action::Unpause { node }),
            Action::Disconnect { node } => Some(Action::Reconnect { node }),
            Action::StopKubelet { node } => Some(Action::StartKubelet { node }),
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
