//! What the API server asks the rest of the cluster: ClusterIPs, default tolerations, how things
//! are deleted, what a kubelet says.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::api::{ApiError, Deletion, Hooks, Proxied};
use super::network::Ports;
use super::objects::{pod, service, system};
use super::store::{Kind, kinds, object};
use crate::model::{NodeId, Topology};
use crate::timeline::{NodeRole, Tolerations, Tuning};

/// The grace of a pod that asks for none.
const GRACE_SECONDS: u32 = 30;
/// Where Kubernetes takes NodePorts from (kube-apiserver's --service-node-port-range).
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;
/// How long the API server tries to connect to a kubelet (client-go transport/cache.go).
const KUBELET_DIAL: Duration = Duration::from_secs(30);

/// What the API server's hooks see of the cluster, and the driver keeps up to date.
#[derive(Debug)]
pub(super) struct Shared {
    pub ports: Ports,
    pub tuning: Tuning,
    pub tolerations: Tolerations,
    topology: Topology,
    /// Which kubelets answer, by node.
    answering: watch::Sender<Vec<bool>>,
    /// ClusterIPs, and how many of them are given.
    addresses: Vec<IpAddr>,
    given: AtomicUsize,
    /// Every port that a Service ever had on the nodes.
    node_ports: Mutex<BTreeSet<u16>>,
}

impl Shared {
    /// Of a cluster in which all kubelets answer. `addresses` are those that Services get, one
    /// after the other.
    pub(super) fn new(
        ports: Ports,
        tuning: Tuning,
        tolerations: Tolerations,
        topology: Topology,
        addresses: Vec<IpAddr>,
    ) -> Self {
        let answering = watch::Sender::new(vec![true; topology.nodes.len()]);
        Self {
            ports,
            tuning,
            tolerations,
            topology,
            answering,
            addresses,
            given: AtomicUsize::new(0),
            node_ports: Mutex::default(),
        }
    }

    /// Which kubelets answer from now on, by node.
    pub(super) fn kubelets(&self, answering: Vec<bool>) {
        self.answering.send_replace(answering);
    }

    pub(super) fn is_control_plane(&self, node: NodeId) -> bool {
        self.topology.nodes[node.0].role == NodeRole::ControlPlane
    }

    /// Waits until this kubelet answers; for so long a real API server tries to reach one.
    async fn answers(&self, node: NodeId) -> Result<(), ApiError> {
        let mut answering = self.answering.subscribe();
        match tokio::time::timeout(KUBELET_DIAL, answering.wait_for(|answer| answer[node.0])).await
        {
            Ok(_) => Ok(()),
            Err(_) => Err(ApiError::new(
                503,
                "ServiceUnavailable",
                "error trying to reach service: the kubelet does not answer: i/o timeout",
            )),
        }
    }

    /// A port that no Service has on the nodes, and that can be listened on.
    fn free_node_port(&self) -> u16 {
        let mut taken = self.node_ports.lock().expect("no holder panics");
        let is_free =
            |port: &u16| !taken.contains(port) && self.ports.reachable(*port, &[*port]) == *port;
        let port = NODE_PORTS.clone().find(is_free).unwrap_or(*NODE_PORTS.start());
        taken.insert(port);
        port
    }

    /// Gives a Service its address, and the ports at which it can be asked here.
    fn admit_service(&self, service: &mut Value) -> Result<(), ApiError> {
        let twice = service::duplicates(service);
        if !twice.is_empty() {
            return Err(ApiError::invalid(&kinds::SERVICES, object::name(service), &twice));
        }
        let spec = object::map_mut(service, "spec");
        let external = spec.get("type").is_some_and(|kind| kind == "ExternalName");
        let has_address =
            spec.get("clusterIP").and_then(Value::as_str).is_some_and(|ip| !ip.is_empty());
        if !external && !has_address {
            let count = self.given.fetch_add(1, Ordering::Relaxed) % self.addresses.len();
            let address = self.addresses[count].to_string();
            spec.insert("clusterIP".into(), json!(address));
            spec.insert("clusterIPs".into(), json!([address]));
        }
        service::publish(service, |port, all| self.ports.reachable(port, all));
        let taken = service::node_ports(service).collect::<Vec<_>>();
        self.node_ports.lock().expect("no holder panics").extend(taken);
        service::publish_on_nodes(
            service,
            |port| self.ports.reachable(port, &[port]),
            || self.free_node_port(),
        );
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct ClusterHooks(pub Arc<Shared>);

impl Hooks for ClusterHooks {
    fn admit(&self, kind: &'static Kind, object: &mut Value) -> Result<(), ApiError> {
        match kind.plural {
            "services" => return self.0.admit_service(object),
            "pods" => pod::admit(object, self.0.tolerations),
            _ => {}
        }
        Ok(())
    }

    fn deletion(&self, kind: &'static Kind, object: &Value, grace: Option<u32>) -> Deletion {
        let own = object["spec"]["terminationGracePeriodSeconds"]
            .as_u64()
            .and_then(|seconds| u32::try_from(seconds).ok());
        match kind.plural {
            "namespaces" => Deletion::Later(0),
            // A kubelet has to say that it has ended; one that is on no node has none.
            "pods" if grace != Some(0) && object["spec"]["nodeName"].is_string() => {
                Deletion::Later(grace.or(own).unwrap_or(GRACE_SECONDS))
            }
            _ => Deletion::Now,
        }
    }

    fn node_proxy(&self, node: &str, path: &str) -> Proxied {
        let shared = self.0.clone();
        let Some(id) = shared.topology.find(node) else {
            return Box::pin(std::future::ready(Err(ApiError::not_found(&kinds::NODES, node))));
        };
        let path = path.to_owned();
        Box::pin(async move {
            shared.answers(id).await?;
            match path.as_str() {
                "configz" => Ok(("application/json", system::configz(&shared.tuning).to_string())),
                "healthz" => Ok(("text/plain", "ok".to_owned())),
                _ => Err(ApiError::no_such_path()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::network::Block;

    fn shared(block: &Block) -> Shared {
        let addresses: Vec<IpAddr> = (1..10).map(|count| block.service(count)).collect();
        Shared::new(
            block.ports(),
            Tuning::default(),
            Tolerations::default(),
            Topology::kind("a", 1, 1),
            addresses,
        )
    }

    #[test]
    fn a_service_gets_an_address_once_and_keeps_what_is_behind_its_port() {
        let block = Block::claim().unwrap();
        let hooks = ClusterHooks(Arc::new(shared(&block)));
        let mut service =
            json!({"spec": {"ports": [{"port": 18_090}, {"port": 18_091, "targetPort": "http"}]}});
        hooks.admit(&kinds::SERVICES, &mut service).unwrap();
        assert_eq!(service["spec"]["clusterIP"], block.service(1).to_string());
        assert_eq!(
            (
                &service["spec"]["ports"][0]["targetPort"],
                &service["spec"]["ports"][1]["targetPort"]
            ),
            (&18_090.into(), &"http".into())
        );
        let once = service.clone();
        hooks.admit(&kinds::SERVICES, &mut service).unwrap();
        assert_eq!(service, once);
        let mut headless = json!({"spec": {"clusterIP": "None"}});
        hooks.admit(&kinds::SERVICES, &mut headless).unwrap();
        assert_eq!(headless["spec"]["clusterIP"], "None");
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_kubelet_does_not_answer() {
        let block = Block::claim().unwrap();
        let hooks = ClusterHooks(Arc::new(shared(&block)));
        assert!(hooks.node_proxy("a-worker", "configz").await.is_ok());
        assert_eq!(hooks.node_proxy("b", "configz").await.unwrap_err().code, 404);
        hooks.0.kubelets(vec![true, false]);
        let silent = tokio::time::timeout(
            std::time::Duration::from_millis(50),
            hooks.node_proxy("a-worker", "configz"),
        )
        .await;
        assert!(silent.is_err());
        let asked = tokio::spawn(hooks.node_proxy("a-worker", "configz"));
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        hooks.0.kubelets(vec![true, true]);
        assert!(asked.await.unwrap().is_ok(), "it is asked when it comes back");
        hooks.0.kubelets(vec![true, false]);
        assert_eq!(
            hooks.node_proxy("a-worker", "configz").await.unwrap_err().code,
            503,
            "in the end it is given up"
        );
    }

    #[test]
    fn a_pod_on_a_node_ends_by_its_kubelet() {
        let block = Block::claim().unwrap();
        let hooks = ClusterHooks(Arc::new(shared(&block)));
        let bound = json!({"spec": {"nodeName": "a-worker", "terminationGracePeriodSeconds": 2}});
        assert_eq!(hooks.deletion(&kinds::PODS, &bound, None), Deletion::Later(2));
        assert_eq!(hooks.deletion(&kinds::PODS, &bound, Some(0)), Deletion::Now);
        assert_eq!(hooks.deletion(&kinds::PODS, &json!({"spec": {}}), None), Deletion::Now);
        assert_eq!(hooks.deletion(&kinds::NAMESPACES, &json!({}), None), Deletion::Later(0));
    }
}
