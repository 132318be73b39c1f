//! What will surprise of an experiment's faults on a cluster, before any harm.

use super::cluster_model::{Backends, ClusterModel};
use crate::experiment::{Experiment, Fault, Numbered};
use crate::model::{FaultPlan, KubeletEnd, Pods, Tolerates, Trap, traps_of_fault};
use crate::timeline::NodeRole;

/// The traps of each fault, with its step in the method.
pub fn traps(experiment: &Experiment, cluster: &ClusterModel) -> Vec<(u32, Trap)> {
    let pods = cluster.services.values().next().map(pods);
    let of_step = |step: Numbered| {
        let Some((fault, hold)) = step.fault() else { return Vec::new() };
        if takes_only_control_plane(&step, fault, cluster) {
            return Vec::new();
        }
        let plan = FaultPlan {
            end: KubeletEnd::of_fault(fault.facts()),
            hold,
            nodes: 1,
            zone: cluster.topology.nodes.len() as u32,
            only_zone: true,
            pods,
        };
        traps_of_fault(&plan, &cluster.tuning, &cluster.kubernetes)
            .into_iter()
            .map(|trap| (step.number, trap))
            .collect()
    };
    experiment.steps().into_iter().flat_map(of_step).collect()
}

/// Whether nobody is left who could notice that a node is away.
fn takes_only_control_plane(step: &Numbered, fault: &Fault, cluster: &ClusterModel) -> bool {
    let nodes = || cluster.topology.nodes.iter().filter(|n| n.role == NodeRole::ControlPlane);
    let Some(target) = fault.target().filter(|_| fault.kind().traits().impact.whole_node()) else {
        return false;
    };
    let name = target.name.as_ref().or(cluster.targets.get(&step.number));
    let is_hit = target.role == Some(NodeRole::ControlPlane)
        || target.leader.is_some()
        || name.is_some_and(|name| nodes().any(|node| node.name == *name));
    is_hit && nodes().count() == 1
}

fn pods(backends: &Backends) -> Pods {
    let toleration = match backends.pod.tolerates_unreachable {
        Tolerates::For(length) => Some(length),
        Tolerates::Forever => None,
    };
    Pods { toleration, controller: backends.controller }
}
