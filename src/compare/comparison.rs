//! Samples beside samples: what differs in how they were made, and in what they measured.

use std::collections::BTreeSet;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::{Change, changes, mixed};
use super::difference::{Difference, Verdict};
use super::floor::Floor;
use super::sample::{LeftOut, Recorded, Sample};
use crate::stats::runs_needed_against;

/// The version of the form.
pub const FORMAT: &str = "outage.compare/v1";

/// What `compare` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Comparisons {
    /// The version of this form, `outage.compare/v1`.
    pub format: String,
    /// How the difference and its interval are estimated.
    pub method: String,
    /// The least difference that counts.
    pub floor: Floor,
    /// Each pair of sides.
    pub comparisons: Vec<Comparison>,
    /// What was not compared, and why: a sentence each.
    pub skipped: Vec<String>,
}

const METHOD: &str = "Hodges-Lehmann estimate (1963) of after minus before; distribution-free 95% interval of the Mann-Whitney U test (1947)";

/// Two sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// What it is called, for people.
    pub name: String,
    /// The side before, or the baseline.
    pub before: Side,
    /// The side after.
    pub after: Side,
    /// What differs in how they were made.
    pub changes: Vec<Change>,
    /// What makes the comparison less meaningful: a sentence each.
    pub warnings: Vec<String>,
    /// Each quantity.
    pub quantities: Vec<Difference>,
}

/// One side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// What it is: as it was asked for.
    pub name: String,
    /// The runs that count, by their ids.
    pub runs: Vec<String>,
    /// How many of them were judged inconclusive; what they measured counts all the same.
    pub inconclusive: u32,
    /// How many of them were judged a failure.
    pub failed: u32,
    /// The runs of which nothing counts.
    pub left_out: Vec<LeftOut>,
}

/// A sample, and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub name: &'a str,
    pub sample: &'a Sample,
}

impl Side {
    fn new(Named { name, sample }: &Named<'_>) -> Self {
        Self {
            name: (*name).to_owned(),
            runs: sample.runs.clone(),
            inconclusive: sample.inconclusive,
            failed: sample.failed,
            left_out: sample.left_out.clone(),
        }
    }
}

impl Comparison {
    /// Compares two samples, each with its name. Errors where one is of the model and the other of a real cluster.
    pub fn new(name: &str, sides: [Named<'_>; 2], floor: Floor) -> Result<Self, String> {
        let [before, after] = sides.each_ref().map(|side| side.sample);
        let modelled = before.is_modelled() || after.is_modelled();
        if modelled && (before.is_real() || after.is_real()) {
            return Err(format!(
                "{name}: runs on the embedded model cannot be compared with runs on a real cluster"
            ));
        }
        let changes = changes(before, after);
        let names: BTreeSet<&String> =
            before.measured.keys().chain(after.measured.keys()).collect();
        let survivors = survivors(before, "before").or(survivors(after, "after"));
        let of = |name: &&String| {
            let [from, to] = [before, after].map(|side| side.measured.get(*name));
            Some(Difference::new(name, from, to, floor)?.undecided(survivors.as_ref()))
        };
        Ok(Self {
            name: name.to_owned(),
            before: Side::new(&sides[0]),
            after: Side::new(&sides[1]),
            warnings: warnings(before, after, &changes, modelled),
            changes,
            quantities: names.iter().filter_map(of).collect(),
        })
    }

    pub fn with(&self, verdict: Verdict) -> impl Iterator<Item = &Difference> {
        self.quantities.iter().filter(move |one| one.verdict == verdict)
    }

    pub fn is_decided(&self) -> bool {
        let decided = self.quantities.iter().all(|one| one.verdict.is_decided());
        decided && !self.quantities.is_empty()
    }

    pub fn is_worse(&self) -> bool {
        self.with(Verdict::Worse).next().is_some()
    }
}

impl Comparisons {
    pub fn new(floor: Floor, comparisons: Vec<Comparison>, skipped: Vec<String>) -> Self {
        Self { format: FORMAT.into(), method: METHOD.into(), floor, comparisons, skipped }
    }

    pub fn is_worse(&self) -> bool {
        self.comparisons.iter().any(Comparison::is_worse)
    }

    /// Why these runs must not replace those that they were compared with.
    pub fn why_not_saved(&self) -> Option<&'static str> {
        let too_few = |one: &Comparison| {
            let needed = runs_needed_against(one.before.runs.len());
            needed.is_none_or(|needed| one.after.runs.len() < needed)
        };
        if self.is_worse() {
            return Some("these runs are worse than the baseline");
        }
        self.comparisons.iter().any(too_few).then_some(
            "too few runs to compare with the baseline; without --baseline they replace it",
        )
    }

    /// Whether all was compared that was asked for, and each quantity is decided.
    pub fn is_decided(&self) -> bool {
        self.skipped.is_empty() && self.comparisons.iter().all(Comparison::is_decided)
    }
}

/// Runs of one experiment, or of one cell of a study, on both sides.
#[derive(Debug)]
pub struct Pair<'a> {
    pub name: String,
    pub before: Vec<Recorded<'a>>,
    pub after: Vec<Recorded<'a>>,
}

/// Runs of two sides: all beside all, but by name where a side has several, as a suite has experiments
/// and a study has cells; in the order of the sides.
pub fn pair<'a>(
    before: Vec<Recorded<'a>>,
    after: Vec<Recorded<'a>>,
    name: impl Fn(&Recorded<'a>) -> String,
) -> Vec<Pair<'a>> {
    let names_of = |runs: &[Recorded<'a>]| {
        let mut seen = BTreeSet::new();
        let mut names: Vec<String> = runs.iter().map(&name).collect();
        names.retain(|name| seen.insert(name.clone()));
        names
    };
    let (mut names, others) = (names_of(&before), names_of(&after));
    let is_one = names.len() <= 1 && others.len() <= 1;
    let new = others.into_iter().filter(|other| !names.contains(other)).collect::<Vec<_>>();
    names.extend(new);
    if is_one {
        return vec![Pair { name: names.join(" and "), before, after }];
    }
    let of = |runs: &[Recorded<'a>], wanted: &str| {
        runs.iter().filter(|run| name(run) == wanted).copied().collect::<Vec<_>>()
    };
    let pair = |name: String| Pair { before: of(&before, &name), after: of(&after, &name), name };
    names.into_iter().map(pair).collect()
}

/// Why a side decides nothing: the few runs that count need not be like those that don't.
fn survivors(sample: &Sample, side: &str) -> Option<String> {
    let (out, all) = (sample.left_out.len(), sample.left_out.len() + sample.runs.len());
    sample.is_survivors().then(|| format!("{out} of {all} runs {side} were left out"))
}

fn warnings(before: &Sample, after: &Sample, changes: &[Change], modelled: bool) -> Vec<String> {
    let mut all = Vec::new();
    if modelled {
        all.push("Both are runs of the EMBEDDED MODEL: this compares models, not clusters.".into());
    }
    if changes.iter().any(|change| change.name == "cluster") {
        all.push(
            "The clusters are of different types: all nodes of a kind cluster share one machine."
                .into(),
        );
    }
    for (side, sample) in [("before", before), ("after", after)] {
        let mixed: Vec<String> = mixed(sample).into_iter().collect();
        if !mixed.is_empty() {
            let list = crate::timeline::few(&mixed);
            all.push(format!("The runs {side} differ among themselves in {list}."));
        }
        let shared = before.runs.iter().filter(|run| after.runs.contains(run)).count();
        if side == "after" && shared > 0 {
            all.push(format!(
                "Both sides contain {}.",
                crate::timeline::counted(shared as u64, "run")
            ));
        }
    }
    all
}
