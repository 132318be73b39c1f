//! What a fault came to: how Kubernetes saw its node, and the endpoints on it.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ProbeFinding, Seen, When};
use crate::stats::Seconds;
use crate::timeline::{Component, Ends, FaultName, TargetKind};

/// The measurements of one fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FaultFinding {
    /// Its number in the method, from 0.
    pub step: u32,
    /// Its step's name, if it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// The step with which its overlap began: errors while faults overlap belong to all of them, and are reported as those of this one.
    #[serde(default)]
    pub overlap: u32,
    /// Its kind.
    #[cfg_attr(test, schemars(with = "String"))]
    pub kind: FaultName,
    /// What it hit.
    pub target: String,
    /// The control-plane component on the target that it hit; `None`: the target itself.
    pub component: Option<Component>,
    /// When its injection began.
    pub requested: Seconds,
    /// What else was on the node that it hit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also_hit: Option<Seen>,
    /// What its injection waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Seen>,
    /// When it came back.
    pub returned: Option<Seconds>,
    /// When its effect was seen.
    pub confirmed: Option<Seen>,
    /// The container engine's events about the target, from the request on.
    pub engine: Vec<Seen>,
    /// When its undo began. Where the node's own timer undid it, when that was due.
    pub undo_requested: Option<Seconds>,
    /// When the effect was seen to be gone.
    pub undone: Option<Seconds>,
    /// Since when it may have been gone: the node's own timer undid it, and nobody could look. `None`: it was seen to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone_earliest: Option<Seconds>,
    /// What shows that the effect had ended before the undo was requested; `None`: nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wore_off: Option<Seen>,
    /// When the undo was given up, and why; `None` if it was undone in the end.
    pub not_undone: Option<Seen>,
    /// The node that it hit, as Kubernetes saw it.
    pub node: NodeFinding,
    /// The Services, and what became of their endpoints on the target.
    pub services: Vec<ServiceFinding>,
    /// Kubernetes' own events about the target, from the request on.
    pub notices: Vec<Seen>,
}

impl FaultFinding {
    /// The Service that a probe sends requests to.
    pub fn service_of(&self, probe: &ProbeFinding) -> Option<&ServiceFinding> {
        self.service(probe.service.as_ref()?)
    }

    /// A Service as it was when this fault was requested.
    pub fn service(&self, name: &str) -> Option<&ServiceFinding> {
        self.services.iter().find(|service| service.service == name)
    }

    /// Whether it is known which endpoints it hits when it is requested: which pods of a Deployment
    /// go, and what an object does, is a controller's choice.
    pub fn knows_hits(&self) -> bool {
        !matches!(self.kind.traits().target, TargetKind::Deployment | TargetKind::Object)
    }

    /// When its effect was gone.
    pub fn gone(&self) -> Option<When> {
        let latest = self.undone?;
        Some(When { earliest: self.undone_earliest.unwrap_or(latest), latest })
    }

    /// When it was over: its confirmed undo, or its confirmation where there is nothing to undo.
    pub fn ended(&self) -> Option<When> {
        let confirmed = || self.confirmed.as_ref().map(|seen| seen.at);
        match self.kind.traits().ends {
            Ends::Confirmed => confirmed().map(|at| When { earliest: at, latest: at }),
            Ends::Undone | Ends::ByItself => self.gone(),
        }
    }

    /// The same, by when it was seen to be.
    pub fn over(&self) -> Option<Seconds> {
        self.ended().map(|ended| ended.latest)
    }

    /// Whether it was there before another fault on its target, and not over then: what is seen of the
    /// target may be its doing.
    pub fn is_under(&self, other: &FaultFinding) -> bool {
        self.target == other.target
            && self.requested < other.requested
            && self.lasts_at(other.requested)
    }

    /// Whether it had been requested, and was not over.
    pub fn lasts_at(&self, moment: Seconds) -> bool {
        self.requested <= moment && self.over().is_none_or(|over| over > moment)
    }

    /// Its effect: the container engine's event where there is one, else what the fault itself saw. `None`: it was not seen.
    pub fn seen(&self) -> Option<&Seen> {
        self.engine_saw().or(self.confirmed.as_ref())
    }

    /// The container engine's event of the effect. `None` for a fault that the engine does not see.
    pub fn engine_saw(&self) -> Option<&Seen> {
        let action = self.kind.traits().engine?.effect;
        self.engine.iter().find(|seen| seen.what == action)
    }
}

/// A node that was hit, as Kubernetes saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeFinding {
    /// Whether it was Ready when the fault was requested; `None`: not known.
    pub ready_before: Option<bool>,
    /// When it was detected.
    pub detected: Option<Detected>,
    /// When it was Ready again.
    pub ready_again: Option<When>,
    /// Its first sign of life (its own heartbeat, or its Lease's renewal) after the undo was confirmed; `None`: it gave none.
    pub heard_again: Option<When>,
}

/// The detection of a node's failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Detected {
    /// When a watch saw that Ready is no longer True.
    pub at: When,
    /// The status of Ready: `Unknown` (the node is silent) or `False` (the node itself reports a
    /// problem).
    pub status: String,
    /// The condition's reason.
    pub reason: String,
    /// The object's own timestamp of the change (whole seconds).
    pub transition: Option<Seconds>,
}

/// A Service and its endpoints on the node that was hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServiceFinding {
    /// The Service.
    pub service: String,
    /// How many endpoints were ready when the fault was requested.
    pub endpoints: u32,
    /// The number by node.
    pub by_node: Vec<NodeCount>,
    /// Those on the node that was hit.
    pub hit: Vec<EndpointFinding>,
    /// When the last of them left; `None` unless all had by the undo's request.
    pub removed: Option<When>,
    /// When the last of them was back.
    pub back: Option<When>,
    /// When that many new backends were ready on other nodes than the one that was hit.
    #[serde(default)]
    pub replaced: Option<When>,
}

/// How many endpoints a node has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeCount {
    /// The node; `None` where the endpoint names none.
    pub node: Option<String>,
    /// How many.
    pub count: u32,
}

/// An endpoint on the node that was hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct EndpointFinding {
    /// Its address.
    pub address: String,
    /// The pod behind it.
    pub pod: Option<String>,
    /// When it was no longer ready, or gone.
    pub left: Option<When>,
    /// Whether it was deleted (and not only no longer ready).
    pub deleted: bool,
    /// When the same pod (or another on the same node) was ready again.
    pub back: Option<When>,
    /// The other pod, where it was not the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
}
