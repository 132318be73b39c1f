//! Steady states that the cluster, or the workload, of an experiment can never reach.

use super::Check;
use crate::experiment::decode::known;
use crate::experiment::files::Files;
use crate::experiment::schema::{Condition, Quantity};
use crate::kind_config::KindConfig;
use crate::timeline::counted;
use crate::workload::{Controller, Manifest};

pub(super) fn check(check: &Check, files: &Files) {
    for (index, condition) in known(&check.draft.steady_state) {
        let place = format!("spec.steadyState[{index}]");
        match condition {
            Condition::NodesReady(Quantity::AtLeast(wanted)) => {
                if let Some(config) = &files.kind_config {
                    nodes(check, &format!("{place}.nodesReady"), *wanted, config);
                }
            }
            Condition::EndpointsReady { service, at_least }
                if files.complete && service.namespace.is_none() =>
            {
                let place = format!("{place}.endpointsReady.atLeast");
                endpoints(check, &place, &service.name, *at_least, &files.workload);
            }
            _ => {}
        }
    }
}

fn nodes(check: &Check, place: &str, wanted: u32, config: &KindConfig) {
    let there = config.nodes.len();
    if wanted as usize > there {
        let message = format!(
            "the steady state is never reached: {} has {}",
            config.path(),
            counted(there, "node")
        );
        check.report(check.error(place, message).hint("`nodesReady: all` waits for all of them"));
    }
}

/// Pods whose number nobody but their own object decides.
fn endpoints(check: &Check, place: &str, name: &str, wanted: u32, workload: &Manifest) {
    let Some(service) = workload.service(name) else { return };
    let selector = service.selector();
    let behind: Vec<_> = workload.pods().filter(|pods| pods.have(&selector)).collect();
    let fixed = |controller: Controller| {
        matches!(controller, Controller::None | Controller::ReplicaSet | Controller::StatefulSet)
    };
    if selector.is_empty()
        || workload.is_autoscaled()
        || !behind.iter().all(|pods| fixed(pods.controller))
    {
        return;
    }
    let there: usize = behind.iter().map(|pods| pods.replicas).sum();
    if wanted as usize > there {
        let message =
            format!("the steady state is never reached: `{name}` has {}", counted(there, "pod"));
        check.report(check.error(place, message).hint("raise `replicas`, or lower `atLeast`"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CONFIG, GOOD, WORKLOAD, of, problems};

    fn with(condition: &str) -> String {
        of(&GOOD.replace("  steadyState:\n", &format!("  steadyState:\n  - {condition}\n")))
    }

    #[test]
    fn no_more_nodes_can_be_ready_than_there_are() {
        assert_eq!(with("nodesReady: 2"), "");
        let problem = with("nodesReady: 99");
        let wanted = "error: the steady state is never reached: kind.yaml has 2 nodes";
        assert!(problem.contains(wanted), "{problem}");
    }

    #[test]
    fn no_more_endpoints_can_be_ready_than_there_are_pods() {
        assert_eq!(with("endpointsReady: {service: web, atLeast: 1}"), "");
        let many = "endpointsReady: {service: web, atLeast: 2}";
        let problem = with(many);
        let wanted = "error: the steady state is never reached: `web` has 1 pod (raise `replicas`";
        assert!(problem.contains(wanted), "{problem}");
        let scaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\nspec: {}\n";
        let experiment = GOOD.replace("  steadyState:\n", &format!("  steadyState:\n  - {many}\n"));
        let problems = problems(&experiment, &format!("{WORKLOAD}{scaler}"), CONFIG);
        assert!(!problems.contains("never reached"), "{problems}");
    }
}
