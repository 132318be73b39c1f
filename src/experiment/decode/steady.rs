//! The steady state: what must hold before the first fault, and come back.

use serde_json::json;

use super::fields::{Cx, Decode, Fields, record};
use super::reference::service;
use super::scalar::{at_least_one, dns_label, positive, share};
use crate::experiment::schema::{Condition, Quantity};
use crate::experiment::tree::Node;

const CONDITIONS: &[(&str, Decode<Condition>)] =
    &[("nodesReady", nodes_ready), ("endpointsReady", endpoints_ready), ("probe", probe_succeeds)];

/// One item of `steadyState`.
pub(crate) fn condition(cx: &Cx, node: &Node) -> Option<Condition> {
    cx.union(node, "a condition", CONDITIONS)
}

fn nodes_ready(cx: &Cx, node: &Node) -> Option<Condition> {
    cx.reads(|| {
        let about = "At least this many nodes are Ready, or all of them.";
        json!({"description": about, "anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1}]})
    })?;
    let quantity = match node.text() {
        Some("all") => Quantity::All,
        Some(number) if number.parse::<u32>().is_ok() => Quantity::AtLeast(at_least_one(cx, node)?),
        _ => return cx.expected(node, "`all` or a number of nodes"),
    };
    Some(Condition::NodesReady(quantity))
}

fn endpoints_ready(cx: &Cx, node: &Node) -> Option<Condition> {
    record!(
        /// A Service has at least this many ready endpoints.
        cx, node, "`endpointsReady`" => Condition::EndpointsReady {
        /// The Service.
        service: named("service", service),
        /// The lowest number of ready endpoints.
        at_least: required("atLeast", at_least_one),
    })
}

fn probe_succeeds(cx: &Cx, node: &Node) -> Option<Condition> {
    record!(
        /// A probe succeeds.
        cx, node, "a condition on a probe" => Condition::Probe {
        /// The probe.
        name: required("name", dns_label),
        /// The lowest share of its attempts that succeed.
        success_ratio: required("successRatio", share),
        /// For how long.
        hold: required("for", positive),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fields::tests::decoded;
    use super::*;

    #[test]
    fn each_condition_is_understood() {
        let condition = |yaml: &str| decoded(yaml, condition).0.unwrap();
        assert_eq!(condition("nodesReady: all"), Condition::NodesReady(Quantity::All));
        assert_eq!(condition("nodesReady: 3"), Condition::NodesReady(Quantity::AtLeast(3)));
        assert_eq!(
            condition("endpointsReady: {service: web, atLeast: 2}"),
            Condition::EndpointsReady { service: "web".into(), at_least: 2 }
        );
        let hold = Duration::from_secs(5);
        assert_eq!(
            condition("probe: {name: web, successRatio: 1.0, for: 5s}"),
            Condition::Probe { name: "web".into(), success_ratio: 1.0, hold }
        );
    }

    #[test]
    fn mistakes_are_reported() {
        let wrong = |yaml: &str| decoded(yaml, condition).1;
        assert!(
            wrong("nodesReady: some").contains("expected `all` or a number of nodes, found `some`")
        );
        assert!(wrong("nodesReady: 0").contains("0 is always met"));
        assert!(wrong("nodeReady: all").contains("did you mean `nodesReady`?"));
        assert!(
            wrong("probe: {name: web}").contains("a condition on a probe needs `successRatio`")
        );
    }
}
