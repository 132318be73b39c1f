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

/// Every expectation with its name, the field that a bare value stands for, its fields, and how
/// `decode/expect.rs` reads each: the one place where they stand.
macro_rules! every_expectation {
    ($use_list:ident) => {
        $use_list! {
            /// The node is noticed: from the fault until its Ready condition is no longer True.
            Detection "detection" "within" {
                /// The step whose node it is, by its name. Default: those that hit a node as a
                /// whole.
                #[serde(default)]
                of: Option<String> = optional("of", dns_label),
                /// A step without whose undo it can't be noticed: not before that was requested,
                /// and `within` counts from its confirmation. Default: none.
                #[serde(default)]
                after: Option<String> = optional("after", dns_label),
                /// At most so long after the fault was requested.
                within: Bound = required("within", limit),
                /// And at least so long after it.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                at_least: Option<Duration> = optional("atLeast", positive),
            }
            /// The endpoints on the node left their Service: from the fault until the last is not
            /// ready.
            EndpointRemoval "endpointRemoval" "within" {
                /// Which Service. Default: that of the first probe that asks one.
                service: Option<String> = optional("service", dns_label),
                /// At most so long after the fault was requested.
                within: Bound = required("within", limit),
            }
            /// The errors that a probe's clients saw between the fault and its undo, from the first
            /// to the last. One of the bounds at least.
            ErrorWindow "errorWindow" "probe" {
                probe: String = required("probe", dns_label),
                /// At most so long (judged on the window's upper end).
                at_most: Option<Bound> = optional("atMost", limit),
                /// At least so long (judged on the window's lower end).
                #[serde(default)]
                at_least: Option<Duration> = optional("atLeast", positive),
            }
            /// The share of a probe's attempts that failed, over the whole of fault and recovery.
            FailedShare "failedShare" "probe" {
                probe: String = required("probe", dns_label),
                /// At most this share, 0 to 1.
                at_most: f64 = required("atMost", share),
            }
            /// No attempt failed.
            NoErrors "noErrors" "probe" {
                probe: String = required("probe", dns_label),
            }
            /// A part of the control plane gets a new leader: from the fault that hit the old one.
            LeaderChange "leaderChange" "component" {
                component: Component = required("component", led),
                /// At most so long after the fault was requested.
                within: Duration = required("within", positive),
            }
            /// The longest time in which nobody leads a part of the control plane.
            LeaderGap "leaderGap" "component" {
                component: Component = required("component", led),
                /// The upper bound.
                at_most: Duration = required("atMost", positive),
                /// And at least so long.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                at_least: Option<Duration> = optional("atLeast", positive),
            }
            /// A leader that was frozen, and has been replaced meanwhile, gives up once it is
            /// unfrozen.
            OldLeader "oldLeader" "component" {
                component: Component = required("component", led),
                /// It lives on beside the new one for at most so long.
                at_most: Duration = required("atMost", positive),
                /// And for at least so long.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                at_least: Option<Duration> = optional("atLeast", positive),
            }
            /// No attempt succeeded that was sent while a fault was in effect: after it was
            /// confirmed, and answered before its undo.
            NoSuccess "noSuccess" "probe" {
                probe: String = required("probe", dns_label),
                /// The step whose fault it is. Default: every fault of the method.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                during: Option<String> = optional("during", dns_label),
            }
            /// No node but those that were hit ever left Ready.
            NodesUntouched "nodesUntouched"
            /// No node that was hit is noticed before its undo: a glitch is not taken for an
            /// outage.
            NotDetected "notDetected"
            /// What a fault took from a Service is ready elsewhere: so many new back ends on other
            /// nodes as it had on those that were hit.
            Rescheduled "rescheduled" "service" {
                service: String = required("service", dns_label),
                /// At most so long after the fault was requested.
                within: Duration = required("within", positive),
            }
            /// Pods that were there before the first fault, on a node that was hit or hit
            /// themselves, are neither moved nor replaced before the last undo.
            NotRescheduled "notRescheduled" {
                /// Labels that choose them; in the run's namespace.
                labels: BTreeMap<String, String> = required("labels", labels),
            }
            /// A container of a pod that was hit was started again in place: the same pod, another
            /// container.
            Restarted "restarted" {
                /// Labels that choose the pods; in the run's namespace.
                labels: BTreeMap<String, String> = required("labels", labels),
                /// At most so long after the fault was requested.
                within: Duration = required("within", positive),
            }
            /// Every object that was there before the first fault is there after the recovery, with
            /// the uid that it had, and unchanged. What controllers make is theirs to replace.
            ObjectsKept "objectsKept"
            /// The steady state is back.
            Recovery "recovery" "within" {
                /// At most so long after the confirmed undo.
                within: Bound = required("within", limit),
            }
        }
    };
}

pub(crate) use every_expectation;

macro_rules! define {
    ($(
        $(#[$doc:meta])*
        $kind:ident $name:literal $($bare:literal)? $({
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $how:ident($key:literal, $read:expr),)*
        })?
    )*) => {
        /// What must be so for the run to pass.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[allow(missing_docs)] // Some fields' names say all.
        pub enum Expectation {
            $($(#[$doc])* $kind $({ $($(#[$field_doc])* $field: $type,)* })?,)*
        }

        impl Expectation {
            /// Its kind, as it stands in an experiment.
            pub fn kind(&self) -> &'static str {
                match self { $(Expectation::$kind { .. } => $name,)* }
            }
        }
    };
}

every_expectation!(define);

impl Expectation {
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
