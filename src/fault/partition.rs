//! A node is cut off from some others only, or in one direction only. Who they are is resolved when
//! it is planned: no API may be there to ask for addresses by then.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::FaultContext;
use super::error::FaultError;
use super::modelled::{ModelNode, Modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::packet_filter::{self, Filter, Hit};
use super::record::Machine;
use super::undo_timer::UndoTimer;
use crate::experiment::{Direction, Fault, Side};
use crate::timeline::NodeRole;

/// The API server's port in a kind node, and in its load balancer.
const API_SERVER: u16 = 6443;
/// The kubelet's, which the API server asks for logs and exec.
const KUBELET: u16 = 10250;
/// A port on which nothing listens: a connection is refused immediately while all is well.
const CLOSED: u16 = 9;

/// Some packets are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Partition {
    cut: Cut,
    #[serde(flatten)]
    timer: UndoTimer,
}

/// From whom a node is cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cut {
    from: Side,
    /// Which packets are dropped, as the node sees them.
    direction: Direction,
    /// The addresses of the other control-plane nodes and of the load balancer.
    api_servers: Vec<IpAddr>,
    /// The addresses of all other nodes.
    peers: Vec<IpAddr>,
}

impl Cut {
    fn impossible(&self) -> Option<&'static str> {
        match self.from {
            Side::ApiServer if self.api_servers.is_empty() => {
                Some("there is no API server other than the node's own")
            }
            Side::Peers if self.peers.is_empty() => Some("there is no other node"),
            _ => None,
        }
    }
}

impl NodeFault for Partition {
    const UNDO_TIMEOUT: Duration = packet_filter::WAIT.limit;

    fn injection_timeout(_: &Fault) -> Duration {
        packet_filter::INJECTION_TIMEOUT
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        let Fault::Partition { from, direction, .. } = plan.fault else {
            return Err(plan.another_fault());
        };
        let cut = Cut {
            from: *from,
            direction: *direction,
            api_servers: plan.others(|role| role != NodeRole::Worker),
            peers: plan.others(|role| role != NodeRole::ExternalLoadBalancer),
        };
        match cut.impossible() {
            Some(why) => {
                let why = format!("{} cannot be cut off: {why}", plan.target.node);
                Err(plan.impossible(why, None))
            }
            None => Ok(Self { cut, timer: plan.undo_timer() }),
        }
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let filter = filter(&self.timer.mark, &self.cut);
        packet_filter::inject(context, &filter, &self.timer).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        packet_filter::undo(context, &self.timer).await
    }

    fn undo_timer(&self) -> Option<&UndoTimer> {
        Some(&self.timer)
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        packet_filter::describe(&self.timer, machine)
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        self.timer.by_hand(machine)
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        packet_filter::modelled(fault, node)
    }
}

fn filter<'m>(mark: &'m str, cut: &Cut) -> Filter<'m> {
    let whom = match cut.from {
        Side::All => "all packets",
        Side::ApiServer => "packets between it and the API servers",
        Side::Peers => "packets between it and other nodes, except the API servers'",
    };
    let which = match cut.direction {
        Direction::Both => "",
        Direction::In => " that come in",
        Direction::Out => " that go out",
    };
    let (servers, peers) = (cut.api_servers.clone(), cut.peers.clone());
    let (hit, witness) = match cut.from {
        Side::All => (Hit::Everybody, None),
        Side::ApiServer => (
            Hit::Ports { of: servers, theirs: API_SERVER, ours: KUBELET },
            cut.api_servers.first().map(|to| (*to, API_SERVER)),
        ),
        Side::Peers => {
            let hit = Hit::Nodes { of: peers, spared: servers, theirs: API_SERVER, ours: KUBELET };
            (hit, cut.peers.first().map(|to| (*to, CLOSED)))
        }
    };
    Filter { mark, what: format!("drop {whom}{which}"), direction: cut.direction, hit, witness }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_has_its_witness() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let cut = |from| Cut {
            from,
            direction: Direction::In,
            api_servers: vec![address("172.18.0.2")],
            peers: vec![address("172.18.0.4"), address("172.18.0.2")],
        };
        assert_eq!(filter("m", &cut(Side::All)).witness, None);
        assert_eq!(filter("m", &cut(Side::ApiServer)).witness, Some((address("172.18.0.2"), 6443)));
        assert_eq!(filter("m", &cut(Side::Peers)).witness, Some((address("172.18.0.4"), 9)));
        assert_eq!(
            filter("m", &cut(Side::Peers)).what,
            "drop packets between it and other nodes, except the API servers' that come in"
        );
        let alone = Cut { api_servers: Vec::new(), peers: Vec::new(), ..cut(Side::ApiServer) };
        assert!(alone.impossible().unwrap().contains("no API server"));
        assert_eq!(cut(Side::Peers).impossible(), None);
    }
}
