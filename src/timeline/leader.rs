//! Leases: where they are, and how the parts of a control plane say which of them leads.

pub const NODE_LEASES: &str = "kube-node-lease";

/// The namespace of a cluster's own pods.
pub const SYSTEM_NAMESPACE: &str = "kube-system";

/// The namespace in which kube-controller-manager and kube-scheduler have the leases by which one
/// of each leads, called as they are.
pub const LEADER_LEASES: &str = SYSTEM_NAMESPACE;

/// The node of a lease's holder: it calls itself by its host's name and a unique number,
/// `node-1_6f2c...`.
pub fn node_of(holder: &str) -> &str {
    holder.rsplit_once('_').map_or(holder, |(node, _)| node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_names_its_node() {
        assert_eq!(node_of("ha-control-plane2_6f2c-11"), "ha-control-plane2");
        assert_eq!(node_of("node_1_6f2c-11"), "node_1");
        assert_eq!(node_of("other"), "other");
    }
}
