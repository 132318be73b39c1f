//! How much may be affected at the same time: checked before the first fault.

use std::collections::BTreeSet;

use super::node::{Known, Node};
use super::refusal::Refusal;
use crate::experiment::{Affected, BlastRadius, Excess, Fault, NodeSelector};
use crate::timeline::{Component, NodeRole};

/// A fault on a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActiveFault<'a> {
    pub node: &'a Node,
    pub fault: &'a Fault,
    pub step: Option<&'a str>,
}

/// Refuses faults that would last at the same time, where others of `nodes` are down already, if so
/// much may not be affected at the same time. Names all that is more than may be.
pub(crate) fn check(
    limits: &BlastRadius,
    nodes: &[Node],
    known: &Known,
    faults: &[ActiveFault<'_>],
) -> Result<(), Refusal> {
    let on = |node: &Node| {
        faults
            .iter()
            .filter(|active| active.node.name == node.name)
            .map(|active| active.fault)
            .collect::<Vec<_>>()
    };
    let counts = |node: &Node| on(node).iter().any(|fault| fault.counts_on(Some(node.role)));
    let is_down = |node: &Node| known.down.contains(&node.name);
    let count = |role, which: &dyn Fn(&Node) -> bool| {
        nodes.iter().filter(|node| node.role == role && which(node)).count() as u32
    };
    let affected = |role| count(role, &|node| counts(node) || is_down(node));
    let lost = |node: &Node| match on(node).iter().any(|fault| fault.degrades_node()) {
        true => on(node).iter().any(|fault| fault.takes_etcd()),
        false => is_down(node),
    };
    let mut excess = limits.excess(&Affected {
        workers: affected(NodeRole::Worker),
        control_planes: affected(NodeRole::ControlPlane),
        load_balancer: count(NodeRole::ExternalLoadBalancer, &counts) > 0,
        members_lost: count(NodeRole::ControlPlane, &lost),
        members: count(NodeRole::ControlPlane, &|_| true),
        data_lost: faults.iter().any(|active| matches!(active.fault, Fault::EtcdDataLoss { .. })),
    });
    let losing = faults.iter().filter(|active| active.fault.may_lose_pods());
    let losing: BTreeSet<&str> = losing.map(|active| active.node.name.as_str()).collect();
    excess.extend(known.occupancy.excess(limits, &losing.into_iter().collect::<Vec<_>>()));
    Excess::join(&excess).map_or(Ok(()), |(message, hint)| Err(Refusal::new(message).hint(hint)))
}

/// The same for components that are hit as pods, each with its node: as if they were killed. A pod
/// whose node is not known counts on any control plane. Control planes that are not ready are down.
pub(crate) fn check_components(
    limits: &BlastRadius,
    nodes: &[Node],
    hit: &[(Component, Option<&str>)],
) -> Result<(), Refusal> {
    let control_planes = || nodes.iter().filter(|node| node.role == NodeRole::ControlPlane);
    let faults: Vec<(&Node, Fault)> = hit
        .iter()
        .filter_map(|(component, name)| {
            let known = nodes.iter().find(|node| Some(node.name.as_str()) == *name);
            let target = NodeSelector::default();
            let fault = Fault::ComponentKill { component: *component, target };
            Some((known.or_else(|| control_planes().next())?, fault))
        })
        .collect();
    let active: Vec<ActiveFault<'_>> =
        faults.iter().map(|(node, fault)| ActiveFault { node, fault, step: None }).collect();
    let down = control_planes().filter(|node| !node.ready).map(|node| node.name.clone()).collect();
    check(limits, nodes, &Known { down, ..Known::default() }, &active)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(control_planes: usize, workers: usize) -> Vec<Node> {
        let node = |(number, role)| Node::ready(format!("n{number}"), role);
        let roles = [vec![NodeRole::ControlPlane; control_planes], vec![NodeRole::Worker; workers]]
            .concat();
        roles.into_iter().enumerate().map(node).collect()
    }

    fn kill() -> Fault {
        Fault::NodeKill { target: NodeSelector::default() }
    }

    fn stop(component: Component) -> Fault {
        Fault::ComponentStop { component, target: NodeSelector::default() }
    }

    /// A fault on `target` while others are down already.
    fn check(
        limits: &BlastRadius,
        nodes: &[Node],
        down: &[&Node],
        fault: &Fault,
        target: &Node,
    ) -> Result<(), Refusal> {
        let down = down.iter().map(|node| node.name.clone()).collect();
        let known = Known { down, ..Known::default() };
        super::check(limits, nodes, &known, &[ActiveFault { node: target, fault, step: None }])
    }

    #[test]
    fn the_load_balancer_must_be_named() {
        let mut nodes = nodes(3, 1);
        nodes[3].role = NodeRole::ExternalLoadBalancer;
        let refused = check(&BlastRadius::default(), &nodes, &[], &kill(), &nodes[3]).unwrap_err();
        assert!(refused.hint.unwrap().contains("loadBalancer: true"));
        check(
            &BlastRadius { load_balancer: true, ..BlastRadius::default() },
            &nodes,
            &[],
            &kill(),
            &nodes[3],
        )
        .unwrap();
    }

    #[test]
    fn one_worker_may_fall_and_no_more() {
        let nodes = nodes(1, 3);
        let limits = BlastRadius::default();
        check(&limits, &nodes, &[], &kill(), &nodes[1]).unwrap();
        check(&limits, &nodes, &[&nodes[1]], &kill(), &nodes[1]).unwrap();
        let refused = check(&limits, &nodes, &[&nodes[2]], &kill(), &nodes[1]).unwrap_err();
        assert!(refused.hint.unwrap().contains("maxWorkers: 2"));
        check(&BlastRadius { max_workers: 2, ..limits }, &nodes, &[&nodes[2]], &kill(), &nodes[1])
            .unwrap();
    }

    #[test]
    fn the_quorum_is_kept_unless_the_experiment_says_so() {
        let (one, three) = (nodes(1, 1), nodes(3, 1));
        let limits = BlastRadius { max_control_planes: 2, ..BlastRadius::default() };
        assert!(
            check(&BlastRadius::default(), &three, &[], &kill(), &three[0]).is_err(),
            "no control plane by default"
        );
        check(&limits, &three, &[], &kill(), &three[0]).unwrap();
        assert!(
            check(&limits, &three, &[&three[0]], &kill(), &three[1])
                .unwrap_err()
                .message
                .contains("quorum")
        );
        assert!(check(&limits, &one, &[], &kill(), &one[0]).is_err());
        check(&BlastRadius { quorum_loss: true, ..limits }, &one, &[], &kill(), &one[0]).unwrap();
    }

    #[test]
    fn a_part_of_a_control_plane_takes_no_member_but_etcd_itself() {
        let (one, three) = (nodes(1, 1), nodes(3, 1));
        let limits = BlastRadius { max_control_planes: 2, ..BlastRadius::default() };
        let refused =
            check(&BlastRadius::default(), &one, &[], &stop(Component::Scheduler), &one[0])
                .unwrap_err();
        assert!(refused.hint.unwrap().contains("maxControlPlanes: 1"));
        check(&limits, &one, &[], &stop(Component::ApiServer), &one[0]).unwrap();
        check(&limits, &three, &[&three[1]], &stop(Component::Scheduler), &three[0]).unwrap();
        assert!(
            check(&limits, &one, &[], &stop(Component::Etcd), &one[0])
                .unwrap_err()
                .message
                .contains("1 of 1 members")
        );
        check(&limits, &three, &[], &stop(Component::Etcd), &three[0]).unwrap();
        assert!(check(&limits, &three, &[&three[1]], &stop(Component::Etcd), &three[0]).is_err());
    }

    #[test]
    fn a_component_that_is_hit_as_a_pod_counts_as_one_that_is_killed() {
        let (one, three) = (nodes(1, 1), nodes(3, 1));
        let none = BlastRadius::default();
        let limits = BlastRadius { max_control_planes: 1, ..none.clone() };
        let scheduler = [(Component::Scheduler, Some("n0"))];
        let etcd = [(Component::Etcd, Some("n0"))];
        let killed = Fault::ComponentKill {
            component: Component::Scheduler,
            target: NodeSelector::default(),
        };
        assert_eq!(
            check_components(&none, &one, &scheduler),
            check(&none, &one, &[], &killed, &one[0])
        );
        assert!(check_components(&none, &one, &scheduler).is_err());
        check_components(&limits, &one, &scheduler).unwrap();
        let refused = check_components(&limits, &one, &etcd).unwrap_err();
        assert!(refused.hint.unwrap().contains("quorumLoss: true"));
        check_components(&limits, &three, &etcd).unwrap();
        assert!(check_components(&none, &three, &[(Component::Etcd, None)]).is_err());
        let mut degraded = three;
        degraded[1].ready = false;
        let two = BlastRadius { max_control_planes: 2, ..limits };
        assert!(check_components(&two, &degraded, &etcd).is_err(), "two of three would be down");
    }

    #[test]
    fn a_control_plane_is_drained_by_permission_only() {
        let three = nodes(3, 1);
        let drain =
            Fault::NodeDrain { target: NodeSelector::default(), options: Default::default() };
        let refused = check(&BlastRadius::default(), &three, &[], &drain, &three[0]).unwrap_err();
        assert_eq!(refused.hint.unwrap(), "to allow it, set `blastRadius: {maxControlPlanes: 1}`");
        check(
            &BlastRadius { max_control_planes: 1, ..BlastRadius::default() },
            &three,
            &[],
            &drain,
            &three[0],
        )
        .unwrap();
        check(
            &BlastRadius { max_workers: 0, ..BlastRadius::default() },
            &three,
            &[],
            &drain,
            &three[3],
        )
        .unwrap();
    }

    #[test]
    fn everything_over_the_limits_is_named_together() {
        let one = nodes(1, 1);
        let refused = check(&BlastRadius::default(), &one, &[], &kill(), &one[0]).unwrap_err();
        assert!(
            refused.message.contains("but the limit is 0; etcd would lose its quorum"),
            "{refused:?}"
        );
        assert!(
            refused
                .hint
                .unwrap()
                .ends_with("set `blastRadius: {maxControlPlanes: 1, quorumLoss: true}`")
        );
    }
}
