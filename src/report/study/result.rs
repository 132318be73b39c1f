//! From the runs of a study's cells to its numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counts::{Consequence, MeasuredWrites, Occurrence};
use crate::analysis::{Completion, Period};
use crate::experiment::Choice;
use crate::model::{self, Bin, Distribution, FaultForecast, Risk};
use crate::prediction::{Predictions, Tried};
use crate::report::summary::Summary;
use crate::report::view::View;
use crate::stats::{
    Between, Interval, KolmogorovSmirnov, Seconds, interval_of_quantile, one_sample, quantile,
};
use crate::timeline::Tuning;
use crate::verdict::Outcome;

/// The version of the form.
pub const FORMAT: &str = "outage.study/v1";
/// Below this the measured detection is not what was predicted.
const SIGNIFICANCE: f64 = 0.01;
/// Of fewer runs nothing is tested: even from the wrong distribution, they would seldom differ.
pub(super) const FEWEST_TESTED: usize = 8;
/// The columns of a predicted density.
const BINS: f64 = 40.0;
/// The glitches whose risk is predicted, in seconds.
const GLITCHES: [u64; 4] = [2, 5, 10, 60];

/// A study: one experiment in several cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StudyReport {
    /// The version of this form, `outage.study/v1`.
    pub format: String,
    /// The study's ID, which is the name of its folder.
    pub study: String,
    /// Its name.
    pub name: String,
    /// What it asks.
    pub question: Option<String>,
    /// What it ran on, for people.
    pub on: String,
    /// When it began, UTC, RFC 3339.
    pub started: String,
    /// The seed of the order and of the runs.
    pub seed: u64,
    /// In how many rounds each cell is run.
    pub rounds: u32,
    /// How many runs are planned, and for each cell.
    pub planned: u32,
    /// How many of them were made.
    pub done: u32,
    /// For how many nodes the load is predicted.
    pub nodes: u32,
    /// Each cell, in the order of the matrix.
    pub cells: Vec<CellReport>,
}

impl StudyReport {
    /// What was measured, and of which probe where it is the same in all cells: `error window of web`.
    pub fn title(&self, measure: Measure) -> String {
        let mut probes = self.cells.iter().filter_map(|cell| cell.probe.as_ref());
        let first = probes.next().filter(|_| measure.is_of_probe());
        match first.filter(|first| probes.all(|probe| probe == *first)) {
            Some(probe) => format!("{} of {probe}", measure.name()),
            None => measure.name().to_owned(),
        }
    }
}

/// A cell: one combination of the study's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CellReport {
    /// Its name: `settings=tuned,fault=nodeKill`.
    pub cell: String,
    /// Its value on each axis.
    pub choices: Vec<Choice>,
    /// The API server's version; `None`: it has no run.
    pub kubernetes: Option<String>,
    /// How many runs it is to have.
    pub planned: u32,
    /// How many of them were made: those that were interrupted are made again.
    pub done: u32,
    /// How its runs ended.
    pub ended: Ended,
    /// The probe whose errors and answers were measured: the first that a fault may touch; `None`: it has no
    /// run, or no such probe.
    #[serde(default)]
    pub probe: Option<String>,
    /// What was measured, and what is predicted of it.
    pub measures: Vec<MeasureReport>,
    /// Whether the measured detection is of the predicted distribution; `None`: it was measured in
    /// fewer than 8 runs, or nothing is predicted.
    pub detection_agrees: Option<Agreement>,
    /// In how many runs the node was considered dead, and what followed; empty: no fault hit a node whose
    /// state is known.
    #[serde(default)]
    pub occurrences: Vec<Occurrence>,
    /// What was written in the quiet time before each fault; `None`: it could not be counted.
    #[serde(default)]
    pub measured_writes: Option<MeasuredWrites>,
    /// What of it could not be read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_writes: Vec<String>,
    /// What its settings cost and risk, by the model; `None`: it has no run.
    pub predicted_cost: Option<PredictedCost>,
    /// Each run, in the order in which they were made.
    pub runs: Vec<RunReport>,
}

/// How the runs of a cell ended. None is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// Every expectation was met, or the run had none.
    pub pass: u32,
    /// An expectation was not met.
    pub fail: u32,
    /// Complete, but inconclusive.
    pub inconclusive: u32,
    /// Interrupted, died, failed or refused, and not repeated since.
    pub unfinished: u32,
    /// Interrupted or died, and repeated since: a later run took its place.
    #[serde(default)]
    pub repeated: u32,
    /// Recorded by the study, but their folders can't be read.
    pub unreadable: u32,
    /// Of the complete, those that are in no statistic: no fault was confirmed, or their prober's host
    /// was disturbed.
    pub left_out: u32,
}

/// What a study measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// From the fault's request until the node was detected, in seconds.
    Detection,
    /// From the fault's request until the last endpoint on the target was not ready, in seconds.
    EndpointRemoval,
    /// How long clients saw errors, in seconds; only where they ended before the undo.
    ErrorWindow,
    /// The share of requests that failed in that window, 0 to 1.
    FailedShare,
    /// The 99th percentile of answers during the fault, in seconds.
    P99Latency,
    /// From the confirmed undo until the steady state held again, in seconds.
    Recovery,
}

impl Measure {
    pub const ALL: [Self; 6] = [
        Self::Detection,
        Self::EndpointRemoval,
        Self::ErrorWindow,
        Self::FailedShare,
        Self::P99Latency,
        Self::Recovery,
    ];

    pub fn name(self) -> &'static str {
        ["detection", "endpoint removal", "error window", "failed share", "p99 latency", "recovery"]
            [self as usize]
    }

    fn is_of_probe(self) -> bool {
        matches!(self, Self::ErrorWindow | Self::FailedShare | Self::P99Latency)
    }

    pub fn words(self, value: f64) -> String {
        match self {
            Self::FailedShare => format!("{:.1}%", value * 100.0),
            Self::P99Latency => Seconds::from_f64(value).to_string(),
            _ => format!("{:.3}", Seconds::from_f64(value)),
        }
    }

    /// What is predicted of it, in words.
    pub fn predicted_words(self, predicted: &model::Summary) -> String {
        let model::Summary { min, median, max, .. } = *predicted;
        let words = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |it| self.words(it));
        let (least, most) = (words(min), words(max));
        let between = match least == most {
            true => format!("always {least}"),
            false => format!("{least} to {most}, median {}", words(median)),
        };
        match predicted.chance() {
            Some(chance) if chance < 1.0 => {
                format!("{between}, in {:.1}% of the trials", chance * 100.0)
            }
            _ => between,
        }
    }

    fn predicted(self, forecast: &FaultForecast) -> Option<&Distribution> {
        match self {
            Self::Detection => Some(&forecast.detection),
            Self::EndpointRemoval => Some(&forecast.endpoint_removal),
            Self::ErrorWindow => Some(&forecast.error_window),
            Self::FailedShare => Some(&forecast.failed_share),
            Self::P99Latency => None,
            Self::Recovery => Some(&forecast.recovery),
        }
    }
}

/// One quantity of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MeasureReport {
    /// Which.
    pub measure: Measure,
    /// In how many runs it was measured.
    pub n: u32,
    /// The minimum; `None`: never measured.
    pub min: Option<f64>,
    /// The median.
    pub median: Option<Estimate>,
    /// The 95th percentile.
    pub p95: Option<Estimate>,
    /// The maximum.
    pub max: Option<f64>,
    /// What the model's trials say of it; `None`: it is not predicted.
    pub predicted: Option<model::Summary>,
    /// The same in columns of one width.
    #[serde(default)]
    pub predicted_bins: Vec<Bin>,
}

/// A quantile of the runs (type 7 of Hyndman and Fan).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Its value.
    pub value: f64,
    /// Its interval at 95 % (percentile bootstrap); `None`: there are too few runs.
    pub interval: Option<Interval>,
}

/// The measured detection against the predicted one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Agreement {
    /// The Kolmogorov-Smirnov test of the measured values against the model's trials.
    pub test: KolmogorovSmirnov,
    /// Whether it does not reject at 1 %.
    pub agrees: bool,
}

/// What settings cost and risk, by the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PredictedCost {
    /// The writes that heartbeats are, a second: requests to the API server, and as many writes to
    /// etcd.
    pub writes_per_second: f64,
    /// The probability that a healthy node becomes NotReady when its heartbeats are lost for so long.
    pub false_positives: Vec<FalsePositive>,
}

/// The risk of one glitch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FalsePositive {
    /// For how long all heartbeats of a node are lost.
    pub glitch: Seconds,
    /// The probability, 0 to 1.
    pub probability: f64,
}

/// A run of a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Its ID.
    pub run: String,
    /// Which repetition of the cell it is, from 1.
    pub repetition: u32,
    /// Its state in a word: `refused`, `unfinished`, else its outcome.
    pub state: String,
    /// Whether it is in the statistics.
    pub counted: bool,
    /// Whether it was interrupted and a later run took its place.
    #[serde(default)]
    pub repeated: bool,
    /// Why it was judged so, in a sentence.
    pub why: String,
    /// What it measured.
    pub values: BTreeMap<Measure, f64>,
}

/// A cell's runs, for its report.
pub struct CellRuns<'a> {
    pub name: String,
    pub choices: Vec<Choice>,
    pub planned: u32,
    pub done: u32,
    pub runs: Vec<Repetition<'a>>,
    /// The runs whose folders can't be read.
    pub unreadable: u32,
    /// For how many nodes the load is predicted.
    pub nodes: u32,
}

pub struct Repetition<'a> {
    pub number: u32,
    /// Whether it did not end by itself, and a later run took its place.
    pub is_repeated: bool,
    pub view: View<'a>,
}

/// What a run measured.
fn values(view: &View<'_>, summary: &Summary) -> BTreeMap<Measure, f64> {
    let most = |value: Option<Between>| value.map(|value| value.most);
    let window = view
        .findings
        .faults
        .first()
        .and_then(|fault| view.probe()?.window(Period::Fault { step: fault.overlap }));
    let share = window.map(|window| window.failed as f64 / window.attempts.max(1) as f64);
    let time = |measure, value: Option<Seconds>| Some((measure, value?.as_f64()));
    [
        time(Measure::Detection, most(summary.detection)),
        time(Measure::EndpointRemoval, most(summary.removal)),
        time(Measure::ErrorWindow, most(summary.error_window.filter(|_| !summary.open))),
        share.map(|share| (Measure::FailedShare, share)),
        time(Measure::P99Latency, summary.p99),
        time(Measure::Recovery, most(summary.recovery)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl CellReport {
    pub fn new(cell: CellRuns<'_>) -> Self {
        let mut ended = Ended { unreadable: cell.unreadable, ..Ended::default() };
        let runs: Vec<RunReport> =
            cell.runs.iter().map(|run| RunReport::new(run, &mut ended)).collect();
        let first = cell.runs.iter().zip(&runs).find(|(_, report)| report.counted);
        let view = first.map(|(run, _)| &run.view);
        let tried = view.and_then(|view| tried(view.predictions, view));
        let of = |measure: Measure| {
            let values = runs.iter().filter(|run| run.counted);
            values.filter_map(|run| run.values.get(&measure).copied()).collect::<Vec<f64>>()
        };
        let findings = || {
            let counted = cell.runs.iter().zip(&runs).filter(|(_, report)| report.counted);
            counted.map(|(run, _)| run.view.findings)
        };
        let consequences: Vec<_> = findings().filter_map(Consequence::of).collect();
        let writes = || findings().filter_map(|found| found.writes.as_ref());
        let unread: BTreeSet<&String> = writes().flat_map(|writes| &writes.unread).collect();
        let predicted = |measure: Measure| {
            let distribution = measure.predicted(&tried?.forecast)?;
            (distribution.n() > 0).then_some(distribution)
        };
        let agreement = |predicted: &Distribution| {
            let values = of(Measure::Detection);
            let enough = values.len() >= FEWEST_TESTED;
            let test = one_sample(&values, |value| predicted.share(value)).filter(|_| enough)?;
            Some(Agreement { test, agrees: test.p >= SIGNIFICANCE })
        };
        Self {
            cell: cell.name,
            choices: cell.choices,
            kubernetes: cell
                .runs
                .first()
                .map(|run| run.view.timeline.header.cluster.kubernetes.clone()),
            planned: cell.planned,
            done: cell.done,
            probe: cell
                .runs
                .iter()
                .find_map(|run| run.view.probe())
                .map(|probe| probe.name.clone()),
            measures: Measure::ALL
                .map(|measure| MeasureReport::new(measure, of(measure), predicted(measure)))
                .to_vec(),
            detection_agrees: predicted(Measure::Detection).and_then(agreement),
            predicted_cost: cell.runs.first().map(|run| {
                let cluster = &run.view.timeline.header.cluster;
                PredictedCost::new(&cluster.tuning, &cluster.kubernetes, cell.nodes)
            }),
            occurrences: Occurrence::all(&consequences, tried.map(|it| &it.forecast.detection)),
            measured_writes: MeasuredWrites::new(writes(), cell.nodes),
            unread_writes: unread.into_iter().cloned().collect(),
            ended,
            runs,
        }
    }
}

/// The trials of the first fault, as the probe sees it whose errors are reported.
fn tried<'a>(predictions: &'a Predictions, view: &View<'_>) -> Option<&'a Tried> {
    let step = predictions.steps.first()?.step;
    let name = view.probe().map(|probe| probe.name.as_str());
    let of_step = || {
        let all = predictions.tried().unwrap_or_default().iter();
        all.filter(move |tried| tried.step == step)
    };
    of_step().find(|tried| tried.probe.as_deref() == name).or_else(|| of_step().next())
}

impl RunReport {
    /// Why it is not in the statistics, in a word.
    pub(in crate::report) fn left_out(&self) -> Option<&'static str> {
        match self.counted {
            true => None,
            false if self.repeated => Some("repeated"),
            false => Some("left out"),
        }
    }

    fn new(run: &Repetition<'_>, ended: &mut Ended) -> Self {
        let summary = Summary::new(&run.view);
        let complete = summary.completion == Completion::Complete;
        let place = match summary.outcome {
            _ if run.is_repeated => &mut ended.repeated,
            _ if !complete => &mut ended.unfinished,
            Outcome::Pass | Outcome::Measured => &mut ended.pass,
            Outcome::Fail => &mut ended.fail,
            Outcome::Inconclusive => &mut ended.inconclusive,
        };
        *place += 1;
        ended.left_out += u32::from(complete && !summary.counts());
        Self {
            run: summary.run.clone(),
            repetition: run.number,
            state: summary.state.clone(),
            counted: summary.counts(),
            repeated: run.is_repeated,
            why: summary.summary.clone(),
            values: values(&run.view, &summary),
        }
    }
}

impl MeasureReport {
    fn new(measure: Measure, mut values: Vec<f64>, predicted: Option<&Distribution>) -> Self {
        values.sort_by(f64::total_cmp);
        let estimate = |p| {
            let interval = interval_of_quantile(&values, p).ok();
            quantile(&values, p).map(|value| Estimate { value, interval })
        };
        Self {
            measure,
            n: values.len() as u32,
            min: values.first().copied(),
            median: estimate(0.5),
            p95: estimate(0.95),
            max: values.last().copied(),
            predicted: predicted.map(Distribution::summary),
            predicted_bins: predicted.map(bins).unwrap_or_default(),
        }
    }
}

/// A column is no narrower than the three digits to which trials are kept: others would be empty.
fn bins(predicted: &Distribution) -> Vec<Bin> {
    let summary = predicted.summary();
    let width = |(max, min): (f64, f64)| ((max - min) / BINS).max(max * 1e-3);
    predicted.bins(summary.max.zip(summary.min).map_or(0.0, width))
}

impl PredictedCost {
    fn new(tuning: &Tuning, kubernetes: &str, nodes: u32) -> Self {
        let risk = Risk::of(tuning, kubernetes).ok();
        let false_positive = |risk: &Risk, seconds| {
            let risk = risk.glitch(Duration::from_secs(seconds));
            FalsePositive { glitch: risk.glitch, probability: risk.probability }
        };
        Self {
            writes_per_second: model::cost(&tuning.completed(kubernetes), nodes).writes_per_second,
            false_positives: risk
                .iter()
                .flat_map(|risk| GLITCHES.map(|seconds| false_positive(risk, seconds)))
                .collect(),
        }
    }
}
