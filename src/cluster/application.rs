//! A Service that exists, as far as an experiment about it can be written without asking anybody:
//! its ports, who answers there, and how its pods say that they are ready.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use super::connect::Cluster;
use super::error::ClusterError;
use super::objects::Service;
use super::query::{self, any, selector};
use crate::timeline::Endpoint;

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Application {
    pub namespace: String,
    pub service: String,
    pub headless: bool,
    /// Whether a client stays with one endpoint.
    pub session_affinity: bool,
    pub ports: Vec<ApplicationPort>,
    /// The labels of its pods; empty: it chooses none.
    pub selector: BTreeMap<String, String>,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ApplicationPort {
    pub port: u16,
    pub name: Option<String>,
    pub tcp: bool,
    /// What the pods' readiness probe asks for at the port behind this one.
    pub readiness: Option<ReadinessProbe>,
}

/// What a readiness probe asks for that a probe of ours can ask for, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadinessProbe {
    /// A path, over HTTP.
    Http(String),
    /// The health of a gRPC service; empty: of the server.
    Grpc(String),
}

impl Cluster {
    /// The namespace that the context names, or `default`.
    pub(crate) fn default_namespace(&self) -> &str {
        &self.config().default_namespace
    }

    /// A Service as `NAMESPACE/NAME`, of each that there is.
    pub(crate) async fn service_names(&self) -> Result<Vec<String>, ClusterError> {
        let api: Api<Service> = Api::all(self.client());
        let all = self.list_all("list the Services", api, ListParams::default()).await?;
        let mut names: Vec<String> = all
            .iter()
            .map(|one| format!("{}/{}", one.namespace().unwrap_or_default(), one.name_any()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Reads a Service and its pods. Errors when there is none of that name.
    pub(crate) async fn application(
        &self,
        namespace: &str,
        service: &str,
    ) -> Result<Application, ClusterError> {
        let found = self.read_service(namespace, service).await?;
        let labels = found.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let labels = labels.filter(|labels| !labels.is_empty());
        let pods = match labels {
            None => Vec::new(),
            Some(labels) => {
                let params = ListParams::default().labels(&selector(labels));
                let api = Api::namespaced_with(self.client(), namespace, &any("", "v1", "Pod"));
                self.list_all::<DynamicObject>("list the Service's pods", api, params).await?
            }
        };
        let endpoints = self.endpoints(namespace, service).await?;
        Ok(Application { endpoints, ..read(found, pods.first()) })
    }
}

fn read(found: Service, pod: Option<&DynamicObject>) -> Application {
    let service = query::Service::from(found.clone());
    let spec = found.spec.unwrap_or_default();
    let ports = service.ports.into_iter().zip(spec.ports.unwrap_or_default());
    Application {
        namespace: service.namespace,
        service: service.name,
        headless: service.cluster_ip.is_none(),
        session_affinity: spec.session_affinity.as_deref() == Some("ClientIP"),
        ports: ports
            .map(|(port, found)| ApplicationPort {
                port: port.port,
                name: port.name,
                tcp: port.protocol == "TCP",
                readiness: pod.and_then(|pod| readiness(pod, &found.target_port)),
            })
            .collect(),
        selector: spec.selector.unwrap_or_default(),
        endpoints: Vec::new(),
    }
}

/// What a readiness probe asks for at the port that a Service leads to, whether either is a name or
/// a number.
fn readiness(pod: &DynamicObject, target: &Value) -> Option<ReadinessProbe> {
    let containers = pod.data["spec"]["containers"].as_array()?;
    let number =
        |container: &Value, port: &Value| match port.as_str() {
            None => port.as_u64(),
            Some(name) => container["ports"]
                .as_array()?
                .iter()
                .find(|port| port["name"] == name)?["containerPort"]
                .as_u64(),
        };
    containers.iter().find_map(|container| {
        let (http, grpc) =
            (&container["readinessProbe"]["httpGet"], &container["readinessProbe"]["grpc"]);
        let text = |value: &Value, default: &str| value.as_str().unwrap_or(default).to_owned();
        let plain = http["scheme"].as_str().is_none_or(|scheme| scheme == "HTTP");
        let (port, asks) = match http.is_null() {
            true => (&grpc["port"], ReadinessProbe::Grpc(text(&grpc["service"], ""))),
            false => (&http["port"], ReadinessProbe::Http(text(&http["path"], "/"))),
        };
        (plain && number(container, port)? == number(container, target)?).then_some(asks)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_is_what_the_readiness_probe_of_the_same_port_asks() {
        let object = |value: Value| serde_json::from_value::<DynamicObject>(value).unwrap();
        let service: Service = serde_json::from_value(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "frontend", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.9", "sessionAffinity": "ClientIP", "ports": [
                {"name": "http", "port": 80, "protocol": "TCP", "targetPort": "web"},
                {"name": "metrics", "port": 9090, "targetPort": 9090}, {"port": 53, "protocol": "UDP"},
                {"port": 9000, "targetPort": 9000}]}}),
        )
        .unwrap();
        let pod = object(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "side", "readinessProbe": {"grpc": {"port": 9000, "service": "shop.v1"}}},
            {"name": "c", "ports": [{"name": "web", "containerPort": 8080}],
             "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}}}]}}),
        );
        let found = read(service.clone(), Some(&pod));
        assert!(found.session_affinity && !found.headless);
        let ports: Vec<_> =
            found.ports.iter().map(|port| (port.port, port.tcp, port.readiness.clone())).collect();
        let health = Some(ReadinessProbe::Http("/healthz".into()));
        let grpc = Some(ReadinessProbe::Grpc("shop.v1".into()));
        let expected =
            [(80, true, health), (9090, true, None), (53, false, None), (9000, true, grpc)];
        assert_eq!(ports, expected);
        assert_eq!(read(service, None).ports[0].readiness, None);
    }
}
