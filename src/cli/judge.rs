//! From a run's folder to its report: the one way, offline and right after a run.

use std::collections::BTreeMap;
use std::path::Path;

use super::args::ListForm;
use super::env::Env;
use super::form::Form;
use super::{exit, failure::Failure};
use crate::analysis::{self, Completion, Findings};
use crate::engine::error::RunError;
use crate::experiment::{Expectation, Experiment};
use crate::prediction::Predictions;
use crate::report::spread::{self, SpreadReport};
use crate::report::suite::{self, Part, SuiteReport};
use crate::report::{Style, Summary, View, describe, ground, json, terminal};
use crate::timeline::Timeline;
use crate::timeline::bounded::json_problem;
use crate::verdict::{self, Outcome, Verdict};

pub(super) struct Judged {
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
    let windows: Vec<_> = experiment.expect.iter().filter_map(Expectation::window).collect();
    let findings = analysis::analyse_for(&timeline, &windows);
    let predictions = Predictions::of_run(&timeline.header, ground(&timeline.header, &findings));
    let verdict = verdict::judge(&findings, &experiment.expect, &predictions);
    Ok(Judged { timeline, findings, verdict, predictions })
}

impl Judged {
    /// The exit code that its verdict asks for.
    pub(super) fn code(&self) -> u8 {
        match self.verdict.outcome {
            _ if self.view().is_refused() => exit::REFUSED,
            Outcome::Pass | Outcome::Measured => exit::PASS,
            Outcome::Fail => exit::FAIL,
            Outcome::Inconclusive => exit::INCONCLUSIVE,
        }
    }

    /// Whether it came to its own end.
    pub(super) fn is_complete(&self) -> bool {
        self.findings.completion == Completion::Complete
    }

    /// When it was started; `None`: its record does not say.
    pub(super) fn started(&self) -> Option<jiff::Timestamp> {
        self.findings.origin.wall.parse().ok()
    }

    fn view(&self) -> View<'_> {
        View::new(&self.timeline, &self.findings, &self.verdict, &self.predictions)
    }

    pub(super) fn summary(&self) -> Summary {
        Summary::new(&self.view())
    }

    /// All that it recorded, for people.
    pub(super) fn describe(&self) -> String {
        describe::render(&self.view())
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
    let parts = Part::of_runs(runs.iter().map(Judged::view).collect());
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

pub(super) fn print_table(parts: &[Part<Judged>], env: &Env) {
    let views: Vec<Part<View>> = parts.iter().map(|part| part.map(Judged::view)).collect();
    super::print(&format!("\n{}", suite::render(&SuiteReport::new(&views), &style(env))));
}

/// Prints the report of some experiments in a form for programs: one document.
pub(super) fn print_parts(parts: &[Part<Judged>], form: Form) {
    form.print(&parts.iter().map(|part| part.map(Judged::view)).collect::<Vec<_>>());
}

/// Prints runs as a list of experiments, each with its spread.
pub(super) fn print_list(runs: &[Judged], form: ListForm) {
    let views: Vec<View> = runs.iter().map(Judged::view).collect();
    let spreads = spreads(&views);
    match form {
        ListForm::Yaml => super::print(&json::yaml(&spreads)),
        _ => super::print(&json::pretty(&spreads)),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Warning;
    use crate::timeline::RunFolder;

    /// A recorded run, written again as this version writes it.
    fn written_again(name: &str, runs: &Path) -> std::path::PathBuf {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name);
        let mut old = Timeline::read(&recorded).unwrap();
        old.header.format = crate::timeline::Header::FORMAT.into();
        let mut folder = RunFolder::create(runs, &old.header).unwrap();
        old.records.iter().for_each(|record| folder.record(record).unwrap());
        for file in &old.probes {
            let span = crate::timeline::ProbeSpan {
                format: crate::timeline::ProbeSpan::FORMAT.into(),
                ..file.span.clone()
            };
            let mut writer = folder.probe(&span).unwrap();
            let mut encoder = crate::timeline::attempts::AttemptEncoder::default();
            let (mut reader, mut records, mut named, mut count) =
                (file.attempts(), Vec::new(), 0, 0);
            while let Some(attempt) = reader.next() {
                reader.backends()[named..]
                    .iter()
                    .for_each(|name| encoder.backend(name, &mut records));
                named = reader.backends().len();
                encoder.attempt(&attempt, &mut records);
                count += 1;
                if count % 10 == 0 {
                    writer.append(&std::mem::take(&mut records)).unwrap();
                }
            }
            writer.append(&records).and_then(|()| writer.finish()).unwrap();
        }
        folder.path().to_owned()
    }

    /// What a report says of a run, without its warnings.
    fn numbers(run: &Judged) -> serde_json::Value {
        let mut report = serde_json::to_value(json::Report::new(&run.view())).unwrap();
        report["findings"].as_object_mut().unwrap().remove("warnings");
        report
    }

    /// Nobody believes a number that a bad disk has changed.
    #[test]
    fn no_changed_byte_changes_a_number_under_pass_in_silence() {
        let runs = tempfile::tempdir().unwrap();
        let folder = written_again("worker-stop", runs.path());
        let whole = judge(&folder).map_err(|failure| failure.text()).unwrap();
        assert_eq!((whole.verdict.outcome, whole.timeline.damage.len()), (Outcome::Pass, 0));
        let whole = numbers(&whole);
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut random = crate::analysis::testing::Random(300);
        let mut below = |bound: usize| (random.share() * bound as f64) as usize;
        for number in 0..300 {
            let path = &files[number % files.len()];
            let bytes = std::fs::read(path).unwrap();
            let (at, change) = (below(bytes.len()), 1 + below(255) as u8);
            let mut changed = bytes.clone();
            changed[at] ^= change;
            std::fs::write(path, &changed).unwrap();
            let what = format!("byte {at} of {} ^ {change}", path.display());
            if let Ok(run) = judge(&folder) {
                let warned =
                    run.findings.warnings.iter().any(|w| matches!(w, Warning::Damaged { .. }));
                assert_eq!(warned, !run.timeline.damage.is_empty(), "{what}");
                assert!(warned || numbers(&run) == whole, "{what}");
            }
            std::fs::write(path, &bytes).unwrap();
        }
    }
}
