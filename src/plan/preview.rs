//! How a fault on a node would be undone, before there is a run.

use std::net::{IpAddr, Ipv4Addr};

use crate::experiment::Fault;
use crate::fault::{self, NodeTarget, ObjectFaultRecord, UndoAfter};
use crate::timeline::NodeRole;

/// What would undo a fault on the node of this name, a container of that name.
pub(crate) fn undo_on_node(
    fault: &Fault,
    node: &super::Node,
    step: u32,
    undo_after: UndoAfter,
) -> String {
    let machine = |name: &str, role, address: Option<IpAddr>| NodeTarget {
        node: name.to_owned(),
        container_id: name.to_owned(),
        container_name: name.to_owned(),
        role,
        addresses: address.map(|address| (String::new(), vec![address])).into_iter().collect(),
        cluster: "dry-run".into(),
    };
    if let Some(undo) = ObjectFaultRecord::plan_on_node(fault, &node.name, &[]) {
        return undo.describe();
    }
    // Whom a partition cuts the node off from is known when the nodes' addresses are: these stand
    // for them.
    let unknown = Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let cluster = [
        machine("a balancer", NodeRole::ExternalLoadBalancer, unknown),
        machine("a worker", NodeRole::Worker, unknown),
    ];
    let (target, run, pod) = (&machine(&node.name, node.role, None), "dry-run", None);
    let facts = node.facts();
    let plan = fault::Plan { fault, target, facts, cluster: &cluster, pod, run, step, undo_after };
    fault::plan(&plan).map_or_else(
        |_| match fault {
            Fault::Command { commands, .. } => format!("run {}", commands.undo.join(" ")),
            _ => format!("undo {}", fault.kind()),
        },
        |undo| undo.describe(),
    )
}
