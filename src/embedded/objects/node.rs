//! Nodes, as kind's look; what names the machine says that it is a model.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Condition;
use crate::embedded::store::object;
use crate::model::{NOT_READY, NodeSpec, Taint, UNREACHABLE};
use crate::timeline::{self, NodeRole, Ready};

/// What of a node's status a kubelet reports besides Ready: type, reason and message while all is
/// well.
const PRESSURES: [(&str, &str, &str); 3] = [
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
];

#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeFacts<'a> {
    pub spec: &'a NodeSpec,
    pub address: IpAddr,
    pub pod_cidr: &'a str,
    pub version: &'a str,
}

/// Kubernetes' name for the processor of this machine.
pub(crate) fn processor() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

pub(crate) fn new(facts: NodeFacts<'_>, at: jiff::Timestamp) -> Value {
    let (name, processor) = (&facts.spec.name, processor());
    let resources =
        json!({"cpu": "8", "memory": "16Gi", "ephemeral-storage": "100Gi", "pods": "110"});
    let mut node = json!({
        "metadata": {
            "name": name,
            "labels": {
                "beta.kubernetes.io/arch": processor, "beta.kubernetes.io/os": "linux", "kubernetes.io/arch": processor,
            },
            "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        },
        "spec": {"podCIDR": facts.pod_cidr, "podCIDRs": [facts.pod_cidr], "providerID": format!("outage://embedded/{name}")},
        "status": {
            "addresses": [{"type": "InternalIP", "address": facts.address.to_string()}, {"type": "Hostname", "address": name}],
            "capacity": resources, "allocatable": resources,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": processor, "operatingSystem": "linux", "osImage": "a model, not a machine", "kernelVersion": "none",
                "containerRuntimeVersion": format!("outage://{}", env!("CARGO_PKG_VERSION")), "kubeletVersion": facts.version,
                "kubeProxyVersion": "", "bootID": "", "machineID": "", "systemUUID": "",
            },
        },
    });
    for (label, value) in &facts.spec.labels {
        node["metadata"]["labels"][label] = value.as_str().into();
    }
    if facts.spec.tainted {
        node["spec"]["taints"] =
            json!([{"key": NodeRole::CONTROL_PLANE_LABEL, "effect": "NoSchedule"}]);
    }
    report(&mut node, Ready::True, at);
    node
}

/// A kubelet posts its status.
pub(crate) fn report(node: &mut Value, ready: Ready, at: jiff::Timestamp) {
    let mut set = |kind, status, reason, message| {
        Condition { kind, status, reason, message, at, beats: true }.set(node);
    };
    for (kind, reason, message) in PRESSURES {
        set(kind, "False", reason, message);
    }
    match ready {
        Ready::True => set("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        _ => set("Ready", "False", "KubeletNotReady", "container runtime network not ready"),
    }
}

/// The node lifecycle controller gives a silent kubelet up.
pub(crate) fn lose(node: &mut Value, at: jiff::Timestamp) {
    for kind in PRESSURES.iter().map(|(kind, ..)| *kind).chain(["Ready"]) {
        let (reason, message) = ("NodeStatusUnknown", "Kubelet stopped posting node status.");
        Condition { kind, status: "Unknown", reason, message, at, beats: false }.set(node);
    }
}

/// A taint of the node lifecycle controller comes or goes.
pub(crate) fn taint(node: &mut Value, taint: Taint, present: bool, at: jiff::Timestamp) {
    let spec = object::map_mut(node, "spec");
    let mut taints = spec.get("taints").and_then(Value::as_array).cloned().unwrap_or_default();
    taints.retain(|have| have["key"] != taint.key() || have["effect"] != taint.effect());
    if present {
        taints.push(json!({"key": taint.key(), "effect": taint.effect(), "timeAdded": object::timestamp(at)}));
    }
    match taints.is_empty() {
        true => drop(spec.shift_remove("taints")),
        false => drop(spec.insert("taints".into(), taints.into())),
    }
}

/// The taints that somebody set: neither the node lifecycle controller nor kubeadm.
pub(crate) fn taints_of_others(node: &Value) -> Vec<timeline::Taint> {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let taints = taints.filter_map(|it| timeline::Taint::deserialize(it).ok());
    let ours = [NOT_READY, UNREACHABLE, NodeRole::CONTROL_PLANE_LABEL];
    taints.filter(|taint| !ours.contains(&taint.key.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::NodeRole;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn node(role: NodeRole) -> Value {
        let spec = NodeSpec::new("a", role);
        new(
            NodeFacts {
                spec: &spec,
                address: "127.64.0.2".parse().unwrap(),
                pod_cidr: "127.64.1.0/24",
                version: "v1.34.0",
            },
            at(0),
        )
    }

    fn ready(node: &Value) -> &Value {
        node["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|condition| condition["type"] == "Ready")
            .unwrap()
    }

    #[test]
    fn a_silent_node_is_unknown_and_its_last_heartbeat_stays() {
        let mut node = node(NodeRole::Worker);
        report(&mut node, Ready::True, at(5));
        lose(&mut node, at(9));
        assert_eq!(
            (&ready(&node)["status"], &ready(&node)["reason"]),
            (&"Unknown".into(), &"NodeStatusUnknown".into())
        );
        assert_eq!(ready(&node)["lastHeartbeatTime"], object::timestamp(at(5)));
        assert_eq!(ready(&node)["lastTransitionTime"], object::timestamp(at(9)));
        report(&mut node, Ready::True, at(20));
        assert_eq!(ready(&node)["status"], "True");
    }

    #[test]
    fn taints_come_beside_the_control_planes_own_and_go() {
        let mut node = node(NodeRole::ControlPlane);
        taint(&mut node, Taint::UnreachableNoExecute, true, at(1));
        taint(&mut node, Taint::UnreachableNoExecute, true, at(2));
        assert_eq!(node["spec"]["taints"].as_array().unwrap().len(), 2);
        taint(&mut node, Taint::UnreachableNoExecute, false, at(3));
        assert_eq!(
            node["spec"]["taints"],
            json!([{"key": NodeRole::CONTROL_PLANE_LABEL, "effect": "NoSchedule"}])
        );
    }
}
