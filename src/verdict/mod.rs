//! Pure: findings and expectations in; pass, fail or inconclusive out.
//!
//! One rule of dominance: fail, then inconclusive, then pass. Inconclusive is never a pass: a bound that lies inside a measured
//! interval, a fault that was not confirmed or hit nothing that the probe asks, a probe that was blind or late, a steady state that
//! never held, a run that was cut short before what decides it.

mod cut_short;
mod faults;
mod finding;
mod latency;
mod leaders;
mod of_probes;
mod pods_and_objects;
mod rules;
mod run;
#[cfg(test)]
mod tests;
mod validity;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{Findings, Wanted};
use crate::experiment::{Claim, Expectation};
use crate::prediction::Predictions;
use run::Run;

/// The verdicts; the later ones dominate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// There were no expectations, so nothing was judged.
    Measured,
    /// The measurement meets the expectation.
    Pass,
    /// The measurement proves neither.
    Inconclusive,
    /// The measurement contradicts the expectation.
    Fail,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Measured => "MEASURED",
            Outcome::Pass => "PASS",
            Outcome::Inconclusive => "INCONCLUSIVE",
            Outcome::Fail => "FAIL",
        }
    }
}

/// A run, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The worst of the assertions.
    pub outcome: Outcome,
    /// Why, in a sentence.
    pub summary: String,
    /// Why the run as a whole cannot pass, if so.
    #[serde(rename = "doubt")]
    pub issue: Option<String>,
    /// Each expectation, in the experiment's order. None: nothing was judged.
    pub assertions: Vec<Assertion>,
}

impl Verdict {
    /// The worst of these, and no better than inconclusive with an issue.
    pub fn new(issue: Option<String>, assertions: Vec<Assertion>) -> Self {
        let least = issue.as_ref().map_or(Outcome::Measured, |_| Outcome::Inconclusive);
        let outcome = assertions.iter().map(|assertion| assertion.outcome).fold(least, Ord::max);
        let summary = match &issue {
            Some(issue) if outcome == Outcome::Fail => {
                format!("{}; {issue}", summary(outcome, &assertions))
            }
            Some(issue) => issue.clone(),
            None => summary(outcome, &assertions),
        };
        Self { outcome, summary, issue, assertions }
    }

    /// Each expectation by a name that no other has and no bound is in: what it is about, with `#2`
    /// for the second about the same.
    pub fn named(&self) -> impl Iterator<Item = (String, &Assertion)> {
        self.assertions.iter().enumerate().map(|(index, one)| {
            let before = self.assertions[..index].iter();
            let number = 1 + before.filter(|other| other.subject == one.subject).count();
            let again = if number == 1 { String::new() } else { format!(" #{number}") };
            (format!("{}{again}", one.subject), one)
        })
    }

    /// The verdict by those expectations alone that decide a claim.
    pub fn on(&self, claim: &Claim) -> Self {
        let deciding: Vec<_> = self
            .assertions
            .iter()
            .filter(|assertion| claim.is_decided_by(&assertion.name))
            .cloned()
            .collect();
        let nothing = deciding.is_empty().then(|| "none of the expectations decides it".to_owned());
        Self::new(self.issue.clone().or(nothing), deciding)
    }
}

/// An expectation, judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Assertion {
    /// The name by which a claim refers to it: `detection`, `noErrors/web`.
    pub name: String,
    /// The expectation: `detection within 7s`.
    pub text: String,
    /// What it is about: `detection`.
    pub subject: String,
    /// Its bound: `within 7s`.
    pub bound: String,
    /// How it was judged.
    pub outcome: Outcome,
    /// What was measured: `4.781s`. `None`: nothing.
    pub measured: Option<String>,
    /// What the measurement can't show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it did not pass.
    pub why: Option<String>,
}

impl Assertion {
    /// What was measured, with its bound: `detection 4.781s, within 7s`.
    pub fn result_text(&self) -> String {
        let Self { subject, bound, .. } = self;
        match (&self.measured, &self.note) {
            (Some(measured), Some(note)) => format!("{subject} {bound}: {measured}; {note}"),
            (Some(measured), None) => format!("{subject} {measured}, {bound}"),
            (None, _) => format!("{subject} {bound}"),
        }
    }
}

/// What must be found to judge by these expectations.
pub fn wanted(expect: &[Expectation]) -> Wanted {
    Wanted {
        windows: expect.iter().filter_map(Expectation::window).collect(),
        undisturbed_latency: expect.iter().any(Expectation::is_latency),
    }
}

/// Judges what was found by what was expected; `predictions` for the bounds that are `predicted`.
pub fn judge(found: &Findings, expect: &[Expectation], predictions: &Predictions) -> Verdict {
    let issue = validity::of_run(found);
    let assertions = expect
        .iter()
        .map(|expectation| {
            rules::assertion(&Run { found, predictions }, expectation, issue.as_deref())
        })
        .collect();
    Verdict::new(issue.or_else(|| Some(found.completion.ending()?.issue)), assertions)
}

fn summary(outcome: Outcome, assertions: &[Assertion]) -> String {
    let count = |wanted| assertions.iter().filter(|a| a.outcome == wanted).count();
    let all = assertions.len();
    match outcome {
        Outcome::Measured => "no expectations: nothing was judged".into(),
        Outcome::Pass => format!("{all} of {all} expectations met"),
        Outcome::Fail => format!("{} of {all} expectations not met", count(Outcome::Fail)),
        Outcome::Inconclusive => {
            format!("{} of {all} expectations could not be decided", count(Outcome::Inconclusive))
        }
    }
}
