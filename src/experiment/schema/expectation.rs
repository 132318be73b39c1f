//! What must be so for a run to pass.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timeline::Component;

/// How long something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenBound", into = "WrittenBound")]
pub enum Bound {
    /// So long.
    Fixed(Duration),
    /// As long as the model says that it takes at most, with the cluster's own settings.
    Predicted,
}

/// A bound as a file has it: a duration, or the word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenBound {
    Fixed(Duration),
    Word(BoundWord),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum BoundWord {
    Predicted,
}

impl std::convert::From<WrittenBound> for Bound {
    fn from(written: WrittenBound) -> Self {
        match written {
            WrittenBound::Fixed(length) => Bound::Fixed(length),
            WrittenBound::Word(BoundWord::Predicted) => Bound::Predicted,
        }
    }
}

impl std::convert::From<Bound> for WrittenBound {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Fixed(length) => WrittenBound::Fixed(length),
            Bound::Predicted => WrittenBound::Word(BoundWord::Predicted),
        }
    }
}

/// What must be so for the run to pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Expectation {
    /// The node is noticed: from the fault until its Ready condition is no longer True.
    Detection {
        /// The step whose node it is, by its name. Default: those that hit a node as a whole.
        #[serde(default)]
        of: Option<String>,
        /// A step without whose undo it can't be noticed: not before that was requested, and
        /// `within` counts from its confirmation. Default: none.
        #[serde(default)]
        after: Option<String>,
        /// At most so long after the fault was requested.
        within: Bound,
        /// And at least so long after it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<Duration>,
    },
    /// The endpoints on the node left their Service: from the fault until the last is not ready.
    EndpointRemoval {
        /// Which Service. Default: that of the first probe that asks one.
        service: Option<String>,
        /// At most so long after the fault was requested.
        within: Bound,
    },
    /// The errors that a probe's clients saw between the fault and its undo, from the first to the
    /// last. One of the bounds at least.
    ErrorWindow {
        probe: String,
        /// At most so long (judged on the window's upper end).
        at_most: Option<Bound>,
        /// At least so long (judged on the window's lower end).
        #[serde(default)]
        at_least: Option<Duration>,
    },
    /// The share of a probe's attempts that failed, over the whole of fault and recovery.
    FailedShare {
        probe: String,
        /// At most this share, 0 to 1.
        at_most: f64,
    },
    /// No attempt failed.
    NoErrors { probe: String },
    /// A part of the control plane gets a new leader: from the fault that hit the old one.
    LeaderChange {
        /// The part.
        component: Component,
        /// At most so long after the fault was requested.
        within: Duration,
    },
    /// The longest time in which nobody leads a part of the control plane.
    LeaderGap {
        /// The part.
        component: Component,
        /// The upper bound.
        at_most: Duration,
        /// And at least so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<Duration>,
    },
    /// A leader that was frozen, and has been replaced meanwhile, gives up once it is thawed.
    OldLeader {
        /// The part.
        component: Component,
        /// It lives on beside the new one for at most so long.
        at_most: Duration,
        /// And for at least so long.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<Duration>,
    },
    /// No attempt succeeded that was sent while a fault was in effect: after it was confirmed, and
    /// answered before its undo.
    NoSuccess {
        probe: String,
        /// The step whose fault it is. Default: every fault of the method.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        during: Option<String>,
    },
    /// No node but those that were hit ever left Ready.
    NodesUntouched,
    /// No node that was hit is noticed before its undo: a glitch is not taken for an outage.
    NotDetected,
    /// What a fault took from a Service is ready elsewhere: so many new back ends on other nodes as
    /// it had on those that were hit.
    Rescheduled {
        service: String,
        /// At most so long after the fault was requested.
        within: Duration,
    },
    /// Pods that were there before the first fault, on a node that was hit or hit themselves, are
    /// neither moved nor replaced before the last undo.
    NotRescheduled {
        /// Labels that choose them; in the run's namespace.
        labels: BTreeMap<String, String>,
    },
    /// A container of a pod that was hit was started again in place: the same pod, another
    /// container.
    Restarted {
        /// Labels that choose the pods; in the run's namespace.
        labels: BTreeMap<String, String>,
        /// At most so long after the fault was requested.
        within: Duration,
    },
    /// Every object that was there before the first fault is there after the recovery, with the uid
    /// that it had, and unchanged. What controllers make is theirs to replace.
    ObjectsKept,
    /// The steady state is back.
    Recovery {
        /// At most so long after the confirmed undo.
        within: Bound,
    },
}

impl Expectation {
    /// Its kind, as it stands in an experiment.
    pub fn kind(&self) -> &'static str {
        match self {
            Expectation::Detection { .. } => "detection",
            Expectation::EndpointRemoval { .. } => "endpointRemoval",
            Expectation::ErrorWindow { .. } => "errorWindow",
            Expectation::FailedShare { .. } => "failedShare",
            Expectation::NoErrors { .. } => "noErrors",
            Expectation::LeaderChange { .. } => "leaderChange",
            Expectation::LeaderGap { .. } => "leaderGap",
            Expectation::OldLeader { .. } => "oldLeader",
            Expectation::NoSuccess { .. } => "noSuccess",
            Expectation::NodesUntouched => "nodesUntouched",
            Expectation::NotDetected => "notDetected",
            Expectation::Rescheduled { .. } => "rescheduled",
            Expectation::NotRescheduled { .. } => "notRescheduled",
            Expectation::Restarted { .. } => "restarted",
            Expectation::ObjectsKept => "objectsKept",
            Expectation::Recovery { .. } => "recovery",
        }
    }

    /// The probe that it judges, if it judges one.
    pub fn probe(&self) -> Option<&str> {
        match self {
            Expectation::ErrorWindow { probe, .. } | Expectation::FailedShare { probe, .. } => {
                Some(probe)
            }
            Expectation::NoErrors { probe } | Expectation::NoSuccess { probe, .. } => Some(probe),
            _ => None,
        }
    }

    /// What it is about, besides its kind: a probe, a Service, a step, a part of the control plane.
    fn subject(&self) -> Option<&str> {
        match self {
            Expectation::Detection { of, .. } => of.as_deref(),
            Expectation::EndpointRemoval { service, .. } => service.as_deref(),
            Expectation::Rescheduled { service, .. } => Some(service),
            Expectation::LeaderChange { component, .. }
            | Expectation::LeaderGap { component, .. }
            | Expectation::OldLeader { component, .. } => Some(component.name()),
            _ => self.probe(),
        }
    }

    /// By what a claim speaks of it, as kubectl speaks of objects: `noErrors/web`; where its kind
    /// is all that there is, `recovery`.
    pub fn name(&self) -> String {
        self.subject()
            .map_or(self.kind().to_owned(), |subject| format!("{}/{subject}", self.kind()))
    }
}
