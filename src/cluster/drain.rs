//! Evictions and deletions: how pods are made to leave a node.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, PostParams, Preconditions};
use kube::core::Status;
use serde_json::{Value, json};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::MIRROR;
use super::objects::Pod;
use super::query::{any, controller};
use crate::timeline::counted;

/// What came of asking a pod to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// It is ending, or gone.
    Leaves,
    /// Something does not allow it now.
    NotNow(Refusal),
}

/// What does not allow an eviction now: a disruption budget, in most cases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Refusal {
    namespace: String,
    budget: Option<String>,
    /// What the server says.
    message: String,
}

impl Refusal {
    fn new(namespace: &str, status: &Status) -> Self {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let cause = causes.map(|cause| cause.message.as_str()).find(|text| !text.is_empty());
        Self {
            namespace: namespace.to_owned(),
            budget: cause.and_then(budget_of).map(str::to_owned),
            message: cause.unwrap_or(&status.message).to_owned(),
        }
    }
}

/// `PodDisruptionBudget shop/checkout`, whatever its numbers are now.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.budget {
            Some(name) => write!(f, "PodDisruptionBudget {}/{name}", self.namespace),
            None => f.write_str(&self.message),
        }
    }
}

/// How a pod is evicted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Eviction {
    /// How long it may take to end. Default: as long as the pod itself says.
    pub grace_period: Option<Duration>,
    /// Nothing is evicted: the server only says whether it would be.
    pub dry_run: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodOnNode {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub obstacles: Obstacles,
}

impl std::fmt::Display for PodOnNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl PodOnNode {
    /// Pods for people: `7 pods in 2 namespaces: kube-system, shop`. `None`: there is none.
    pub(crate) fn by_namespace(pods: &[PodOnNode]) -> Option<String> {
        let namespaces: BTreeSet<&str> = pods.iter().map(|pod| pod.namespace.as_str()).collect();
        let names = namespaces.iter().copied().collect::<Vec<_>>().join(", ");
        let (pods, of) = (counted(pods.len(), "pod"), counted(namespaces.len(), "namespace"));
        (!namespaces.is_empty()).then(|| format!("{pods} in {of}: {names}"))
    }
}

/// Why `kubectl drain` evicts a pod only when flags say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Obstacles {
    /// A DaemonSet would bring it back to the same node. Such a pod is never evicted: nothing else
    /// counts.
    pub is_daemon: bool,
    /// Nothing creates it again.
    pub is_unmanaged: bool,
    /// It has an emptyDir volume, which is lost.
    pub has_empty_dir: bool,
}

impl Cluster {
    /// The pods on a node that stay there by themselves, by namespace and name; `None`: of all
    /// namespaces. The kubelet's own are left out.
    pub(crate) async fn pods_on(
        &self,
        node: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<PodOnNode>, ClusterError> {
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let pods = any("", "v1", "Pod");
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client(), namespace, &pods),
            None => Api::all_with(self.client(), &pods),
        };
        let found = self.list_all("list the node's pods", api, params).await?;
        let mut found: Vec<PodOnNode> = found.iter().filter_map(on_node).collect();
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(found)
    }

    /// Asks a pod to leave through the eviction API.
    pub(crate) async fn evict(
        &self,
        pod: &PodOnNode,
        eviction: Eviction,
    ) -> Result<Evicted, ClusterError> {
        let PodOnNode { namespace, name, uid, .. } = pod;
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let mut options = json!({"preconditions": {"uid": uid}});
        if let Some(grace) = eviction.grace_period {
            options["gracePeriodSeconds"] = grace.as_secs().into();
        }
        if eviction.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": options});
        let params = PostParams { dry_run: eviction.dry_run, ..PostParams::default() };
        let mut refusal = None;
        // Which budget refuses is among the causes, which an error leaves out.
        let call = async {
            let answer = api.create_subresource::<Value, Value>("eviction", name, &params, &body);
            answer.await.inspect_err(|error| match error {
                kube::Error::Api(status) if status.code == 429 => refusal = Some(status.clone()),
                _ => {}
            })
        };
        let evicted = self.call(format!("evict the pod {pod}"), call).await;
        match (evicted, refusal) {
            (_, Some(status)) => Ok(Evicted::NotNow(Refusal::new(namespace, &status))),
            // It is gone, or another one has its name.
            (Err(ClusterError::NotFound { .. } | ClusterError::Api { code: 409, .. }), _) => {
                Ok(Evicted::Leaves)
            }
            (evicted, _) => evicted.map(|_| Evicted::Leaves),
        }
    }

    /// Why an eviction is refused, read now: `PodDisruptionBudget shop/checkout allows 0 disruptions
    /// now (2 of 2 pods healthy, 2 needed)`.
    pub(crate) async fn explain(&self, refusal: &Refusal) -> String {
        let Some(name) = &refusal.budget else { return refusal.to_string() };
        let resource = any("policy", "v1", "PodDisruptionBudget");
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client(), &refusal.namespace, &resource);
        let Ok(found) = self.call(format!("read the {refusal}"), api.get(name)).await else {
            return format!("{refusal}: {}", refusal.message);
        };
        let count = |field: &str| found.data["status"][field].as_u64().unwrap_or(0);
        format!(
            "{refusal} allows {} now ({} of {} healthy, {} needed)",
            counted(count("disruptionsAllowed") as usize, "disruption"),
            count("currentHealthy"),
            counted(count("expectedPods") as usize, "pod"),
            count("desiredHealthy"),
        )
    }

    /// Deletes one pod, by its uid. Whether it was there: one that is gone already is not an error.
    pub(crate) async fn delete_pod(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
    ) -> Result<bool, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let this = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams::default().preconditions(this);
        match self.call(format!("delete the pod {namespace}/{pod}"), api.delete(pod, &params)).await
        {
            Err(ClusterError::NotFound { .. } | ClusterError::Api { code: 409, .. }) => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Whether this pod, by its uid, is there and not ending.
    pub(crate) async fn pod_stays(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
    ) -> Result<bool, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let found =
            self.call(format!("look for the pod {namespace}/{pod}"), api.get_opt(pod)).await?;
        Ok(found.is_some_and(|pod| {
            pod.uid().as_deref() == Some(uid) && pod.metadata.deletion_timestamp.is_none()
        }))
    }
}

/// The budget of `The disruption budget checkout needs 2 healthy pods and has 2 currently`.
fn budget_of(cause: &str) -> Option<&str> {
    cause.strip_prefix("The disruption budget ")?.split(' ').next()
}

/// A pod, unless it has ended, is ending, or is a static pod.
fn on_node(pod: &DynamicObject) -> Option<PodOnNode> {
    let ended = matches!(pod.data["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if ended || pod.annotations().contains_key(MIRROR) || pod.metadata.deletion_timestamp.is_some()
    {
        return None;
    }
    let volumes = pod.data["spec"]["volumes"].as_array();
    let has_empty_dir =
        volumes.is_some_and(|all| all.iter().any(|volume| volume.get("emptyDir").is_some()));
    let obstacles = match controller(pod) {
        Some(owner) if owner.kind == "DaemonSet" => {
            Obstacles { is_daemon: true, ..Obstacles::default() }
        }
        owner => Obstacles { is_daemon: false, is_unmanaged: owner.is_none(), has_empty_dir },
    };
    Some(PodOnNode {
        namespace: pod.namespace().unwrap_or_default(),
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        obstacles,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_drain_needs_a_flag_is_seen() {
        let pod = |metadata: Value, spec: Value| {
            let pod =
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec});
            on_node(&serde_json::from_value(pod).unwrap()).map(|pod| pod.obstacles)
        };
        let owned = |kind: &str| json!({"name": "p", "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": true}]});
        let volumes =
            json!({"volumes": [{"name": "c", "configMap": {}}, {"name": "v", "emptyDir": {}}]});
        let none = Obstacles::default();
        let daemon = Obstacles { is_daemon: true, ..none };
        let empty_dir = Obstacles { has_empty_dir: true, ..none };
        let unmanaged = Obstacles { is_unmanaged: true, ..none };
        assert_eq!(pod(json!({"name": "p"}), json!({})), Some(unmanaged));
        let both = Obstacles { is_unmanaged: true, ..empty_dir };
        assert_eq!(pod(json!({"name": "p"}), volumes.clone()), Some(both));
        assert_eq!(pod(owned("ReplicaSet"), json!({})), Some(none));
        assert_eq!(pod(owned("ReplicaSet"), volumes.clone()), Some(empty_dir));
        assert_eq!(pod(owned("DaemonSet"), volumes), Some(daemon));
        assert_eq!(pod(json!({"name": "p", "annotations": {MIRROR: "x"}}), json!({})), None);
        let ending = json!({"name": "p", "deletionTimestamp": "2026-11-22T08:54:23Z"});
        assert_eq!(pod(ending, json!({})), None);
    }

    #[test]
    fn pods_are_counted_by_namespace() {
        let pod = |namespace: &str| PodOnNode {
            namespace: namespace.into(),
            name: "p".into(),
            uid: String::new(),
            obstacles: Obstacles::default(),
        };
        assert_eq!(PodOnNode::by_namespace(&[]), None);
        let text = PodOnNode::by_namespace(&[pod("shop"), pod("kube-system"), pod("shop")]);
        assert_eq!(text.unwrap(), "3 pods in 2 namespaces: kube-system, shop");
    }

    #[test]
    fn the_budget_that_refuses_is_named() {
        let cause = "The disruption budget checkout needs 2 healthy pods and has 2 currently";
        assert_eq!(budget_of(cause), Some("checkout"));
        assert_eq!(budget_of("too many requests"), None);
    }
}
