//! The nodes of a run's cluster: of many those that it is about.

use super::view::View;
use crate::timeline::{NodeFacts, NodeRole};

/// Nodes that have a line each.
const MOST: usize = 24;

pub(super) struct Nodes<'a> {
    pub shown: Vec<&'a NodeFacts>,
    /// How many others there are.
    pub left: usize,
}

impl View<'_> {
    /// In their order; of many those that a fault hit and the control plane's come first.
    pub(super) fn nodes(&self) -> Nodes<'_> {
        let all = &self.timeline.header.cluster.nodes;
        let mut shown: Vec<&NodeFacts> = all.iter().collect();
        if shown.len() > MOST {
            let is_hit = |node: &NodeFacts| {
                self.findings.faults.iter().any(|fault| fault.target == node.name)
            };
            shown.sort_by_key(|node| (!is_hit(node), node.role == NodeRole::Worker));
            shown.truncate(MOST);
        }
        let left = all.len() - shown.len();
        Nodes { shown, left }
    }
}
