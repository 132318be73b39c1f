//! Predictions compared with measurements.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::count;
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
    /// Whether the measurement can lie inside, in tenths of a second as both are printed; `None`:
    /// nothing was measured, or one of its ends is not known.
    pub inside: Option<bool>,
    /// Of errors: other bursts in the fault's time, which are not what is compared.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub apart: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Everything of a run that is predicted.
pub fn comparisons(found: &Findings, predictions: &Predictions) -> Vec<Comparison> {
    found.faults.iter().flat_map(|fault| of_fault(fault, found, predictions)).collect()
}

fn of_fault(fault: &FaultFinding, found: &Findings, predictions: &Predictions) -> Vec<Comparison> {
    // It may have happened before its watch, if that was late, showed it.
    let after = |when: crate::analysis::When| {
        let when = found.happened(when, fault.requested);
        Between::new(when.earliest - fault.requested, when.latest - fault.requested)
    };
    // What depends on how long it lasted was predicted for a fault that was not cut short.
    let cut = found.cut_at.is_some_and(|cut| fault.undo_requested.is_none_or(|undo| undo >= cut));
    let mut all = Vec::new();
    let mut add = |quantity: Quantity<'_>, measured: Option<Between>, apart| {
        let Ok(predicted) = predictions.between(quantity, fault.step) else { return };
        let by_undo = matches!(quantity, Quantity::ErrorWindow(_) | Quantity::Recovery);
        let comparable = measured.filter(|_| !(cut && by_undo));
        let inside = comparable.map(|measured| predicted.overlaps_as_printed(measured));
        let (step, quantity) = (fault.step, quantity.name());
        all.push(Comparison { step, quantity, predicted, measured, inside, apart });
    };
    let detected = fault.node.detected.as_ref().map(|detected| after(detected.at));
    add(Quantity::Detection, detected, 0);
    for service in &fault.services {
        add(Quantity::EndpointRemoval(&service.service), service.removed.map(after), 0);
    }
    for probe in found.probes.iter().filter(|probe| !probe.control) {
        let window =
            probe.window(Period::Fault { step: fault.overlap }).filter(|window| !window.open);
        // The fault's own burst is the one with the most failures.
        let bursts = window.map_or(&[][..], |window| &window.bursts);
        let own = bursts.iter().rev().max_by_key(|burst| burst.failed);
        let measured = own.map(|burst| burst.length).or(window.map(|window| window.length));
        let apart = bursts.len().saturating_sub(1);
        add(Quantity::ErrorWindow(&probe.name), measured, apart);
    }
    if found.last_undone_fault().is_some_and(|last| last.step == fault.step) {
        add(Quantity::Recovery, found.recovery, 0);
    }
    all
}

impl Comparison {
    /// `detection 7.1s, predicted 3.0s to 6.0s`, where reality left what was predicted.
    pub fn surprise(&self) -> Option<String> {
        let measured = self.measured.filter(|_| self.inside == Some(false))?;
        let apart = match self.apart {
            0 => String::new(),
            bursts => format!("; {} not counted", count(bursts as u64, "other burst")),
        };
        Some(format!(
            "{} took {measured:.1}, predicted {:.1}{apart}",
            self.quantity, self.predicted
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Seconds;

    #[test]
    fn numbers_that_agree_as_printed_are_no_surprise() {
        let between =
            |least: f64, most: f64| Between::new(Seconds::from_f64(least), Seconds::from_f64(most));
        assert!(between(1.64, 8.4).overlaps_as_printed(between(1.61, 1.61)), "both read 1.6s");
        assert!(!between(1.81, 8.4).overlaps_as_printed(between(1.61, 1.61)), "1.8s and 1.7s");
    }

    #[test]
    fn a_surprise_names_bursts_apart() {
        let surprise = |apart| {
            let predicted = Between::new(Seconds::ZERO, Seconds::from_f64(2.0));
            let measured = Some(Between::new(Seconds::from_f64(4.8), Seconds::from_f64(4.8)));
            let quantity = "errors of web".to_owned();
            let inside = Some(false);
            Comparison { step: 0, quantity, predicted, measured, inside, apart }.surprise()
        };
        let text = "errors of web took 4.8s, predicted 0.0s to 2.0s";
        assert_eq!(surprise(0).unwrap(), text);
        assert_eq!(surprise(2).unwrap(), format!("{text}; 2 other bursts not counted"));
    }
}
