//! Whether the faults hit what they may, and what the probes target.

use super::{Check, PlacedFault};
use crate::experiment::decode::known;
use crate::experiment::schema::{Count, Expectation, Fault, From, PodSelector, PodsBy, Step};
use crate::timeline::{ObjectRef, counted};
use crate::yaml::suggest;

pub(super) fn check(check: &Check) {
    something_happens(check);
    something_is_measured(check);
    for placed in check.faults() {
        let PlacedFault { fault, place, .. } = &placed;
        impossible(check, place, fault);
        foreign_namespace(check, &placed);
        enough_pods(check, &placed);
        probes_live_on(check, place, fault);
    }
    // Beside an unknown Service it would only repeat that error.
    if !check.cx.has_errors() {
        probes_are_hit(check);
    }
}

fn something_happens(check: &Check) {
    if check.draft.method.is_empty() {
        check.report(
            check
                .error("spec.method", "the method has no steps")
                .hint("a step is, for example, `- fault: {nodeStop: …}` with `for: 15s`"),
        );
    } else if !check.draft.method.iter().any(|step| matches!(step, None | Some(Step::Fault { .. })))
    {
        check.report(check.warning("spec.method", "the method injects no fault: it only pauses"));
    }
}

fn something_is_measured(check: &Check) {
    if check.draft.probes.is_empty() {
        let hint = "a probe is, for example, `- {name: web, http: {service: web}}`";
        check.report(
            check
                .error("spec.probes", "no probes: nothing that users notice would be measured")
                .hint(hint),
        );
    }
    if !check.draft.steady_state.is_empty() {
        return;
    }
    let message = "no steady state: without one, recovery cannot be verified";
    check.report(
        check
            .warning("spec.steadyState", message)
            .hint("the minimum is `steadyState: [{nodesReady: all}]`"),
    );
    for (index, expectation) in known(&check.draft.expect) {
        if matches!(expectation, Expectation::Recovery { .. }) {
            let place = format!("spec.expect[{index}].recovery");
            check.report(check.error(&place, "`recovery` needs a `steadyState`"));
        }
    }
}

fn impossible(check: &Check, place: &str, fault: &Fault) {
    let role = fault.target().and_then(|target| target.role);
    if let Some((message, hint)) = role.and_then(|role| fault.impossible_on(role)) {
        check.report(
            check.error(&format!("{place}.target.role"), message).hint_if(hint.map(str::to_owned)),
        );
    }
}

/// What is not the run's own may be affected only where the file says so, or names its namespace as
/// that of the application.
fn foreign_namespace(check: &Check, PlacedFault { fault, place, resolved, .. }: &PlacedFault) {
    let Some(radius) = &check.draft.blast_radius else { return };
    let Some(namespace) = resolved.foreign_namespace() else { return };
    let allowed = radius.allowed(check.names.namespace);
    if allowed.contains(&namespace) {
        return;
    }
    let separator = match allowed.len() {
        0 => "",
        1 => " and ",
        _ => ", ",
    };
    let message = format!(
        "this affects the namespace `{namespace}`, but the blast radius allows only the run's \
         own{separator}{}",
        suggest::listed(&allowed, "and")
    );
    let listed: Vec<&str> =
        radius.namespaces.iter().map(String::as_str).chain([namespace]).collect();
    let hint = format!("`blastRadius: {{namespaces: [{}]}}` allows it", listed.join(", "));
    // Not at `namespace` where the experiment names it, or `-n`.
    let own = fault.foreign_namespace().is_some();
    let place = if own { format!("{place}.namespace") } else { place.clone() };
    let problem = check.error(&place, message);
    check.report(problem.hint(match check.names.namespace == Some(namespace) {
        true => format!("a namespace of Kubernetes itself must be listed: {hint}"),
        false => hint,
    }));
}

/// A name is one pod's, and how many a workload's controller has its file says, unless something
/// scales it.
fn enough_pods(check: &Check, PlacedFault { place, resolved, .. }: &PlacedFault) {
    let Some(PodSelector { pods, count: Count::Exactly(wanted) }) = resolved.pods() else { return };
    let (kind, name) = match &pods.by {
        PodsBy::Name(_) => ("Pod", None),
        PodsBy::Deployment(name) => ("Deployment", Some(name)),
        PodsBy::StatefulSet(name) => ("StatefulSet", Some(name)),
        PodsBy::Labels(_) => return,
    };
    let there = match name {
        None => 1,
        Some(name) => {
            let scaled = |fault: &Fault| matches!(fault, Fault::DeploymentScale { .. });
            let workload = check.names.workload;
            let Some(there) = workload.fixed_replicas(kind, name).filter(|_| {
                !check.faults().iter().any(|it| scaled(it.fault)) && pods.namespace.is_none()
            }) else {
                return;
            };
            there
        }
    };
    if *wanted as usize <= there {
        return;
    }
    let be = if there == 1 { "is" } else { "are" };
    let message = format!("{wanted} pods {} are to be targeted, but there {be} {there}", pods.by);
    let hint = match name {
        None => {
            "`name` selects one pod: select several with `deployment`, `statefulSet` or `labels`"
                .to_owned()
        }
        Some(_) => format!("it has {}", counted(there, "replica")),
    };
    check.report(check.error(&format!("{place}.count"), message).hint(hint));
}

/// A probe on the node that is to be hit would go down with it. By role or labels only the run can
/// know; by name the file does.
fn probes_live_on(check: &Check, place: &str, fault: &Fault) {
    let Some(target) = fault.taken_by_name() else { return };
    for (index, probe) in known(&check.draft.probes) {
        if matches!(&probe.from, From::Node(from) if from.name.as_deref() == Some(target)) {
            let at = check.at(&format!("spec.probes[{index}].from.node.name"));
            let message =
                format!("this takes down `{target}`, where the probe `{}` runs", probe.name);
            let hint = "run the probe from another node, or from a pod elsewhere";
            check.report(
                check
                    .error(&format!("{place}.target.name"), message)
                    .related(check.cx.file(), at, "the probe runs here")
                    .hint(hint),
            );
        }
    }
}

/// An expectation on a probe of one Service says nothing where all faults are aimed at the back
/// ends of others.
fn probes_are_hit(check: &Check) {
    if check.draft.method.iter().any(Option::is_none) {
        return;
    }
    let faults = check.faults();
    let aimed: Option<Vec<ObjectRef>> =
        faults.iter().map(|it| it.resolved.target()?.most_endpoints_of.clone()).collect();
    let Some(aimed) = aimed.filter(|aimed| !aimed.is_empty()) else { return };
    for (index, expectation) in known(&check.draft.expect) {
        let (kind, name) = match expectation {
            Expectation::ErrorWindow { probe, .. }
            | Expectation::ErrorRate { probe, .. }
            | Expectation::FailedShare { probe, .. } => (expectation.kind(), probe),
            _ => continue,
        };
        let asked = known(&check.draft.probes)
            .find(|(_, probe)| probe.name == *name)
            .and_then(|(_, probe)| probe.ask.service().map(|it| check.names.object("Service", it)));
        if let Some(service) = asked
            && !aimed.contains(&service)
        {
            let message = format!(
                "the probe `{name}` targets the Service `{service}`, but the faults target `{}`",
                aimed[0]
            );
            check.report(check.warning(&format!("spec.expect[{index}].{kind}.probe"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONFIG, GOOD, WORKLOAD, beside, changed, of, problems};

    const API: &str =
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: api}\nspec: {ports: [{port: 80}]}\n";
    const FAULT: &str = "  - fault:\n      nodeStop: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";

    #[test]
    fn a_method_injects_something() {
        let diagnostics = changed(&format!("  method:\n{FAULT}"), "  method: []\n");
        assert!(diagnostics.contains("18:11: error: the method has no steps"), "{diagnostics}");
        assert!(
            changed(FAULT, "  - pause: 10s\n").contains("warning: the method injects no fault")
        );
    }

    #[test]
    fn a_steady_state_is_needed_for_recovery() {
        let state = "  steadyState:\n  - nodesReady: all\n  - probe: {name: web, successRatio: 1.0, for: 5s}\n";
        let diagnostics = changed(state, "");
        assert!(diagnostics.contains("warning: no steady state"), "{diagnostics}");
        assert!(diagnostics.contains("error: `recovery` needs a `steadyState`"), "{diagnostics}");
    }

    #[test]
    fn what_a_node_does_not_have_is_not_hit() {
        let diagnostics = changed(
            "nodeStop: {target: {role: worker",
            "kubeletStop: {target: {role: external-load-balancer",
        );
        assert!(
            diagnostics.contains("20:36: error: the load balancer has no kubelet"),
            "{diagnostics}"
        );
        let diagnostics = changed(
            "nodeStop: {target: {role: worker, ",
            "componentStop: {component: etcd, target: {role: worker, ",
        );
        assert!(diagnostics.contains("only a control plane runs etcd"), "{diagnostics}");
        assert_eq!(diagnostics.lines().count(), 1, "{diagnostics}");
    }

    #[test]
    fn what_is_not_the_runs_own_is_affected_only_by_permission() {
        let fault = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
        let scale =
            changed(fault, "deploymentScale: {namespace: kube-system, name: coredns, replicas: 0}");
        assert!(scale.contains("affects the namespace `kube-system`"), "{scale}");
        assert!(scale.contains("`blastRadius: {namespaces: [kube-system]}` allows it"), "{scale}");
        assert!(!changed(fault, "podDelete: {labels: {app: web}}").contains("error"));
    }

    #[test]
    fn a_namespace_of_kubernetes_must_be_listed_also_where_it_is_the_applications() {
        let fault = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
        let own = GOOD.replace("  workload:", "  namespace: kube-system\n  workload:");
        for hits in [
            "containerKill: {labels: {component: etcd}}",
            "podDelete: {name: kube-scheduler-n1}",
            "deploymentScale: {name: coredns, replicas: 0}",
        ] {
            let told = of(&own.replace(fault, hits));
            assert!(told.contains("error: this affects the namespace `kube-system`"), "{told}");
            assert!(told.contains("Kubernetes itself must be listed: `blastRadius:"), "{told}");
            let listed = own
                .replace(fault, hits)
                .replace("  method:\n", "  blastRadius: {namespaces: [kube-system]}\n  method:\n");
            assert!(!of(&listed).contains("error: this affects"), "{}", of(&listed));
        }
    }

    #[test]
    fn no_more_pods_are_hit_than_the_file_has() {
        let fault = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
        let of_two = WORKLOAD.replacen("spec:\n", "spec:\n  replicas: 2\n", 1);
        let told = |hits: &str| problems(&GOOD.replace(fault, hits), &of_two, CONFIG);
        let five = told("podDelete: {deployment: web, count: 5}");
        assert!(five.contains("error: 5 pods of Deployment web are to be targeted"), "{five}");
        assert!(five.contains("but there are 2 (it has 2 replicas)"), "{five}");
        assert!(!told("podDelete: {deployment: web, count: 2}").contains("error"));
        let named = told("podDelete: {name: web, count: 5}");
        assert!(named.contains("5 pods named web are to be targeted, but there is 1"), "{named}");
    }

    #[test]
    fn the_namespaces_that_are_allowed_are_named() {
        let fault = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
        let told = of(&GOOD
            .replace("  workload:", "  namespace: shop\n  workload:")
            .replace(fault, "podDelete: {name: data/db-0}")
            .replace("  method:\n", "  blastRadius: {namespaces: [cache]}\n  method:\n"));
        assert!(told.contains("allows only the run's own, `shop` and `cache`"), "{told}");
        assert!(told.contains("`blastRadius: {namespaces: [cache, data]}` allows it"), "{told}");
    }

    #[test]
    fn a_part_of_the_probes_host_may_be_hit() {
        let fault = "componentStop: {component: kube-scheduler, target: {role: control-plane";
        let diagnostics =
            GOOD.replace("nodeStop: {target: {role: worker, mostEndpointsOf: web", fault);
        let diagnostics = of(&diagnostics
            .replace("  method:\n", "  blastRadius: {maxControlPlanes: 1}\n  method:\n"));
        assert_eq!(diagnostics, "", "the only control plane of the kind config hosts the probe");
    }

    #[test]
    fn a_probe_is_not_hosted_on_the_target() {
        let both = GOOD
            .replace("{role: control-plane}", "{name: n2}")
            .replace("role: worker, mostEndpointsOf: web", "name: n2");
        let diagnostics = of(&both);
        assert!(
            diagnostics.contains("20:33: error: this takes down `n2`, where the probe `web` runs"),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_probe_that_no_fault_is_aimed_at_is_odd() {
        let diagnostics =
            beside(&GOOD.replace("mostEndpointsOf: web", "mostEndpointsOf: api"), API);
        assert!(
            diagnostics.contains(
                "warning: the probe `web` targets the Service `web`, but the faults target `api`"
            ),
            "{diagnostics}"
        );
    }
}
