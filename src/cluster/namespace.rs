//! The namespace of a run: made for it, and gone with it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use tokio::time::{Instant, sleep};

use super::connect::Cluster;
use super::error::ClusterError;
use crate::timeline::Ready;

/// The label whose value is the run's id.
pub const RUN_LABEL: &str = "outage.run";
/// The label that everybody's tools look at, and our value of it.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "outage");
const OURS: &str = "app.kubernetes.io/managed-by=outage";
/// Between two looks.
const POLL: Duration = Duration::from_millis(300);
/// The controller manager makes the account within a second, if it lives.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a pod of ours may take to end by itself.
const POD_GRACE_SECONDS: u32 = 1;
/// After which a pod on a node that is not Ready is deleted by force: its kubelet can't confirm its end.
const FORCE_AFTER: Duration = Duration::from_secs(5);

/// A namespace that a run left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The namespace.
    pub namespace: String,
    /// The run that made it.
    pub run: String,
    /// Whether it is being deleted already.
    pub terminating: bool,
}

impl Cluster {
    /// Makes the namespace `outage-<run>` with our labels, waits until pods can be made in it, and gives its name. Errors when it
    /// exists.
    pub async fn create_namespace(&self, run: &str) -> Result<String, ClusterError> {
        let name = format!("outage-{}", run.to_ascii_lowercase());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        let labels = [(MANAGED_BY.0, MANAGED_BY.1), (RUN_LABEL, run)];
        namespace.metadata.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let api: Api<Namespace> = Api::all(self.client());
        self.call(format!("make the namespace {name}"), api.create(&PostParams::default(), &namespace)).await?;
        self.await_account(&name).await?;
        Ok(name)
    }

    /// Pods are refused until the namespace has its service account.
    async fn await_account(&self, namespace: &str) -> Result<(), ClusterError> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let deadline = Instant::now() + ACCOUNT_TIMEOUT;
        while self.call("look for the namespace's service account", api.get_opt("default")).await?.is_none() {
            if Instant::now() >= deadline {
                let what = format!("the namespace {namespace} got no service account");
                let why = "the controller manager makes it; is it running?".to_owned();
                return Err(ClusterError::TooSlow { what, within: ACCOUNT_TIMEOUT, why });
            }
            sleep(POLL / 3).await;
        }
        Ok(())
    }

    /// Deletes a namespace of ours and waits until it is gone. One that is not there is no error; one without our label is never
    /// touched. Pods on nodes that are not Ready are deleted by force. An API server that does not answer is asked again. Errors
    /// when something is left after `within`.
    ///
    /// May be dropped and called again.
    pub async fn remove_namespace(&self, namespace: &str, within: Duration) -> Result<(), ClusterError> {
        let api: Api<Namespace> = Api::all(self.client());
        let began = Instant::now();
        loop {
            let found = self.call(format!("remove the namespace {namespace}"), api.get_opt(namespace)).await;
            let why = match found {
                Ok(None) => return Ok(()),
                Ok(Some(found)) if !is_ours(&found) => {
                    return Err(ClusterError::NotOurs { namespace: namespace.to_owned(), label: OURS });
                }
                Ok(Some(found)) => {
                    self.end_namespace(&api, &found, began.elapsed() >= FORCE_AFTER).await?;
                    why_left(&found)
                }
                Err(error) if error.is_unreachable() => error.to_string(),
                Err(error) => return Err(error),
            };
            if began.elapsed() >= within {
                return Err(ClusterError::TooSlow { what: format!("the namespace {namespace} is not gone"), within, why });
            }
            sleep(POLL).await;
        }
    }

    /// One push towards a namespace's end.
    async fn end_namespace(&self, api: &Api<Namespace>, found: &Namespace, force: bool) -> Result<(), ClusterError> {
        let name = found.name_any();
        if found.metadata.deletion_timestamp.is_none() {
            gone_is_fine(self.call(format!("delete the namespace {name}"), api.delete(&name, &DeleteParams::background())).await)?;
            self.hurry_pods(&name).await;
        }
        if force {
            self.force_pods(&name).await;
        }
        Ok(())
    }

    /// The namespaces of runs, by label: leftovers, when those runs have ended.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>, ClusterError> {
        let params = ListParams::default().labels(OURS);
        let found = self.list_all::<Namespace>("look for namespaces of earlier runs", Api::all(self.client()), params).await?;
        let leftover = |namespace: Namespace| {
            Some(Leftover {
                run: namespace.labels().get(RUN_LABEL)?.clone(),
                terminating: namespace.metadata.deletion_timestamp.is_some(),
                namespace: namespace.name_any(),
            })
        };
        Ok(found.into_iter().filter_map(leftover).collect())
    }

    /// Half a minute for each `sleep` that ignores SIGTERM would be for nothing.
    async fn hurry_pods(&self, namespace: &str) {
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let params = DeleteParams::default().grace_period(POD_GRACE_SECONDS);
        let _ = self.call("end the pods", api.delete_collection(&params, &ListParams::default())).await;
    }

    /// What fails here is tried again at the next look.
    async fn force_pods(&self, namespace: &str) {
        let Ok(nodes) = self.nodes().await else { return };
        let ready: BTreeMap<&str, bool> = nodes.iter().map(|node| (node.name.as_str(), node.ready == Ready::True)).collect();
        let api: Api<Pod> = Api::namespaced(self.client(), namespace);
        let Ok(pods) = self.list_all("list the pods", api.clone(), ListParams::default()).await else { return };
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some()) {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if node.is_none_or(|node| !ready.get(node).copied().unwrap_or(false)) {
                let _ =
                    self.call("delete a pod by force", api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0))).await;
            }
        }
    }
}

fn is_ours(namespace: &Namespace) -> bool {
    namespace.labels().get(MANAGED_BY.0).map(String::as_str) == Some(MANAGED_BY.1)
}

fn gone_is_fine<T>(result: Result<T, ClusterError>) -> Result<(), ClusterError> {
    match result {
        // A conflict says that it is being deleted already. One that can't be asked for is asked for again.
        Err(ClusterError::NotFound { .. } | ClusterError::Api { code: 409, .. }) => Ok(()),
        Err(error) if error.is_unreachable() => Ok(()),
        other => other.map(drop),
    }
}

/// What Kubernetes says of a namespace that stays.
fn why_left(namespace: &Namespace) -> String {
    let conditions = namespace.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let messages: Vec<&str> =
        conditions.filter(|condition| condition.status == "True").filter_map(|condition| condition.message.as_deref()).collect();
    if messages.is_empty() { "it is still being deleted".to_owned() } else { messages.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_own_words_are_shown() {
        let namespace = serde_json::from_value(serde_json::json!({"status": {"conditions": [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "all discovered"},
            {"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 resource instances"}]}}))
        .unwrap();
        assert_eq!(why_left(&namespace), "pods. has 1 resource instances");
        assert_eq!(why_left(&Namespace::default()), "it is still being deleted");
    }
}
