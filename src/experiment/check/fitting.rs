//! Expectations that no fault of the method can meet, whatever a run measures.

use super::Check;
use crate::experiment::decode::known;
use crate::experiment::feasibility::{FaultView, infeasible};

/// A fault that could not be read may have been the one.
pub(super) fn check(check: &Check) {
    let faults: Vec<FaultView> =
        check.faults().into_iter().map(|it| FaultView::planned(it.step.name(), it.fault)).collect();
    if faults.is_empty() || check.draft.method.iter().any(Option::is_none) {
        return;
    }
    for (index, expectation) in known(&check.draft.expect) {
        let Some(found) = infeasible(expectation, &faults) else { continue };
        let place = format!("spec.expect[{index}].{}", expectation.kind());
        check.report(check.warning(&place, found.why).hint(found.hint));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, of};

    const FAULT: &str = "  - fault:\n      nodeStop: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";
    const EXPECTED: &str = "  - detection: {within: 7s}\n";

    /// What is reported of an expectation beside these faults.
    fn diagnostics(faults: &[&str], expected: &str) -> String {
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
            assert_eq!(diagnostics(faults, expected), "", "{faults:?} {expected}");
        }
    }

    #[test]
    fn what_no_fault_can_do_is_reported() {
        let unfit = [
            (
                &[DELETE] as &[&str],
                "detection: {within: 7s}",
                "`podDelete` makes no node NotReady (use a fault that",
            ),
            (&[DRAIN], "detection: {within: 7s}", "`nodeDrain` makes no node NotReady"),
            (
                &[KILL, DELETE],
                "detection: {within: 7s}",
                "`podDelete` makes no node NotReady (`of: s0` selects the step",
            ),
            (
                &[KILL, SCALE],
                "detection: {of: s1, within: 7s}",
                "`deploymentScale` makes no node NotReady",
            ),
            (&[BALANCER], "detection: {within: 7s}", "`nodeKill` makes no node NotReady"),
            (&[SCALE], "notDetected: {}", "`deploymentScale` does not target nodes"),
            (
                &[KILL, SCALE],
                "endpointRemoval: {within: 7s}",
                "but `deploymentScale` targets neither nodes nor pods",
            ),
            (
                &[SCALE],
                "rescheduled: {service: web, within: 7s}",
                "targets neither pods nor nodes that run any",
            ),
            (
                &[KILL],
                "restarted: {labels: {app: web}, within: 7s}",
                "`nodeKill` cannot kill containers in place",
            ),
            (
                &[KILL],
                "leaderChange: {component: etcd, within: 7s}",
                "`nodeKill` cannot make etcd lose its leader",
            ),
            (
                &["componentKill: {component: kube-scheduler, target: {role: control-plane}}"],
                "oldLeader: {component: kube-controller-manager, atMost: 7s}",
                "`kube-scheduler` cannot make kube-controller-manager lose its leader (target it with `target: {leader: kube-c",
            ),
        ];
        for (faults, expected, wanted) in unfit {
            let diagnostics = diagnostics(faults, expected);
            assert!(
                diagnostics.contains("warning: ") && diagnostics.contains(wanted),
                "{faults:?} {expected}: {diagnostics}"
            );
        }
    }
}
