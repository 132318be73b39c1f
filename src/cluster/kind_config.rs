//! A kind config: the nodes and the settings of failure detection that it asks for, held against a cluster that exists.

use std::time::Duration;

use serde_json::Value;

use super::kind_nodes::NodeContainer;
use super::kind_settings;
use crate::timeline::{NodeRole, Tuning, format_duration};

/// Why a kind config can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum KindConfigError {
    /// It is no YAML.
    #[error("it is not understood: {0}")]
    Yaml(String),
    /// It is something else.
    #[error(
        "it is no kind config: it lacks `kind: Cluster` and `apiVersion: kind.x-k8s.io/v1alpha4`"
    )]
    NotKind,
    /// It has no name.
    #[error("it needs a `name:`, so that this cluster is told from others")]
    NoName,
    /// A name that Docker and Kubernetes would not take.
    #[error(
        "its name {0} is no name of a kind cluster: lowercase letters, digits, `.` and `-`, at most 47 of them"
    )]
    Name(String),
    /// A node of an unknown role.
    #[error("its node {index} has the role {role}: control-plane or worker is possible")]
    Role {
        /// The node's number, from 0.
        index: usize,
        /// The role.
        role: String,
    },
    /// A setting that is no duration.
    #[error("its {field} is {value}: a duration such as 10s is needed")]
    Duration {
        /// The setting.
        field: String,
        /// What it is.
        value: String,
    },
    /// A patch that is no YAML.
    #[error("a kubeadm patch in it is not understood: {0}")]
    Patch(String),
    /// Settings that can't be changed where they are.
    #[error(
        "its settings of failure detection can't be changed: it has kubeadmConfigPatchesJSON6902; name the settings there"
    )]
    JsonPatches,
}

/// A kind config, as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KindConfig {
    /// The cluster's name.
    pub name: String,
    /// The nodes' roles, in the file's order. A file without nodes means one control plane.
    pub nodes: Vec<NodeRole>,
    /// The node images that it names, each once.
    pub images: Vec<String>,
    /// The settings of failure detection that it asks for in the components' config; `None` where it leaves the default.
    pub asked: Tuning,
    /// Each node's flag `--node-status-update-frequency` for its kubelet, in the file's order. It wins over the kubelet's config file.
    pub update_flags: Vec<Option<Duration>>,
}

/// A node is named after cluster and role, `-control-plane12` at the longest, and a node's name has at most 63 characters.
const LONGEST_NAME: usize = 47;

impl KindConfig {
    /// Reads a kind config. Errors when it is none, has no usable name, or asks for settings that are not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, KindConfigError> {
        let value = read_yaml(text)?;
        let name = value["name"]
            .as_str()
            .filter(|name| !name.is_empty())
            .ok_or(KindConfigError::NoName)?;
        check_name(name)?;
        let nodes = value["nodes"].as_array().cloned().unwrap_or_default();
        let mut images: Vec<String> =
            nodes.iter().filter_map(|node| node["image"].as_str().map(str::to_owned)).collect();
        images.sort();
        images.dedup();
        let mut roles = nodes.iter().enumerate().map(role_of).collect::<Result<Vec<_>, _>>()?;
        if roles.is_empty() {
            roles.push(NodeRole::ControlPlane);
        }
        let (asked, update_flags) = kind_settings::read(&value, &roles)?;
        Ok(Self { name: name.to_owned(), nodes: roles, images, asked, update_flags })
    }

    /// The settings that a cluster of this Kubernetes version (`v1.34.4`) has when it is made from this config. Where kubelets differ,
    /// the slowest counts, as it does where they are read from a cluster.
    pub(crate) fn expected(&self, version: &str) -> Tuning {
        let file = self.asked.completed(version);
        // A kubelet reads its flags after the file, whose defaults are set by then: the report frequency does not follow
        // (https://github.com/kubernetes/kubernetes/issues/80172).
        let updates =
            self.update_flags.iter().map(|flag| flag.or(file.node_status_update_frequency));
        Tuning { node_status_update_frequency: updates.max().flatten(), ..file }
    }

    /// How many nodes of a role it has.
    pub(crate) fn count(&self, role: NodeRole) -> usize {
        self.nodes.iter().filter(|have| **have == role).count()
    }
}

/// How an existing cluster (its containers and the settings read from it) differs from the config, for people; empty when it does
/// not. What could not be read from the cluster is taken to agree.
pub(crate) fn differences(
    config: &KindConfig,
    containers: &[NodeContainer],
    actual: &Tuning,
    version: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    for (role, word) in [(NodeRole::ControlPlane, "control plane"), (NodeRole::Worker, "worker")] {
        let (have, want) = (
            containers.iter().filter(|container| container.role == role).count(),
            config.count(role),
        );
        if have != want {
            found.push(format!(
                "it has {have} {word}{}, the file has {want}",
                if have == 1 { "" } else { "s" }
            ));
        }
    }
    let expected = config.expected(version);
    for (name, want, have) in [
        (
            "nodeStatusUpdateFrequency",
            expected.node_status_update_frequency,
            actual.node_status_update_frequency,
        ),
        (
            "nodeStatusReportFrequency",
            expected.node_status_report_frequency,
            actual.node_status_report_frequency,
        ),
        ("nodeLeaseDurationSeconds", expected.node_lease_duration, actual.node_lease_duration),
        ("node-monitor-period", expected.node_monitor_period, actual.node_monitor_period),
        (
            "node-monitor-grace-period",
            expected.node_monitor_grace_period,
            actual.node_monitor_grace_period,
        ),
    ] {
        if let (Some(want), Some(have)) = (want, have)
            && want != have
        {
            found.push(format!(
                "its {name} is {}, the file's {}",
                format_duration(have),
                format_duration(want)
            ));
        }
    }
    found
}

/// The config as a tree; errors when it is none of kind's.
pub(super) fn read_yaml(text: &str) -> Result<Value, KindConfigError> {
    let value: Value = serde_saphyr::from_str(text)
        .map_err(|error| KindConfigError::Yaml(first_line(&error.to_string())))?;
    let version = value["apiVersion"].as_str().unwrap_or_default();
    if value["kind"] != "Cluster" || !version.starts_with("kind.x-k8s.io/") {
        return Err(KindConfigError::NotKind);
    }
    Ok(value)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

pub(super) fn check_name(name: &str) -> Result<(), KindConfigError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.len() > LONGEST_NAME || !name.chars().all(allowed) || name.starts_with(['-', '.']) {
        return Err(KindConfigError::Name(name.to_owned()));
    }
    Ok(())
}

fn role_of((index, node): (usize, &Value)) -> Result<NodeRole, KindConfigError> {
    match node["role"].as_str() {
        None | Some("control-plane") => Ok(NodeRole::ControlPlane),
        Some("worker") => Ok(NodeRole::Worker),
        Some(role) => Err(KindConfigError::Role { index, role: role.to_owned() }),
    }
}

/// The documents of one patch.
pub(super) fn documents(patch: &str) -> Result<Vec<Value>, KindConfigError> {
    serde_saphyr::from_multiple(patch)
        .map_err(|error| KindConfigError::Patch(first_line(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::facts::default_tuning;
    use crate::timeline::TuningSource;

    pub(crate) const FAST: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: fast-detection\nnodes:\n- role: control-plane\n\
        - role: worker\n- role: worker\nkubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 1s\n\
        - |\n  kind: ClusterConfiguration\n  controllerManager:\n    extraArgs:\n      node-monitor-period: 1s\n      node-monitor-grace-period: 4s\n";

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn nodes_and_settings_are_read() {
        let config = KindConfig::parse(FAST).unwrap();
        assert_eq!(config.name, "fast-detection");
        assert_eq!(config.nodes, [NodeRole::ControlPlane, NodeRole::Worker, NodeRole::Worker]);
        let asked = &config.asked;
        assert_eq!(
            (
                asked.node_status_update_frequency,
                asked.node_monitor_period,
                asked.node_monitor_grace_period
            ),
            (seconds(1), seconds(1), seconds(4))
        );
        assert_eq!(asked.node_lease_duration, None);
    }

    #[test]
    fn the_list_form_and_a_nodes_own_patch_count_too() {
        let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes:\n- role: control-plane\n  kubeadmConfigPatches:\n  - |\n    \
            kind: ClusterConfiguration\n    controllerManager:\n      extraArgs:\n      - name: node-monitor-grace-period\n        value: 20s\n    \
            ---\n    kind: KubeletConfiguration\n    nodeLeaseDurationSeconds: 20\n";
        let asked = KindConfig::parse(text).unwrap().asked;
        assert_eq!(
            (asked.node_monitor_grace_period, asked.node_lease_duration),
            (seconds(20), seconds(20))
        );
    }

    #[test]
    fn a_patch_of_a_node_that_joins_has_no_effect() {
        let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes:\n- role: worker\n  kubeadmConfigPatches:\n  - |\n    \
            kind: KubeletConfiguration\n    nodeLeaseDurationSeconds: 20\n- role: control-plane\n";
        assert_eq!(KindConfig::parse(text).unwrap().asked.node_lease_duration, None);
    }

    #[test]
    fn kubelets_flags_count_node_by_node_and_the_report_frequency_does_not_follow() {
        let flag = |kind: &str, value: &str| {
            format!(
                "[\"{{kind: {kind}, nodeRegistration: {{kubeletExtraArgs: {{node-status-update-frequency: {value}}}}}}}\"]"
            )
        };
        let text = |first: &str, second: &str, all: &str| {
            let head = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nkubeadmConfigPatches: ";
            let node = |role: &str, patches: &str| {
                format!("- {{role: {role}, kubeadmConfigPatches: {patches}}}\n")
            };
            let nodes = node("worker", first) + &node("control-plane", second) + "- role: worker\n";
            KindConfig::parse(&format!("{head}{all}\nnodes:\n{nodes}")).unwrap()
        };
        let joined = text("[]", "[]", &flag("JoinConfiguration", "1s"));
        assert_eq!(joined.update_flags, [seconds(1), None, seconds(1)]);
        assert_eq!(
            joined.expected("v1.34.4").node_status_update_frequency,
            seconds(10),
            "the slowest counts"
        );
        let all = text(
            &flag("JoinConfiguration", "3s"),
            &flag("InitConfiguration", "2s"),
            &flag("JoinConfiguration", "1s"),
        );
        assert_eq!(all.update_flags, [seconds(3), seconds(2), seconds(1)]);
        let expected = all.expected("v1.34.4");
        assert_eq!(
            (expected.node_status_update_frequency, expected.node_status_report_frequency),
            (seconds(3), seconds(300))
        );
        let unread = text(&flag("InitConfiguration", "3s"), &flag("JoinConfiguration", "2s"), "[]");
        assert_eq!(
            unread.update_flags, [None; 3],
            "a node that joins reads no InitConfiguration, the first no JoinConfiguration"
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let with = |text: &str| {
            KindConfig::parse(&format!("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n{text}"))
                .unwrap_err()
        };
        assert_eq!(with("nodes: []"), KindConfigError::NoName);
        assert_eq!(with("name: Big"), KindConfigError::Name("Big".into()));
        assert_eq!(
            with("name: a\nnodes: [{role: boss}]"),
            KindConfigError::Role { index: 0, role: "boss".into() }
        );
        let bad = with(
            "name: a\nkubeadmConfigPatches:\n- |\n  kind: KubeletConfiguration\n  nodeStatusUpdateFrequency: 5\n",
        );
        assert_eq!(
            bad.to_string(),
            "its nodeStatusUpdateFrequency is 5: a duration such as 10s is needed"
        );
        assert_eq!(KindConfig::parse("kind: Pod\napiVersion: v1"), Err(KindConfigError::NotKind));
        assert!(matches!(KindConfig::parse("kind: [x"), Err(KindConfigError::Yaml(_))));
    }

    fn container(role: NodeRole) -> NodeContainer {
        NodeContainer {
            cluster: "a".into(),
            id: "i".into(),
            name: "n".into(),
            role,
            addresses: Vec::new(),
        }
    }

    #[test]
    fn a_cluster_is_held_against_its_file() {
        let config = KindConfig::parse(FAST).unwrap();
        let containers = [
            container(NodeRole::ControlPlane),
            container(NodeRole::Worker),
            container(NodeRole::Worker),
        ];
        let actual = Tuning { source: TuningSource::Cluster, ..config.expected("v1.34.4") };
        assert_eq!(differences(&config, &containers, &actual, "v1.34.4"), Vec::<String>::new());
        let defaults = default_tuning("v1.34.4");
        assert_eq!(
            differences(&config, &containers[..2], &defaults, "v1.34.4"),
            [
                "it has 1 worker, the file has 2",
                "its nodeStatusUpdateFrequency is 10s, the file's 1s",
                "its nodeStatusReportFrequency is 5m, the file's 1s",
                "its node-monitor-period is 5s, the file's 1s",
                "its node-monitor-grace-period is 50s, the file's 4s"
            ]
        );
    }

    #[test]
    fn a_file_without_settings_wants_the_versions_defaults() {
        let config =
            KindConfig::parse("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\n")
                .unwrap();
        let actual = default_tuning("v1.31.0");
        assert!(
            differences(&config, &[container(NodeRole::ControlPlane)], &actual, "v1.31.0")
                .is_empty()
        );
        let tuned = Tuning { node_monitor_grace_period: seconds(4), ..actual };
        assert_eq!(
            differences(&config, &[container(NodeRole::ControlPlane)], &tuned, "v1.31.0"),
            ["its node-monitor-grace-period is 4s, the file's 40s"]
        );
    }
}
