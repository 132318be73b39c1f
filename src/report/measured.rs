//! What a run measured, as names and values: for the formats that have no chain.

use super::summary::Summary;
use super::view::View;
use super::{latency, paths};
use crate::analysis::findings::Latency;
use crate::analysis::{Findings, ProbeFinding, Window};

/// A value of a run. The name is the same in every run of an experiment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Measured {
    pub name: String,
    pub value: String,
}

/// Everything that was measured, whether or not an expectation is about it.
pub(super) fn values(view: &View<'_>) -> Vec<Measured> {
    let value = |name: &str, value: Option<String>| {
        value.map(|value| Measured { name: name.to_owned(), value })
    };
    let summary = Summary::new(view);
    let first = [
        value("detection", summary.detection.map(|detection| format!("{detection:.3}"))),
        value("endpoints removed", summary.unready()),
        value("recovery", summary.recovery.map(|recovery| recovery.to_string())),
    ];
    let asked = view.findings.probes.iter().filter(|probe| !probe.control);
    let of_probes = asked.flat_map(|probe| {
        let tally = probe.settled();
        let failed = format!("{} of {}", tally.failed, tally.judged());
        let faulted = !view.findings.faults.is_empty();
        let rates = probe.error_rates.iter().map(|rate| {
            let name =
                format!("highest error rate of {} over {}", probe.name, rate.window.to_minutes());
            value(&name, Some(format!("{} of {}", rate.failed, rate.judged)))
        });
        let by_path = probe.paths.iter().map(|path| {
            let name = format!("failed attempts of {}, {}", probe.name, path.path);
            value(&name, Some(paths::failed(path)))
        });
        [
            value(&format!("errors of {}", probe.name), faulted.then(|| errors(probe))),
            value(&format!("failed attempts of {}", probe.name), Some(failed)),
        ]
        .into_iter()
        .chain(rates.collect::<Vec<_>>())
        .chain(by_path.collect::<Vec<_>>())
    });
    first.into_iter().chain(of_probes).flatten().chain(latencies(view.findings)).collect()
}

/// Each period of each probe that a fault may touch.
fn latencies(found: &Findings) -> Vec<Measured> {
    let of = |probe: &ProbeFinding, one: &Latency| Measured {
        name: format!("latency of {} {}", probe.name, latency::label(found, one.period)),
        value: latency::figures(one),
    };
    let probes = found.probes.iter().filter(|probe| !probe.control);
    probes.flat_map(|probe| probe.latency.iter().map(move |one| of(probe, one))).collect()
}

/// `4.74s to 4.88s`, `at least 15s`, one for each window.
fn errors(probe: &ProbeFinding) -> String {
    let length =
        |window: &Window| format!("{}{}", window.words(window.length), window.bursts_text());
    let windows: Vec<String> = probe.windows.iter().map(length).collect();
    if windows.is_empty() { "none".into() } else { windows.join(", then ") }
}
