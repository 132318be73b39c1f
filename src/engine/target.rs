//! Which node a fault hits, or a probe asks from: pure selection over what is known of the nodes.

use std::collections::BTreeMap;

use super::seed::Seed;
use super::trouble::Trouble;
use crate::experiment::NodeSelector;
use crate::timeline::{Endpoint, NodeRole, Ready};

/// A node as selection knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: NodeRole,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is Ready.
    pub ready: bool,
    /// Its internal address.
    pub address: Option<String>,
}

impl From<crate::cluster::Node> for Node {
    fn from(node: crate::cluster::Node) -> Self {
        let ready = node.ready == Ready::True;
        Self { address: node.addresses.into_iter().next(), name: node.name, role: node.role, labels: node.labels, ready }
    }
}

/// A Service's endpoints, asked for by the Service's name.
pub type Endpoints = BTreeMap<String, Vec<Endpoint>>;

/// The nodes that a selector allows, by name. Those with the most endpoints only where endpoints are known.
pub fn candidates<'a>(nodes: &'a [Node], selector: &NodeSelector, endpoints: &Endpoints) -> Vec<&'a Node> {
    let matching: Vec<&Node> = nodes.iter().filter(|node| matches(node, selector)).collect();
    match selector.most_endpoints_of.as_ref().and_then(|service| endpoints.get(service)) {
        Some(endpoints) => most(matching, endpoints),
        None => matching,
    }
}

fn matches(node: &Node, selector: &NodeSelector) -> bool {
    selector.name.as_ref().is_none_or(|name| *name == node.name)
        && selector.role.is_none_or(|role| role == node.role)
        && selector.labels.iter().all(|(key, value)| node.labels.get(key) == Some(value))
}

/// How many ready endpoints are on a node.
pub fn count_on(endpoints: &[Endpoint], node: &str) -> usize {
    endpoints.iter().filter(|e| e.ready && e.node.as_deref() == Some(node)).count()
}

fn most<'a>(nodes: Vec<&'a Node>, endpoints: &[Endpoint]) -> Vec<&'a Node> {
    let counts: Vec<usize> = nodes.iter().map(|node| count_on(endpoints, &node.name)).collect();
    let highest = counts.iter().max().copied().unwrap_or(0);
    nodes.into_iter().zip(counts).filter(|(_, count)| *count == highest).map(|(node, _)| node).collect()
}

/// Chooses one node to harm: among equals by the seed, never one that hosts a probe. Refused when nothing is left.
pub fn choose<'a>(
    nodes: &'a [Node],
    selector: &NodeSelector,
    endpoints: &Endpoints,
    hosts: &[String],
    seed: &mut Seed,
) -> Result<&'a Node, Trouble> {
    let matching: Vec<&Node> = nodes.iter().filter(|node| matches(node, selector)).collect();
    if matching.is_empty() {
        return Err(nothing_matches(nodes, selector));
    }
    let free: Vec<Node> = matching.iter().filter(|node| !hosts.contains(&node.name)).map(|node| (*node).clone()).collect();
    if free.is_empty() {
        return Err(Trouble::refused(format!("every node that the target allows hosts a probe: {}", names(&matching)))
            .hint("a probe on the node that is harmed would measure itself: let it ask `from` another node"));
    }
    let best: Vec<String> = candidates(&free, selector, endpoints).into_iter().map(|node| node.name.clone()).collect();
    let chosen = seed.choose(&best).expect("at least one has the most");
    Ok(nodes.iter().find(|node| node.name == *chosen).expect("is one of them"))
}

/// The node that a probe asks from: the first by name that is Ready, one that no fault may hit where there is one.
pub fn probe_host<'a>(
    nodes: &'a [Node],
    selector: &NodeSelector,
    endpoints: &Endpoints,
    at_risk: &[&str],
) -> Result<&'a Node, Trouble> {
    let mut allowed = candidates(nodes, selector, endpoints);
    if allowed.is_empty() {
        return Err(nothing_matches(nodes, selector));
    }
    allowed.sort_by_key(|node| (!node.ready, at_risk.contains(&node.name.as_str()), node.name.clone()));
    Ok(allowed[0])
}

fn names(nodes: &[&Node]) -> String {
    nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn nothing_matches(nodes: &[Node], selector: &NodeSelector) -> Trouble {
    let listed: Vec<String> = nodes.iter().map(|node| format!("{} ({})", node.name, node.role.name())).collect();
    Trouble::refused(format!("no node matches {}", describe(selector)))
        .hint(format!("the cluster's nodes are {}", listed.join(", ")))
}

/// A selector in the words of the experiment.
pub fn describe(selector: &NodeSelector) -> String {
    let mut parts = Vec::new();
    parts.extend(selector.name.as_ref().map(|name| format!("name {name}")));
    parts.extend(selector.role.map(|role| format!("role {}", role.name())));
    parts.extend(selector.labels.iter().map(|(key, value)| format!("label {key}={value}")));
    parts.extend(selector.most_endpoints_of.as_ref().map(|service| format!("the most endpoints of {service}")));
    if parts.is_empty() { "any node".into() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, role: NodeRole) -> Node {
        Node { name: name.into(), role, labels: [("disk".to_string(), "ssd".to_string())].into(), ready: true, address: None }
    }

    fn nodes() -> Vec<Node> {
        vec![node("cp", NodeRole::ControlPlane), node("w1", NodeRole::Worker), node("w2", NodeRole::Worker)]
    }

    fn endpoints(on: &[&str]) -> Endpoints {
        let endpoint = |node: &&str| Endpoint { address: "10.0.0.1".into(), pod: None, node: Some(node.to_string()), ready: true };
        [("web".to_string(), on.iter().map(endpoint).collect())].into()
    }

    fn workers() -> NodeSelector {
        NodeSelector { role: Some(NodeRole::Worker), most_endpoints_of: Some("web".into()), ..NodeSelector::default() }
    }

    #[test]
    fn the_node_with_the_most_endpoints_is_chosen() {
        for seed in 0..20 {
            let nodes = nodes();
            let chosen = choose(&nodes, &workers(), &endpoints(&["w1", "w2", "w2"]), &[], &mut Seed::new(seed)).unwrap();
            assert_eq!(chosen.name, "w2");
        }
    }

    #[test]
    fn among_equals_the_seed_decides() {
        let nodes = nodes();
        let chosen = |seed| choose(&nodes, &workers(), &endpoints(&["w1", "w2"]), &[], &mut Seed::new(seed)).unwrap().name.clone();
        let all: std::collections::BTreeSet<String> = (0..30).map(chosen).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["w1", "w2"]);
        assert_eq!(chosen(5), chosen(5));
    }

    #[test]
    fn a_node_that_hosts_a_probe_is_never_chosen() {
        let nodes = nodes();
        for seed in 0..20 {
            let chosen = choose(&nodes, &workers(), &endpoints(&["w1", "w1", "w2"]), &["w1".into()], &mut Seed::new(seed)).unwrap();
            assert_eq!(chosen.name, "w2");
        }
        let all = ["w1".to_string(), "w2".to_string()];
        let refused = choose(&nodes, &workers(), &endpoints(&["w1"]), &all, &mut Seed::new(1)).unwrap_err();
        assert!(refused.message.contains("hosts a probe"), "{refused}");
    }

    #[test]
    fn nothing_matches_lists_the_nodes() {
        let selector = NodeSelector { name: Some("w9".into()), ..NodeSelector::default() };
        let refused = choose(&nodes(), &selector, &Endpoints::new(), &[], &mut Seed::new(1)).unwrap_err();
        assert_eq!(refused.message, "no node matches name w9");
        assert!(refused.hint.unwrap().contains("w2 (worker)"));
    }

    #[test]
    fn a_probe_asks_from_a_node_that_is_not_at_risk() {
        let nodes = nodes();
        let host = probe_host(&nodes, &NodeSelector::default(), &Endpoints::new(), &["cp", "w1"]).unwrap();
        assert_eq!(host.name, "w2");
    }
}
