//! Whether the method harms what it may, and what the probes ask.

use super::Check;
use crate::experiment::decode::known;
use crate::experiment::schema::{BlastRadius, Count, Expectation, Fault, From, Step};
use crate::timeline::NodeRole;

pub fn check(check: &Check) {
    something_happens(check);
    something_is_measured(check);
    for (_, fault, place) in check.faults() {
        blast_radius(check, &place, fault);
        probes_live_on(check, &place, fault);
    }
    // Beside an unknown Service it would only repeat that error.
    if !check.cx.has_errors() {
        probes_are_hit(check);
    }
}

fn something_happens(check: &Check) {
    if check.draft.method.is_empty() {
        check.tell(check.error("spec.method", "a method without steps").hint("`- fault: {nodeStop: …}` and `for: 15s` are one"));
    } else if !check.draft.method.iter().any(|step| matches!(step, None | Some(Step::Fault { .. }))) {
        check.tell(check.warning("spec.method", "nothing is harmed: the method only pauses"));
    }
}

fn something_is_measured(check: &Check) {
    if check.draft.probes.is_empty() {
        let hint = "`- {name: web, http: {service: web}}` is one";
        check.tell(check.error("spec.probes", "no probe, so nothing that users notice would be measured").hint(hint));
    }
    if !check.draft.steady_state.is_empty() {
        return;
    }
    let message = "no steady state: nothing shows that all was well before the fault, and is again afterwards";
    check.tell(check.warning("spec.steadyState", message).hint("`steadyState: [{nodesReady: all}]` is the least"));
    for (index, expectation) in known(&check.draft.expect) {
        if matches!(expectation, Expectation::Recovery { .. }) {
            let place = format!("spec.expect[{index}].recovery");
            check.tell(check.error(&place, "there is no steady state that could recover"));
        }
    }
}

fn blast_radius(check: &Check, place: &str, fault: &Fault) {
    let Some(radius) = &check.draft.blast_radius else { return };
    foreign_namespace(check, place, fault, radius);
    data_loss(check, place, fault, radius);
    if let (Some(component), Some(role)) = (fault.component(), fault.target().and_then(|target| target.role))
        && role != NodeRole::ControlPlane
    {
        let problem = check.error(&format!("{place}.target.role"), format!("only a control plane runs {}", component.name()));
        check.tell(problem.hint("`target: {role: control-plane}`"));
        return;
    }
    let place = format!("{place}.target.role");
    let harmed = fault.target().filter(|target| fault.counts_on(target.role));
    let (allowed, what, field) = match harmed.and_then(|target| target.role) {
        Some(NodeRole::ControlPlane) => (radius.max_control_planes, "a control plane", "maxControlPlanes"),
        Some(NodeRole::Worker) => (radius.max_workers, "a worker", "maxWorkers"),
        Some(NodeRole::ExternalLoadBalancer) if matches!(fault, Fault::KubeletStop { .. }) => {
            check.tell(check.error(&place, "the load balancer has no kubelet"));
            return;
        }
        Some(NodeRole::ExternalLoadBalancer) if matches!(fault, Fault::Partition { .. }) => {
            check.tell(check.error(&place, "the load balancer is no node, and has no packet filter of its own"));
            return;
        }
        Some(NodeRole::ExternalLoadBalancer) if matches!(fault, Fault::NodeDisconnect { .. }) => {
            let problem = check.error(&place, "the load balancer has nothing inside that could cut it off");
            check.tell(problem.hint("`nodePause` makes it as silent, and keeps its address"));
            return;
        }
        Some(NodeRole::ExternalLoadBalancer) if !radius.load_balancer => {
            let problem = check.error(&place, "this harms the load balancer, and the blast radius does not allow it");
            check.tell(problem.hint("`blastRadius: {loadBalancer: true}` does"));
            return;
        }
        _ => return,
    };
    let count = match fault.target().map(|target| target.count) {
        Some(Count::Exactly(count)) => count,
        _ => 1,
    };
    if allowed == 0 {
        let problem = check.error(&place, format!("this harms {what}, and the blast radius allows none"));
        check.tell(problem.hint(format!("`blastRadius: {{{field}: {count}}}` allows {}", if count == 1 { "one" } else { "them" })));
    } else if count > allowed {
        let problem = check.error(&place, format!("this harms {count} at once, and the blast radius allows {allowed}"));
        check.tell(problem.hint(format!("`blastRadius: {{{field}: {count}}}` allows them")));
    }
}

/// What is not the run's own may be harmed only where the file says so.
fn foreign_namespace(check: &Check, place: &str, fault: &Fault, radius: &BlastRadius) {
    let Some(namespace) = fault.foreign_namespace().filter(|name| !radius.namespaces.iter().any(|known| known == name)) else {
        return;
    };
    let message = format!("this harms the namespace `{namespace}`, and the blast radius allows only the run's own");
    let problem = check.error(&format!("{place}.namespace"), message);
    check.tell(problem.hint(format!("`blastRadius: {{namespaces: [{namespace}]}}` allows it")));
}

fn data_loss(check: &Check, place: &str, fault: &Fault, radius: &BlastRadius) {
    if matches!(fault, Fault::EtcdDataLoss { .. }) && !(radius.data_loss && radius.quorum_loss) {
        let problem =
            check.error(place, "this takes the cluster's data away for a while, and the blast radius does not allow that");
        check.tell(problem.hint("`blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true}` allows it"));
    }
}

/// A probe on the node that is to be harmed would die with it. By role or labels only the run can know; by name the file does.
fn probes_live_on(check: &Check, place: &str, fault: &Fault) {
    let target = fault.target().filter(|_| fault.takes_node());
    let Some(target) = target.and_then(|target| target.name.as_ref()) else { return };
    for (index, probe) in known(&check.draft.probes) {
        if matches!(&probe.from, From::Node(from) if from.name.as_ref() == Some(target)) {
            let at = check.at(&format!("spec.probes[{index}].from.node.name"));
            let message = format!("this harms `{target}`, from which the probe `{}` asks", probe.name);
            let hint = "ask from another node, or from a pod elsewhere";
            check.tell(
                check.error(&format!("{place}.target.name"), message).related(check.cx.file(), at, "asked from here").hint(hint),
            );
        }
    }
}

/// An expectation on a probe of one Service says nothing where all faults are aimed at the back ends of others.
fn probes_are_hit(check: &Check) {
    if check.draft.method.iter().any(Option::is_none) {
        return;
    }
    let faults = check.faults();
    let aimed: Option<Vec<&str>> =
        faults.iter().map(|(_, fault, _)| fault.target().and_then(|target| target.most_endpoints_of.as_deref())).collect();
    let Some(aimed) = aimed.filter(|aimed| !aimed.is_empty()) else { return };
    for (index, expectation) in known(&check.draft.expect) {
        let (kind, name) = match expectation {
            Expectation::ErrorWindow { probe, .. } => ("errorWindow", probe),
            Expectation::FailedShare { probe, .. } => ("failedShare", probe),
            _ => continue,
        };
        let asked = known(&check.draft.probes).find(|(_, probe)| probe.name == *name).and_then(|(_, probe)| probe.ask.service());
        if let Some(service) = asked
            && !aimed.contains(&service)
        {
            let message = format!("the probe `{name}` asks the Service `{service}`, and the faults are aimed at `{}`", aimed[0]);
            check.tell(check.warning(&format!("spec.expect[{index}].{kind}.probe"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, beside, changed, of};

    const API: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {ports: [{port: 80}]}\n";
    const FAULT: &str = "  - fault:\n      nodeStop: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";

    #[test]
    fn a_method_harms_something() {
        let told = changed(&format!("  method:\n{FAULT}"), "  method: []\n");
        assert!(told.contains("18:11: error: a method without steps"), "{told}");
        assert!(changed(FAULT, "  - pause: 10s\n").contains("warning: nothing is harmed"));
    }

    #[test]
    fn a_steady_state_is_needed_for_recovery() {
        let state = "  steadyState:\n  - nodesReady: all\n  - probe: {name: web, successRatio: 1.0, for: 5s}\n";
        let told = changed(state, "");
        assert!(told.contains("warning: no steady state"), "{told}");
        assert!(told.contains("error: there is no steady state that could recover"), "{told}");
    }

    #[test]
    fn the_blast_radius_holds() {
        let told = changed("role: worker, most", "role: control-plane, most");
        assert_eq!(
            told.lines().next().unwrap(),
            "20:33: error: this harms a control plane, and the blast radius allows none (`blastRadius: {maxControlPlanes: 1}` allows one)"
        );
        let told = changed("  method:\n", "  blastRadius: {maxWorkers: 0}\n  method:\n");
        assert!(told.contains("this harms a worker"), "{told}");
        assert!(
            changed("nodeStop: {target: {role: worker", "kubeletStop: {target: {role: external-load-balancer")
                .contains("has no kubelet")
        );
    }

    #[test]
    fn a_part_of_a_control_plane_is_harm_to_it() {
        let of_part = |target: &str| {
            changed("nodeStop: {target: {role: worker, ", &format!("componentStop: {{component: etcd, target: {{{target}"))
        };
        let told = of_part("role: control-plane, ");
        assert!(told.contains("allows none (`blastRadius: {maxControlPlanes: 1}` allows one)"), "{told}");
        assert!(of_part("").contains("allows none (`blastRadius: {maxControlPlanes: 1}` allows one)"), "without a role, too");
        assert!(of_part("role: worker, ").contains("only a control plane runs etcd"), "{told}");
    }

    #[test]
    fn what_is_not_the_runs_own_is_harmed_only_by_permission() {
        let fault = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
        let scale = changed(fault, "deploymentScale: {namespace: kube-system, name: coredns, replicas: 0}");
        assert!(scale.contains("harms the namespace `kube-system`"), "{scale}");
        assert!(scale.contains("`blastRadius: {namespaces: [kube-system]}` allows it"), "{scale}");
        assert!(!changed(fault, "podDelete: {labels: {app: web}}").contains("error"));
        let loss = changed(fault, "etcdDataLoss: {target: {role: control-plane}}");
        assert!(loss.contains("quorumLoss: true, dataLoss: true}` allows it"), "{loss}");
        assert!(loss.contains("this harms a control plane"), "{loss}");
    }

    #[test]
    fn a_part_of_the_probes_host_may_be_harmed() {
        let fault = "componentStop: {component: kube-scheduler, target: {role: control-plane";
        let told = GOOD.replace("nodeStop: {target: {role: worker, mostEndpointsOf: web", fault);
        let told = of(&told.replace("  method:\n", "  blastRadius: {maxControlPlanes: 1}\n  method:\n"));
        assert_eq!(told, "", "the only control plane of the kind config hosts the probe");
    }

    #[test]
    fn a_probe_is_not_hosted_on_the_target() {
        let both = GOOD.replace("{role: control-plane}", "{name: n2}").replace("role: worker, mostEndpointsOf: web", "name: n2");
        let told = of(&both);
        assert!(told.contains("20:33: error: this harms `n2`, from which the probe `web` asks"), "{told}");
    }

    #[test]
    fn a_probe_that_no_fault_is_aimed_at_is_odd() {
        let told = beside(&GOOD.replace("mostEndpointsOf: web", "mostEndpointsOf: api"), API);
        assert!(told.contains("warning: the probe `web` asks the Service `web`, and the faults are aimed at `api`"), "{told}");
    }
}
