//! Claims: what others say, and a run's verdict decides.

use serde::{Deserialize, Serialize};

/// Something that an article says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Its ID in a list of claims: `B3`.
    pub id: String,
    pub says: String,
    /// Who says so. Default: none.
    pub source: Option<String>,
    /// What it means for the claim that the experiment passes. Default: confirmed.
    #[serde(default)]
    pub pass_means: PassMeans,
    /// What it means for the claim that the experiment fails. Default: refuted of a claim that a
    /// pass confirms; open of one that a pass refutes, for something else that was expected and did
    /// not come does not prove what is claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_means: Option<FailMeans>,
    /// The expectations that decide it, by their names or kinds. None: all of them, the verdict
    /// itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

impl Claim {
    pub fn is_decided_by(&self, expectation: &str) -> bool {
        self.by.is_empty() || self.by.iter().any(|by| means(by, expectation))
    }

    pub fn fail_means(&self) -> FailMeans {
        self.fail_means.unwrap_or(match self.pass_means {
            PassMeans::Confirmed => FailMeans::Refuted,
            PassMeans::Refuted => FailMeans::Open,
        })
    }
}

/// Whether `by` means the expectation of this name: by the name, or by its first parts, which mean
/// all that begin so.
pub(super) fn means(by: &str, expectation: &str) -> bool {
    let rest = expectation.strip_prefix(by);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

    use super::means;
    use crate::experiment::{built_in_names, load, parse};

    #[test]
    fn a_claim_names_one_expectation_or_all_that_begin_so() {
        let meant = |by| {
            [
                "latency/web",
                "latency/web/p50",
                "latency/web/p50/before",
                "latency/web2",
                "latencies",
            ]
            .map(|name| means(by, name))
        };
        assert_eq!(meant("latency"), [true, true, true, true, false]);
        assert_eq!(meant("latency/web"), [true, true, true, false, false]);
        assert_eq!(meant("latency/web/p50/before"), [false, false, true, false, false]);
    }

    /// Which experiment decides which claim: what the experiments say, and the tables of results.
    #[test]
    fn every_experiment_claims_what_the_results_say() {
        let claims = |name: &str| parse(load(name).unwrap()).unwrap().experiment.claims;
        let claimed: BTreeSet<(String, String)> = built_in_names()
            .into_iter()
            .flat_map(|name| claims(name).into_iter().map(move |claim| (claim.id, name.into())))
            .collect();
        let results = include_str!("../../docs/results.md").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let (claim, experiment) = (cells.next()?, cells.nth(1)?.strip_prefix('`')?);
            let name = experiment.split(['`', '[']).next()?;
            (!claim.is_empty()).then(|| (claim.into(), name.into()))
        });
        assert_eq!(claimed, results.collect::<BTreeSet<_>>());
    }
}
