//! The Services behind what probes ask by an address, or through an Ingress: with them it is known
//! which faults such a probe notices, and what is predicted for it.

use std::net::IpAddr;

use crate::cluster::{Cluster, Ingress, Node, Route, Service};
use crate::engine::error::RunError;
use crate::engine::plan::placement::found;
use crate::experiment::{Ask, From, Parsed, Probe, Target};
use crate::plan;
use crate::timeline::ObjectRef;

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
                match ingress_of(cluster, &parsed, ingress).await? {
                    Some(found) => with_route(probe, ingress, &found.routes)?,
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

/// One that exists, or one of the workload. `None`: one of the workload's that can't be read, which
/// the API server will say.
async fn ingress_of(
    cluster: &Cluster,
    parsed: &Parsed,
    ingress: &ObjectRef,
) -> Result<Option<Ingress>, RunError> {
    let Some(namespace) = &ingress.namespace else {
        let mut objects = parsed.workload.objects().iter();
        let object = objects.find(|it| it.kind() == "Ingress" && it.name() == ingress.name);
        return Ok(object.and_then(|object| Ingress::of_json(object.json()).ok()));
    };
    let read = cluster.ingress(namespace, &ingress.name).await;
    found(read, "Ingress", namespace, &ingress.name).map(Some)
}

/// What a probe asks, by the one rule of its Ingress that is meant.
fn with_route(probe: &Probe, ingress: &ObjectRef, routes: &[Route]) -> Result<Ask, RunError> {
    let mut ask = probe.ask.clone();
    let Ask::Http(http) = &mut ask else { return Ok(ask) };
    let Target::Ingress { host, service, .. } = &mut http.target else { return Ok(ask) };
    let route = chosen(routes, host.as_deref(), &http.path).map_err(|why| {
        let text = format!("probe {}: Ingress {ingress} has {}", probe.name, why.what);
        RunError::refused(text).hint(why.hint)
    })?;
    *service = Some(ObjectRef::new(ingress.namespace.as_deref(), &route.service));
    *host = host.take().or_else(|| route.host.clone());
    if http.path.is_empty() {
        http.path.clone_from(&route.path);
    }
    Ok(ask)
}

/// Why no rule of an Ingress is meant, or more than one.
struct Unclear {
    what: String,
    hint: String,
}

/// The route of a host and a path, each if it is named; of several the one that an Ingress controller
/// chooses: of the very host, then of the longest path, then of an exact one.
fn chosen<'r>(routes: &'r [Route], host: Option<&str>, path: &str) -> Result<&'r Route, Unclear> {
    let fits = |route: &&Route| {
        host.is_none_or(|host| route.is_of(host)) && (path.is_empty() || route.matches(path))
    };
    let mut fitting: Vec<&Route> = routes.iter().filter(fits).collect();
    // A rule of this very host goes before a wildcard's, and that before one of any host.
    if host.is_some() {
        keep_highest(&mut fitting, |route| (route.host.as_deref() == host, route.host.is_some()));
    }
    if !path.is_empty() {
        keep_highest(&mut fitting, |route| (route.path.len(), route.exact));
    }
    let listed = |of: &dyn Fn(&Route) -> String, among: &[&Route]| {
        let mut all: Vec<String> = among.iter().map(|route| of(route)).collect();
        all.sort();
        all.dedup();
        all
    };
    let name = |route: &Route| route.host.clone().unwrap_or_else(|| "*".into());
    let (hosts, paths) = (listed(&name, &fitting), listed(&|route| route.path.clone(), &fitting));
    let is_pattern = |route: &&Route| route.host.as_deref().is_some_and(|it| it.starts_with('*'));
    match fitting[..] {
        [] => {
            let all: Vec<&Route> = routes.iter().collect();
            let rules = listed(&|route| format!("{}{}", name(route), route.path), &all);
            let what = format!("no rule for {}{path}", host.unwrap_or_default());
            Err(Unclear { what, hint: format!("its rules: {}", rules.join(", ")) })
        }
        [route] if host.is_some() || !is_pattern(&route) => Ok(route),
        _ if host.is_none() && (hosts.len() > 1 || fitting.iter().any(is_pattern)) => {
            let hint = format!("set `host`; its rules have: {}", hosts.join(", "));
            Err(Unclear { what: "rules for several hosts".into(), hint })
        }
        _ if paths.len() > 1 => {
            let hint = format!("set `path`; its rules have: {}", paths.join(", "));
            Err(Unclear { what: "rules for several paths".into(), hint })
        }
        [route, ..] => Ok(route),
    }
}

fn keep_highest<R: Ord>(routes: &mut Vec<&Route>, rank: impl Fn(&Route) -> R) {
    let highest = routes.iter().map(|route| rank(route)).max();
    routes.retain(|route| Some(rank(route)) == highest);
}

impl Route {
    fn is_of(&self, host: &str) -> bool {
        match self.host.as_deref().map(|own| (own, own.strip_prefix('*'))) {
            None => true,
            // Instead of one label.
            Some((_, Some(suffix))) => host
                .strip_suffix(suffix)
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            Some((own, None)) => own == host,
        }
    }

    fn matches(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let prefix = self.path.trim_end_matches('/');
        match self.exact {
            true => path == self.path,
            false => path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
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
        let at_risk = plan::at_risk(&parsed.experiment, &known);
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

    fn route(host: &str, path: &str, service: &str) -> Route {
        let host = (!host.is_empty()).then(|| host.to_owned());
        Route { host, path: path.into(), exact: false, service: service.into() }
    }

    fn service(routes: &[Route], host: Option<&str>, path: &str) -> Result<String, String> {
        let chosen = chosen(routes, host, path);
        chosen.map(|it| it.service.clone()).map_err(|why| format!("{} ({})", why.what, why.hint))
    }

    #[test]
    fn the_only_rule_needs_neither_host_nor_path() {
        assert_eq!(service(&[route("a.test", "/shop", "web")], None, ""), Ok("web".into()));
        assert_eq!(service(&[route("", "/", "web")], Some("b.test"), "/x"), Ok("web".into()));
    }

    #[test]
    fn of_several_rules_one_must_be_named() {
        let routes = [
            route("a.test", "/", "web"),
            route("a.test", "/cart", "cart"),
            route("b.test", "/", "b"),
        ];
        let hosts = service(&routes, None, "/").unwrap_err();
        assert_eq!(hosts, "rules for several hosts (set `host`; its rules have: a.test, b.test)");
        let paths = service(&routes, Some("a.test"), "").unwrap_err();
        assert_eq!(paths, "rules for several paths (set `path`; its rules have: /, /cart)");
        assert_eq!(service(&routes, Some("a.test"), "/cart/1?x=/"), Ok("cart".into()));
        assert_eq!(service(&routes, Some("a.test"), "/cartoon"), Ok("web".into()));
        assert_eq!(service(&routes, None, "/cart"), Ok("cart".into()), "only one host has it");
        let none = service(&routes, Some("c.test"), "/").unwrap_err();
        assert_eq!(none, "no rule for c.test/ (its rules: a.test/, a.test/cart, b.test/)");
    }

    #[test]
    fn a_wildcard_needs_a_host() {
        let routes = [route("*.a.test", "/", "web"), route("", "/", "any")];
        assert_eq!(service(&routes, Some("x.a.test"), "/"), Ok("web".into()));
        assert_eq!(service(&routes, Some("x.y.a.test"), "/"), Ok("any".into()));
        assert!(service(&routes[..1], None, "").unwrap_err().contains("set `host`"));
    }

    #[test]
    fn the_closest_rule_is_chosen() {
        let hosts = [route("*.a.test", "/", "wild"), route("x.a.test", "/", "own")];
        assert_eq!(service(&hosts, Some("x.a.test"), "/"), Ok("own".into()));
        assert_eq!(service(&hosts, Some("y.a.test"), "/"), Ok("wild".into()));
        let exact = Route { exact: true, ..route("", "/cart", "exact") };
        let paths = [route("", "/cart", "prefix"), exact];
        assert_eq!(service(&paths, None, "/cart"), Ok("exact".into()));
        assert_eq!(service(&paths, None, "/cart/1"), Ok("prefix".into()));
    }

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
            tainted: false,
            kubelet: String::new(),
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
