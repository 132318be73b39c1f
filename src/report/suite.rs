//! Several experiments: one row each, one document.

use std::collections::BTreeSet;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::causes;
use super::claims::{self, DecidedClaim, Decision, Worst};
use super::not_run::{FileError, NotRun};
use super::spread::{SpreadReport, is_zero};
use super::style::Style;
use super::summary::Summary;
use super::table::{Columns, NARROW};
use super::text::{count, hang, judged, width};
use super::view::{FLAKY, View};
use crate::compare::Comparisons;
use crate::experiment::Claim;
use crate::stats::Seconds;
use crate::timeline::Shard;
use crate::verdict::{Outcome, Verdict};

/// The version of the form.
pub const FORMAT: &str = "outage.suite/v1";

#[derive(Debug)]
pub struct Part<R> {
    pub experiment: String,
    pub claims: Vec<Claim>,
    pub status: ExperimentStatus<R>,
    /// How many of the runs that were asked for were not started.
    pub not_started: u32,
    /// Its runs beside the baseline's, if one was asked for.
    pub baseline: Option<Comparisons>,
    /// The shard that it is of, if any.
    pub shard: Option<Shard>,
    /// Why it was refused, where that is known by line.
    pub errors: Vec<FileError>,
}

#[derive(Debug)]
pub enum ExperimentStatus<R> {
    /// It was carried out, as often as this; once at least.
    Ran(Vec<R>),
    /// It was not, for this reason.
    NotRun(NotRun, String),
}

impl<R> Part<R> {
    pub fn not_run(experiment: String, claims: Vec<Claim>, state: NotRun, why: String) -> Self {
        let status = ExperimentStatus::NotRun(state, why);
        let errors = Vec::new();
        Part { experiment, claims, status, not_started: 0, baseline: None, shard: None, errors }
    }

    /// The same with each run as something else.
    pub fn map<'r, S>(&'r self, of: impl Fn(&'r R) -> S) -> Part<S> {
        let status = match &self.status {
            ExperimentStatus::Ran(runs) => ExperimentStatus::Ran(runs.iter().map(of).collect()),
            ExperimentStatus::NotRun(state, why) => ExperimentStatus::NotRun(*state, why.clone()),
        };
        let (experiment, claims) = (self.experiment.clone(), self.claims.clone());
        let Self { not_started, shard, ref baseline, ref errors, .. } = *self;
        let (baseline, errors) = (baseline.clone(), errors.clone());
        Part { experiment, claims, status, not_started, baseline, shard, errors }
    }

    pub fn runs(&self) -> &[R] {
        match &self.status {
            ExperimentStatus::Ran(runs) => runs,
            ExperimentStatus::NotRun(..) => &[],
        }
    }
}

impl<'a> Part<View<'a>> {
    /// Recorded runs, by experiment, each where it first appears.
    pub fn of_runs(views: Vec<View<'a>>) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for view in views {
            let name = &view.timeline.header.name;
            match parts.iter_mut().find(|part| part.experiment == *name) {
                Some(Part { status: ExperimentStatus::Ran(runs), .. }) => runs.push(view),
                _ => {
                    let (experiment, claims) = (name.clone(), view.claims());
                    parts.push(Part {
                        shard: view.timeline.header.shard,
                        experiment,
                        claims,
                        status: ExperimentStatus::Ran(vec![view]),
                        not_started: 0,
                        baseline: None,
                        errors: Vec::new(),
                    });
                }
            }
        }
        parts
    }

    /// The runs that decide: of those that were retried, the last try.
    pub fn decisive(&self) -> impl Iterator<Item = &View<'a>> + Clone {
        self.runs().iter().filter(|view| !self.is_retried(view))
    }

    /// The only run that was asked for.
    pub fn only_run(&self) -> Option<&View<'a>> {
        let mut decisive = self.decisive();
        decisive.next().filter(|_| self.not_started == 0 && decisive.next().is_none())
    }

    /// Whether a later try took the place of a run.
    pub fn is_retried(&self, view: &View<'_>) -> bool {
        let (run, retry) = (&view.timeline.header.run, view.timeline.header.retry.as_ref());
        let retries = self.runs().iter();
        let mut retries = retries.filter_map(|view| view.timeline.header.retry.as_ref());
        retries.any(|later| later.replaces(run, retry))
    }

    /// The tries whose place a run took.
    pub fn tries_before(&self, view: &View<'_>) -> impl Iterator<Item = &View<'a>> {
        let retry = view.timeline.header.retry.clone();
        self.runs().iter().filter(move |earlier| {
            let header = &earlier.timeline.header;
            retry.as_ref().is_some_and(|it| it.replaces(&header.run, header.retry.as_ref()))
        })
    }

    /// How a run stands in a word, and whether it was retried.
    pub(super) fn state(&self, view: &View<'_>) -> String {
        format!("{}{}", view.state(), if self.is_retried(view) { ", retried" } else { "" })
    }

    /// Its runs and their spread; `None`: there are no runs.
    pub fn spread(&self) -> Option<SpreadReport> {
        let runs: Vec<Summary> = self.runs().iter().map(Summary::new).collect();
        (!runs.is_empty()).then(|| SpreadReport {
            not_started: self.not_started,
            baseline: self.baseline.clone(),
            ..SpreadReport::new(runs)
        })
    }
}

/// Several experiments in one document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SuiteReport {
    /// The version of this form, `outage.suite/v1`.
    pub format: String,
    /// The worst outcome of those that ran; `None`: none did.
    pub outcome: Option<Outcome>,
    /// What they ran on: each cluster once, for people.
    pub clusters: Vec<String>,
    /// Each experiment, in the order in which it was named.
    pub experiments: Vec<Row>,
}

/// One experiment of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Its name.
    pub experiment: String,
    /// The worst outcome of its runs; of a retried run, the last try counts. `None`: it did not run.
    pub outcome: Option<Outcome>,
    /// Whether it passed, but at least one run only as a retry.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flaky: bool,
    /// How often inconclusive runs were retried.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: usize,
    /// Why it was not run, in a word.
    pub not_run: Option<NotRun>,
    /// The figures that decide it; if it was not run, why not.
    pub figures: String,
    /// What caused the errors of its control-plane probes, a line per window; of several runs those of the worst.
    #[serde(default)]
    pub causes: Vec<String>,
    /// Its claims, decided.
    pub claims: Vec<DecidedClaim>,
    /// The time that its runs took.
    pub took: Option<Seconds>,
    /// Its runs and their spread.
    pub runs: Option<SpreadReport>,
    /// The shard that it belongs to (`run --shard`); absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// The number of requested runs that were never started; all of them if the first was refused. Earlier versions wrote
    /// `notBegun`.
    #[serde(default, alias = "notBegun")]
    pub not_started: u32,
}

impl SuiteReport {
    /// Puts experiments together.
    pub fn new(parts: &[Part<View<'_>>]) -> Self {
        let experiments: Vec<Row> = parts.iter().map(Row::new).collect();
        let mut clusters: Vec<String> = parts.iter().flat_map(Part::runs).map(ground).collect();
        clusters.sort();
        clusters.dedup();
        Self {
            format: FORMAT.into(),
            outcome: experiments.iter().filter_map(|row| row.outcome).max(),
            clusters,
            experiments,
        }
    }

    /// `Shards 1/3, 3/3; no experiments from 2/3.` `None`: none of them is from a shard.
    pub(super) fn shards(&self) -> Option<String> {
        let here: BTreeSet<Shard> = self.experiments.iter().filter_map(|row| row.shard).collect();
        let names = |shards: &BTreeSet<Shard>| {
            shards.iter().map(Shard::to_string).collect::<Vec<_>>().join(", ")
        };
        if here.len() < 2 {
            // Of a single one nobody expects the others.
            return (!here.is_empty()).then(|| format!("Shard {}.", names(&here)));
        }
        let all = here
            .iter()
            .flat_map(|Shard { of, .. }| (1..=*of).map(|number| Shard { number, of: *of }));
        let missing: BTreeSet<Shard> = all.filter(|shard| !here.contains(shard)).collect();
        Some(match missing.is_empty() {
            true => format!("Shards {}.", names(&here)),
            false => format!("Shards {}; no experiments from {}.", names(&here), names(&missing)),
        })
    }

    /// Every claim of every experiment, by its number, with the experiment's row.
    pub fn claims(&self) -> Vec<(&DecidedClaim, &Row)> {
        let mut all: Vec<_> = self
            .experiments
            .iter()
            .flat_map(|row| row.claims.iter().map(move |claim| (claim, row)))
            .collect();
        all.sort_by(|(a, _), (b, _)| claims::by_number(&a.id, &b.id));
        all
    }
}

/// What a run stood on: `kind cluster fast-detection (Kubernetes v1.34.4, 3 nodes), Docker 20.10.24`.
fn ground(view: &View<'_>) -> String {
    let facts = &view.timeline.header.cluster;
    let engine = facts.engine.as_ref().map_or(String::new(), |engine| format!(", {engine}"));
    format!("{}{engine}", super::view::cluster(facts))
}

impl Row {
    fn new(part: &Part<View<'_>>) -> Self {
        let (all, runs) = (part.runs(), part.decisive().collect::<Vec<_>>());
        let verdicts: Vec<&Verdict> = runs.iter().map(|view| view.verdict).collect();
        let gravest = Worst::of(verdicts.iter().copied());
        // A run that was refused after its start is reported like one that was refused before.
        let refused = runs.last().and_then(|view| view.refused());
        let refused = refused.filter(|_| runs.iter().all(|view| view.is_refused()));
        let outcome = gravest.as_ref().map(|gravest| gravest.outcome).filter(|_| refused.is_none());
        let real = runs.iter().filter(|view| !view.is_modelled());
        let real: Vec<&Verdict> = real.map(|view| view.verdict).collect();
        let other = runs.iter().find_map(|view| view.timeline.header.other_settings());
        let decided = |claim: &Claim| match &part.status {
            ExperimentStatus::NotRun(_, why) => DecidedClaim::open(claim, why),
            ExperimentStatus::Ran(_) if real.is_empty() && !verdicts.is_empty() => {
                DecidedClaim::modelled(claim, &verdicts)
            }
            ExperimentStatus::Ran(_) => match &other {
                Some(why) => DecidedClaim::inapplicable(claim, &real, why),
                None => DecidedClaim::new(claim, &real),
            },
        };
        let (not_run, figures) = match &part.status {
            ExperimentStatus::NotRun(state, why) => (Some(*state), why.clone()),
            ExperimentStatus::Ran(_) if refused.is_some() => {
                (Some(NotRun::Refused), refused.unwrap_or_default().to_owned())
            }
            ExperimentStatus::Ran(_) => {
                (None, gravest.map_or(String::new(), |gravest| gravest.figures))
            }
        };
        let took = all.iter().map(View::took).reduce(|a, b| a + b);
        Self {
            experiment: part.experiment.clone(),
            outcome,
            flaky: outcome == Some(Outcome::Pass) && runs.iter().any(|view| view.word() == FLAKY),
            retries: all.len() - runs.len(),
            not_run,
            causes: runs
                .iter()
                .max_by_key(|view| view.verdict.outcome)
                .map(|view| causes::of_run(view))
                .unwrap_or_default(),
            claims: part.claims.iter().map(decided).collect(),
            took,
            runs: part.spread(),
            shard: part.shard,
            not_started: part.not_started,
            figures,
        }
    }

    /// What was made beside its runs, and what of them was not: `1 inconclusive run was retried; 17 more
    /// runs were not started`.
    pub(super) fn notes(&self) -> Option<String> {
        let retried = (self.retries > 0).then(|| {
            let was = if self.retries == 1 { "was" } else { "were" };
            format!("{} {was} retried", count(self.retries as u64, "inconclusive run"))
        });
        let left = (self.not_started > 0).then(|| not_started(self.not_started));
        let notes: Vec<String> = retried.into_iter().chain(left).collect();
        (!notes.is_empty()).then(|| notes.join("; "))
    }

    /// Its verdict in a word, or why it has none.
    pub(super) fn word(&self) -> &'static str {
        match (self.outcome, self.not_run) {
            (Some(_), _) if self.flaky => FLAKY,
            (Some(outcome), _) => outcome.word(),
            (None, Some(state)) => state.word(),
            (None, None) => "NOT RUN",
        }
    }

    pub(super) fn claim_ids(&self) -> String {
        self.claims.iter().map(|claim| claim.id.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// How long it took: `41s`, `3m5s`.
    pub(super) fn time(&self) -> String {
        self.took.map_or("-".into(), |took| took.rounded().to_minutes())
    }
}

/// The runs that were never started. Out of how many is not stated: a run that is refused before it has a folder is not listed.
pub fn not_started(left: u32) -> String {
    format!(
        "{} {} not started",
        count(left.into(), "more run"),
        if left == 1 { "was" } else { "were" }
    )
}

/// The table as lines of no more than the style's width, the figures of each experiment below its row.
pub fn render(report: &SuiteReport, style: &Style) -> String {
    let header = ["EXPERIMENT", "CLAIMS", "VERDICT", "TIME"].map(String::from).to_vec();
    let row =
        |row: &Row| vec![row.experiment.clone(), row.claim_ids(), row.word().into(), row.time()];
    let rows: Vec<Vec<String>> =
        std::iter::once(header).chain(report.experiments.iter().map(row)).collect();
    let columns = Columns::of(&rows);
    let fits = style.width >= NARROW
        || rows.iter().all(|row| width(columns.line(row).trim_end()) <= style.width);
    let mut out = if fits { columns.line(&rows[0]) } else { String::new() };
    for (row, cells) in report.experiments.iter().zip(&rows[1..]) {
        let word =
            row.outcome.map_or(cells[2].clone(), |outcome| judged(&cells[2], outcome, style));
        let line = match fits {
            true => columns.line(cells),
            false => {
                let some = cells.iter().filter(|cell| !cell.is_empty()).cloned();
                hang("", &format!("{} ", some.collect::<Vec<_>>().join(" ")), style.width)
            }
        };
        out.push_str(&line.replacen(&format!(" {} ", cells[2]), &format!(" {word} "), 1));
        out.push_str(&hang("    ", &row.figures, style.width));
        row.notes().iter().for_each(|notes| out.push_str(&hang("    ", notes, style.width)));
    }
    out.push_str(&hang("", &total(report), style.width));
    report.shards().iter().for_each(|shards| out.push_str(&hang("", shards, style.width)));
    out
}

/// `12 experiments in 9m3s: 9 PASS, 1 FAIL, 2 SKIPPED; claims: 8 confirmed, 1 refuted, 3 open`.
pub(super) fn total(report: &SuiteReport) -> String {
    let time = report.experiments.iter().filter_map(|row| row.took).reduce(|a, b| a + b);
    let time = time.map_or(String::new(), |time| format!(" in {}", time.rounded().to_minutes()));
    let outcomes = [Outcome::Pass, Outcome::Fail, Outcome::Inconclusive, Outcome::Measured];
    let not_run = [NotRun::Refused, NotRun::Skipped, NotRun::NotStarted].map(NotRun::word);
    let usual = [&outcomes.map(Outcome::word)[..], &[FLAKY], &not_run].concat();
    let rows = counted(&usual, report.experiments.iter().map(Row::word));
    let decisions = [Decision::Confirmed, Decision::Refuted, Decision::Open].map(Decision::word);
    let claims = report.claims();
    let decided = counted(&decisions, claims.iter().map(|(claim, _)| claim.decision.word()));
    let claims = if decided.is_empty() { String::new() } else { format!("; claims: {decided}") };
    format!("{}{time}: {rows}{claims}", count(report.experiments.len() as u64, "experiment"))
}

/// How often each word is there, in this order; a word that is not in it comes last.
fn counted<'w>(order: &[&'w str], words: impl Iterator<Item = &'w str>) -> String {
    let mut numbers: Vec<(&str, u64)> = order.iter().map(|word| (*word, 0)).collect();
    for word in words {
        match numbers.iter_mut().find(|(known, _)| *known == word) {
            Some((_, number)) => *number += 1,
            None => numbers.push((word, 1)),
        }
    }
    let some = numbers.into_iter().filter(|(_, number)| *number > 0);
    some.map(|(word, number)| format!("{number} {word}")).collect::<Vec<_>>().join(", ")
}
