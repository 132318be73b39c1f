//! From a run's folder to its report: the one way, offline and right after a run.

use std::collections::BTreeMap;
use std::path::Path;

use super::args::ListForm;
use super::env::Env;
use super::form::Form;
use super::{exit, failure::Failure};
use crate::analysis::{self, Completion, Findings};
use crate::engine::error::RunError;
use crate::experiment::{Claim, Experiment};
use crate::prediction::Predictions;
use crate::report::spread::{self, SpreadReport};
use crate::report::suite::{self, NotRun, SuiteReport};
use crate::report::{Style, Summary, View, describe, ground, json, terminal};
use crate::timeline::Timeline;
use crate::verdict::{self, Outcome, Verdict};

/// A run, read and judged.
pub(super) struct Judged {
    timeline: Timeline,
    findings: Findings,
    verdict: Verdict,
    predictions: Predictions,
}

/// Reads and judges a run.
pub(super) fn judge(folder: &Path) -> Result<Judged, Failure> {
    let timeline = Timeline::read(folder)?;
    let experiment: Experiment = serde_json::from_value(timeline.header.experiment.clone())
        .map_err(|e| RunError::refused("cannot read the run's experiment").because(&e))?;
    let findings = analysis::analyse(&timeline);
    let predictions = Predictions::of_run(&timeline.header, ground(&timeline.header, &findings));
    let verdict = verdict::judge(&findings, &experiment.expect, &predictions);
    Ok(Judged { timeline, findings, verdict, predictions })
}

impl Judged {
    /// The exit code that its verdict asks for.
    pub(super) fn code(&self) -> u8 {
        match self.verdict.outcome {
            _ if self.view().is_refused() => exit::REFUSED,
            Outcome::Pass => exit::PASS,
            Outcome::Fail => exit::FAIL,
            Outcome::Inconclusive => exit::INCONCLUSIVE,
        }
    }

    /// Whether it came to its own end.
    pub(super) fn is_complete(&self) -> bool {
        self.findings.completion == Completion::Complete
    }

    fn view(&self) -> View<'_> {
        View::new(&self.timeline, &self.findings, &self.verdict, &self.predictions)
    }

    /// The run in a line.
    pub(super) fn summary(&self) -> Summary {
        Summary::new(&self.view())
    }

    /// All that it recorded, for people.
    pub(super) fn describe(&self) -> String {
        describe::render(&self.view())
    }
}

/// One experiment of a command.
pub(super) struct Part {
    /// Its name.
    pub experiment: String,
    /// The claims that it decides.
    pub claims: Vec<Claim>,
    /// What became of it.
    pub status: ExperimentStatus,
    /// How many of the runs that were asked for were not begun.
    pub not_begun: u32,
}

/// What became of an experiment.
pub(super) enum ExperimentStatus {
    /// It was carried out.
    Ran(Vec<Judged>),
    /// It was not, for this reason.
    NotRun(NotRun, String),
}

impl Part {
    fn view(&self) -> suite::Part<'_> {
        let status = match &self.status {
            ExperimentStatus::Ran(runs) => {
                suite::ExperimentStatus::Ran(runs.iter().map(Judged::view).collect())
            }
            ExperimentStatus::NotRun(state, why) => {
                suite::ExperimentStatus::NotRun(*state, why.clone())
            }
        };
        let (experiment, claims) = (self.experiment.clone(), self.claims.clone());
        suite::Part { experiment, claims, status, not_begun: self.not_begun }
    }
}

/// Prints the report of the runs of one experiment for people, and how many more were not begun.
pub(super) fn print_repeated(runs: &[Judged], not_begun: u32, form: Form, env: &Env) {
    let views: Vec<View> = runs.iter().map(Judged::view).collect();
    let spreads =
        spreads(&views).into_iter().map(|spread| SpreadReport { not_begun, ..spread }).collect();
    super::print(&text(&views, spreads, &style(env), runs.iter().filter(|_| form == Form::Wide)));
}

/// Prints the report of some runs to standard output. Several runs of one experiment end with their
/// spread, several experiments with their table.
pub(super) fn print(runs: &[Judged], form: Form, env: &Env) {
    let parts = suite::Part::of_runs(runs.iter().map(Judged::view).collect());
    if !form.is_for_people() {
        return form.print(&parts);
    }
    let (views, style): (Vec<View>, _) = (runs.iter().map(Judged::view).collect(), style(env));
    let mut shown =
        text(&views, spreads(&views), &style, runs.iter().filter(|_| form == Form::Wide));
    if parts.len() > 1 {
        shown += &format!("\n{}", suite::render(&SuiteReport::new(&parts), &style));
    }
    super::print(&shown);
}

/// Prints the table of some experiments.
pub(super) fn print_table(parts: &[Part], env: &Env) {
    let views: Vec<suite::Part> = parts.iter().map(Part::view).collect();
    super::print(&format!("\n{}", suite::render(&SuiteReport::new(&views), &style(env))));
}

/// Prints the report of some experiments in a form for programs: one document.
pub(super) fn print_parts(parts: &[Part], form: Form) {
    form.print(&parts.iter().map(Part::view).collect::<Vec<_>>());
}

/// Prints runs as a list of experiments, each with its spread.
pub(super) fn print_list(runs: &[Judged], form: ListForm) {
    let views: Vec<View> = runs.iter().map(Judged::view).collect();
    let spreads = spreads(&views);
    super::print(&if form == ListForm::Yaml {
        json::yaml(&spreads)
    } else {
        json::pretty(&spreads)
    });
}

fn style(env: &Env) -> Style {
    Style { width: env.width, colour: env.colour, ..Style::default() }
}

/// The runs, the spreads of those that are several, and what `described` ones recorded.
fn text<'r>(
    views: &[View<'_>],
    spreads: Vec<SpreadReport>,
    style: &Style,
    described: impl Iterator<Item = &'r Judged>,
) -> String {
    let reports = views.iter().map(|view| terminal::render(view, style));
    let spreads = spreads
        .into_iter()
        .filter(|spread| spread.runs.len() > 1)
        .map(|spread| spread::render(&spread, style));
    reports.chain(spreads).chain(described.map(Judged::describe)).collect::<Vec<_>>().join("\n")
}

fn spreads(views: &[View<'_>]) -> Vec<SpreadReport> {
    let mut by_experiment: BTreeMap<&str, Vec<Summary>> = BTreeMap::new();
    for view in views {
        by_experiment.entry(&view.timeline.header.name).or_default().push(Summary::new(view));
    }
    by_experiment.into_values().map(SpreadReport::new).collect()
}
