//! Where a Deployment's pods may be.

use std::collections::BTreeMap;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::{mark_of, marked};
use super::query::any;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// What a Deployment's pods ask of nodes, and which run has marked it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placement {
    /// The Deployment's uid: another one of its name has another.
    pub uid: String,
    pub version: String,
    /// The `affinity` of its pods; null: none.
    pub affinity: Value,
    /// The labels by which it knows its pods.
    pub labels: BTreeMap<String, String>,
    pub wanted: u32,
    pub ready: u32,
    /// Whether all of them are as they are to be, as far as its controller has seen the newest
    /// spec.
    pub settled: bool,
    pub mark: Option<String>,
}

impl Cluster {
    /// Where a Deployment's pods may be. Errors when there is none of that name.
    pub(crate) async fn placement_of(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Placement, ClusterError> {
        let found = self
            .call(
                format!("read the Deployment {namespace}/{name}"),
                self.any_deployment(namespace).get(name),
            )
            .await?;
        Ok(read(&found))
    }

    /// Gives a Deployment's pods another affinity, and it our mark, in one step, if it still is as
    /// it was read. Errors when somebody has changed it since.
    pub(crate) async fn place(
        &self,
        namespace: &str,
        name: &str,
        seen: &Placement,
        affinity: &Value,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        let metadata = marked(&seen.uid, &seen.version, mark);
        let spec = json!({"template": {"spec": {"affinity": turned(&seen.affinity, affinity)}}});
        let (params, patch) =
            (PatchParams::default(), Patch::Merge(json!({"metadata": metadata, "spec": spec})));
        let deployments = self.any_deployment(namespace);
        let call = deployments.patch(name, &params, &patch);
        self.call(format!("move the pods of the Deployment {namespace}/{name}"), call)
            .await
            .map(drop)
    }

    /// Whole, as the server has it: what is put back must lack nothing that this program does not
    /// know.
    fn any_deployment(&self, namespace: &str) -> Api<DynamicObject> {
        let resource = any("apps", "v1", "Deployment");
        Api::namespaced_with(self.client(), namespace, &resource)
    }
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

fn read(found: &DynamicObject) -> Placement {
    let count = |path: &str| found.data.pointer(path).and_then(Value::as_u64).unwrap_or(0) as u32;
    let wanted = found.data.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1) as u32;
    let observed = found.data.pointer("/status/observedGeneration").and_then(Value::as_i64);
    let labels = found.data.pointer("/spec/selector/matchLabels").cloned().unwrap_or_default();
    let metadata = &found.metadata;
    Placement {
        uid: metadata.uid.clone().unwrap_or_default(),
        version: metadata.resource_version.clone().unwrap_or_default(),
        affinity: found.data.pointer("/spec/template/spec/affinity").cloned().unwrap_or_default(),
        labels: serde_json::from_value(labels).unwrap_or_default(),
        wanted,
        ready: count("/status/readyReplicas"),
        settled: observed >= metadata.generation
            && count("/status/updatedReplicas") == wanted
            && count("/status/replicas") == wanted,
        mark: mark_of(metadata),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::merged;
    use super::*;

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
        let of = |status: Value| {
            let object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "d", "uid": "u", "resourceVersion": "7", "generation": 3, "labels": {"outage.run": "r-0"}},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {}}}, "status": status});
            read(&serde_json::from_value(object).unwrap())
        };
        let status = |generation: u32, all: u32| json!({"observedGeneration": generation, "replicas": all, "updatedReplicas": 2, "readyReplicas": 2});
        assert!(of(status(3, 2)).settled);
        assert!(!of(status(2, 2)).settled, "its controller has not seen it");
        assert!(!of(status(3, 3)).settled, "an older one is left");
        let seen = of(status(3, 2));
        assert_eq!(
            (seen.wanted, seen.ready, seen.mark.as_deref(), seen.affinity),
            (2, 2, Some("r-0"), Value::Null)
        );
        assert_eq!(seen.labels, [("a".to_owned(), "b".to_owned())].into());
    }
}
