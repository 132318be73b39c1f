//! Pure: what the model says of an experiment on a cluster. It never sees the measurement.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::experiment::{Experiment, Fault, Step};
use crate::model::{KubeletEnd, Prediction, predict};
use crate::stats::Seconds;
use crate::timeline::Header;

/// What the model says of one kind of fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepPrediction {
    /// The fault's step in the method, from 0.
    pub step: u32,
    /// The kind of fault: `nodeStop`.
    pub fault: String,
    /// The prediction.
    pub prediction: Option<Prediction>,
    /// Why there is none.
    pub why_not: Option<String>,
}

/// What the model says of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Each fault, in order.
    pub steps: Vec<StepPrediction>,
}

/// What a bound can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// From the fault until the node is noticed.
    Detection,
    /// From the fault until the last endpoint left its Service.
    EndpointRemoval,
    /// From the first to the last error of a probe.
    ErrorWindow,
    /// From the undo until the steady state.
    Recovery,
}

impl Predictions {
    /// The longest that something takes that the fault of a step causes. Errors say why it is not known.
    pub fn longest(&self, quantity: Quantity, step: u32) -> Result<Seconds, String> {
        let fault = self.steps.iter().find(|fault| fault.step == step).ok_or("there is no such fault")?;
        match (quantity, &fault.prediction, &fault.why_not) {
            (Quantity::Detection, Some(prediction), _) => Ok(prediction.detection.most),
            (_, None, Some(why)) => Err(why.clone()),
            _ => Err("unknown".into()),
        }
    }
}

/// The experiment in a header; `None` when this program does not understand it.
pub fn experiment(header: &Header) -> Option<Experiment> {
    serde_json::from_value(header.experiment.clone()).ok()
}

/// What the model says of a run, from its header.
pub fn of_run(header: &Header) -> Predictions {
    let method = experiment(header).map(|experiment| experiment.method).unwrap_or_default();
    let steps = method.iter().zip(0..).filter_map(|(step, number)| match step {
        Step::Fault { fault, .. } => Some(one(header, number, fault)),
        Step::Pause { .. } => None,
    });
    Predictions { steps: steps.collect() }
}

fn one(header: &Header, step: u32, fault: &Fault) -> StepPrediction {
    let grace = match fault {
        Fault::NodeStop { grace, .. } => Some(*grace),
        _ => None,
    };
    let end = KubeletEnd::of_fault(fault.kind(), grace);
    let predicted = predict(&header.cluster.tuning, &header.cluster.kubernetes, end);
    let (prediction, why_not) = match predicted {
        Ok(prediction) => (Some(prediction), None),
        Err(why) => (None, Some(why.to_string())),
    };
    StepPrediction { step, fault: fault.kind().to_owned(), prediction, why_not }
}
