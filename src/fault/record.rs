//! The undo record: what a later process needs in order to take a fault back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::partition::Cut;
use crate::docker::{Addresses, Container};
use crate::timeline::{Component, FaultKind, NodeRole};

/// A node, and the container that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeTarget {
    /// The node's name in Kubernetes.
    pub node: String,
    /// The container's full id. A container of the same name that was made later has another one and is not touched.
    pub container_id: String,
    /// The container's name.
    pub container_name: String,
    /// Its role.
    pub role: NodeRole,
    /// Its addresses before the harm, by the engine's network.
    pub addresses: Addresses,
    /// The kind cluster that it belongs to.
    pub cluster: String,
}

impl NodeTarget {
    /// The node of this name, which is this container.
    pub(crate) fn new(node: impl Into<String>, container: &Container) -> Self {
        Self {
            node: node.into(),
            container_id: container.id.clone(),
            container_name: container.name.clone(),
            role: container.role,
            addresses: container.addresses.clone(),
            cluster: container.cluster.clone(),
        }
    }
}

/// The version of the record. One that this program does not know can't be read, and the error names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum UndoFormat {
    /// This one.
    #[serde(rename = "outage.undo/v1")]
    V1,
}

/// All that is needed to take a fault back, without the cluster's API. Plain data, to be written before the harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Undo {
    /// The version of this record.
    pub format: UndoFormat,
    /// The run that did it.
    pub run: String,
    /// The step of its method, from 0.
    pub step: u32,
    /// What was harmed.
    pub target: NodeTarget,
    /// How.
    pub harm: Harm,
}

/// The harm, with what its undo needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Harm {
    /// An orderly shutdown.
    NodeStop {
        /// How long the node may take before it is killed.
        grace: Duration,
    },
    /// Power loss.
    NodeKill,
    /// Power off and on again.
    NodeReboot,
    /// A freeze.
    NodePause,
    /// The cable is cut by a packet filter in the node.
    NodeDisconnect {
        /// The comment of the filter's rules, and the name of the dead man's switch.
        mark: String,
        /// When that ends it by itself.
        dead_man: Duration,
    },
    /// The kubelet is stopped.
    KubeletStop {
        /// The name of the dead man's switch.
        mark: String,
        /// When that ends it by itself.
        dead_man: Duration,
    },
    /// A static pod's manifest is moved away.
    ComponentStop {
        /// Whose.
        component: Component,
        /// The name of the dead man's switch, and of the directory that keeps the manifest.
        mark: String,
        /// When that ends it by itself.
        dead_man: Duration,
    },
    /// A static pod's process is killed.
    ComponentKill {
        /// Whose.
        component: Component,
        /// The name of the ticket without which nothing is killed.
        mark: String,
        /// When that ends by itself.
        dead_man: Duration,
    },
    /// A static pod's process is stopped by a signal.
    ComponentPause {
        /// Whose.
        component: Component,
        /// The name of the dead man's switch.
        mark: String,
        /// When that ends it by itself.
        dead_man: Duration,
    },
    /// Some packets are dropped by a packet filter in the node.
    Partition {
        /// Whose.
        cut: Cut,
        /// The comment of the filter's rules, and the name of the dead man's switch.
        mark: String,
        /// When that ends it by itself.
        dead_man: Duration,
    },
    /// etcd's data directory is moved away.
    EtcdDataLoss {
        /// The name of the dead man's switch, and a part of the names of what is kept.
        mark: String,
        /// When that ends it by itself.
        dead_man: Duration,
    },
    /// The processes of a pod's containers are killed.
    ContainerKill {
        /// The pod.
        pod: String,
        /// The containers' ids.
        containers: Vec<String>,
        /// The name of the ticket without which nothing is killed.
        mark: String,
        /// When that ends by itself.
        dead_man: Duration,
    },
}

impl Undo {
    /// What is harmed: the node, or the pod on it.
    pub(crate) fn hits(&self) -> &str {
        match &self.harm {
            Harm::ContainerKill { pod, .. } => pod,
            _ => &self.target.node,
        }
    }
}

impl Harm {
    /// Its kind.
    pub(crate) fn kind(&self) -> FaultKind {
        match self {
            Harm::NodeStop { .. } => FaultKind::NodeStop,
            Harm::NodeKill => FaultKind::NodeKill,
            Harm::NodeReboot => FaultKind::NodeReboot,
            Harm::NodePause => FaultKind::NodePause,
            Harm::NodeDisconnect { .. } => FaultKind::NodeDisconnect,
            Harm::KubeletStop { .. } => FaultKind::KubeletStop,
            Harm::ComponentStop { .. } => FaultKind::ComponentStop,
            Harm::ComponentKill { .. } => FaultKind::ComponentKill,
            Harm::ComponentPause { .. } => FaultKind::ComponentPause,
            Harm::Partition { .. } => FaultKind::Partition,
            Harm::EtcdDataLoss { .. } => FaultKind::EtcdDataLoss,
            Harm::ContainerKill { .. } => FaultKind::ContainerKill,
        }
    }

    /// Whether the node's machine is off for a while: the engine then gives its address to the next that starts.
    pub(crate) fn frees_address(&self) -> bool {
        matches!(self, Harm::NodeStop { .. } | Harm::NodeKill | Harm::NodeReboot)
    }

    /// The part of the control plane that it hits; `None`: the node itself.
    pub(crate) fn component(&self) -> Option<Component> {
        match self {
            Harm::ComponentStop { component, .. }
            | Harm::ComponentKill { component, .. }
            | Harm::ComponentPause { component, .. } => Some(*component),
            Harm::EtcdDataLoss { .. } => Some(Component::Etcd),
            _ => None,
        }
    }
}

/// A name that no other fault has. It goes into scripts and unit names, so it is of letters, digits and dashes alone.
pub(super) fn mark(run: &str, step: u32) -> String {
    let plain: String =
        run.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
    format!("outage-{plain}-{step}")
}

/// The same as the value of a label, which may have 63 characters and must begin and end with a letter or digit.
pub(super) fn label(run: &str, step: u32) -> String {
    let plain: String =
        run.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    format!("{}-{step}", plain.trim_start_matches('-'))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::experiment::{Fault, NodeSelector};
    use crate::fault::{by_hand, describe, plan};

    pub(crate) fn target() -> NodeTarget {
        NodeTarget {
            node: "c-worker".into(),
            container_id: "id-c-worker".into(),
            container_name: "c-worker".into(),
            role: NodeRole::Worker,
            addresses: [(
                "kind".into(),
                vec!["172.18.0.3".parse().unwrap(), "fc00::3".parse().unwrap()],
            )]
            .into(),
            cluster: "c".into(),
        }
    }

    pub(crate) fn every_fault() -> [Fault; 5] {
        let target = NodeSelector::default;
        [
            Fault::NodeStop { target: target(), grace: Duration::from_secs(10) },
            Fault::NodeKill { target: target() },
            Fault::NodePause { target: target() },
            Fault::NodeDisconnect { target: target() },
            Fault::KubeletStop { target: target() },
        ]
    }

    /// Those on a part of the control plane.
    pub(crate) fn every_component_fault(component: Component) -> [Fault; 3] {
        let target = NodeSelector::default;
        [
            Fault::ComponentStop { component, target: target() },
            Fault::ComponentKill { component, target: target() },
            Fault::ComponentPause { component, target: target() },
        ]
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for fault in every_fault().into_iter().chain(every_component_fault(Component::Etcd)) {
            let undo = plan(&fault, &target(), "7f3a", 2, Duration::from_secs(60));
            let text = serde_json::to_string(&undo).unwrap();
            assert_eq!(serde_json::from_str::<Undo>(&text).unwrap(), undo);
            assert_eq!(
                (undo.harm.kind(), undo.harm.component()),
                (fault.kind(), fault.component())
            );
            let newer = text.replace("outage.undo/v1", "outage.undo/v9");
            assert!(
                serde_json::from_str::<Undo>(&newer)
                    .unwrap_err()
                    .to_string()
                    .contains("outage.undo/v9")
            );
        }
    }

    #[test]
    fn people_are_told_what_will_be_done() {
        let texts = every_fault().map(|fault| {
            let undo = plan(&fault, &target(), "7f3a", 0, Duration::ZERO);
            (describe(&undo), by_hand(&undo))
        });
        assert_eq!(
            texts[0],
            ("start container c-worker (docker start)".into(), "docker start c-worker".into())
        );
        assert_eq!(
            texts[2],
            ("thaw container c-worker (docker unpause)".into(), "docker unpause c-worker".into())
        );
        assert_eq!(texts[3].0, "take the packet filter outage-7f3a-0 out of container c-worker");
        assert_eq!(texts[3].1, "docker exec c-worker systemctl start outage-7f3a-0.service");
        let stop =
            plan(&every_component_fault(Component::Etcd)[0], &target(), "7f3a", 0, Duration::ZERO);
        assert_eq!(describe(&stop), "put the manifest of etcd back in container c-worker");
        assert_eq!(
            by_hand(&stop),
            "docker exec c-worker mv /etc/kubernetes/outage-7f3a-0/etcd.yaml /etc/kubernetes/manifests/"
        );
    }

    #[test]
    fn a_mark_has_nothing_that_a_shell_would_see() {
        assert_eq!(mark("2026-11/22 $(x)'\"", 3), "outage-2026-11-22---x----3");
    }
}
