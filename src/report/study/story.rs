//! What a study found, in sentences.

use super::picture::{label, not_ready, of, shares_vary};
use super::result::{CellReport, Measure, StudyReport};
use crate::report::text::count;
use crate::report::view::EMBEDDED;

pub(in crate::report) fn sentences(report: &StudyReport) -> Vec<String> {
    let medians = |measure: Measure| {
        let median = |cell| Some((cell, of(cell, measure)?.median?.value));
        let mut medians: Vec<(&CellReport, f64)> = report.cells.iter().filter_map(median).collect();
        medians.sort_by(|a, b| a.1.total_cmp(&b.1));
        (measure, medians)
    };
    // A study of control planes has no node to detect.
    let measured = Measure::ALL.into_iter().map(medians).find(|(_, medians)| !medians.is_empty());
    let shares = shares_vary(report).then(|| {
        let seen = report.cells.iter().filter_map(|cell| Some((cell, not_ready(cell)?)));
        let each = seen
            .map(|(cell, seen)| format!("{} of {} ({})", seen.runs, seen.of, label(report, cell)));
        format!("Runs in which the node became NotReady: {}.", each.collect::<Vec<_>>().join(", "))
    });
    let speed = measured.map_or("Nothing was measured.".to_owned(), |(measure, medians)| {
        let (name, words) = (report.title(measure), |value| measure.words(value));
        let ((low, least), (high, most)) = (medians[0], medians[medians.len() - 1]);
        match words(least) == words(most) {
            true => format!("The median {name} is {}.", words(least)),
            false => format!(
                "Lowest median {name}: {} ({}). Highest: {} ({}).",
                words(least),
                label(report, low),
                words(most),
                label(report, high)
            ),
        }
    });
    let tested: Vec<_> = report.cells.iter().filter_map(|cell| cell.detection_agrees).collect();
    let agree = tested.iter().filter(|it| it.agrees).count();
    let agreement = (!tested.is_empty()).then(|| {
        let cells = count(tested.len() as u64, "cell");
        let same = match report.on.contains(EMBEDDED) {
            true => " The runs are of that same model: this confirms nothing about Kubernetes.",
            false => "",
        };
        format!("Detection agrees with the model's prediction in {agree} of {cells}.{same}")
    });
    // Where detection is a matter of chance, how often it came tells more than how soon.
    [shares.unwrap_or(speed)].into_iter().chain(agreement).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::study::tables;

    /// Two cells, whose medians of these measures are known.
    fn report(medians: [&[(&str, f64)]; 2], probes: [&str; 2]) -> StudyReport {
        let cell = |name: &str, medians: &[(&str, f64)], probe: &str| {
            let measures = medians.iter().map(
                |(measure, value)| json!({"measure": measure, "n": 3, "median": {"value": value}}),
            );
            json!({
                "cell": name, "choices": [], "planned": 3, "done": 3, "runs": [], "probe": probe,
                "ended": {
                    "pass": 3, "fail": 0, "inconclusive": 0, "unfinished": 0, "unreadable": 0, "leftOut": 0,
                },
                "measures": measures.collect::<Vec<_>>(),
                "predictedCost": {"writesPerSecond": 1.0, "falsePositives": []},
            })
        };
        let [a, b] = medians;
        serde_json::from_value(json!({
            "format": "outage.study/v1", "study": "s", "name": "s", "on": "kind", "started": "", "seed": 1,
            "rounds": 1, "planned": 6, "done": 6, "nodes": 10,
            "cells": [cell("a", a, probes[0]), cell("b", b, probes[1])],
        }))
        .unwrap()
    }

    #[test]
    fn the_first_quantity_that_was_measured_is_told() {
        let errors = |one, other| [[("errorWindow", one)], [("errorWindow", other)]];
        let told = |all: [[(&'static str, f64); 1]; 2], probes| {
            sentences(&report([&all[0], &all[1]], probes))
        };
        assert_eq!(
            told(errors(0.5, 0.0), ["api", "api"]),
            ["Lowest median error window of api: 0.000s (b). Highest: 0.500s (a)."]
        );
        assert_eq!(told(errors(0.0, 0.0), ["api", "web"]), ["The median error window is 0.000s."]);
        assert_eq!(sentences(&report([&[], &[]], ["api", "api"])), ["Nothing was measured."]);
        let detected = [("detection", 4.0), ("errorWindow", 3.0)];
        assert_eq!(
            sentences(&report([&detected, &[]], ["api", "api"])),
            ["The median detection is 4.000s."]
        );
    }

    #[test]
    fn what_fast_detection_costs_is_told_where_it_was_measured() {
        let of = |measure| tables::cost(&report([&[(measure, 1.0)], &[]], ["web", "web"]));
        assert!(of("detection").is_some());
        assert!(of("errorWindow").is_none());
    }
}
