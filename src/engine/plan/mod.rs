//! A method on the nodes of a cluster: which of them a fault hits, and whether it may. All of it is tried before the first fault, with every
//! fault that could still last when another begins, and each is looked at again when it is due.

pub(in crate::engine) mod asking;
pub(crate) mod blast_radius;
pub(crate) mod canaries;
pub(crate) mod each_server;
pub(in crate::engine) mod needs;
pub(in crate::engine) mod object_fault;
pub(crate) mod object_undo;
pub(in crate::engine) mod placement;
mod pool;
pub(crate) mod target;

use std::collections::BTreeMap;

use crate::engine::error::RunError;
use crate::engine::live::Live;
use crate::engine::plan::blast_radius::Harm;
use crate::engine::plan::target::{Known, Node};
use crate::engine::seed::Seed;
use crate::experiment::{Experiment, Fault, Numbered};
use crate::timeline::Ready;

/// With so many seeds each choice among a few nodes comes up.
const SEEDS: u64 = 32;

/// A fault of a method, and the nodes that it would hit.
#[derive(Debug)]
pub(crate) struct Planned<'a> {
    /// Its step.
    pub step: Numbered<'a>,
    /// The nodes.
    pub targets: Vec<&'a Node>,
}

/// A fault that may not be, and why.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    /// Its step.
    pub step: Numbered<'a>,
    /// Why.
    pub error: RunError,
}

/// Chooses targets for all faults of a method in the order in which they begin. Refused where there are none, or more than may be harmed
/// at once.
pub(crate) fn rehearse<'a>(
    experiment: &'a Experiment,
    nodes: &'a [Node],
    known: &Known,
    seed: Seed,
) -> Result<Vec<Planned<'a>>, RunError> {
    let (planned, refused) = attempt(experiment, nodes, known, seed);
    refused.into_iter().next().map_or(Ok(planned), |first| Err(first.error))
}

/// All faults that are refused whatever the seed: where one choice of targets allows the method, another run has it.
pub(crate) fn refusals<'a>(
    experiment: &'a Experiment,
    nodes: &'a [Node],
    known: &Known,
) -> Vec<Refusal<'a>> {
    let tried = (0..SEEDS).map(|seed| attempt(experiment, nodes, known, Seed::new(seed)).1);
    tried.min_by_key(Vec::len).unwrap_or_default()
}

/// The faults for which there are targets, and those that are refused. What begins beside a refused one is left out: it may hang on it.
fn attempt<'a>(
    experiment: &'a Experiment,
    nodes: &'a [Node],
    known: &Known,
    mut seed: Seed,
) -> (Vec<Planned<'a>>, Vec<Refusal<'a>>) {
    let (mut planned, mut refused): (Vec<Planned<'a>>, Vec<Refusal<'a>>) = Default::default();
    for step in experiment.steps() {
        let Some((fault, _)) = step.fault() else { continue };
        if refused.iter().any(|outer| step.is_during(&outer.step)) {
            continue;
        }
        let lasting = planned.iter().filter(|earlier| step.is_during(&earlier.step));
        let active: Vec<Harm> = lasting.flat_map(Planned::harms).collect();
        let hit = planned
            .iter()
            .flat_map(|earlier| &earlier.targets)
            .map(|node| node.name.clone())
            .collect();
        let known = &Known { hit, ..known.clone() };
        match (PlanContext { experiment, nodes, known, active: &active }.targets(fault, &mut seed))
        {
            Ok(targets) => planned.push(Planned { step, targets }),
            Err(error) => refused.push(Refusal { step, error }),
        }
    }
    (planned, refused)
}

impl<'a> Planned<'a> {
    fn harms(&self) -> impl Iterator<Item = Harm<'a>> {
        let (fault, step) = (self.step.fault().map(|(fault, _)| fault), self.step.name());
        self.targets.iter().filter_map(move |node| Some(Harm { node, fault: fault?, step }))
    }
}

/// What a fault meets when it begins.
#[derive(Clone, Copy)]
pub(crate) struct PlanContext<'s, 'a> {
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The nodes.
    pub nodes: &'a [Node],
    /// What is known of them.
    pub known: &'s Known,
    /// The faults that last.
    pub active: &'s [Harm<'a>],
}

impl<'a> PlanContext<'_, 'a> {
    /// The nodes that a fault hits now.
    pub(crate) fn targets(
        &self,
        fault: &'a Fault,
        seed: &mut Seed,
    ) -> Result<Vec<&'a Node>, RunError> {
        // What is no node is chosen when the fault is due: nobody knows it before.
        let Some(selector) = fault.target() else {
            return self.has_placement_node(fault).map(|()| Vec::new());
        };
        let hosts = if fault.takes_node() { self.known.hosts.as_slice() } else { &[] };
        let known = Known { under: self.under(), ..self.known.clone() };
        let targets =
            target::choose(self.nodes, selector, &known, (hosts, &self.busy(fault)), seed)?;
        let new = targets.iter().map(|node| Harm { node, fault, step: None });
        let harms: Vec<Harm> = self.active.iter().copied().chain(new).collect();
        blast_radius::check(&self.experiment.blast_radius, self.nodes, &self.known.down, &harms)?;
        Ok(targets)
    }

    /// Whether there are the nodes to which a fault is to move pods.
    fn has_placement_node(&self, fault: &Fault) -> Result<(), RunError> {
        let Fault::DeploymentPlace { on, .. } = fault else { return Ok(()) };
        target::placement_node(self.nodes, on, &mut Seed::new(0)).map(drop)
    }

    /// Nodes under a fault with which this one can't share them.
    fn busy(&self, fault: &Fault) -> Vec<String> {
        self.active
            .iter()
            .filter(|harm| !fault.may_share_node(harm.fault))
            .map(|harm| harm.node.name.clone())
            .collect()
    }

    /// The nodes under a fault, by the names of the steps.
    fn under(&self) -> BTreeMap<String, Vec<String>> {
        let mut under: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (step, node) in self.active.iter().filter_map(|harm| Some((harm.step?, harm.node))) {
            under.entry(step.to_owned()).or_default().push(node.name.clone());
        }
        under
    }
}

/// What the records so far tell.
pub(crate) fn known(live: &Live, nodes: &[Node], hosts: &[String], hit: Vec<String>) -> Known {
    let is_down =
        |node: &&Node| live.nodes.get(&node.name).is_some_and(|known| known.ready != Ready::True);
    Known {
        endpoints: live
            .endpoints
            .keys()
            .map(|service| (service.clone(), live.endpoints_of(service)))
            .collect(),
        leaders: live.leaders.clone(),
        all_leaders: true,
        hosts: hosts.to_vec(),
        hit,
        under: BTreeMap::new(),
        down: nodes.iter().filter(is_down).map(|node| node.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plan::target::tests::{cluster, role};
    use crate::experiment::{BlastRadius, Count, NodeSelector, Step};
    use crate::timeline::{Component, NodeRole};

    fn fault(fault: Fault, meanwhile: Vec<Step>) -> Step {
        Step::Fault { name: None, fault, hold: std::time::Duration::from_secs(9), meanwhile }
    }

    fn kill(target: NodeSelector) -> Fault {
        Fault::NodeKill { target }
    }

    fn stop(component: Component, count: Count) -> Fault {
        Fault::ComponentStop {
            component,
            target: NodeSelector { count, ..role(NodeRole::ControlPlane) },
        }
    }

    /// The targets of each fault, or why not.
    fn planned(
        planes: usize,
        workers: usize,
        limits: BlastRadius,
        method: Vec<Step>,
    ) -> Result<Vec<Vec<String>>, String> {
        let experiment =
            Experiment { method, blast_radius: limits, ..crate::engine::simulation::experiment() };
        let nodes = cluster(planes, workers);
        let planned = rehearse(&experiment, &nodes, &Known::default(), Seed::new(1))
            .map_err(|error| error.line())?;
        Ok(planned
            .iter()
            .map(|p| p.targets.iter().map(|node| node.name.clone()).collect())
            .collect())
    }

    #[test]
    fn faults_at_once_count_together() {
        let worker = || kill(role(NodeRole::Worker));
        let nested = || vec![fault(worker(), vec![fault(worker(), Vec::new())])];
        let refused = planned(1, 3, BlastRadius::default(), nested()).unwrap_err();
        assert_eq!(refused, "2 workers would be harmed at once, at most 1 may be");
        let two = BlastRadius { max_workers: 2, ..BlastRadius::default() };
        let targets = planned(1, 2, two.clone(), nested()).unwrap();
        assert_ne!(targets[0], targets[1], "never the same node twice");
        let refused = planned(1, 1, two, nested()).unwrap_err();
        assert_eq!(refused, "every node that the target allows is under another fault: w1");
        let in_turn = vec![fault(worker(), Vec::new()), fault(worker(), Vec::new())];
        assert!(planned(1, 1, BlastRadius::default(), in_turn).is_ok());
    }

    #[test]
    fn parts_of_one_control_plane_may_be_harmed_side_by_side() {
        let limits =
            || BlastRadius { max_control_planes: 1, quorum_loss: true, ..BlastRadius::default() };
        let both = |inner: Fault| {
            vec![fault(stop(Component::Scheduler, Count::All), vec![fault(inner, Vec::new())])]
        };
        assert!(
            planned(1, 2, limits(), both(stop(Component::ControllerManager, Count::All))).is_ok()
        );
        assert!(planned(1, 2, limits(), both(stop(Component::Scheduler, Count::All))).is_err());
        assert!(planned(1, 2, limits(), both(kill(role(NodeRole::ControlPlane)))).is_err());
    }

    #[test]
    fn a_drained_node_may_be_harmed_and_no_other_one_twice() {
        let named = |name: &str, outer: Fault, inner: Fault| {
            let (name, hold) = (Some(name.to_owned()), std::time::Duration::from_secs(9));
            vec![Step::Fault {
                name,
                fault: outer,
                hold,
                meanwhile: vec![fault(inner, Vec::new())],
            }]
        };
        let drain = || Fault::NodeDrain { target: role(NodeRole::Worker) };
        let of = |step: &str| NodeSelector { of: Some(step.into()), ..role(NodeRole::Worker) };
        for _ in 0..4 {
            let targets = planned(
                1,
                3,
                BlastRadius::default(),
                named("drained", drain(), kill(of("drained"))),
            )
            .unwrap();
            assert_eq!(targets[0], targets[1]);
        }
        let refused =
            planned(1, 3, BlastRadius::default(), named("other", drain(), kill(of("drained"))))
                .unwrap_err();
        assert!(refused.starts_with("no node matches role worker, hit by drained"), "{refused}");
        let limits = BlastRadius { max_workers: 2, ..BlastRadius::default() };
        let refused =
            planned(1, 3, limits, named("down", kill(role(NodeRole::Worker)), kill(of("down"))))
                .unwrap_err();
        assert!(refused.contains("is under another fault"), "{refused}");
    }

    #[test]
    fn the_quorum_is_counted_over_all_that_last() {
        let limits = BlastRadius { max_control_planes: 3, ..BlastRadius::default() };
        let two = || stop(Component::Etcd, Count::Exactly(2));
        let refused = planned(3, 1, limits.clone(), vec![fault(two(), Vec::new())]).unwrap_err();
        assert!(refused.contains("2 of 3 members would be down"), "{refused}");
        let one = || stop(Component::Etcd, Count::Exactly(1));
        assert!(
            planned(3, 1, limits.clone(), vec![fault(one(), vec![fault(one(), Vec::new())])])
                .is_err()
        );
        let scheduler = stop(Component::Scheduler, Count::All);
        assert!(
            planned(3, 1, limits, vec![fault(one(), vec![fault(scheduler, Vec::new())])]).is_ok()
        );
    }
}
