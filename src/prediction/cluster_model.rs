//! The cluster that a prediction starts from: nodes, settings, and where the backends are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::experiment::{Count, Experiment, From, NodeSelector};
use crate::kind_config::{KindConfig, KindNode};
use crate::model::{Controller, NodeId, NodeSpec, PodSpec, Routing, Spread, Tolerates, Topology};
use crate::timeline::{ClusterFacts, Header, NodeRole, Tolerations, Tuning, include_labels};
use crate::workload::Manifest;

/// As many nodes are modelled: what becomes of one does not depend on hundreds of others. More than
/// fifty are a large zone to Kubernetes.
const MOST_NODES: usize = 64;
/// More pods than a kind cluster can hold (110 a node): a typo must not use up the memory.
const MOST_REPLICAS: usize = 10_000;

/// A cluster as it is known before any fault.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterModel {
    /// The nodes.
    pub topology: Topology,
    /// The settings of failure detection.
    pub tuning: Tuning,
    /// The API server's version, for the defaults of what is not set.
    pub kubernetes: String,
    pub services: BTreeMap<String, Backends>,
    /// The node that each step of the method hits, where that is known already.
    pub targets: BTreeMap<u32, String>,
    default_tolerations: Tolerations,
}

/// The pods behind a Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backends {
    pub nodes: Vec<NodeId>,
    pub pod: PodSpec,
    pub controller: Controller,
    /// Which of them a connection goes to.
    pub routing: Routing,
}

/// Endpoints of a Service on a node.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub service: &'a str,
    /// The node's name.
    pub node: &'a str,
    pub count: u32,
}

impl ClusterModel {
    /// A cluster that exists, with nothing on it yet.
    pub fn of_cluster(facts: &ClusterFacts) -> Self {
        let nodes =
            || facts.nodes.iter().filter(|node| node.role != NodeRole::ExternalLoadBalancer);
        let names = nodes().map(|node| (node.name.clone(), node.role));
        let mut cluster = Self::new(names, facts.tuning, &facts.kubernetes);
        for (spec, node) in cluster.topology.nodes.iter_mut().zip(nodes()) {
            spec.labels.extend(node.labels.clone());
            spec.tainted = node.tainted.unwrap_or(spec.tainted);
        }
        Self { default_tolerations: facts.tolerations, ..cluster }
    }

    /// A run's cluster, with its workload as the scheduler would spread it.
    pub fn of_header(header: &Header) -> Self {
        Self::of_cluster(&header.cluster).with_workload(&Manifest::recorded(&header.workload))
    }

    /// The cluster that kind makes from a config, with nothing on it yet.
    pub(crate) fn of_config(config: &KindConfig) -> Self {
        let node = |node: &KindNode| NodeSpec {
            name: node.name.clone(),
            role: node.role,
            labels: node.labels.clone(),
            tainted: node.tainted,
        };
        Self {
            topology: Topology { nodes: config.nodes.iter().map(node).collect() },
            tuning: config.tuning(),
            kubernetes: config.kubernetes.clone(),
            default_tolerations: config.default_tolerations,
            ..Self::default()
        }
    }

    pub fn new(
        nodes: impl IntoIterator<Item = (String, NodeRole)>,
        tuning: Tuning,
        kubernetes: &str,
    ) -> Self {
        Self {
            topology: Topology::of(nodes),
            tuning,
            kubernetes: kubernetes.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a workload as the scheduler would spread it. Pods that fit no node are
    /// nowhere.
    pub(crate) fn with_workload(mut self, workload: &Manifest) -> Self {
        let nodes = self.topology.objects();
        for service in workload.services() {
            let Some(pods) = workload.behind(&service) else { continue };
            let controller = pods.controller;
            let spec = PodSpec::of_template(pods.template, &nodes, self.default_tolerations);
            let Some(mut pod) = spec else {
                self.services.insert(service.name().to_owned(), Backends::default());
                continue;
            };
            let mut replicas = pods.replicas.min(MOST_REPLICAS);
            if controller == Controller::DaemonSet {
                let forever = Tolerates::Forever;
                (pod.tolerates_not_ready, pod.tolerates_unreachable) = (forever, forever);
                let all = self.topology.nodes.len();
                (pod.spread, replicas) = (Spread::Require, pod.pinned.map_or(all, |_| 1));
            }
            let backends = Backends {
                nodes: self.spread(replicas, &pod),
                pod,
                controller,
                routing: service.routing(),
            };
            self.services.insert(service.name().to_owned(), backends);
        }
        self
    }

    /// The same with backends where they were seen, and nowhere else.
    pub fn with_endpoints<'a>(mut self, seen: impl IntoIterator<Item = Seen<'a>>) -> Self {
        let mut placed = BTreeMap::<&str, Vec<NodeId>>::new();
        for Seen { service, node, count } in seen {
            let Some(node) = self.topology.find(node) else { continue };
            placed.entry(service).or_default().extend(std::iter::repeat_n(node, count as usize));
        }
        let pod = PodSpec::tolerating(self.default_tolerations);
        for (service, nodes) in placed {
            let unknown = || Backends { pod: pod.clone(), ..Backends::default() };
            self.services.entry(service.to_owned()).or_insert_with(unknown).nodes = nodes;
        }
        self
    }

    /// The same, of a large cluster without the nodes that do not matter to an experiment: all but the
    /// control plane's, those with backends, those that it hits or probes from, and some others.
    pub(super) fn of_nodes_that_matter(mut self, experiment: &Experiment) -> Self {
        if self.topology.nodes.len() <= MOST_NODES {
            return self;
        }
        let mut kept: BTreeSet<NodeId> = self.topology.with_role(NodeRole::ControlPlane).collect();
        for backends in self.services.values() {
            kept.extend(backends.nodes.iter().chain(&backends.pod.pinned));
        }
        for step in experiment.steps() {
            let target = step.fault().and_then(|(fault, _)| fault.target());
            kept.extend(target.into_iter().flat_map(|target| self.hit_by(step.number, target)));
        }
        for probe in &experiment.probes {
            if let From::Node(selector) = &probe.from {
                kept.extend(self.matching(selector, &[]).into_iter().take(2));
            }
        }
        let others: Vec<NodeId> = self.topology.ids().filter(|node| !kept.contains(node)).collect();
        kept.extend(others.into_iter().take(MOST_NODES.saturating_sub(kept.len())));
        let kept: Vec<NodeId> = kept.into_iter().collect();
        let renumbered = |node: &NodeId| kept.binary_search(node).ok().map(NodeId);
        for Backends { nodes, pod, .. } in self.services.values_mut() {
            for known in [nodes, &mut pod.only_on] {
                *known = known.iter().filter_map(renumbered).collect();
            }
            pod.pinned = pod.pinned.as_ref().and_then(renumbered);
        }
        self.topology.nodes = kept.iter().map(|node| self.topology.nodes[node.0].clone()).collect();
        self
    }

    fn spread(&self, replicas: usize, pod: &PodSpec) -> Vec<NodeId> {
        // The scheduler is not asked.
        if let Some(node) = pod.pinned {
            return vec![node; replicas];
        }
        let fits = |node: &NodeId| {
            let free = !self.topology.nodes[node.0].tainted || pod.tolerates_control_plane;
            free && (pod.only_on.is_empty() || pod.only_on.contains(node))
        };
        let nodes: Vec<NodeId> = self.topology.ids().filter(fits).collect();
        let most = match pod.spread {
            Spread::Require => nodes.len(),
            Spread::Prefer => usize::MAX,
        };
        nodes
            .iter()
            .copied()
            .cycle()
            .take(if nodes.is_empty() { 0 } else { replicas.min(most) })
            .collect()
    }

    /// The nodes that a fault hits: that which is known already, or those that its target finds.
    pub(super) fn hit_by(&self, step: u32, target: &NodeSelector) -> Vec<NodeId> {
        let known = self.targets.get(&step).and_then(|name| self.topology.find(name));
        if let Some(known) = known {
            return vec![known];
        }
        let most = match target.count {
            Count::Exactly(count) => count as usize,
            Count::All => usize::MAX,
        };
        self.matching(target, &[]).into_iter().take(most).collect()
    }

    /// The nodes that a selector finds, the best first. Who leads where is not known: any control
    /// plane may.
    pub(super) fn matching(&self, selector: &NodeSelector, but: &[NodeId]) -> Vec<NodeId> {
        let has_plane = selector.leader.or(selector.followers).is_some();
        let fits = |node: &NodeId| {
            let spec = &self.topology.nodes[node.0];
            include_labels(&spec.labels, &selector.labels)
                && (!has_plane || spec.role == NodeRole::ControlPlane)
                && selector.role.is_none_or(|role| role == spec.role)
                && selector.name.as_ref().is_none_or(|name| name == &spec.name)
                && !but.contains(node)
        };
        let mut fitting: Vec<NodeId> = self.topology.ids().filter(fits).collect();
        if let Some(service) = &selector.most_endpoints_of {
            let nodes =
                self.services.get(&service.to_string()).map_or(&[][..], |backends| &backends.nodes);
            fitting.sort_by_key(|node| Reverse(nodes.iter().filter(|at| *at == node).count()));
        }
        fitting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(planes: usize, workers: usize, spec: &str) -> Option<Vec<usize>> {
        placed_by("Deployment", planes, workers, spec)
    }

    fn placed_by(kind: &str, planes: usize, workers: usize, spec: &str) -> Option<Vec<usize>> {
        let nodes = Topology::kind("k", planes, workers)
            .nodes
            .into_iter()
            .map(|node| (node.name, node.role));
        let text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{selector: {{a: b}}}}\n---\n\
             apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: d}}\nspec:\n  replicas: 2\n  template: {{metadata: {{labels: {{a: b}}}}, spec: {spec}}}\n"
        );
        let cluster = ClusterModel::new(nodes, Tuning::default(), "v1.34.4")
            .with_workload(&Manifest::of_texts([("w.yaml", text.as_str())]));
        Some(cluster.services.get("s")?.nodes.iter().map(|node| node.0).collect())
    }

    #[test]
    fn pods_go_where_they_ask_to_be() {
        assert_eq!(placed(1, 2, "{}"), Some(vec![1, 2]));
        assert_eq!(
            placed(1, 2, "{nodeSelector: {kubernetes.io/hostname: k-worker2}}"),
            Some(vec![2, 2])
        );
        assert_eq!(placed(1, 2, "{nodeName: k-control-plane}"), Some(vec![0, 0]));
        assert_eq!(placed(1, 2, "{nodeSelector: {disk: fast}}"), Some(vec![]));
        let affinity = "{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [\
            {matchExpressions: [{key: kubernetes.io/hostname, operator: NotIn, values: [k-worker]}]}]}}}}";
        assert_eq!(placed(1, 2, affinity), Some(vec![2, 2]));
        assert_eq!(placed_by("DaemonSet", 1, 3, "{}"), Some(vec![1, 2, 3]));
        assert_eq!(placed_by("DaemonSet", 1, 3, "{nodeName: k-worker2}"), Some(vec![2]));
    }

    #[test]
    fn replicas_beyond_any_cluster_are_capped() {
        let text = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}}\n---\n\
            apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  replicas: 18446744073709551615\n  \
            template: {metadata: {labels: {a: b}}, spec: {nodeName: k-control-plane}}\n";
        let nodes = [("k-control-plane".to_owned(), NodeRole::ControlPlane)];
        let cluster = ClusterModel::new(nodes, Tuning::default(), "v1.34.4")
            .with_workload(&Manifest::of_texts([("w.yaml", text)]));
        assert_eq!(cluster.services["s"].nodes.len(), MOST_REPLICAS);
    }

    #[test]
    fn a_spec_that_is_not_a_mapping_is_a_pod_without_wishes() {
        for spec in ["hello", "[hello]", "3"] {
            assert_eq!(placed(1, 2, spec), Some(vec![1, 2]), "{spec}");
        }
    }

    #[test]
    fn the_taint_goes_from_an_only_node_alone() {
        assert_eq!(placed(1, 0, "{}"), Some(vec![0, 0]));
        assert_eq!(
            placed(3, 0, "{}"),
            Some(vec![]),
            "kind leaves the taint on three control planes"
        );
    }
}
