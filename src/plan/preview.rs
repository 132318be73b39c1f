//! What a fault on a node would do and how it would be undone, before there is a run.

use std::net::{IpAddr, Ipv4Addr};

use crate::experiment::{Fault, typed};
use crate::fault::{self, NodeTarget, ObjectFaultRecord, UndoAfter};
use crate::timeline::NodeRole;

pub(crate) struct Preview {
    /// What would undo it.
    pub undo: String,
    /// The commands of the user's that would run.
    pub commands: Vec<String>,
}

/// A fault on the node of this name: a container of that name in a cluster of kind's, else a
/// machine.
pub(crate) fn on_node(
    fault: &Fault,
    node: &super::Node,
    step: u32,
    undo_after: UndoAfter,
    is_container: bool,
) -> Preview {
    let machine = |name: &str, role, address: Option<IpAddr>| NodeTarget {
        node: name.to_owned(),
        container_id: name.to_owned(),
        container_name: name.to_owned(),
        role,
        addresses: address.map(|address| (String::new(), vec![address])).into_iter().collect(),
        cluster: if is_container { "dry-run".into() } else { String::new() },
    };
    if let Some(undo) = ObjectFaultRecord::plan_on_node(fault, &node.name, &[]) {
        return Preview { undo: undo.describe(), commands: Vec::new() };
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
    match (fault::plan(&plan), fault) {
        (Ok(undo), _) => Preview { undo: undo.describe(), commands: undo.fault.commands() },
        // What its placeholders stand for is known when the nodes are.
        (Err(_), Fault::Command { commands, .. }) => {
            Preview { undo: format!("run `{}`", typed(&commands.undo)), commands: commands.lines() }
        }
        (Err(_), _) => Preview { undo: format!("undo {}", fault.kind()), commands: Vec::new() },
    }
}
