//! How an existing cluster differs from the kind config that it should have been made from.

use crate::kind_config::{KindConfig, Kubernetes};
use crate::timeline::{NodeRole, Tuning, counted};

/// The differences, for people; none where there are none. `kubernetes` is the version that the
/// cluster really has. What could not be read from the cluster is taken to agree.
pub(super) fn differences(
    config: &KindConfig,
    containers: impl Iterator<Item = NodeRole> + Clone,
    actual: &Tuning,
    kubernetes: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    for (role, word) in [(NodeRole::ControlPlane, "control plane"), (NodeRole::Worker, "worker")] {
        let have = containers.clone().filter(|container| *container == role).count();
        let want = config.count(role);
        if have != want {
            found.push(format!("it has {}, the file has {want}", counted(have, word)));
        }
    }
    let expected = config.for_kubernetes(Kubernetes::Exactly(kubernetes)).tuning();
    let settings = expected.unequal(actual).into_iter();
    found.extend(
        settings.map(|it| format!("its {} is {}, the file has {}", it.name, it.has, it.wanted)),
    );
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kind_config::testing::config;

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\n";
    const FAST: &str = "nodes: [{role: control-plane}, {role: worker}, {role: worker}]\nkubeadmConfigPatches:\n\
        - '{kind: KubeletConfiguration, nodeStatusUpdateFrequency: 1s}'\n\
        - '{kind: ClusterConfiguration, controllerManager: {extraArgs: {node-monitor-period: 1s, node-monitor-grace-period: 4s}}}'\n";
    const PLANE: [NodeRole; 1] = [NodeRole::ControlPlane];

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn nodes_and_settings_are_compared() {
        let config = config(&format!("{HEAD}{FAST}"));
        let nodes = [NodeRole::ControlPlane, NodeRole::Worker, NodeRole::Worker];
        let compared = |nodes: &[NodeRole], actual: &Tuning| {
            differences(&config, nodes.iter().copied(), actual, "v1.34.4")
        };
        assert_eq!(compared(&nodes, &config.tuning()), Vec::<String>::new());
        assert_eq!(
            compared(&nodes[..2], &Tuning::defaults("v1.34.4")),
            [
                "it has 1 worker, the file has 2",
                "its nodeStatusUpdateFrequency is 10s, the file has 1s",
                "its nodeStatusReportFrequency is 5m, the file has 1s",
                "its node-monitor-period is 5s, the file has 1s",
                "its node-monitor-grace-period is 50s, the file has 4s"
            ]
        );
    }

    #[test]
    fn a_file_without_settings_means_the_defaults_of_the_clusters_version() {
        let config = config(HEAD);
        let actual = Tuning::defaults("v1.31.0");
        let none = Tuning::default();
        for agrees in [&actual, &none] {
            assert!(differences(&config, PLANE.into_iter(), agrees, "v1.31.0").is_empty());
        }
        let tuned = Tuning { node_monitor_grace_period: seconds(4), ..actual };
        assert_eq!(
            differences(&config, PLANE.into_iter(), &tuned, "v1.31.0"),
            ["its node-monitor-grace-period is 4s, the file has 40s"]
        );
    }

    /// Of the kubelet, and of one node: all as kind applies them.
    #[test]
    fn settings_of_every_kind_of_json_patch_are_the_files() {
        let kubelet = "kubeadmConfigPatchesJSON6902:\n- {group: kubelet.config.k8s.io, version: v1beta1, kind: KubeletConfiguration, \
            patch: '[{op: add, path: /nodeStatusUpdateFrequency, value: 2s}]'}\n";
        let node = "nodes:\n- role: control-plane\n  kubeadmConfigPatchesJSON6902:\n  - {group: kubeadm.k8s.io, version: v1beta3, \
            kind: ClusterConfiguration, patch: '[{op: add, path: /controllerManager/extraArgs/node-monitor-grace-period, value: 8s}]'}\n";
        let config = config(&format!("{HEAD}{node}{kubelet}"));
        let defaults = Tuning::defaults("v1.34.4");
        let actual = Tuning {
            node_monitor_grace_period: seconds(8),
            node_status_update_frequency: seconds(2),
            node_status_report_frequency: seconds(2),
            ..defaults
        };
        let found = |actual: &Tuning| differences(&config, PLANE.into_iter(), actual, "v1.34.4");
        assert_eq!(found(&actual), Vec::<String>::new());
        assert_eq!(found(&defaults).len(), 3, "{:?}", found(&defaults));
    }

    #[test]
    fn settings_of_a_json_patch_are_the_files() {
        let patch = "kubeadmConfigPatchesJSON6902:\n- {group: kubeadm.k8s.io, version: v1beta3, kind: ClusterConfiguration, \
            patch: '[{op: add, path: /controllerManager/extraArgs/node-monitor-grace-period, value: 8s}]'}\n";
        let config = config(&format!("{HEAD}{patch}"));
        let actual =
            Tuning { node_monitor_grace_period: seconds(8), ..Tuning::defaults("v1.34.4") };
        assert!(differences(&config, PLANE.into_iter(), &actual, "v1.34.4").is_empty());
    }
}
