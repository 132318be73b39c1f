//! Runs as Markdown, for a document, a pull request's comment or a job summary: the verdict first,
//! then what was expected and what was measured, and the rest folded away.

use std::fmt::Write;

use super::compare;
use super::markdown_row::{cell, code, write_row};
use super::measured::{self, Measured};
use super::not_run::NotRun;
use super::spread;
use super::style::Style;
use super::suite::{ExperimentStatus, Part, Row, SuiteReport, total};
use super::view::{FLAKY, Failure, View};
use crate::verdict::{Assertion, Outcome};

/// A comment on GitHub has no more characters than this, less some for what stands around it.
const LONGEST: usize = 65_536 - 1024;

/// How much is shown of a run that passed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Details {
    All,
    /// Nothing: there are too many runs for one comment.
    OfOthers,
    /// Nothing of any run.
    None,
}

/// The verdict, the experiments, each with its runs; claims, if any are decided; and what all was
/// measured on. Where that is too much for a comment, the details of runs that passed are left out,
/// then those of the others.
pub fn render(parts: &[Part<View<'_>>]) -> String {
    let all = with(parts, Details::All);
    [Details::OfOthers, Details::None]
        .into_iter()
        .fold(all, |text, fewer| if text.len() > LONGEST { with(parts, fewer) } else { text })
}

fn with(parts: &[Part<View<'_>>], details: Details) -> String {
    let report = SuiteReport::new(parts);
    let mut out = String::new();
    match (parts, &report.experiments[..]) {
        ([part], [row]) => {
            let _ = writeln!(out, "## {}\n", heading(row));
            experiment(part, row, details, &mut out);
        }
        _ => {
            let _ = writeln!(out, "## {} {}\n", worst(&report), total(&report));
            overview(&report, &mut out);
            for (part, row) in parts.iter().zip(&report.experiments) {
                section(part, row, details, &mut out);
            }
        }
    }
    claims(&report, &mut out);
    parts.iter().filter_map(|part| part.baseline.as_ref()).for_each(|compared| {
        let _ = write!(out, "\n{}", compare::markdown(compared));
    });
    if details != Details::All {
        out.push_str(
            "\nDetails that have no room in a comment are left out: the other report formats have \
             them.\n",
        );
    }
    if !report.clusters.is_empty() {
        let clusters: Vec<String> = report.clusters.iter().map(|text| cell(text)).collect();
        let _ = writeln!(out, "\nMeasured on {}.", clusters.join("; "));
    }
    report.shards().iter().for_each(|shards| out.push_str(&format!("\n{shards}\n")));
    out
}

const REFUSED: &str = "⛔";
/// What passed, but only as a retry.
const RETRIED: &str = "🔁";

/// A sign that a reader finds while scrolling.
fn sign(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Pass) => "✅",
        Some(Outcome::Fail) => "❌",
        Some(Outcome::Inconclusive) => "⚠️",
        Some(Outcome::Measured) => "📏",
        None => "⏭️",
    }
}

fn sign_of(row: &Row) -> &'static str {
    match row.not_run {
        Some(NotRun::Refused) => REFUSED,
        _ if row.flaky => RETRIED,
        _ => sign(row.outcome),
    }
}

fn sign_of_run(view: &View<'_>) -> &'static str {
    match view.word() {
        FLAKY => RETRIED,
        _ if view.is_refused() => REFUSED,
        _ => sign(Some(view.verdict.outcome)),
    }
}

/// The sign of several experiments: that of the worst. One that was refused has not passed, and one
/// that was retried has not simply passed.
fn worst(report: &SuiteReport) -> &'static str {
    let has = |sign: &&str| report.experiments.iter().any(|row| sign_of(row) == *sign);
    match (report.outcome, [REFUSED, RETRIED].into_iter().find(has)) {
        (None | Some(Outcome::Pass | Outcome::Measured), Some(sign)) => sign,
        (outcome, _) => sign(outcome),
    }
}

fn heading(row: &Row) -> String {
    format!("{} {}: {}", sign_of(row), row.word(), code(&row.experiment))
}

/// A row for each experiment.
fn overview(report: &SuiteReport, out: &mut String) {
    out.push_str("| | experiment | result | what decides it | time |\n|---|---|---|---|---|\n");
    for row in &report.experiments {
        let cells = [
            sign_of(row),
            &code(&row.experiment),
            row.word(),
            &measured(row, &row.figures),
            &row.time(),
        ];
        write_row(out, cells);
    }
    out.push('\n');
}

/// One experiment of several: folded away if it passed.
fn section(part: &Part<View<'_>>, row: &Row, details: Details, out: &mut String) {
    if part.runs().is_empty() {
        return;
    }
    let folded = matches!(row.outcome, Some(Outcome::Pass | Outcome::Measured)) && !row.flaky;
    match folded {
        true if details != Details::All => {}
        true => {
            // Markdown within HTML is not read there.
            let lead = format!("{} {}: {}", sign_of(row), row.word(), row.experiment);
            folds(&lead, out, |out| experiment(part, row, details, out));
        }
        false => {
            let _ = writeln!(out, "### {}\n", heading(row));
            experiment(part, row, details, out);
        }
    }
}

/// What became of one experiment.
fn experiment(part: &Part<View<'_>>, row: &Row, details: Details, out: &mut String) {
    match &part.status {
        ExperimentStatus::NotRun(..) => {
            let _ = writeln!(out, "{}\n", cell(&measured(row, &row.figures)));
        }
        ExperimentStatus::Ran(runs) if runs.len() == 1 => {
            run(&runs[0], details, out);
            row.notes().iter().for_each(|notes| {
                let _ = writeln!(out, "{notes}.\n");
            });
        }
        ExperimentStatus::Ran(runs) => several(part, runs, details, out),
    }
    causes(row, out);
}

/// Several runs: their spread, and each of them folded away.
fn several(part: &Part<View<'_>>, runs: &[View<'_>], details: Details, out: &mut String) {
    if let Some(spread) = part.spread() {
        let text = spread::render(&spread, &Style { width: 100, ..Style::default() });
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(out, "<pre>\n{text}</pre>\n");
    }
    for (number, view) in (1..).zip(runs) {
        let passed = matches!(view.verdict.outcome, Outcome::Pass | Outcome::Measured);
        if details == Details::None || passed && details == Details::OfOthers {
            continue;
        }
        let (sign, state) = (sign_of_run(view), part.state(view).to_uppercase());
        let lead = format!("{sign} run {number} of {}: {state}", runs.len());
        folds(&lead, out, |out| run(view, details, out));
    }
}

/// One run: expectations with what was measured, the chain of events, and everything else folded
/// away.
fn run(view: &View<'_>, details: Details, out: &mut String) {
    let _ = writeln!(out, "{}; {}.\n", cell(&view.verdict.summary), cell(&view.subtitle()));
    expectations(view, out);
    if view.is_refused() || details == Details::None {
        return;
    }
    chain(view, out);
    warnings(view, out);
    // What an expectation is about has its value there.
    let judged = |one: &Measured| {
        let has =
            |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(&one.value));
        view.verdict.assertions.iter().any(|it| it.subject == one.name && has(&it.measured))
    };
    let others: Vec<Measured> =
        measured::values(view).into_iter().filter(|one| !judged(one)).collect();
    if !others.is_empty() {
        folds("Other measurements", out, |out| {
            out.push_str("| what | measured |\n|---|---|\n");
            others.iter().for_each(|one| write_row(out, [&one.name, &one.value]));
            out.push('\n');
        });
    }
}

/// What went wrong with the run itself, each expectation, and what was not predicted.
fn expectations(view: &View<'_>, out: &mut String) {
    let (failures, surprises) = (view.failures(), view.surprises());
    if failures.is_empty() && surprises.is_empty() && view.verdict.assertions.is_empty() {
        return;
    }
    out.push_str("| | what | result | measured |\n|---|---|---|---|\n");
    for Failure { what, why } in &failures {
        write_row(out, ["❌", "run", what, why]);
    }
    for Assertion { text, outcome, measured, why, .. } in &view.verdict.assertions {
        let why = why.as_ref().map(|why| format!("({why})"));
        let found: Vec<&str> = [measured, &why].into_iter().flatten().map(String::as_str).collect();
        let word = outcome.word().to_lowercase();
        write_row(out, [sign(Some(*outcome)), text, &word, &found.join(" ")]);
    }
    surprises.iter().for_each(|text| write_row(out, ["⚠️", "prediction", "unexpected", text]));
    out.push('\n');
}

/// What happened, by time.
fn chain(view: &View<'_>, out: &mut String) {
    if view.chain.is_empty() {
        return;
    }
    out.push_str("| time | event | | predicted |\n|---:|---|---|---|\n");
    for line in &view.chain {
        let uncertain = line.uncertainty.map_or(String::new(), |by| format!(" ≤ {by}"));
        let at = format!("{:+.3}{uncertain}", line.at);
        write_row(out, [&at, &line.label, &line.text, line.predicted.as_deref().unwrap_or("")]);
    }
    out.push('\n');
}

/// What makes the numbers of a run less reliable.
fn warnings(view: &View<'_>, out: &mut String) {
    let lines: String =
        view.warnings().iter().map(|warning| format!("- warning: {}\n", cell(warning))).collect();
    if !lines.is_empty() {
        let _ = writeln!(out, "{lines}");
    }
}

/// What the gaps of the control plane were made of: no cell could hold that.
fn causes(row: &Row, out: &mut String) {
    let lines: String = row.causes.iter().map(|line| format!("- {}\n", cell(line))).collect();
    if !lines.is_empty() {
        let _ = write!(out, "What caused the control plane's error windows:\n\n{lines}\n");
    }
}

fn claims(report: &SuiteReport, out: &mut String) {
    let claims = report.claims();
    if claims.is_empty() {
        return;
    }
    out.push_str(
        "| claim | what is claimed | experiment | result | measured |\n|---|---|---|---|---|\n",
    );
    for (claim, row) in claims {
        let measured = measured(row, &claim.figures);
        write_row(
            out,
            [&claim.id, &claim.says, &code(&row.experiment), claim.decision.word(), &measured],
        );
    }
}

/// The figures of an experiment, or why it was not run.
fn measured(row: &Row, figures: &str) -> String {
    let figures = if row.outcome.is_none() { not_run(row) } else { figures.to_owned() };
    [Some(figures), row.notes()].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn not_run(row: &Row) -> String {
    let word = row.not_run.map_or("not run".into(), |state| state.word().to_lowercase());
    format!("{word}: {}", row.figures)
}

/// What is shown on a click. Within HTML, Markdown begins after an empty line.
fn folds(lead: &str, out: &mut String, inside: impl FnOnce(&mut String)) {
    let lead = lead.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<details><summary>{lead}</summary>\n");
    inside(out);
    out.push_str("</details>\n\n");
}
