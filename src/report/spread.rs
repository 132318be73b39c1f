//! Several runs of one experiment: each in a line, and their spread, next to the prediction.

use std::collections::BTreeMap;
use std::fmt::Write;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::style::Style;
use super::summary::Summary;
use super::table::table;
use super::text::{count, hang, judged};
use super::view::FLAKY;
use crate::analysis::ErrorRate;
use crate::compare::Comparisons;
use crate::stats::{Between, Interval, Seconds, Spread, interval_of_quantile, quantile};
use crate::timeline::Retry;
use crate::verdict::Outcome;

/// The version of the form.
pub const FORMAT: &str = "outage.spread/v1";

/// Several runs of one experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SpreadReport {
    /// The version of this form, `outage.spread/v1`.
    pub format: String,
    /// The experiment's name.
    pub experiment: String,
    /// The worst outcome of the runs; of a retried run, the last try counts.
    pub outcome: Outcome,
    /// Each run.
    pub runs: Vec<Summary>,
    /// The number of requested runs that were never started. Earlier versions wrote `notBegun`.
    #[serde(default, alias = "notBegun")]
    pub not_started: u32,
    /// How many of the runs are in none of these numbers: they did not come to their own end, no fault
    /// was confirmed, or their probers' hosts were disturbed.
    #[serde(default)]
    pub left_out: usize,
    /// In how many of the others the errors are not known to have ended before the undo: they are in
    /// neither `errorWindow` nor `failingTime`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub still_failing: usize,
    /// The longest of these runs' errors, as far as they were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_at_least: Option<Seconds>,
    /// Detection, if it was measured; for an interval, its end.
    pub detection: Option<Spread>,
    /// The error window's upper end, where it has one.
    pub error_window: Option<Spread>,
    /// The same without the times between bursts, where a run had several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_time: Option<Spread>,
    /// The removal of the endpoints on the target.
    pub removal: Option<Spread>,
    /// The recovery of the steady state; for an interval, its end.
    pub recovery: Option<Spread>,
    /// The 99th percentile of answers during the first fault.
    #[serde(default)]
    pub p99: Option<Spread>,
    /// The highest error rates over windows of one length each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_rates: Vec<RateSpread>,
    /// The predicted detection.
    pub predicted: Option<Between>,
    /// How many of the measured detections lie inside what was predicted.
    pub inside: Option<u32>,
    /// These runs beside those of a baseline, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Comparisons>,
}

/// The highest error rates of several runs, over windows of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RateSpread {
    /// The length of the window.
    pub window: Seconds,
    /// The number of runs.
    pub n: u32,
    /// The lowest share that failed, from 0 to 1.
    pub min: f64,
    /// The median (type 7 of Hyndman and Fan).
    pub median: f64,
    /// Its interval at 95 % (percentile bootstrap); absent: there are too few runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The highest.
    pub max: f64,
}

impl RateSpread {
    fn all(rates: Vec<&ErrorRate>) -> Vec<Self> {
        let mut windows: BTreeMap<Seconds, Vec<f64>> = BTreeMap::new();
        for rate in rates.into_iter().filter(|rate| rate.judged > 0) {
            windows.entry(rate.window).or_default().push(rate.failed as f64 / rate.judged as f64);
        }
        let spread = |(window, mut shares): (Seconds, Vec<f64>)| {
            shares.sort_by(f64::total_cmp);
            let at = |p| quantile(&shares, p);
            let (n, interval) = (shares.len() as u32, interval_of_quantile(&shares, 0.5).ok());
            Some(Self { window, n, min: at(0.0)?, median: at(0.5)?, interval, max: at(1.0)? })
        };
        windows.into_iter().filter_map(spread).collect()
    }

    fn row(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1}%", share * 100.0);
        let name = format!("highest error rate over {}", self.window.to_minutes());
        let interval = self.interval.map(|Interval { low, high }| [low, high].map(percent));
        row(&name, [self.min, self.median, self.max].map(percent), interval, self.n)
    }
}

pub(super) fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl SpreadReport {
    /// Puts runs together; they should be of one experiment on one cluster.
    pub fn new(mut runs: Vec<Summary>) -> Self {
        let retries: Vec<Retry> = runs.iter().filter_map(|run| run.retry.clone()).collect();
        for run in &mut runs {
            run.retried = retries.iter().any(|later| later.replaces(&run.run, run.retry.as_ref()));
        }
        let decisive = runs.iter().filter(|run| !run.retried);
        let counted = || runs.iter().filter(|run| run.counts());
        let most = |value: fn(&Summary) -> Option<Between>| {
            Spread::of(counted().filter_map(|run| Some(value(run)?.most)))
        };
        let open = || counted().filter(|run| run.open);
        let predicted = runs.first().and_then(|run| run.predicted);
        let within = |p: Between| {
            counted()
                .filter_map(|run| run.detection)
                .filter(|detection| p.overlaps_as_printed(*detection))
                .count() as u32
        };
        Self {
            format: FORMAT.into(),
            experiment: runs.first().map(|run| run.experiment.clone()).unwrap_or_default(),
            outcome: decisive.map(|run| run.outcome).max().unwrap_or(Outcome::Inconclusive),
            left_out: runs.len() - counted().count(),
            still_failing: open().count(),
            failing_at_least: open().filter_map(|run| Some(run.error_window?.least)).max(),
            detection: most(|run| run.detection),
            error_window: most(|run| run.error_window.filter(|_| !run.open)),
            failing_time: most(|run| run.failing.or(run.error_window).filter(|_| !run.open))
                .filter(|_| runs.iter().any(|run| run.failing.is_some())),
            removal: most(|run| run.removal),
            recovery: most(|run| run.recovery),
            p99: Spread::of(counted().filter_map(|run| run.p99)),
            error_rates: RateSpread::all(counted().flat_map(|run| &run.error_rates).collect()),
            predicted,
            inside: predicted.map(within),
            runs,
            not_started: 0,
            baseline: None,
        }
    }
}

/// The runs and their spread as lines.
pub fn render(report: &SpreadReport, style: &Style) -> String {
    let mut out = String::new();
    let left = if report.not_started > 0 {
        format!(", {} not started", report.not_started)
    } else {
        String::new()
    };
    let title =
        format!("{}: {}{left}   ", report.experiment, count(report.runs.len() as u64, "run"));
    let is_flaky =
        report.outcome == Outcome::Pass && report.runs.iter().any(|run| run.word() == FLAKY);
    let word = if is_flaky { FLAKY } else { report.outcome.word() };
    let _ = writeln!(out, "{title}{}\n", judged(word, report.outcome, style));
    let cell = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let rows = report.runs.iter().map(|run| {
        vec![
            run.run.clone(),
            cell(run.detection.map(|d| format!("{d:.3}"))),
            cell(run.errors()),
            cell(run.unready()),
            cell(run.recovery.map(|r| r.to_string())),
            format!("{}/{}", run.failed, run.attempts),
            format!("{}{}", run.word(), if run.retried { ", retried" } else { "" }),
        ]
    });
    out.push_str(&table(
        style.width,
        vec!["RUN", "DETECTED", "ERRORS", "UNREADY", "RECOVERY", "FAILED", "VERDICT"],
        rows,
    ));
    out.push('\n');
    let spreads = [
        ("detection", &report.detection),
        ("error window", &report.error_window),
        ("failing time", &report.failing_time),
        ("endpoint removal", &report.removal),
        ("recovery", &report.recovery),
    ];
    let rows = spreads.iter().filter_map(|(name, spread)| {
        Some(spread_row(name, spread.as_ref()?, |value| format!("{value:.3}")))
    });
    let p99 = report
        .p99
        .iter()
        .map(|spread| spread_row("p99 latency (answered)", spread, |value| value.to_string()));
    let rows = rows.chain(p99).chain(report.error_rates.iter().map(RateSpread::row));
    out.push_str(&table(style.width, vec!["", "MIN", "MEDIAN", "MAX", "N"], rows));
    out.push_str(&hang("", &compared(report), style.width));
    if let Some(least) = report.failing_at_least {
        let text = format!(
            "Not in the error window: {} of {} still failing at the undo or the end, the longest for at least {least}.",
            report.still_failing,
            count((report.runs.len() - report.left_out) as u64, "run")
        );
        out.push_str(&hang("", &text, style.width));
    }
    let left_out = report.runs.iter().filter_map(|run| Some((&run.run, run.left_out.as_ref()?)));
    let left_out: Vec<String> = left_out.map(|(run, why)| format!("{run} ({why})")).collect();
    if !left_out.is_empty() {
        let text = format!("Left out of the spread: {}.", left_out.join(", "));
        out.push_str(&hang("", &text, style.width));
    }
    let all = spreads.iter().filter_map(|(_, spread)| spread.as_ref()).chain(&report.p99);
    let mut intervals = all.map(|spread| spread.interval);
    if intervals.any(|it| it.is_some()) {
        out.push_str(&hang("", METHOD, style.width));
    }
    out
}

const METHOD: &str = "In parentheses: the median's 95% interval, from 6 runs on (percentile bootstrap; Efron, 1979).";

fn spread_row(name: &str, spread: &Spread, cell: impl Fn(Seconds) -> String) -> Vec<String> {
    let interval = spread.interval.map(|Interval { low, high }| [low, high].map(Seconds::from_f64));
    row(
        name,
        [spread.min, spread.median, spread.max].map(&cell),
        interval.map(|it| it.map(&cell)),
        spread.n,
    )
}

/// `detection  3.3s  4.781s (4.1s to 5.2s)  7.1s  9`.
fn row(
    name: &str,
    [min, median, max]: [String; 3],
    interval: Option<[String; 2]>,
    n: u32,
) -> Vec<String> {
    let interval = interval.map_or(String::new(), |[low, high]| format!(" ({low} to {high})"));
    vec![name.to_owned(), min, median + &interval, max, n.to_string()]
}

fn compared(report: &SpreadReport) -> String {
    match (report.predicted, report.inside, &report.detection) {
        (Some(predicted), Some(inside), Some(seen)) => {
            format!(
                "Predicted detection: {predicted:.1}; {inside} of {} runs are within it.",
                seen.n
            )
        }
        (Some(predicted), _, _) => {
            format!("Predicted detection: {predicted:.1}; none was measured.")
        }
        _ => "No prediction.".into(),
    }
}
