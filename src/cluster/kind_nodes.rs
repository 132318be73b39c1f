//! Which kind cluster the nodes of an API belong to, by address: names can be chosen.

use crate::timeline::NodeRole;

use super::node::Node;

/// A container with kind's labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeContainer {
    /// The label `io.x-k8s.kind.cluster`.
    pub cluster: String,
    pub id: String,
    /// The container's name, which is also the node's.
    pub name: String,
    pub role: NodeRole,
    /// Its addresses on Docker's networks.
    pub addresses: Vec<String>,
}

/// The kind cluster of which every control plane is a container of the same name and address. A
/// worker may be something else (another machine, one of kwok's fake nodes), but not a container of
/// another cluster, nor one of this cluster's names at another address. `None` when there is none.
pub(crate) fn find_kind_cluster<'a>(
    nodes: &[Node],
    containers: &'a [NodeContainer],
) -> Option<&'a str> {
    let cluster_of =
        |node: &Node| container_of(node, containers).map(|container| container.cluster.as_str());
    let control_plane = nodes.iter().find(|node| node.role == NodeRole::ControlPlane);
    let cluster = control_plane.and_then(cluster_of)?;
    let has_its_name =
        |node: &Node| containers.iter().any(|one| one.cluster == cluster && one.name == node.name);
    let agrees = |node: &Node| match cluster_of(node) {
        Some(other) => other == cluster,
        None => node.role != NodeRole::ControlPlane && !has_its_name(node),
    };
    nodes.iter().all(agrees).then_some(cluster)
}

/// A node's container: one of its addresses is the node's, and the name agrees. The address tells
/// the clusters of two machines apart whose nodes have the same names, the name two whose nodes
/// have the same addresses, and nodes that came back with one another's.
pub(super) fn container_of<'a>(
    node: &Node,
    containers: &'a [NodeContainer],
) -> Option<&'a NodeContainer> {
    let same_address = |container: &NodeContainer| {
        node.addresses.iter().any(|address| container.addresses.contains(address))
    };
    containers.iter().find(|container| container.name == node.name && same_address(container))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, address: &str) -> Node {
        let addresses = vec![address.to_owned()];
        Node {
            name: name.into(),
            uid: String::new(),
            role: NodeRole::Worker,
            labels: Default::default(),
            ready: crate::timeline::Ready::True,
            addresses,
            unschedulable: false,
            tainted: false,
            kubelet: String::new(),
            provider_id: None,
            system: String::new(),
            processor: String::new(),
            protected: false,
        }
    }

    fn container(cluster: &str, name: &str, address: &str) -> NodeContainer {
        let (cluster, name) = (cluster.to_owned(), name.to_owned());
        NodeContainer {
            cluster,
            id: format!("id-{name}"),
            name,
            role: NodeRole::Worker,
            addresses: vec![address.into()],
        }
    }

    #[test]
    fn control_planes_must_be_containers_of_one_cluster() {
        let plane = |name: &str, address: &str| Node {
            role: NodeRole::ControlPlane,
            ..node(name, address)
        };
        let containers = [
            container("a", "a-control-plane", "172.18.0.2"),
            container("a", "a-worker", "172.18.0.4"),
            container("b", "b-worker", "172.18.0.3"),
        ];
        let found = |nodes: &[Node]| find_kind_cluster(nodes, &containers);
        let own = plane("a-control-plane", "172.18.0.2");
        let with = |worker: Node| found(&[own.clone(), worker]);
        assert_eq!(with(node("a-worker", "172.18.0.4")), Some("a"));
        // Those of kwok, and machines that have joined.
        assert_eq!(with(node("kwok-node-0", "10.0.0.1")), Some("a"));
        // The name alone proves nothing: another machine's kind cluster has the same.
        assert_eq!(found(&[plane("a-control-plane", "172.18.0.9")]), None);
        assert_eq!(with(node("a-worker", "172.18.0.9")), None);
        assert_eq!(with(node("b-worker", "172.18.0.3")), None);
        assert_eq!(with(plane("c-control-plane", "172.18.0.7")), None);
        // Nor does the address: Docker gives the same ones on every machine.
        assert_eq!(found(&[plane("theirs-control-plane", "172.18.0.2")]), None);
        assert_eq!(found(&[node("a-worker", "172.18.0.4")]), None);
        assert_eq!(found(&[]), None);
    }
}
