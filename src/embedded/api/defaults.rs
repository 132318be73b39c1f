//! What Kubernetes fills in where a client says nothing, as far as anybody looks at it here.

use serde_json::{Value, json};

use crate::embedded::store::Kind;
use crate::embedded::store::object::{as_map, map_mut};

pub(super) fn fill_in(kind: &Kind, object: &mut Value) {
    fill(object, &defaults(kind));
    match kind.plural {
        "namespaces" => {
            let name = object["metadata"]["name"].clone();
            let labels = as_map(map_mut(object, "metadata").entry("labels").or_insert(Value::Null));
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
        }
        "services" => {
            let ports = object["spec"]["ports"].as_array_mut();
            for port in ports.into_iter().flatten().filter(|port| port["targetPort"].is_null()) {
                port["targetPort"] = port["port"].clone();
            }
        }
        "deployments" if object["spec"]["strategy"]["type"] == "RollingUpdate" => {
            let rolling = json!({"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}});
            fill(&mut object["spec"]["strategy"], &rolling);
        }
        _ => {}
    }
}

/// A list of one item is about every item that is there.
fn defaults(kind: &Kind) -> Value {
    match kind.plural {
        "namespaces" => json!({"spec": {}, "status": {"phase": "Active"}}),
        "nodes" => json!({"spec": {}}),
        "pods" => json!({"spec": pod(), "status": {"phase": "Pending"}}),
        "services" => json!({
            "spec": {
                "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
                "ports": [{"protocol": "TCP"}],
            },
            "status": {"loadBalancer": {}},
        }),
        "deployments" => json!({"spec": {
            "replicas": 1, "strategy": {"type": "RollingUpdate"}, "template": {"spec": pod()},
        }}),
        "replicasets" | "statefulsets" => {
            json!({"spec": {"replicas": 1, "template": {"spec": pod()}}})
        }
        "secrets" => json!({"type": "Opaque"}),
        _ => Value::Null,
    }
}

/// What admission does not add when the pod is made.
fn pod() -> Value {
    json!({"containers": [{"ports": [{"protocol": "TCP"}]}]})
}

fn fill(value: &mut Value, defaults: &Value) {
    let Value::Object(defaults) = defaults else {
        if value.is_null() {
            *value = defaults.clone();
        }
        return;
    };
    let members = as_map(value);
    for (field, default) in defaults {
        if let Value::Array(each) = default {
            let items = members.get_mut(field).and_then(Value::as_array_mut);
            items.into_iter().flatten().for_each(|item| fill(item, &each[0]));
        } else {
            fill(members.entry(field).or_insert(Value::Null), default);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::store::kinds;

    fn filled(kind: &Kind, mut object: Value) -> Value {
        fill_in(kind, &mut object);
        object
    }

    #[test]
    fn what_is_given_stays() {
        let service = filled(
            &kinds::SERVICES,
            json!({"spec": {"ports": [{"port": 80}, {"port": 53, "protocol": "UDP", "targetPort": 5353}]}}),
        );
        assert_eq!(service["spec"]["type"], "ClusterIP");
        assert_eq!(
            service["spec"]["ports"][0],
            json!({"port": 80, "protocol": "TCP", "targetPort": 80})
        );
        assert_eq!(
            service["spec"]["ports"][1],
            json!({"port": 53, "protocol": "UDP", "targetPort": 5353})
        );
        let pod = json!({"containers": [{"ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]}]});
        let deployment = filled(
            &kinds::DEPLOYMENTS,
            json!({"spec": {"replicas": 0, "template": {"spec": pod}}}),
        );
        let spec = &deployment["spec"];
        assert_eq!(
            (&spec["replicas"], &spec["strategy"]["rollingUpdate"]["maxSurge"]),
            (&0.into(), &"25%".into())
        );
        let ports = &spec["template"]["spec"]["containers"][0]["ports"];
        assert_eq!((&ports[0]["protocol"], &ports[1]["protocol"]), (&"TCP".into(), &"UDP".into()));
    }

    #[test]
    fn nothing_is_filled_in_twice() {
        for kind in kinds::ALL {
            let once = filled(
                kind,
                json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {}}}}),
            );
            assert_eq!(filled(kind, once.clone()), once, "{}", kind.plural);
        }
    }
}
