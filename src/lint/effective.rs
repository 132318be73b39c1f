//! What each kubelet, and the controller manager, will really have.

use std::cmp::Reverse;

use serde::{Serialize, Serializer};

use super::nodes::{ConfigNode, Nodes};
use super::outlook::settings;
use super::settings::{AskedSettings, Set};
use crate::model::heartbeat;
use crate::timeline::{Tuning, TuningSource};

/// What a kind config asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// The cluster's name.
    pub name: String,
    /// The nodes, in the file's order.
    pub nodes: Vec<ConfigNode>,
    /// The version of Kubernetes.
    pub kubernetes: String,
    /// Whether the version was given, because the file does not tell it.
    pub kubernetes_is_assumed: bool,
    /// How many API servers there will be.
    pub api_servers: u32,
    /// The effective settings: of the kubelets that beat slowest, and of the controller manager.
    pub tuning: Tuning,
    /// The kubelets, those with the same settings together. The slowest first.
    pub kubelets: Vec<KubeletGroup>,
}

/// Nodes whose kubelets have the same settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KubeletGroup {
    /// The nodes.
    pub nodes: Vec<String>,
    /// Their settings, and the controller manager's.
    #[serde(rename = "settings", serialize_with = "in_seconds")]
    pub tuning: Tuning,
}

fn in_seconds<S: Serializer>(tuning: &Tuning, serializer: S) -> Result<S::Ok, S::Error> {
    settings(tuning).serialize(serializer)
}

/// The settings that a cluster has when it is made from this config.
pub(super) fn asked(nodes: Nodes, found: &AskedSettings) -> Asked {
    let mut kubelets: Vec<KubeletGroup> = Vec::new();
    for (node, flag) in nodes.all.iter().zip(&found.update_flags) {
        let tuning = tuning(found, *flag, &nodes.kubernetes);
        match kubelets.iter_mut().find(|group| group.tuning == tuning) {
            Some(group) => group.nodes.push(node.name.clone()),
            None => kubelets.push(KubeletGroup { nodes: vec![node.name.clone()], tuning }),
        }
    }
    kubelets.sort_by_key(|group| {
        Reverse((heartbeat(&group.tuning).1, group.tuning.node_status_update_frequency))
    });
    Asked {
        name: nodes.cluster.clone(),
        api_servers: nodes.api_servers(),
        tuning: kubelets.first().map(|group| group.tuning).unwrap_or_default(),
        kubelets,
        nodes: nodes.all,
        kubernetes: nodes.kubernetes,
        kubernetes_is_assumed: nodes.kubernetes_is_assumed,
    }
}

fn tuning(found: &AskedSettings, flag: Option<Set>, kubernetes: &str) -> Tuning {
    let value = |set: Option<Set>| set.map(|set| set.value);
    let file = Tuning {
        node_status_update_frequency: value(found.update),
        node_status_report_frequency: value(found.report),
        node_lease_duration: value(found.lease),
        node_monitor_period: value(found.period),
        node_monitor_grace_period: value(found.grace),
        source: TuningSource::Config,
    };
    // The flag is read after the file, whose defaults are set by then: the report frequency stays.
    let completed = file.completed(kubernetes);
    Tuning {
        node_status_update_frequency: value(flag).or(completed.node_status_update_frequency),
        ..completed
    }
}
