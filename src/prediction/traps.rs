//! What will surprise of an experiment's faults on a cluster, before they are injected.

use super::cluster_model::{Backends, ClusterModel};
use crate::experiment::{Expectation, Experiment, Numbered, Step};
use crate::model::{About, FaultPlan, KubeletEnd, Pods, Tolerates, Trap, traps_of_fault};
use crate::timeline::Taint;

/// A trap of a fault.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StepTrap {
    /// The fault's step in the method.
    pub step: u32,
    pub trap: Trap,
}

/// The traps of each fault.
pub(crate) fn traps(experiment: &Experiment, cluster: &ClusterModel) -> Vec<StepTrap> {
    let pods = cluster.services.values().next().map(pods);
    // Who expects that nothing is detected, or only that all recovers, wants it undone before.
    let only_recovers = |it: &Expectation| matches!(it, Expectation::Recovery { .. });
    let expect = &experiment.expect;
    let may_end = expect.contains(&Expectation::NotDetected)
        || !expect.is_empty() && expect.iter().all(only_recovers);
    let of_step = |step: Numbered| {
        let Some((fault, hold)) = step.fault() else { return Vec::new() };
        // Nobody is left who could notice that a node is away.
        if super::leader_hit(cluster, step.number, fault).is_err() {
            return Vec::new();
        }
        let plan = FaultPlan {
            end: KubeletEnd::of_fault(fault.facts()),
            hold,
            nodes: 1,
            zone: cluster.topology.nodes.len() as u32,
            only_zone: true,
            pods: pods.filter(|_| !is_taken_out_of_service(step.step)),
        };
        traps_of_fault(&plan, &cluster.tuning, &cluster.kubernetes)
            .into_iter()
            .filter(|trap| !(may_end && trap.about == About::Hold))
            .map(|trap| StepTrap { step: step.number, trap })
            .collect()
    };
    experiment.steps().into_iter().flat_map(of_step).collect()
}

/// Whether its pods are moved although nobody stops them.
fn is_taken_out_of_service(step: &Step) -> bool {
    step.meanwhile().iter().any(|step| match step {
        Step::Fault { fault, .. } => fault.taint().is_some_and(Taint::is_out_of_service),
        Step::Pause { .. } => false,
    })
}

fn pods(backends: &Backends) -> Pods {
    let toleration = match backends.pod.tolerates_unreachable {
        Tolerates::For(length) => Some(length),
        Tolerates::Forever => None,
    };
    Pods { toleration, controller: backends.controller }
}
