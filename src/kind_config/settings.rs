//! What each node gets in the end: failure detection's settings, labels and taints, from its
//! patched documents.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::documents::{Document, Place};
use super::flags::{self, Flag};
use super::known_flags::Component;
use super::labels;
use super::nodes::{DeclaredNode, Nodes};
use super::problems::Problems;
use super::{KindConfig, KindNode, Places};
use crate::timeline::{NodeRole, Tolerations, Tuning, TuningSource, parse_duration};
use crate::yaml::Span;
use crate::yaml::tree::{Node, quoted};

/// Nobody waits longer for a node.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Nothing in Kubernetes is timed more finely.
const SHORTEST: Duration = Duration::from_millis(1);

/// A setting of the file, and its place.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Set {
    value: Duration,
    at: Span,
}

/// What is the same for all nodes: the kubelets' config file, the controller manager's and the API
/// server's flags.
#[derive(Clone, Copy, Debug, Default)]
struct Shared {
    update: Option<Set>,
    report: Option<Set>,
    lease: Option<Set>,
    period: Option<Set>,
    grace: Option<Set>,
    tolerations: Tolerations,
}

/// What `kubeadm` registers one node with.
#[derive(Clone, Debug, Default)]
struct Registration {
    update: Option<Set>,
    labels: BTreeMap<String, String>,
    /// Whether it has the control plane's taint; `None`: as kubeadm does by default.
    tainted: Option<bool>,
}

/// The config with what its nodes get; values that are not possible are reported and left out.
pub(super) fn read(
    problems: &mut Problems,
    root: &Node,
    nodes: Nodes,
    documents: &[Vec<Document>],
) -> KindConfig {
    let first = nodes.first_control_plane();
    let kubernetes = nodes.kubernetes().to_owned();
    let shared = first
        .map(|first| shared(problems, &documents[first], &nodes.all[first]))
        .unwrap_or_default();
    let asked = Tuning {
        node_status_update_frequency: shared.update.map(|set| set.value),
        node_status_report_frequency: shared.report.map(|set| set.value),
        node_lease_duration: shared.lease.map(|set| set.value),
        node_monitor_period: shared.period.map(|set| set.value),
        node_monitor_grace_period: shared.grace.map(|set| set.value),
        source: TuningSource::Config,
    };
    // The controller manager's defaults are those of its own version, whatever a node runs.
    let completed = asked.completed(&kubernetes);
    let only = nodes.all.len() == 1;
    let node = |(index, (node, documents)): (usize, (&DeclaredNode, &Vec<Document>))| {
        let kind = if first == Some(index) { "InitConfiguration" } else { "JoinConfiguration" };
        let registration = registration(problems, document(documents, kind), node);
        let is_plane = node.role == NodeRole::ControlPlane;
        // A kubelet reads its flags after the file, whose defaults are set by then: the report
        // frequency does not follow (https://github.com/kubernetes/kubernetes/issues/80172).
        let flag = registration.update.map(|set| set.value);
        KindNode {
            name: node.name.clone(),
            role: node.role,
            labels: registration.labels,
            tainted: registration.tainted.unwrap_or(is_plane) && !only,
            tuning: Tuning {
                node_status_update_frequency: flag.or(completed.node_status_update_frequency),
                ..completed
            },
            places: Places {
                update: registration.update.or(shared.update).map(|set| set.at),
                update_is_flag: registration.update.is_some(),
                report: shared.report.map(|set| set.at),
                lease: shared.lease.map(|set| set.at),
                period: shared.period.map(|set| set.at),
                grace: shared.grace.map(|set| set.at),
            },
        }
    };
    KindConfig {
        nodes: nodes.all.iter().zip(documents).enumerate().map(node).collect(),
        name: nodes.cluster,
        is_named: nodes.is_named,
        kubernetes,
        kubernetes_is_assumed: nodes.kubernetes_is_assumed,
        default_tolerations: shared.tolerations,
        asked,
        file: problems.file().clone(),
        root: root.clone(),
    }
}

fn document<'d>(documents: &'d [Document], kind: &str) -> &'d Document {
    documents.iter().find(|document| document.kind == kind).expect("kind writes it for every node")
}

fn shared(problems: &mut Problems, documents: &[Document], node: &DeclaredNode) -> Shared {
    let kubelet = document(documents, "KubeletConfiguration");
    let mut field = |name: &str, read: fn(&mut Problems, &str, &Json, Place) -> Option<Set>| {
        let place = kubelet.place(&format!("/{name}"))?;
        read(problems, name, kubelet.json.get(name)?, place)
    };
    let mut shared = Shared {
        update: field("nodeStatusUpdateFrequency", duration),
        report: field("nodeStatusReportFrequency", duration),
        lease: field("nodeLeaseDurationSeconds", whole_seconds),
        ..Shared::default()
    };
    let cluster = document(documents, "ClusterConfiguration");
    for component in [Component::ApiServer, Component::ControllerManager, Component::Scheduler] {
        for Flag { name, value, place } in flags::read(problems, cluster, component, node) {
            let Some(place) = place else { continue };
            let seconds = || Some(Duration::from_secs(value.as_str()?.parse().ok()?));
            let tolerations = &mut shared.tolerations;
            match (component, name) {
                (Component::ControllerManager, "node-monitor-period") => {
                    shared.period = duration(problems, name, value, place);
                }
                (Component::ControllerManager, "node-monitor-grace-period") => {
                    shared.grace = duration(problems, name, value, place);
                }
                (Component::ApiServer, "default-not-ready-toleration-seconds") => {
                    tolerations.not_ready = seconds().unwrap_or(tolerations.not_ready);
                }
                (Component::ApiServer, "default-unreachable-toleration-seconds") => {
                    tolerations.unreachable = seconds().unwrap_or(tolerations.unreachable);
                }
                _ => {}
            }
        }
    }
    shared
}

fn registration(problems: &mut Problems, document: &Document, node: &DeclaredNode) -> Registration {
    let mut found = Registration::default();
    for (name, value) in
        [("kubernetes.io/hostname", node.name.as_str()), ("kubernetes.io/os", "linux")]
    {
        found.labels.insert(name.to_owned(), value.to_owned());
    }
    if node.role == NodeRole::ControlPlane {
        found.labels.insert(NodeRole::CONTROL_PLANE_LABEL.to_owned(), String::new());
    }
    for Flag { name, value, place } in flags::read(problems, document, Component::Kubelet, node) {
        match (name, place, value.as_str()) {
            ("node-status-update-frequency", Some(place), _) => {
                found.update = duration(problems, name, value, place);
            }
            ("node-labels", place, Some(text)) => {
                for (name, value) in text.split(',').filter_map(|pair| pair.trim().split_once('='))
                {
                    if let Some(place) = place {
                        labels::check(problems, place.value, name, value);
                    }
                    found.labels.insert(name.to_owned(), value.to_owned());
                }
            }
            _ => {}
        }
    }
    let taints = document.json.pointer("/nodeRegistration/taints").and_then(Json::as_array);
    found.tainted = taints
        .map(|taints| taints.iter().any(|taint| taint["key"] == NodeRole::CONTROL_PLANE_LABEL));
    found
}

/// A duration in Go's form. Reported: no unit, negative, zero, shorter than a millisecond, longer
/// than a day.
fn duration(problems: &mut Problems, name: &str, value: &Json, place: Place) -> Option<Set> {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => number.to_string(),
        Json::Null => return None,
        _ => {
            problems.error(place.value, format!("{name} must be a duration")).hint("such as `10s`");
            return None;
        }
    };
    let (why, hint) = match parse_duration(&text) {
        _ if text.starts_with('-') => ("a duration cannot be negative", "such as `10s`".into()),
        Some(value) if value.is_zero() => {
            ("it cannot be zero", "leave it out for the default".to_owned())
        }
        Some(value) if value > LONGEST => ("longer than a day", "is the unit right?".into()),
        Some(value) if value < SHORTEST => {
            ("shorter than a millisecond", "is the unit right?".into())
        }
        Some(value) => return Some(Set { value, at: place.value }),
        None if text.parse::<f64>().is_ok() => {
            ("a duration has a unit", format!("did you mean `{text}s`?"))
        }
        None => ("this is not a duration", "such as `10s`, `1m30s` or `500ms`".into()),
    };
    problems.error(place.value, format!("{name} is {}: {why}", quoted(&text))).hint(hint);
    None
}

fn whole_seconds(problems: &mut Problems, name: &str, value: &Json, place: Place) -> Option<Set> {
    match value.as_u64() {
        Some(seconds @ 1..=86_400) => {
            Some(Set { value: Duration::from_secs(seconds), at: place.value })
        }
        None if value.is_null() => None,
        _ => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let message = format!(
                "{name} is {}: a whole number of seconds, 1 to 86400, is needed",
                quoted(&text)
            );
            problems.error(place.value, message).hint("without a unit or quotes, such as `40`");
            None
        }
    }
}
