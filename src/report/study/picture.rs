//! A study as pictures: each quantity cell by cell, and what speed costs. Places are in percent of
//! the width, so a picture fits any window without a script.

use std::collections::BTreeSet;
use std::fmt::Write;

use maud::{Markup, html};

use super::counts::{Consequence, Occurrence, Rate};
use super::result::{CellReport, Estimate, Measure, MeasureReport, RunReport, StudyReport};
use crate::report::picture::draw::{Drawn, px};
use crate::report::text::count;
use crate::stats::{Interval, Seconds};

/// How the marks look, wherever they are drawn.
pub(in crate::report) const STYLE: &str = include_str!("picture.css");

/// Where a picture is: only a page has something that a mark can link to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Place {
    Page,
    File,
}

/// Values that differ by this factor are on a logarithmic axis: on a linear one the spread of a fast
/// cell beside a slow one is a single dot.
const LOGARITHMIC: f64 = 4.0;
/// What is left free at both ends of an axis.
const MARGIN: f64 = 0.04;
/// The diameter of a dot, and the width at which dots that would overlap are stacked.
const DOT: f64 = 9.0;
const STACKED_AT: f64 = 520.0;
/// More dots in one place overlap.
const HIGHEST_STACK: f64 = 12.0;
const DENSITY: f64 = 46.0;
/// In percent.
const NARROWEST_DENSITY: f64 = 0.8;
/// What a bar of a share has room for.
const SHARE: f64 = 30.0;
const BRACKET: f64 = 12.0;
const COST: f64 = 280.0;

/// The values that all cells of a picture share, from the left to the right.
#[derive(Clone, Copy, Debug)]
struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        // Nothing but zeros: any unit is as good, if it is not read as a precision.
        let high = if (low, high) == (0.0, 0.0) { 1.0 } else { high };
        let is_log = low > 0.0 && high / low >= LOGARITHMIC;
        let (low, high) = if is_log { (low.ln(), high.ln()) } else { (low, high) };
        let margin = ((high - low) * MARGIN).max(high.abs() * 0.01).max(1e-4);
        Self { low: low - margin, high: high + margin, is_log }
    }

    /// In percent.
    fn place(&self, value: f64) -> f64 {
        let value = if self.is_log { value.ln() } else { value };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0) * 100.0
    }

    /// Round values, few enough for a narrow window.
    fn ticks(&self) -> Vec<f64> {
        if self.is_log {
            let (low, high) = (self.low.exp(), self.high.exp());
            let digits: &[f64] =
                if high / low < 30.0 { &[1.0, 2.0, 3.0, 5.0, 7.0] } else { &[1.0, 2.0, 5.0] };
            let powers = low.log10().floor() as i32..=high.log10().floor() as i32;
            let all = powers.flat_map(|power| digits.iter().map(move |it| it * 10f64.powi(power)));
            return all.filter(|tick| (low..=high).contains(tick)).collect();
        }
        let least = (self.high - self.low) / 6.0;
        let power = 10f64.powf(least.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
        let step = steps.into_iter().find(|step| *step >= least).unwrap_or(10.0 * power);
        let first = (self.low.max(0.0) / step).ceil() as u64;
        (first..).map(|tick| tick as f64 * step).take_while(|tick| *tick <= self.high).collect()
    }

    /// What a reader has to know of it.
    fn note(&self) -> &'static str {
        if self.is_log { ", logarithmic" } else { "" }
    }
}

fn percent(place: f64) -> String {
    format!("{place:.2}%")
}

/// A mark of a run: by shape as well as by colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Pass,
    Fail,
    Inconclusive,
    /// It is in no statistic.
    LeftOut,
}

/// Each mark's name and meaning.
const MARKS: [(Mark, &str); 4] = [
    (Mark::Pass, "a run that passed, or expected nothing"),
    (Mark::Fail, "a run that failed"),
    (Mark::Inconclusive, "an inconclusive run"),
    (
        Mark::LeftOut,
        "a run left out of the numbers: unfinished, fault not confirmed, or host disturbed",
    ),
];

impl Mark {
    fn of(run: &RunReport) -> Self {
        match &*run.state {
            _ if !run.counted => Self::LeftOut,
            "fail" => Self::Fail,
            "inconclusive" => Self::Inconclusive,
            _ => Self::Pass,
        }
    }

    fn draw(self) -> Markup {
        let (class, path) = match self {
            Self::Pass => ("pass", "m-4.2,0a4.2,4.2 0 1 0 8.4,0a4.2,4.2 0 1 0 -8.4,0z"),
            Self::Fail => ("fail", "m-3.9,-3.9h7.8v7.8h-7.8z"),
            Self::Inconclusive => ("inconclusive", "m0,-4.2l4.2,7.6h-8.4z"),
            Self::LeftOut => ("left-out", "m-3.6,-3.6l7.2,7.2m0,-7.2l-7.2,7.2"),
        };
        html! { path class={ "mark " (class) } d=(path) {} }
    }
}

/// What the signs mean, each with its sample.
pub(in crate::report) fn legend() -> Vec<(Markup, &'static str)> {
    let marks = MARKS
        .map(|(mark, words)| (html! { g transform="translate(7 7)" { (mark.draw()) } }, words));
    let median =
        html! { (interval(0.0, 100.0, 1.0)) g transform="translate(7 7)" { (median_mark()) } };
    let density = html! { g class="density" { path d="M0 12V8H4V2H10V6H14V12z" {} } };
    let others = [
        (median, "median, with its 95% interval"),
        (density, "predicted by the model: higher means more likely"),
    ];
    marks.into_iter().chain(others).collect()
}

fn median_mark() -> Markup {
    html! { path class="median" d="m0,-6.5l5,6.5l-5,6.5l-5,-6.5z" {} }
}

/// I-shaped, as an error bar is.
fn interval(from: f64, to: f64, y: f64) -> Markup {
    html! {
        svg class="s bracket" x=(percent(from)) y=(px(y)) width=(percent(to - from)) height=(px(BRACKET)) {
            line x1="0" x2="0" y2="100%" {}
            line x1="100%" x2="100%" y2="100%" {}
            line x2="100%" y1="50%" y2="50%" {}
        }
    }
}

/// One quantity of all cells, on one axis.
pub(in crate::report) struct Distributions {
    measure: Measure,
    axis: Axis,
    place: Place,
}

/// A run with its place on the axis, and how many are below it.
struct Dot<'a> {
    run: &'a RunReport,
    value: f64,
    at: f64,
    level: usize,
}

impl Distributions {
    /// `None`: no run measured it.
    pub(in crate::report) fn new(
        report: &StudyReport,
        measure: Measure,
        place: Place,
    ) -> Option<Self> {
        let measured = || report.cells.iter().flat_map(|cell| &cell.runs);
        let measured = || measured().filter_map(|run| run.values.get(&measure).copied());
        measured().next()?;
        let predicted = report.cells.iter().filter_map(|cell| of(cell, measure)?.predicted);
        let predicted = predicted.flat_map(|it| it.min.into_iter().chain(it.max));
        Some(Self { measure, axis: Axis::of(measured().chain(predicted)), place })
    }

    /// Its name with what its axis shows.
    pub(in crate::report) fn axis_name(&self) -> String {
        format!("{}{}", self.measure.name(), self.axis.note())
    }

    pub(in crate::report) fn axis(&self) -> Drawn {
        let text = |value: f64| tick_text(self.measure, value);
        let body = html! {
            @for tick in self.axis.ticks() {
                @let at = self.axis.place(tick);
                line class="base" x1=(percent(at)) x2=(percent(at)) y2="5" {}
                text class="axis" x=(percent(at)) y="16" text-anchor=(anchor(at)) { (text(tick)) }
            }
        };
        Drawn { height: 22.0, body }
    }

    /// Dots and the predicted density rise from one line; below it are the median, and the runs that
    /// are in no statistic.
    pub(in crate::report) fn row(&self, cell: &CellReport) -> Drawn {
        let dots = |counted| self.dots(cell.runs.iter().filter(move |run| run.counted == counted));
        let (counted, left_out) = (dots(true), dots(false));
        let highest = |dots: &[Dot<'_>]| dots.iter().map(|dot| dot.level + 1).max().unwrap_or(0);
        let levels = highest(&counted) as f64;
        let pitch = DOT * (HIGHEST_STACK / levels).min(1.0);
        let base = 5.0 + (levels * pitch + 2.0).max(DENSITY);
        let below = base + BRACKET + 8.0;
        let height = below + highest(&left_out).min(3) as f64 * DOT;
        let body = html! {
            @for tick in self.axis.ticks() {
                @let at = percent(self.axis.place(tick));
                line class="grid" x1=(at) x2=(at) y2=(px(height)) {}
            }
            (self.density(cell, base))
            line class="base" x2="100%" y1=(px(base)) y2=(px(base)) {}
            @for dot in &counted {
                (self.dot(dot, base - DOT / 2.0 - 1.0 - dot.level as f64 * pitch))
            }
            @if counted.is_empty() { text class="axis" x="4" y=(px(base - 6.0)) { "not measured" } }
            @if let Some(median) = of(cell, self.measure).and_then(|it| it.median) {
                (self.median(median, base + 4.0))
            }
            @for dot in &left_out {
                (self.dot(dot, below + 2.0 + dot.level.min(2) as f64 * DOT))
            }
        };
        Drawn { height, body }
    }

    /// Each run at its value, stacked where they would overlap.
    fn dots<'a>(&self, runs: impl Iterator<Item = &'a RunReport>) -> Vec<Dot<'a>> {
        let value = |run: &'a RunReport| Some((run, *run.values.get(&self.measure)?));
        let mut values: Vec<_> = runs.filter_map(value).collect();
        values.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut ends: Vec<f64> = Vec::new();
        let mut place = |(run, value): (&'a RunReport, f64)| {
            let at = self.axis.place(value);
            let x = at / 100.0 * STACKED_AT;
            let level = ends.iter().position(|end| *end <= x).unwrap_or(ends.len());
            ends.resize(ends.len().max(level + 1), 0.0);
            ends[level] = x + DOT;
            Dot { run, value, at, level }
        };
        values.into_iter().map(&mut place).collect()
    }

    fn dot(&self, dot: &Dot<'_>, y: f64) -> Markup {
        let RunReport { run, repetition, state, why, .. } = dot.run;
        let value = self.measure.words(dot.value);
        let drawn = html! {
            title { "run " (run) " (repetition " (repetition) "): " (value) ", " (state) ". " (why) }
            svg class="at" x=(percent(dot.at)) y=(px(y)) { (Mark::of(dot.run).draw()) }
        };
        match self.place {
            Place::Page => html! { a href=(format!("#run={run}")) { (drawn) } },
            Place::File => html! { g { (drawn) } },
        }
    }

    fn median(&self, Estimate { value, interval: within }: Estimate, y: f64) -> Markup {
        html! {
            g {
                title { (median_words(self.measure, Estimate { value, interval: within })) }
                @if let Some(Interval { low, high }) = within {
                    (interval(self.axis.place(low), self.axis.place(high), y))
                }
                svg class="at" x=(percent(self.axis.place(value))) y=(px(y + BRACKET / 2.0)) { (median_mark()) }
            }
        }
    }

    /// The area of a column is the share of the trials in it, on a logarithmic axis too.
    fn density(&self, cell: &CellReport, base: f64) -> Markup {
        let Some(MeasureReport { predicted: Some(predicted), predicted_bins, .. }) =
            of(cell, self.measure)
        else {
            return html! {};
        };
        let mut columns: Vec<(f64, f64, f64)> = predicted_bins
            .iter()
            .map(|bin| (self.axis.place(bin.from), self.axis.place(bin.to), bin.n))
            .map(|(from, to, n)| (from, (to - from).max(0.05), f64::from(n)))
            .map(|(from, width, n)| (from, width, n / width))
            .collect();
        // One value, or nearly so, is still to be seen.
        if let [(from, width, _)] = &mut columns[..] {
            let wider = NARROWEST_DENSITY - *width;
            (*from, *width) = (*from - wider.max(0.0) / 2.0, width.max(NARROWEST_DENSITY));
        }
        // What seldom comes about at all is low.
        let part = predicted.chance().unwrap_or_default();
        let highest = columns.iter().map(|column| column.2).fold(0.0, f64::max) / part;
        let mut outline = String::new();
        for (from, width, high) in columns {
            let (x, width, high) = (from * 10.0, width * 10.0, high / highest * 100.0);
            let _ = match outline.is_empty() {
                true => write!(outline, "M{} 100V{}h{}", px(x), px(100.0 - high), px(width)),
                false => write!(outline, "V{}H{}", px(100.0 - high), px(x + width)),
            };
        }
        outline += "V100z";
        html! {
            g class="density" {
                title { "predicted: " (self.measure.predicted_words(predicted)) }
                // One shape, in thousandths of the width.
                svg y=(px(base - DENSITY)) width="100%" height=(px(DENSITY)) viewBox="0 0 1000 100" preserveAspectRatio="none" {
                    path d=(outline) {}
                }
            }
        }
    }

    /// What the row shows, in words.
    pub(in crate::report) fn words(&self, cell: &CellReport) -> Vec<String> {
        let numbers = of(cell, self.measure);
        let n = numbers.map_or(0, |it| it.n);
        let mut runs = format!(
            "{n} of {} measured",
            count(cell.runs.iter().filter(|run| !run.repeated).count() as u64, "run")
        );
        let ended = cell.ended;
        for (number, what) in [
            (ended.inconclusive, "inconclusive"),
            (ended.left_out, "of them left out"),
            (ended.unfinished + ended.unreadable, "unfinished"),
        ] {
            if number > 0 {
                runs += &format!(", {number} {what}");
            }
        }
        let median = numbers.and_then(|it| it.median);
        let median = median.map(|median| median_words(self.measure, median));
        let tested = cell.detection_agrees.filter(|_| self.measure == Measure::Detection);
        let tested = tested.map(|it| {
            let words = if it.agrees { "✔ agrees with" } else { "✘ DIFFERS from" };
            format!("{words} the prediction (Kolmogorov-Smirnov: p {:.3})", it.test.p)
        });
        median.into_iter().chain([runs]).chain(tested).collect()
    }
}

pub(super) fn of(cell: &CellReport, measure: Measure) -> Option<&MeasureReport> {
    cell.measures.iter().find(|one| one.measure == measure)
}

fn median_words(measure: Measure, Estimate { value, interval }: Estimate) -> String {
    let words = |value| measure.words(value);
    let within = interval.map_or(String::new(), |Interval { low, high }| {
        format!(" ({} to {})", words(low), words(high))
    });
    format!("median {}{within}", words(value))
}

fn tick_text(measure: Measure, value: f64) -> String {
    match measure {
        Measure::FailedShare => measure.words(value),
        _ => Seconds::from_f64(value).to_string(),
    }
}

/// A text at the end of an axis stays inside.
fn anchor(at: f64) -> &'static str {
    match at {
        ..4.0 => "start",
        96.0.. => "end",
        _ => "middle",
    }
}

pub(in crate::report) fn how_to_read_cost(report: &StudyReport) -> String {
    let measured = match report.cells.iter().any(|cell| cell.measured_writes.is_some()) {
        true => {
            "Each number is at the predicted cost; the horizontal line is the 95% interval of the measured cost."
        }
        false => "The cost is predicted by the model; it was not measured.",
    };
    format!(
        "Each number is a cell; cells that cost the same stand side by side. Further down is faster, further left is cheaper. {measured}"
    )
}

pub(in crate::report) const HOW_TO_READ_SHARES: &str = "Bar: the share of runs in which the node became NotReady. I-shape: its 95% interval. Purple line: the share that the model predicts.";

/// Whether the node did not always, or not as always predicted, become NotReady: else there is nothing to
/// see.
pub(in crate::report) fn shares_vary(report: &StudyReport) -> bool {
    report
        .cells
        .iter()
        .filter_map(not_ready)
        .any(|seen| seen.runs < seen.of || seen.predicted.is_some_and(|predicted| predicted < 1.0))
}

pub(in crate::report) fn not_ready(cell: &CellReport) -> Option<Occurrence> {
    cell.occurrences.iter().find(|seen| seen.what == Consequence::NotReady).copied()
}

/// A share's place across, in percent: both ends have room for their marks.
fn across_of(share: f64) -> f64 {
    3.0 + share * 94.0
}

/// In which share of a cell's runs the node became NotReady.
pub(in crate::report) fn share(seen: &Occurrence) -> Drawn {
    let Occurrence { runs, of, interval: Interval { low, high }, predicted, .. } = *seen;
    let part = f64::from(runs) / f64::from(of);
    let from = across_of(0.0);
    let body = html! {
        (share_grid(SHARE))
        g class="share" {
            title { (super::tables::occurrence(seen)) }
            rect x=(percent(from)) y="8" width=(percent(across_of(part) - from)) height="14" {}
        }
        (interval(across_of(low), across_of(high), 9.0))
        @if let Some(predicted) = predicted {
            @let at = percent(across_of(predicted));
            line class="expected" x1=(at) x2=(at) y1="2" y2="28" { title { "predicted: " (super::tables::share(predicted)) } }
        }
    };
    Drawn { height: SHARE, body }
}

fn share_grid(height: f64) -> Markup {
    html! {
        @for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
            @let at = percent(across_of(part));
            line class="grid" x1=(at) x2=(at) y2=(px(height)) {}
        }
    }
}

pub(in crate::report) fn share_axis() -> Drawn {
    let body = html! {
        @for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
            @let at = percent(across_of(part));
            line class="base" x1=(at) x2=(at) y2="5" {}
            text class="axis" x=(at) y="16" text-anchor="middle" { (part * 100.0) "%" }
        }
    };
    Drawn { height: 22.0, body }
}

/// What the bar shows, in words.
pub(in crate::report) fn share_words(seen: &Occurrence) -> Vec<String> {
    let predicted = seen.predicted.map(|it| format!("predicted {}", super::tables::share(it)));
    std::iter::once(super::tables::occurrence(seen)).chain(predicted).collect()
}

/// A cell as a point: what its heartbeats cost, and how soon it detects.
struct Point<'a> {
    number: usize,
    cell: &'a CellReport,
    writes: f64,
    detection: Estimate,
}

/// Speed against cost; `None`: no two cells differ in their cost.
pub(in crate::report) fn cost(report: &StudyReport, place: Place) -> Option<Drawn> {
    let point = |(index, cell): (usize, &'_ CellReport)| {
        let writes = cell.predicted_cost.as_ref()?.writes_per_second;
        let detection = of(cell, Measure::Detection)?.median?;
        Some((index + 1, writes, detection))
    };
    let points: Vec<Point<'_>> = report
        .cells
        .iter()
        .enumerate()
        .filter_map(|(index, cell)| {
            let (number, writes, detection) = point((index, cell))?;
            Some(Point { number, cell, writes, detection })
        })
        .collect();
    let first = points.first()?.writes;
    points.iter().find(|point| (point.writes - first).abs() > first * 1e-6)?;
    let measured = |point: &Point<'_>| point.cell.measured_writes.as_ref().map(|it| it.heartbeats);
    let ends = |rate: Rate| [rate.interval.low, rate.interval.high, rate.per_second];
    let across = Axis::of(points.iter().flat_map(|point| {
        let measured = measured(point).into_iter().flat_map(ends).filter(|it| *it > 0.0);
        measured.chain([point.writes])
    }));
    let up = Axis::of(points.iter().flat_map(|Point { detection, .. }| {
        let interval = detection.interval.into_iter();
        interval.flat_map(|it| [it.low, it.high]).chain([detection.value])
    }));
    let x = |writes: f64| 9.0 + across.place(writes) * 0.88;
    let y = |seconds: f64| 20.0 + (100.0 - up.place(seconds)) / 100.0 * (COST - 64.0);
    let bottom = COST - 40.0;
    let body = html! {
        text class="note" x="0" y="11" { "median detection, measured" (up.note()) }
        @for tick in up.ticks() {
            @let y = y(tick);
            line class="grid" x1="8%" x2="100%" y1=(px(y)) y2=(px(y)) {}
            text class="axis" x="7.5%" y=(px(y + 3.5)) text-anchor="end" { (Seconds::from_f64(tick)) }
        }
        line class="base" x1="8%" x2="100%" y1=(px(bottom)) y2=(px(bottom)) {}
        @for tick in across.ticks() {
            @let x = percent(x(tick));
            line class="base" x1=(x) x2=(x) y1=(px(bottom)) y2=(px(bottom + 5.0)) {}
            text class="axis" x=(x) y=(px(bottom + 16.0)) text-anchor="middle" { (tick) "/s" }
        }
        text class="note" x="100%" y=(px(COST - 6.0)) text-anchor="end" {
            "heartbeat writes a second with " (count(u64::from(report.nodes), "node")) (across.note())
        }
        @for point in &points {
            // Cells of one cost are side by side.
            @let same = || points.iter().filter(|it| (across.place(it.writes) - across.place(point.writes)).abs() < 3.0);
            @let before = same().filter(|it| it.number < point.number).count() as f64;
            @let aside = (before - (same().count() as f64 - 1.0) / 2.0) * 24.0;
            @let at = y(point.detection.value);
            @let drawn = html! {
                title {
                    (point.cell.cell) ": detection " (median_words(Measure::Detection, point.detection))
                    ", " (format!("{:.1}", point.writes)) " writes a second predicted"
                    @if let Some(rate) = measured(point) { ", " (super::tables::a_second(rate)) " measured" }
                }
                @if let Some(rate) = measured(point) {
                    @let [low, high, value] = ends(rate).map(&x);
                    g class="measured" {
                        line x1=(percent(low)) x2=(percent(high)) y1=(px(at)) y2=(px(at)) {}
                        @for end in [low, high, value] {
                            line x1=(percent(end)) x2=(percent(end)) y1=(px(at - 5.0)) y2=(px(at + 5.0)) {}
                        }
                    }
                }
                svg class="at point" x=(percent(x(point.writes))) y=(px(at)) {
                    g transform=(format!("translate({} 0)", px(aside))) {
                        @if let Some(Interval { low, high }) = point.detection.interval {
                            line y1=(px(y(high) - at)) y2=(px(y(low) - at)) {}
                            @for end in [y(high) - at, y(low) - at] { line x1="-5" x2="5" y1=(px(end)) y2=(px(end)) {} }
                        }
                        circle r="9.5" {}
                        text y="4" { (point.number) }
                    }
                }
            };
            @match place {
                Place::Page => a href=(format!("#cell={}", point.number)) { (drawn) },
                Place::File => g { (drawn) },
            }
        }
    };
    Some(Drawn { height: COST, body })
}

/// A cell's values without the names of their axes, where these tell all cells apart.
pub(in crate::report) fn label(report: &StudyReport, cell: &CellReport) -> String {
    let values = |cell: &CellReport| {
        cell.choices.iter().map(|choice| choice.value.as_str()).collect::<Vec<_>>().join(", ")
    };
    let all: BTreeSet<String> = report.cells.iter().map(values).collect();
    if all.len() == report.cells.len() { values(cell) } else { cell.cell.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_zeros_claims_no_precision() {
        let axis = Axis::of([0.0, 0.0].into_iter());
        assert_eq!(axis.ticks().last().map(|tick| (tick * 10.0).round()), Some(10.0));
        assert_eq!(axis.place(0.0).round(), 4.0);
    }
}
