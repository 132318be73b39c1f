//! What a plan knows of a cluster: its nodes, and who is where.

use std::collections::BTreeMap;

use super::occupancy::Occupancy;
use super::refusal::Refusal;
use crate::experiment::{BlastRadius, Fault};
use crate::fault::{self, NodeFacts};
use crate::timeline::{Component, Endpoint, NodeRole};

/// A node as selection knows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub name: String,
    pub role: NodeRole,
    pub labels: BTreeMap<String, String>,
    pub ready: bool,
    /// Its internal address.
    pub address: Option<String>,
    /// What its cloud calls it: `aws:///eu-west-1a/i-0abc`.
    pub provider_id: Option<String>,
    /// What a program must be built for to run there.
    pub platform: Platform,
    /// Whether it can be reached through the API only: it is not a container of this machine's
    /// engine.
    pub api_only: bool,
    /// Whether its owner says that no fault may hit it.
    pub protected: bool,
}

/// A node's operating system and processor, in Go's words. Empty where they are not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Platform {
    /// `linux`, `windows`
    pub system: String,
    /// `amd64`, `arm64`
    pub processor: String,
}

impl Node {
    /// One that is Ready, and of which no more is known.
    pub(crate) fn ready(name: impl Into<String>, role: NodeRole) -> Self {
        Self {
            name: name.into(),
            role,
            labels: BTreeMap::new(),
            ready: true,
            address: None,
            provider_id: None,
            platform: Platform::default(),
            api_only: false,
            protected: false,
        }
    }

    /// Its operating system, where that is not Linux.
    pub(crate) fn foreign_system(&self) -> Option<&str> {
        let system = self.platform.system.as_str();
        (!system.is_empty() && system != "linux").then_some(system)
    }

    /// What it does not have and a fault's commands need. Nothing is known yet of a node that kind
    /// would create.
    pub(super) fn lacks(&self, fault: &Fault) -> Option<String> {
        self.address.as_ref()?;
        fault::lacks(fault, &self.name, self.facts())
    }

    /// What commands may be told of it.
    pub(crate) fn facts(&self) -> NodeFacts<'_> {
        let Self { address, provider_id, labels, .. } = self;
        NodeFacts {
            address: address.as_deref(),
            provider_id: provider_id.as_deref(),
            labels: Some(labels),
        }
    }
}

/// A Service's endpoints, asked for by the Service's name.
pub(crate) type Endpoints = BTreeMap<String, Vec<Endpoint>>;

/// What is known of a cluster when targets are chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub endpoints: Endpoints,
    /// Whether an earlier fault may have moved the endpoints by then.
    pub may_move: bool,
    pub leaders: BTreeMap<Component, String>,
    /// Whether there is no other leader: else, of a part that has none here, any may be.
    pub all_leaders: bool,
    /// Nodes that host a probe.
    pub hosts: Vec<String>,
    /// Nodes that are down already.
    pub down: Vec<String>,
    /// What runs on the nodes and must not be lost.
    pub occupancy: Occupancy,
    /// Nodes that an earlier step has hit: among equals the others come first, so that steps of one
    /// kind hit one node after the other.
    pub hit: Vec<String>,
    /// Nodes under the fault of a step, by the step's name.
    pub under: BTreeMap<String, Vec<String>>,
}

impl Known {
    /// Why a fault must not take these nodes, where it must not; `None`: it takes no pods.
    pub(super) fn losses(
        &self,
        fault: &Fault,
        limits: &BlastRadius,
        nodes: &[Node],
    ) -> Option<BTreeMap<String, Refusal>> {
        let names = nodes.iter().map(|node| node.name.as_str());
        fault.may_lose_pods().then(|| self.occupancy.losses(limits, names))
    }
}
