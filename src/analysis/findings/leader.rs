//! Who led each part of the control plane.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Unobserved, When};
use crate::stats::{Between, Seconds};
use crate::timeline::Component;

/// The leaders of a control-plane component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeaderFinding {
    /// The part.
    pub component: Component,
    /// The nodes of the control plane, each with an etcd member. Empty: not known.
    #[serde(default)]
    pub control_planes: Vec<String>,
    /// The leaders, in order.
    pub held: Vec<LeaderTerm>,
    /// The times without a leader.
    pub gaps: Vec<LeaderGap>,
    /// Leaders whose process kept running alongside their successor, and which may still have acted
    /// as leader.
    pub old: Vec<OldLeader>,
    /// Periods in which the leader was not observed.
    pub blind: Vec<Unobserved>,
}

/// One leader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeaderTerm {
    /// Its node.
    pub node: String,
    /// When it began to lead; `None`: before the run.
    pub from: Option<When>,
    /// When it was lost; `None`: it led to the end.
    pub until: Option<When>,
}

/// A period without a leader: no process was running whose lease, or whose peers, say that it
/// leads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct LeaderGap {
    /// The node of the leader that was lost.
    pub node: String,
    /// How it was lost.
    pub loss: LeaderLoss,
    /// When it was lost.
    pub from: When,
    /// When one led again; `None`: not by the end of the timeline.
    pub until: Option<When>,
    /// The node of the leader at that time.
    pub next: Option<String>,
    /// How long it lasted; up to the end of the watches if it did not end.
    pub length: Between,
}

/// How a leader was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum LeaderLoss {
    /// Its process, or its node, was gone.
    Gone,
    /// Its process, or its node, was frozen.
    Frozen,
    /// It released its lease.
    GivenBack,
    /// It reported that it no longer leads: an etcd member without a quorum, or one that knows of a newer leader.
    StoodDown,
    /// It did not renew its lease in time although its process was running.
    Expired,
    /// It was not observed.
    Unseen,
}

impl LeaderLoss {
    /// In words: `its process was gone`.
    pub fn words(self) -> &'static str {
        match self {
            LeaderLoss::Gone => "its process was gone",
            LeaderLoss::Frozen => "it was frozen",
            LeaderLoss::GivenBack => "it released its lease",
            LeaderLoss::StoodDown => "it stepped down",
            LeaderLoss::Expired => "its lease expired",
            LeaderLoss::Unseen => "cause not observed",
        }
    }
}

/// A former leader's process that kept running after another had taken over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OldLeader {
    /// Its node.
    pub node: String,
    /// The node of its successor.
    pub next: String,
    /// From when both ran: the successor had taken over, and it had been unfrozen.
    pub from: When,
    /// When it stopped leading (its process ended, or it reported so); `None`: not by the end of the timeline.
    pub until: Option<When>,
    /// How long it kept running; up to the end of the timeline if it did not end.
    pub length: Between,
}

impl LeaderFinding {
    /// Who led at a moment, as far as is known.
    pub fn at(&self, moment: Seconds) -> Option<&LeaderTerm> {
        self.held.iter().find(|term| {
            let began = term.from.is_none_or(|from| from.latest <= moment);
            began && term.until.is_none_or(|until| until.latest > moment)
        })
    }

    /// The first that began to lead after a moment.
    pub fn next_after(&self, moment: Seconds) -> Option<(&LeaderTerm, When)> {
        self.held
            .iter()
            .find_map(|term| Some((term, term.from.filter(|from| from.latest > moment)?)))
    }
}
