//! A study as CSV: a row for each cell and quantity.

use super::result::{CellReport, Estimate, Measure, MeasureReport, StudyReport};
use crate::report::csv::table;

const HEADER: [&str; 25] = [
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
    ]
}
