//! How much a fault harms, as far as the file alone tells: for when nobody knows the nodes that a rehearsal needs.

use super::Check;
use crate::experiment::schema::{Count, Excess, Fault, Harmed, NodeSelector};
use crate::timeline::NodeRole;

pub(super) fn check(check: &Check) {
    let Some(radius) = &check.draft.blast_radius else { return };
    for (_, fault, place) in check.faults() {
        let Some(target) = fault.target() else { continue };
        if let Some((message, hint)) = Excess::join(&radius.excess(&harmed(fault, target))) {
            check.tell(check.error(&format!("{place}.target"), message).hint(hint));
        }
    }
}

/// Of `all` nodes it knows one.
fn harmed(fault: &Fault, target: &NodeSelector) -> Harmed {
    let count = match target.count {
        Count::Exactly(count) => count,
        Count::All => 1,
    };
    let counted =
        |role| if target.role == Some(role) && fault.counts_on(Some(role)) { count } else { 0 };
    let data_lost = matches!(fault, Fault::EtcdDataLoss { .. });
    Harmed {
        workers: counted(NodeRole::Worker),
        control_planes: counted(NodeRole::ControlPlane),
        load_balancer: counted(NodeRole::ExternalLoadBalancer) > 0,
        // Data is lost where there is one member only: others would give it back.
        members_lost: data_lost.into(),
        members: data_lost.into(),
        data_lost,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::changed;

    const NONE: &str = "1 control-plane node would be harmed at once, at most 0 may be (if that is the experiment, say `blastRadius: {maxControlPlanes: 1}`)";

    #[test]
    fn the_blast_radius_holds() {
        let told = changed("role: worker, most", "role: control-plane, most");
        assert_eq!(told.lines().next().unwrap(), format!("20:26: error: {NONE}"));
        let told = changed("  method:\n", "  blastRadius: {maxWorkers: 0}\n  method:\n");
        assert!(told.contains("1 worker would be harmed"), "{told}");
        let balancer = changed("role: worker, most", "role: external-load-balancer, most");
        assert!(balancer.contains("`blastRadius: {loadBalancer: true}`"), "{balancer}");
    }

    #[test]
    fn a_part_of_a_control_plane_is_harm_to_it() {
        let of_part = |target: &str| {
            changed(
                "nodeStop: {target: {role: worker, ",
                &format!("componentStop: {{component: etcd, target: {{{target}"),
            )
        };
        assert!(of_part("role: control-plane, ").contains(NONE));
        assert!(of_part("").contains(NONE), "without a role, too");
    }

    #[test]
    fn what_is_lost_is_told_once() {
        let fault = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
        let loss = changed(fault, "etcdDataLoss: {target: {role: control-plane}}");
        assert!(
            loss.contains("`blastRadius: {maxControlPlanes: 1, quorumLoss: true, dataLoss: true}`"),
            "{loss}"
        );
        assert_eq!(loss.matches("blastRadius").count(), 1, "{loss}");
    }
}
