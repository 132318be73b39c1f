//! From a run's folder to its report: the one way, offline and right after a run.

use std::path::{Path, PathBuf};

use super::args::ListForm;
use super::exit::{self, FailOn};
use super::failure::Failure;
use crate::analysis::{self, Completion, Findings};
use crate::compare::Recorded;
use crate::engine::error::RunError;
use crate::experiment::Experiment;
use crate::prediction::Predictions;
use crate::report::suite::Part;
use crate::report::{Summary, View, describe, ground, json};
use crate::timeline::Timeline;
use crate::timeline::bounded::json_problem;
use crate::verdict::{self, Outcome, Verdict};

pub(super) struct Judged {
    folder: PathBuf,
    timeline: Timeline,
    findings: Findings,
    verdict: Verdict,
    predictions: Predictions,
}

pub(super) fn judge(folder: &Path) -> Result<Judged, Failure> {
    let timeline = Timeline::read(folder)?;
    let experiment: Experiment = serde_json::from_value(timeline.header.experiment.clone())
        .map_err(|e| {
            RunError::refused(format!("cannot read the experiment of run {}", timeline.header.run))
                .caused_by(json_problem(&e))
        })?;
    let wanted = verdict::wanted(&experiment.expect);
    let findings = analysis::analyse_for(&timeline, &wanted);
    let predictions = Predictions::of_run(&timeline.header, ground(&timeline.header, &findings));
    let verdict = verdict::judge(&findings, &experiment.expect, &predictions);
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok(Judged { folder, timeline, findings, verdict, predictions })
}

impl Judged {
    /// The exit code that its verdict asks for.
    pub(super) fn code(&self, fail_on: FailOn) -> u8 {
        code(&self.view(), fail_on)
    }

    /// Whether it came to its own end.
    pub(super) fn is_complete(&self) -> bool {
        self.findings.completion == Completion::Complete
    }

    /// Whether it ended by itself: complete, or with an error of its own.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.findings.completion, Completion::Complete | Completion::Failed { .. })
    }

    /// When it was started; `None`: its record does not say.
    pub(super) fn started(&self) -> Option<jiff::Timestamp> {
        self.findings.origin.wall.parse().ok()
    }

    pub(super) fn view(&self) -> View<'_> {
        let Self { folder, timeline, findings, verdict, predictions } = self;
        View { folder: Some(folder), ..View::new(timeline, findings, verdict, predictions) }
    }

    pub(super) fn recorded(&self) -> Recorded<'_> {
        let Self { timeline, findings, verdict, .. } = self;
        Recorded { timeline, findings, verdict }
    }

    pub(super) fn summary(&self) -> Summary {
        Summary::new(&self.view())
    }

    /// All that it recorded, for people.
    pub(super) fn describe(&self, columns: usize) -> String {
        describe::render(&self.view(), columns)
    }
}

/// The exit code that a run's verdict asks for. One that was cut short has not come to a verdict:
/// nothing makes it a success.
pub(super) fn code(view: &View<'_>, fail_on: FailOn) -> u8 {
    let is_complete = view.findings.completion == Completion::Complete;
    match view.verdict.outcome {
        _ if view.is_refused() => exit::REFUSED,
        Outcome::Fail => exit::FAIL,
        Outcome::Inconclusive if fail_on == FailOn::Fail && is_complete => exit::PASS,
        Outcome::Inconclusive => exit::INCONCLUSIVE,
        Outcome::Pass | Outcome::Measured => match view.surprises().is_empty() {
            false if fail_on == FailOn::Unexpected => exit::FAIL,
            _ => exit::PASS,
        },
    }
}

/// Says which of the runs that decide have another exit code than that of their verdict, and why.
pub(super) fn explain_codes(parts: &[Part<View<'_>>], fail_on: FailOn) {
    let texts =
        parts.iter().flat_map(Part::decisive).filter_map(|run| why_other_code(run, fail_on));
    texts.for_each(|text| complain!("{text}"));
}

/// Why a run's exit code is not that of its verdict, if `--fail-on` makes it another.
fn why_other_code(view: &View<'_>, fail_on: FailOn) -> Option<String> {
    let (code, usual) = (code(view, fail_on), code(view, FailOn::default()));
    let (run, word) = (&view.timeline.header.run, view.word());
    (code != usual).then(|| match code {
        exit::PASS => format!("run {run} is {word}: no failure with --fail-on fail"),
        _ => format!(
            "run {run} is {word}, but with --fail-on unexpected it failed: {}",
            view.surprises().join("; ")
        ),
    })
}

/// Recorded runs, by experiment.
pub(super) fn parts(runs: &[Judged]) -> Vec<Part<View<'_>>> {
    Part::of_runs(runs.iter().map(Judged::view).collect())
}

/// What was carried out, as reports see it.
pub(super) fn views(parts: &[Part<Judged>]) -> Vec<Part<View<'_>>> {
    parts.iter().map(|part| part.map(Judged::view)).collect()
}

/// Prints runs as a list of experiments, each with its spread.
pub(super) fn print_list(runs: &[Judged], form: ListForm) {
    let mut parts = parts(runs);
    parts.sort_by(|a, b| a.experiment.cmp(&b.experiment));
    let spreads: Vec<_> = parts.iter().filter_map(Part::spread).collect();
    match form {
        ListForm::Yaml => super::print(&json::yaml(&spreads)),
        _ => super::print(&json::pretty(&spreads)),
    }
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
