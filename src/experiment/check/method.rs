//! The steps' names, and who speaks of them; steps beside one another.

use super::{Check, PlacedFault};
use crate::experiment::decode::known;
use crate::experiment::schema::{Count, During, Expectation, Fault, NodeSelector};
use crate::timeline::{Component, FaultKind, NodeRole};
use crate::yaml::suggest;

pub(super) fn check(check: &Check) {
    duplicate_names(check);
    step_references(check);
    shared_nodes(check);
    addresses_are_kept(check);
    every_leader_is_one(check);
    no_success_of_which(check);
    nobody_leads_and_follows(check);
    balancer_is_not_a_node(check);
}

/// The target of what only a node of Kubernetes can suffer.
fn balancer_is_not_a_node(check: &Check) {
    for PlacedFault { fault, place, .. } in check.faults() {
        let Some(target) = fault.target().filter(|_| fault.needs_api_only()) else { continue };
        if target.role == Some(NodeRole::ExternalLoadBalancer) {
            check.report(check.error(
                &format!("{place}.target.role"),
                "the load balancer is not a Kubernetes node and has no pods",
            ));
        }
    }
}

fn nobody_leads_and_follows(check: &Check) {
    for PlacedFault { fault, place, .. } in check.faults() {
        let Some(target) = fault.target() else { continue };
        if target.leader.is_some() && target.leader == target.followers {
            check.report(check.error(
                &format!("{place}.target.followers"),
                "a node cannot be both leader and follower of the same component",
            ));
        }
    }
}

fn duplicate_names(check: &Check) {
    let steps = check.steps().into_iter();
    let names = steps.filter_map(|step| Some((format!("{}.name", step.place), step.name()?)));
    check.refuse_duplicates("step name", None, names);
}

/// A step that could not be read may have had the name.
fn step_references(check: &Check) {
    if check.draft.method.iter().any(Option::is_none) {
        return;
    }
    let steps = check.steps();
    let names: Vec<&str> = steps.iter().filter_map(|step| step.name()).collect();
    for (index, expectation) in known(&check.draft.expect) {
        let named = match expectation {
            Expectation::Detection { of, after, .. } => {
                vec![("detection.of", of.as_ref()), ("detection.after", after.as_ref())]
            }
            Expectation::NoSuccess { during, .. } => vec![("noSuccess.during", during.as_ref())],
            Expectation::Latency { during: During::Step(step), .. } => {
                vec![("latency.during", Some(step))]
            }
            _ => continue,
        };
        for (field, name) in named {
            let Some(name) = name.filter(|name| !names.contains(&name.as_str())) else {
                continue;
            };
            let problem = check.error(
                &format!("spec.expect[{index}].{field}"),
                format!("no step is named `{name}`"),
            );
            let words = During::WORDS.iter().map(|(word, _)| *word);
            let hint = match field {
                "latency.during" => {
                    let all: Vec<&str> = words.chain(names.iter().copied()).collect();
                    suggest::hint(name, &all, "it is one of")
                }
                _ => suggest::hint(name, &names, "the steps are"),
            };
            check.report(problem.hint_if(hint.or(Some("give the step a `name`".into()))));
        }
    }
}

/// The nodes of a step can be hit again only while it lasts, and only by what leaves to it what it
/// did.
fn shared_nodes(check: &Check) {
    let steps = check.steps();
    for PlacedFault { step, fault, place, .. } in check.faults() {
        let Some(name) = fault.target().and_then(|target| target.of.as_ref()) else { continue };
        let place = format!("{place}.target.of");
        let outer = steps.iter().find(|outer| step.is_during(outer) && outer.name() == Some(name));
        match outer.and_then(|outer| outer.fault()) {
            None => {
                let problem =
                    check.error(&place, format!("this step does not start during a step `{name}`"));
                let names: Vec<&str> = steps
                    .iter()
                    .filter(|outer| step.is_during(outer))
                    .filter_map(|outer| outer.name())
                    .collect();
                let hint = suggest::hint(name, &names, "it starts during");
                let there = steps.iter().any(|step| step.name() == Some(name));
                let around =
                    if there { format!("`{name}`") } else { "a step of that name".to_owned() };
                check.report(
                    problem.hint_if(
                        hint.or(Some(format!("move it into the `meanwhile` of {around}"))),
                    ),
                );
            }
            Some((outer, _)) if outer.target().is_none() => {
                check.report(check.error(&place, format!("`{name}` does not target nodes")));
            }
            Some((outer, _)) if !fault.may_share_node(outer) => {
                let message = format!(
                    "`{}` and `{}` cannot be active on the same node",
                    outer.kind(),
                    fault.kind()
                );
                let problem = check.error(&place, message);
                check
                    .report(problem.hint("other faults can be combined with a drain, and faults on two different components of one control plane with each other"));
            }
            Some(_) => {}
        }
    }
}

/// The engine gives the lowest free address to whatever starts: of two machines that are off at the
/// same time, the first to start may take the other's. The undo starts those of one step in the
/// order of their addresses; those of two steps start when each is due, and a reboot starts each
/// immediately.
fn addresses_are_kept(check: &Check) {
    let faults = check.faults();
    for PlacedFault { step, fault, place, .. } in &faults {
        let Fault::NodeReboot { target, .. } = fault else { continue };
        let hits_several = |target: &NodeSelector| target.count != Count::default();
        let around = faults
            .iter()
            .map(|outer| (&outer.step, outer.fault))
            .filter(|(outer, _)| step.is_during(outer) && outer.name() == target.of.as_deref());
        let same = around
            .filter_map(|(_, outer)| outer.target())
            .filter(|_| target.of.is_some())
            .any(hits_several);
        if same || hits_several(target) {
            let message = "several machines would reboot simultaneously, and the first to start may get another's address";
            let problem = check.error(&format!("{place}.target.count"), message);
            check.report(
                problem.hint(
                    "reboot them in separate steps, one after the other, or use one `nodeKill`",
                ),
            );
        }
    }
    let frees = |it: &&PlacedFault| it.fault.frees_address();
    for PlacedFault { step, fault, place, .. } in faults.iter().filter(frees) {
        if let Some(outer) = faults.iter().filter(frees).find(|it| step.is_during(&it.step)) {
            let message = "two machines would be off simultaneously, and the first to start may get the other's address";
            let at = check.at(&format!("{}.fault", outer.place));
            let problem = check.error(place, message).related(check.cx.file(), at, "already off");
            check.report(problem.hint(format!(
                "`nodePause` and `nodeDisconnect` keep a node's address; `count: 2` takes down two with one `{}`",
                if matches!(fault, Fault::NodeReboot { .. }) { FaultKind::NodeKill } else { fault.kind() }
            )));
        }
    }
}

/// Without a step it is judged in every fault, and a probe that one of them ends often goes on in
/// another.
fn no_success_of_which(check: &Check) {
    let what = |fault: &Fault| fault.component().map_or(fault.kind().name(), Component::name);
    let mut hit: Vec<&str> = check.faults().iter().map(|it| what(it.fault)).collect();
    hit.sort_unstable();
    hit.dedup();
    for (index, expectation) in known(&check.draft.expect) {
        if matches!(expectation, Expectation::NoSuccess { during: None, .. }) && hit.len() > 1 {
            let message =
                format!("this is evaluated for every fault: {}", suggest::listed(&hit, "and"));
            let problem = check.warning(&format!("spec.expect[{index}].noSuccess"), message);
            check.report(problem.hint("`during: STEP` selects one"));
        }
    }
}

fn every_leader_is_one(check: &Check) {
    for PlacedFault { fault, place, .. } in check.faults() {
        let Some(target) = fault.target() else { continue };
        if target.leader.is_some() && target.count != Count::default() {
            check.report(
                check.error(&format!("{place}.target.count"), "a component has only one leader"),
            );
        }
        if let (Some(hit), Some(led)) = (fault.component(), target.leader.or(target.followers))
            && hit != led
        {
            let message = format!(
                "this affects {}, but the target is chosen by the leader of {}",
                hit.name(),
                led.name()
            );
            check.report(check.warning(&format!("{place}.component"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, changed, of};

    const STEP: &str = "  - fault:\n      nodeStop: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";

    fn method(steps: &str) -> String {
        of(&GOOD
            .replace("  method:\n", "  blastRadius: {maxWorkers: 2}\n  method:\n")
            .replace(STEP, steps))
    }

    #[test]
    fn steps_are_found_by_their_names() {
        let one = "  - {name: dies, fault: {nodePause: {target: {role: worker}}}, for: 15s}\n";
        assert_eq!(method(one), "");
        let diagnostics = method(&format!("{one}{one}"));
        assert!(diagnostics.contains("error: duplicate step name `dies`"), "{diagnostics}");
        let diagnostics = changed("detection: {within", "detection: {of: dies, within");
        assert!(
            diagnostics.contains("error: no step is named `dies` (give the step a `name`)"),
            "{diagnostics}"
        );
        let named =
            GOOD.replace(STEP, one).replace("detection: {within", "detection: {of: dise, within");
        assert!(of(&named).contains("no step is named `dise` (did you mean `dies`?)"));
    }

    #[test]
    fn two_machines_are_not_off_simultaneously_in_two_steps() {
        let nested = |outer: &str, inner: &str| {
            format!(
                "  - fault: {{{outer}: {{target: {{role: worker}}}}}}\n    for: 40s\n    meanwhile:\n    - {{fault: {{{inner}: {{target: {{role: worker}}}}}}, for: 5s}}\n"
            )
        };
        let diagnostics = method(&nested("nodeKill", "nodeReboot"));
        assert!(
            diagnostics.contains("error: two machines would be off simultaneously"),
            "{diagnostics}"
        );
        assert_eq!(method(&nested("nodePause", "nodeKill")), "");
        assert_eq!(method(&nested("nodeStop", "nodeDisconnect")), "");
    }

    #[test]
    fn a_node_is_hit_again_while_it_may_be() {
        let nested = |outer: &str, of: &str| {
            format!(
                "  - name: away\n    fault: {{{outer}}}\n    for: 15s\n    meanwhile:\n    - {{fault: {{nodeReboot: {{target: {{of: {of}}}}}}}, for: 15s}}\n"
            )
        };
        assert_eq!(method(&nested("nodeDrain: {target: {role: worker}}", "away")), "");
        let diagnostics = method(&nested("nodeDrain: {target: {role: worker}}", "awya"));
        assert!(
            diagnostics.contains(
                "error: this step does not start during a step `awya` (did you mean `away`?)"
            ),
            "{diagnostics}"
        );
        let diagnostics = method(&nested("kubeletStop: {target: {role: worker}}", "away"));
        assert!(
            diagnostics.contains(
                "error: `kubeletStop` and `nodeReboot` cannot be active on the same node"
            ),
            "{diagnostics}"
        );
        let diagnostics = method(&nested("podDelete: {labels: {app: web}}", "away"));
        assert!(diagnostics.contains("error: `away` does not target nodes"), "{diagnostics}");
        let diagnostics = method("  - {fault: {nodeKill: {target: {of: away}}}, for: 15s}\n");
        assert!(
            diagnostics.contains("this step does not start during a step `away` (move it into the `meanwhile` of a step of that name)"),
            "{diagnostics}"
        );
    }

    #[test]
    fn machines_reboot_one_after_the_other() {
        let several = "error: several machines would reboot simultaneously";
        let reboot = |count: &str| {
            format!(
                "  - {{fault: {{nodeReboot: {{target: {{role: worker{count}}}}}}}, for: 15s}}\n"
            )
        };
        assert!(!method(&reboot("")).contains(several));
        assert!(
            method(&reboot(", count: 2")).contains(several)
                && method(&reboot(", count: all")).contains(several)
        );
        let drained = "  - name: away\n    fault: {nodeDrain: {target: {role: worker, count: 2}}}\n    for: 15s\n    meanwhile:\n    - {fault: {nodeReboot: {target: {of: away}}}, for: 15s}\n";
        assert!(method(drained).contains(several));
    }

    #[test]
    fn no_success_in_several_faults_asks_for_a_step() {
        let judged = |second: &str, during: &str| {
            let step = |name: &str, fault: &str| {
                format!(
                    "  - {{name: {name}, fault: {{{fault}: {{target: {{role: worker}}}}}}, for: 15s}}\n"
                )
            };
            let method = format!("{}{}", step("one", "nodePause"), step("two", second));
            let expect = format!("  expect:\n  - noSuccess: {{probe: web{during}}}\n");
            of(&GOOD.replace(STEP, &method).replace("  expect:\n", &expect))
        };
        let diagnostics = judged("nodeKill", "");
        assert!(
            diagnostics
                .contains("warning: this is evaluated for every fault: `nodeKill` and `nodePause`"),
            "{diagnostics}"
        );
        assert!(diagnostics.contains("(`during: STEP` selects one"), "{diagnostics}");
        assert_eq!(
            (judged("nodeKill", ", during: one"), judged("nodePause", "")),
            (String::new(), String::new())
        );
    }

    #[test]
    fn a_target_that_can_not_be_is_reported() {
        let diagnostics =
            changed("role: worker, mostEndpointsOf: web", "leader: etcd, followers: etcd");
        assert!(
            diagnostics
                .contains("error: a node cannot be both leader and follower of the same component"),
            "{diagnostics}"
        );
        let diagnostics = changed(
            "nodeStop: {target: {role: worker, mostEndpointsOf: web",
            "nodeDrain: {target: {role: external-load-balancer",
        );
        assert!(
            diagnostics
                .contains("error: the load balancer is not a Kubernetes node and has no pods"),
            "{diagnostics}"
        );
    }

    #[test]
    fn one_leader_is_one_node() {
        let leader = |count: &str| {
            GOOD.replace("  method:\n", "  blastRadius: {maxControlPlanes: 2}\n  method:\n")
                .replace(
                    "nodeStop: {target: {role: worker, mostEndpointsOf: web",
                    &format!(
                        "componentKill: {{component: etcd, target: {{leader: kube-scheduler{count}"
                    ),
                )
        };
        let diagnostics = of(&leader(", count: 2"));
        assert!(diagnostics.contains("error: a component has only one leader"), "{diagnostics}");
        assert!(
            diagnostics.contains("warning: this affects etcd, but the target is chosen by the leader of kube-scheduler"),
            "{diagnostics}"
        );
    }
}
