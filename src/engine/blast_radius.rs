//! How much may be harmed at once: checked before the first fault.

use super::target::Node;
use super::trouble::Trouble;
use crate::experiment::BlastRadius;
use crate::timeline::NodeRole;

/// Refuses nodes that may not be down at the same time.
pub fn check(limits: &BlastRadius, nodes: &[Node], down: &[&Node]) -> Result<(), Trouble> {
    let count = |nodes: &mut dyn Iterator<Item = &Node>, role| nodes.filter(|node| node.role == role).count() as u32;
    let workers = count(&mut down.iter().copied(), NodeRole::Worker);
    let control_planes = count(&mut down.iter().copied(), NodeRole::ControlPlane);
    let members = count(&mut nodes.iter(), NodeRole::ControlPlane);
    at_most("worker", workers, limits.max_workers, "maxWorkers")?;
    at_most("control-plane node", control_planes, limits.max_control_planes, "maxControlPlanes")?;
    let quorum = members / 2 + 1;
    if control_planes > 0 && members - control_planes < quorum && !limits.quorum_loss {
        return Err(Trouble::refused(format!(
            "etcd would lose its quorum: {control_planes} of {members} members would be down, {quorum} are needed"
        ))
        .hint("if that is the experiment, say `blastRadius: {quorumLoss: true}`"));
    }
    Ok(())
}

fn at_most(what: &str, count: u32, limit: u32, field: &str) -> Result<(), Trouble> {
    if count <= limit {
        return Ok(());
    }
    Err(Trouble::refused(format!(
        "{count} {what}{} would be down at once, at most {limit} may be",
        if count == 1 { "" } else { "s" }
    ))
    .hint(format!("if that is the experiment, say `blastRadius: {{{field}: {count}}}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(control_planes: usize, workers: usize) -> Vec<Node> {
        let node = |role| Node { name: "n".into(), role, labels: Default::default(), ready: true, address: None };
        let mut nodes = vec![node(NodeRole::ControlPlane); control_planes];
        nodes.extend(vec![node(NodeRole::Worker); workers]);
        nodes
    }

    #[test]
    fn one_worker_may_fall_and_no_more() {
        let nodes = nodes(1, 3);
        let limits = BlastRadius::default();
        check(&limits, &nodes, &[&nodes[1]]).unwrap();
        assert!(check(&limits, &nodes, &[&nodes[1], &nodes[2]]).unwrap_err().hint.unwrap().contains("maxWorkers: 2"));
        check(&BlastRadius { max_workers: 2, ..limits }, &nodes, &[&nodes[1], &nodes[2]]).unwrap();
    }

    #[test]
    fn the_quorum_is_kept_unless_the_experiment_says_so() {
        let (one, three) = (nodes(1, 1), nodes(3, 1));
        let limits = BlastRadius { max_control_planes: 2, ..BlastRadius::default() };
        assert!(check(&BlastRadius::default(), &three, &[&three[0]]).is_err(), "no control plane by default");
        check(&limits, &three, &[&three[0]]).unwrap();
        assert!(check(&limits, &three, &[&three[0], &three[1]]).unwrap_err().message.contains("quorum"));
        assert!(check(&limits, &one, &[&one[0]]).is_err());
        check(&BlastRadius { quorum_loss: true, ..limits }, &one, &[&one[0]]).unwrap();
    }
}
