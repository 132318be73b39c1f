//! Nodes: the Ready condition, its heartbeat, and the taints.

use kube::ResourceExt;

use super::cache::{Row, Watched};
use crate::cluster::{node_ready, objects, ready_condition};
use crate::timeline::{Change, Event};

pub(super) struct Nodes;

impl Watched for Nodes {
    type Object = objects::Node;

    fn rows(object: &objects::Node) -> Vec<Row> {
        let condition = ready_condition(object);
        let taints = object.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let event = Event::Node {
            node: object.name_any(),
            change: Change::Baseline,
            ready: node_ready(object),
            reason: condition.and_then(|condition| condition.reason.clone()).unwrap_or_default(),
            transition: condition
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map(|time| time.0),
            heartbeat: condition
                .and_then(|condition| condition.last_heartbeat_time.as_ref())
                .map(|time| time.0),
            taints: taints.map(|taint| format!("{}:{}", taint.key, taint.effect)).collect(),
        };
        vec![Row::new(object.name_any(), event)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Ready;

    #[test]
    fn a_node_that_is_not_heard_of_is_unknown() {
        let node = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "w"},
            "spec": {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                "lastHeartbeatTime": "2026-11-22T06:23:41Z", "lastTransitionTime": "2026-11-22T06:23:46Z"}]}}))
        .unwrap();
        let Row { key, event, .. } = Nodes::rows(&node).remove(0);
        assert_eq!(key, "w");
        let Event::Node { ready, reason, transition, heartbeat, taints, .. } = event else {
            panic!()
        };
        assert_eq!((ready, reason.as_str()), (Ready::Unknown, "NodeStatusUnknown"));
        assert_eq!(transition.unwrap().duration_since(heartbeat.unwrap()).as_secs(), 5);
        assert_eq!(taints, ["node.kubernetes.io/unreachable:NoSchedule"]);
    }
}
