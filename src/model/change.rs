//! What changes in the modelled cluster.

use super::action::Component;
use super::detection::Heartbeat;
use super::pod_spec::{NOT_READY, UNREACHABLE};
use super::topology::{NodeId, OwnerId, PodId};
use crate::timeline::Ready;

/// One change. All but `Power`, `Backend`, `ProxySynced` and `Serves` are writes to the API, in
/// their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A node's condition Ready has another status.
    NodeReady {
        node: NodeId,
        ready: Ready,
        /// `KubeletReady`, `KubeletNotReady` or `NodeStatusUnknown`.
        reason: &'static str,
    },
    /// A kubelet's sign of life was written. (A status post that changes Ready comes as `NodeReady`
    /// first.)
    Beat {
        node: NodeId,
        heartbeat: Heartbeat,
    },
    /// A taint came or went.
    Taint {
        node: NodeId,
        taint: Taint,
        present: bool,
    },
    /// A ReplicaSet made a pod (those made by [`super::Model::create_pod`] come as well).
    PodCreated {
        pod: PodId,
        owner: Option<OwnerId>,
    },
    /// The scheduler chose a node.
    PodBound {
        pod: PodId,
        node: NodeId,
    },
    /// Its containers run: phase Running.
    PodStarted {
        pod: PodId,
    },
    /// Its condition Ready has another status, by its kubelet or by the node lifecycle controller.
    PodReady {
        pod: PodId,
        ready: bool,
    },
    /// It has a deletion timestamp.
    PodTerminating {
        pod: PodId,
        cause: Deletion,
    },
    PodGone {
        pod: PodId,
    },
    /// The slices of the Services that select this pod show it so. A pod that is gone has left
    /// them.
    Endpoint {
        pod: PodId,
        /// How; `None`: it has left the slice.
        ready: Option<bool>,
    },
    /// A node's kube-proxy has put into force what it knows: see [`super::Model::routes`].
    ProxySynced {
        node: NodeId,
    },
    /// A leader's lease has another holder.
    Leader {
        /// Of the controller manager or the scheduler.
        component: Component,
        /// The holder; `None`: given back.
        holder: Option<NodeId>,
    },
    LeaseRenewed {
        /// Of the controller manager or the scheduler.
        component: Component,
        node: NodeId,
    },
    /// A part of the control plane serves, or serves no more. An API server serves while its etcd
    /// member has a quorum; schedulers and controller managers serve while they lead and reach
    /// their API server.
    Serves {
        node: NodeId,
        component: Component,
        serves: bool,
    },
    /// What a client of a pod meets.
    Backend {
        pod: PodId,
        backend: Backend,
    },
    /// A node's machine is in another state.
    Power {
        node: NodeId,
        power: Power,
    },
}

/// The node lifecycle controller's taints. The first two of each pair: keep pods off, and drive
/// them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taint {
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
    pub(crate) const ALL: [Taint; 4] = [
        Taint::NotReadyNoSchedule,
        Taint::NotReadyNoExecute,
        Taint::UnreachableNoSchedule,
        Taint::UnreachableNoExecute,
    ];

    pub(crate) fn key(self) -> &'static str {
        match self {
            Taint::NotReadyNoSchedule | Taint::NotReadyNoExecute => NOT_READY,
            Taint::UnreachableNoSchedule | Taint::UnreachableNoExecute => UNREACHABLE,
        }
    }

    pub(crate) fn effect(self) -> &'static str {
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
pub(crate) enum Deletion {
    User,
    /// Its ReplicaSet, which has one too many, or is deleted itself.
    Owner,
    /// The taint manager: the pod's toleration is over (event TaintManagerEviction).
    Eviction,
}

/// What a client of a pod meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Answers,
    /// Connections are refused: the address lives, nothing listens.
    Refuses,
    /// Nothing comes back: connections that are open hang too.
    Hangs,
}

/// The state of a node's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    On,
    /// It shuts down in order.
    Stopping,
    Off,
    /// It was started and is not yet so far that its kubelet runs.
    Booting,
}

impl Power {
    /// Whether there are processes in it.
    pub(crate) fn is_up(self) -> bool {
        matches!(self, Power::On | Power::Stopping)
    }
}
