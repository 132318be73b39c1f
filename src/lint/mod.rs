//! What a kind config makes of failure detection: its problems, the traps in its settings, the
//! outlook.

mod outlook;
mod traps;

pub(crate) mod text;

use std::cmp::Reverse;
use std::sync::Arc;

use serde::{Serialize, Serializer};

pub(crate) use outlook::{GLITCHES, Outlook, Settings, outlook, settings};
pub(crate) use traps::without_place;

use crate::kind_config::{self, KindConfig, Kubernetes};
use crate::model::{Trap, heartbeat, traps_of_tuning};
use crate::timeline::{NodeRole, Tuning};
use crate::yaml::{Diagnostic, Diagnostics, Severity, SourceFile};

/// A kind config with all that is wrong or surprising about it.
#[derive(Clone, Debug)]
pub(crate) struct Linted {
    /// In the file's order.
    pub problems: Diagnostics,
    pub config: KindConfig,
    /// The slowest first.
    pub kubelets: Vec<KubeletGroup>,
}

/// Nodes whose kubelets have the same settings.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KubeletGroup {
    pub nodes: Vec<String>,
    /// Their settings, and the controller manager's.
    #[serde(rename = "settings", serialize_with = "in_seconds")]
    pub tuning: Tuning,
}

fn in_seconds<S: Serializer>(tuning: &Tuning, serializer: S) -> Result<S::Ok, S::Error> {
    outlook::settings(tuning).serialize(serializer)
}

/// Reads a kind config. `kubernetes` is the version (`v1.34.4`) where no node image names it.
///
/// Errors: the file is not a kind config at all; all problems of it.
pub(crate) fn lint(file: &Arc<SourceFile>, kubernetes: &str) -> Result<Linted, Diagnostics> {
    let reading = kind_config::read(file, Kubernetes::Default(kubernetes));
    let Some(config) = reading.config else { return Err(reading.problems) };
    let kubelets = groups(&config);
    let mut problems = reading.problems;
    // kind itself takes a config without a name.
    problems.extend(
        config
            .unnamed()
            .map(|mut problem| {
                problem.severity = Severity::Warning;
                problem
            })
            .into_iter()
            .collect::<Diagnostics>(),
    );
    problems.extend(traps::of_config(&config, &kubelets));
    problems.sort();
    Ok(Linted { problems, config, kubelets })
}

/// Settings with which the cluster would not stay healthy, as warnings: an experiment may want to
/// see just that.
pub(crate) fn harmful_settings(config: &KindConfig) -> Diagnostics {
    let warning = |problem| Diagnostic { severity: Severity::Warning, ..problem };
    let traps = traps::of_config(config, &groups(config));
    traps.into_iter().filter(Diagnostic::is_error).map(warning).collect()
}

/// The same as the model has them.
pub(crate) fn certain_traps(config: &KindConfig) -> Vec<Trap> {
    let api_servers = config.count(NodeRole::ControlPlane) as u32;
    let of = |group: KubeletGroup| traps_of_tuning(&group.tuning, &config.kubernetes, api_servers);
    groups(config).into_iter().flat_map(of).filter(|trap| trap.certain).collect()
}

fn groups(config: &KindConfig) -> Vec<KubeletGroup> {
    let mut groups: Vec<KubeletGroup> = Vec::new();
    for node in &config.nodes {
        match groups.iter_mut().find(|group| group.tuning == node.tuning) {
            Some(group) => group.nodes.push(node.name.clone()),
            None => {
                groups.push(KubeletGroup { nodes: vec![node.name.clone()], tuning: node.tuning });
            }
        }
    }
    groups.sort_by_key(|group| {
        Reverse((heartbeat(&group.tuning).interval, group.tuning.node_status_update_frequency))
    });
    groups
}
