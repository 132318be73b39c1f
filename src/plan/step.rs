//! The nodes that one fault hits, beside the faults that last when it begins.

use std::collections::BTreeMap;

use super::blast_radius::{self, ActiveFault};
use super::node::{Known, Node};
use super::refusal::Refusal;
use super::target::{Excluded, choose, placement_node};
use crate::experiment::{Experiment, Fault};
use crate::stats::Random;

/// What a fault meets when it begins.
#[derive(Clone, Copy)]
pub(crate) struct StepContext<'s, 'a> {
    pub experiment: &'a Experiment,
    pub nodes: &'a [Node],
    pub known: &'s Known,
    pub active: &'s [ActiveFault<'a>],
}

impl<'a> StepContext<'_, 'a> {
    /// The nodes that a fault hits now.
    pub(crate) fn targets(
        &self,
        fault: &'a Fault,
        seed: &mut Random,
    ) -> Result<Vec<&'a Node>, Refusal> {
        // What is not a node is chosen when the fault is due: nobody knows it before.
        let Some(selector) = fault.target() else {
            return self.has_placement_node(fault).map(|()| Vec::new());
        };
        let hosts = if fault.takes_node() { self.known.hosts.as_slice() } else { &[] };
        let limits = &self.experiment.blast_radius;
        let (busy, losses) = (self.busy(fault), self.known.losses(fault, limits, self.nodes));
        let excluded = Excluded { hosts, busy: &busy, ..Excluded::by(fault, losses.as_ref()) };
        let known = Known { under: self.under(), ..self.known.clone() };
        let targets = choose(self.nodes, selector, &known, excluded, seed)?;
        let new = targets.iter().map(|node| ActiveFault { node, fault, step: None });
        let faults: Vec<ActiveFault> = self.active.iter().copied().chain(new).collect();
        blast_radius::check(limits, self.nodes, self.known, &faults)?;
        Ok(targets)
    }

    /// Whether there are the nodes to which a fault is to move pods.
    fn has_placement_node(&self, fault: &Fault) -> Result<(), Refusal> {
        let Fault::DeploymentPlace { on, .. } = fault else { return Ok(()) };
        placement_node(self.nodes, on, &mut Random::new(0)).map(drop)
    }

    /// Nodes under a fault with which this one can't share them.
    fn busy(&self, fault: &Fault) -> Vec<String> {
        self.active
            .iter()
            .filter(|active| !fault.may_share_node(active.fault))
            .map(|active| active.node.name.clone())
            .collect()
    }

    /// The nodes under a fault, by the names of the steps.
    fn under(&self) -> BTreeMap<String, Vec<String>> {
        let mut under: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (step, node) in
            self.active.iter().filter_map(|active| Some((active.step?, active.node)))
        {
            under.entry(step.to_owned()).or_default().push(node.name.clone());
        }
        under
    }
}
