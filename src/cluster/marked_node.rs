//! A node as a run changes it: its cordon, its taints, and the run's mark.

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::{Marked, mark_of, marked};
use super::query::any;
use crate::timeline::Taint;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MarkedNode {
    /// Another node of its name has another.
    uid: String,
    version: String,
    pub cordoned: bool,
    /// With all their fields, as all are written again.
    taints: Vec<Value>,
    pub is_ready: bool,
    mark: Option<String>,
}

impl Marked for MarkedNode {
    fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }
}

impl MarkedNode {
    /// A node has at most one taint of a key and an effect.
    fn is(have: &Value, taint: &Taint) -> bool {
        have["key"] == taint.key && have["effect"] == json!(taint.effect)
    }

    pub(crate) fn has(&self, taint: &Taint) -> bool {
        self.taints.iter().any(|have| Self::is(have, taint))
    }

    fn with(&self, taint: &Taint) -> Vec<Value> {
        self.taints.iter().cloned().chain([json!(taint)]).collect()
    }

    /// One of another value is somebody else's.
    fn without(&self, taint: &Taint) -> Vec<Value> {
        let value = |have: &Value| have["value"].as_str().unwrap_or_default() == taint.value;
        let ours = |have: &&Value| Self::is(have, taint) && value(have);
        self.taints.iter().filter(|have| !ours(have)).cloned().collect()
    }
}

impl Cluster {
    /// A node as it is now. Errors when there is none of that name.
    pub(crate) async fn marked_node(&self, node: &str) -> Result<MarkedNode, ClusterError> {
        let api: Api<DynamicObject> = Api::all_with(self.client(), &any("", "v1", "Node"));
        self.call(format!("read the node {node}"), api.get(node)).await.map(read)
    }

    /// Cordons a node with our mark, or takes both away (`None`), in one step, if it still is as it
    /// was read. Errors when somebody has changed it since.
    pub(crate) async fn cordon(
        &self,
        node: &str,
        seen: &MarkedNode,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        let what = if mark.is_some() { "cordon" } else { "uncordon" };
        let spec = json!({"unschedulable": mark.map(|_| true)});
        self.change_node(node, seen, mark, format!("{what} the node {node}"), spec).await
    }

    /// The same with a taint.
    pub(crate) async fn taint(
        &self,
        node: &str,
        seen: &MarkedNode,
        taint: &Taint,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        let taints = if mark.is_some() { seen.with(taint) } else { seen.without(taint) };
        let what = format!("change the taints of the node {node}");
        self.change_node(node, seen, mark, what, json!({"taints": taints})).await
    }

    async fn change_node(
        &self,
        node: &str,
        seen: &MarkedNode,
        mark: Option<&str>,
        what: String,
        spec: Value,
    ) -> Result<(), ClusterError> {
        let api: Api<DynamicObject> = Api::all_with(self.client(), &any("", "v1", "Node"));
        let metadata = marked(&seen.uid, &seen.version, mark);
        let patch = Patch::Merge(json!({"metadata": metadata, "spec": spec}));
        self.call(what, api.patch(node, &PatchParams::default(), &patch)).await.map(drop)
    }
}

fn read(node: DynamicObject) -> MarkedNode {
    let conditions = node.data["status"]["conditions"].as_array();
    let is_ready = conditions
        .is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"));
    MarkedNode {
        cordoned: node.data["spec"]["unschedulable"] == true,
        taints: node.data["spec"]["taints"].as_array().cloned().unwrap_or_default(),
        is_ready,
        mark: mark_of(&node.metadata),
        uid: node.uid().unwrap_or_default(),
        version: node.resource_version().unwrap_or_default(),
    }
}
