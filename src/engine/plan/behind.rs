//! The Services behind what probes ask by an address, or through an Ingress: with them it is known
//! which faults such a probe notices, and what is predicted for it.

use std::net::IpAddr;

use crate::cluster::{Cluster, Node, Service};
use crate::engine::error::RunError;
use crate::engine::plan::placement::found;
use crate::experiment::{Ask, From, Parsed, Probe, Target};
use crate::plan;
use crate::timeline::ObjectRef;
use crate::workload::Route;

/// The experiment with the Service of each address that one of the cluster's Services has, and with
/// the rule of each Ingress. Refused where an Ingress is not there, or has several rules that are
/// meant.
pub(crate) async fn resolved(cluster: &Cluster, parsed: &Parsed) -> Result<Parsed, RunError> {
    let mut parsed = parsed.clone();
    let addresses = Addresses::of(cluster, &parsed).await;
    for index in 0..parsed.experiment.probes.len() {
        let probe = &parsed.experiment.probes[index];
        let ask = match probe.ask.target() {
            Some(Target::Address { host, port, .. }) => {
                let service = addresses.service_at(host, *port, &probe.from);
                with_service(&probe.ask, service)
            }
            Some(Target::Ingress { ingress, .. }) => {
                match routes_of(cluster, &parsed, ingress).await? {
                    Some(routes) => with_route(probe, ingress, &routes)?,
                    None => continue,
                }
            }
            _ => continue,
        };
        parsed.experiment.probes[index].ask = ask;
    }
    Ok(parsed)
}

fn with_service(ask: &Ask, found: Option<ObjectRef>) -> Ask {
    let mut ask = ask.clone();
    if let Some(Target::Address { service, .. }) = ask.target_mut() {
        *service = found;
    }
    ask
}

/// The rules of one that exists, or of one of the workload. `None`: one of the workload's that can't
/// be read, which the API server will say.
async fn routes_of(
    cluster: &Cluster,
    parsed: &Parsed,
    ingress: &ObjectRef,
) -> Result<Option<Vec<Route>>, RunError> {
    let Some(namespace) = &ingress.namespace else {
        return Ok(parsed.workload.routes(&ingress.name));
    };
    let read = cluster.ingress(namespace, &ingress.name).await;
    found(read, "Ingress", namespace, &ingress.name).map(|found| Some(found.routes))
}

/// What a probe asks, by the rules of its Ingress that are meant: one for each of its paths.
fn with_route(probe: &Probe, ingress: &ObjectRef, routes: &[Route]) -> Result<Ask, RunError> {
    let mut ask = probe.ask.clone();
    let paths = ask.paths();
    let Some(Target::Ingress { host, service, of_paths, .. }) = ask.target_mut() else {
        return Ok(ask);
    };
    let chosen = paths.iter().map(|path| {
        Route::chosen(routes, host.as_deref(), path).map_err(|why| {
            let text = format!("probe {}: Ingress {ingress} has {}", probe.name, why.what);
            RunError::refused(text).hint(why.hint)
        })
    });
    let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    let Some((route, others)) = chosen.split_first() else { return Ok(ask) };
    let behind = |route: &Route| ObjectRef::new(ingress.namespace.as_deref(), &route.service);
    if others.iter().all(|other| other.service == route.service) {
        *service = Some(behind(route));
    } else {
        *of_paths = chosen.iter().copied().map(behind).collect();
    }
    *host = host.take().or_else(|| route.host.clone());
    if let Ask::Http(http) = &mut ask
        && http.path.is_empty()
    {
        http.path.clone_from(&route.path);
    }
    Ok(ask)
}

/// The addresses of a cluster's Services.
#[derive(Default)]
struct Addresses {
    services: Vec<Service>,
    /// Those that no fault takes.
    nodes: Vec<Node>,
}

impl Addresses {
    /// Empty where no probe asks an address, and where the cluster does not say: nothing is
    /// predicted then, which is not a reason to refuse.
    async fn of(cluster: &Cluster, parsed: &Parsed) -> Self {
        let asks = |probe: &Probe| matches!(probe.ask.target(), Some(Target::Address { .. }));
        if !parsed.experiment.probes.iter().any(asks) {
            return Self::default();
        }
        let services = cluster.services().await.unwrap_or_default();
        let mut nodes = cluster.nodes().await.unwrap_or_default();
        let known: Vec<plan::Node> = nodes.iter().cloned().map(plan::Node::from).collect();
        let at_risk = plan::at_risk(&parsed.experiment, &known, &plan::Endpoints::new());
        nodes.retain(|node| !at_risk.contains(&node.name));
        Self { services, nodes }
    }

    fn service_at(&self, host: &str, port: u16, from: &From) -> Option<ObjectRef> {
        let host = host.trim_matches(['[', ']']);
        let has = |service: &&Service| match host.parse::<IpAddr>() {
            Ok(_) => self.has_address(service, host, port),
            Err(_) => {
                service.has_port(port)
                    && (service.balancer.as_deref() == Some(host) || service.is_named(host, from))
            }
        };
        let found = self.services.iter().find(has)?;
        Some(ObjectRef::new(Some(&found.namespace), &found.name))
    }

    fn has_address(&self, service: &Service, ip: &str, port: u16) -> bool {
        let own = [&service.cluster_ip, &service.balancer];
        let of_node = || self.nodes.iter().any(|node| node.addresses.iter().any(|it| it == ip));
        (service.has_port(port) && own.iter().any(|own| own.as_deref() == Some(ip)))
            || (service.ports.iter().any(|it| it.node_port == Some(port)) && of_node())
    }
}

impl Service {
    fn has_port(&self, port: u16) -> bool {
        self.ports.iter().any(|it| it.port == port)
    }

    /// Whether a client knows it by this name: `web.shop.svc` and what follows; a pod also
    /// `web.shop`.
    fn is_named(&self, host: &str, from: &From) -> bool {
        let own = format!("{}.{}", self.name, self.namespace);
        match host.trim_end_matches('.').strip_prefix(&own) {
            Some("") => matches!(from, From::Pod(_)),
            Some(rest) => rest == ".svc" || rest.starts_with(".svc."),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::experiment::{Pods, Source, parse};

    #[tokio::test]
    async fn a_node_port_counts_where_no_fault_can_hit_the_node() {
        let node = |name: &str, ip: &str| {
            let addresses = json!([{"type": "InternalIP", "address": ip}]);
            json!({"metadata": {"name": name}, "status": {"addresses": addresses}})
        };
        let nodes = json!({"items": [node("w1", "10.0.0.1"), node("w2", "10.0.0.2")]});
        let api = FakeApi::with("/api/v1/nodes", nodes);
        let web = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80, "nodePort": 30080}]}});
        api.put("/api/v1/services", json!({"items": [web]}));
        let text = "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {name: outside}
spec:
  namespace: shop
  probes:
  - {name: one, http: {url: \"http://10.0.0.1:30080/\"}, rate: 20/s}
  - {name: two, http: {url: \"http://10.0.0.2:30080/\"}, rate: 20/s}
  method:
  - fault:
      nodeStop: {target: {name: w1}}
    for: 60s
";
        let parsed = parse(Source::from_text("x.yaml", text, "."));
        let parsed = parsed.unwrap_or_else(|problems| panic!("{problems}"));
        let parsed = resolved(&api.cluster(), &parsed).await.unwrap();
        let behind = |probe: &Probe| match probe.ask.target() {
            Some(Target::Address { service, .. }) => service.clone(),
            _ => None,
        };
        let behind: Vec<_> = parsed.experiment.probes.iter().map(behind).collect();
        assert_eq!(behind, [None, Some("shop/web".into())]);
    }

    #[test]
    fn each_service_behind_an_ingress_is_probed_by_its_own_paths() {
        let route = |path: &str, service: &str| Route {
            host: None,
            path: path.into(),
            exact: false,
            service: service.into(),
        };
        let routes = [route("/", "front"), route("/cart", "cart")];
        let ingress: ObjectRef = "shop/front".into();
        let probed = |paths: &[&str]| {
            let paths = paths.join(", ");
            let text = format!(
                "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {{name: paths}}
spec:
  probes:
  - {{name: one, http: {{ingress: shop/front, paths: [{paths}]}}, rate: 20/s}}
  method:
  - pause: 1s
"
            );
            let parsed = parse(Source::from_text("x.yaml", &text, "."));
            let parsed = parsed.unwrap_or_else(|problems| panic!("{problems}"));
            let mut experiment = parsed.experiment;
            let ask = with_route(&experiment.probes[0], &ingress, &routes).unwrap();
            experiment.probes[0].ask = ask;
            let probed = plan::each::spelled_out(&experiment, &[]).probes.into_iter();
            let shown = |probe: Probe| {
                let service = probe.ask.service().map(ToString::to_string);
                (probe.name, service.unwrap_or_default(), probe.ask.paths().join(" "), probe.rate)
            };
            probed.map(shown).collect::<Vec<_>>()
        };
        let alone = |paths: &str| [("one".into(), "shop/cart".into(), paths.into(), 20.0)];
        assert_eq!(probed(&["/cart"]), alone("/cart"));
        assert_eq!(probed(&["/cart/1", "/cart/2"]), alone("/cart/1 /cart/2"));
        assert_eq!(
            probed(&["/", "/cart/1", "/about", "/login"]),
            [
                ("one@cart".into(), "shop/cart".into(), "/cart/1".into(), 5.0),
                ("one@front".into(), "shop/front".into(), "/ /about /login".into(), 15.0),
            ],
            "in all, as many attempts as one probe"
        );
    }

    #[test]
    fn an_address_is_that_of_a_service() {
        let port = crate::cluster::ServicePort {
            name: None,
            port: 80,
            protocol: "TCP".into(),
            node_port: Some(30080),
        };
        let web = Service {
            name: "web".into(),
            namespace: "shop".into(),
            cluster_ip: Some("10.96.0.7".into()),
            ports: vec![port],
            balancer: Some("lb.example.test".into()),
        };
        let node = Node {
            name: "w".into(),
            role: crate::timeline::NodeRole::Worker,
            labels: Default::default(),
            ready: crate::timeline::Ready::True,
            addresses: vec!["172.18.0.3".into()],
            unschedulable: false,
            uid: String::new(),
            tainted: false,
            kubelet: String::new(),
            provider_id: None,
            system: String::new(),
            processor: String::new(),
            protected: false,
        };
        let addresses = Addresses { services: vec![web], nodes: vec![node] };
        let pod = From::Pod(Pods::labelled([("app", "x")]));
        let is_web = |host: &str, port: u16, from: &From| {
            addresses.service_at(host, port, from) == Some("shop/web".into())
        };
        for (host, port) in [
            ("10.96.0.7", 80),
            ("172.18.0.3", 30080),
            ("lb.example.test", 80),
            ("web.shop.svc", 80),
            ("web.shop.svc.cluster.local.", 80),
        ] {
            assert!(is_web(host, port, &From::Host), "{host}:{port}");
        }
        for (host, port) in
            [("10.96.0.7", 81), ("172.18.0.3", 80), ("172.18.0.4", 30080), ("web.shop", 80)]
        {
            assert!(!is_web(host, port, &From::Host), "{host}:{port}");
        }
        assert!(is_web("web.shop", 80, &pod) && !is_web("web.shopping.svc", 80, &pod));
    }
}
