//! One probe in the file comes to be several: `server: each` one for each API server, `on: each`
//! one for each node, and the paths of an Ingress one for each Service that they lead to.

use std::collections::BTreeSet;

use crate::experiment::{ApiServer, Ask, Condition, Experiment, PortOn, Probe, Target};
use crate::timeline::{NodeFacts, NodeRole, ObjectRef};

/// The experiment with one probe for each API server, node or Service in the place of each probe
/// that asks them all, and the same for the conditions of the steady state that name it.
pub(crate) fn spelled_out(experiment: &Experiment, nodes: &[NodeFacts]) -> Experiment {
    let mut experiment = experiment.clone();
    let mut many: Vec<(String, Vec<String>)> = Vec::new();
    let spell = |probe: Probe| {
        let each = on_each(&probe, nodes).or_else(|| of_each_service(&probe));
        let Some(spelled) = each else { return vec![probe] };
        many.push((probe.name, spelled.iter().map(|probe| probe.name.clone()).collect()));
        spelled
    };
    experiment.probes = experiment.probes.into_iter().flat_map(spell).collect();
    let conditions = experiment.steady_state.into_iter().flat_map(|condition| {
        let Condition::Probe { name: probe, success_ratio, hold } = &condition else {
            return vec![condition];
        };
        match many.iter().find(|(name, _)| name == probe) {
            Some((_, each)) => each
                .iter()
                .map(|name| Condition::Probe {
                    name: name.clone(),
                    success_ratio: *success_ratio,
                    hold: *hold,
                })
                .collect(),
            None => vec![condition],
        }
    });
    experiment.steady_state = conditions.collect();
    experiment
}

/// A probe for each node. `None`: it does not ask on each.
fn on_each(probe: &Probe, nodes: &[NodeFacts]) -> Option<Vec<Probe>> {
    let is_asked = asked_roles(&probe.ask)?;
    let on = |node: &NodeFacts| {
        let (mut ask, address) = (probe.ask.clone(), node.address.clone()?);
        let name = node.name.clone();
        if let Ask::Api { server, .. } = &mut ask {
            *server = ApiServer::On { node: name, address };
        } else if let Some(Target::Published { on, .. }) = ask.target_mut() {
            *on = PortOn::Node { node: name, address };
        }
        Some(Probe { name: format!("{}@{}", probe.name, node.name), ask, ..probe.clone() })
    };
    Some(nodes.iter().filter(|node| is_asked(node.role)).filter_map(on).collect())
}

/// A probe for each Service that its paths lead to, with those paths and their share of the
/// attempts. `None`: they lead to one.
fn of_each_service(probe: &Probe) -> Option<Vec<Probe>> {
    let Ask::Http(http) = &probe.ask else { return None };
    let Target::Ingress { of_paths, .. } = &http.target else { return None };
    let services: BTreeSet<_> = of_paths.iter().collect();
    let of = |own| {
        let mut http = http.clone();
        let led = http.paths.iter().zip(of_paths).filter(|(_, service)| *service == own);
        http.paths = led.map(|(path, _)| path.clone()).collect();
        http.path = http.paths.first().cloned().unwrap_or_default();
        let share = http.paths.len() as f64 / of_paths.len() as f64;
        if http.paths.len() == 1 {
            http.paths.clear();
        }
        if let Target::Ingress { service, of_paths, .. } = &mut http.target {
            (*service, *of_paths) = (Some(ObjectRef::clone(own)), Vec::new());
        }
        let name = format!("{}@{}", probe.name, own.name);
        Probe { name, ask: Ask::Http(http), rate: probe.rate * share, ..probe.clone() }
    };
    (!services.is_empty()).then(|| services.into_iter().map(of).collect())
}

/// On the nodes of which roles it is asked, if on each.
pub(crate) fn asked_roles(ask: &Ask) -> Option<fn(NodeRole) -> bool> {
    match (ask, ask.target()) {
        (Ask::Api { server: ApiServer::Each, .. }, _) => {
            Some(|role| role == NodeRole::ControlPlane)
        }
        (_, Some(Target::Published { on: PortOn::Each, .. })) => {
            Some(|role| role != NodeRole::ExternalLoadBalancer)
        }
        _ => None,
    }
}

pub(crate) fn api_servers(nodes: &[NodeFacts]) -> impl Iterator<Item = (&str, &str)> {
    let control_planes = nodes.iter().filter(|node| node.role == NodeRole::ControlPlane);
    control_planes.filter_map(|node| Some((node.name.as_str(), node.address.as_deref()?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::experiment::{ApiVerb, Connection, From, Via};

    fn node(name: &str, role: NodeRole, address: Option<&str>) -> NodeFacts {
        let address = address.map(Into::into);
        NodeFacts {
            name: name.into(),
            role,
            address,
            kubelet: "v1.34.4".into(),
            container: None,
            labels: Default::default(),
            tainted: None,
        }
    }

    #[test]
    fn each_api_server_has_a_probe_and_a_condition_of_its_own() {
        let probe = |name: &str, server| Probe {
            name: name.into(),
            ask: Ask::Api { verb: ApiVerb::Read, server },
            from: From::Host,
            connection: Connection::New,
            rate: 10.0,
            timeout: Duration::from_secs(1),
        };
        let hold = |name: &str| Condition::Probe {
            name: name.into(),
            success_ratio: 1.0,
            hold: Duration::from_secs(3),
        };
        let mut experiment = crate::plan::tests::experiment();
        experiment.probes = vec![probe("a", ApiServer::Each), probe("b", ApiServer::Balancer)];
        experiment.steady_state = vec![hold("a"), hold("b")];
        let nodes = [
            node("cp", NodeRole::ControlPlane, Some("172.18.0.2")),
            node("cp2", NodeRole::ControlPlane, Some("172.18.0.3")),
            node("w", NodeRole::Worker, Some("172.18.0.4")),
        ];
        let spelled = spelled_out(&experiment, &nodes);
        let names: Vec<&str> = spelled.probes.iter().map(|probe| probe.name.as_str()).collect();
        assert_eq!(names, ["a@cp", "a@cp2", "b"]);
        assert_eq!(spelled.steady_state, [hold("a@cp"), hold("a@cp2"), hold("b")]);
        let on = ApiServer::On { node: "cp2".into(), address: "172.18.0.3".into() };
        assert_eq!(spelled.probes[1].ask, Ask::Api { verb: ApiVerb::Read, server: on });
        let port = |on| {
            let (service, via) = ("shop/web".into(), Via::NodePort);
            Ask::Tcp { target: Target::Published { service, port: None, via, on } }
        };
        experiment.probes =
            vec![Probe { ask: port(PortOn::Each), ..probe("a", ApiServer::Balancer) }];
        let spelled = spelled_out(&experiment, &nodes);
        assert_eq!(spelled.probes.len(), 3);
        let on = PortOn::Node { node: "w".into(), address: "172.18.0.4".into() };
        assert_eq!((spelled.probes[2].name.as_str(), &spelled.probes[2].ask), ("a@w", &port(on)));
    }
}
