//! Which nodes: for targets, and for where a probe asks from.

use super::fields::{Cx, Fields};
use super::scalar::{choice, is_dns_label, labels, node_name};
use crate::experiment::schema::NodeSelector;
use crate::experiment::tree::Node;
use crate::timeline::NodeRole;

/// A selector that names at least one thing.
pub fn selector(cx: &Cx, node: &Node) -> Option<NodeSelector> {
    let mut fields = Fields::of(cx, node, "a choice of nodes")?;
    let name = fields.optional("name", node_name);
    let role = fields.optional("role", role);
    let labels = fields.optional("labels", labels);
    let most_endpoints_of = fields.optional("mostEndpointsOf", service);
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

/// A Service of the run's namespace, or `NAMESPACE/SERVICE`.
pub fn service(cx: &Cx, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let parts: Vec<&str> = text.split('/').collect();
    if parts.len() <= 2 && parts.iter().all(|part| is_dns_label(part)) {
        return Some(text.to_owned());
    }
    let hint = "a Service is `web` in the run's namespace, or `kube-system/kube-dns`";
    cx.error_hint(node.focus(), format!("expected a Service, found {}", node.described()), hint)
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
    fn a_service_may_be_of_another_namespace() {
        let found = |yaml: &str| decoded(yaml, service);
        assert_eq!(found("kube-system/kube-dns").0.as_deref(), Some("kube-system/kube-dns"));
        assert!(found("a/b/c").1.contains("expected a Service, found `a/b/c` (a Service is `web`"), "{}", found("a/b/c").1);
        assert!(found("[a]").1.contains("expected a Service, found a list"));
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
