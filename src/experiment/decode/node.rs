//! Which nodes: for targets, and for where a probe asks from.

use serde_json::json;

use super::fields::{Cx, Fields};
use super::reference::service;
use super::scalar::{choice, dns_label, labels, node_name};
use crate::experiment::diagnostic::Diagnostic;
use crate::experiment::schema::{Count, NodeSelector};
use crate::experiment::tree::{Node, Value, quoted};
use crate::timeline::{Component, NodeRole};
use crate::yaml::suggest;

const COUNT: &str = "How many of the matching nodes, chosen at random by the seed.";

/// The parts of a control plane of which one leads and the others follow.
const LED: [Component; 3] = [Component::ControllerManager, Component::Scheduler, Component::Etcd];

const ROLES: [(&str, NodeRole); 3] = [
    ("worker", NodeRole::Worker),
    ("control-plane", NodeRole::ControlPlane),
    ("external-load-balancer", NodeRole::ExternalLoadBalancer),
];

/// A selector that names at least one thing.
pub(crate) fn selector(cx: &Cx, node: &Node) -> Option<NodeSelector> {
    let mut fields = Fields::of_or(cx, node, "a node selector", one)?;
    fields.about("Which node. It must match all fields that are set.");
    let selector = common(&mut fields);
    fields.finish();
    something(cx, node, selector?)
}

/// Whom a fault hits: also by who leads, and more than one.
pub(crate) fn target(cx: &Cx, node: &Node) -> Option<NodeSelector> {
    let whom = |text: &str| match text {
        "leader" | "follower" | "followers" => "target: {leader: kube-scheduler}".to_owned(),
        word => format!("target: {}", one(word)),
    };
    let mut fields = Fields::of_or(cx, node, "a target", whom)?;
    fields.about("Which nodes are hit. They must match all fields that are set.");
    let selector = common(&mut fields);
    fields.doc("The node on which this component leads.");
    let leader = led(cx, node, &mut fields, "leader");
    fields.doc("Nodes on which this component runs and does not lead.");
    let followers = led(cx, node, &mut fields, "followers");
    let of = fields
        .doc("The nodes that the step of this name hits, for as long as it hits them.")
        .optional("of", dns_label);
    let count = fields.doc(COUNT).or("count", Count::default(), count);
    fields.finish();
    let mut selector =
        NodeSelector { leader: leader?, followers: followers?, of: of?, ..selector? };
    if node.get("leader").or(node.get("followers")).is_some() {
        selector.role.get_or_insert(NodeRole::ControlPlane);
    }
    let selector = something(cx, node, selector)?;
    Some(NodeSelector { count: count?, ..selector })
}

/// What a bare word means in the place of a selector: a role, else a name.
fn one(word: &str) -> String {
    match ROLES.iter().any(|(role, _)| *role == word) {
        true => format!("{{role: {word}}}"),
        false => format!("{{name: {word}}}"),
    }
}

/// Where pods are to go: by what nodes are, and one or more.
pub(crate) fn ground(cx: &Cx, node: &Node) -> Option<NodeSelector> {
    let mut fields = Fields::of_or(cx, node, "a node selector", one)?;
    fields.about("Which nodes. They must match all fields that are set.");
    let selector = alike(&mut fields);
    let count = fields.doc(COUNT).or("count", Count::default(), count);
    fields.finish();
    let selector = something(cx, node, selector?)?;
    Some(NodeSelector { count: count?, ..selector })
}

fn common(fields: &mut Fields) -> Option<NodeSelector> {
    let selector = alike(fields);
    let most_endpoints_of = fields
        .doc("Nodes with the most ready endpoints of this Service.")
        .optional("mostEndpointsOf", service);
    Some(NodeSelector { most_endpoints_of: most_endpoints_of?, ..selector? })
}

/// The name of one node; whoever writes a list or a pattern wants several.
fn one_name(cx: &Cx, node: &Node) -> Option<String> {
    const HINT: &str = "a name selects one node; for several, use `role` or `labels` (with `count` \
                        in a target), or several steps";
    match node.text() {
        None if matches!(node.value, Value::List(_)) => {
            cx.expected_hint(node, "the name of one node", HINT)
        }
        Some(text)
            if text.contains(|c: char| c.is_whitespace() || "*?^$|,:()[]{}+\\/".contains(c)) =>
        {
            let message = format!("{} is not the name of one node", quoted(text));
            cx.error_hint(node.focus(), message, HINT)
        }
        _ => node_name(cx, node),
    }
}

fn alike(fields: &mut Fields) -> Option<NodeSelector> {
    let name = fields.doc("The name of one node.").optional("name", one_name);
    let role = fields.doc("The role of the nodes.").optional("role", role);
    let labels = fields.doc("Labels that the nodes have.").optional("labels", labels);
    Some(NodeSelector {
        name: name?,
        role: role?,
        labels: labels?.unwrap_or_default(),
        ..NodeSelector::default()
    })
}

/// A field that names a part of the control plane. One that is there and names none is not the same
/// as one that is absent.
fn led(cx: &Cx, node: &Node, fields: &mut Fields, key: &'static str) -> Option<Option<Component>> {
    match node.get(key) {
        Some(value) if value.is_null() || matches!(value.text(), Some("true" | "yes")) => {
            fields.optional(key, |_, _| Some(()));
            which_leader(cx, value);
            Some(None)
        }
        _ => fields.optional(key, |cx, node| {
            choice(cx, node, "component with a leader", &LED.map(|led| (led.name(), led)))
        }),
    }
}

/// A bare leader is one of three. A cluster that is at hand says on which nodes they are.
fn which_leader(cx: &Cx, node: &Node) {
    let problem = Diagnostic::open("a cluster has three leaders, and this does not name one");
    let each = LED.map(|led| format!("`leader: {}`", led.name()));
    let hint = format!(
        "each has its own, often on different nodes: {}, {} or {}",
        each[0], each[1], each[2]
    );
    cx.report(problem.at(cx.file(), node.key.unwrap_or(node.focus())).hint(hint));
}

/// A number of 1 or more, or `all`.
pub(crate) fn count(cx: &Cx, node: &Node) -> Option<Count> {
    const WANTED: &str = "a number of 1 or more, or `all`";
    cx.reads(|| json!({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]}))?;
    match node.text().map(|text| (text, text.parse())) {
        Some(("all", _)) => Some(Count::All),
        Some((_, Ok(number @ 1..))) => Some(Count::Exactly(number)),
        Some((text, Err(_))) => match suggest::closest(text, ["all"]) {
            Some(near) => cx.expected_hint(node, WANTED, format!("did you mean `{near}`?")),
            None => cx.expected(node, WANTED),
        },
        _ => cx.expected(node, WANTED),
    }
}

fn something(cx: &Cx, node: &Node, selector: NodeSelector) -> Option<NodeSelector> {
    if selector == NodeSelector::default() {
        return cx.error_hint(
            node.focus(),
            "this node selector would match any node",
            "set `role: worker`, or a name or labels",
        );
    }
    Some(selector)
}

fn role(cx: &Cx, node: &Node) -> Option<NodeRole> {
    if node.text() == Some("leader") {
        which_leader(cx, node);
        return Some(NodeRole::ControlPlane);
    }
    choice(cx, node, "role", &ROLES)
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn all_ways_to_choose_may_be_given_together() {
        let (found, problems) =
            decoded("{name: n, role: worker, labels: {a: b}, mostEndpointsOf: web}", selector);
        assert_eq!(problems, "");
        let labels = [("a".to_owned(), "b".to_owned())].into();
        let (name, role, most_endpoints_of) =
            (Some("n".into()), Some(NodeRole::Worker), Some("web".into()));
        assert_eq!(
            found,
            Some(NodeSelector { name, role, labels, most_endpoints_of, ..NodeSelector::default() })
        );
    }

    #[test]
    fn a_target_may_be_several_nodes() {
        let count = |yaml: &str| decoded(yaml, target).0.map(|target| target.count);
        assert_eq!(count("{role: worker}"), Some(Count::Exactly(1)));
        assert_eq!(count("{role: worker, count: 2}"), Some(Count::Exactly(2)));
        assert_eq!(count("{role: worker, count: all}"), Some(Count::All));
        assert_eq!(count("{role: worker, count: 0}"), None);
        let wrong = |yaml: &str| decoded(yaml, target).1;
        assert!(
            wrong("{role: worker, count: 0}")
                .contains("expected a number of 1 or more, or `all`, found `0`")
        );
        assert!(
            wrong("{role: worker, count: -1}")
                .contains("expected a number of 1 or more, or `all`, found `-1`")
        );
        assert!(
            wrong("{role: worker, count: alll}").contains("found `alll` (did you mean `all`?)")
        );
        assert!(decoded("{count: all}", target).1.contains("would match any node"));
        assert!(decoded("{role: worker, count: 2}", selector).1.contains("unknown field `count`"));
    }

    #[test]
    fn a_target_is_a_mapping() {
        assert!(decoded("leader", target).1.contains("(write `target: {leader: kube-scheduler}`)"));
        assert!(decoded("n-worker", target).1.contains("(write `target: {name: n-worker}`)"));
        assert!(decoded("worker", target).1.contains("(write `target: {role: worker}`)"));
        assert!(decoded("control-plane", selector).1.contains("(write `{role: control-plane}`)"));
        assert!(
            decoded("[]", target).1.contains("expected a target (a mapping), found an empty list")
        );
    }

    #[test]
    fn a_leader_is_that_of_a_part() {
        let found = decoded("{leader: kube-scheduler}", target).0.unwrap();
        assert_eq!(
            (found.leader, found.role),
            (Some(Component::Scheduler), Some(NodeRole::ControlPlane))
        );
        assert_eq!(
            decoded("{followers: etcd, count: all}", target).0.unwrap().followers,
            Some(Component::Etcd)
        );
        assert!(
            decoded("{leader: kube-apiserver}", target)
                .1
                .contains("unknown component with a leader `kube-apiserver`")
        );
        for bare in ["{leader: }", "{leader: true}", "{role: leader}"] {
            let diagnostics = decoded(bare, target).1;
            assert!(
                diagnostics.contains("three leaders")
                    && diagnostics.contains("`leader: kube-scheduler` or `leader: etcd`"),
                "{bare}: {diagnostics}"
            );
            assert_eq!(diagnostics.lines().count(), 1, "{bare}: {diagnostics}");
        }
    }

    #[test]
    fn no_way_at_all_is_refused() {
        assert!(decoded("{}", selector).1.contains("would match any node"));
    }

    #[test]
    fn several_names_are_not_a_name() {
        for several in ["[a, b]", "\"re2:^fast-worker.*\"", "a*", "\"a, b\""] {
            let problems = decoded(&format!("{{name: {several}}}"), target).1;
            assert!(
                problems.contains("use `role` or `labels` (with `count`"),
                "{several}: {problems}"
            );
            assert_eq!(problems.lines().count(), 1, "{problems}");
        }
    }

    #[test]
    fn a_mistake_is_not_also_reported_as_an_empty_selector() {
        assert_eq!(
            decoded("{role: wroker}", selector).1,
            "1:8: error: unknown role `wroker` (did you mean `worker`?)"
        );
    }
}
