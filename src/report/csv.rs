//! Runs as CSV, for spreadsheets and trend charts: a row an expectation.

use csv::Writer;

use super::not_run::NotRun;
use super::suite::{ExperimentStatus, Part, not_started};
use super::view::View;

const HEADER: [&str; 10] = [
    "experiment",
    "run",
    "started",
    "cluster",
    "expectation",
    "bound",
    "measured",
    "outcome",
    "reason",
    "warnings",
];

/// Several experiments in one table. The warnings of a run are in each of its rows. A run without expectations is one row with the verdict of the
/// run, and so is an experiment that did not run.
pub fn render(parts: &[Part<View<'_>>]) -> String {
    table(HEADER, parts.iter().flat_map(rows))
}

pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut writer = Writer::from_writer(Vec::new());
    for row in std::iter::once(header.map(str::to_owned)).chain(rows) {
        writer.write_record(row).expect("rows of one length, written to memory");
    }
    let bytes = writer.into_inner().expect("written to memory");
    String::from_utf8(bytes).expect("made of strings")
}

type Record = [String; HEADER.len()];

fn rows(part: &Part<View<'_>>) -> Vec<Record> {
    let name = part.experiment.as_str();
    let mut rows: Vec<Record> = match &part.status {
        ExperimentStatus::Ran(runs) => runs.iter().flat_map(|view| run(name, view)).collect(),
        ExperimentStatus::NotRun(state, why) => vec![not_run(name, *state, why)],
    };
    if part.not_started > 0 {
        rows.push(not_run(name, NotRun::NotStarted, &not_started(part.not_started)));
    }
    rows
}

fn run(name: &str, view: &View<'_>) -> Vec<Record> {
    let header = &view.timeline.header;
    let (wall, cluster) = (&view.findings.origin.wall, super::view::cluster(&header.cluster));
    let warnings = view.warnings().join("; ");
    let row = |rest: [&str; 5]| {
        let [expectation, bound, measured, outcome, reason] = rest;
        let outcome = if view.is_refused() { view.state() } else { outcome.to_lowercase() };
        [
            name,
            &header.run,
            wall,
            &cluster,
            expectation,
            bound,
            measured,
            &outcome,
            reason,
            &warnings,
        ]
        .map(str::to_owned)
    };
    let verdict = view.verdict;
    if verdict.assertions.is_empty() {
        return vec![row(["", "", "", verdict.outcome.word(), &verdict.summary])];
    }
    let assertions = verdict.assertions.iter().map(|assertion| {
        let [measured, why] =
            [&assertion.measured, &assertion.why].map(|text| text.as_deref().unwrap_or_default());
        row([&assertion.name, &assertion.bound, measured, assertion.outcome.word(), why])
    });
    assertions.collect()
}

fn not_run(name: &str, state: NotRun, why: &str) -> Record {
    [name, "", "", "", "", "", "", &state.word().to_lowercase(), why, ""].map(str::to_owned)
}
