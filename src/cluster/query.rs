//! Questions about nodes, pods, Services and their endpoints, answered in small types.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ListParams, ObjectList};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::connect::Cluster;
use super::error::ClusterError;
use super::labels::MIRROR;
use super::node::{Node, read_node};
use super::objects;
use crate::timeline::leader::SYSTEM_NAMESPACE;
use crate::timeline::{Endpoint, Secret};
use crate::workload::Route;

const PAGE: u32 = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub name: String,
    pub uid: String,
    pub node: Option<String>,
    pub ip: Option<String>,
    pub ready: bool,
    pub host_network: bool,
    /// Its containers that run, by name, with their ids (`containerd://...`).
    pub running: Vec<(String, String)>,
    /// Its controller: `ReplicaSet/web-559b`.
    pub owner: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// Whether it is the API's picture of a static pod, as the parts of a control plane are.
    pub mirror: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub name: String,
    pub namespace: String,
    /// Its ClusterIP; `None` for a headless one or an ExternalName.
    pub cluster_ip: Option<String>,
    pub ports: Vec<ServicePort>,
    /// The address that its load balancer has, if it has one.
    pub balancer: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ingress {
    /// The address that its load balancer has, if it has one.
    pub balancer: Option<String>,
    /// Those that lead to a Service; its default is the last.
    pub routes: Vec<Route>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServicePort {
    pub name: Option<String>,
    pub port: u16,
    pub protocol: String,
    pub node_port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterDns {
    pub address: IpAddr,
    /// The cluster's domain as the kubelets have it. Default: `cluster.local`.
    pub domain: String,
}

impl Cluster {
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, ClusterError> {
        let nodes = self
            .list_all::<objects::Node>(
                "list the nodes",
                Api::all(self.client()),
                ListParams::default(),
            )
            .await?;
        let mut nodes: Vec<Node> = nodes.into_iter().map(read_node).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// The pods of a namespace that carry all of these labels, by name. Those that are being
    /// deleted are left out.
    pub(crate) async fn pods(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Pod>, ClusterError> {
        let params = ListParams::default().labels(&selector(labels));
        let pods = self
            .list_all::<objects::Pod>(
                "list the pods",
                Api::namespaced(self.client(), namespace),
                params,
            )
            .await?;
        let mut pods: Vec<Pod> = pods
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .map(read_pod)
            .collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    pub(crate) async fn service(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Service, ClusterError> {
        Ok(self.read_service(namespace, name).await?.into())
    }

    pub(super) async fn read_service(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<objects::Service, ClusterError> {
        let api: Api<objects::Service> = Api::namespaced(self.client(), namespace);
        self.call(format!("read the Service {namespace}/{name}"), api.get(name)).await
    }

    pub(crate) async fn ingress(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Ingress, ClusterError> {
        let api: Api<objects::Ingress> = Api::namespaced(self.client(), namespace);
        let what = format!("read the Ingress {namespace}/{name}");
        Ok(read_ingress(self.call(what, api.get(name)).await?))
    }

    /// The values of a Secret, by key.
    pub(crate) async fn secret(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, Secret<Vec<u8>>>, ClusterError> {
        let api: Api<core::Secret> = Api::namespaced(self.client(), namespace);
        let found = self.call(format!("read the Secret {namespace}/{name}"), api.get(name)).await?;
        Ok(found.data.into_iter().flatten().map(|(key, value)| (key, Secret(value.0))).collect())
    }

    pub(crate) async fn services(&self) -> Result<Vec<Service>, ClusterError> {
        let api: Api<objects::Service> = Api::all(self.client());
        let found = self.list_all("list the Services", api, ListParams::default()).await?;
        Ok(found.into_iter().map(Service::from).collect())
    }

    /// A Service's endpoints, each once, by pod or address. From its EndpointSlices; where the
    /// server has none, from its Endpoints.
    pub(crate) async fn endpoints(
        &self,
        namespace: &str,
        service: &str,
    ) -> Result<Vec<Endpoint>, ClusterError> {
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices: Api<EndpointSlice> = Api::namespaced(self.client(), namespace);
        match self.list_all("list the EndpointSlices", slices, params).await {
            Ok(slices) => Ok(merge(slices.iter().flat_map(slice_endpoints))),
            Err(error) if error.is_not_found() => self.old_endpoints(namespace, service).await,
            Err(error) => Err(error),
        }
    }

    async fn old_endpoints(
        &self,
        namespace: &str,
        service: &str,
    ) -> Result<Vec<Endpoint>, ClusterError> {
        let api: Api<core::Endpoints> = Api::namespaced(self.client(), namespace);
        let object =
            self.call(format!("read the Endpoints {service}"), api.get_opt(service)).await?;
        Ok(merge(object.iter().flat_map(endpoints_endpoints)))
    }

    /// The cluster's DNS: the Service with the label `k8s-app: kube-dns` in kube-system. `None`
    /// where there is none.
    pub(crate) async fn cluster_dns(&self) -> Result<Option<ClusterDns>, ClusterError> {
        let api: Api<objects::Service> = Api::namespaced(self.client(), SYSTEM_NAMESPACE);
        let found = self
            .list_all(
                "find the cluster's DNS Service",
                api,
                ListParams::default().labels("k8s-app=kube-dns"),
            )
            .await?;
        let address =
            found.into_iter().find_map(|found| Service::from(found).cluster_ip?.parse().ok());
        let Some(address) = address else { return Ok(None) };
        let domain = self.cluster_domain().await.unwrap_or_else(|| "cluster.local".to_owned());
        Ok(Some(ClusterDns { address, domain }))
    }

    pub(super) async fn list_all<K>(
        &self,
        what: &str,
        api: Api<K>,
        params: ListParams,
    ) -> Result<Vec<K>, ClusterError>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let mut all = Vec::new();
        self.each_page(what, api, params, |page| all.extend(page)).await?;
        Ok(all)
    }

    /// Takes a list page by page: of a large cluster not everything needs to be kept.
    pub(super) async fn each_page<K>(
        &self,
        what: &str,
        api: Api<K>,
        params: ListParams,
        mut take: impl FnMut(Vec<K>),
    ) -> Result<(), ClusterError>
    where
        K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let mut params = params.limit(PAGE);
        loop {
            let page: ObjectList<K> = self.call(what, api.list(&params)).await?;
            take(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }
}

/// Labels as a selector: `a=b,c=d`.
pub(super) fn selector(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

pub(crate) fn pod_ready(pod: &objects::Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| {
        all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    })
}

/// A kind of which more is looked at than this program has types for.
pub(super) fn any(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

/// The owner that controls an object.
pub(super) fn controller(object: &impl ResourceExt) -> Option<&OwnerReference> {
    object.owner_references().iter().find(|owner| owner.controller == Some(true))
}

/// The controller of a pod: `ReplicaSet/web-559b`.
pub(crate) fn owner(pod: &objects::Pod) -> Option<String> {
    let owner = controller(pod)?;
    Some(format!("{}/{}", owner.kind, owner.name))
}

fn read_pod(pod: objects::Pod) -> Pod {
    let (ready, mirror) = (pod_ready(&pod), pod.annotations().contains_key(MIRROR));
    let (owner, labels) = (owner(&pod), pod.labels().clone());
    let spec = pod.spec.unwrap_or_default();
    let status = pod.status.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    Pod {
        name: pod.metadata.name.unwrap_or_default(),
        uid: pod.metadata.uid.unwrap_or_default(),
        node: spec.node_name,
        ip: status.pod_ip.filter(|ip| !ip.is_empty()),
        ready,
        host_network: spec.host_network.unwrap_or(false),
        running: containers.into_iter().filter_map(running).collect(),
        owner,
        labels,
        mirror,
    }
}

fn running(container: objects::ContainerStatus) -> Option<(String, String)> {
    let runs =
        container.state.is_none_or(|state| state.waiting.is_none() && state.terminated.is_none());
    Some((container.name, container.container_id.filter(|_| runs)?))
}

fn read_ingress(ingress: objects::Ingress) -> Ingress {
    Ingress {
        routes: ingress.spec.unwrap_or_default().routes(),
        balancer: ingress.status.unwrap_or_default().address(),
    }
}

impl From<objects::Service> for Service {
    fn from(service: objects::Service) -> Self {
        let (name, namespace) = (service.name_any(), service.namespace().unwrap_or_default());
        let balancer = service.status.unwrap_or_default().address();
        let spec = service.spec.unwrap_or_default();
        let ports = spec.ports.unwrap_or_default().into_iter().map(|port| ServicePort {
            name: port.name,
            port: u16::try_from(port.port).unwrap_or_default(),
            protocol: port.protocol.unwrap_or_else(|| "TCP".to_owned()),
            node_port: port.node_port.and_then(|port| u16::try_from(port).ok()),
        });
        let cluster_ip = spec.cluster_ip.filter(|ip| !ip.is_empty() && ip != "None");
        Self { name, namespace, cluster_ip, ports: ports.collect(), balancer }
    }
}

pub(crate) fn slice_endpoints(slice: &EndpointSlice) -> impl Iterator<Item = Endpoint> {
    slice.endpoints.iter().filter_map(slice_endpoint)
}

fn slice_endpoint(endpoint: &SliceEndpoint) -> Option<Endpoint> {
    let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
    Some(Endpoint {
        address: endpoint.addresses.first()?.clone(),
        pod: pod.and_then(|target| target.name.clone()),
        node: endpoint.node_name.clone(),
        // Nil means ready, in Kubernetes.
        ready: endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true),
    })
}

pub(crate) fn endpoints_endpoints(object: &core::Endpoints) -> impl Iterator<Item = Endpoint> {
    object.subsets.iter().flatten().flat_map(|subset| {
        let of = |addresses: &Option<Vec<core::EndpointAddress>>, ready| {
            addresses
                .clone()
                .unwrap_or_default()
                .into_iter()
                .map(move |address| old_endpoint(address, ready))
        };
        of(&subset.addresses, true).chain(of(&subset.not_ready_addresses, false))
    })
}

fn old_endpoint(address: core::EndpointAddress, ready: bool) -> Endpoint {
    let pod = address.target_ref.filter(|target| target.kind.as_deref() == Some("Pod"));
    Endpoint {
        address: address.ip,
        pod: pod.and_then(|target| target.name),
        node: address.node_name,
        ready,
    }
}

/// One entry a pod (or address): with two address families, or while it moves between slices, an
/// endpoint is listed twice.
fn merge(endpoints: impl Iterator<Item = Endpoint>) -> Vec<Endpoint> {
    let mut merged: BTreeMap<String, Endpoint> = BTreeMap::new();
    for endpoint in endpoints {
        let key = endpoint.pod.clone().unwrap_or_else(|| endpoint.address.clone());
        merged.entry(key).and_modify(|have| have.ready |= endpoint.ready).or_insert(endpoint);
    }
    merged.into_values().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_nil_ready_is_ready_and_an_endpoint_counts_once() {
        let slice = |endpoints| {
            serde_json::from_value::<EndpointSlice>(
                json!({"addressType": "IPv4", "endpoints": endpoints}),
            )
            .unwrap()
        };
        let pod = |name: &str| json!({"kind": "Pod", "name": name});
        let first = slice(json!([
            {"addresses": ["10.0.0.1"], "targetRef": pod("a"), "nodeName": "n1"},
            {"addresses": ["10.0.0.2"], "targetRef": pod("b"), "conditions": {"ready": false}},
        ]));
        let second = slice(
            json!([{"addresses": ["fd00::2"], "targetRef": pod("b"), "conditions": {"ready": true}}]),
        );
        let merged = merge(slice_endpoints(&first).chain(slice_endpoints(&second)));
        let seen: Vec<_> = merged
            .iter()
            .map(|endpoint| (endpoint.pod.as_deref().unwrap(), endpoint.ready))
            .collect();
        assert_eq!(seen, [("a", true), ("b", true)]);
        assert_eq!(merged[0].node.as_deref(), Some("n1"));
    }

    #[test]
    fn a_headless_service_has_no_address() {
        let service = Service::from(
            serde_json::from_value::<objects::Service>(json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}}))
                .unwrap(),
        );
        assert_eq!(service.cluster_ip, None);
        assert_eq!(
            service.ports,
            [ServicePort { name: None, port: 80, protocol: "TCP".into(), node_port: None }]
        );
    }
}
