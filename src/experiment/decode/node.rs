//! Which nodes: for targets, and for where a probe asks from.

use super::fields::{Cx, Fields};
use super::scalar::{choice, dns_label, labels, node_name};
use crate::experiment::schema::NodeSelector;
use crate::experiment::tree::Node;
use crate::timeline::NodeRole;

/// A selector that names at least one thing.
pub fn selector(cx: &Cx, node: &Node) -> Option<NodeSelector> {
    let mut fields = Fields::of(cx, node, "a choice of nodes")?;
    let name = fields.optional("name", node_name);
    let role = fields.optional("role", role);
    let labels = fields.optional("labels", labels);
    let most_endpoints_of = fields.optional("mostEndpointsOf", dns_label);
    fields.finish();
    let selector =
        NodeSelector { name: name?, role: role?, labels: labels?.unwrap_or_default(), most_endpoints_of: most_endpoints_of? };
    if selector == NodeSelector::default() {
        return cx.error_hint(
            node.focus(),
            "a choice of nodes that would take any node",
            "say `role: worker`, or a name or labels",
        );
    }
    Some(selector)
}

fn role(cx: &Cx, node: &Node) -> Option<NodeRole> {
    let roles = [
        ("worker", NodeRole::Worker),
        ("control-plane", NodeRole::ControlPlane),
        ("external-load-balancer", NodeRole::ExternalLoadBalancer),
    ];
    choice(cx, node, "role", &roles)
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn all_ways_to_choose_may_be_given_together() {
        let (found, problems) = decoded("{name: n, role: worker, labels: {a: b}, mostEndpointsOf: web}", selector);
        assert_eq!(problems, "");
        let labels = [("a".to_owned(), "b".to_owned())].into();
        let wanted =
            NodeSelector { name: Some("n".into()), role: Some(NodeRole::Worker), labels, most_endpoints_of: Some("web".into()) };
        assert_eq!(found, Some(wanted));
    }

    #[test]
    fn no_way_at_all_is_refused() {
        assert!(decoded("{}", selector).1.contains("would take any node"));
    }

    #[test]
    fn a_mistake_is_not_also_told_as_no_choice() {
        assert_eq!(decoded("{role: wroker}", selector).1, "1:8: error: `wroker` is no role (did you mean `worker`?)");
    }
}
