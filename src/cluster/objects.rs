//! Kubernetes' objects as far as this program looks at them. What is not named here is skipped when
//! an answer is read, and never built: a whole pod is some two hundred types.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use k8s_openapi::api::{apps, batch, core, networking};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::workload::IngressSpec;

/// An object of the kind `K`, of which only `Spec` and `Status` are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = "Spec: Deserialize<'de>, Status: Deserialize<'de>"))]
pub(crate) struct Part<K, Spec, Status> {
    #[serde(default, deserialize_with = "without_managed_fields")]
    pub metadata: ObjectMeta,
    pub spec: Option<Spec>,
    pub status: Option<Status>,
    #[serde(skip)]
    kind: PhantomData<K>,
}

/// They are as large as all the rest of an object.
fn without_managed_fields<'de, D: Deserializer<'de>>(from: D) -> Result<ObjectMeta, D::Error> {
    Ok(ObjectMeta { managed_fields: None, ..ObjectMeta::deserialize(from)? })
}

impl<K: k8s_openapi::Resource, Spec, Status> k8s_openapi::Resource for Part<K, Spec, Status> {
    const API_VERSION: &'static str = K::API_VERSION;
    const GROUP: &'static str = K::GROUP;
    const KIND: &'static str = K::KIND;
    const VERSION: &'static str = K::VERSION;
    const URL_PATH_SEGMENT: &'static str = K::URL_PATH_SEGMENT;
    type Scope = K::Scope;
}

impl<K: k8s_openapi::Resource, Spec, Status> k8s_openapi::Metadata for Part<K, Spec, Status> {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

pub(crate) type Node = Part<core::v1::Node, NodeSpec, NodeStatus>;
pub(crate) type Pod = Part<core::v1::Pod, PodSpec, PodStatus>;
pub(crate) type Service = Part<core::v1::Service, ServiceSpec, Published>;
pub(crate) type Ingress = Part<networking::v1::Ingress, IngressSpec, Published>;
pub(crate) type Deployment = Part<apps::v1::Deployment, Wanted, Rollout>;
pub(crate) type StatefulSet = Part<apps::v1::StatefulSet, Wanted, Rollout>;
pub(crate) type DaemonSet = Part<apps::v1::DaemonSet, Nothing, DaemonSetStatus>;
pub(crate) type Job = Part<batch::v1::Job, JobSpec, JobStatus>;

/// A part that is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Nothing {}

/// A condition of whatever object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub last_transition_time: Option<Time>,
    /// Nodes only.
    pub last_heartbeat_time: Option<Time>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub provider_id: Option<String>,
    pub unschedulable: Option<bool>,
    pub taints: Option<Vec<Taint>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Taint {
    pub key: String,
    pub effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeStatus {
    pub conditions: Option<Vec<Condition>>,
    pub addresses: Option<Vec<NodeAddress>>,
    pub node_info: Option<NodeInfo>,
}

/// What a node says of its images and of its health.
pub(crate) type NodeImages = Part<core::v1::Node, Nothing, ImagesStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ImagesStatus {
    pub conditions: Option<Vec<Condition>>,
    pub images: Option<Vec<Image>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Image {
    pub names: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct NodeAddress {
    #[serde(rename = "type")]
    pub type_: String,
    pub address: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeInfo {
    pub kubelet_version: String,
    pub operating_system: Option<String>,
    pub architecture: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec {
    pub node_name: Option<String>,
    pub host_network: Option<bool>,
    pub containers: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Container {
    pub command: Option<Vec<String>>,
    pub args: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodStatus {
    pub phase: Option<String>,
    pub reason: Option<String>,
    pub message: Option<String>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    pub conditions: Option<Vec<Condition>>,
    pub container_statuses: Option<Vec<ContainerStatus>>,
    pub init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerStatus {
    pub name: String,
    pub image: String,
    #[serde(default)]
    pub restart_count: i32,
    /// Its id, as `containerd://...`.
    #[serde(rename = "containerID")]
    pub container_id: Option<String>,
    pub state: Option<ContainerState>,
    /// How it was before it was started again.
    pub last_state: Option<ContainerState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ContainerState {
    pub waiting: Option<Waiting>,
    pub terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Waiting {
    pub reason: Option<String>,
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Terminated {
    pub exit_code: i32,
    pub reason: Option<String>,
    pub message: Option<String>,
    pub finished_at: Option<Time>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ServiceSpec {
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    pub ports: Option<Vec<ServicePort>>,
    pub selector: Option<BTreeMap<String, String>>,
    #[serde(rename = "sessionAffinity")]
    pub session_affinity: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct ServicePort {
    pub name: Option<String>,
    pub port: i32,
    pub protocol: Option<String>,
    #[serde(rename = "nodePort")]
    pub node_port: Option<i32>,
    /// A port of the pods, by its number or name.
    #[serde(rename = "targetPort", default)]
    pub target_port: Value,
}

/// Where a load balancer takes requests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    pub load_balancer: Option<LoadBalancer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct LoadBalancer {
    pub ingress: Option<Vec<PublishedAddress>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct PublishedAddress {
    pub ip: Option<String>,
    pub hostname: Option<String>,
}

impl Published {
    /// The first address, or name.
    pub(crate) fn address(self) -> Option<String> {
        let first = self.load_balancer?.ingress?.into_iter().next()?;
        first.ip.or(first.hostname).filter(|address| !address.is_empty())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    /// Default: 1.
    pub replicas: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rollout {
    pub observed_generation: Option<i64>,
    pub replicas: Option<i32>,
    pub available_replicas: Option<i32>,
    pub updated_replicas: Option<i32>,
    pub ready_replicas: Option<i32>,
    pub conditions: Option<Vec<Condition>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DaemonSetStatus {
    pub observed_generation: Option<i64>,
    #[serde(default)]
    pub number_ready: i32,
    #[serde(default)]
    pub desired_number_scheduled: i32,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct JobSpec {
    pub completions: Option<i32>,
    pub parallelism: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct JobStatus {
    pub succeeded: Option<i32>,
    pub ready: Option<i32>,
}

#[cfg(test)]
mod tests {
    use kube::{Resource, ResourceExt};

    use super::*;

    #[test]
    fn a_part_is_asked_for_as_the_whole_is() {
        assert_eq!(Pod::url_path(&(), Some("a")), core::v1::Pod::url_path(&(), Some("a")));
        assert_eq!(Job::api_version(&()), "batch/v1");
        assert_eq!(Node::url_path(&(), None), "/api/v1/nodes");
    }

    #[test]
    fn what_is_not_named_is_skipped() {
        let whole = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}},
            "spec": {"nodeName": "w", "volumes": [{"name": "v", "emptyDir": {}}], "containers": [{"name": "c", "image": "i"}]},
            "status": {"podIP": "10.0.0.1", "qosClass": "Burstable", "conditions": null}});
        let pod: Pod = serde_json::from_value(whole).unwrap();
        assert_eq!((pod.name_any().as_str(), pod.labels()["a"].as_str()), ("p", "b"));
        assert_eq!(pod.spec.unwrap().node_name.as_deref(), Some("w"));
        assert_eq!(pod.status.unwrap().pod_ip.as_deref(), Some("10.0.0.1"));
    }
}
