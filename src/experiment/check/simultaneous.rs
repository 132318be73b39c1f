//! Steps that would change one object simultaneously: what each is to put back is what it found,
//! and it would find the other's change.

use super::{Check, PlacedFault};

pub(super) fn check(check: &Check) {
    let faults = check.faults();
    for PlacedFault { step, place, resolved, .. } in &faults {
        let Some(changed) = resolved.deployment() else { continue };
        let Some(outer) = faults.iter().find(|outer| {
            step.is_during(&outer.step) && outer.resolved.deployment() == Some(changed)
        }) else {
            continue;
        };
        let message = format!(
            "the Deployment `{}` would be changed by two steps simultaneously",
            changed.name
        );
        let at = check.at(&outer.place);
        let problem =
            check.error(place, message).related(check.cx.file(), at, "already changed here");
        check.report(problem.hint("each restores what it found: run one step after the other"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, of};

    const STEP: &str = "  - fault:\n      nodeStop: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";
    const MESSAGE: &str =
        "error: the Deployment `dns` would be changed by two steps simultaneously";

    fn method(steps: &str) -> String {
        of(&GOOD
            .replace("  method:\n", "  blastRadius: {namespaces: [kube-system]}\n  method:\n")
            .replace(STEP, steps))
    }

    fn scale(name: &str) -> String {
        format!(
            "{{fault: {{deploymentScale: {{namespace: kube-system, name: {name}, replicas: 0}}}}, for: 15s}}"
        )
    }

    fn nested(outer: &str, inner: &str) -> String {
        method(&format!("  - {}, meanwhile: [{inner}]}}\n", outer.strip_suffix('}').unwrap()))
    }

    #[test]
    fn one_deployment_is_changed_by_one_step_at_a_time() {
        let diagnostics = nested(&scale("dns"), &scale("dns"));
        assert!(
            diagnostics.contains(MESSAGE) && diagnostics.contains("run one step after the other"),
            "{diagnostics}"
        );
        let place = "{fault: {deploymentPlace: {namespace: kube-system, name: dns, on: {role: worker}}}, for: 15s}";
        assert!(nested(&scale("dns"), place).contains(MESSAGE));
        assert!(nested(place, &scale("dns")).contains(MESSAGE));
    }

    #[test]
    fn two_deployments_or_two_steps_in_turn_are_as_they_were() {
        assert!(!nested(&scale("dns"), &scale("other")).contains("simultaneously"));
        let own = "{fault: {deploymentScale: {name: dns, replicas: 0}}, for: 15s}";
        assert!(!nested(&scale("dns"), own).contains("simultaneously"), "of another namespace");
        assert!(
            !method(&format!("  - {}\n  - {}\n", scale("dns"), scale("dns")))
                .contains("simultaneously")
        );
    }
}
