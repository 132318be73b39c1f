//! A node of Kubernetes, as far as it is looked at.

use std::collections::BTreeMap;

use super::objects;
use crate::timeline::{NodeRole, Ready};

/// The label of a control-plane node, today's and that of old versions.
const CONTROL_PLANE_LABELS: [&str; 2] =
    [NodeRole::CONTROL_PLANE_LABEL, "node-role.kubernetes.io/master"];

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub name: String,
    /// What tells it from another node of that name, made later.
    pub uid: String,
    pub role: NodeRole,
    pub labels: BTreeMap<String, String>,
    pub ready: Ready,
    /// Its internal addresses, in the node's own order.
    pub addresses: Vec<String>,
    pub unschedulable: bool,
    /// Whether the control plane's taint keeps pods off it.
    pub tainted: bool,
    pub kubelet: String,
    /// `spec.providerID`: what its cloud calls it.
    pub provider_id: Option<String>,
    /// Its operating system, as its kubelet says: `linux`. Empty where that is not known.
    pub system: String,
    /// The same of its processor: `amd64`.
    pub processor: String,
    /// Whether its owner says that no fault may hit it: by the annotation `outage.dev/protected`.
    pub protected: bool,
}

pub(super) fn read_node(node: objects::Node) -> Node {
    let ready = node_ready(&node);
    let protected = node.metadata.annotations.as_ref().and_then(|all| all.get(NodeRole::PROTECTED));
    let protected = protected.is_some_and(|value| value != "false");
    let labels = node.metadata.labels.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let control_plane = CONTROL_PLANE_LABELS.iter().any(|label| labels.contains_key(*label));
    let addresses = status.addresses.unwrap_or_default();
    let info = status.node_info.unwrap_or_default();
    let spec = node.spec.unwrap_or_default();
    let keeps_off = |taint: &objects::Taint| {
        CONTROL_PLANE_LABELS.contains(&taint.key.as_str()) && taint.effect == "NoSchedule"
    };
    Node {
        name: node.metadata.name.unwrap_or_default(),
        uid: node.metadata.uid.unwrap_or_default(),
        role: if control_plane { NodeRole::ControlPlane } else { NodeRole::Worker },
        labels,
        ready,
        addresses: addresses
            .into_iter()
            .filter(|entry| entry.type_ == "InternalIP")
            .map(|entry| entry.address)
            .collect(),
        unschedulable: spec.unschedulable.unwrap_or(false),
        tainted: spec.taints.iter().flatten().any(keeps_off),
        protected,
        kubelet: info.kubelet_version,
        provider_id: spec.provider_id,
        system: info.operating_system.unwrap_or_default(),
        processor: info.architecture.unwrap_or_default(),
    }
}

/// A node's Ready condition; `None` where it has none yet.
pub(crate) fn ready_condition(node: &objects::Node) -> Option<&objects::Condition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}

/// The status of a node's Ready condition; Unknown where it has none yet.
pub(crate) fn node_ready(node: &objects::Node) -> Ready {
    match ready_condition(node).map(|condition| condition.status.as_str()) {
        Some("True") => Ready::True,
        Some("False") => Ready::False,
        _ => Ready::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_read_by_its_labels_and_conditions() {
        let node = read_node(
            serde_json::from_value(json!({
                "metadata": {"name": "a", "labels": {"node-role.kubernetes.io/control-plane": ""}},
                "spec": {"unschedulable": true},
                "status": {
                    "conditions": [{"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": "False"}],
                    "addresses": [{"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": "172.18.0.2"}],
                },
            }))
            .unwrap(),
        );
        assert_eq!(
            (node.role, node.ready, node.unschedulable),
            (NodeRole::ControlPlane, Ready::False, true)
        );
        assert_eq!(node.addresses, ["172.18.0.2"]);
        assert_eq!((node.system.as_str(), node.processor.as_str()), ("", ""));
    }

    /// As EKS and GKE show a Graviton node and one with Windows.
    #[test]
    fn what_a_node_runs_is_what_its_kubelet_says() {
        let platform = |info: serde_json::Value| {
            let status = json!({"nodeInfo": info});
            let node = json!({"metadata": {"name": "a"}, "spec": {}, "status": status});
            let node = read_node(serde_json::from_value(node).unwrap());
            (node.kubelet, node.system, node.processor)
        };
        let graviton = platform(json!({
            "architecture": "arm64", "bootID": "b", "containerRuntimeVersion": "containerd://1.7.27",
            "kernelVersion": "6.1.134-152.225.amzn2023.aarch64", "kubeProxyVersion": "v1.32.3-eks-473151a",
            "kubeletVersion": "v1.32.3-eks-473151a", "machineID": "m", "operatingSystem": "linux",
            "osImage": "Amazon Linux 2023.7.20250414", "systemUUID": "s",
        }));
        assert_eq!(graviton, ("v1.32.3-eks-473151a".into(), "linux".into(), "arm64".into()));
        let windows = platform(json!({
            "architecture": "amd64", "kernelVersion": "10.0.20348.3328", "kubeletVersion": "v1.32.2-gke.1297002",
            "operatingSystem": "windows", "osImage": "Windows Server 2022 Datacenter",
        }));
        assert_eq!((windows.1.as_str(), windows.2.as_str()), ("windows", "amd64"));
    }
}
