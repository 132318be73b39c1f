//! A pod, or a template of pods, as Kubernetes writes it: what the model needs to know of it.

use std::time::Duration;

use serde_json::Value;

use super::topology::{NodeId, PodSpec, Spread, Tolerates};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
const HOSTNAME: &str = "kubernetes.io/hostname";

impl PodSpec {
    /// Reads a pod or a template (they have the same shape) for a cluster of these nodes, given as
    /// Node objects: their names and labels are looked at. `None` where no node has the labels that
    /// it asks for.
    pub fn of_template(template: &Value, nodes: &[(NodeId, Value)]) -> Option<Self> {
        let spec = &template["spec"];
        let default = Self::default();
        let only_on = selected(&spec["nodeSelector"], nodes)?;
        let named = |name: &str| {
            nodes.iter().find(|(_, node)| node["metadata"]["name"] == name).map(|(id, _)| *id)
        };
        let tolerations = spec["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Self {
            tolerates_not_ready: tolerated(tolerations, NOT_READY)
                .unwrap_or(default.tolerates_not_ready),
            tolerates_unreachable: tolerated(tolerations, UNREACHABLE)
                .unwrap_or(default.tolerates_unreachable),
            tolerates_control_plane: tolerations
                .iter()
                .any(|toleration| tolerates(toleration, CONTROL_PLANE, "NoSchedule")),
            spread: if keeps_apart(spec) { Spread::Require } else { Spread::Prefer },
            pinned: spec["nodeName"].as_str().and_then(named),
            only_on,
            stops_in: spec["terminationGracePeriodSeconds"]
                .as_u64()
                .map_or(default.stops_in, |grace| default.stops_in.min(Duration::from_secs(grace))),
            ..default
        })
    }
}

/// The nodes with all labels of a nodeSelector: none where it asks for nothing, `None` where no
/// node has them.
fn selected(selector: &Value, nodes: &[(NodeId, Value)]) -> Option<Vec<NodeId>> {
    let Some(wanted) = selector.as_object().filter(|wanted| !wanted.is_empty()) else {
        return Some(Vec::new());
    };
    let has = |node: &Value| {
        wanted.iter().all(|(key, value)| node["metadata"]["labels"].get(key) == Some(value))
    };
    let fitting: Vec<NodeId> =
        nodes.iter().filter(|(_, node)| has(node)).map(|(id, _)| *id).collect();
    (!fitting.is_empty()).then_some(fitting)
}

/// A toleration without a key or an effect is one of every key or effect.
fn tolerates(toleration: &Value, key: &str, effect: &str) -> bool {
    let same = |field: &str, wanted: &str| {
        toleration[field].as_str().is_none_or(|have| have.is_empty() || have == wanted)
    };
    same("key", key) && same("effect", effect)
}

/// How long a taint of the node lifecycle controller is tolerated: the shortest of the tolerations
/// that match; `None`: none does.
fn tolerated(tolerations: &[Value], key: &str) -> Option<Tolerates> {
    let mut matching =
        tolerations.iter().filter(|toleration| tolerates(toleration, key, "NoExecute")).peekable();
    matching.peek()?;
    let shortest = matching.filter_map(|toleration| toleration["tolerationSeconds"].as_i64()).min();
    Some(shortest.map_or(Tolerates::Forever, |seconds| {
        Tolerates::For(Duration::from_secs(seconds.max(0).unsigned_abs()))
    }))
}

/// Whether no two of these pods may be on one node.
fn keeps_apart(spec: &Value) -> bool {
    let terms =
        spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
            .as_array();
    terms.is_some_and(|terms| terms.iter().any(|term| term["topologyKey"] == HOSTNAME))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(spec: Value) -> Option<PodSpec> {
        let node =
            |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let nodes = [
            (NodeId(0), node("cp", json!({CONTROL_PLANE: ""}))),
            (NodeId(1), node("w", json!({}))),
        ];
        PodSpec::of_template(&json!({"spec": spec}), &nodes)
    }

    #[test]
    fn a_template_that_says_nothing_is_the_default() {
        assert_eq!(read(json!({"containers": []})), Some(PodSpec::default()));
    }

    #[test]
    fn the_shortest_toleration_counts_whatever_its_place() {
        let toleration = |seconds: u64| json!({"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": seconds});
        for tolerations in [[toleration(60), toleration(5)], [toleration(5), toleration(60)]] {
            let spec = read(json!({"tolerations": tolerations})).unwrap();
            assert_eq!(spec.tolerates_unreachable, Tolerates::For(Duration::from_secs(5)));
            assert_eq!(spec.tolerates_not_ready, Tolerates::For(Duration::from_secs(300)));
        }
    }

    #[test]
    fn an_effect_is_one_effect() {
        let spec = read(json!({"tolerations": [{"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoExecute"}]})).unwrap();
        assert!(!spec.tolerates_control_plane);
        let spec = read(json!({"tolerations": [{"operator": "Exists"}]})).unwrap();
        assert_eq!(
            (spec.tolerates_unreachable, spec.tolerates_control_plane),
            (Tolerates::Forever, true)
        );
    }

    #[test]
    fn anti_affinity_over_zones_leaves_nodes_free() {
        let apart = |key: &str| json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key}]}});
        assert_eq!(
            read(json!({"affinity": apart("topology.kubernetes.io/zone")})).unwrap().spread,
            Spread::Prefer
        );
        assert_eq!(read(json!({"affinity": apart(HOSTNAME)})).unwrap().spread, Spread::Require);
    }

    #[test]
    fn a_node_is_chosen_by_name_and_by_labels() {
        assert_eq!(read(json!({"nodeName": "w"})).unwrap().pinned, Some(NodeId(1)));
        assert_eq!(
            read(json!({"nodeSelector": {CONTROL_PLANE: ""}})).unwrap().only_on,
            [NodeId(0)]
        );
        assert_eq!(read(json!({"nodeSelector": {"disk": "fast"}})), None);
        assert!(read(json!({"nodeSelector": {}})).unwrap().only_on.is_empty());
    }

    #[test]
    fn no_grace_is_no_time_to_stop() {
        assert_eq!(
            read(json!({"terminationGracePeriodSeconds": 0})).unwrap().stops_in,
            Duration::ZERO
        );
        assert_eq!(
            read(json!({"terminationGracePeriodSeconds": 60})).unwrap().stops_in,
            PodSpec::default().stops_in
        );
    }
}
