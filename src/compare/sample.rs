//! Runs put together: what they measured, by quantity, and what they were made of.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions;
use super::key::Key;
use super::quantities::{Unit, Value, measurements};
use crate::analysis::{Completion, Findings};
use crate::timeline::Timeline;
use crate::verdict::{Outcome, Verdict};

/// A run, judged.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    pub timeline: &'a Timeline,
    pub findings: &'a Findings,
    pub verdict: &'a Verdict,
}

impl Recorded<'_> {
    pub fn key(&self) -> Key {
        Key::of(&self.timeline.header)
    }

    /// Whether it is inconclusive where its probers' own hosts were disturbed.
    pub fn is_disturbed(&self) -> bool {
        let mut probes = self.findings.probes.iter().filter(|probe| !probe.control);
        self.verdict.outcome == Outcome::Inconclusive && probes.any(|probe| probe.is_disturbed())
    }

    /// Why none of its numbers count, in a comparison and in every other statistic; `None`: they do.
    pub fn left_out(&self) -> Option<&'static str> {
        let faults = &self.findings.faults;
        match &self.findings.completion {
            Completion::Refused { .. } => Some("refused"),
            Completion::Running => Some("still running"),
            Completion::Died => Some("unfinished"),
            Completion::Interrupted { .. } => Some("interrupted"),
            Completion::Failed { .. } => Some("run error"),
            Completion::Complete
                if !faults.is_empty() && faults.iter().all(|fault| fault.confirmed.is_none()) =>
            {
                Some("no fault was confirmed")
            }
            Completion::Complete => {
                self.is_disturbed().then_some("the prober's host was disturbed")
            }
        }
    }
}

/// Runs put together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The runs that count, by their ids.
    pub runs: Vec<String>,
    /// How many of them were judged inconclusive: what they measured counts all the same.
    #[serde(default)]
    pub inconclusive: u32,
    /// How many were judged a failure.
    #[serde(default)]
    pub failed: u32,
    /// The runs of which nothing counts.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// What they were made of, by name; several values where they differ.
    #[serde(default)]
    pub conditions: BTreeMap<String, BTreeSet<String>>,
    /// What they measured, by quantity.
    pub measured: BTreeMap<String, Values>,
}

/// A run of which nothing counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// Its id.
    pub run: String,
    /// Why.
    pub why: String,
}

/// What runs measured of a quantity. A run that is in none of the lists said nothing of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Values {
    /// The unit.
    pub unit: Unit,
    /// What was measured, sorted.
    pub values: Vec<f64>,
    /// Of runs where it had not ended when it was no longer looked at: it took at least so long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_least: Vec<f64>,
    /// Of runs where it did not come about while the fault lasted: for how long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<f64>,
}

impl Sample {
    pub fn new<'a>(runs: impl IntoIterator<Item = Recorded<'a>>) -> Self {
        let mut sample = Self::default();
        runs.into_iter().for_each(|run| sample.add(run));
        for values in sample.measured.values_mut() {
            for list in [&mut values.values, &mut values.at_least, &mut values.never] {
                list.sort_by(f64::total_cmp);
            }
        }
        sample
    }

    fn add(&mut self, run: Recorded<'_>) {
        let id = run.timeline.header.run.clone();
        if let Some(why) = run.left_out() {
            return self.left_out.push(LeftOut { run: id, why: why.into() });
        }
        self.runs.push(id);
        self.inconclusive += u32::from(run.verdict.outcome == Outcome::Inconclusive);
        self.failed += u32::from(run.verdict.outcome == Outcome::Fail);
        for (name, value) in conditions::of_header(&run.timeline.header) {
            self.conditions.entry(name).or_default().insert(value);
        }
        for measurement in measurements(run.findings) {
            let none =
                Values { unit: measurement.unit, values: vec![], at_least: vec![], never: vec![] };
            let values = self.measured.entry(measurement.name).or_insert(none);
            // As a file keeps it: microseconds.
            let kept = |value: f64| (value * 1e6).round() / 1e6;
            match measurement.value {
                Value::Measured(value) => values.values.push(kept(value)),
                Value::AtLeast(value) => values.at_least.push(kept(value)),
                Value::Never(value) => values.never.push(kept(value)),
            }
        }
    }

    /// Whether most runs are left out.
    pub(super) fn is_survivors(&self) -> bool {
        self.left_out.len() > self.runs.len()
    }

    /// The experiments that these are runs of.
    pub fn experiments(&self) -> impl Iterator<Item = &str> {
        self.conditions.get("experiment").into_iter().flatten().map(String::as_str)
    }

    /// Whether these are runs on the embedded model.
    pub(super) fn is_modelled(&self) -> bool {
        self.conditions.get("cluster").is_some_and(|kinds| kinds.contains("embedded model"))
    }

    /// Whether some of these are runs on a real cluster.
    pub(super) fn is_real(&self) -> bool {
        self.conditions
            .get("cluster")
            .is_some_and(|kinds| kinds.iter().any(|kind| kind != "embedded model"))
    }
}
