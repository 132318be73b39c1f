//! Which node a fault hits, or a probe asks from: pure selection over what is known of the nodes.

use std::collections::BTreeMap;

use super::node::{Endpoints, Known, Node};
use super::pool::Pool;
use super::refusal::Refusal;
use super::selector::{candidates, count_on, names, nothing_matches};
use crate::experiment::{Fault, NodeSelector};
use crate::fault;
use crate::stats::Random;
use crate::timeline::{NodeRole, few};

/// Nodes that a selector may match, and that a fault must not hit.
#[derive(Clone, Copy, Default)]
pub(crate) struct Excluded<'a> {
    /// They host a probe.
    pub hosts: &'a [String],
    /// They are under another fault.
    pub busy: &'a [String],
    /// The fault needs their machine, and only the API reaches them.
    pub api_only: bool,
    /// The fault is inside its node, which runs Linux.
    pub enters: bool,
    /// The fault, whose commands may need what a node does not have.
    pub fault: Option<&'a Fault>,
    /// Why nodes must not be lost, by their names; `None`: the fault takes no pods.
    pub losses: Option<&'a BTreeMap<String, Refusal>>,
}

impl<'a> Excluded<'a> {
    /// What a fault must never hit, whatever else is under way. `losses` is what it must not take.
    pub(super) fn by(fault: &'a Fault, losses: Option<&'a BTreeMap<String, Refusal>>) -> Self {
        let (api_only, enters) = (!fault.needs_api_only(), fault.enters_node());
        Self { api_only, enters, fault: Some(fault), losses, ..Self::default() }
    }

    /// Why a node must not be hit, and what would help.
    pub(super) fn why(&self, node: &Node) -> Option<Refusal> {
        const HOST: &str =
            "a probe on a targeted node would measure itself: run it `from` another node";
        const LINUX: &str =
            "`nodeDrain`, `nodeTaint`, `command` and faults on objects work on any node";
        const API: &str = "`nodeDrain` and faults on objects need no container";
        if let Some(system) = node.foreign_system().filter(|_| self.enters) {
            return Some(Refusal::new(format!("runs {system}, not Linux")).hint(LINUX));
        }
        if let Some(what) = self.fault.and_then(|fault| node.lacks(fault)) {
            return Some(Refusal::new(format!("has {what}")).hint(fault::SHOWN_BY));
        }
        match node {
            _ if node.protected => {
                let (annotation, name) = (NodeRole::PROTECTED, &node.name);
                let why = format!("is protected by its annotation {annotation}");
                let hint =
                    format!("`kubectl annotate node {name} {annotation}-` removes the protection");
                Some(Refusal::new(why).hint(hint))
            }
            _ if self.api_only && node.api_only => {
                Some(Refusal::new("runs outside this machine's container engine").hint(API))
            }
            _ if self.hosts.contains(&node.name) => Some(Refusal::new("hosts a probe").hint(HOST)),
            _ if self.busy.contains(&node.name) => Some(Refusal::new("is under another fault")),
            _ => self.losses?.get(&node.name).cloned(),
        }
    }
}

/// Chooses the nodes to hit: among equals by the seed, never one that is excluded. Refused when too
/// few are left.
pub(crate) fn choose<'a>(
    nodes: &'a [Node],
    selector: &NodeSelector,
    known: &Known,
    excluded: Excluded<'_>,
    seed: &mut Random,
) -> Result<Vec<&'a Node>, Refusal> {
    let pool = Pool::of(nodes, selector, known)?;
    let wanted = pool.wanted(selector, "are to be targeted")?;
    let free: Vec<&Node> =
        pool.nodes.iter().copied().filter(|node| excluded.why(node).is_none()).collect();
    if free.len() < wanted {
        return Err(too_few_free(&pool.nodes, &free, wanted, excluded));
    }
    has_endpoint(&free, selector, known)?;
    Ok(pick(nodes, free, wanted, selector, known, seed))
}

/// Chooses the nodes to which pods are to go. Refused when there are too few.
pub(crate) fn placement_node<'a>(
    nodes: &'a [Node],
    selector: &NodeSelector,
    seed: &mut Random,
) -> Result<Vec<&'a Node>, Refusal> {
    let known = Known::default();
    let pool = Pool::of(nodes, selector, &known)?;
    let wanted = pool.wanted(selector, "are to take the pods")?;
    Ok(pick(nodes, pool.nodes, wanted, selector, &known, seed))
}

/// So many of those that are free: the ones with the most endpoints, among equals by the seed.
fn pick<'a>(
    nodes: &'a [Node],
    free: Vec<&Node>,
    wanted: usize,
    selector: &NodeSelector,
    known: &Known,
    seed: &mut Random,
) -> Vec<&'a Node> {
    let mut left: Vec<Node> = free.into_iter().cloned().collect();
    let mut chosen = Vec::new();
    while chosen.len() < wanted {
        let best: Vec<String> = candidates(&left, selector, &known.endpoints)
            .into_iter()
            .map(|node| node.name.clone())
            .collect();
        let fresh: Vec<String> =
            best.iter().filter(|name| !known.hit.contains(name)).cloned().collect();
        let best = if fresh.is_empty() { best } else { fresh };
        let name = seed.choose(&best).expect("at least one has the most").clone();
        left.retain(|node| node.name != name);
        chosen.extend(nodes.iter().find(|node| node.name == name));
    }
    chosen
}

/// Refused where no node that may be hit has an endpoint of the Service that the fault is to hit:
/// all of them would have the most.
fn has_endpoint(free: &[&Node], selector: &NodeSelector, known: &Known) -> Result<(), Refusal> {
    let Some(service) = selector.most_endpoints_of.as_ref().filter(|_| !known.may_move) else {
        return Ok(());
    };
    let Some(endpoints) = known.endpoints.get(&service.to_string()) else { return Ok(()) };
    if free.iter().any(|node| count_on(endpoints, &node.name) > 0) {
        return Ok(());
    }
    let mut on: Vec<&String> =
        endpoints.iter().filter(|one| one.ready).filter_map(|one| one.node.as_ref()).collect();
    on.sort();
    on.dedup();
    let hint = match on.is_empty() {
        true => format!("{service} has no ready endpoint"),
        false => format!("its ready endpoints are on {}", few(on)),
    };
    let text = format!("no node that may be hit has a ready endpoint of {service}");
    Err(Refusal::new(text).hint(hint))
}

fn too_few_free(allowed: &[&Node], free: &[&Node], wanted: usize, excluded: Excluded) -> Refusal {
    let whys: Vec<(&str, Refusal)> =
        allowed.iter().filter_map(|node| Some((node.name.as_str(), excluded.why(node)?))).collect();
    let best = whys.iter().max_by_key(|(_, why)| why.hint.is_some());
    let Refusal { message: why, hint } = &best.expect("some are excluded").1;
    let same = whys.iter().all(|(_, other)| other.message == *why);
    let text = match (wanted, free.len()) {
        (1, _) | (_, 0) if same => {
            format!("every node that matches the target {why}: {}", names(allowed))
        }
        (1, _) | (_, 0) => {
            let each = whys.iter().map(|(node, why)| format!("{node} {}", why.message));
            format!("no node that matches the target may be hit: {}", few(each))
        }
        (_, left) => format!(
            "{wanted} nodes are to be targeted, but only {left} of {} can be: one {why}",
            names(allowed)
        ),
    };
    Refusal { hint: hint.clone(), ..Refusal::new(text) }
}

/// The node that a probe asks from: one that is Ready, else one that no fault may hit, else the one
/// that `at_risk` says is the least likely to be hit. Among equals a control plane, by name.
pub(crate) fn probe_host<'a>(
    nodes: &'a [Node],
    selector: &NodeSelector,
    at_risk: &[String],
) -> Result<&'a Node, Refusal> {
    let mut allowed = candidates(nodes, selector, &Endpoints::new());
    // kind's is no node of Kubernetes.
    allowed.retain(|node| node.role != NodeRole::ExternalLoadBalancer);
    if allowed.is_empty() {
        return Err(nothing_matches(nodes, selector));
    }
    let matching = names(&allowed);
    allowed.retain(|node| !node.api_only && node.foreign_system().is_none());
    if allowed.is_empty() {
        return Err(Refusal::new(format!(
            "no matching node can run a probe: it needs Linux, and this program must be able to run \
             commands there: {matching}"
        )));
    }
    let risk = |node: &Node| {
        let place = at_risk.iter().position(|name| *name == node.name);
        place.map_or(0, |place| at_risk.len() - place)
    };
    allowed.sort_by_key(|node| {
        (!node.ready, risk(node), node.role != NodeRole::ControlPlane, node.name.clone())
    });
    Ok(allowed[0])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::experiment::Count;
    use crate::timeline::{Component, Endpoint};

    fn node(name: &str, role: NodeRole) -> Node {
        let labels = [("disk".to_string(), "ssd".to_string())].into();
        Node { labels, ..Node::ready(name, role) }
    }

    fn nodes() -> Vec<Node> {
        vec![
            node("cp", NodeRole::ControlPlane),
            node("w1", NodeRole::Worker),
            node("w2", NodeRole::Worker),
        ]
    }

    fn endpoints(on: &[&str]) -> Endpoints {
        let endpoint = |node: &&str| Endpoint {
            address: "10.0.0.1".into(),
            pod: None,
            node: Some(node.to_string()),
            ready: true,
        };
        [("web".to_string(), on.iter().map(endpoint).collect())].into()
    }

    /// Control planes `cp1`, `cp2`, ... and workers `w1`, `w2`, ...
    pub(crate) fn cluster(planes: usize, workers: usize) -> Vec<Node> {
        let planes = (1..=planes).map(|n| node(&format!("cp{n}"), NodeRole::ControlPlane));
        planes.chain((1..=workers).map(|n| node(&format!("w{n}"), NodeRole::Worker))).collect()
    }

    pub(crate) fn role(role: NodeRole) -> NodeSelector {
        NodeSelector { role: Some(role), ..NodeSelector::default() }
    }

    fn chosen(
        nodes: &[Node],
        selector: &NodeSelector,
        endpoints: Endpoints,
        hosts: &[String],
        seed: u64,
    ) -> Result<String, Refusal> {
        let known = Known { endpoints, ..Known::default() };
        let names = choose(
            nodes,
            selector,
            &known,
            Excluded { hosts, ..Excluded::default() },
            &mut Random::new(seed),
        )?;
        Ok(names.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(" "))
    }

    fn workers() -> NodeSelector {
        NodeSelector {
            role: Some(NodeRole::Worker),
            most_endpoints_of: Some("web".into()),
            ..NodeSelector::default()
        }
    }

    #[test]
    fn the_node_with_the_most_endpoints_is_chosen() {
        for seed in 0..20 {
            assert_eq!(
                chosen(&nodes(), &workers(), endpoints(&["w1", "w2", "w2"]), &[], seed).unwrap(),
                "w2"
            );
        }
    }

    #[test]
    fn a_node_without_an_endpoint_is_not_hit_in_place_of_one() {
        let refused = chosen(&nodes(), &workers(), endpoints(&["cp"]), &[], 1).unwrap_err();
        assert_eq!(refused.message, "no node that may be hit has a ready endpoint of web");
        assert_eq!(refused.hint.unwrap(), "its ready endpoints are on cp");
        let hosts = ["w1".to_string()];
        assert!(chosen(&nodes(), &workers(), endpoints(&["w1"]), &hosts, 1).is_err());
        let none = [("web".to_string(), Vec::new())].into();
        let refused = chosen(&nodes(), &workers(), none, &[], 1).unwrap_err();
        assert_eq!(refused.hint.unwrap(), "web has no ready endpoint");
        assert!(chosen(&nodes(), &workers(), Endpoints::new(), &[], 1).is_ok(), "not known");
        let known = Known { endpoints: endpoints(&["cp"]), may_move: true, ..Known::default() };
        let (nodes, excluded) = (nodes(), Excluded::default());
        let found = choose(&nodes, &workers(), &known, excluded, &mut Random::new(1));
        assert!(found.is_ok(), "an earlier fault may bring it to a worker");
    }

    #[test]
    fn a_managed_control_plane_is_named_as_the_reason() {
        let workers = &nodes()[1..];
        let refused =
            chosen(workers, &role(NodeRole::ControlPlane), Endpoints::new(), &[], 1).unwrap_err();
        assert!(refused.hint.unwrap().starts_with("the cluster's control plane is managed"));
    }

    #[test]
    fn a_node_that_must_not_be_lost_is_left_out_and_named_if_it_is_the_last() {
        let mut nodes = nodes();
        let why =
            Refusal::new("is excluded: the only ready replica of Deployment shop/db would be lost");
        let losses = [("w1".to_string(), why.hint("pass --allow-last-replica"))].into();
        let excluded = Excluded { losses: Some(&losses), ..Excluded::default() };
        let choose = |nodes: &[Node]| {
            let (known, seed) = (Known::default(), &mut Random::new(1));
            let chosen = choose(nodes, &role(NodeRole::Worker), &known, excluded, seed);
            chosen.map(|nodes| nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>())
        };
        assert_eq!(choose(&nodes), Ok(vec!["w2".to_owned()]));
        nodes[2].protected = true;
        let refused = choose(&nodes).unwrap_err();
        assert_eq!(
            refused.message,
            "no node that matches the target may be hit: w1 is excluded: the only ready replica of \
             Deployment shop/db would be lost, w2 is protected by its annotation outage.dev/protected"
        );
        assert!(refused.hint.is_some());
    }

    #[test]
    fn among_equals_the_seed_decides() {
        let one = |seed| chosen(&nodes(), &workers(), endpoints(&["w1", "w2"]), &[], seed).unwrap();
        let all: std::collections::BTreeSet<String> = (0..30).map(one).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), ["w1", "w2"]);
        assert_eq!(one(5), one(5));
    }

    #[test]
    fn a_node_that_hosts_a_probe_is_never_chosen() {
        let hosts = ["w1".to_string(), "w2".to_string()];
        for seed in 0..20 {
            assert_eq!(
                chosen(&nodes(), &workers(), endpoints(&["w1", "w1", "w2"]), &hosts[..1], seed)
                    .unwrap(),
                "w2"
            );
        }
        let refused = chosen(&nodes(), &workers(), endpoints(&["w1"]), &hosts, 1).unwrap_err();
        assert!(refused.message.contains("hosts a probe"), "{refused:?}");
        let all = NodeSelector { count: Count::All, ..workers() };
        let refused = chosen(&nodes(), &all, Endpoints::new(), &hosts[..1], 1).unwrap_err();
        assert_eq!(
            refused.message,
            "2 nodes are to be targeted, but only 1 of w1, w2 can be: one hosts a probe"
        );
    }

    #[test]
    fn several_are_chosen_those_with_the_most_first() {
        let count = |count| NodeSelector { count, ..workers() };
        let (nodes, on) = (cluster(1, 3), endpoints(&["w1", "w3", "w3"]));
        assert_eq!(chosen(&nodes, &count(Count::Exactly(2)), on.clone(), &[], 4).unwrap(), "w3 w1");
        assert_eq!(chosen(&nodes, &count(Count::All), on.clone(), &[], 4).unwrap(), "w3 w1 w2");
        let refused = chosen(&nodes, &count(Count::Exactly(4)), on, &[], 4).unwrap_err();
        assert!(
            refused.message.starts_with("4 nodes are to be targeted, but 3 match role worker"),
            "{refused:?}"
        );
    }

    #[test]
    fn steps_of_one_kind_hit_one_node_after_the_other() {
        let nodes = cluster(3, 0);
        let mut known = Known::default();
        for seed in 0..3 {
            let chosen = choose(
                &nodes,
                &role(NodeRole::ControlPlane),
                &known,
                Excluded::default(),
                &mut Random::new(seed),
            )
            .unwrap();
            known.hit.push(chosen[0].name.clone());
        }
        known.hit.sort();
        assert_eq!(known.hit, ["cp1", "cp2", "cp3"]);
        assert!(
            choose(
                &nodes,
                &role(NodeRole::ControlPlane),
                &known,
                Excluded::default(),
                &mut Random::new(4)
            )
            .is_ok(),
            "and again"
        );
    }

    #[test]
    fn who_leads_is_hit_or_spared() {
        let nodes = cluster(3, 0);
        let leaders = [(Component::Scheduler, "cp2".to_owned())].into();
        let known = Known { leaders, all_leaders: true, ..Known::default() };
        let chosen = |selector: NodeSelector| {
            let found =
                choose(&nodes, &selector, &known, Excluded::default(), &mut Random::new(3))?;
            Ok::<_, Refusal>(found.into_iter().map(|node| node.name.as_str()).collect::<Vec<_>>())
        };
        let leader = |part| NodeSelector { leader: Some(part), ..NodeSelector::default() };
        assert_eq!(chosen(leader(Component::Scheduler)).unwrap(), ["cp2"]);
        let followers = NodeSelector {
            followers: Some(Component::Scheduler),
            count: Count::All,
            ..NodeSelector::default()
        };
        let mut found = chosen(followers).unwrap();
        found.sort();
        assert_eq!(found, ["cp1", "cp3"]);
        let refused = chosen(leader(Component::Etcd)).unwrap_err();
        assert_eq!(refused.message, "the leader of etcd is not known");
        assert_eq!(refused.hint.unwrap(), "the leaders are kube-scheduler on cp2");
        let elsewhere = NodeSelector { name: Some("cp1".into()), ..leader(Component::Scheduler) };
        assert!(
            chosen(elsewhere)
                .unwrap_err()
                .message
                .contains("no node matches name cp1, the leader of kube-scheduler")
        );
    }

    #[test]
    fn of_unknown_leaders_one_is_spared_whoever_it_is() {
        let followers = |count| NodeSelector {
            followers: Some(Component::Scheduler),
            count,
            ..role(NodeRole::ControlPlane)
        };
        let chosen = |planes, count| {
            chosen(&cluster(planes, 1), &followers(count), Endpoints::new(), &[], 1)
        };
        assert_eq!(chosen(3, Count::All).unwrap().split(' ').count(), 2);
        assert!(chosen(3, Count::Exactly(2)).is_ok());
        let refused = chosen(3, Count::Exactly(3)).unwrap_err();
        assert!(
            refused
                .message
                .starts_with("3 nodes are to be targeted, but 2 match role control-plane"),
            "{refused:?}"
        );
        assert!(refused.message.ends_with("all but one of cp1, cp2, cp3"), "{refused:?}");
        for count in [Count::All, Count::Exactly(1)] {
            let refused = chosen(1, count).unwrap_err();
            assert!(refused.message.starts_with("no node matches "), "{refused:?}");
            assert_eq!(
                refused.hint.unwrap(),
                "cp1 is the only node that runs kube-scheduler, and therefore the leader"
            );
        }
        let named = NodeSelector { name: Some("cp2".into()), ..followers(Count::All) };
        let found = super::tests::chosen(&cluster(3, 1), &named, Endpoints::new(), &[], 1);
        assert_eq!(found.unwrap(), "cp2", "another one may lead");
    }

    #[test]
    fn a_node_that_is_not_a_container_is_never_chosen() {
        let mut nodes = cluster(1, 3);
        nodes[1].api_only = true;
        let choose = |selector: &NodeSelector, api_only| {
            let excluded = Excluded { api_only, ..Excluded::default() };
            let known = Known::default();
            let found = super::choose(&nodes, selector, &known, excluded, &mut Random::new(1))?;
            Ok::<_, Refusal>(names(&found))
        };
        let all = NodeSelector { count: Count::All, ..role(NodeRole::Worker) };
        let two = NodeSelector { count: Count::Exactly(2), ..all.clone() };
        assert!(["w2, w3", "w3, w2"].contains(&choose(&two, true).unwrap().as_str()));
        assert_eq!(
            choose(&all, true).unwrap_err().message,
            "3 nodes are to be targeted, but only 2 of w1, w2, w3 can be: one runs outside \
             this machine's container engine"
        );
        let named = NodeSelector { name: Some("w1".into()), ..NodeSelector::default() };
        let refused = choose(&named, true).unwrap_err();
        assert_eq!(
            refused.message,
            "every node that matches the target runs outside this machine's container engine: w1"
        );
        assert_eq!(choose(&named, false).unwrap(), "w1", "a drain needs the API only");
        let host = |selector: NodeSelector| {
            probe_host(&nodes, &selector, &["w2".into()]).map(|node| &*node.name)
        };
        assert_eq!(host(role(NodeRole::Worker)), Ok("w3"));
        assert!(host(named).unwrap_err().message.ends_with("run commands there: w1"));
    }

    #[test]
    fn a_node_of_another_system_is_not_entered() {
        let mut nodes = cluster(1, 2);
        nodes[1].platform.system = "windows".into();
        let choose = |enters| {
            let excluded = Excluded { enters, ..Excluded::default() };
            let all = NodeSelector { count: Count::All, ..role(NodeRole::Worker) };
            let found =
                super::choose(&nodes, &all, &Known::default(), excluded, &mut Random::new(1));
            found.map(|found| found.len())
        };
        assert_eq!(choose(false), Ok(2), "a drain needs the API only");
        let refused = choose(true).unwrap_err();
        assert!(refused.message.ends_with("can be: one runs windows, not Linux"), "{refused:?}");
        let windows = NodeSelector { name: Some("w1".into()), ..NodeSelector::default() };
        assert!(probe_host(&nodes, &windows, &[]).is_err());
    }

    #[test]
    fn nothing_matches_lists_the_nodes() {
        let selector = NodeSelector { name: Some("w9".into()), ..NodeSelector::default() };
        let refused = chosen(&nodes(), &selector, Endpoints::new(), &[], 1).unwrap_err();
        assert_eq!(refused.message, "no node matches name w9");
        assert!(refused.hint.unwrap().contains("w2 (worker)"));
    }

    #[test]
    fn a_probe_asks_from_a_node_that_is_not_at_risk() {
        let nodes = nodes();
        let host = |nodes: &[Node], at_risk: &[&str]| {
            let at_risk: Vec<String> = at_risk.iter().map(|&name| name.to_owned()).collect();
            let host = probe_host(nodes, &NodeSelector::default(), &at_risk);
            host.map(|node| node.name.clone()).map_err(|refused| refused.message)
        };
        assert_eq!(host(&nodes, &["cp", "w1"]), Ok("w2".into()));
        assert_eq!(host(&nodes, &["w1"]), Ok("cp".into()));
        // Where every node is at risk: the one that is the least likely to be hit.
        let workers: Vec<Node> =
            nodes.into_iter().filter(|node| node.role == NodeRole::Worker).collect();
        assert_eq!(host(&workers, &["w1", "w3", "w2"]), Ok("w2".into()));
        assert!(host(&[node("lb", NodeRole::ExternalLoadBalancer)], &[]).is_err());
    }
}
