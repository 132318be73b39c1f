//! What must be so for a run to pass.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Pods;
use crate::stats::Quantile;
use crate::timeline::{Component, ObjectRef};

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

/// What the upper bound of an error window counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ErrorTime {
    /// All the time from the first failure to the last.
    #[default]
    FirstToLast,
    /// The bursts of errors alone, added up.
    FailingTime,
}

impl ErrorTime {
    pub(crate) const ALL: [(&str, Self); 2] =
        [("firstToLast", Self::FirstToLast), ("failingTime", Self::FailingTime)];

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The length of an error rate's window where none is given.
pub(crate) const DEFAULT_WINDOW: Duration = Duration::from_secs(10);

/// The part of a run in which attempts are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum During {
    /// From the steady state to the first fault's request.
    Before,
    /// From a fault's request to its confirmed undo, of each fault.
    #[default]
    Fault,
    /// From the last confirmed undo on.
    After,
    /// The fault of the step with this name.
    Step(String),
}

impl During {
    /// Those that are not steps.
    pub const WORDS: [(&'static str, Self); 3] =
        [("before", Self::Before), ("fault", Self::Fault), ("after", Self::After)];
}

/// Every expectation with its name, the field that a bare value stands for, its fields, and how
/// `decode/expect.rs` reads each: the one place where they stand.
macro_rules! every_expectation {
    ($use_list:ident) => {
        $use_list! {
            /// The node is detected: from the fault until its Ready condition is no longer True.
            Detection "detection" "within" {
                /// The name of the step that hits the node. Default: the steps that hit whole
                /// nodes.
                #[serde(default)]
                of: Option<String> = optional("of", dns_label),
                /// The name of a step that has to be undone before the node can be detected.
                /// `within` counts from the confirmation of that undo. Default: none.
                #[serde(default)]
                after: Option<String> = optional("after", dns_label),
                /// At most this long after the fault was requested.
                within: Bound = required("within", limit),
                /// At least this long after the fault was requested.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                at_least: Option<Duration> = optional("atLeast", positive),
            }
            /// The endpoints on the node leave their Service: from the fault until the last one is
            /// not ready.
            EndpointRemoval "endpointRemoval" "within" {
                /// The Service. Default: that of the first probe that targets one.
                service: Option<ObjectRef> = named_optional("service", service),
                /// At most this long after the fault was requested.
                within: Bound = required("within", limit),
            }
            /// How long a probe's clients see errors between the fault and its undo, from the first
            /// error to the last. Needs at least one bound.
            ErrorWindow "errorWindow" "probe" {
                /// The probe that is judged.
                probe: String = required("probe", dns_label),
                /// At most this long (judged by the upper end of the measured range).
                at_most: Option<Bound> = optional("atMost", limit),
                /// At least this long (judged by the lower end of the measured range).
                #[serde(default)]
                at_least: Option<Duration> = optional("atLeast", positive),
                /// What `atMost` counts: all the time from the first failure to the last, or the
                /// bursts of errors alone, added up.
                #[serde(default, skip_serializing_if = "ErrorTime::is_default")]
                counts: ErrorTime = or("counts", ErrorTime::default(), error_time),
            }
            /// The highest share of a probe's attempts that fail in any period of one length, from
            /// the first fault to the end of the run.
            ErrorRate "errorRate" "probe" {
                /// The probe that is judged.
                probe: String = required("probe", dns_label),
                /// The length of the rolling window.
                window: Duration = or("window", DEFAULT_WINDOW, positive),
                /// At most this share, 0% to 100%.
                at_most: f64 = required("atMost", share),
            }
            /// The share of a probe's attempts that fail during the fault and the recovery.
            FailedShare "failedShare" "probe" {
                /// The probe that is judged.
                probe: String = required("probe", dns_label),
                /// At most this share, 0% to 100%.
                at_most: f64 = required("atMost", share),
            }
            /// No attempt fails.
            NoErrors "noErrors" "probe" {
                /// The probe that is judged.
                probe: String = required("probe", dns_label),
            }
            /// A control-plane component gets a new leader after a fault hits the old one.
            LeaderChange "leaderChange" "component" {
                /// The component.
                component: Component = required("component", led),
                /// At most this long after the fault was requested.
                within: Duration = required("within", positive),
            }
            /// The longest time that a control-plane component has no leader.
            LeaderGap "leaderGap" "component" {
                /// The component.
                component: Component = required("component", led),
                /// The upper bound.
                at_most: Duration = required("atMost", positive),
                /// The lower bound.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                at_least: Option<Duration> = optional("atLeast", positive),
            }
            /// A leader that was frozen, and replaced in that time, stops leading once it is
            /// unfrozen.
            OldLeader "oldLeader" "component" {
                /// The component.
                component: Component = required("component", led),
                /// The old leader runs alongside the new one for at most this long.
                at_most: Duration = required("atMost", positive),
                /// And for at least this long.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                at_least: Option<Duration> = optional("atLeast", positive),
            }
            /// No attempt succeeds that is sent after the fault is confirmed and answered before it
            /// is undone.
            NoSuccess "noSuccess" "probe" {
                /// The probe that is judged.
                probe: String = required("probe", dns_label),
                /// The step with the fault. Default: every fault of the method.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                during: Option<String> = optional("during", dns_label),
            }
            /// How long a probe's attempts take, from sending a request to the end of its answer. One
            /// that fails counts as slower than any answer.
            Latency "latency" "probe" {
                /// The probe that is judged.
                probe: String = required("probe", dns_label),
                /// The quantile that is judged.
                #[serde(default)]
                quantile: Quantile = or_default("quantile", quantile),
                /// At most this long. It should be shorter than the probe's timeout.
                at_most: Duration = required("atMost", latency),
                /// The period that is judged: `before`, `fault` (every fault of the method) or
                /// `after`, or the name of a step with a fault.
                #[serde(default)]
                during: During = or_default("during", during),
            }
            /// All nodes that no fault hits stay Ready.
            NodesUntouched "nodesUntouched"
            /// No node that was hit is detected before its undo: a glitch is not mistaken for an
            /// outage.
            NotDetected "notDetected"
            /// The Service has as many new ready backends on other nodes as it had on the nodes
            /// that were hit.
            Rescheduled "rescheduled" "service" {
                /// The Service.
                service: ObjectRef = named("service", service),
                /// At most this long after the fault was requested.
                within: Duration = required("within", positive),
            }
            /// Pods that existed before the first fault and were hit (or whose node was hit) are
            /// neither moved nor replaced before the last undo.
            NotRescheduled "notRescheduled" {
                /// The pods, by labels, name, Deployment or StatefulSet.
                #[serde(flatten)]
                pods: Pods = together("labels", pods),
            }
            /// A container of a pod that was hit is restarted in place: the same pod, a new
            /// container.
            Restarted "restarted" {
                /// The pods, by labels, name, Deployment or StatefulSet.
                #[serde(flatten)]
                pods: Pods = together("labels", pods),
                /// At most this long after the fault was requested.
                within: Duration = required("within", positive),
            }
            /// Every object that existed before the first fault exists after the recovery,
            /// unchanged and with the same uid. Objects created by controllers may be replaced.
            ObjectsKept "objectsKept"
            /// The steady state is back.
            Recovery "recovery" "within" {
                /// At most this long after the confirmed undo.
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
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $how:ident($key:literal, $($read:expr),+),)*
        })?
    )*) => {
        /// What must be so for the run to pass.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
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
            Expectation::ErrorWindow { probe, .. }
            | Expectation::ErrorRate { probe, .. }
            | Expectation::FailedShare { probe, .. }
            | Expectation::NoErrors { probe }
            | Expectation::NoSuccess { probe, .. }
            | Expectation::Latency { probe, .. } => Some(probe),
            _ => None,
        }
    }

    /// The length of the window whose error rate it judges, if it judges one.
    pub fn window(&self) -> Option<crate::stats::Seconds> {
        match self {
            Expectation::ErrorRate { window, .. } => Some((*window).into()),
            _ => None,
        }
    }

    /// The shortest time with which it compares moments that were measured inside nodes.
    pub(crate) fn shortest_in_nodes(&self) -> Option<Duration> {
        let fixed =
            |bound: &Bound| if let Bound::Fixed(length) = bound { Some(*length) } else { None };
        match self {
            Expectation::ErrorWindow { at_most, at_least, .. } => {
                at_most.as_ref().and_then(fixed).into_iter().chain(*at_least).min()
            }
            Expectation::Recovery { within } => fixed(within),
            _ => None,
        }
    }

    /// Whether it judges how long attempts took.
    pub fn is_latency(&self) -> bool {
        matches!(self, Expectation::Latency { .. })
    }

    /// What it is about, besides its kind: a probe, a Service, a step, a part of the control plane.
    fn subject(&self) -> Option<String> {
        match self {
            Expectation::Detection { of, .. } => of.clone(),
            Expectation::EndpointRemoval { service, .. } => {
                service.as_ref().map(ToString::to_string)
            }
            Expectation::Rescheduled { service, .. } => Some(service.to_string()),
            Expectation::LeaderChange { component, .. }
            | Expectation::LeaderGap { component, .. }
            | Expectation::OldLeader { component, .. } => Some(component.name().to_owned()),
            _ => self.probe().map(str::to_owned),
        }
    }

    /// What it judges of its subject, as far as that is not the default.
    fn details(&self) -> Vec<String> {
        let words = |during: &During| match during {
            During::Step(step) => step.clone(),
            word => During::WORDS
                .iter()
                .find(|(_, one)| one == word)
                .map_or(String::new(), |(name, _)| (*name).to_owned()),
        };
        match self {
            Expectation::Latency { quantile, during, .. } => {
                let quantile = (*quantile != Quantile::default()).then(|| quantile.name().into());
                let during = (*during != During::default()).then(|| words(during));
                quantile.into_iter().chain(during).collect()
            }
            Expectation::ErrorWindow { counts: ErrorTime::FailingTime, .. } => {
                vec!["failingTime".into()]
            }
            Expectation::NoSuccess { during, .. } => during.clone().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// By what a claim speaks of it, as kubectl speaks of objects: `noErrors/web`; where its kind
    /// is all that there is, `recovery`; where one probe may have several, `latency/web/p50/before`.
    pub fn name(&self) -> String {
        let parts = std::iter::once(self.kind().to_owned()).chain(self.subject());
        parts.chain(self.details()).collect::<Vec<_>>().join("/")
    }
}
