//! Claims and what was measured, as a Markdown table: ready to be put into a document.

use std::fmt::Write;

use super::suite::{Row, SuiteReport};

/// The table, and what it was measured on. An experiment that decides no claim has a row all the
/// same.
pub fn render(report: &SuiteReport) -> String {
    let mut out = String::from(
        "| claim | what is claimed | experiment | result | measured |\n|---|---|---|---|---|\n",
    );
    for (claim, row) in report.claims() {
        let measured = measured(row, &claim.figures);
        write_row(
            &mut out,
            [&claim.id, &claim.says, &code(&row.experiment), claim.decision.word(), &measured],
        );
    }
    for row in report.experiments.iter().filter(|row| row.claims.is_empty()) {
        let result = row.outcome.map_or(String::new(), |outcome| outcome.word().to_lowercase());
        let measured = measured(row, &row.figures);
        write_row(&mut out, ["", "", &code(&row.experiment), &result, &measured]);
    }
    causes(report, &mut out);
    warnings(report, &mut out);
    if !report.clusters.is_empty() {
        let _ = writeln!(out, "\nMeasured on {}.", report.clusters.join("; "));
    }
    out
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
    [Some(figures), row.left()].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn not_run(row: &Row) -> String {
    let word = row.not_run.map_or("not run".into(), |state| state.word().to_lowercase());
    format!("{word}: {}", row.figures)
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn write_row(out: &mut String, cells: [&str; 5]) {
    let _ = writeln!(out, "| {} |", cells.map(cell).join(" | "));
}

/// A cell is one line, and its bars are no borders.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_does_not_break_its_cell() {
        assert_eq!(cell("a | b\n  c"), "a \\| b c");
    }
}
