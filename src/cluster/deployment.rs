//! A Deployment as faults see and change it: its replicas, and where its pods may be.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::{Marked, mark_of, marked};
use super::query::any;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// What is asked of a Deployment, what is there of it, and which run has marked it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeploymentState {
    pub namespace: String,
    pub name: String,
    /// Tells it from a later Deployment of the same name.
    pub uid: String,
    pub version: String,
    pub wanted: u32,
    /// It has so many that are not ending, as far as its controller has seen the newest spec;
    /// `None`: it has not.
    pub there: Option<u32>,
    pub ready: u32,
    /// Whether all of them are as they are to be, as far as its controller has seen the newest
    /// spec.
    pub settled: bool,
    /// The `affinity` of its pods; null: none.
    pub affinity: Value,
    /// The labels by which it knows its pods.
    pub labels: BTreeMap<String, String>,
    pub mark: Option<String>,
}

impl Marked for DeploymentState {
    fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }
}

/// A change of a Deployment's spec.
pub(crate) struct DeploymentChange {
    /// What the call does, as its error says it: `scale the Deployment n/web to 2`.
    pub call: String,
    /// A merge patch.
    pub spec: Value,
}

impl Cluster {
    /// Errors when there is none of that name.
    pub(crate) async fn deployment(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<DeploymentState, ClusterError> {
        let what = format!("read the Deployment {namespace}/{name}");
        self.call(what, self.any_deployment(namespace).get(name)).await.map(read)
    }

    /// Changes a Deployment and sets our mark, or takes it away (`None`), in one step, if it still
    /// is as it was read. Errors when somebody has changed it since.
    pub(crate) async fn change_deployment(
        &self,
        seen: &DeploymentState,
        change: DeploymentChange,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        let patch = Patch::Merge(patch(seen, &change.spec, mark));
        let (deployments, params) = (self.any_deployment(&seen.namespace), PatchParams::default());
        let call = deployments.patch(&seen.name, &params, &patch);
        self.call(change.call, call).await.map(drop)
    }

    /// Whole, as the server has it: what is put back must lack nothing that this program does not
    /// know.
    fn any_deployment(&self, namespace: &str) -> Api<DynamicObject> {
        let resource = any("apps", "v1", "Deployment");
        Api::namespaced_with(self.client(), namespace, &resource)
    }
}

fn patch(seen: &DeploymentState, spec: &Value, mark: Option<&str>) -> Value {
    json!({"metadata": marked(&seen.uid, &seen.version, mark), "spec": spec})
}

/// The affinity of pods that are all to be on one node, or on these nodes and no two of them on
/// one.
pub(crate) fn onto(nodes: &[String], labels: &BTreeMap<String, String>) -> Value {
    let here = json!({"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": nodes}]});
    let mut affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [here]}}});
    if nodes.len() > 1 {
        let apart = json!([{"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": labels}}]);
        affinity["podAntiAffinity"] =
            json!({"requiredDuringSchedulingIgnoredDuringExecution": apart});
    }
    affinity
}

/// The merge patch that makes one value of another: what is no longer there is null in it.
pub(crate) fn turned(from: &Value, to: &Value) -> Value {
    let (Value::Object(to), empty) = (to, Map::new()) else { return to.clone() };
    let from = from.as_object().unwrap_or(&empty);
    let gone =
        from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let there = to
        .iter()
        .map(|(key, value)| (key.clone(), turned(from.get(key).unwrap_or(&Value::Null), value)));
    Value::Object(gone.chain(there).collect())
}

fn read(found: DynamicObject) -> DeploymentState {
    let at = |path: &str| found.data.pointer(path);
    let count = |path: &str| at(path).and_then(Value::as_u64).unwrap_or(0) as u32;
    let wanted = at("/spec/replicas").and_then(Value::as_u64).unwrap_or(1) as u32;
    let there = count("/status/replicas");
    let observed = at("/status/observedGeneration").and_then(Value::as_i64);
    let is_observed = observed >= found.metadata.generation;
    let labels = at("/spec/selector/matchLabels").cloned().unwrap_or_default();
    DeploymentState {
        namespace: found.namespace().unwrap_or_default(),
        name: found.name_any(),
        uid: found.uid().unwrap_or_default(),
        version: found.resource_version().unwrap_or_default(),
        wanted,
        there: is_observed.then_some(there),
        ready: count("/status/readyReplicas"),
        settled: is_observed && count("/status/updatedReplicas") == wanted && there == wanted,
        affinity: at("/spec/template/spec/affinity").cloned().unwrap_or_default(),
        labels: serde_json::from_value(labels).unwrap_or_default(),
        mark: mark_of(&found.metadata),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::merged;
    use super::*;

    fn of(mut value: Value) -> DeploymentState {
        value["apiVersion"] = "apps/v1".into();
        value["kind"] = "Deployment".into();
        read(serde_json::from_value(value).unwrap())
    }

    #[test]
    fn what_its_controller_has_not_seen_is_not_there() {
        let deployment = |observed: i64| {
            json!({"metadata": {"name": "d", "uid": "u", "resourceVersion": "7", "generation": 3, "labels": {"outage.run": "r-0"}},
                "spec": {"replicas": 0}, "status": {"observedGeneration": observed, "replicas": 2, "readyReplicas": 2}})
        };
        assert_eq!(of(deployment(2)).there, None);
        let seen = of(deployment(3));
        assert_eq!(
            (seen.wanted, seen.there, seen.ready, seen.mark.as_deref()),
            (0, Some(2), 2, Some("r-0"))
        );
        assert_eq!(of(json!({"metadata": {"name": "d"}})).wanted, 1, "Kubernetes' default");
    }

    #[test]
    fn a_change_holds_only_for_what_was_read() {
        let seen = of(json!({"metadata": {"name": "d", "uid": "u", "resourceVersion": "7"}}));
        let sent = |mark| patch(&seen, &json!({"replicas": 0}), mark);
        assert_eq!(
            sent(Some("r-0"))["metadata"],
            json!({"uid": "u", "resourceVersion": "7", "labels": {"outage.run": "r-0"}})
        );
        assert_eq!(sent(None)["metadata"]["labels"], json!({"outage.run": null}));
    }

    #[test]
    fn what_was_turned_can_be_turned_back() {
        let labels = [("k8s-app".to_owned(), "kube-dns".to_owned())].into();
        let one = onto(&["w1".into()], &labels);
        let two = onto(&["w1".into(), "w2".into()], &labels);
        let kubeadm = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100}]}});
        let both = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}, "podAffinity": {}});
        for before in [json!({}), kubeadm, both] {
            for placed in [&one, &two] {
                let there = merged(&before, &turned(&before, placed));
                assert_eq!(there, *placed);
                assert_eq!(merged(&there, &turned(&there, &before)), before);
            }
        }
        assert_eq!(turned(&one, &Value::Null), Value::Null, "there was none");
    }

    #[test]
    fn pods_are_together_or_each_on_its_own_node() {
        let text = |nodes: &[&str]| {
            let nodes: Vec<String> = nodes.iter().map(|node| (*node).to_owned()).collect();
            onto(&nodes, &BTreeMap::new()).to_string()
        };
        assert!(
            text(&["w1"]).contains(r#""values":["w1"]"#)
                && !text(&["w1"]).contains("podAntiAffinity")
        );
        assert!(text(&["w1", "w2"]).contains("podAntiAffinity"));
    }

    #[test]
    fn a_deployment_has_settled_when_no_older_pod_is_left() {
        let with = |status: Value| {
            of(
                json!({"metadata": {"name": "d", "uid": "u", "resourceVersion": "7", "generation": 3, "labels": {"outage.run": "r-0"}},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {}}}, "status": status}),
            )
        };
        let status = |generation: u32, all: u32| json!({"observedGeneration": generation, "replicas": all, "updatedReplicas": 2, "readyReplicas": 2});
        assert!(with(status(3, 2)).settled);
        assert!(!with(status(2, 2)).settled, "its controller has not seen it");
        assert!(!with(status(3, 3)).settled, "an older one is left");
        let seen = with(status(3, 2));
        assert_eq!(
            (seen.wanted, seen.ready, seen.mark.as_deref(), seen.affinity),
            (2, 2, Some("r-0"), Value::Null)
        );
        assert_eq!(seen.labels, [("a".to_owned(), "b".to_owned())].into());
    }
}
