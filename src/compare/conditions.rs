//! What runs were made of, from their headers: whatever may explain a difference, by name.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::experiment::Experiment;
use crate::stats::Seconds;
use crate::timeline::{ClusterFacts, ClusterKind, Header, NodeRole, format_duration};

/// What of an experiment changes nothing that is measured.
const SAYS_ONLY: [&str; 4] = ["name", "question", "claims", "expect"];

pub(super) fn of_header(header: &Header) -> BTreeMap<String, String> {
    let facts = &header.cluster;
    let mut all = BTreeMap::from([
        ("cluster".to_owned(), cluster_kind(facts.kind).to_owned()),
        ("experiment".to_owned(), header.name.clone()),
        ("Kubernetes".to_owned(), facts.kubernetes.clone()),
        ("topology".to_owned(), topology(facts)),
        ("outage".to_owned(), header.program.clone()),
    ]);
    all.extend(facts.engine.iter().map(|engine| ("container engine".to_owned(), engine.clone())));
    let kubelets: BTreeSet<&str> = facts.nodes.iter().map(|node| node.kubelet.as_str()).collect();
    let kubelets: Vec<&str> = kubelets.into_iter().filter(|version| !version.is_empty()).collect();
    all.insert("kubelet".into(), kubelets.join(", "));
    all.extend(settings(facts).map(|(name, value)| (name.to_owned(), value)));
    for (name, value) in experiment(header).as_object().into_iter().flatten() {
        if !SAYS_ONLY.contains(&name.as_str()) {
            flatten(name, value, &mut all);
        }
    }
    for object in &header.workload {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!("workload {}/{}", text("/kind"), text("/metadata/name"));
        flatten(&name, object.get("spec").unwrap_or(&Value::Null), &mut all);
    }
    all
}

/// The experiment as this version of the program reads it: what an older one did not write is as its default.
pub(super) fn experiment(header: &Header) -> Value {
    serde_json::from_value::<Experiment>(header.experiment.clone())
        .and_then(serde_json::to_value)
        .unwrap_or_else(|_| header.experiment.clone())
}

pub(super) fn cluster_kind(kind: ClusterKind) -> &'static str {
    match kind {
        ClusterKind::Kind => "kind",
        ClusterKind::Context => "context",
        ClusterKind::Embedded => "embedded model",
    }
}

/// `1 control-plane, 2 worker`.
pub(super) fn topology(facts: &ClusterFacts) -> String {
    let roles = [NodeRole::ControlPlane, NodeRole::Worker, NodeRole::ExternalLoadBalancer];
    let counts = roles.map(|role| {
        let count = facts.nodes.iter().filter(|node| node.role == role).count();
        (count > 0).then(|| format!("{count} {}", role.name()))
    });
    counts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The settings of failure detection by the names of Kubernetes; `?` where one could not be read.
pub(super) fn settings(facts: &ClusterFacts) -> impl Iterator<Item = (&'static str, String)> {
    let (tuning, tolerations) = (&facts.tuning, &facts.tolerations);
    let shown = |value: Option<Duration>| value.map_or("?".into(), format_duration);
    [
        ("nodeStatusUpdateFrequency", shown(tuning.node_status_update_frequency)),
        ("nodeStatusReportFrequency", shown(tuning.node_status_report_frequency)),
        ("nodeLeaseDurationSeconds", shown(tuning.node_lease_duration)),
        ("node-monitor-period", shown(tuning.node_monitor_period)),
        ("node-monitor-grace-period", shown(tuning.node_monitor_grace_period)),
        ("default-not-ready-toleration-seconds", shown(Some(tolerations.not_ready))),
        ("default-unreachable-toleration-seconds", shown(Some(tolerations.unreachable))),
    ]
    .into_iter()
}

/// Each leaf of a value by its path; items of a list by their name, if they have one. What is empty says nothing.
pub(super) fn flatten(path: &str, value: &Value, all: &mut BTreeMap<String, String>) {
    let text = match value {
        Value::Null | Value::Bool(false) => return,
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                let name = item.get("name").and_then(Value::as_str);
                let name = name.map_or_else(|| number.to_string(), str::to_owned);
                flatten(&format!("{path}.{name}"), item, all);
            }
            return;
        }
        Value::Object(fields) => match duration(value) {
            Some(length) => Seconds::from(length).to_minutes(),
            None => {
                for (name, value) in fields {
                    flatten(&format!("{path}.{name}"), value, all);
                }
                return;
            }
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    all.insert(path.to_owned(), text);
}

/// A duration as serde writes it.
fn duration(value: &Value) -> Option<Duration> {
    let fields = value.as_object().filter(|fields| fields.len() == 2)?;
    let number = |name: &str| fields.get(name)?.as_u64();
    Some(Duration::new(number("secs")?, number("nanos")?.try_into().ok()?))
}
