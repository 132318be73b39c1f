//! Which nodes, and which pods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timeline::{Component, NodeRole};

/// Which nodes. All that is given must agree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    pub name: Option<String>,
    pub role: Option<NodeRole>,
    pub labels: BTreeMap<String, String>,
    /// Those with the most ready endpoints of this Service: `web`, or `kube-system/kube-dns` of
    /// another namespace.
    pub most_endpoints_of: Option<String>,
    /// The one on which this part of the control plane leads. Of targets only.
    #[serde(default)]
    pub leader: Option<Component>,
    /// Those on which this part of the control plane runs and does not lead. Of targets only.
    #[serde(default)]
    pub followers: Option<Component>,
    /// Those that this step hits, by its name: it lasts for as long as they are hit so. Of targets
    /// only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// How many of those that fit. Of targets only. Default: 1.
    #[serde(default)]
    pub count: Count,
}

/// How many nodes a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Count {
    /// So many, 1 at least.
    Exactly(u32),
    /// All that fit.
    All,
}

impl Default for Count {
    fn default() -> Self {
        Self::Exactly(1)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSelector {
    /// Their namespace. Default: the run's.
    pub namespace: Option<String>,
    /// Labels that all of them carry.
    pub labels: BTreeMap<String, String>,
    /// How many of those, chosen by the seed. Default: 1.
    pub count: Count,
}
