//! Claims, decided by a verdict: what an article says, and what was measured.

use std::cmp::Ordering;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::{Claim, PassMeans};
use crate::verdict::{Outcome, Verdict};

/// What a measurement made of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// It is so.
    Confirmed,
    /// It is not so.
    Refuted,
    /// Nothing was decided.
    Open,
}

impl Decision {
    /// `confirmed`, `refuted` or `open`.
    pub fn word(self) -> &'static str {
        match self {
            Decision::Confirmed => "confirmed",
            Decision::Refuted => "refuted",
            Decision::Open => "open",
        }
    }

    /// What an outcome means for a claim. `None`: nothing was carried out.
    pub fn of(claim: &Claim, outcome: Option<Outcome>) -> Self {
        match (outcome, claim.pass_means) {
            (Some(Outcome::Pass), PassMeans::Confirmed) | (Some(Outcome::Fail), PassMeans::Refuted) => Decision::Confirmed,
            (Some(Outcome::Pass), PassMeans::Refuted) | (Some(Outcome::Fail), PassMeans::Confirmed) => Decision::Refuted,
            (Some(Outcome::Inconclusive) | None, _) => Decision::Open,
        }
    }
}

/// A claim, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DecidedClaim {
    /// How it is called in a list of claims: `B3`.
    pub id: String,
    /// What is claimed.
    pub says: String,
    /// Who says so.
    pub source: Option<String>,
    /// What the measurement made of it.
    pub decision: Decision,
    /// The figures that decide it; of an open one, why it is open.
    pub figures: String,
}

impl DecidedClaim {
    /// A claim by an outcome and its figures.
    pub fn new(claim: &Claim, outcome: Option<Outcome>, figures: &str) -> Self {
        Self {
            id: claim.id.clone(),
            says: claim.says.clone(),
            source: claim.source.clone(),
            decision: Decision::of(claim, outcome),
            figures: figures.to_owned(),
        }
    }
}

/// The figures that decide a run: those that fail it; of a pass all; what could not be decided with its reason.
pub fn figures(verdict: &Verdict) -> String {
    let deciding = verdict.assertions.iter().filter(|assertion| assertion.outcome == verdict.outcome);
    let texts: Vec<String> = deciding
        .map(|assertion| match assertion.why.as_ref().filter(|why| **why != verdict.summary) {
            Some(why) if verdict.outcome != Outcome::Pass => format!("{} ({why})", assertion.said()),
            _ => assertion.said(),
        })
        .collect();
    let doubted = verdict.assertions.iter().any(|assertion| assertion.why.as_ref() == Some(&verdict.summary));
    if texts.is_empty() || doubted { verdict.summary.clone() } else { texts.join("; ") }
}

/// Claims in the order in which people number them: A, B2, B10, B10b, C1.
pub fn by_number(a: &str, b: &str) -> Ordering {
    parts(a).cmp(&parts(b))
}

/// The letters before the number, the number, and what follows it.
fn parts(id: &str) -> (&str, u64, &str) {
    let digits = id.find(|c: char| c.is_ascii_digit()).unwrap_or(id.len());
    let (letters, rest) = id.split_at(digits);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    (letters, rest[..end].parse().unwrap_or(0), &rest[end..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Assertion;

    fn claim(pass_means: PassMeans) -> Claim {
        Claim { id: "B5".into(), says: "the state is gone".into(), source: None, pass_means }
    }

    #[test]
    fn a_verdict_decides_a_claim_either_way() {
        let of = |means, outcome| Decision::of(&claim(means), outcome);
        assert_eq!(of(PassMeans::Confirmed, Some(Outcome::Pass)), Decision::Confirmed);
        assert_eq!(of(PassMeans::Confirmed, Some(Outcome::Fail)), Decision::Refuted);
        assert_eq!(of(PassMeans::Refuted, Some(Outcome::Pass)), Decision::Refuted);
        assert_eq!(of(PassMeans::Refuted, Some(Outcome::Fail)), Decision::Confirmed);
        for means in [PassMeans::Confirmed, PassMeans::Refuted] {
            assert_eq!(of(means, Some(Outcome::Inconclusive)), Decision::Open);
            assert_eq!(of(means, None), Decision::Open);
        }
    }

    fn assertion(subject: &str, outcome: Outcome, why: Option<&str>) -> Assertion {
        Assertion {
            text: format!("{subject} within 7s"),
            subject: subject.into(),
            bound: "within 7s".into(),
            outcome,
            measured: Some("9s".into()),
            why: why.map(str::to_owned),
        }
    }

    fn verdict(outcome: Outcome, assertions: Vec<Assertion>) -> Verdict {
        Verdict { outcome, summary: "the run died".into(), assertions }
    }

    #[test]
    fn the_figures_are_those_that_decide() {
        let (good, bad) =
            (assertion("recovery", Outcome::Pass, None), assertion("detection", Outcome::Fail, Some("longer than expected")));
        assert_eq!(figures(&verdict(Outcome::Pass, vec![good.clone()])), "recovery 9s, within 7s");
        assert_eq!(figures(&verdict(Outcome::Fail, vec![good, bad])), "detection 9s, within 7s (longer than expected)");
        let doubted = assertion("detection", Outcome::Inconclusive, Some("the run died"));
        assert_eq!(figures(&verdict(Outcome::Inconclusive, vec![doubted])), "the run died");
        assert_eq!(figures(&verdict(Outcome::Pass, Vec::new())), "the run died");
    }

    #[test]
    fn claims_are_in_the_order_of_their_numbers() {
        let mut ids = ["C1", "B10", "B2", "B5b", "A", "B5"];
        ids.sort_by(|a, b| by_number(a, b));
        assert_eq!(ids, ["A", "B2", "B5", "B5b", "B10", "C1"]);
    }
}
