//! A node's taints, as a run changes them.

use kube::ResourceExt;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::{mark_of, marked};
use super::query::any;
use crate::timeline::Taint;

/// A node's taints, whether it is Ready, and which run has marked it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taints {
    uid: String,
    version: String,
    /// With all their fields, as all are written again.
    all: Vec<Value>,
    pub is_ready: bool,
    pub mark: Option<String>,
}

impl Taints {
    /// A node has at most one taint of a key and an effect.
    fn is(have: &Value, taint: &Taint) -> bool {
        have["key"] == taint.key && have["effect"] == json!(taint.effect)
    }

    pub(crate) fn has(&self, taint: &Taint) -> bool {
        self.all.iter().any(|have| Self::is(have, taint))
    }

    fn with(&self, taint: &Taint) -> Vec<Value> {
        self.all.iter().cloned().chain([json!(taint)]).collect()
    }

    /// One of another value is somebody else's.
    fn without(&self, taint: &Taint) -> Vec<Value> {
        let value = |have: &Value| have["value"].as_str().unwrap_or_default() == taint.value;
        let ours = |have: &&Value| Self::is(have, taint) && value(have);
        self.all.iter().filter(|have| !ours(have)).cloned().collect()
    }
}

impl Cluster {
    /// The taints of a node, and by which run it is marked. Errors when there is none of that name.
    pub(crate) async fn taints_of(&self, node: &str) -> Result<Taints, ClusterError> {
        let api: Api<DynamicObject> = Api::all_with(self.client(), &any("", "v1", "Node"));
        self.call(format!("read the node {node}"), api.get(node)).await.map(read)
    }

    /// Adds a taint with our mark, or removes both (`None`), in one step, if the node still is as it
    /// was read. Errors when somebody has changed it since.
    pub(crate) async fn taint(
        &self,
        node: &str,
        seen: &Taints,
        taint: &Taint,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        let taints = if mark.is_some() { seen.with(taint) } else { seen.without(taint) };
        let metadata = marked(&seen.uid, &seen.version, mark);
        let body = json!({"metadata": metadata, "spec": {"taints": taints}});
        self.patch_node(node, format!("change the taints of the node {node}"), body).await
    }
}

fn read(node: DynamicObject) -> Taints {
    let conditions = node.data["status"]["conditions"].as_array();
    let is_ready = conditions
        .is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"));
    Taints {
        all: node.data["spec"]["taints"].as_array().cloned().unwrap_or_default(),
        is_ready,
        mark: mark_of(&node.metadata),
        uid: node.uid().unwrap_or_default(),
        version: node.resource_version().unwrap_or_default(),
    }
}
