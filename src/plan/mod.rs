//! What an experiment would do to a cluster, before anything is done: whom each fault may hit,
//! whether it may, how it would be undone, how long all of it takes. Pure: `validate`, `predict`,
//! `run --dry-run` and a run itself make their plan here.
//!
//! ```text
//! experiment, nodes (of a cluster, of a kind config, or unknown) -> Plan: steps, probes' hosts, refusals and their places, length
//! ```

mod blast_radius;
mod duration;
pub(crate) mod each;
pub(crate) mod needs;
mod node;
mod occupancy;
mod pool;
pub(crate) mod preview;
mod refusal;
mod selector;
mod step;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

pub(crate) use blast_radius::{ActiveFault, check_components};
pub(crate) use duration::{RunLength, undo_after};
pub(crate) use node::{Endpoints, Known, Node, Platform};
pub(crate) use occupancy::{LossLimit, Occupancy, PodGroup};
pub(crate) use refusal::Refusal;
pub(crate) use selector::{candidates, count_on, describe, who_leads};
pub(crate) use step::StepContext;
use target::Excluded;
pub(crate) use target::{placement_node, probe_host};

use crate::experiment::{
    Affected, BlastRadius, Excess, Experiment, Fault, From, NodeSelector, Numbered, Probe,
};
use crate::fault::UndoAfter;
use crate::stats::Random;
use crate::timeline::NodeRole;

/// With so many seeds each choice among a few nodes comes up.
const SEEDS: u64 = 32;

pub(crate) struct Request<'a> {
    pub experiment: &'a Experiment,
    pub nodes: Nodes<'a>,
    pub known: Known,
    /// `None`: only what every seed refuses is refused.
    pub seed: Option<Random>,
    /// Grace period before a watchdog undoes an overdue fault.
    pub undo_timer_margin: Duration,
}

#[derive(Clone, Copy)]
pub(crate) enum Nodes<'a> {
    Running(&'a [Node]),
    /// Those that kind would make: nobody knows their labels yet.
    Expected(&'a [Node]),
    /// Only the experiment is there.
    Unknown,
}

#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// The faults that are not refused, in the order in which they begin.
    pub steps: Vec<PlannedStep<'a>>,
    /// The nodes from which probes would ask.
    pub hosts: Vec<ProbeHost<'a>>,
    pub refused: Vec<Refused>,
    pub length: RunLength,
}

#[derive(Debug)]
pub(crate) struct PlannedStep<'a> {
    pub step: Numbered<'a>,
    /// The nodes that it would hit, by the seed.
    pub targets: Vec<&'a Node>,
    /// The nodes from which these are chosen.
    pub candidates: Vec<&'a Node>,
    /// When it is undone if its run has died.
    pub undo_after: UndoAfter,
}

/// A probe and the node from which it would ask.
#[derive(Debug)]
pub(crate) struct ProbeHost<'a> {
    pub probe: &'a Probe,
    pub node: &'a Node,
}

/// Something that may not be done.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused {
    /// Where in the file: `spec.method[0].fault.nodeKill.target`.
    pub place: String,
    pub why: Refusal,
}

pub(crate) fn plan<'a>(request: Request<'a>) -> Plan<'a> {
    let Request { experiment, nodes, known, seed, undo_timer_margin } = request;
    let length = RunLength::of(experiment);
    let attempts = Attempts { experiment, undo_timer_margin };
    let Some(all) = nodes.that_suffice(experiment) else {
        let Attempt { steps, refused } = attempts.without_nodes();
        return Plan { steps, hosts: Vec::new(), refused, length };
    };
    let mut refused = Vec::new();
    let hosts = probe_hosts(experiment, nodes, all, &known.endpoints, &mut refused);
    let mut attempt = attempts.least_refused(all, &known, seed.clone());
    refused.append(&mut attempt.refused);
    if known.hosts.is_empty() && !hosts.is_empty() {
        // A node that hosts a probe may be one too many as well.
        let names = hosts.iter().map(|host| host.node.name.clone()).collect();
        attempt = attempts.least_refused(all, &Known { hosts: names, ..known }, seed);
        attempt.refused.retain(|one| !refused.contains(one));
        refused.append(&mut attempt.refused);
    }
    Plan { steps: attempt.steps, hosts, refused, length }
}

impl<'a> Plan<'a> {
    /// The nodes that are entered, as far as they are known: those that probes run on, those that a
    /// fault may hit from inside, and with such a fault the control plane's, which are observed.
    pub(crate) fn entered(&self, experiment: &Experiment, nodes: &'a [Node]) -> Vec<&'a Node> {
        let observes = experiment.enters_nodes();
        let inside =
            |step: &&PlannedStep| step.step.fault().is_some_and(|(fault, _)| fault.enters_node());
        let hit = self.steps.iter().filter(inside).flat_map(|step| &step.candidates);
        let names: BTreeSet<&str> = hit
            .chain(self.hosts.iter().map(|host| &host.node))
            .map(|node| node.name.as_str())
            .collect();
        let is_entered = |node: &&Node| {
            names.contains(node.name.as_str()) || observes && node.role == NodeRole::ControlPlane
        };
        nodes.iter().filter(is_entered).collect()
    }

    /// The steps, unless something is refused.
    pub(crate) fn accepted(self) -> Result<Vec<PlannedStep<'a>>, Refusal> {
        self.refused.into_iter().next().map_or(Ok(self.steps), |first| Err(first.why))
    }
}

impl<'a> Nodes<'a> {
    /// The nodes, where all that the method selects them by is known.
    fn that_suffice(self, experiment: &Experiment) -> Option<&'a [Node]> {
        match self {
            Nodes::Running(nodes) => Some(nodes),
            Nodes::Expected(nodes) => {
                selectors(experiment).all(|one| one.labels.is_empty()).then_some(nodes)
            }
            Nodes::Unknown => None,
        }
    }
}

/// Whom a method hits, and where its pods go.
fn selectors(experiment: &Experiment) -> impl Iterator<Item = &NodeSelector> {
    experiment.steps().into_iter().filter_map(|step| match step.fault()?.0 {
        Fault::DeploymentPlace { on, .. } => Some(on.as_ref()),
        fault => fault.target(),
    })
}

/// The nodes that a fault of the method may take, the likeliest first: those with the most endpoints
/// of the Service by which it is chosen. Without `endpoints`, all are equal.
pub(crate) fn at_risk(
    experiment: &Experiment,
    nodes: &[Node],
    endpoints: &Endpoints,
) -> Vec<String> {
    let steps = experiment.steps();
    let taken =
        steps.iter().filter_map(|step| step.fault()).filter(|(fault, _)| fault.takes_node());
    let mut likely: Vec<(usize, &str)> = Vec::new();
    for target in taken.filter_map(|(fault, _)| fault.target()) {
        let service = target.most_endpoints_of.as_ref();
        let on = service.and_then(|service| endpoints.get(&service.to_string()));
        let count = |node: &Node| on.map_or(0, |on| count_on(on, &node.name));
        let allowed = candidates(nodes, target, &Endpoints::new()).into_iter();
        likely.extend(allowed.map(|node| (count(node), node.name.as_str())));
    }
    likely.sort_by(|one, other| other.cmp(one));
    likely.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// The nodes from which probes ask. A probe for which there is none is `refused`.
fn probe_hosts<'a>(
    experiment: &'a Experiment,
    known: Nodes<'a>,
    nodes: &'a [Node],
    endpoints: &Endpoints,
    refused: &mut Vec<Refused>,
) -> Vec<ProbeHost<'a>> {
    let at_risk = at_risk(experiment, nodes, endpoints);
    let mut hosts = Vec::new();
    for (number, probe) in experiment.probes.iter().enumerate() {
        let From::Node(from) = &probe.from else { continue };
        let unknown = matches!(known, Nodes::Expected(_)) && !from.labels.is_empty();
        if unknown || is_taken_by_name(experiment, from) {
            continue;
        }
        match probe_host(nodes, from, &at_risk) {
            Ok(node) => hosts.push(ProbeHost { probe, node }),
            Err(why) => {
                refused.push(Refused { place: format!("spec.probes[{number}].from.node"), why })
            }
        }
    }
    hosts
}

/// Whether a fault names the node that a probe names: the checks of the file report that.
fn is_taken_by_name(experiment: &Experiment, from: &NodeSelector) -> bool {
    let steps = experiment.steps();
    let mut taken = steps.iter().filter_map(|step| step.fault()?.0.taken_by_name());
    taken.any(|name| from.name.as_deref() == Some(name))
}

/// Tries to find targets for all faults of a method.
struct Attempts<'a> {
    experiment: &'a Experiment,
    undo_timer_margin: Duration,
}

/// The faults for which there are targets, and those that are refused.
#[derive(Default)]
struct Attempt<'a> {
    steps: Vec<PlannedStep<'a>>,
    refused: Vec<Refused>,
}

impl<'a> Attempts<'a> {
    /// With this seed; without one, with that which lets most of the method be: another run has it.
    fn least_refused(&self, nodes: &'a [Node], known: &Known, seed: Option<Random>) -> Attempt<'a> {
        match seed {
            Some(seed) => self.attempt(nodes, known, seed),
            None => (0..SEEDS)
                .map(|seed| self.attempt(nodes, known, Random::new(seed)))
                .min_by_key(|attempt| attempt.refused.len())
                .unwrap_or_default(),
        }
    }

    /// What begins during a refused one is left out: it may depend on it.
    fn attempt(&self, nodes: &'a [Node], known: &Known, mut seed: Random) -> Attempt<'a> {
        let Attempt { steps: mut planned, mut refused } = Attempt::default();
        let mut left_out = Vec::new();
        for step in self.experiment.steps() {
            let Some((fault, _)) = step.fault() else { continue };
            if step.during.iter().any(|outer| left_out.contains(outer)) {
                continue;
            }
            let lasting = planned.iter().filter(|earlier| step.is_during(&earlier.step));
            let active: Vec<ActiveFault> = lasting.flat_map(PlannedStep::faults).collect();
            let hit = planned.iter().flat_map(|earlier| &earlier.targets);
            let hit = hit.map(|node| node.name.clone()).collect();
            let known = &Known { hit, may_move: !planned.is_empty(), ..known.clone() };
            let context =
                StepContext { experiment: self.experiment, nodes, known, active: &active };
            match context.targets(fault, &mut seed) {
                Ok(targets) => {
                    let candidates = possible(nodes, fault, known, &self.experiment.blast_radius);
                    planned.push(self.planned(step, nodes, targets, candidates));
                }
                Err(why) => {
                    left_out.push(step.number);
                    refused.push(Refused { place: place(&step, fault), why });
                }
            }
        }
        Attempt { steps: planned, refused }
    }

    /// All faults, and those that affect more than they may, as far as the file alone says.
    fn without_nodes(&self) -> Attempt<'a> {
        let steps = self.experiment.steps();
        let refused = steps.iter().filter_map(|step| {
            let (fault, _) = step.fault()?;
            let affected = Affected::by_one(fault)?;
            let (message, hint) = Excess::join(&self.experiment.blast_radius.excess(&affected))?;
            Some(Refused { place: place(step, fault), why: Refusal::new(message).hint(hint) })
        });
        let refused = refused.collect();
        let faults = steps.into_iter().filter(|step| step.fault().is_some());
        let steps = faults.map(|step| self.planned(step, &[], Vec::new(), Vec::new())).collect();
        Attempt { steps, refused }
    }

    fn planned(
        &self,
        step: Numbered<'a>,
        nodes: &[Node],
        targets: Vec<&'a Node>,
        candidates: Vec<&'a Node>,
    ) -> PlannedStep<'a> {
        let healing = self.experiment.steady_state_timeout;
        let undo_after = undo_after(step.step, nodes, healing, self.undo_timer_margin);
        PlannedStep { step, targets, candidates, undo_after }
    }
}

/// The nodes that a fault may hit, before any is chosen.
fn possible<'a>(
    nodes: &'a [Node],
    fault: &Fault,
    known: &Known,
    limits: &BlastRadius,
) -> Vec<&'a Node> {
    let Some(target) = fault.target() else { return Vec::new() };
    let mut possible = match target.leader.and_then(|part| known.leaders.get(&part)) {
        Some(leader) => nodes.iter().filter(|node| node.name == *leader).collect(),
        None => candidates(nodes, target, &Endpoints::new()),
    };
    let losses = known.losses(fault, limits, nodes);
    let excluded = Excluded::by(fault, losses.as_ref());
    possible.retain(|node| excluded.why(node).is_none());
    possible
}

/// Where a fault says whom it hits.
fn place(step: &Numbered, fault: &Fault) -> String {
    let field = if matches!(fault, Fault::DeploymentPlace { .. }) { "on" } else { "target" };
    format!("{}.fault.{}.{field}", step.place, fault.kind())
}

impl<'a> PlannedStep<'a> {
    fn faults(&self) -> impl Iterator<Item = ActiveFault<'a>> {
        let (fault, step) = (self.step.fault().map(|(fault, _)| fault), self.step.name());
        self.targets.iter().filter_map(move |node| Some(ActiveFault { node, fault: fault?, step }))
    }
}
