//! Cordons, evictions and deletions: how pods are made to leave a node.

use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::{MIRROR, mark_of, marked};
use super::objects::{Node, Pod};

/// What came of asking a pod to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// It is ending, or gone.
    Leaves,
    /// A disruption budget does not allow it now.
    NotNow,
}

/// Whether pods may come to a node, and which run has marked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cordon {
    /// The node's uid: another one of its name has another.
    pub uid: String,
    pub version: String,
    pub cordoned: bool,
    pub mark: Option<String>,
}

impl Cluster {
    /// Whether a node is cordoned, and by which run's mark. Errors when there is none of that name.
    pub(crate) async fn cordon_of(&self, node: &str) -> Result<Cordon, ClusterError> {
        let api: Api<Node> = Api::all(self.client());
        self.call(format!("read the node {node}"), api.get(node)).await.map(read)
    }

    /// Cordons a node with our mark, or takes both away (`None`), in one step, if it still is as it
    /// was read. Errors when somebody has changed it since.
    pub(crate) async fn cordon(
        &self,
        node: &str,
        seen: &Cordon,
        mark: Option<&str>,
    ) -> Result<(), ClusterError> {
        let api: Api<Node> = Api::all(self.client());
        let metadata = marked(&seen.uid, &seen.version, mark);
        let body = json!({"metadata": metadata, "spec": {"unschedulable": mark.map(|_| true)}});
        let what =
            format!("{} the node {node}", if mark.is_some() { "cordon" } else { "uncordon" });
        self.call(what, api.patch(node, &PatchParams::default(), &Patch::Merge(body)))
            .await
            .map(drop)
    }

    /// The pods of a namespace on a node that can be evicted, as name and uid: those that no
    /// DaemonSet would bring back to the same node, and that are not the kubelet's own.
    pub(crate) async fn evictable(
        &self,
        namespace: &str,
        node: &str,
    ) -> Result<Vec<(String, String)>, ClusterError> {
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let pods = self
            .list_all::<Pod>(
                "list the node's pods",
                Api::namespaced(self.client(), namespace),
                params,
            )
            .await?;
        Ok(pods
            .iter()
            .filter(|pod| can_leave(pod))
            .map(|pod| (pod.name_any(), pod.uid().unwrap_or_default()))
            .collect())
    }

    /// Asks a pod to leave through the eviction API.
    pub(crate) async fn evict(
        &self,
        namespace: &str,
        pod: &str,
        uid: &str,
    ) -> Result<Evicted, ClusterError> {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}}});
        let params = PostParams::default();
        let call = api.create_subresource::<Value, Value>("eviction", pod, &params, &body);
        match self.call(format!("evict the pod {namespace}/{pod}"), call).await {
            Ok(_) => Ok(Evicted::Leaves),
            Err(ClusterError::Api { code: 429, .. }) => Ok(Evicted::NotNow),
            // It is gone, or another one has its name.
            Err(ClusterError::NotFound { .. } | ClusterError::Api { code: 409, .. }) => {
                Ok(Evicted::Leaves)
            }
            Err(error) => Err(error),
        }
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

fn read(found: Node) -> Cordon {
    Cordon {
        cordoned: found.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false),
        mark: mark_of(&found.metadata),
        uid: found.uid().unwrap_or_default(),
        version: found.resource_version().unwrap_or_default(),
    }
}

fn can_leave(pod: &Pod) -> bool {
    let of_daemon_set = pod
        .owner_references()
        .iter()
        .any(|owner| owner.kind == "DaemonSet" && owner.controller == Some(true));
    let ended = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .is_some_and(|phase| phase == "Succeeded" || phase == "Failed");
    !of_daemon_set
        && !pod.annotations().contains_key(MIRROR)
        && !ended
        && pod.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_would_come_back_immediately_stay() {
        let pod =
            |metadata: Value| serde_json::from_value::<Pod>(json!({"metadata": metadata})).unwrap();
        let owned = |kind: &str| json!({"name": "p", "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": true}]});
        assert!(can_leave(&pod(json!({"name": "p"}))));
        assert!(can_leave(&pod(owned("ReplicaSet"))));
        assert!(!can_leave(&pod(owned("DaemonSet"))));
        assert!(!can_leave(&pod(json!({"name": "p", "annotations": {MIRROR: "x"}}))));
        assert!(!can_leave(&pod(
            json!({"name": "p", "deletionTimestamp": "2026-11-22T08:54:23Z"})
        )));
    }
}
