//! `server: each` comes to be one probe for each API server.

use crate::experiment::{ApiServer, Ask, Condition, Experiment, Probe};
use crate::timeline::{NodeFacts, NodeRole};

/// The experiment with one probe for each API server in the place of each probe that asks them all,
/// and the same for the conditions of the steady state that name it.
pub(crate) fn spelled_out(experiment: &Experiment, nodes: &[NodeFacts]) -> Experiment {
    let mut experiment = experiment.clone();
    let servers: Vec<(&str, &str)> = api_servers(nodes).collect();
    let asks_each = |probe: &Probe| matches!(&probe.ask, Ask::Api { server: ApiServer::Each, .. });
    let many: Vec<String> = experiment
        .probes
        .iter()
        .filter(|probe| asks_each(probe))
        .map(|probe| probe.name.clone())
        .collect();
    let name = |probe: &str, node: &str| format!("{probe}@{node}");
    experiment.probes = experiment
        .probes
        .into_iter()
        .flat_map(|probe| {
            let Ask::Api { verb, server: ApiServer::Each } = probe.ask else { return vec![probe] };
            let on = |(node, address): &(&str, &str)| Probe {
                name: name(&probe.name, node),
                ask: Ask::Api {
                    verb,
                    server: ApiServer::On { node: (*node).into(), address: (*address).into() },
                },
                ..probe.clone()
            };
            servers.iter().map(on).collect()
        })
        .collect();
    experiment.steady_state = experiment
        .steady_state
        .into_iter()
        .flat_map(|condition| match condition {
            Condition::Probe { name: probe, success_ratio, hold } if many.contains(&probe) => {
                servers
                    .iter()
                    .map(|(node, _)| Condition::Probe {
                        name: name(&probe, node),
                        success_ratio,
                        hold,
                    })
                    .collect()
            }
            other => vec![other],
        })
        .collect();
    experiment
}

pub(crate) fn api_servers(nodes: &[NodeFacts]) -> impl Iterator<Item = (&str, &str)> {
    let control_planes = nodes.iter().filter(|node| node.role == NodeRole::ControlPlane);
    control_planes.filter_map(|node| Some((node.name.as_str(), node.address.as_deref()?)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::experiment::{ApiVerb, Connection, From};

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
    }
}
