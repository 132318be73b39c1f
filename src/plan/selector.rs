//! A selector: which nodes match it, and how it is described to people.

use std::collections::BTreeMap;

use super::node::{Endpoints, Node};
use super::refusal::Refusal;
use crate::experiment::{Count, NodeSelector};
use crate::timeline::{Component, Endpoint, NodeRole, few, include_labels};

/// The nodes that a selector allows, by name. Those with the most endpoints only where endpoints
/// are known.
pub(crate) fn candidates<'a>(
    nodes: &'a [Node],
    selector: &NodeSelector,
    endpoints: &Endpoints,
) -> Vec<&'a Node> {
    let matching: Vec<&Node> = nodes.iter().filter(|node| matches(node, selector)).collect();
    let service = selector.most_endpoints_of.as_ref();
    match service.and_then(|service| endpoints.get(&service.to_string())) {
        Some(endpoints) => most(matching, endpoints),
        None => matching,
    }
}

pub(super) fn matches(node: &Node, selector: &NodeSelector) -> bool {
    selector.name.as_ref().is_none_or(|name| *name == node.name)
        && selector.role.is_none_or(|role| role == node.role)
        && include_labels(&node.labels, &selector.labels)
}

pub(crate) fn count_on(endpoints: &[Endpoint], node: &str) -> usize {
    endpoints.iter().filter(|e| e.ready && e.node.as_deref() == Some(node)).count()
}

fn most<'a>(nodes: Vec<&'a Node>, endpoints: &[Endpoint]) -> Vec<&'a Node> {
    let counts: Vec<usize> = nodes.iter().map(|node| count_on(endpoints, &node.name)).collect();
    let highest = counts.iter().max().copied().unwrap_or(0);
    nodes
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| *count == highest)
        .map(|(node, _)| node)
        .collect()
}

/// The leaders that are known, for people.
pub(crate) fn who_leads(leaders: &BTreeMap<Component, String>) -> String {
    let listed: Vec<String> =
        leaders.iter().map(|(part, node)| format!("{} on {node}", part.name())).collect();
    if listed.is_empty() {
        "no leader is known".into()
    } else {
        format!("the leaders are {}", listed.join(", "))
    }
}

pub(super) fn names(nodes: &[&Node]) -> String {
    few(nodes.iter().map(|node| &node.name))
}

pub(super) fn nothing_matches(nodes: &[Node], selector: &NodeSelector) -> Refusal {
    let listed = few(nodes.iter().map(|node| format!("{} ({})", node.name, node.role.name())));
    let refused = Refusal::new(format!("no node matches {}", describe(selector)));
    let planes = |node: &Node| node.role == NodeRole::ControlPlane;
    match selector.role == Some(NodeRole::ControlPlane) && !nodes.iter().any(planes) {
        true => refused.hint(format!(
            "the cluster's control plane is managed: it runs on none of its nodes, and no fault \
             can hit it ({listed})"
        )),
        false => refused.hint(format!("the cluster's nodes are {listed}")),
    }
}

/// A selector in the words of the experiment.
pub(crate) fn describe(selector: &NodeSelector) -> String {
    let mut parts = Vec::new();
    parts.extend(selector.name.as_ref().map(|name| format!("name {name}")));
    parts.extend(selector.role.map(|role| format!("role {}", role.name())));
    parts.extend(selector.labels.iter().map(|(key, value)| format!("label {key}={value}")));
    parts.extend(
        selector
            .most_endpoints_of
            .as_ref()
            .map(|service| format!("the most endpoints of {service}")),
    );
    parts.extend(selector.of.as_ref().map(|step| format!("hit by {step}")));
    parts.extend(selector.leader.map(|part| format!("the leader of {}", part.name())));
    parts.extend(selector.followers.map(|part| format!("a follower of {}", part.name())));
    let one = if parts.is_empty() { "any node".into() } else { parts.join(", ") };
    match selector.count {
        Count::Exactly(1) => one,
        Count::Exactly(count) => format!("{count} of {one}"),
        Count::All => format!("all of {one}"),
    }
}
