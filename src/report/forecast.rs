//! What is to be expected of an experiment, before anybody runs it.

use serde::Serialize;

use super::table::table;
use super::text::{count, hang, wrap};
use crate::model::{Bin, Distribution, Routing, Summary};
use crate::prediction::{
    Predicted, Predictions, Quantity, StepPrediction, TRIALS, Tried, Unpredicted,
};
use crate::stats::Seconds;

/// The version of this form.
pub const FORMAT: &str = "outage.forecast/v1";

/// A forecast as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForecastReport {
    /// `outage.forecast/v1`.
    pub format: String,
    pub experiment: String,
    /// What it was predicted for, for people.
    pub cluster: String,
    /// How many trials were simulated.
    pub trials: u32,
    /// The seed of the trials: the same seed gives the same numbers.
    pub seed: u64,
    /// When each fault is noticed, by the closed form.
    pub steps: Vec<StepPrediction>,
    /// What the trials came to, by probe and fault.
    pub tried: Vec<Outcome>,
    pub why_not: Option<String>,
    /// Probes whose errors are not predicted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unpredicted: Vec<Unpredicted>,
}

/// What the trials of one fault came to, as one probe sees it. Times in seconds; shares from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The fault's step in the method, from 0.
    pub step: u32,
    /// The probe, if one asks.
    pub probe: Option<String>,
    /// The Service that it targets.
    pub service: Option<String>,
    /// The node that is hit: the first of those that the target allows.
    pub node: String,
    /// The Service's endpoints on that node.
    pub endpoints_hit: u32,
    pub endpoints: u32,
    /// How the Service chooses among them.
    pub routing: Routing,
    /// What dry runs and reports print as predicted of this fault, if they have as many trials.
    pub predicted: Vec<Predicted>,
    /// From the fault's request until the node is not Ready.
    pub detection: Summary,
    /// From the fault's request until the node's last endpoint has left the Service, if before the
    /// undo.
    pub endpoint_removal: Summary,
    /// From the first failing request to the last, between fault and undo.
    pub error_window: Summary,
    /// The share of the requests in that window that fail.
    pub failed_share: Summary,
    /// From the fault's request until as many endpoints are ready elsewhere.
    pub rescheduling: Summary,
    /// From the confirmed undo until all is as it was.
    pub recovery: Summary,
    pub detection_histogram: Vec<Bin>,
}

/// Columns of the histogram.
const COLUMNS: f64 = 40.0;

/// How a number of a row is written.
type Unit = fn(f64) -> String;

impl Outcome {
    fn new(tried: &Tried, predictions: &Predictions) -> Self {
        let forecast = &tried.forecast;
        Self {
            step: tried.step,
            probe: tried.probe.clone(),
            service: tried.service.clone(),
            node: tried.node.clone(),
            endpoints_hit: tried.endpoints_hit,
            endpoints: tried.endpoints,
            routing: tried.routing,
            predicted: predictions.of_step(tried.step),
            detection: forecast.detection.summary(),
            endpoint_removal: forecast.endpoint_removal.summary(),
            error_window: forecast.error_window.summary(),
            failed_share: forecast.failed_share.summary(),
            rescheduling: forecast.rescheduling.summary(),
            recovery: forecast.recovery.summary(),
            detection_histogram: histogram(&forecast.detection),
        }
    }

    fn rows(&self) -> [(&'static str, Summary, Unit); 6] {
        let time: Unit = |seconds| format!("{:.2}", Seconds::from_f64(seconds));
        let share: Unit = |share| format!("{:.0}%", share * 100.0);
        [
            ("detection", self.detection, time),
            ("endpoint removal", self.endpoint_removal, time),
            ("error window", self.error_window, time),
            ("failed share in it", self.failed_share, share),
            ("rescheduling", self.rescheduling, time),
            ("recovery, from the undo", self.recovery, time),
        ]
    }
}

/// Some forty columns of a width that people can read: 1, 2 or 5 times a power of ten.
fn histogram(distribution: &Distribution) -> Vec<Bin> {
    let summary = distribution.summary();
    let (Some(min), Some(max)) = (summary.min, summary.max) else { return Vec::new() };
    let steps = (-3..4).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    let width = steps.into_iter().find(|width| (max - min) / width < COLUMNS).unwrap_or(10_000.0);
    distribution.bins(width)
}

impl ForecastReport {
    /// Of some predictions. `cluster` says for people what they are for.
    pub fn new(experiment: &str, cluster: &str, predictions: &Predictions, seed: u64) -> Self {
        let tried = predictions.tried();
        Self {
            format: FORMAT.into(),
            experiment: experiment.into(),
            cluster: cluster.into(),
            trials: predictions.trials(),
            seed,
            steps: predictions.steps.clone(),
            unpredicted: predictions.unpredicted(),
            why_not: tried.err().map(str::to_owned),
            tried: (tried.unwrap_or_default().iter())
                .map(|tried| Outcome::new(tried, predictions))
                .collect(),
        }
    }
}

/// For people.
pub fn render(report: &ForecastReport, width: usize, ascii: bool) -> String {
    let usual = match report.trials == TRIALS {
        true => String::new(),
        false => format!(" (dry runs and reports use {TRIALS}, so their extremes differ)"),
    };
    let tries =
        format!("{}{usual}, seed {}", count(report.trials.into(), "simulated trial"), report.seed);
    let title = format!("{}: predicted for {}, {tries}", report.experiment, report.cluster);
    let mut out = wrap(&title, width).join("\n") + "\n";
    if let Some(why) = &report.why_not {
        out.push_str(&hang("  ", &format!("no simulation: {why}"), width));
    }
    for unpredicted in &report.unpredicted {
        out.push_str(&hang("  ", &unpredicted.to_string(), width));
    }
    for outcome in &report.tried {
        let step = report.steps.iter().find(|step| step.step == outcome.step);
        out.push('\n');
        out.push_str(&hang("", &heading(outcome, step), width));
        out.push_str(&rows(outcome, width));
        out.push_str(&drawn(&outcome.detection_histogram, ascii));
    }
    out
}

fn heading(outcome: &Outcome, step: Option<&StepPrediction>) -> String {
    let fault = step.map_or("the fault", |step| step.fault.as_str());
    let asked = match (&outcome.probe, &outcome.service) {
        (Some(probe), Some(service)) => {
            let endpoints = count(outcome.endpoints.into(), "endpoint");
            let sticky = match outcome.routing.is_sticky() {
                true => ", and with session affinity all or none of its requests fail",
                false => "",
            };
            format!(
                "; {probe} targets {service}, {} of {endpoints} there{sticky}",
                outcome.endpoints_hit
            )
        }
        _ => "; no probe targets a Service with known endpoints over new connections".into(),
    };
    let bounds = match step.map(|step| (&step.prediction, &step.why_not)) {
        Some((Some(prediction), _)) => {
            let late = prediction.late.as_ref().map_or(String::new(), |late| format!("; {late}"));
            let all = outcome.predicted.iter().find(|it| it.quantity == Quantity::Detection.name());
            let all = all.map_or(prediction.detection, |it| it.between);
            let all = match format!("{all:.1}") == format!("{:.1}", prediction.detection) {
                true => String::new(),
                false => format!(", {all:.1} including all trials"),
            };
            format!(". Detection in {:.1} by the closed form{all}{late}", prediction.detection)
        }
        Some((None, Some(why))) => format!(". No detection: {why}"),
        _ => String::new(),
    };
    format!("step {}, {fault} of {}{asked}{bounds}", outcome.step, outcome.node)
}

fn rows(outcome: &Outcome, width: usize) -> String {
    let all = |summary: &Summary| summary.n + summary.never;
    let rows = outcome.rows().into_iter().filter(|(_, summary, _)| all(summary) > 0).map(
        |(name, summary, say)| {
            let written = |value: Option<f64>| value.map_or("-".into(), say);
            let never = match (summary.never, summary.n) {
                (0, _) => String::new(),
                (_, 0) => "always".into(),
                (never, _) => {
                    format!("{:.1}%", f64::from(never) * 100.0 / f64::from(all(&summary)))
                }
            };
            let values =
                [summary.min, summary.p05, summary.median, summary.p95, summary.max].map(written);
            std::iter::once(name.to_owned()).chain(values).chain([never]).collect()
        },
    );
    table(width, vec!["", "MIN", "5%", "MEDIAN", "95%", "MAX", "NEVER"], rows)
}

/// A row of blocks, and its ends.
fn drawn(bins: &[Bin], ascii: bool) -> String {
    let (Some(first), Some(last)) = (bins.first(), bins.last()) else { return String::new() };
    let most = bins.iter().map(|bin| bin.n).max().unwrap_or(1).max(1);
    let row: String = bins
        .iter()
        .map(|bin| super::spark::block(u64::from(bin.n), u64::from(most), ascii))
        .collect();
    let name = "detection, from ";
    let (from, to) = (Seconds::from_f64(first.from), Seconds::from_f64(last.to));
    format!("{name}{from} {row} {to}, {} a column\n", Seconds::from_f64(first.to - first.from))
}
