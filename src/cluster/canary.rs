//! What canaries ask of a cluster. All of it lies in the run's namespace, and goes with it.

use std::collections::BTreeSet;
use std::io;

use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::connect::Cluster;
use super::error::{ClusterError, causes};
use super::objects::{Deployment, NodeImages, Pod};
use super::query::any;
use crate::timeline::{NodeRole, Outcome, Phase, TlsCause};

/// The label of whatever a canary makes. Its value is the probe's name.
pub(crate) const CANARY_LABEL: &str = "outage.canary";
/// What the names of a canary's objects begin with.
pub(crate) const CANARY_PREFIX: &str = "outage-canary-";
/// No scheduler has this name: the pods of a canary's Deployment need no node, and trouble none.
const NO_SCHEDULER: &str = "outage.none";
/// Where no node lists its images (the embedded cluster's don't), none is pulled either.
const ANY_IMAGE: &str = "registry.k8s.io/pause";

/// A canary's place: its objects are named after the probe.
#[derive(Clone, Debug)]
pub(crate) struct CanaryClient {
    cluster: Cluster,
    namespace: String,
    probe: String,
    image: String,
}

impl Cluster {
    /// A place for a canary in a namespace that is there. Errors when the nodes have no pause image
    /// in common: none is ever pulled.
    pub(crate) async fn canary_client(
        &self,
        namespace: &str,
        probe: &str,
    ) -> Result<CanaryClient, ClusterError> {
        let nodes: Vec<NodeImages> = self
            .list_all("list the nodes' images", Api::all(self.client()), ListParams::default())
            .await?;
        let named = |node: NodeImages| -> BTreeSet<String> {
            let images = node.status.and_then(|status| status.images).unwrap_or_default();
            images.into_iter().flat_map(|image| image.names.unwrap_or_default()).collect()
        };
        let image = pause_image(nodes.into_iter().map(named).collect()).ok_or_else(|| {
            ClusterError::NotFound {
                what: "find an image for canaries".into(),
                why: "no pause image is present on all nodes".into(),
            }
        })?;
        Ok(CanaryClient {
            cluster: self.clone(),
            namespace: namespace.to_owned(),
            probe: probe.to_owned(),
            image,
        })
    }
}

/// The image that does nothing, by a name under which every node has it.
fn pause_image(nodes: Vec<BTreeSet<String>>) -> Option<String> {
    if nodes.iter().all(BTreeSet::is_empty) {
        return Some(ANY_IMAGE.to_owned());
    }
    let common =
        nodes.into_iter().reduce(|all, node| all.intersection(&node).cloned().collect())?;
    common.into_iter().rfind(|name| name.contains("/pause:"))
}

impl CanaryClient {
    /// A place on a server that is not there.
    #[cfg(test)]
    pub(crate) fn of_nothing(probe: &str) -> Self {
        let cluster =
            Cluster::of_service(|_| async { Err::<http::Response<String>, _>("no server".into()) });
        Self { cluster, namespace: "n".into(), probe: probe.into(), image: "pause".into() }
    }

    fn name(&self) -> String {
        format!("{CANARY_PREFIX}{}", self.probe)
    }

    fn pod_name(&self, slot: u64) -> String {
        format!("{}-{slot}", self.name())
    }

    /// The attempt whose pod this is; `None`: another's.
    pub(crate) fn slot_of(&self, pod: &str) -> Option<u64> {
        pod.strip_prefix(&self.name())?.strip_prefix('-')?.parse().ok()
    }

    /// Asks for a new pod, which is to run on whatever node is Ready.
    pub(crate) async fn ask_for_pod(&self, slot: u64) -> Result<(), Outcome> {
        let mut spec = self.pod_spec();
        // Any node will do, one of the control plane's as well.
        spec["tolerations"] = json!([{"key": NodeRole::CONTROL_PLANE_LABEL, "operator": "Exists"}]);
        let pod = json!({"metadata": self.metadata(&self.pod_name(slot)), "spec": spec});
        let (api, object) = self.object("", "v1", "Pod", pod);
        api.create(&PostParams::default(), &object).await.map(drop).map_err(|error| outcome(&error))
    }

    /// Takes a pod away. Whether it is gone.
    pub(crate) async fn remove_pod(&self, slot: u64) -> bool {
        let api: Api<Pod> = Api::namespaced(self.cluster.client(), &self.namespace);
        let (name, params) = (self.pod_name(slot), DeleteParams::default().grace_period(0));
        self.cluster
            .call("remove a pod", api.delete(&name, &params))
            .await
            .map_or_else(|error| error.is_not_found(), |_| true)
    }

    /// Makes a Deployment of so many pods that need no node.
    pub(crate) async fn make_deployment(&self, replicas: u32) -> Result<(), ClusterError> {
        let labels = json!({CANARY_LABEL: self.probe});
        let mut pod = self.pod_spec();
        pod["schedulerName"] = NO_SCHEDULER.into();
        let spec = json!({
            "replicas": replicas, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        });
        self.make(
            "apps",
            "v1",
            "Deployment",
            json!({"metadata": self.metadata(&self.name()), "spec": spec}),
        )
        .await
    }

    /// Makes an autoscaler that never lets the Deployment have fewer than so many. Below that it
    /// asks no metrics.
    pub(crate) async fn make_autoscaler(&self, least: u32) -> Result<(), ClusterError> {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": self.name()});
        let spec = json!({"minReplicas": least, "maxReplicas": least, "scaleTargetRef": target});
        let object = json!({"metadata": self.metadata(&self.name()), "spec": spec});
        self.make("autoscaling", "v1", "HorizontalPodAutoscaler", object).await
    }

    /// Asks for another size of the Deployment, and gives the number of the change. `nonce` makes
    /// it one, whatever the size was.
    pub(crate) async fn ask_for_size(&self, replicas: u32, nonce: u64) -> Result<i64, Outcome> {
        let api: Api<Deployment> = Api::namespaced(self.cluster.client(), &self.namespace);
        let patch =
            json!({"spec": {"replicas": replicas, "revisionHistoryLimit": 1 + nonce % 1000}});
        let patched = api.patch(&self.name(), &PatchParams::default(), &Patch::Merge(patch)).await;
        patched
            .map(|now| now.metadata.generation.unwrap_or_default())
            .map_err(|error| outcome(&error))
    }

    async fn make(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        value: Value,
    ) -> Result<(), ClusterError> {
        let (api, object) = self.object(group, version, kind, value);
        self.cluster
            .call(format!("create a canary's {kind}"), api.create(&PostParams::default(), &object))
            .await
            .map(drop)
    }

    fn object(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        value: Value,
    ) -> (Api<DynamicObject>, DynamicObject) {
        let resource = any(group, version, kind);
        let mut object = DynamicObject::new("", &resource).data(json!({"spec": value["spec"]}));
        object.metadata = serde_json::from_value(value["metadata"].clone()).unwrap_or_default();
        (Api::namespaced_with(self.cluster.client(), &self.namespace, &resource), object)
    }

    fn metadata(&self, name: &str) -> Value {
        json!({"name": name, "labels": {CANARY_LABEL: self.probe}})
    }

    /// A pod that does nothing and takes next to nothing.
    fn pod_spec(&self) -> Value {
        json!({
            "automountServiceAccountToken": false, "enableServiceLinks": false, "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "pause", "image": self.image, "imagePullPolicy": "Never",
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
            }],
        })
    }
}

/// What an API server that did not do as asked comes to.
fn outcome(error: &kube::Error) -> Outcome {
    match error {
        kube::Error::Api(status) => Outcome::Status(status.code),
        kube::Error::SerdeError(_) => Outcome::Protocol,
        other => transport(other),
    }
}

/// The class of the first cause that has one.
fn transport(error: &kube::Error) -> Outcome {
    let class = |cause: &(dyn std::error::Error + 'static)| {
        if cause.is::<rustls::Error>() {
            return Some(Outcome::Tls(TlsCause::Other));
        }
        match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(Outcome::Refused),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Some(Outcome::Unreachable)
            }
            io::ErrorKind::TimedOut => Some(Outcome::Timeout(Phase::Accepted)),
            _ => None,
        }
    };
    causes(error).find_map(class).unwrap_or(Outcome::Reset(Phase::Accepted))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kube::client::Body;

    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_pause_image_is_one_that_all_nodes_have() {
        let both =
            [set(&["k/pause:3.10", "k/pause:3.9", "k/etcd:3"]), set(&["k/pause:3.9", "k/proxy:1"])];
        assert_eq!(pause_image(both.to_vec()).as_deref(), Some("k/pause:3.9"));
        assert_eq!(pause_image(vec![set(&["k/pause:3.9"]), set(&["k/pause:3.8"])]), None);
        assert_eq!(pause_image(vec![set(&[]), set(&[])]).as_deref(), Some(ANY_IMAGE));
    }

    type Log = Arc<Mutex<Vec<(String, Value)>>>;

    /// A canary's place on a server that answers everything alike, and what it was asked.
    async fn canary_client(status: u16) -> (CanaryClient, Log) {
        let asked = Log::default();
        let log = asked.clone();
        let cluster = Cluster::of_service(move |request: http::Request<Body>| {
            let log = log.clone();
            async move {
                let line = format!("{} {}", request.method(), request.uri().path());
                let body = request.into_body().collect_bytes().await.unwrap_or_default();
                log.lock().unwrap().push((line, serde_json::from_slice(&body).unwrap_or_default()));
                let kind = if status < 300 { "Pod" } else { "Status" };
                let answer = json!({"apiVersion": "v1", "kind": kind, "metadata": {"generation": 7}, "code": status, "message": "no"});
                Ok(http::Response::builder()
                    .status(status)
                    .body(Body::from(answer.to_string().into_bytes()))
                    .unwrap())
            }
        });
        (
            CanaryClient {
                cluster,
                namespace: "n".into(),
                probe: "p".into(),
                image: "pause".into(),
            },
            asked,
        )
    }

    #[tokio::test]
    async fn a_pod_is_asked_for_and_taken_away() {
        let (client, asked) = canary_client(200).await;
        assert_eq!(client.ask_for_pod(3).await, Ok(()));
        assert!(client.remove_pod(3).await);
        let asked = asked.lock().unwrap();
        assert_eq!(asked[0].0, "POST /api/v1/namespaces/n/pods");
        let pod = &asked[0].1;
        assert_eq!(
            (&pod["metadata"]["name"], &pod["metadata"]["labels"][CANARY_LABEL]),
            (&json!("outage-canary-p-3"), &json!("p"))
        );
        assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], "Never");
        assert_eq!(asked[1].0, "DELETE /api/v1/namespaces/n/pods/outage-canary-p-3");
        assert_eq!(
            (client.slot_of("outage-canary-p-3"), client.slot_of("outage-canary-p2-3")),
            (Some(3), None)
        );
    }

    #[tokio::test]
    async fn a_size_is_a_change_whatever_it_was() {
        let (client, asked) = canary_client(200).await;
        assert_eq!(client.ask_for_size(1, 4).await, Ok(7));
        let asked = asked.lock().unwrap();
        assert_eq!(asked[0].0, "PATCH /apis/apps/v1/namespaces/n/deployments/outage-canary-p");
        assert_eq!(asked[0].1, json!({"spec": {"replicas": 1, "revisionHistoryLimit": 5}}));
    }

    #[tokio::test]
    async fn what_the_server_says_is_the_outcome() {
        let (client, _) = canary_client(503).await;
        assert_eq!(client.ask_for_pod(0).await, Err(Outcome::Status(503)));
        assert_eq!(client.ask_for_size(0, 0).await, Err(Outcome::Status(503)));
        assert!(!client.remove_pod(0).await);
    }

    #[test]
    fn a_connection_that_fails_has_a_class() {
        let of =
            |kind: io::ErrorKind| outcome(&kube::Error::Service(Box::new(io::Error::from(kind))));
        assert_eq!(of(io::ErrorKind::ConnectionRefused), Outcome::Refused);
        assert_eq!(of(io::ErrorKind::HostUnreachable), Outcome::Unreachable);
        assert_eq!(of(io::ErrorKind::ConnectionReset), Outcome::Reset(Phase::Accepted));
        assert_eq!(of(io::ErrorKind::TimedOut), Outcome::Timeout(Phase::Accepted));
    }
}
