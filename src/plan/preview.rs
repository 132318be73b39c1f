//! How a fault on a node would be undone, before there is a run.

use std::time::Duration;

use crate::experiment::Fault;
use crate::fault::{self, NodeTarget};

/// What would undo a fault on the node of this name, a container of that name.
pub(crate) fn undo_on_node(fault: &Fault, node: &super::Node, step: u32, hold: Duration) -> String {
    let target = NodeTarget {
        node: node.name.clone(),
        container_id: String::new(),
        container_name: node.name.clone(),
        role: node.role,
        addresses: Default::default(),
        cluster: String::new(),
    };
    match fault {
        Fault::NodeDrain { .. } => format!("uncordon node {}", node.name),
        // From whom it cuts the node off is known when the nodes' addresses are.
        Fault::Partition { .. } => {
            format!("take the packet filter out of container {}", node.name)
        }
        _ => fault::plan_on_node(fault, &target, "dry-run", step, hold)
            .map_or_else(|| format!("undo {}", fault.kind()), |undo| fault::describe(&undo)),
    }
}
