//! A run as the rules judge it: what was found, what was predicted, and each fault by its own
//! bound.

use super::finding::Finding;
use crate::analysis::{FaultFinding, Findings};
use crate::experiment::Bound;
use crate::prediction::{Predictions, Quantity};
use crate::stats::Seconds;
use crate::timeline::Impact;

pub(super) struct Run<'a> {
    pub found: &'a Findings,
    pub predictions: &'a Predictions,
}

impl Run<'_> {
    /// The bound of a length that a fault causes. Errors say why nothing was predicted.
    fn limit(&self, bound: Bound, quantity: Quantity<'_>, step: u32) -> Result<Seconds, String> {
        match bound {
            Bound::Fixed(length) => Ok(length.into()),
            Bound::Predicted => self
                .predictions
                .longest(quantity, step)
                .map_err(|why| format!("no prediction: {why}")),
        }
    }

    /// Judges each fault by the bound that is its own.
    pub(super) fn each_fault(
        &self,
        bound: Bound,
        quantity: Quantity<'_>,
        judge: impl Fn(&FaultFinding, Seconds) -> Finding,
    ) -> Finding {
        let judged = self
            .found
            .faults
            .iter()
            .filter(|fault| !is_of_dead_node(self.found, fault))
            .map(|fault| self.judged(bound, quantity, fault.step, |limit| judge(fault, limit)));
        Finding::worst(judged, "no fault was injected")
    }

    /// Judges by a bound, and says which it was where the model gave it.
    pub(super) fn judged(
        &self,
        bound: Bound,
        quantity: Quantity<'_>,
        step: u32,
        judge: impl FnOnce(Seconds) -> Finding,
    ) -> Finding {
        match self.limit(bound, quantity, step) {
            Ok(limit) => {
                Finding { predicted: (bound == Bound::Predicted).then_some(limit), ..judge(limit) }
            }
            Err(why) => Finding::unknown(why),
        }
    }
}

/// Whether a fault changed but the object of a node that another one had already taken: what is
/// seen of the node is the other's effect.
pub(super) fn is_of_dead_node(found: &Findings, fault: &FaultFinding) -> bool {
    let takes = |other: &FaultFinding| other.step < fault.step && other.is_under(fault);
    fault.kind.traits().impact == Impact::Objects
        && fault.node.ready_before == Some(false)
        && found.faults.iter().any(takes)
}
