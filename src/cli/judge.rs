//! From a run's folder to its report: the one way, offline and right after a run.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use super::args::Form;
use super::env::Env;
use super::{exit, failure::Failure};
use crate::analysis::{self, Findings};
use crate::experiment::Experiment;
use crate::prediction::Predictions;
use crate::report::spread::{self, SpreadReport};
use crate::report::suite::Part;
use crate::report::{Style, Summary, View, describe, ground, json, jsonl, junit, log, terminal};
use crate::timeline::Timeline;
use crate::verdict::{self, Outcome, Verdict};

/// A run, read and judged.
pub struct Judged {
    timeline: Timeline,
    findings: Findings,
    verdict: Verdict,
    predictions: Predictions,
}

/// Reads and judges a run.
pub fn judge(folder: &Path) -> Result<Judged, Failure> {
    let timeline = Timeline::read(folder)?;
    let experiment: Experiment = serde_json::from_value(timeline.header.experiment.clone())
        .map_err(|e| Failure { code: exit::REFUSED, text: format!("error: the run's experiment is not understood: {e}") })?;
    let findings = analysis::analyse(&timeline);
    let predictions = Predictions::of_run(&timeline.header, ground(&timeline.header, &findings));
    let verdict = verdict::judge(&findings, &experiment.expect, &predictions);
    Ok(Judged { timeline, findings, verdict, predictions })
}

impl Judged {
    /// The exit code that its verdict asks for.
    pub fn code(&self) -> u8 {
        match self.verdict.outcome {
            Outcome::Pass => exit::PASS,
            Outcome::Fail => exit::FAIL,
            Outcome::Inconclusive => exit::INCONCLUSIVE,
        }
    }

    fn view(&self) -> View<'_> {
        View::new(&self.timeline, &self.findings, &self.verdict, &self.predictions)
    }

    /// The run in a line.
    pub fn summary(&self) -> Summary {
        Summary::new(&self.view())
    }

    /// All that it recorded, for people.
    pub fn describe(&self) -> String {
        describe::render(&self.view())
    }
}

/// Prints the report of some runs to standard output. Several runs of one experiment end with their spread.
pub fn print(runs: &[Judged], form: Form, env: &Env) {
    let style = Style { width: env.width, colour: env.colour, ..Style::default() };
    let views: Vec<View> = runs.iter().map(Judged::view).collect();
    match form {
        Form::Text => super::print(&text(&views, &style)),
        Form::Wide => {
            super::print(&(text(&views, &style) + "\n" + &runs.iter().map(Judged::describe).collect::<Vec<_>>().join("\n")))
        }
        Form::Json => super::print(&structured(&views, json::render, json::pretty)),
        Form::Yaml => super::print(&structured(&views, json::render_yaml, json::yaml)),
        Form::Junit => super::print(&junit::render(&Part::of_runs(views))),
        Form::Log => runs.iter().for_each(|run| super::print(&log_of(run))),
        Form::Jsonl => attempts(runs),
    }
}

fn text(views: &[View<'_>], style: &Style) -> String {
    let reports = views.iter().map(|view| terminal::render(view, style));
    let spreads = spreads(views).into_iter().filter(|spread| spread.runs.len() > 1);
    reports.chain(spreads.map(|spread| spread::render(&spread, style))).collect::<Vec<_>>().join("\n")
}

/// One run is its report; several are the spread of each experiment.
fn structured(views: &[View<'_>], one: impl Fn(&View<'_>) -> String, several: impl Fn(&Vec<SpreadReport>) -> String) -> String {
    match views {
        [view] => one(view),
        _ => several(&spreads(views)),
    }
}

fn spreads(views: &[View<'_>]) -> Vec<SpreadReport> {
    let mut by_experiment: BTreeMap<&str, Vec<Summary>> = BTreeMap::new();
    for view in views {
        by_experiment.entry(&view.timeline.header.name).or_default().push(Summary::new(view));
    }
    by_experiment.into_values().map(SpreadReport::new).collect()
}

fn log_of(run: &Judged) -> String {
    let mut text = String::new();
    log::write(&run.timeline, &run.findings, &mut text).expect("a string takes all");
    text
}

fn attempts(runs: &[Judged]) {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for run in runs {
        super::printed(jsonl::write(&run.timeline, &mut out));
    }
    super::printed(out.flush());
}
