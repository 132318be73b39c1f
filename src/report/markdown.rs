//! Claims and what was measured, as Markdown tables: ready to be put into a document.

use std::fmt::Write;

use super::compare;
use super::markdown_row::{cell, write_row};
use super::measured::{self, Measured};
use super::suite::{Part, Row, SuiteReport, not_started};
use super::view::{Failure, View};

/// The claims, if any are decided; what each run measured, and how it ended if it was cut short; and
/// what that was measured on.
pub fn render(parts: &[Part<View<'_>>]) -> String {
    let report = SuiteReport::new(parts);
    let mut out = String::new();
    claims(&report, &mut out);
    runs(parts, &report, &mut out);
    causes(&report, &mut out);
    parts.iter().filter_map(|part| part.baseline.as_ref()).for_each(|compared| {
        let _ = write!(out, "\n{}", compare::markdown(compared));
    });
    warnings(&report, &mut out);
    if !report.clusters.is_empty() {
        let _ = writeln!(out, "\nMeasured on {}.", report.clusters.join("; "));
    }
    out
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
    out.push('\n');
}

/// A row for the verdict of each run, and one for each expectation, other value and failure.
fn runs(parts: &[Part<View<'_>>], report: &SuiteReport, out: &mut String) {
    out.push_str("| experiment | run | what | result | measured |\n|---|---|---|---|---|\n");
    for (part, row) in parts.iter().zip(&report.experiments) {
        let name = code(&part.experiment);
        for view in part.runs() {
            let run = &view.timeline.header.run;
            let mut add = |what: &str, result: &str, measured: &str| {
                write_row(out, [&name, run, what, result, measured]);
            };
            add("verdict", &part.state(view), &view.verdict.summary);
            for Failure { what, why } in view.failures() {
                add("run", what, &why);
            }
            for assertion in &view.verdict.assertions {
                let cell = |text: &Option<String>| text.clone().unwrap_or_default();
                let why = assertion.why.as_ref().map(|why| format!("({why})"));
                let measured = [cell(&assertion.measured), cell(&why)].join(" ");
                add(&assertion.text, &assertion.outcome.word().to_lowercase(), &measured);
            }
            // What an expectation is about has its value there.
            let judged = |one: &Measured| {
                let has = |text: &Option<String>| {
                    text.as_ref().is_some_and(|text| text.contains(&one.value))
                };
                view.verdict.assertions.iter().any(|it| it.subject == one.name && has(&it.measured))
            };
            for Measured { name, value } in measured::values(view).iter().filter(|one| !judged(one))
            {
                add(name, "", value);
            }
        }
        if part.runs().is_empty() {
            let word = row.not_run.map_or("not run".into(), |state| state.word().to_lowercase());
            write_row(out, [&name, "", "", &word, &measured(row, &row.figures)]);
        } else if part.not_started > 0 {
            let left = not_started(part.not_started);
            write_row(out, [&name, "", "", "not started", &left]);
        }
    }
}

/// What the gaps of the control plane were made of: no cell could hold that.
fn causes(report: &SuiteReport, out: &mut String) {
    let lines = |row: &Row| {
        row.causes
            .iter()
            .map(|line| format!("- {}, {line}\n", code(&row.experiment)))
            .collect::<String>()
    };
    let lines: String = report.experiments.iter().map(lines).collect();
    if !lines.is_empty() {
        let _ = write!(out, "\nWhat caused the control plane's error windows:\n\n{lines}");
    }
}

/// What makes the numbers of a run less reliable.
fn warnings(report: &SuiteReport, out: &mut String) {
    let runs = report.experiments.iter().flat_map(|row| {
        row.runs.iter().flat_map(|spread| &spread.runs).map(move |run| (code(&row.experiment), run))
    });
    let lines: String = runs
        .flat_map(|(experiment, run)| {
            run.warnings.iter().map(move |warning| {
                format!("- {experiment}, run {}: {}\n", cell(&run.run), cell(warning))
            })
        })
        .collect();
    if !lines.is_empty() {
        let _ = write!(out, "\nWarnings:\n\n{lines}");
    }
}

fn measured(row: &Row, figures: &str) -> String {
    let figures = if row.outcome.is_none() { not_run(row) } else { figures.to_owned() };
    [Some(figures), row.notes()].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn not_run(row: &Row) -> String {
    let word = row.not_run.map_or("not run".into(), |state| state.word().to_lowercase());
    format!("{word}: {}", row.figures)
}

fn code(name: &str) -> String {
    format!("`{name}`")
}
