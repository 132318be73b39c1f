//! The ways to harm.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Count, NodeSelector, PodSelector};
use crate::timeline::{Component, FaultKind, NodeRole};

/// Ways to harm. Each has a file of its own in `fault/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// An orderly shutdown (`docker stop`).
    NodeStop {
        /// Which node.
        target: NodeSelector,
        /// How long the node may take to shut down before it is killed. Default: 10 s, as Docker has it.
        grace: Duration,
    },
    /// Power loss (`docker kill`).
    NodeKill {
        /// Which node.
        target: NodeSelector,
    },
    /// Power off and on again at once.
    NodeReboot {
        /// Which node.
        target: NodeSelector,
    },
    /// A freeze (`docker pause`).
    NodePause {
        /// Which node.
        target: NodeSelector,
    },
    /// The network cable is cut, by a packet filter inside the node; its address stays.
    NodeDisconnect {
        /// Which node.
        target: NodeSelector,
    },
    /// Only the kubelet stops: the node's pods go on answering.
    KubeletStop {
        /// Which node.
        target: NodeSelector,
    },
    /// A part of the control plane ends and is held down: its static pod's manifest is moved away.
    ComponentStop {
        /// Which part.
        component: Component,
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A part of the control plane is killed; its kubelet starts it again by itself.
    ComponentKill {
        /// Which part.
        component: Component,
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A part of the control plane freezes (SIGSTOP).
    ComponentPause {
        /// Which part.
        component: Component,
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A node is cut off from some others only, or in one direction only, by a packet filter inside it.
    Partition {
        /// Which node.
        target: NodeSelector,
        /// From whom. Default: all.
        from: Side,
        /// Which packets are dropped, as the node sees them. Default: both.
        direction: Direction,
    },
    /// A node is cordoned, and its pods are evicted, as `kubectl drain` does it (through the API).
    NodeDrain {
        /// Which node.
        target: NodeSelector,
    },
    /// The only etcd member's data directory is moved away (never deleted), so that etcd starts with an empty one; then it is moved back.
    EtcdDataLoss {
        /// Which control-plane node.
        target: NodeSelector,
    },
    /// A Deployment is given another number of replicas (through the API); then as many as before.
    DeploymentScale {
        /// Its namespace. Default: the run's.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// How many it is given.
        replicas: u32,
    },
    /// A Deployment's pods are moved (through the API): all to one node, or to several and each to its own; then they may be where they
    /// might be before.
    DeploymentPlace {
        /// Its namespace. Default: the run's.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// To which nodes: chosen by role, name or labels.
        on: Box<NodeSelector>,
    },
    /// Pods are deleted (through the API). Nothing takes that back: whoever made them makes others, or nobody does.
    PodDelete {
        /// Which pods.
        pods: PodSelector,
    },
    /// The processes of pods' containers are killed inside their nodes; the kubelet starts the containers again by itself.
    ContainerKill {
        /// Which pods.
        pods: PodSelector,
        /// Which container of each. Default: all of them.
        container: Option<String>,
    },
}

/// From whom a node is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// From everything outside of it.
    #[default]
    All,
    /// Only its kubelet, kube-proxy and pods from the API servers, and these from its kubelet; all else goes on.
    ApiServer,
    /// From the other nodes and their pods; what goes on between it and the API servers is not touched.
    Peers,
}

impl Side {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, Side); 3] =
        [("apiServer", Side::ApiServer), ("peers", Side::Peers), ("all", Side::All)];
}

/// Which packets, as the node sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// Both.
    #[default]
    Both,
    /// Only those that come in.
    In,
    /// Only those that go out.
    Out,
}

impl Direction {
    /// All of them, with their names in an experiment.
    pub const ALL: [(&str, Direction); 3] =
        [("both", Direction::Both), ("in", Direction::In), ("out", Direction::Out)];
}

impl Fault {
    /// Which node it hits; `None`: none, but objects of a namespace.
    pub fn target(&self) -> Option<&NodeSelector> {
        match self {
            Fault::NodeStop { target, .. }
            | Fault::NodeKill { target }
            | Fault::NodeReboot { target }
            | Fault::NodePause { target }
            | Fault::NodeDisconnect { target }
            | Fault::KubeletStop { target }
            | Fault::ComponentStop { target, .. }
            | Fault::ComponentKill { target, .. }
            | Fault::ComponentPause { target, .. }
            | Fault::Partition { target, .. }
            | Fault::NodeDrain { target }
            | Fault::EtcdDataLoss { target } => Some(target),
            Fault::DeploymentScale { .. } | Fault::DeploymentPlace { .. } => None,
            Fault::PodDelete { .. } | Fault::ContainerKill { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn target_mut(&mut self) -> Option<&mut NodeSelector> {
        match self {
            Fault::NodeStop { target, .. }
            | Fault::NodeKill { target }
            | Fault::NodeReboot { target }
            | Fault::NodePause { target }
            | Fault::NodeDisconnect { target }
            | Fault::KubeletStop { target }
            | Fault::ComponentStop { target, .. }
            | Fault::ComponentKill { target, .. }
            | Fault::ComponentPause { target, .. }
            | Fault::Partition { target, .. }
            | Fault::NodeDrain { target }
            | Fault::EtcdDataLoss { target } => Some(target),
            Fault::DeploymentScale { .. } | Fault::DeploymentPlace { .. } => None,
            Fault::PodDelete { .. } | Fault::ContainerKill { .. } => None,
        }
    }

    /// The namespace of the objects that it hits, if it is not the run's.
    pub fn foreign_namespace(&self) -> Option<&str> {
        match self {
            Fault::DeploymentScale { namespace, .. } | Fault::DeploymentPlace { namespace, .. } => {
                namespace.as_deref()
            }
            Fault::PodDelete { pods } | Fault::ContainerKill { pods, .. } => {
                pods.namespace.as_deref()
            }
            _ => None,
        }
    }

    /// The pods that it hits, if it hits pods.
    pub fn pods(&self) -> Option<&PodSelector> {
        match self {
            Fault::PodDelete { pods } | Fault::ContainerKill { pods, .. } => Some(pods),
            _ => None,
        }
    }

    /// The objects that it hits, for people: `the Deployment kube-system/coredns, to 0 replicas`; `None`: it hits a node.
    pub fn objects(&self) -> Option<String> {
        if let Some(deployment) = self.deployment() {
            return Some(match self {
                Fault::DeploymentScale { replicas, .. } => {
                    format!("{deployment}, to {replicas} replicas")
                }
                _ => format!("the pods of {deployment}"),
            });
        }
        let pods = self.pods()?;
        let labels: Vec<String> =
            pods.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let count = match pods.count {
            Count::All => "all".to_owned(),
            Count::Exactly(count) => count.to_string(),
        };
        let space =
            self.foreign_namespace().map_or(String::new(), |namespace| format!(" of {namespace}"));
        Some(format!("{count} of the pods{space} with {}", labels.join(",")))
    }

    /// The Deployment that it changes, in words: `the Deployment kube-system/coredns`.
    pub fn deployment(&self) -> Option<String> {
        let (Fault::DeploymentScale { name, .. } | Fault::DeploymentPlace { name, .. }) = self
        else {
            return None;
        };
        let space =
            self.foreign_namespace().map_or(String::new(), |namespace| format!("{namespace}/"));
        Some(format!("the Deployment {space}{name}"))
    }

    /// The part of the control plane that it hits; `None`: the node itself.
    pub fn component(&self) -> Option<Component> {
        match self {
            Fault::ComponentStop { component, .. }
            | Fault::ComponentKill { component, .. }
            | Fault::ComponentPause { component, .. } => Some(*component),
            Fault::EtcdDataLoss { .. } => Some(Component::Etcd),
            _ => None,
        }
    }

    /// Whether it takes the node's machine or network away, and so all that runs there: a probe, etcd.
    pub fn takes_node(&self) -> bool {
        match self {
            Fault::NodeStop { .. } | Fault::NodeKill { .. } | Fault::NodeReboot { .. } => true,
            Fault::NodePause { .. } | Fault::NodeDisconnect { .. } => true,
            Fault::Partition { from, .. } => *from != Side::ApiServer,
            _ => false,
        }
    }

    /// The node that it takes, where it names one.
    pub fn taken_by_name(&self) -> Option<&str> {
        self.target().filter(|_| self.takes_node())?.name.as_deref()
    }

    /// Whether the node's machine is off for a while: the engine then gives its address to the next that starts.
    pub fn frees_address(&self) -> bool {
        matches!(self, Fault::NodeStop { .. } | Fault::NodeKill { .. } | Fault::NodeReboot { .. })
    }

    /// Whether the node's etcd may be lost with it.
    pub fn takes_etcd(&self) -> bool {
        match self {
            Fault::Partition { from, .. } => *from != Side::ApiServer,
            Fault::NodeDrain { .. } => false,
            _ => self.component().is_none_or(|component| component == Component::Etcd),
        }
    }

    /// Whether it makes the node less than it was: a drained one is well, and so are those whose pods are hit.
    pub fn harms_node(&self) -> bool {
        self.target().is_some() && !matches!(self, Fault::NodeDrain { .. })
    }

    /// Why it can't be on a node of this role, and what can, where that is known. `None`: it can.
    pub fn impossible_on(&self, role: NodeRole) -> Option<(String, Option<&'static str>)> {
        let balancer = role == NodeRole::ExternalLoadBalancer;
        match self {
            Fault::KubeletStop { .. } if balancer => {
                Some(("the load balancer has no kubelet".into(), None))
            }
            Fault::Partition { .. } if balancer => Some((
                "the load balancer is no node, and has no packet filter of its own".into(),
                None,
            )),
            Fault::NodeDisconnect { .. } if balancer => {
                let hint = "`nodePause` makes it as silent, and keeps its address";
                Some((
                    "the load balancer has nothing inside that could cut it off".into(),
                    Some(hint),
                ))
            }
            _ => self.component().filter(|_| role != NodeRole::ControlPlane).map(|component| {
                (
                    format!("only a control plane runs {}", component.name()),
                    Some("`target: {role: control-plane}`"),
                )
            }),
        }
    }

    /// Whether the blast radius counts a node of this role that it hits. A drained worker is well, and its pods go elsewhere; a control
    /// plane is none of a workload's, and nobody cordons one by the way.
    pub fn counts_on(&self, role: Option<NodeRole>) -> bool {
        if role.is_some_and(|role| self.impossible_on(role).is_some()) {
            return false;
        }
        self.harms_node() || (self.target().is_some() && role == Some(NodeRole::ControlPlane))
    }

    /// Whether it may hit a node that `other` has hit and still does: where neither touches what the other did. A drain is the API's
    /// alone, and the parts of a control plane are processes of their own.
    pub fn may_share_node(&self, other: &Fault) -> bool {
        let parts = matches!((self.component(), other.component()), (Some(this), Some(other)) if this != other);
        parts || self.harms_node() != other.harms_node()
    }

    /// Whether there is something to be undone. A pod or a container that has ended does not come back: others come by themselves.
    pub fn lasts(&self) -> bool {
        !matches!(self, Fault::PodDelete { .. } | Fault::ContainerKill { .. })
    }

    /// Its kind.
    pub fn kind(&self) -> FaultKind {
        match self {
            Fault::NodeStop { .. } => FaultKind::NodeStop,
            Fault::NodeKill { .. } => FaultKind::NodeKill,
            Fault::NodeReboot { .. } => FaultKind::NodeReboot,
            Fault::NodePause { .. } => FaultKind::NodePause,
            Fault::NodeDisconnect { .. } => FaultKind::NodeDisconnect,
            Fault::KubeletStop { .. } => FaultKind::KubeletStop,
            Fault::ComponentStop { .. } => FaultKind::ComponentStop,
            Fault::ComponentKill { .. } => FaultKind::ComponentKill,
            Fault::ComponentPause { .. } => FaultKind::ComponentPause,
            Fault::Partition { .. } => FaultKind::Partition,
            Fault::NodeDrain { .. } => FaultKind::NodeDrain,
            Fault::EtcdDataLoss { .. } => FaultKind::EtcdDataLoss,
            Fault::DeploymentScale { .. } => FaultKind::DeploymentScale,
            Fault::DeploymentPlace { .. } => FaultKind::DeploymentPlace,
            Fault::PodDelete { .. } => FaultKind::PodDelete,
            Fault::ContainerKill { .. } => FaultKind::ContainerKill,
        }
    }
}
