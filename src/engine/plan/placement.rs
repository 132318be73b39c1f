//! Where a probe runs and whom exactly it asks: from the experiment's words to addresses.

use std::net::{IpAddr, SocketAddr};

use crate::cluster::{Cluster, ClusterError, Ingress, Pod, Service};
use crate::engine::error::RunError;
use crate::engine::plan::pods;
use crate::experiment::{Connection, From, Pods, PortOn, Probe, Target, Via};
use crate::plan;
use crate::plan::needs::needs;
use crate::probe::{Destination, ProbeSpec, Question};
use crate::timeline::{ObjectRef, ProbeHeader};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In a node's own network.
    Node { node: String },
    /// In a pod's network, with its DNS.
    Pod { node: String, pod: ObjectRef, uid: String },
    /// On the machine on which this program runs.
    Host,
}

impl Place {
    /// The node that hosts it; `None` on the host.
    pub(crate) fn node(&self) -> Option<&str> {
        match self {
            Place::Node { node } | Place::Pod { node, .. } => Some(node),
            Place::Host => None,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Place::Node { node } => node.clone(),
            Place::Pod { node, pod, .. } => format!("pod {pod} on {node}"),
            Place::Host => "this machine".into(),
        }
    }
}

/// What a probe asks, resolved.
pub(in crate::engine) struct Asked {
    pub(in crate::engine) target: String,
    pub(in crate::engine) destination: Destination,
    pub(in crate::engine) question: Question,
}

/// Resolves probes in the run's namespace.
pub(crate) struct Placement<'a> {
    pub cluster: &'a Cluster,
    pub namespace: &'a str,
    pub nodes: &'a [plan::Node],
    /// Nodes that a fault may hit, the likeliest first.
    pub at_risk: &'a [String],
}

impl Placement<'_> {
    /// What a probe asks from where it runs.
    pub(crate) async fn resolve(
        &self,
        probe: &Probe,
        place: &Place,
    ) -> Result<ProbeSpec, RunError> {
        let Asked { target, destination, question } = self.asked(probe, place).await?;
        let header = ProbeHeader {
            name: probe.name.clone(),
            kind: probe.ask.kind(),
            target,
            service: probe.ask.service().map(ToString::to_string),
            from: place.describe(),
            from_node: place.node().map(str::to_owned),
            reused: probe.connection == Connection::Reused,
            control: false,
            paths: probe.ask.paths_in_turn().to_vec(),
            needs: needs(&probe.ask),
        };
        Ok(ProbeSpec {
            header,
            destination,
            question,
            interval_ns: ProbeSpec::interval_of(probe.rate),
            timeout_ns: probe.timeout.as_nanos() as u64,
        })
    }

    pub(crate) async fn place(&self, probe: &Probe) -> Result<Place, RunError> {
        match &probe.from {
            From::Host => Ok(Place::Host),
            From::Node(selector) => {
                let node = plan::probe_host(self.nodes, selector, self.at_risk)?;
                Ok(Place::Node { node: node.name.clone() })
            }
            From::Pod(pods) => {
                let pod = self.pod(probe, pods).await?;
                let node = pod.node.clone().ok_or_else(|| {
                    RunError::refused(format!("pod {} is not on a node", pod.name))
                })?;
                let pod_ref = ObjectRef::new(pods.namespace.as_deref(), &pod.name);
                Ok(Place::Pod { node, pod: pod_ref, uid: pod.uid })
            }
        }
    }

    /// The first ready one by name.
    pub(super) async fn pod(&self, probe: &Probe, pods: &Pods) -> Result<Pod, RunError> {
        let namespace = pods.namespace.as_deref().unwrap_or(self.namespace);
        let found = pods::pods(self.cluster, namespace, pods).await?;
        let (place, hint) = match &pods.namespace {
            Some(namespace) => (format!("the namespace {namespace}"), list_pods(namespace)),
            None => ("the run's namespace".into(), "the workload must create it".into()),
        };
        found.into_iter().find(|pod| pod.ready).ok_or_else(|| {
            let text = format!("probe {} finds no ready pod {} in {place}", probe.name, pods.by);
            RunError::refused(text).hint(hint)
        })
    }

    pub(super) async fn destination(
        &self,
        probe: &Probe,
        place: &Place,
        target: &Target,
    ) -> Result<Destination, RunError> {
        match target {
            Target::Address { host, port, .. } => Ok(address(host, *port)),
            Target::Service { service, port } => self.service(probe, place, service, *port).await,
            Target::Pod { pods, port } => {
                let pod = self.pod(probe, pods).await?;
                let ip = pod
                    .ip
                    .ok_or_else(|| RunError::refused(format!("pod {} has no address", pod.name)))?;
                Ok(address(&ip, *port))
            }
            Target::Published { service, port, via, on } => {
                let found = self.find_service(service).await?;
                let port = service_port(probe, &found, *port)?;
                match via {
                    Via::NodePort => {
                        let port = node_port(&probe.name, service, &found, port)?;
                        match on {
                            PortOn::Node { address: ip, .. } => Ok(address(ip, port)),
                            // Which comes to be a probe for each node before a run.
                            PortOn::Each => self.node_that_is_ready(probe, &[], port),
                            PortOn::Spared => self.node_that_is_ready(probe, self.at_risk, port),
                        }
                    }
                    Via::LoadBalancer => published(probe, "Service", service, found.balancer)
                        .map(|it| address(&it, port)),
                }
            }
            Target::Ingress { ingress, tls, .. } => {
                let found = self.find_ingress(ingress).await?;
                let port = if *tls { 443 } else { 80 };
                published(probe, "Ingress", ingress, found.balancer).map(|it| address(&it, port))
            }
        }
    }

    /// A port on a node that is Ready, and none of these.
    fn node_that_is_ready(
        &self,
        probe: &Probe,
        but: &[String],
        port: u16,
    ) -> Result<Destination, RunError> {
        let spared = |node: &&plan::Node| !but.contains(&node.name) && node.ready;
        let spared = self.nodes.iter().filter(spared);
        let reachable = spared.filter_map(|node| Some((node.api_only, node.address.as_ref()?)));
        // What is no container of the cluster's may be no machine at all (kwok's nodes).
        let best = reachable.min_by_key(|(api_only, _)| *api_only);
        best.map(|(_, ip)| address(ip, port)).ok_or_else(|| {
            RunError::refused(format!(
                "probe {} uses a NodePort, but a fault may hit any of the nodes that are Ready",
                probe.name
            ))
            .hint(
                "limit the fault's target by `role`, `name` or `labels`, or probe each node: `on: each`",
            )
        })
    }

    async fn find_ingress(&self, object: &ObjectRef) -> Result<Ingress, RunError> {
        let namespace = object.namespace_or(self.namespace);
        let read = self.cluster.ingress(namespace, &object.name).await;
        found(read, "Ingress", namespace, &object.name)
    }

    async fn service(
        &self,
        probe: &Probe,
        place: &Place,
        object: &ObjectRef,
        port: Option<u16>,
    ) -> Result<Destination, RunError> {
        let service = self.find_service(object).await?;
        let port = service_port(probe, &service, port)?;
        match (place, &service.cluster_ip) {
            // A pod asks as pods do: by name, of the cluster's DNS.
            (Place::Pod { pod, .. }, _) => {
                let host = match pod.namespace == object.namespace {
                    true => object.name.clone(),
                    false => self.host_of(object),
                };
                Ok(Destination::Name { host, port })
            }
            (Place::Host, _) => Err(RunError::refused(format!(
                "probe {} targets Service {object} from the host, which cannot reach ClusterIPs",
                probe.name
            ))
            .hint("use `from: {node: {role: control-plane}}`, or a `url`")),
            (Place::Node { .. }, Some(ip)) => Ok(address(ip, port)),
            (Place::Node { .. }, None) => {
                Err(RunError::refused(format!("Service {object} is headless: it has no ClusterIP"))
                    .hint("probe it from a pod, by name, or probe a pod directly"))
            }
        }
    }

    /// A Service as it is now. Refused where there is none.
    pub(super) async fn find_service(&self, object: &ObjectRef) -> Result<Service, RunError> {
        let namespace = object.namespace_or(self.namespace);
        let read = self.cluster.service(namespace, &object.name).await;
        found(read, "Service", namespace, &object.name)
    }

    /// A Service's name for a pod of another namespace.
    fn host_of(&self, object: &ObjectRef) -> String {
        format!("{}.{}.svc", object.name, object.namespace_or(self.namespace))
    }
}

/// A Service's port on each node.
fn node_port(
    probe: &str,
    object: &ObjectRef,
    service: &Service,
    port: u16,
) -> Result<u16, RunError> {
    let published = service.ports.iter().find(|it| it.port == port).and_then(|it| it.node_port);
    published.ok_or_else(|| {
        RunError::refused(format!(
            "probe {probe} targets Service {object} by NodePort, but its port {port} has none"
        ))
        .hint("remove `via` to use its ClusterIP, or change its type to NodePort")
    })
}

/// The address that a load balancer has given it.
fn published(
    probe: &Probe,
    kind: &str,
    object: &ObjectRef,
    balancer: Option<String>,
) -> Result<String, RunError> {
    balancer.ok_or_else(|| {
        RunError::refused(format!("probe {}: {kind} {object} has no address yet", probe.name)).hint(
            "a controller sets it in `status.loadBalancer`; if there is none, use `via: nodePort` \
             or a `url`",
        )
    })
}

/// What was read. Refused where there is none of that name.
pub(crate) fn found<T>(
    read: Result<T, ClusterError>,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<T, RunError> {
    read.map_err(|error| match error.is_not_found() {
        true => absent(kind, namespace, name),
        false => RunError::refused_by(error),
    })
}

/// How to see which pods there are.
pub(super) fn list_pods(namespace: &str) -> String {
    format!("`kubectl -n {namespace} get pods --show-labels` lists what is there")
}

/// Something that an experiment names, and that is not there.
pub(super) fn absent(kind: &str, namespace: &str, name: &str) -> RunError {
    RunError::refused(format!("there is no {kind} {name} in the namespace {namespace}"))
        .hint(format!("`kubectl -n {namespace} get {}` lists what is there", kind.to_lowercase()))
}

fn service_port(probe: &Probe, service: &Service, asked: Option<u16>) -> Result<u16, RunError> {
    let ports: Vec<u16> = service.ports.iter().map(|port| port.port).collect();
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    match (asked, ports.as_slice()) {
        (Some(port), ports) if ports.contains(&port) => Ok(port),
        (Some(port), _) => Err(RunError::refused(format!(
            "probe {} uses port {port}, but Service {} has {listed}",
            probe.name, service.name
        ))),
        (None, [only]) => Ok(*only),
        (None, _) => Err(RunError::refused(format!(
            "probe {} does not name a port, and Service {} has {listed}",
            probe.name, service.name
        ))
        .hint("set `port`")),
    }
}

/// An address, or a name to be resolved.
pub(in crate::engine) fn address(host: &str, port: u16) -> Destination {
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => Destination::Address(SocketAddr::new(ip, port)),
        Err(_) => Destination::Name { host: host.to_owned(), port },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ServicePort;
    use crate::engine::error::RunErrorKind;

    #[test]
    fn a_port_that_no_node_publishes_is_refused() {
        let port = |port, node_port| {
            let (name, protocol) = (None, "TCP".into());
            ServicePort { name, port, protocol, node_port }
        };
        let service = Service {
            name: "front".into(),
            namespace: "shop".into(),
            cluster_ip: Some("10.96.0.9".into()),
            ports: vec![port(80, Some(30080)), port(8080, None)],
            balancer: None,
        };
        let found = |port| node_port("web", &ObjectRef::new(Some("shop"), "front"), &service, port);
        assert_eq!(found(80).unwrap(), 30080);
        let refused = found(8080).unwrap_err();
        let why = "probe web targets Service shop/front by NodePort, but its port 8080 has none";
        assert_eq!((refused.kind, &*refused.message), (RunErrorKind::Refused, why));
        assert!(refused.hint.unwrap().contains("remove `via`"));
    }

    #[test]
    fn addresses_are_told_from_names() {
        assert_eq!(address("::1", 1), Destination::Address("[::1]:1".parse().unwrap()));
        assert_eq!(address("web", 1), Destination::Name { host: "web".into(), port: 1 });
    }
}
