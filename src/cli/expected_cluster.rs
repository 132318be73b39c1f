//! The cluster that an experiment's kind config asks for, before it is there: what predictions and
//! plans start from.

use crate::experiment::Parsed;
use crate::kind_config::KindConfig;
use crate::plan::Node;
use crate::prediction::{ClusterModel, Seen};
use crate::timeline::{Endpoint, NodeRole, counted};

/// A cluster that could be made.
pub(super) struct ExpectedCluster {
    /// Its nodes and settings, with the experiment's workload on it.
    pub model: ClusterModel,
    pub name: String,
}

/// The cluster of a kind config, with the experiment's workload on it.
pub(super) fn expected(parsed: &Parsed, config: &KindConfig) -> ExpectedCluster {
    let (cluster, nodes) = (&config.name, counted(config.nodes.len(), "node"));
    let name = format!(
        "kind cluster {cluster} as {} describes it (Kubernetes {}, {nodes})",
        config.path(),
        config.kubernetes
    );
    ExpectedCluster { model: with_workload(ClusterModel::of_config(config), parsed), name }
}

/// The cluster of the experiment's own kind config; `None` where it names none.
pub(super) fn model(parsed: &Parsed) -> Option<ClusterModel> {
    Some(expected(parsed, parsed.kind_config.as_ref()?).model)
}

/// A cluster with the experiment's workload on it.
pub(super) fn with_workload(model: ClusterModel, parsed: &Parsed) -> ClusterModel {
    model.with_workload(&parsed.workload)
}

/// A cluster with the ready endpoints of a Service (`NAMESPACE/NAME`) where they are.
pub(super) fn with_endpoints(
    model: ClusterModel,
    service: &str,
    endpoints: &[Endpoint],
) -> ClusterModel {
    let ready = endpoints.iter().filter(|endpoint| endpoint.ready);
    let nodes = ready.filter_map(|endpoint| endpoint.node.as_deref());
    model.with_endpoints(nodes.map(|node| Seen { service, node, count: 1 }))
}

/// The nodes of the experiment's own kind config, and the load balancer that kind makes before
/// several control planes. `None`: it names no config.
pub(super) fn nodes(parsed: &Parsed) -> Option<Vec<Node>> {
    let config = parsed.kind_config.as_ref()?;
    let node = |(name, role, labels): (String, _, _)| Node { labels, ..Node::ready(name, role) };
    let nodes = config.nodes.iter().map(|node| (node.name.clone(), node.role, node.labels.clone()));
    let balancer = config
        .load_balancer()
        .map(|name| (name, NodeRole::ExternalLoadBalancer, Default::default()));
    Some(nodes.chain(balancer).map(node).collect())
}
