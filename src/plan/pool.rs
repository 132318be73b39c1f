//! The nodes that a selector allows, before any is chosen: by what they are, by the faults they are
//! under, by who leads.

use super::node::{Known, Node};
use super::refusal::Refusal;
use super::selector::{describe, matches, names, nothing_matches, who_leads};
use crate::experiment::{Count, NodeSelector};
use crate::timeline::NodeRole;

/// Nodes from which some may be chosen.
pub(super) struct Pool<'a> {
    pub nodes: Vec<&'a Node>,
    /// How many of them lead where followers are asked for and nobody knows who leads.
    leading: usize,
}

impl<'a> Pool<'a> {
    /// All that a selector allows. Refused where there is none.
    pub(super) fn of(
        nodes: &'a [Node],
        selector: &NodeSelector,
        known: &Known,
    ) -> Result<Self, Refusal> {
        let shared = |node: &&Node| {
            selector
                .of
                .as_ref()
                .is_none_or(|of| known.under.get(of).is_some_and(|all| all.contains(&node.name)))
        };
        let matching: Vec<&Node> =
            nodes.iter().filter(|node| matches(node, selector)).filter(shared).collect();
        if matching.is_empty() {
            return Err(nothing_matches(nodes, selector));
        }
        let allowed = by_lead(matching, selector, known)?;
        let unknown = selector.followers.is_some_and(|part| !known.leaders.contains_key(&part));
        // Whoever leads is among them where no control plane is left out.
        let all = nodes
            .iter()
            .filter(|node| node.role == NodeRole::ControlPlane)
            .all(|node| allowed.contains(&node));
        let pool = Self { nodes: allowed, leading: usize::from(unknown && all) };
        if pool.available() == 0 { Err(pool.only_leader(selector)) } else { Ok(pool) }
    }

    /// How many of them a selector wants, for what is to be done. Refused where there are fewer.
    pub(super) fn wanted(&self, selector: &NodeSelector, purpose: &str) -> Result<usize, Refusal> {
        let available = self.available();
        let wanted = match selector.count {
            Count::All => available,
            Count::Exactly(count) => count as usize,
        };
        if wanted <= available {
            return Ok(wanted);
        }
        let but = if self.leading > 0 { "all but one of " } else { "" };
        let (which, names) = (
            describe(&NodeSelector { count: Count::Exactly(1), ..selector.clone() }),
            names(&self.nodes),
        );
        Err(Refusal::new(format!(
            "{wanted} nodes {purpose}, but {available} match {which}: {but}{names}"
        )))
    }

    fn available(&self) -> usize {
        self.nodes.len() - self.leading
    }

    fn only_leader(&self, selector: &NodeSelector) -> Refusal {
        let part = selector.followers.map_or("it", |part| part.name());
        let hint = format!(
            "{} is the only node that runs {part}, and therefore the leader",
            names(&self.nodes)
        );
        Refusal::new(format!("no node matches {}", describe(selector))).hint(hint)
    }
}

/// Those on which a part of the control plane leads, or follows, where that is asked for.
fn by_lead<'a>(
    nodes: Vec<&'a Node>,
    selector: &NodeSelector,
    known: &Known,
) -> Result<Vec<&'a Node>, Refusal> {
    let (Some(part), leaders) = (selector.leader.or(selector.followers), &known.leaders) else {
        return Ok(nodes);
    };
    let leader = match leaders.get(&part) {
        Some(leader) => leader,
        None if !known.all_leaders => return Ok(nodes),
        None => {
            return Err(Refusal::new(format!("the leader of {} is not known", part.name()))
                .hint(who_leads(leaders)));
        }
    };
    let wanted = |node: &&Node| (node.name == *leader) == selector.leader.is_some();
    let led: Vec<&Node> = nodes.into_iter().filter(wanted).collect();
    if led.is_empty() {
        let text = format!("no node matches {}", describe(selector));
        return Err(Refusal::new(text).hint(who_leads(leaders)));
    }
    Ok(led)
}
