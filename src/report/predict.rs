//! What the model says of an experiment's faults, from the timeline's header alone: it never sees the run.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::{Experiment, Fault, Step};
use crate::model::{KubeletEnd, Prediction, predict};
use crate::timeline::Header;

/// What the model says of one kind of fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepPrediction {
    /// The kind of fault: `nodeStop`.
    pub fault: String,
    /// The prediction.
    pub prediction: Option<Prediction>,
    /// Why there is none.
    pub why_not: Option<String>,
}

/// The experiment in a header; `None` when this program does not understand it.
pub fn experiment(header: &Header) -> Option<Experiment> {
    serde_json::from_value(header.experiment.clone()).ok()
}

/// A prediction for each fault of the header's experiment, in order.
pub fn predictions(header: &Header) -> Vec<StepPrediction> {
    let faults =
        experiment(header).map(|experiment| experiment.method).unwrap_or_default().into_iter().filter_map(|step| match step {
            Step::Fault { fault, .. } => Some(fault),
            Step::Pause { .. } => None,
        });
    faults.map(|fault| one(header, fault.kind(), grace(&fault))).collect()
}

fn grace(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::NodeStop { grace, .. } => Some(*grace),
        _ => None,
    }
}

fn one(header: &Header, kind: &str, grace: Option<Duration>) -> StepPrediction {
    let fault = kind.to_owned();
    match predict(&header.cluster.tuning, &header.cluster.kubernetes, KubeletEnd::of_fault(kind, grace)) {
        Ok(prediction) => StepPrediction { fault, prediction: Some(prediction), why_not: None },
        Err(why) => StepPrediction { fault, prediction: None, why_not: Some(why.to_string()) },
    }
}
