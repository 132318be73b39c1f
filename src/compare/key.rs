//! What a baseline is kept for: runs with the same key measure the same.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions;
use crate::timeline::Header;

/// What a baseline is kept for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// The experiment's name.
    pub experiment: String,
    /// `kind`, `context` or `embedded model`.
    pub cluster: String,
    /// The API server's version.
    pub kubernetes: String,
    /// The number of nodes of each role.
    pub topology: String,
    /// The effective settings of failure detection.
    pub settings: String,
    /// The faults of its method, and how long each is held.
    pub fault: String,
}

impl Key {
    pub(super) fn of(header: &Header) -> Self {
        let settings = conditions::settings(&header.cluster);
        let settings: Vec<String> =
            settings.map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            experiment: header.name.clone(),
            cluster: conditions::cluster_kind(header.cluster.kind).to_owned(),
            kubernetes: header.cluster.kubernetes.clone(),
            topology: conditions::topology(&header.cluster),
            settings: settings.join(" "),
            fault: faults(header),
        }
    }

    /// The parts of it that another has differently, with their names: the other's first.
    pub fn differences<'k>(&'k self, other: &'k Key) -> Vec<(&'static str, &'k str, &'k str)> {
        let parts = |key: &'k Key| {
            [
                ("experiment", key.experiment.as_str()),
                ("cluster", &key.cluster),
                ("Kubernetes", &key.kubernetes),
                ("topology", &key.topology),
                ("settings", &key.settings),
                ("fault", &key.fault),
            ]
        };
        let pairs = parts(other).into_iter().zip(parts(self));
        pairs.filter(|(a, b)| a != b).map(|((name, a), (_, b))| (name, a, b)).collect()
    }
}

/// `nodePause target.role=worker for 15s, then ..`.
fn faults(header: &Header) -> String {
    let experiment = conditions::experiment(header);
    let steps = experiment.get("method").and_then(|method| method.as_array());
    steps.into_iter().flatten().map(step_in_words).collect::<Vec<_>>().join(", then ")
}

fn step_in_words(step: &serde_json::Value) -> String {
    let mut leaves = BTreeMap::new();
    conditions::flatten("", step, &mut leaves);
    let held = leaves.iter().find(|(path, _)| path.ends_with(".hold"));
    let held = held.map(|(_, held)| held.clone()).unwrap_or_default();
    let fault = step.pointer("/fault/fault").and_then(|fault| fault.as_object());
    let Some((kind, of)) = fault.and_then(|fault| fault.iter().next()) else {
        return format!("pause {held}");
    };
    let mut leaves = BTreeMap::new();
    conditions::flatten("", of, &mut leaves);
    let fields = leaves.iter().map(|(path, value)| format!(" {}={value}", &path[1..]));
    let beside = step.pointer("/fault/meanwhile").and_then(|steps| steps.as_array());
    let beside: Vec<String> = beside
        .into_iter()
        .flatten()
        .map(|step| format!(" beside {}", step_in_words(step)))
        .collect();
    format!("{kind}{} for {held}{}", fields.collect::<String>(), beside.concat())
}
