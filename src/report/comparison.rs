//! Predictions compared with measurements.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{FaultFinding, Findings, Period};
use crate::prediction::{Predictions, Quantity};
use crate::stats::Between;

/// One quantity, predicted and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The fault's step in the method, from 0.
    pub step: u32,
    /// What: `detection`, `endpoints of web removed`, `errors of web`, `recovery`.
    pub quantity: String,
    /// From the shortest to the longest that the model has, in its closed form and all its tries; recovery from half to twice of those.
    pub predicted: Between,
    /// What was measured; `None`: nothing.
    pub measured: Option<Between>,
    /// Whether the whole measurement lies inside; `None`: nothing was measured, or one of its ends
    /// is not known.
    pub inside: Option<bool>,
}

/// Everything of a run that is predicted.
pub fn comparisons(found: &Findings, predictions: &Predictions) -> Vec<Comparison> {
    found.faults.iter().flat_map(|fault| of_fault(fault, found, predictions)).collect()
}

fn of_fault(fault: &FaultFinding, found: &Findings, predictions: &Predictions) -> Vec<Comparison> {
    let after = |when: crate::analysis::When| {
        Between::new(when.earliest - fault.requested, when.latest - fault.requested)
    };
    let mut all = Vec::new();
    let mut add = |name: String, quantity: Quantity<'_>, measured: Option<Between>| {
        let Ok(predicted) = predictions.between(quantity, fault.step) else { return };
        let inside = measured.map(|measured| predicted.overlaps(measured));
        all.push(Comparison { step: fault.step, quantity: name, predicted, measured, inside });
    };
    add(
        "detection".into(),
        Quantity::Detection,
        fault.node.detected.as_ref().map(|detected| after(detected.at)),
    );
    for service in &fault.services {
        let name = &service.service;
        add(
            format!("endpoints of {name} removed"),
            Quantity::EndpointRemoval(name),
            service.removed.map(after),
        );
    }
    for probe in found.probes.iter().filter(|probe| !probe.control) {
        let window =
            probe.window(Period::Fault { step: fault.overlap }).filter(|window| !window.open);
        add(
            format!("errors of {}", probe.name),
            Quantity::ErrorWindow(&probe.name),
            window.map(|window| window.length),
        );
    }
    if found.last_undone_fault().is_some_and(|last| last.step == fault.step) {
        add("recovery".into(), Quantity::Recovery, found.recovery);
    }
    all
}

impl Comparison {
    /// `detection 7.1s, predicted 3.0s to 6.0s`, where reality left what was predicted.
    pub fn surprise(&self) -> Option<String> {
        let measured = self.measured.filter(|_| self.inside == Some(false))?;
        Some(format!("{} took {measured:.1}, predicted {:.1}", self.quantity, self.predicted))
    }
}
