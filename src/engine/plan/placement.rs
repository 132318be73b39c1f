//! Where a probe runs and whom exactly it asks: from the experiment's words to addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::cluster::{Cluster, Pod, Service};
use crate::engine::error::RunError;
use crate::experiment::{Connection, From, Probe, Target};
use crate::plan::needs::needs;
use crate::plan::{self, Endpoints};
use crate::probe::{Destination, ProbeSpec, Question};
use crate::timeline::ProbeHeader;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In a node's own network.
    Node { node: String },
    /// In a pod's network, with its DNS.
    Pod { node: String, pod: String, uid: String },
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
    /// Nodes that a fault may hit.
    pub at_risk: &'a [String],
}

impl Placement<'_> {
    /// Where a probe runs, and what it asks.
    pub(crate) async fn resolve(&self, probe: &Probe) -> Result<(Place, ProbeSpec), RunError> {
        let place = self.place(probe).await?;
        let Asked { target, destination, question } = self.asked(probe, &place).await?;
        let header = ProbeHeader {
            name: probe.name.clone(),
            kind: probe.ask.kind(),
            target,
            service: probe.ask.service().map(str::to_owned),
            from: place.describe(),
            from_node: place.node().map(str::to_owned),
            reused: probe.connection == Connection::Reused,
            control: false,
            needs: needs(&probe.ask),
        };
        let spec = ProbeSpec {
            header,
            destination,
            question,
            interval_ns: ProbeSpec::interval_of(probe.rate),
            timeout_ns: probe.timeout.as_nanos() as u64,
        };
        Ok((place, spec))
    }

    async fn place(&self, probe: &Probe) -> Result<Place, RunError> {
        match &probe.from {
            From::Host => Ok(Place::Host),
            From::Node(selector) => {
                let at_risk: Vec<&str> = self.at_risk.iter().map(String::as_str).collect();
                let node = plan::probe_host(self.nodes, selector, &Endpoints::new(), &at_risk)?;
                Ok(Place::Node { node: node.name.clone() })
            }
            From::Pod { labels } => {
                let pod = self.pod(probe, labels).await?;
                let node = pod.node.clone().ok_or_else(|| {
                    RunError::failed(format!("pod {} is not on a node", pod.name))
                })?;
                Ok(Place::Pod { node, pod: pod.name, uid: pod.uid })
            }
        }
    }

    /// The first ready pod by name that has the labels.
    async fn pod(&self, probe: &Probe, labels: &BTreeMap<String, String>) -> Result<Pod, RunError> {
        let mut pods =
            self.cluster.pods(self.namespace, labels).await.map_err(RunError::failed_by)?;
        pods.retain(|pod| pod.ready);
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        let wanted: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pods.into_iter().next().ok_or_else(|| {
            RunError::failed(format!(
                "probe {} finds no ready pod with {} in the run's namespace",
                probe.name,
                wanted.join(",")
            ))
            .hint("the workload must create it")
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
            Target::Service { name, port } => self.service(probe, place, name, *port).await,
            Target::Pod { labels, port } => {
                let pod = self.pod(probe, labels).await?;
                let ip = pod
                    .ip
                    .ok_or_else(|| RunError::failed(format!("pod {} has no address", pod.name)))?;
                Ok(address(&ip, *port))
            }
        }
    }

    async fn service(
        &self,
        probe: &Probe,
        place: &Place,
        name: &str,
        port: Option<u16>,
    ) -> Result<Destination, RunError> {
        let service =
            self.cluster.service(self.namespace, name).await.map_err(RunError::failed_by)?;
        let port = service_port(probe, &service, port)?;
        match (place, &service.cluster_ip) {
            // A pod asks as pods do: by name, of the cluster's DNS.
            (Place::Pod { .. }, _) => Ok(Destination::Name { host: name.to_owned(), port }),
            (Place::Host, _) => Err(RunError::failed(format!(
                "probe {} targets Service {name} from the host, which cannot reach ClusterIPs",
                probe.name
            ))
            .hint("use `from: {node: {role: control-plane}}`, or a `url`")),
            (Place::Node { .. }, Some(ip)) => Ok(address(ip, port)),
            (Place::Node { .. }, None) => {
                Err(RunError::failed(format!("Service {name} is headless: it has no ClusterIP"))
                    .hint("probe it from a pod, by name, or probe a pod directly"))
            }
        }
    }
}

fn service_port(probe: &Probe, service: &Service, asked: Option<u16>) -> Result<u16, RunError> {
    let ports: Vec<u16> = service.ports.iter().map(|port| port.port).collect();
    let listed = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    match (asked, ports.as_slice()) {
        (Some(port), ports) if ports.contains(&port) => Ok(port),
        (Some(port), _) => Err(RunError::failed(format!(
            "probe {} uses port {port}, but Service {} has {listed}",
            probe.name, service.name
        ))),
        (None, [only]) => Ok(*only),
        (None, _) => Err(RunError::failed(format!(
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

    #[test]
    fn addresses_are_told_from_names() {
        assert_eq!(address("::1", 1), Destination::Address("[::1]:1".parse().unwrap()));
        assert_eq!(address("web", 1), Destination::Name { host: "web".into(), port: 1 });
    }
}
