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

/// The kind cluster of which every node is a container of the same name and address. `None` when
/// there is none, or no nodes.
pub(crate) fn find_kind_cluster<'a>(
    nodes: &[Node],
    containers: &'a [NodeContainer],
) -> Option<&'a str> {
    let mut clusters = nodes
        .iter()
        .map(|node| container_of(node, containers).map(|container| container.cluster.as_str()));
    let first = clusters.next()??;
    clusters.all(|cluster| cluster == Some(first)).then_some(first)
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
            role: NodeRole::Worker,
            labels: Default::default(),
            ready: crate::timeline::Ready::True,
            addresses,
            unschedulable: false,
            tainted: false,
            kubelet: String::new(),
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
    fn all_nodes_must_be_containers_of_one_cluster() {
        let containers =
            [container("a", "a-worker", "172.18.0.2"), container("b", "b-worker", "172.18.0.3")];
        assert_eq!(find_kind_cluster(&[node("a-worker", "172.18.0.2")], &containers), Some("a"));
        // The name alone proves nothing: another machine's kind cluster has the same.
        assert_eq!(find_kind_cluster(&[node("a-worker", "172.18.0.9")], &containers), None);
        assert_eq!(
            find_kind_cluster(
                &[node("a-worker", "172.18.0.2"), node("b-worker", "172.18.0.3")],
                &containers
            ),
            None
        );
        assert_eq!(
            find_kind_cluster(
                &[node("a-worker", "172.18.0.2"), node("c", "172.18.0.7")],
                &containers
            ),
            None
        );
        // Nor does the address: Docker gives the same ones on every machine.
        assert_eq!(find_kind_cluster(&[node("theirs-worker", "172.18.0.2")], &containers), None);
        assert_eq!(find_kind_cluster(&[], &containers), None);
    }
}
