//! What an observer of the modelled cluster is told.

use super::action::Component;
use super::detection::Heartbeat;
use super::topology::{NodeId, OwnerId, PodId};
use crate::timeline::Ready;

/// One change. All but `Power`, `Backend`, `ProxySynced` and `Serves` are writes to the API, in
/// their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node's condition Ready has another status.
    NodeReady {
        /// Which.
        node: NodeId,
        /// Its status.
        ready: Ready,
        /// `KubeletReady`, `KubeletNotReady` or `NodeStatusUnknown`.
        reason: &'static str,
    },
    /// A kubelet's sign of life was written. (A status post that changes Ready comes as `NodeReady`
    /// first.)
    Beat {
        /// Whose.
        node: NodeId,
        /// Which object.
        heartbeat: Heartbeat,
    },
    /// A taint came or went.
    Taint {
        /// Whose.
        node: NodeId,
        /// Which.
        taint: Taint,
        /// Whether it is there now.
        present: bool,
    },
    /// A ReplicaSet made a pod (those made by [`super::Model::create_pod`] are told as well).
    PodCreated {
        /// Which.
        pod: PodId,
        /// By whom; `None`: a bare pod.
        owner: Option<OwnerId>,
    },
    /// The scheduler chose a node.
    PodBound {
        /// Which.
        pod: PodId,
        /// Where.
        node: NodeId,
    },
    /// Its containers run: phase Running.
    PodStarted {
        /// Which.
        pod: PodId,
    },
    /// Its condition Ready has another status, by its kubelet or by the node lifecycle controller.
    PodReady {
        /// Which.
        pod: PodId,
        /// The status.
        ready: bool,
    },
    /// It has a deletion timestamp.
    PodTerminating {
        /// Which.
        pod: PodId,
        /// Who did it.
        cause: Deletion,
    },
    /// It is gone from the API.
    PodGone {
        /// Which.
        pod: PodId,
    },
    /// The slices of the Services that select this pod show it so. A pod that is gone has left
    /// them.
    Endpoint {
        /// Whose.
        pod: PodId,
        /// How; `None`: it has left the slice.
        ready: Option<bool>,
    },
    /// A node's kube-proxy has put into force what it knows: see [`super::Model::routes`].
    ProxySynced {
        /// Whose.
        node: NodeId,
    },
    /// A leader's lease has another holder.
    Leader {
        /// Of the controller manager or the scheduler.
        component: Component,
        /// The holder; `None`: given back.
        holder: Option<NodeId>,
    },
    /// A leader renewed its lease.
    LeaseRenewed {
        /// Of the controller manager or the scheduler.
        component: Component,
        /// The holder.
        node: NodeId,
    },
    /// A part of the control plane serves, or serves no more. An API server serves while its etcd
    /// member has a quorum; schedulers and controller managers serve while they lead and reach
    /// their API server.
    Serves {
        /// On which node.
        node: NodeId,
        /// Which.
        component: Component,
        /// Whether it does.
        serves: bool,
    },
    /// What a client of a pod meets.
    Backend {
        /// Which.
        pod: PodId,
        /// What.
        backend: Backend,
    },
    /// A node's machine is in another state.
    Power {
        /// Which.
        node: NodeId,
        /// How.
        power: Power,
    },
}

/// The node lifecycle controller's taints. The first two of each pair: keep pods off, and drive
/// them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taint {
    /// `node.kubernetes.io/not-ready:NoSchedule`.
    NotReadyNoSchedule,
    /// `node.kubernetes.io/not-ready:NoExecute`.
    NotReadyNoExecute,
    /// `node.kubernetes.io/unreachable:NoSchedule`.
    UnreachableNoSchedule,
    /// `node.kubernetes.io/unreachable:NoExecute`.
    UnreachableNoExecute,
}

impl Taint {
    /// All four.
    pub const ALL: [Taint; 4] = [
        Taint::NotReadyNoSchedule,
        Taint::NotReadyNoExecute,
        Taint::UnreachableNoSchedule,
        Taint::UnreachableNoExecute,
    ];

    /// Its key.
    pub fn key(self) -> &'static str {
        match self {
            Taint::NotReadyNoSchedule | Taint::NotReadyNoExecute => "node.kubernetes.io/not-ready",
            Taint::UnreachableNoSchedule | Taint::UnreachableNoExecute => {
                "node.kubernetes.io/unreachable"
            }
        }
    }

    /// Its effect.
    pub fn effect(self) -> &'static str {
        match self {
            Taint::NotReadyNoSchedule | Taint::UnreachableNoSchedule => "NoSchedule",
            Taint::NotReadyNoExecute | Taint::UnreachableNoExecute => "NoExecute",
        }
    }

    pub(super) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Who deleted a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// A user.
    User,
    /// Its ReplicaSet, which has one too many, or is deleted itself.
    Owner,
    /// The taint manager: the pod's toleration is over (event TaintManagerEviction).
    Eviction,
}

/// What a client of a pod meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Answers.
    Answers,
    /// Connections are refused: the address lives, nothing listens.
    Refuses,
    /// Nothing comes back: connections that are open hang too.
    Hangs,
}

/// The state of a node's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs.
    On,
    /// It shuts down in order.
    Stopping,
    /// It is off.
    Off,
    /// It was started and is not yet so far that its kubelet runs.
    Booting,
}
