//! What a prediction starts from: the cluster, and where the back ends are.

use std::collections::BTreeMap;

use super::workload::Deployed;
use crate::experiment::NodeSelector;
use crate::model::{NodeId, NodeSpec, PodSpec, Topology};
use crate::timeline::{ClusterFacts, NodeRole, Tuning};

/// What is known before any harm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ground {
    /// The nodes.
    pub topology: Topology,
    /// The settings of failure detection.
    pub tuning: Tuning,
    /// The API server's version, for the defaults of what is not set.
    pub kubernetes: String,
    /// The back ends of each Service.
    pub services: BTreeMap<String, Backends>,
    /// The node that each step of the method hits, where that is known already.
    pub targets: BTreeMap<u32, String>,
}

/// The pods behind a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Backends {
    /// The node of each.
    pub nodes: Vec<NodeId>,
    /// What they are.
    pub pod: PodSpec,
    /// Whether they are made anew elsewhere when they are lost.
    pub owned: bool,
}

impl Ground {
    /// A cluster that exists, with nothing on it yet.
    pub fn of_cluster(facts: &ClusterFacts) -> Self {
        let nodes = facts.nodes.iter().filter(|node| node.role != NodeRole::ExternalLoadBalancer);
        Self::new(nodes.map(|node| (node.name.clone(), node.role)), facts.tuning, &facts.kubernetes)
    }

    /// Nodes of these names and roles.
    pub fn new(nodes: impl IntoIterator<Item = (String, NodeRole)>, tuning: Tuning, kubernetes: &str) -> Self {
        let mut nodes: Vec<NodeSpec> = nodes.into_iter().map(|(name, role)| NodeSpec::new(name, role)).collect();
        // kubeadm taints control planes; kind takes that back where there is nothing else.
        if nodes.iter().all(|node| node.tainted) {
            nodes.iter_mut().for_each(|node| node.tainted = false);
        }
        Self { topology: Topology { nodes }, tuning, kubernetes: kubernetes.to_owned(), ..Self::default() }
    }

    /// The same with a workload as the scheduler would spread it.
    pub fn with_workload(mut self, deployed: BTreeMap<String, Deployed>) -> Self {
        for (service, deployed) in deployed {
            let nodes = self.spread(&deployed);
            self.services.insert(service, Backends { nodes, pod: deployed.pod, owned: deployed.owned });
        }
        self
    }

    /// The same with back ends where they were seen: the Service, the node's name, and how many are there.
    pub fn with_endpoints<'a>(mut self, seen: impl IntoIterator<Item = (&'a str, &'a str, u32)>) -> Self {
        for (service, node, count) in seen {
            let Some(node) = self.topology.find(node) else { continue };
            let none = || Backends { nodes: Vec::new(), pod: PodSpec::default(), owned: true };
            let backends = self.services.entry(service.to_owned()).or_insert_with(none);
            backends.nodes.extend(std::iter::repeat_n(node, count as usize));
        }
        self
    }

    fn spread(&self, deployed: &Deployed) -> Vec<NodeId> {
        let fits = |node: &NodeId| !self.topology.nodes[node.0].tainted || deployed.pod.tolerates_control_plane;
        let nodes: Vec<NodeId> = self.topology.ids().filter(fits).collect();
        let most = match deployed.pod.spread {
            crate::model::Spread::Require => nodes.len(),
            crate::model::Spread::Prefer => usize::MAX,
        };
        nodes.iter().copied().cycle().take(if nodes.is_empty() { 0 } else { deployed.replicas.min(most) }).collect()
    }

    /// The node that a selector finds, the first among equals; `None` when none fits, or labels are asked for, which are not known.
    pub fn find(&self, selector: &NodeSelector, but: &[NodeId]) -> Option<NodeId> {
        let fits = |node: &NodeId| {
            let spec = &self.topology.nodes[node.0];
            selector.labels.is_empty()
                && selector.role.is_none_or(|role| role == spec.role)
                && selector.name.as_ref().is_none_or(|name| name == &spec.name)
                && !but.contains(node)
        };
        let fitting: Vec<NodeId> = self.topology.ids().filter(fits).collect();
        let Some(service) = &selector.most_endpoints_of else { return fitting.first().copied() };
        let backends = self.services.get(service);
        let count = |node: &NodeId| backends.map_or(0, |backends| backends.nodes.iter().filter(|at| *at == node).count());
        fitting.into_iter().rev().max_by_key(count)
    }
}
