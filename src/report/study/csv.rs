//! A study as CSV: a row for each cell and quantity.

use super::counts::Consequence;
use super::result::{CellReport, Estimate, Measure, MeasureReport, StudyReport};
use crate::report::csv::table;

const HEADER: [&str; 38] = [
    "study",
    "cell",
    "measure",
    "planned",
    "pass",
    "fail",
    "inconclusive",
    "unfinished",
    "left_out",
    "n",
    "min",
    "median",
    "median_low",
    "median_high",
    "p95",
    "p95_low",
    "p95_high",
    "max",
    "predicted_min",
    "predicted_median",
    "predicted_max",
    "ks_distance",
    "ks_p",
    "predicted_writes_per_second",
    "repeated",
    "heartbeats_per_second",
    "heartbeats_per_second_low",
    "heartbeats_per_second_high",
    "writes_per_second",
    "etcd_writes_per_second",
    "fault_on_node",
    "not_ready",
    "not_ready_low",
    "not_ready_high",
    "predicted_not_ready",
    "endpoint_removed",
    "pod_evicted",
    "writes_counted_s",
];

/// All cells in one table. Times are in seconds, shares from 0 to 1.
pub fn render(report: &StudyReport) -> String {
    let rows = report
        .cells
        .iter()
        .flat_map(|cell| cell.measures.iter().map(|measure| row(report, cell, measure)));
    table(HEADER, rows)
}

fn row(report: &StudyReport, cell: &CellReport, numbers: &MeasureReport) -> [String; HEADER.len()] {
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    let low = |estimate: Option<Estimate>| number(estimate.and_then(|it| Some(it.interval?.low)));
    let high = |estimate: Option<Estimate>| number(estimate.and_then(|it| Some(it.interval?.high)));
    let value = |estimate: Option<Estimate>| number(estimate.map(|it| it.value));
    let predicted = numbers.predicted;
    let test = cell.detection_agrees.filter(|_| numbers.measure == Measure::Detection);
    let writes = cell.measured_writes.as_ref();
    let heartbeats = writes.map(|it| it.heartbeats);
    let seen = |what| cell.occurrences.iter().find(|it| it.what == what);
    let not_ready = seen(Consequence::NotReady);
    let runs = |what| seen(what).map_or(String::new(), |it| it.runs.to_string());
    [
        report.study.clone(),
        cell.cell.clone(),
        numbers.measure.name().to_owned(),
        cell.planned.to_string(),
        cell.ended.pass.to_string(),
        cell.ended.fail.to_string(),
        cell.ended.inconclusive.to_string(),
        (cell.ended.unfinished + cell.ended.unreadable).to_string(),
        cell.ended.left_out.to_string(),
        numbers.n.to_string(),
        number(numbers.min),
        value(numbers.median),
        low(numbers.median),
        high(numbers.median),
        value(numbers.p95),
        low(numbers.p95),
        high(numbers.p95),
        number(numbers.max),
        number(predicted.and_then(|it| it.min)),
        number(predicted.and_then(|it| it.median)),
        number(predicted.and_then(|it| it.max)),
        number(test.map(|it| it.test.distance)),
        number(test.map(|it| it.test.p)),
        number(cell.predicted_cost.as_ref().map(|cost| cost.writes_per_second)),
        cell.ended.repeated.to_string(),
        number(heartbeats.map(|it| it.per_second)),
        number(heartbeats.map(|it| it.interval.low)),
        number(heartbeats.map(|it| it.interval.high)),
        number(writes.map(|it| it.all.per_second)),
        number(writes.and_then(|it| Some(it.etcd?.per_second))),
        not_ready.map_or(String::new(), |it| it.of.to_string()),
        runs(Consequence::NotReady),
        number(not_ready.map(|it| it.interval.low)),
        number(not_ready.map(|it| it.interval.high)),
        number(not_ready.and_then(|it| it.predicted)),
        runs(Consequence::EndpointRemoved),
        runs(Consequence::PodEvicted),
        number(writes.map(|it| it.seconds)),
    ]
}
