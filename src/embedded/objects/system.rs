//! What a cluster has from the beginning: namespaces, the API's own Service, the control plane's
//! static pods.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::timeline::{Tolerations, Tuning, format_duration};

pub(crate) const NAMESPACES: [&str; 4] =
    ["default", "kube-node-lease", "kube-public", "kube-system"];

pub(crate) fn namespace(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
    })
}

/// The account that the controller manager makes in every namespace.
pub(crate) fn service_account(namespace: &str) -> Value {
    json!({"metadata": {"name": "default", "namespace": namespace}})
}

/// The certificates of the API server that the controller manager puts into every namespace. It has
/// none here.
pub(crate) fn root_certificates(namespace: &str) -> Value {
    json!({"metadata": {"name": "kube-root-ca.crt", "namespace": namespace}, "data": {"ca.crt": ""}})
}

pub(crate) fn kubernetes_service(address: SocketAddr) -> Value {
    json!({
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP", "clusterIP": address.ip().to_string(), "clusterIPs": [address.ip().to_string()],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "http", "port": address.port(), "targetPort": address.port(), "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {}},
    })
}

/// The flags of a part of the control plane that somebody may want to read: those of the controller
/// manager and of the API server.
fn flags(component: &str, tuning: &Tuning, tolerations: Tolerations) -> Vec<String> {
    let flag = |name: &str, value: Option<Duration>| {
        value.map(|value| format!("--{name}={}", format_duration(value)))
    };
    let mut words = vec![component.to_owned()];
    if component == "kube-controller-manager" {
        words.extend(flag("node-monitor-period", tuning.node_monitor_period));
        words.extend(flag("node-monitor-grace-period", tuning.node_monitor_grace_period));
    }
    if component == "kube-apiserver" {
        let Tolerations { not_ready, unreachable } = tolerations;
        for (taint, tolerated) in [("not-ready", not_ready), ("unreachable", unreachable)] {
            words.push(format!("--default-{taint}-toleration-seconds={}", tolerated.as_secs()));
        }
    }
    words
}

pub(crate) fn static_pod(
    component: &str,
    node: &str,
    address: &str,
    tuning: &Tuning,
    tolerations: Tolerations,
    at: jiff::Timestamp,
) -> Value {
    let image = format!("outage/{component}");
    let mut pod = json!({
        "metadata": {
            "name": format!("{component}-{node}"), "namespace": "kube-system",
            "labels": {"component": component, "tier": "control-plane"},
            "annotations": {"kubernetes.io/config.source": "file"},
        },
        "spec": {
            "nodeName": node, "hostNetwork": true, "priorityClassName": "system-node-critical", "restartPolicy": "Always",
            "containers": [{"name": component, "image": image, "command": flags(component, tuning, tolerations)}],
            "tolerations": [{"effect": "NoExecute", "operator": "Exists"}],
        },
        "status": {"phase": "Pending", "qosClass": "Burstable"},
    });
    let address = address.parse().expect("is an address");
    super::pod::start(&mut pod, address, address, at);
    super::pod::report(&mut pod, true, at);
    pod
}

/// What a kubelet says of its settings (`/configz`).
pub(crate) fn configz(tuning: &Tuning) -> Value {
    let text = |value: Option<Duration>| value.map(format_duration);
    json!({"kubeletconfig": {
        "nodeStatusUpdateFrequency": text(tuning.node_status_update_frequency),
        "nodeStatusReportFrequency": text(tuning.node_status_report_frequency),
        "nodeLeaseDurationSeconds": tuning.node_lease_duration.map(|value| value.as_secs()),
        "clusterDomain": "cluster.local",
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_said_as_go_reads_them() {
        let tuning = Tuning {
            node_monitor_period: Some(Duration::from_millis(1500)),
            node_monitor_grace_period: Some(Duration::from_secs(40)),
            node_status_update_frequency: Some(Duration::from_secs(1)),
            node_lease_duration: Some(Duration::from_secs(40)),
            ..Tuning::default()
        };
        let pod = static_pod(
            "kube-controller-manager",
            "cp",
            "127.64.0.2",
            &tuning,
            Tolerations::default(),
            jiff::Timestamp::UNIX_EPOCH,
        );
        let command = &pod["spec"]["containers"][0]["command"];
        assert_eq!(
            command,
            &json!([
                "kube-controller-manager",
                "--node-monitor-period=1s500ms",
                "--node-monitor-grace-period=40s"
            ])
        );
        assert_eq!(configz(&tuning)["kubeletconfig"]["nodeStatusUpdateFrequency"], "1s");
        assert_eq!(configz(&tuning)["kubeletconfig"]["nodeLeaseDurationSeconds"], 40);
    }
}
