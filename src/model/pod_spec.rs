//! A pod, or a template of pods, as Kubernetes writes it: what the model needs to know of it.

use std::cmp::Ordering;
use std::time::Duration;

use serde_json::Value;

use super::topology::{NodeId, NodeObject, PodSpec, Spread, Tolerates};
use crate::timeline::{NodeRole, Taint, TaintEffect, Tolerations};

pub(crate) const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub(crate) const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const HOSTNAME: &str = "kubernetes.io/hostname";

impl PodSpec {
    /// Reads a pod or a template (they have the same shape) for a cluster of these nodes. `None`
    /// where none of them is one that it asks for.
    pub fn of_template(
        template: &Value,
        nodes: &[NodeObject],
        defaults: Tolerations,
    ) -> Option<Self> {
        let spec = &template["spec"];
        let default = Self::tolerating(defaults);
        let asks = Asks::of(spec);
        let fitting: Vec<NodeId> =
            nodes.iter().filter(|node| asks.for_node(&node.object)).map(|node| node.id).collect();
        if fitting.is_empty() && !nodes.is_empty() {
            return None;
        }
        let named = |name: &str| {
            nodes.iter().find(|node| node.object["metadata"]["name"] == name).map(|node| node.id)
        };
        let tolerations = spec["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = |key: &str, effect| tolerated(tolerations, &taint(key, effect));
        let evicted = |key: &str, default: Duration| {
            of(key, TaintEffect::NoExecute).unwrap_or(Tolerates::For(default))
        };
        Some(Self {
            tolerates_not_ready: evicted(NOT_READY, defaults.not_ready),
            tolerates_unreachable: evicted(UNREACHABLE, defaults.unreachable),
            tolerates_control_plane: of(NodeRole::CONTROL_PLANE_LABEL, TaintEffect::NoSchedule)
                .is_some(),
            tolerations: tolerations.into(),
            spread: if keeps_apart(spec) { Spread::Require } else { Spread::Prefer },
            pinned: spec["nodeName"].as_str().and_then(named),
            only_on: if fitting.len() == nodes.len() { Vec::new() } else { fitting },
            stops_in: spec["terminationGracePeriodSeconds"]
                .as_u64()
                .map_or(default.stops_in, |grace| default.stops_in.min(Duration::from_secs(grace))),
            ..default
        })
    }
}

/// The nodes that a pod asks for: its nodeSelector and its required node affinity.
struct Asks<'a> {
    selector: &'a Value,
    /// One of them must match.
    terms: Option<&'a Vec<Value>>,
}

impl<'a> Asks<'a> {
    fn of(spec: &'a Value) -> Self {
        let required =
            &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        Self { selector: &spec["nodeSelector"], terms: required["nodeSelectorTerms"].as_array() }
    }

    fn for_node(&self, node: &Value) -> bool {
        let (name, labels) = (&node["metadata"]["name"], &node["metadata"]["labels"]);
        let mut wanted = self.selector.as_object().into_iter().flatten();
        let list = |term: &Value, field: &str| term[field].as_array().cloned().unwrap_or_default();
        let fits = |term: &Value| {
            let (expressions, fields) = (list(term, "matchExpressions"), list(term, "matchFields"));
            // A term that asks for nothing matches no node. The only field is the name.
            (!expressions.is_empty() || !fields.is_empty())
                && expressions.iter().all(|label| {
                    let key = label["key"].as_str().unwrap_or_default();
                    is_met(label, labels.get(key).and_then(Value::as_str))
                })
                && fields.iter().all(|field| is_met(field, name.as_str()))
        };
        wanted.all(|(key, value)| labels.get(key) == Some(value))
            && self.terms.is_none_or(|terms| terms.iter().any(fits))
    }
}

/// Whether what a node has meets a requirement. One that the API server refuses is never met.
fn is_met(requirement: &Value, have: Option<&str>) -> bool {
    let values = requirement["values"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_listed = have.is_some_and(|have| values.iter().any(|value| value == have));
    let number = |text: Option<&str>| text?.parse::<i64>().ok();
    let compared =
        || number(have).zip(number(values.first().and_then(Value::as_str))).map(|(a, b)| a.cmp(&b));
    match requirement["operator"].as_str() {
        Some("In") => is_listed,
        Some("NotIn") => !is_listed,
        Some("Exists") => have.is_some(),
        Some("DoesNotExist") => have.is_none(),
        Some("Gt") => compared() == Some(Ordering::Greater),
        Some("Lt") => compared() == Some(Ordering::Less),
        _ => false,
    }
}

/// A taint without a value.
pub(crate) fn taint(key: &str, effect: TaintEffect) -> Taint {
    Taint { key: key.into(), value: String::new(), effect }
}

/// A toleration without a key or an effect is one of every key or effect.
fn tolerates(toleration: &Value, taint: &Taint) -> bool {
    let text = |field: &str| toleration[field].as_str().unwrap_or_default();
    let same = |field: &str, wanted: &str| ["", wanted].contains(&text(field));
    let value = text("operator") == "Exists" || text("value") == taint.value;
    same("key", &taint.key) && same("effect", taint.effect.name()) && value
}

/// How long a taint is tolerated: the shortest of the tolerations that match; `None`: none does.
pub(crate) fn tolerated(tolerations: &[Value], taint: &Taint) -> Option<Tolerates> {
    let mut matching =
        tolerations.iter().filter(|toleration| tolerates(toleration, taint)).peekable();
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
        let node = |id: usize, name: &str, labels: Value| NodeObject {
            id: NodeId(id),
            object: json!({"metadata": {"name": name, "labels": labels}}),
        };
        let nodes = [
            node(0, "cp", json!({NodeRole::CONTROL_PLANE_LABEL: ""})),
            node(1, "w", json!({"zone": "a", "cores": "8"})),
        ];
        PodSpec::of_template(&json!({"spec": spec}), &nodes, Tolerations::default())
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
        let spec = read(json!({"tolerations": [{"key": NodeRole::CONTROL_PLANE_LABEL, "operator": "Exists", "effect": "NoExecute"}]})).unwrap();
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
            read(json!({"nodeSelector": {NodeRole::CONTROL_PLANE_LABEL: ""}})).unwrap().only_on,
            [NodeId(0)]
        );
        assert_eq!(read(json!({"nodeSelector": {"disk": "fast"}})), None);
        assert!(read(json!({"nodeSelector": {}})).unwrap().only_on.is_empty());
    }

    #[test]
    fn required_node_affinity_chooses_nodes_and_preferred_does_not() {
        let term = |key: &str, operator: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let required = |terms: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}});
        let on = |terms: Value| read(required(terms)).map(|spec| spec.only_on);
        let (cp, worker) = (Some(vec![NodeId(0)]), Some(vec![NodeId(1)]));
        assert_eq!(on(json!([term("zone", "In", json!(["a", "b"]))])), worker);
        assert_eq!(on(json!([term("zone", "NotIn", json!(["a"]))])), cp, "nor any without it");
        assert_eq!(on(json!([term("zone", "Exists", json!(null))])), worker);
        assert_eq!(on(json!([term("zone", "DoesNotExist", json!(null))])), cp);
        assert_eq!(on(json!([term("cores", "Gt", json!(["4"]))])), worker);
        assert_eq!(on(json!([term("cores", "Lt", json!(["4"]))])), None);
        let either =
            json!([term("zone", "In", json!(["z"])), term("cores", "Exists", json!(null))]);
        assert_eq!(on(either), worker, "one term is enough");
        let name = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["cp"]}]}]);
        assert_eq!(on(name), cp);
        assert_eq!(on(json!([{}])), None, "an empty term matches nothing");
        let preferred = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term("zone", "In", json!(["z"]))}]}}});
        assert_eq!(read(preferred).unwrap().only_on, []);
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
