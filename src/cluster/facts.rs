//! What a cluster is, and which settings of failure detection it really has.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::configz::KubeletSettings;
use super::connect::Cluster;
use super::error::ClusterError;
use super::kind_nodes::{NodeContainer, container_of};
use super::node::Node;
use super::objects::{Container, Pod};
use crate::timeline::leader::SYSTEM_NAMESPACE;
use crate::timeline::{
    ClusterFacts, ClusterKind, NodeFacts, NodeRole, Tolerations, Tuning, TuningSource,
};
use crate::timeline::{few, format_duration, parse_duration};

const API_SERVER: &str = "kube-apiserver";
/// Of so many kubelets the settings are read: of many more that would take minutes.
const MOST_KUBELETS: usize = 32;

impl Cluster {
    /// What this cluster is, and what a reader should know of it (settings that could not be read
    /// or differ between nodes). `name` and `engine` are the caller's; `containers` are those of
    /// the kind cluster (none elsewhere).
    pub(crate) async fn facts(
        &self,
        kind: ClusterKind,
        name: &str,
        engine: Option<String>,
        containers: &[NodeContainer],
    ) -> Result<(ClusterFacts, Vec<String>), ClusterError> {
        Ok(self.facts_of(self.nodes().await?, kind, name, engine, containers).await)
    }

    /// The same with these nodes.
    pub(crate) async fn facts_of(
        &self,
        nodes: Vec<Node>,
        kind: ClusterKind,
        name: &str,
        engine: Option<String>,
        containers: &[NodeContainer],
    ) -> (ClusterFacts, Vec<String>) {
        let mut warnings = Vec::new();
        let (servers, managers): (Vec<Pod>, Vec<Pod>) =
            self.control_plane(&mut warnings).await.into_iter().partition(is_api_server);
        let tuning = self.tuning(&nodes, &managers, &mut warnings).await;
        let tolerations = tolerations_of(&servers, &mut warnings);
        let nodes = nodes.into_iter().map(|node| node_facts(node, containers)).collect();
        let facts = ClusterFacts {
            kind,
            name: name.to_owned(),
            kubernetes: self.version().to_owned(),
            engine,
            nodes,
            tuning,
            tolerations,
            context: None,
        };
        (facts, warnings)
    }

    /// The settings of failure detection as the running components have them. Where the kubelets'
    /// can't be read, the version's defaults; the controller manager's are unknown then.
    async fn tuning(&self, nodes: &[Node], managers: &[Pod], warnings: &mut Vec<String>) -> Tuning {
        let mut names = interleaved(nodes);
        if names.len() > MOST_KUBELETS {
            names.truncate(MOST_KUBELETS);
            warnings.push(format!(
                "the settings of {MOST_KUBELETS} of {} kubelets were read, some of each role and \
                 version: the others are assumed to have the same",
                nodes.len()
            ));
        }
        let kubelets = slowest(self.kubelet_settings(&names).await, warnings);
        let monitor = monitor_of(managers, warnings);
        combine(kubelets, monitor, &Tuning::defaults(self.version()), warnings)
    }

    /// The pods of the API servers and the controller managers; none where they can't be read.
    async fn control_plane(&self, warnings: &mut Vec<String>) -> Vec<Pod> {
        let pods = Api::<Pod>::namespaced(self.client(), SYSTEM_NAMESPACE);
        let selector = format!("component in ({API_SERVER},kube-controller-manager)");
        let selector = ListParams::default().labels(&selector);
        let pods = self.list_all("list the control plane's pods", pods, selector).await;
        pods.unwrap_or_else(|error| {
            warnings.push(error.to_string());
            Vec::new()
        })
    }
}

fn is_api_server(pod: &Pod) -> bool {
    pod.labels().get("component").is_some_and(|component| component == API_SERVER)
}

fn node_facts(node: Node, containers: &[NodeContainer]) -> NodeFacts {
    let container = container_of(&node, containers).map(|container| container.id.clone());
    NodeFacts {
        address: node.addresses.into_iter().next(),
        name: node.name,
        role: node.role,
        kubelet: node.kubelet,
        container,
        labels: node.labels,
        tainted: Some(node.tainted),
    }
}

/// The names of all nodes, of each role and version of the kubelet one after the other.
fn interleaved(nodes: &[Node]) -> Vec<String> {
    let mut before: BTreeMap<(bool, &str), usize> = BTreeMap::new();
    let mut numbered: Vec<(usize, &str)> = Vec::new();
    for node in nodes {
        let kind = (node.role == NodeRole::Worker, node.kubelet.as_str());
        let number = before.entry(kind).or_default();
        numbered.push((*number, &node.name));
        *number += 1;
    }
    numbered.sort();
    numbered.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// The slowest of each setting over all kubelets that answered; `None` when none did.
fn slowest(
    answers: Vec<(String, Result<KubeletSettings, ClusterError>)>,
    warnings: &mut Vec<String>,
) -> Option<KubeletSettings> {
    let mut by_settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut slowest: Option<KubeletSettings> = None;
    let mut unread: Vec<(String, ClusterError)> = Vec::new();
    for (node, answer) in answers {
        match answer {
            Err(error) => unread.push((node, error)),
            Ok(settings) => {
                by_settings.entry(say(&settings)).or_default().push(node);
                slowest = Some(slower(slowest.unwrap_or(settings), settings));
            }
        }
    }
    if let Some((_, error)) = unread.first() {
        let others = few(unread.iter().skip(1).map(|(node, _)| node));
        let others = match unread.len() {
            1 => String::new(),
            _ => format!("; nor could those of {others} be read"),
        };
        warnings.push(format!("{error}{others}"));
    }
    if by_settings.len() > 1 {
        let groups: Vec<String> = by_settings
            .into_iter()
            .map(|(settings, nodes)| format!("{}: {settings}", few(nodes)))
            .collect();
        warnings.push(format!("the kubelets differ, the slowest counts: {}", groups.join("; ")));
    }
    slowest
}

fn slower(a: KubeletSettings, b: KubeletSettings) -> KubeletSettings {
    KubeletSettings {
        status_update: a.status_update.max(b.status_update),
        status_report: a.status_report.max(b.status_report),
        lease_duration: a.lease_duration.max(b.lease_duration),
    }
}

fn say(settings: &KubeletSettings) -> String {
    let duration = |value: Option<Duration>| value.map_or("?".to_owned(), format_duration);
    format!(
        "status every {}, report every {}, lease {}",
        duration(settings.status_update),
        duration(settings.status_report),
        duration(settings.lease_duration)
    )
}

/// The controller manager's two settings; a flag that is absent is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Monitor {
    period: Option<Duration>,
    grace: Option<Duration>,
}

/// By the controller managers' pods; `None` when there are none to be seen. With several, they
/// should agree.
fn monitor_of(managers: &[Pod], warnings: &mut Vec<String>) -> Option<Monitor> {
    let mut all: Vec<(String, Monitor)> =
        managers.iter().map(|pod| (pod.name_any(), pod_monitor(pod))).collect();
    all.sort_by_key(|(_, monitor)| monitor.grace);
    let (_, slowest) = all.last()?;
    if all.iter().any(|(_, monitor)| monitor != slowest) {
        warnings.push(
            "the controller managers have different settings; the longest grace period counts"
                .to_owned(),
        );
    }
    Some(*slowest)
}

fn pod_monitor(pod: &Pod) -> Monitor {
    let flag = |name: &str| pod_flag(pod, name).and_then(|value| parse_duration(&value));
    Monitor { period: flag("node-monitor-period"), grace: flag("node-monitor-grace-period") }
}

/// The API servers' default tolerations: of several, those of the first. Kubernetes' defaults where
/// there is none to be seen, or nothing is set.
fn tolerations_of(servers: &[Pod], warnings: &mut Vec<String>) -> Tolerations {
    let defaults = Tolerations::default();
    let Some(server) = servers.iter().min_by_key(|pod| pod.name_any()) else {
        warnings.push(format!(
            "the API server's flags could not be read; pods that set no toleration are \
             assumed to stay on a lost node for {}",
            format_duration(defaults.unreachable)
        ));
        return defaults;
    };
    let seconds = |name: &str, default: Duration| {
        let value = pod_flag(server, name).and_then(|value| value.parse().ok());
        value.map_or(default, Duration::from_secs)
    };
    Tolerations {
        not_ready: seconds("default-not-ready-toleration-seconds", defaults.not_ready),
        unreachable: seconds("default-unreachable-toleration-seconds", defaults.unreachable),
    }
}

/// A flag's value in the command lines of a pod's containers.
fn pod_flag(pod: &Pod, name: &str) -> Option<String> {
    let containers = pod.spec.as_ref().and_then(|spec| spec.containers.as_deref());
    containers.unwrap_or_default().iter().find_map(|container| flag_of(container, name))
}

/// A flag's value in a container's command line; the last one counts, as it does for Kubernetes.
fn flag_of(container: &Container, name: &str) -> Option<String> {
    let words: Vec<&String> = container.command.iter().chain(&container.args).flatten().collect();
    let mut value = None;
    for (index, word) in words.iter().enumerate() {
        match word.trim_start_matches('-').split_once('=') {
            Some((flag, given)) if flag == name => value = Some(given.to_owned()),
            None if word.starts_with('-') && word.trim_start_matches('-') == name => {
                value = words.get(index + 1).map(|next| (*next).clone())
            }
            _ => {}
        }
    }
    value
}

fn combine(
    kubelets: Option<KubeletSettings>,
    monitor: Option<Monitor>,
    defaults: &Tuning,
    warnings: &mut Vec<String>,
) -> Tuning {
    let mut tuning = *defaults;
    match kubelets {
        Some(read) => {
            tuning.node_status_update_frequency = read.status_update;
            tuning.node_status_report_frequency = read.status_report;
            tuning.node_lease_duration = read.lease_duration;
        }
        None => warnings.push(
            "no kubelet's settings could be read; the version's defaults are assumed".to_owned(),
        ),
    }
    match monitor {
        Some(read) => {
            tuning.node_monitor_period = read.period.or(defaults.node_monitor_period);
            tuning.node_monitor_grace_period = read.grace.or(defaults.node_monitor_grace_period);
        }
        None => {
            warnings.push(
                "the controller manager's settings cannot be read: detection is predicted only with \
                 --node-monitor-period and --node-monitor-grace-period, or `settings` in the file"
                    .to_owned(),
            );
            (tuning.node_monitor_period, tuning.node_monitor_grace_period) = (None, None);
        }
    }
    tuning.source = match (kubelets, monitor) {
        (_, None) => TuningSource::Kubelets,
        (Some(_), Some(_)) => TuningSource::Cluster,
        (None, Some(_)) => TuningSource::Defaults,
    };
    tuning
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::node::read_node;

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn kubelet(update: u64) -> KubeletSettings {
        KubeletSettings {
            status_update: seconds(update),
            status_report: seconds(update),
            lease_duration: seconds(40),
        }
    }

    fn manager(words: &[&str]) -> Pod {
        serde_json::from_value(
            serde_json::json!({"metadata": {"name": "m"}, "spec": {"containers": [{"name": "c", "command": words}]}}),
        )
        .unwrap()
    }

    #[test]
    fn flags_are_read_in_both_forms_and_the_last_counts() {
        let mut warnings = Vec::new();
        let of = |words: &[&str], warnings: &mut Vec<String>| {
            monitor_of(&[manager(words)], warnings).unwrap()
        };
        let words = [
            "kube-controller-manager",
            "--node-monitor-period=5s",
            "--node-monitor-period=1s",
            "--node-monitor-grace-period",
            "4s",
        ];
        assert_eq!(of(&words, &mut warnings), Monitor { period: seconds(1), grace: seconds(4) });
        assert_eq!(
            of(&["x", "--node-monitor-periods=1s"], &mut warnings),
            Monitor { period: None, grace: None }
        );
        assert_eq!(monitor_of(&[], &mut warnings), None);
        assert!(warnings.is_empty());
        monitor_of(&[manager(&["--node-monitor-grace-period=4s"]), manager(&["x"])], &mut warnings);
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn default_tolerations_are_the_api_servers_flags() {
        let mut warnings = Vec::new();
        let words = ["kube-apiserver", "--default-unreachable-toleration-seconds=20", "--v", "2"];
        let read = tolerations_of(&[manager(&words)], &mut warnings);
        assert_eq!((read.not_ready.as_secs(), read.unreachable.as_secs()), (300, 20));
        assert!(warnings.is_empty());
        assert_eq!(tolerations_of(&[], &mut warnings), Tolerations::default());
        assert_eq!(warnings.len(), 1, "a managed control plane shows nothing");
    }

    #[test]
    fn the_slowest_kubelet_counts_and_the_difference_is_reported() {
        let mut warnings = Vec::new();
        let slow = slowest(
            vec![("a".into(), Ok(kubelet(1))), ("b".into(), Ok(kubelet(10)))],
            &mut warnings,
        );
        assert_eq!(slow, Some(kubelet(10)));
        assert_eq!(
            warnings,
            [
                "the kubelets differ, the slowest counts: b: status every 10s, report every 10s, lease 40s; a: status every 1s, report every 1s, lease 40s"
            ]
        );
    }

    #[test]
    fn of_a_large_cluster_each_role_and_version_is_asked_and_failures_are_one_warning() {
        let node = |name: String, kubelet: &str, labels: serde_json::Value| {
            let node = serde_json::json!({"metadata": {"name": name, "labels": labels},
                "status": {"nodeInfo": {"kubeletVersion": kubelet}}});
            read_node(serde_json::from_value(node).unwrap())
        };
        let control_plane = serde_json::json!({NodeRole::CONTROL_PLANE_LABEL: ""});
        let many = (0..1000).map(|n| node(format!("a{n:04}"), "v1.34.4", serde_json::json!({})));
        let others = [
            node("b".into(), "v1.33.1", serde_json::json!({})),
            node("c".into(), "v1.34.4", control_plane),
        ];
        let nodes: Vec<Node> = many.chain(others).collect();
        assert_eq!(interleaved(&nodes)[..4], ["a0000", "b", "c", "a0001"]);
        assert_eq!(interleaved(&nodes).len(), nodes.len());
        let mut warnings = Vec::new();
        let silent = |name: &str| {
            let within = Duration::from_secs(3);
            let what = format!("read the settings of the kubelet of {name}");
            (name.to_owned(), Err(ClusterError::Timeout { what, server: "s".into(), within }))
        };
        let names: Vec<String> = (1..9).map(|n| format!("n{n}")).collect();
        let answers = names.iter().map(|name| silent(name)).collect();
        assert_eq!(slowest(answers, &mut warnings), None);
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(
            warning.ends_with("; nor could those of n2, n3, n4 and 4 more be read"),
            "{warning}"
        );
    }

    #[test]
    fn what_could_not_be_read_is_never_assumed_of_the_controller_manager() {
        let mut warnings = Vec::new();
        let defaults = Tuning::defaults("v1.34.4");
        let read = combine(
            Some(kubelet(1)),
            Some(Monitor { period: None, grace: seconds(4) }),
            &defaults,
            &mut warnings,
        );
        assert_eq!(
            (read.node_monitor_period, read.node_monitor_grace_period, read.source),
            (seconds(5), seconds(4), TuningSource::Cluster)
        );
        assert!(warnings.is_empty());
        let managed = combine(Some(kubelet(10)), None, &defaults, &mut warnings);
        assert_eq!((managed.node_monitor_grace_period, managed.node_monitor_period), (None, None));
        assert!(managed.is_partly_unknown());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("cannot be read"), "{warnings:?}");
    }
}
