//! Claims, decided by verdicts: what an article says, and what was measured.

use std::cmp::Ordering;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::{Claim, FailMeans, PassMeans};
use crate::verdict::{Outcome, Verdict};

/// What a measurement says about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// The claim is confirmed.
    Confirmed,
    /// The claim is refuted.
    Refuted,
    /// The claim is neither confirmed nor refuted.
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
        match (outcome, claim.pass_means, claim.fail_means()) {
            (Some(Outcome::Pass), PassMeans::Confirmed, _)
            | (Some(Outcome::Fail), _, FailMeans::Confirmed) => Decision::Confirmed,
            (Some(Outcome::Pass), PassMeans::Refuted, _)
            | (Some(Outcome::Fail), _, FailMeans::Refuted) => Decision::Refuted,
            (Some(Outcome::Fail), _, FailMeans::Open)
            | (Some(Outcome::Inconclusive | Outcome::Measured) | None, ..) => Decision::Open,
        }
    }
}

/// A claim and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DecidedClaim {
    /// Its ID in a list of claims: `B3`.
    pub id: String,
    /// What is claimed.
    pub says: String,
    /// The source of the claim.
    pub source: Option<String>,
    /// What the measurement says about it.
    pub decision: Decision,
    /// The figures that decide it; of an open one, why it is open.
    pub figures: String,
}

impl DecidedClaim {
    /// A claim by the verdicts of its experiment's runs: of each only what decides it.
    pub fn new(claim: &Claim, verdicts: &[&Verdict]) -> Self {
        let (outcome, figures) = match Worst::on(claim, verdicts) {
            Some(worst) => (Some(worst.outcome), worst.figures),
            None => (None, String::new()),
        };
        Self::decided(claim, outcome, figures)
    }

    /// A claim by runs on the embedded model, which can only agree with itself: it stays open.
    pub fn modelled(claim: &Claim, verdicts: &[&Verdict]) -> Self {
        let shown = shown(claim, verdicts).map_or(String::new(), |shown| shown + "; ");
        Self::open(claim, &format!("on the embedded model: {shown}only a real cluster decides it"))
    }

    /// A claim by runs on a cluster with other settings than it is about: it stays open.
    pub fn inapplicable(claim: &Claim, verdicts: &[&Verdict], why: &str) -> Self {
        let shown = shown(claim, verdicts).map_or(String::new(), |shown| format!(" ({shown})"));
        Self::open(claim, &format!("not applicable: {why}{shown}"))
    }

    /// A claim of an experiment that was not carried out, for this reason.
    pub fn open(claim: &Claim, why: &str) -> Self {
        Self::decided(claim, None, why.to_owned())
    }

    fn decided(claim: &Claim, outcome: Option<Outcome>, figures: String) -> Self {
        let Claim { id, says, source, .. } = claim.clone();
        let decision = Decision::of(claim, outcome);
        let undecided = decision == Decision::Open && outcome == Some(Outcome::Fail);
        let figures =
            if undecided { format!("{figures}; that alone confirms nothing") } else { figures };
        Self { id, says, source, decision, figures }
    }
}

/// How a claim's experiment was judged, and by what: `FAIL, detection 9s`.
fn shown(claim: &Claim, verdicts: &[&Verdict]) -> Option<String> {
    let worst = Worst::on(claim, verdicts)?;
    Some(format!("{}, {}", worst.outcome.word(), worst.figures))
}

/// The worst of several verdicts, and its figures.
pub struct Worst {
    pub outcome: Outcome,
    /// What decided it; of several verdicts with how many were judged as this one.
    pub figures: String,
}

impl Worst {
    /// The worst of these by what decides a claim alone.
    fn on(claim: &Claim, verdicts: &[&Verdict]) -> Option<Self> {
        let own: Vec<Verdict> = verdicts.iter().map(|verdict| verdict.on(claim)).collect();
        Self::of(own.iter())
    }

    /// The worst of these.
    pub fn of<'v>(verdicts: impl Iterator<Item = &'v Verdict> + Clone) -> Option<Self> {
        let gravest = verdicts.clone().max_by_key(|verdict| verdict.outcome)?;
        let (outcome, figures) = (gravest.outcome, figures(gravest));
        let alike = verdicts.clone().filter(|verdict| verdict.outcome == outcome).count();
        let figures = match verdicts.count() {
            1 => figures,
            all => format!("{alike} of {all} runs {}, one of them: {figures}", outcome.word()),
        };
        Some(Self { outcome, figures })
    }
}

/// The figures that decide a verdict: those that fail it; of a pass all; what could not be decided with its reason.
fn figures(verdict: &Verdict) -> String {
    let deciding =
        verdict.assertions.iter().filter(|assertion| assertion.outcome == verdict.outcome);
    let texts: Vec<String> = deciding
        .map(|assertion| match &assertion.why {
            Some(why) if verdict.outcome != Outcome::Pass => {
                format!("{} ({why})", assertion.result_text())
            }
            _ => assertion.result_text(),
        })
        .collect();
    let open = verdict.issue.is_some() && verdict.outcome != Outcome::Fail;
    if texts.is_empty() || open { verdict.summary.clone() } else { texts.join("; ") }
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
        Claim {
            id: "B5".into(),
            says: "the state is gone".into(),
            source: None,
            pass_means,
            fail_means: None,
            by: Vec::new(),
        }
    }

    #[test]
    fn a_verdict_decides_a_claim_either_way() {
        let of = |means, outcome| Decision::of(&claim(means), outcome);
        assert_eq!(of(PassMeans::Confirmed, Some(Outcome::Pass)), Decision::Confirmed);
        assert_eq!(of(PassMeans::Confirmed, Some(Outcome::Fail)), Decision::Refuted);
        assert_eq!(of(PassMeans::Refuted, Some(Outcome::Pass)), Decision::Refuted);
        for means in [PassMeans::Confirmed, PassMeans::Refuted] {
            assert_eq!(of(means, Some(Outcome::Inconclusive)), Decision::Open);
            assert_eq!(of(means, None), Decision::Open);
        }
    }

    #[test]
    fn that_the_contrary_fails_confirms_only_where_the_file_says_so() {
        let of = |fail_means| {
            let claim = Claim { fail_means, ..claim(PassMeans::Refuted) };
            Decision::of(&claim, Some(Outcome::Fail))
        };
        assert_eq!(
            [of(None), of(Some(FailMeans::Confirmed))],
            [Decision::Open, Decision::Confirmed]
        );
        let doubtful = Claim { fail_means: Some(FailMeans::Open), ..claim(PassMeans::Confirmed) };
        assert_eq!(Decision::of(&doubtful, Some(Outcome::Fail)), Decision::Open);
        let decided = DecidedClaim::new(&claim(PassMeans::Refuted), &[&mixed()]);
        assert_eq!(
            decided.figures,
            "detection 9s, within 7s (longer than expected); that alone confirms nothing"
        );
    }

    fn assertion(name: &str, outcome: Outcome, why: Option<&str>) -> Assertion {
        Assertion {
            name: name.into(),
            text: format!("{name} within 7s"),
            subject: name.into(),
            bound: "within 7s".into(),
            outcome,
            measured: Some("9s".into()),
            note: None,
            why: why.map(str::to_owned),
        }
    }

    /// A recovery in time, a detection that was late, errors that say nothing.
    fn mixed() -> Verdict {
        let late = assertion("detection", Outcome::Fail, Some("longer than expected"));
        let blind = assertion("noErrors/web", Outcome::Inconclusive, Some("the prober stalled"));
        Verdict::new(None, vec![assertion("recovery", Outcome::Pass, None), late, blind])
    }

    #[test]
    fn the_figures_are_those_that_decide() {
        let good = Verdict::new(None, vec![assertion("recovery", Outcome::Pass, None)]);
        assert_eq!(figures(&good), "recovery 9s, within 7s");
        assert_eq!(figures(&mixed()), "detection 9s, within 7s (longer than expected)");
        let doubted = assertion("detection", Outcome::Inconclusive, Some("the run did not finish"));
        assert_eq!(
            figures(&Verdict::new(Some("the run did not finish".into()), vec![doubted])),
            "the run did not finish"
        );
        assert_eq!(figures(&Verdict::new(None, Vec::new())), "no expectations: nothing was judged");
    }

    #[test]
    fn a_claim_is_decided_by_its_own_expectations() {
        let by = |names: &[&str], verdicts: &[&Verdict]| {
            let by = names.iter().map(|name| (*name).to_owned()).collect();
            let decided = DecidedClaim::new(&Claim { by, ..claim(PassMeans::Refuted) }, verdicts);
            (decided.decision, decided.figures)
        };
        let (mixed, doubted) =
            (mixed(), Verdict { issue: Some("the run did not finish".into()), ..mixed() });
        assert_eq!(by(&[], &[&mixed]).0, Decision::Open);
        assert_eq!(
            by(&["recovery"], &[&mixed]),
            (Decision::Refuted, "recovery 9s, within 7s".into())
        );
        assert_eq!(by(&["recovery", "detection"], &[&mixed]).0, Decision::Open);
        for name in ["noErrors", "noErrors/web"] {
            let (decision, figures) = by(&[name, "recovery"], &[&mixed]);
            assert_eq!(
                (decision, figures.contains("the prober stalled")),
                (Decision::Open, true),
                "{figures}"
            );
        }
        assert_eq!(
            by(&["recovery"], &[&doubted]),
            (Decision::Open, "the run did not finish".into())
        );
        let (decision, figures) = by(&["recovery"], &[&mixed, &doubted]);
        assert_eq!(
            (decision, figures.as_str()),
            (Decision::Open, "1 of 2 runs INCONCLUSIVE, one of them: the run did not finish")
        );
        assert_eq!(
            by(&["restarted"], &[&mixed]).0,
            Decision::Open,
            "of a file that was changed by hand"
        );
    }

    #[test]
    fn a_model_decides_no_claim() {
        let good = Verdict::new(None, vec![assertion("recovery", Outcome::Pass, None)]);
        for (verdict, shown) in
            [(good, "PASS, recovery 9s, within 7s"), (mixed(), "FAIL, detection 9s")]
        {
            let decided = DecidedClaim::modelled(&claim(PassMeans::Confirmed), &[&verdict]);
            assert_eq!(decided.decision, Decision::Open);
            assert!(
                decided.figures.starts_with(&format!("on the embedded model: {shown}")),
                "{decided:?}"
            );
        }
    }

    #[test]
    fn a_cluster_with_other_settings_decides_no_claim() {
        let why = "this cluster's node-monitor-grace-period is 50s, not 4s";
        let decided = DecidedClaim::inapplicable(&claim(PassMeans::Confirmed), &[&mixed()], why);
        assert_eq!(decided.decision, Decision::Open);
        assert_eq!(
            decided.figures,
            format!("not applicable: {why} (FAIL, detection 9s, within 7s (longer than expected))")
        );
    }

    #[test]
    fn claims_are_in_the_order_of_their_numbers() {
        let mut ids = ["C1", "B10", "B2", "B5b", "A", "B5"];
        ids.sort_by(|a, b| by_number(a, b));
        assert_eq!(ids, ["A", "B2", "B5", "B5b", "B10", "C1"]);
    }
}
