//! Claims: what others say, and a run's verdict decides.

use serde::{Deserialize, Serialize};

/// Something that an article says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Its ID in a list of claims: `B3`.
    pub id: String,
    /// What is claimed, in a sentence.
    pub says: String,
    /// Who says so. Default: none.
    pub source: Option<String>,
    /// What it means for the claim that the experiment passes. Default: confirmed.
    #[serde(default)]
    pub pass_means: PassMeans,
    /// What it means for the claim that the experiment fails. Default: refuted of a claim that a
    /// pass confirms; open of one that a pass refutes, for something else that was expected and did
    /// not come is no proof of what is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_means: Option<FailMeans>,
    /// The expectations that decide it, by their names or kinds. None: all of them, the verdict
    /// itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

impl Claim {
    /// Whether the expectation of this name is one that decides it.
    pub fn is_decided_by(&self, expectation: &str) -> bool {
        self.by.is_empty() || self.by.iter().any(|by| means(by, expectation))
    }

    /// What a fail means, given or by default.
    pub fn fail_means(&self) -> FailMeans {
        self.fail_means.unwrap_or(match self.pass_means {
            PassMeans::Confirmed => FailMeans::Refuted,
            PassMeans::Refuted => FailMeans::Open,
        })
    }
}

/// Whether `by` means the expectation of this name: by the name, or by its kind, which means all of
/// that kind.
pub(super) fn means(by: &str, expectation: &str) -> bool {
    let kind = expectation.split_once('/').map_or(expectation, |(kind, _)| kind);
    by == expectation || by == kind
}

/// What it means for a claim that its experiment (or what decides it there) passes. Inconclusive
/// leaves the claim open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PassMeans {
    /// The experiment expects what is claimed.
    #[default]
    Confirmed,
    /// The experiment expects the contrary of what is claimed.
    Refuted,
}

/// What it means for a claim that its experiment (or what decides it there) fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailMeans {
    /// What was expected is all that could have spoken against the claim.
    Confirmed,
    /// What was expected is what is claimed.
    Refuted,
    /// It can fail for many reasons.
    Open,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::experiment::{built_in_names, load, parse};

    /// Every claim that this repository puts to the test, and the experiments that do.
    const CLAIMS: &[(&str, &[&str])] = &[
        (
            "A",
            &[
                "worker-stop-fast",
                "worker-stop-from-pod",
                "worker-stop-default",
                "worker-stop-article-default",
            ],
        ),
        ("B1", &["control-plane-down"]),
        ("B2", &["api-server-down"]),
        ("B3", &["scheduler-down"]),
        ("B4", &["controller-manager-down"]),
        ("B5", &["etcd-down"]),
        ("B5a", &["etcd-down"]),
        ("B5b", &["etcd-data-lost"]),
        ("B6", &["worker-down-while-control-plane-down"]),
        ("B7", &["worker-reboot-while-control-plane-down"]),
        ("B8", &["autoscaler-stalled", "autoscaler-stalled-api-server-down"]),
        ("B9", &["control-plane-away"]),
        ("B9b", &["control-plane-away"]),
        ("B10", &["dns-down"]),
        (
            "B11",
            &[
                "container-dies-while-control-plane-down",
                "pod-deleted-while-controller-manager-down",
            ],
        ),
        ("C1", &["worker-down"]),
        ("C2", &["rescheduling"]),
        ("C3", &["control-plane-down", "ha-one-control-plane-lost"]),
        ("C4", &["ha-one-control-plane-lost", "ha-quorum-lost"]),
        ("C5", &["leader-failover"]),
        ("C6", &["zombie-leader"]),
        ("C7", &["load-balancer-down"]),
        ("C8", &["dns-node-lost", "dns-node-lost-spread"]),
        ("C9", &["rolling-restart", "node-drain"]),
        (
            "D1",
            &[
                "worker-stop-fast",
                "node-kill",
                "node-pause",
                "node-disconnect",
                "worker-cut-off-from-the-api-server",
            ],
        ),
        ("D2", &["kubelet-stop", "kubelet-pause"]),
        ("D3", &["leader-on-the-dead-node"]),
        ("D4", &["glitch-shorter-than-grace", "glitch-longer-than-grace"]),
    ];

    #[test]
    fn every_experiment_claims_what_the_table_says() {
        let names = built_in_names();
        let mut wrong = Vec::new();
        for name in &names {
            let claims = parse(load(name).unwrap()).unwrap().experiment.claims;
            let claimed: BTreeSet<&str> = claims.iter().map(|claim| claim.id.as_str()).collect();
            let wanted: BTreeSet<&str> =
                CLAIMS.iter().filter(|(_, by)| by.contains(name)).map(|(id, _)| *id).collect();
            if claimed != wanted || wanted.is_empty() {
                wrong.push(format!(
                    "experiments/{name}.yaml claims {claimed:?}, the table in src/experiment/claim.rs has {wanted:?}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let known: BTreeSet<&str> = CLAIMS.iter().flat_map(|(_, by)| by.iter().copied()).collect();
        assert_eq!(known, names.into_iter().collect(), "what the table names, and what there is");
    }
}
