//! What an experiment asks of its kind config beyond what kind takes. Whether its nodes suffice for
//! the method is checked by the plan (`plan/`).

use super::{Check, PlacedFault};
use crate::experiment::schema::Fault;
use crate::kind_config::KindConfig;
use crate::timeline::NodeRole;

pub(super) fn check(check: &Check, config: &KindConfig) {
    if let Some(problem) = config.unnamed() {
        check.report(problem);
    }
    data_is_lost_for_good(check, config);
}

/// The other members give back what one member of etcd loses.
fn data_is_lost_for_good(check: &Check, config: &KindConfig) {
    let members = config.count(NodeRole::ControlPlane);
    if members < 2 {
        return;
    }
    for PlacedFault { fault, place, .. } in check.faults() {
        if !matches!(fault, Fault::EtcdDataLoss { .. }) {
            continue;
        }
        let message = format!(
            "{} has {members} etcd members: one that loses its data gets it back from the others",
            config.path()
        );
        check.report(check.error(&place, message).hint("use a kind config with one control plane"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, both, with_config};

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

    #[test]
    fn a_config_needs_a_name() {
        let diagnostics = with_config(&format!("{HEAD}nodes: [{{role: worker}}]\n"));
        assert!(
            diagnostics.contains("kind.yaml:1:1: error: the kind config has no `name:`"),
            "{diagnostics}"
        );
        assert!(
            with_config(&format!("{HEAD}name: A_b\nnodes: [{{role: worker}}]\n"))
                .contains("kind.yaml:3:7: error: `A_b` cannot be")
        );
    }

    #[test]
    fn something_else_is_not_a_config() {
        assert!(with_config("kind: Pod\napiVersion: v1\n").contains("this is not a kind config"));
        assert!(with_config("").contains("the file is empty"));
        assert!(with_config("a: [\n").contains("never closed"));
    }

    #[test]
    fn data_is_lost_only_where_no_other_member_has_it() {
        let diagnostics = |planes: &str| {
            let loss = GOOD.replace(
                "nodeStop: {target: {role: worker, mostEndpointsOf: web}}",
                "etcdDataLoss: {target: {role: control-plane}}",
            );
            let radius = "  blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true}\n  method:\n";
            both(
                &loss.replace("  method:\n", radius),
                &format!("{HEAD}name: test\nnodes: [{planes}]\n"),
            )
        };
        assert!(!diagnostics("{role: control-plane}").contains("etcd members"));
        assert!(
            diagnostics("{role: control-plane}, {}, {role: worker}")
                .contains("error: kind.yaml has 2 etcd members")
        );
    }
}
