//! Which nodes, and which pods.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timeline::{Component, NodeRole, ObjectRef, include_labels};

/// Which nodes. All that is given must agree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSelector {
    pub name: Option<String>,
    pub role: Option<NodeRole>,
    pub labels: BTreeMap<String, String>,
    /// Those with the most ready endpoints of this Service: `web`, or `kube-system/kube-dns` of
    /// another namespace.
    pub most_endpoints_of: Option<ObjectRef>,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSelector {
    #[serde(flatten)]
    pub pods: Pods,
    /// How many of those, chosen by the seed. Default: 1.
    pub count: Count,
}

/// Pods of one namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// Their namespace. Default: the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(flatten)]
    pub by: PodsBy,
}

/// What chooses them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodsBy {
    /// Labels that all of them carry.
    Labels(BTreeMap<String, String>),
    /// The name of one.
    Name(String),
    /// The Deployment that they are of.
    Deployment(String),
    /// The StatefulSet that they are of.
    StatefulSet(String),
}

impl Pods {
    /// Of the run's own namespace, by labels.
    pub fn labelled<const N: usize>(labels: [(&str, &str); N]) -> Self {
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self { namespace: None, by: PodsBy::Labels(labels.into()) }
    }

    /// The labels that all of them carry: enough to list them, and maybe others.
    pub fn labels(&self) -> BTreeMap<String, String> {
        match &self.by {
            PodsBy::Labels(labels) => labels.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// Whether a pod is one of them, by its name, its controller (`ReplicaSet/web-559b`) and its
    /// labels.
    pub fn have(&self, name: &str, owner: Option<&str>, labels: &BTreeMap<String, String>) -> bool {
        match &self.by {
            PodsBy::Labels(wanted) => include_labels(labels, wanted),
            PodsBy::Name(wanted) => name == wanted,
            PodsBy::StatefulSet(set) => owner == Some(&format!("StatefulSet/{set}")),
            // The ReplicaSet of a Deployment bears the hash of its template, and its pods have it.
            PodsBy::Deployment(deployment) => labels
                .get("pod-template-hash")
                .is_some_and(|hash| owner == Some(&format!("ReplicaSet/{deployment}-{hash}"))),
        }
    }
}

impl std::fmt::Display for PodsBy {
    /// After "pods": `with app=web`, `of StatefulSet db`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PodsBy::Labels(labels) => {
                let labels: Vec<String> =
                    labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "with {}", labels.join(","))
            }
            PodsBy::Name(name) => write!(f, "named {name}"),
            PodsBy::Deployment(name) => write!(f, "of Deployment {name}"),
            PodsBy::StatefulSet(name) => write!(f, "of StatefulSet {name}"),
        }
    }
}

impl std::fmt::Display for Pods {
    /// The same with their namespace, if it is not the run's own.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.by)?;
        self.namespace.as_ref().map_or(Ok(()), |namespace| write!(f, " in {namespace}"))
    }
}
