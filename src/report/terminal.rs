//! A run on a terminal: its chain with every moment's uncertainty, the failures over time, and the
//! verdict.

use std::fmt::{self, Write};

use super::causes;
use super::latency;
use super::line::Line;
use super::paths;
use super::spark::Spark;
use super::style::Style;
use super::text::{bold, dim, hang, judged, one_line, pad, width, wrap};
use super::view::View;
use crate::analysis::findings::{ClassCount, PeriodTally};
use crate::analysis::{Findings, Period, ProbeFinding, Window};
use crate::prediction::Quantity;
use crate::stats::Seconds;

/// Where a chain's text begins.
const TEXT: usize = 38;
/// A chain's text that has less room is below its moment.
const LEAST_TEXT: usize = 30;
/// The widest row of a sparkline.
const WIDEST_SPARK: usize = 60;

/// A run, as lines of no more than the style's width.
pub fn render(view: &View<'_>, style: &Style) -> String {
    let mut out = String::new();
    write(view, style, &mut out).expect("a string takes all");
    if style.ascii { out.replace('≤', "<=") } else { out }
}

fn write(view: &View<'_>, style: &Style, out: &mut String) -> fmt::Result {
    title(view, style, out);
    out.push_str(&hang("", &view.subtitle(), style.width));
    if view.is_refused() {
        out.push('\n');
        out.push_str(&hang("  ", &format!("{}.", capital(&view.verdict.summary)), style.width));
        return Ok(());
    }
    // A control probe is only of interest when it failed.
    for probe in
        view.findings.probes.iter().filter(|probe| !probe.control || probe.total.failed > 0)
    {
        out.push_str(&hang("", &view.probe_line(probe), style.width));
    }
    out.push('\n');
    for line in &view.chain {
        chain_line(line, style, out);
    }
    for probe in &view.findings.probes {
        failures(view.findings, probe, style, out)?;
    }
    assertions(view, style, out);
    for claim in view.decided() {
        let lead = format!("  claim {} {}: ", claim.id, claim.decision.word());
        let model =
            if view.is_modelled() { " (an embedded run does not decide claims)" } else { "" };
        out.push_str(&hang(&lead, &format!("{}{model}", claim.says), style.width));
    }
    for unpredicted in view.predictions.unpredicted() {
        out.push_str(&hang("  ", &unpredicted.to_string(), style.width));
    }
    for surprise in view.surprises() {
        out.push_str(&hang("  unexpected: ", &surprise, style.width));
    }
    for warning in view.warnings() {
        out.push_str(&hang("  warning: ", &warning, style.width));
    }
    out.push_str(&hang("  ", &closing(view), style.width));
    Ok(())
}

fn title(view: &View<'_>, style: &Style, out: &mut String) {
    let word = view.word();
    let columns = style.width.saturating_sub(word.len() + 2);
    let lines = title_lines(&view.title(), columns, style.width);
    out.push_str(&format!(
        "{}  {}\n",
        pad(&lines[0], columns),
        judged(word, view.verdict.outcome, style)
    ));
    lines[1..].iter().for_each(|line| out.push_str(&format!("{line}\n")));
}

/// What is in parentheses is on the first line as a whole, or begins a line, which has all columns.
fn title_lines(text: &str, first: usize, columns: usize) -> Vec<String> {
    match text.split_once(" (") {
        Some((before, inside)) if width(text) > first => {
            [wrap(before, first), wrap(&format!("({inside}"), columns)].concat()
        }
        _ => wrap(text, first),
    }
}

fn chain_line(line: &Line, style: &Style, out: &mut String) {
    let uncertain = line.uncertainty.map_or(String::new(), |by| format!("≤ {by}"));
    let at = format!("{:+.3}", line.at);
    let lead = format!("{at:>10} {}{}", pad(&uncertain, 10), pad(&line.label, 16));
    // A moment that lies far off, or a long label, moves its own text only.
    let lead = if width(&lead) >= TEXT { format!("{lead} ") } else { pad(&lead, TEXT) };
    let columns = style.width.saturating_sub(width(&lead));
    let bold_lead = lead.replacen(&line.label, &bold(&line.label, style), 1);
    if columns < LEAST_TEXT {
        out.push_str(&format!("{}\n", bold_lead.trim_end()));
        let texts = [Some(&line.text), line.predicted.as_ref()].into_iter().flatten();
        texts.for_each(|text| out.push_str(&hang("      ", text, style.width)));
        return;
    }
    let mut lines = wrap(&line.text, columns);
    if let Some(predicted) = &line.predicted {
        let last = lines.last_mut().expect("there is a line");
        match width(last) + 6 + width(predicted) <= columns {
            true => last.push_str(&format!("      {predicted}")),
            false => lines.push(predicted.clone()),
        }
    }
    for (number, text) in lines.iter().enumerate() {
        let lead = if number == 0 { &bold_lead } else { &" ".repeat(width(&lead)) };
        out.push_str(format!("{lead}{text}").trim_end());
        out.push('\n');
    }
}

/// The failures of a probe over time, and in numbers. A control probe without a failure has nothing
/// to show.
fn failures(
    found: &Findings,
    probe: &ProbeFinding,
    style: &Style,
    out: &mut String,
) -> fmt::Result {
    if probe.control && probe.total.failed == 0 {
        return Ok(());
    }
    let mut lead = format!("  {} failed %   ", one_line(&probe.name));
    let mut name = String::new();
    if width(&lead) * 2 > style.width {
        (name, lead) = (format!("{}\n", lead.trim_end()), "    ".to_owned());
    }
    let columns = style.width.saturating_sub(width(&lead) + 18).clamp(10, WIDEST_SPARK);
    let (from, to) = extent(found, probe);
    let spark = Spark::new(&probe.series, from, to, columns, style.ascii);
    writeln!(
        out,
        "\n{name}{lead}{}  {}",
        spark.row,
        dim(&format!("{}s a column", spark.step.as_f64()), style)
    )?;
    let counts = counts(probe);
    let marks = marks(found, &spark);
    let marks_lead = format!("{}{marks}", " ".repeat(width(&lead)));
    if width(&marks_lead) + 6 + width(&counts) <= style.width && !marks.is_empty() {
        writeln!(out, "{marks_lead}      {counts}")?;
    } else {
        if !marks.is_empty() {
            writeln!(out, "{marks_lead}")?;
        }
        out.push_str(&hang("    ", &counts, style.width));
    }
    paths::line(probe).iter().for_each(|line| out.push_str(&hang("    ", line, style.width)));
    causes::lines(probe).iter().for_each(|line| out.push_str(&hang("    ", line, style.width)));
    if !probe.control {
        out.push_str(&latency::block(found, probe, style));
    }
    Ok(())
}

/// From a little before the fault to what came last.
fn extent(found: &Findings, probe: &ProbeFinding) -> (Seconds, Seconds) {
    let asked =
        probe.asked.map_or((Seconds::ZERO, Seconds::ZERO), |asked| (asked.earliest, asked.latest));
    let Some(first) = found.faults.first() else { return asked };
    let lead = (asked.1 - first.requested).or_zero().as_nanos() / 10;
    (asked.0.max(first.requested - Seconds::from_nanos(lead)), asked.1)
}

/// `^fault` and `^undo` under their columns; of those that would overlap, only the mark.
fn marks(found: &Findings, spark: &Spark) -> String {
    let mut row = String::new();
    let faults = found.faults.iter();
    let marks = faults
        .flat_map(|f| [Some((f.requested, "^fault")), f.undo_requested.map(|at| (at, "^undo"))])
        .flatten();
    let marks: Vec<(usize, &str)> = marks.map(|(at, mark)| (spark.column(at), mark)).collect();
    for (number, (column, mark)) in marks.iter().enumerate() {
        if *column < row.len() || *column >= spark.row.chars().count() {
            continue;
        }
        let next = marks.get(number + 1).map_or(usize::MAX, |(column, _)| *column);
        let mark = if column + mark.len() <= next { mark } else { "^" };
        row = format!("{}{mark}", pad(&row, *column));
    }
    row
}

/// `24 of 238 failed in the window (timeout 21, refused 3), 0 of 1116 outside: 24 of 1354 in all`.
pub(super) fn counts(probe: &ProbeFinding) -> String {
    let during = probe.windows.iter().find(|w| matches!(w.period, Period::Fault { .. }));
    let (inside, all) =
        probe.windows.iter().fold((0, 0), |(failed, all), w| (failed + w.failed, all + w.attempts));
    let settled = probe.settled();
    let outside = (settled.failed.saturating_sub(inside), settled.judged().saturating_sub(all));
    let before = background(probe);
    let Some(first) = during.or(probe.windows.first()) else {
        return format!("{} of {} failed{before}", settled.failed, settled.judged());
    };
    let parts: Vec<String> =
        probe.windows.iter().map(|window| in_window(window, window == first)).collect();
    let (failed, judged) = (settled.failed, settled.judged());
    format!(
        "{}, {} of {} outside: {failed} of {judged} in all{before}",
        parts.join(", "),
        outside.0,
        outside.1
    )
}

/// `; 5 of 305 failed before the fault (refused 5)`.
fn background(probe: &ProbeFinding) -> String {
    let before = probe.periods.iter().find(|one| one.period == Period::Before);
    let failing = before.filter(|one| one.tally.failed > 0);
    failing.map_or(String::new(), |PeriodTally { tally, classes, .. }| {
        let (failed, judged) = (tally.failed, tally.judged());
        format!("; {failed} of {judged} failed before the fault ({})", ClassCount::list(classes))
    })
}

fn in_window(window: &Window, first: bool) -> String {
    let place = match (first, window.period) {
        (_, Period::AfterUndo { .. }) => "after the undo",
        (true, _) => "in the window",
        (false, _) => "in the next window",
    };
    let bursts = window.bursts_text();
    format!(
        "{} of {} failed {place}{bursts} ({})",
        window.failed,
        window.attempts,
        ClassCount::list(&window.classes)
    )
}

fn assertions(view: &View<'_>, style: &Style, out: &mut String) {
    let (said, unsaid): (Vec<_>, Vec<_>) =
        view.verdict.assertions.iter().partition(|assertion| assertion.why.is_none());
    out.push('\n');
    for assertion in said.iter().chain(&unsaid) {
        let word = assertion.outcome.word();
        let why = assertion.why.as_ref().filter(|why| **why != view.verdict.summary);
        let text = why
            .map_or(assertion.result_text(), |why| format!("{}: {why}", assertion.result_text()));
        let lines = hang(&format!("  {word}  "), &text, style.width);
        out.push_str(&lines.replacen(word, &judged(word, assertion.outcome, style), 1));
    }
    // A reason that they share is written once.
    let nothing = Some(&view.verdict.summary).filter(|_| said.is_empty() && unsaid.is_empty());
    if let Some(shared) = view.verdict.issue.as_ref().or(nothing) {
        out.push_str(&hang("  ", &format!("{}.", capital(shared)), style.width));
    }
}

/// A sentence from a fragment. A name as it is typed (`nodeDrain`) stays so.
fn capital(text: &str) -> String {
    if text.split(' ').next().is_some_and(|word| word.contains(char::is_uppercase)) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

pub(super) fn closing(view: &View<'_>) -> String {
    let run = match view.timeline.header.repetition {
        Some((number, of)) => format!("Run {number} of {of}"),
        None => "A single run".to_owned(),
    };
    let repeat = match view.has_measured() && view.timeline.header.repetition.is_none() {
        true => " `--repeat 20` measures the spread.",
        false => "",
    };
    // Without a fault there is nothing to compare with, and the trials take their time.
    let first = view.predictions.steps.first();
    let Some(first) = first.filter(|_| !view.findings.faults.is_empty()) else {
        return format!("{run}.{repeat}");
    };
    // As it stands in the chain: where the fault may take the leader, the tries know more than the
    // closed form.
    match view.predictions.between(Quantity::Detection, first.step) {
        Ok(detection) => format!("{run}; predicted detection is {detection:.1}.{repeat}"),
        Err(why) => format!("{run}; no prediction: {why}.{repeat}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_parentheses_has_a_whole_line() {
        let title = "drain on kind cluster w-app (context kind-w-app, 3 nodes)";
        assert_eq!(
            title_lines(title, 28, 30),
            ["drain on kind cluster w-app", "(context kind-w-app, 3 nodes)"]
        );
        assert_eq!(title_lines(title, 60, 72), [title]);
        assert_eq!(title_lines("drain on w-app", 10, 20), ["drain on", "w-app"]);
    }

    #[test]
    fn a_sentence_begins_with_a_capital_but_a_name_stays_as_it_is_typed() {
        assert_eq!(capital("the steady state was lost"), "The steady state was lost");
        assert_eq!(
            capital("nodeDrain of w1 was not confirmed"),
            "nodeDrain of w1 was not confirmed"
        );
    }
}
