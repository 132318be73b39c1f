//! What a run measured, as numbers. Of each, less is better.

use std::fmt;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{FaultFinding, Findings, Period, ProbeFinding, When};
use crate::prediction::Quantity;
use crate::stats::Seconds;

/// The unit of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// A time.
    Seconds,
    /// A share of attempts, from 0 to 1.
    Share,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Share => "share",
        }
    }

    /// A value for people: `4.781s`, `7.2%`.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Seconds => Seconds::from_f64(value).to_string(),
            Self::Share => format!("{:.1}%", value * 100.0),
        }
    }

    /// A difference for people: `+0.52s`, and of shares `-1.2`, which are [`Self::of_differences`].
    pub fn show_difference(self, value: f64) -> String {
        let sign = if value > 0.0 { "+" } else { "" };
        match self {
            Self::Seconds => format!("{sign}{}", self.show(value)),
            Self::Share => format!("{sign}{:.1}", value * 100.0),
        }
    }

    /// What stands behind differences of shares.
    pub fn of_differences(self) -> &'static str {
        match self {
            Self::Seconds => "",
            Self::Share => " percentage points",
        }
    }
}

/// What a run says about a quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Measured(f64),
    /// It had not ended when it was no longer looked at.
    AtLeast(f64),
    /// It did not come about in this time. Where it does in no run, it is no quantity of the fault.
    Never(f64),
}

#[derive(Debug, PartialEq)]
pub(super) struct Measurement {
    pub name: String,
    pub unit: Unit,
    pub value: Value,
}

/// Everything that was measured about the faults of a run. Of an interval it is the end, as in the spread of `--repeat`.
pub(super) fn measurements(found: &Findings) -> Vec<Measurement> {
    let mut all: Vec<Measurement> =
        found.faults.iter().flat_map(|fault| of_fault(fault, found)).collect();
    let probes = || found.probes.iter().filter(|probe| !probe.control);
    let mut overlaps: Vec<u32> = found.faults.iter().map(|fault| fault.overlap).collect();
    overlaps.dedup();
    for (step, probe) in overlaps.iter().flat_map(|step| probes().map(move |probe| (*step, probe)))
    {
        all.extend(of_probe(probe, step, &label(found, step)));
    }
    let recovery = found.recovery.map(|recovery| Value::Measured(recovery.most.as_f64()));
    all.extend(
        recovery
            .or_else(|| not_recovered(found))
            .map(|value| seconds(Quantity::Recovery.name(), "", value)),
    );
    all
}

/// Where the steady state did not come back: for how long it was waited for.
fn not_recovered(found: &Findings) -> Option<Value> {
    let missed = found.steady_after.as_ref().filter(|steady| steady.held_since.is_none())?;
    Some(Value::AtLeast((missed.confirmed - found.last_undone()?).or_zero().as_f64()))
}

/// Of several faults: which one.
fn label(found: &Findings, step: u32) -> String {
    let fault = found.faults.iter().find(|fault| fault.step == step);
    match fault.and_then(|fault| fault.name.as_ref()) {
        _ if found.faults.len() < 2 => String::new(),
        Some(name) => format!(" ({name})"),
        None => format!(" (step {step})"),
    }
}

fn seconds(name: impl fmt::Display, label: &str, value: Value) -> Measurement {
    Measurement { name: format!("{name}{label}"), unit: Unit::Seconds, value }
}

fn of_fault(fault: &FaultFinding, found: &Findings) -> Vec<Measurement> {
    let label = label(found, fault.step);
    let since = |moment: Seconds| (moment - fault.requested).or_zero().as_f64();
    let Some(held) = found.held_until(fault).or(fault.over()).map(since) else { return Vec::new() };
    let after = |when: Option<When>| {
        when.map_or(Value::Never(held), |when| Value::Measured(since(when.latest)))
    };
    let detected = fault.node.detected.as_ref().map(|detected| detected.at);
    let services = fault.services.iter().filter(|service| !service.hit.is_empty());
    let removals = services.map(|service| {
        let name = Quantity::EndpointRemoval(&service.service).name();
        seconds(name, &label, after(service.removed))
    });
    let detection = seconds(Quantity::Detection.name(), &label, after(detected));
    std::iter::once(detection).chain(removals).collect()
}

fn of_probe(probe: &ProbeFinding, step: u32, label: &str) -> Vec<Measurement> {
    let (during, name) = (Period::Fault { step }, &probe.name);
    let errors = |period: Period| match probe.window(period) {
        None => Value::Measured(0.0),
        Some(window) if window.open => Value::AtLeast(window.length.least.as_f64()),
        Some(window) => Value::Measured(window.length.most.as_f64()),
    };
    let tally = probe.tally(during);
    if tally.judged() == 0 {
        return Vec::new();
    }
    let mut all = vec![seconds(Quantity::ErrorWindow(name).name(), label, errors(during))];
    let after = errors(Period::AfterUndo { step });
    let after = Some(after).filter(|_| probe.tally(Period::AfterUndo { step }).judged() > 0);
    all.extend(
        after.map(|after| seconds(format!("errors of {name} after the undo"), label, after)),
    );
    all.extend(tally.failed_share().map(|share| Measurement {
        name: format!("failed share of {name}{label}"),
        unit: Unit::Share,
        value: Value::Measured(share),
    }));
    let answered = probe.latency_in(during).map(|latency| latency.answered).unwrap_or_default();
    let quantiles = [("p50", answered.p50), ("p95", answered.p95), ("p99", answered.p99)];
    all.extend(quantiles.into_iter().filter_map(|(quantile, took)| {
        let name = format!("{quantile} latency of {name}");
        Some(seconds(name, label, Value::Measured(took?.as_f64())))
    }));
    all
}
