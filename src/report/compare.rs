//! Runs beside runs, as text and as Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::markdown_row::{cell, write_row};
use super::style::Style;
use super::text::{count, hang, judged, pad, width};
use crate::compare::{Change, Comparison, Comparisons, Difference, Side, Spread, Verdict};
use crate::verdict::Outcome;

/// What is listed of a setup that differs in everything.
const MOST_CHANGES: usize = 12;

/// Each comparison with its quantities, what was not compared, and how it was done.
pub fn text(compared: &Comparisons, style: &Style) -> String {
    let columns = style.width.max(60);
    let mut out: String =
        compared.comparisons.iter().map(|one| comparison(one, style) + "\n").collect();
    for why in &compared.skipped {
        out += &hang("NOT COMPARED  ", why, columns);
    }
    if !compared.comparisons.is_empty() {
        out += &hang("", &method(compared), columns);
    }
    out
}

fn method(compared: &Comparisons) -> String {
    let floor = compared.floor.words();
    format!("Difference: {}. Floor: {floor}.", compared.method)
}

fn comparison(compared: &Comparison, style: &Style) -> String {
    let columns = style.width.max(60);
    let outcome = match compared.is_worse() {
        true => Outcome::Fail,
        false if compared.is_decided() => Outcome::Pass,
        false => Outcome::Inconclusive,
    };
    let names = compared.quantities.iter().map(|one| width(&one.quantity)).max().unwrap_or(0);
    let mut out = format!("{}   {}\n", compared.name, judged(&summary(compared), outcome, style));
    for (lead, side) in [("  before  ", &compared.before), ("  after   ", &compared.after)] {
        out += &hang(lead, &format!("{}: {}", side.name, runs(side)), columns);
    }
    for (number, line) in changes(compared).iter().enumerate() {
        out += &hang(if number == 0 { "  differs " } else { "          " }, line, columns);
    }
    for warning in &compared.warnings {
        out += &hang("  warning ", warning, columns);
    }
    out += "\n  median (range) before -> after: difference (95% interval)\n";
    let too_few = too_few(compared);
    for one in &compared.quantities {
        let [quantity, before, after, difference, verdict] = cells(one, compared);
        let verdict = match one.verdict {
            _ if too_few.is_some() => String::new(),
            Verdict::Worse => judged(&verdict, Outcome::Fail, style),
            Verdict::Better => judged(&verdict, Outcome::Pass, style),
            _ => verdict,
        };
        let _ = writeln!(out, "{}", format!("  {}   {verdict}", pad(&quantity, names)).trim_end());
        out += &hang("      ", &format!("{before} -> {after}: {difference}"), columns);
    }
    out
}

/// The verdict on every quantity, where there are too few runs for any: it is said once.
fn too_few(compared: &Comparison) -> Option<String> {
    let is_so = |one: &Difference| one.verdict == Verdict::TooFewRuns;
    let first = compared.quantities.first()?;
    let all = compared.quantities.iter().all(|one| is_so(one) && one.why == first.why);
    all.then(|| verdict_words(first))
}

fn verdict_words(one: &Difference) -> String {
    let why = one.why.as_ref().map_or(String::new(), |why| format!(" ({why})"));
    format!("{}{why}", one.verdict.words())
}

/// `2 worse, 3 no difference shown`.
pub(super) fn summary(compared: &Comparison) -> String {
    if let Some(words) = too_few(compared) {
        return words;
    }
    use Verdict::{Better, NoDifferenceShown, NotJudged, TooFewRuns, Worse};
    let counts = [Worse, Better, NoDifferenceShown, TooFewRuns, NotJudged].map(|verdict| {
        let number = compared.with(verdict).count();
        (number > 0).then(|| format!("{number} {}", verdict.words()))
    });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    if counts.is_empty() { "nothing was measured".into() } else { counts.join(", ") }
}

/// `9 runs, 1 of them inconclusive; left out: run a (interrupted)`.
fn runs(side: &Side) -> String {
    let of_them = [(side.failed, "failed"), (side.inconclusive, "inconclusive")];
    let of_them = of_them.iter().filter(|(number, _)| *number > 0);
    let of_them: String =
        of_them.map(|(number, word)| format!(", {number} of them {word}")).collect();
    let out = side.left_out.iter().map(|one| format!("{} ({})", one.run, one.why));
    let out: Vec<String> = out.collect();
    let left =
        if out.is_empty() { String::new() } else { format!("; left out: {}", out.join(", ")) };
    format!("{}{of_them}{left}", count(side.runs.len() as u64, "run"))
}

fn changes(compared: &Comparison) -> Vec<String> {
    let line = |one: &Change| format!("{}: {}", one.name, change(one));
    let mut lines: Vec<String> = compared.changes.iter().take(MOST_CHANGES).map(line).collect();
    let more = compared.changes.len() - lines.len();
    if more > 0 {
        lines.push(format!("and {more} more (`-o json` has all)"));
    }
    if lines.is_empty() && !compared.before.runs.is_empty() && !compared.after.runs.is_empty() {
        lines.push("nothing in experiment, versions, topology or settings".into());
    }
    lines
}

/// `v1.34.4 -> v1.35.0`.
pub(super) fn change(Change { before, after, .. }: &Change) -> String {
    let shown = |values: &BTreeSet<String>| match values.is_empty() {
        true => "(none)".to_owned(),
        false => values.iter().map(String::as_str).collect::<Vec<_>>().join(" or "),
    };
    format!("{} -> {}", shown(before), shown(after))
}

/// The quantity, both sides, the difference and the verdict. The number of values is named where not all runs have one.
pub(super) fn cells(one: &Difference, compared: &Comparison) -> [String; 5] {
    let cell = |spread: Option<Spread>, side: &Side| {
        let Some(Spread { n, unended, min, median, max }) = spread else { return "-".into() };
        let [min, median, max] = [min, median, max].map(|value| one.unit.show(value));
        let n = (n as usize != side.runs.len()).then(|| format!(", n {n}"));
        let unended = (unended > 0).then(|| format!(", {unended} not ended"));
        format!("{median} ({min} to {max}{}{})", n.unwrap_or_default(), unended.unwrap_or_default())
    };
    let shown = |value: f64| one.unit.show_difference(value);
    let interval = one.interval.map_or(String::new(), |interval| {
        format!(" ({} to {})", shown(interval.low), shown(interval.high))
    });
    let difference = one.estimate.map_or("-".into(), |estimate| {
        format!("{}{interval}{}", shown(estimate), one.unit.of_differences())
    });
    let verdict = verdict_words(one);
    let [before, after] =
        [(one.before, &compared.before), (one.after, &compared.after)].map(|(a, b)| cell(a, b));
    [one.quantity.clone(), before, after, difference, verdict]
}

/// A table for each comparison.
pub fn markdown(compared: &Comparisons) -> String {
    let mut out = String::new();
    for one in &compared.comparisons {
        let _ = writeln!(out, "### {}: {}\n", cell(&one.name), summary(one));
        for (lead, side) in [("Before", &one.before), ("After", &one.after)] {
            let _ = writeln!(out, "- {lead}: {}: {}", cell(&side.name), runs(side));
        }
        changes(one).iter().for_each(|line| {
            let _ = writeln!(out, "- Differs: {}", cell(line));
        });
        one.warnings.iter().for_each(|warning| {
            let _ = writeln!(out, "- Warning: {}", cell(warning));
        });
        out += "\n| quantity | before | after | difference | verdict |\n|---|---|---|---|---|\n";
        let too_few = too_few(one);
        for mut row in one.quantities.iter().map(|quantity| cells(quantity, one)) {
            row[4] = too_few.as_ref().map_or(std::mem::take(&mut row[4]), |_| "-".to_owned());
            write_row(&mut out, row.each_ref().map(String::as_str));
        }
        out.push('\n');
    }
    for why in &compared.skipped {
        let _ = writeln!(out, "Not compared: {}\n", cell(why));
    }
    if !compared.comparisons.is_empty() {
        let _ = writeln!(out, "{}", method(compared));
    }
    out
}
