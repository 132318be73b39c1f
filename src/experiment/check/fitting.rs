//! Expectations that no fault of the method can fit: whatever a run measures, they can't pass.

use super::Check;
use crate::experiment::decode::known;
use crate::experiment::schema::{Expectation, Fault};
use crate::timeline::{Component, NodeRole};
use crate::yaml::suggest;

/// A fault that could not be read may have been the one.
pub(super) fn check(check: &Check) {
    let faults: Vec<Named> = check
        .faults()
        .into_iter()
        .map(|(step, fault, _)| Named { step: step.name(), fault })
        .collect();
    if faults.is_empty() || check.draft.method.iter().any(Option::is_none) {
        return;
    }
    for (index, expectation) in known(&check.draft.expect) {
        let Some((why, hint)) = unfit(expectation, &faults) else { continue };
        let place = format!("spec.expect[{index}].{}", expectation.kind());
        check.tell(check.warning(&place, format!("{why}: this can't pass")).hint(hint));
    }
}

/// A fault, and its step's name.
struct Named<'a> {
    step: Option<&'a str>,
    fault: &'a Fault,
}

/// Why an expectation can't pass, and what to do about it. The rules of the verdict decide (`verdict/`); told is only what is certain.
fn unfit(expectation: &Expectation, faults: &[Named]) -> Option<(String, String)> {
    let all = |holds: fn(&Fault) -> bool| faults.iter().all(|named| holds(named.fault));
    let kinds = || {
        let mut kinds: Vec<&str> = faults
            .iter()
            .map(|named| named.fault.component().map_or(named.fault.kind().name(), Component::name))
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        suggest::listed(&kinds, "and")
    };
    match expectation {
        Expectation::Detection { of, .. } => undetected(of.as_deref(), faults),
        Expectation::NotDetected if all(|fault| !is_on_node(fault)) => Some((
            format!("{} hits no node", kinds()),
            "`nodesUntouched` says that no node leaves Ready".into(),
        )),
        Expectation::EndpointRemoval { .. } => {
            let other = faults.iter().find(|named| !has_endpoints(named.fault))?;
            let why = format!(
                "each fault must take endpoints away where they are, and `{}` hits no node or pod",
                other.fault.kind()
            );
            Some((why, "`errorWindow` says what a probe's clients notice".into()))
        }
        Expectation::Rescheduled { .. } | Expectation::NotRescheduled { .. }
            if all(|fault| !has_endpoints(fault)) =>
        {
            Some((
                format!("{} hits no pod, and no node that has any", kinds()),
                "a fault on a node or on pods does".into(),
            ))
        }
        Expectation::Restarted { .. }
            if all(|fault| !matches!(fault, Fault::ContainerKill { .. })) =>
        {
            Some((
                format!("{} ends no container in its pod", kinds()),
                "`containerKill` does".into(),
            ))
        }
        Expectation::LeaderChange { component, .. } | Expectation::OldLeader { component, .. } => {
            let safe = faults.iter().all(|named| !may_cost_lead(named.fault, *component));
            let hint = format!("`target: {{leader: {}}}` hits it", component.name());
            safe.then(|| (format!("{} can't cost {} its leader", kinds(), component.name()), hint))
        }
        _ => None,
    }
}

/// Of the step that is named, else of all that hit something as a whole, each must be noticed by its node.
fn undetected(of: Option<&str>, faults: &[Named]) -> Option<(String, String)> {
    // What drains a node leaves it well, unless another fault takes it.
    let harmed = faults.iter().any(|named| named.fault.harms_node());
    let noticed = |fault: &Fault| is_on_node(fault) && (fault.harms_node() || harmed);
    let meant =
        |named: &&Named| of.map_or(named.fault.component().is_none(), |of| named.step == Some(of));
    let other = faults.iter().filter(meant).find(|named| !noticed(named.fault))?;
    let hint = match faults.iter().find(|named| noticed(named.fault)) {
        Some(Named { step: Some(step), .. }) => {
            format!("`of: {step}` names the step whose node is noticed")
        }
        Some(_) => "`of: STEP` names the step whose node is noticed".into(),
        None => "a fault on a worker, such as `nodeKill`, takes a node away".into(),
    };
    Some((format!("no node leaves Ready by `{}`", other.fault.kind()), hint))
}

/// Whether it hits what Kubernetes knows as a node. The load balancer is none.
fn is_on_node(fault: &Fault) -> bool {
    fault.target().is_some_and(|target| target.role != Some(NodeRole::ExternalLoadBalancer))
}

/// Whether endpoints or pods may be where it hits.
fn has_endpoints(fault: &Fault) -> bool {
    is_on_node(fault) || fault.pods().is_some()
}

/// Whether a leader may lose its place by it: its process, its node, its ways to others, or what it depends on.
fn may_cost_lead(fault: &Fault, part: Component) -> bool {
    let elsewhere = fault
        .target()
        .is_none_or(|target| !matches!(target.role, None | Some(NodeRole::ControlPlane)));
    let hits = match fault.component() {
        Some(hit) => {
            hit == part
                || hit == Component::Etcd
                || (hit == Component::ApiServer && part != Component::Etcd)
        }
        None => fault.takes_node() || matches!(fault, Fault::Partition { .. }),
    };
    hits && !elsewhere
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, of};

    const FAULT: &str = "  - fault:\n      nodeStop: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";
    const EXPECTED: &str = "  - detection: {within: 7s}\n";

    /// What is told of an expectation beside these faults.
    fn told(faults: &[&str], expected: &str) -> String {
        let step = |(number, fault): (usize, &&str)| {
            format!("  - {{name: s{number}, fault: {{{fault}}}, for: 15s}}\n")
        };
        let steps: String = faults.iter().enumerate().map(step).collect();
        let radius = "  blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true, loadBalancer: true}\n  method:\n";
        let experiment = GOOD.replace(FAULT, &steps).replace("  method:\n", radius);
        of(&experiment.replace(EXPECTED, &format!("  - {expected}\n")))
    }

    const KILL: &str = "nodeKill: {target: {role: worker}}";
    const DELETE: &str = "podDelete: {labels: {app: web}}";
    const DRAIN: &str = "nodeDrain: {target: {role: worker}}";
    const SCALE: &str = "deploymentScale: {name: web, replicas: 0}";
    const BALANCER: &str = "nodeKill: {target: {role: external-load-balancer}}";

    #[test]
    fn what_a_fault_may_do_can_be_expected() {
        let fits = [
            (&[KILL, DRAIN] as &[&str], "detection: {within: 7s}"),
            (&[KILL, DELETE], "detection: {of: s0, within: 7s}"),
            (&["kubeletStop: {target: {role: worker}}"], "detection: {within: 7s}"),
            (&[DRAIN], "notDetected: {}"),
            (&[DELETE], "endpointRemoval: {service: web, within: 7s}"),
            (&[SCALE, KILL], "rescheduled: {service: web, within: 7s}"),
            (
                &["containerKill: {labels: {app: web}}", DELETE],
                "restarted: {labels: {app: web}, within: 7s}",
            ),
            (
                &["componentStop: {component: etcd, target: {name: a}}"],
                "leaderChange: {component: kube-scheduler, within: 7s}",
            ),
            (&["nodePause: {target: {name: a}}"], "oldLeader: {component: etcd, atMost: 7s}"),
        ];
        for (faults, expected) in fits {
            assert_eq!(told(faults, expected), "", "{faults:?} {expected}");
        }
    }

    #[test]
    fn what_no_fault_can_do_is_told() {
        let unfit = [
            (
                &[DELETE] as &[&str],
                "detection: {within: 7s}",
                "no node leaves Ready by `podDelete`: this can't pass (a fault on a worker",
            ),
            (&[DRAIN], "detection: {within: 7s}", "no node leaves Ready by `nodeDrain`"),
            (
                &[KILL, DELETE],
                "detection: {within: 7s}",
                "by `podDelete`: this can't pass (`of: s0` names the step",
            ),
            (
                &[KILL, SCALE],
                "detection: {of: s1, within: 7s}",
                "no node leaves Ready by `deploymentScale`",
            ),
            (&[BALANCER], "detection: {within: 7s}", "no node leaves Ready by `nodeKill`"),
            (&[SCALE], "notDetected: {}", "`deploymentScale` hits no node"),
            (
                &[KILL, SCALE],
                "endpointRemoval: {within: 7s}",
                "and `deploymentScale` hits no node or pod",
            ),
            (
                &[SCALE],
                "rescheduled: {service: web, within: 7s}",
                "hits no pod, and no node that has any",
            ),
            (
                &[KILL],
                "restarted: {labels: {app: web}, within: 7s}",
                "`nodeKill` ends no container in its pod",
            ),
            (
                &[KILL],
                "leaderChange: {component: etcd, within: 7s}",
                "`nodeKill` can't cost etcd its leader",
            ),
            (
                &["componentKill: {component: kube-scheduler, target: {role: control-plane}}"],
                "oldLeader: {component: kube-controller-manager, atMost: 7s}",
                "`kube-scheduler` can't cost kube-controller-manager its leader: this can't pass (`target: {leader: kube-c",
            ),
        ];
        for (faults, expected, wanted) in unfit {
            let told = told(faults, expected);
            assert!(
                told.contains("warning: ") && told.contains(wanted),
                "{faults:?} {expected}: {told}"
            );
        }
    }
}
