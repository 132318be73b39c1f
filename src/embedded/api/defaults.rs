//! What Kubernetes fills in where a client says nothing, as far as anybody here looks at it.

use serde_json::{Map, Value, json};

use crate::embedded::store::Kind;
use crate::embedded::store::object::{as_map, map_mut};

/// Fills in what is absent.
pub(super) fn fill_in(kind: &Kind, object: &mut Value) {
    match kind.plural {
        "namespaces" => {
            let name = object["metadata"]["name"].clone();
            let labels = as_map(map_mut(object, "metadata").entry("labels").or_insert(Value::Null));
            labels.insert("kubernetes.io/metadata.name".to_owned(), name);
            set(map_mut(object, "spec"), "finalizers", json!(["kubernetes"]));
            set(map_mut(object, "status"), "phase", "Active".into());
        }
        "nodes" => drop(map_mut(object, "spec")),
        "pods" => {
            pod_spec(object.get_mut("spec"));
            set(map_mut(object, "status"), "phase", "Pending".into());
        }
        "services" => service(object),
        "deployments" => deployment(object),
        "replicasets" => replicas(object),
        "secrets" => set(as_map(object), "type", "Opaque".into()),
        _ => {}
    }
}

fn set(members: &mut Map<String, Value>, field: &str, value: Value) {
    if members.get(field).is_none_or(Value::is_null) {
        members.insert(field.to_owned(), value);
    }
}

fn set_all(members: &mut Map<String, Value>, defaults: Value) {
    if let Value::Object(defaults) = defaults {
        defaults.into_iter().for_each(|(field, value)| set(members, &field, value));
    }
}

fn items<'a>(
    object: &'a mut Map<String, Value>,
    field: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    object
        .get_mut(field)
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// A spec that is absent stays so: it is refused afterwards.
fn pod_spec(spec: Option<&mut Value>) {
    let Some(spec) = spec.and_then(Value::as_object_mut) else { return };
    set_all(
        spec,
        json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler", "securityContext": {}, "enableServiceLinks": true}),
    );
    for container in items(spec, "containers") {
        let latest = container.get("image").and_then(Value::as_str).is_none_or(|image| {
            let name = image.rsplit('/').next().unwrap_or_default();
            name.ends_with(":latest") || !name.contains([':', '@'])
        });
        let pull = if latest { "Always" } else { "IfNotPresent" };
        set_all(
            container,
            json!({"imagePullPolicy": pull, "resources": {}, "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File"}),
        );
        items(container, "ports").for_each(|port| set(port, "protocol", "TCP".into()));
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
                set_all(
                    probe,
                    json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}),
                );
            }
        }
    }
}

fn service(object: &mut Value) {
    let spec = map_mut(object, "spec");
    let defaults = json!({"type": "ClusterIP", "sessionAffinity": "None", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster"});
    set_all(spec, defaults);
    for port in items(spec, "ports") {
        set(port, "protocol", "TCP".into());
        let number = port.get("port").cloned().unwrap_or_default();
        set(port, "targetPort", number);
    }
    set(map_mut(object, "status"), "loadBalancer", json!({}));
}

fn replicas(object: &mut Value) {
    let spec = map_mut(object, "spec");
    set(spec, "replicas", 1.into());
    pod_spec(spec.get_mut("template").and_then(|template| template.get_mut("spec")));
}

fn deployment(object: &mut Value) {
    replicas(object);
    let spec = map_mut(object, "spec");
    set_all(
        spec,
        json!({"strategy": {"type": "RollingUpdate"}, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}),
    );
    let strategy = as_map(&mut spec["strategy"]);
    set(strategy, "type", "RollingUpdate".into());
    if strategy["type"] == "RollingUpdate" {
        let rolling = as_map(strategy.entry("rollingUpdate").or_insert(Value::Null));
        set_all(rolling, json!({"maxUnavailable": "25%", "maxSurge": "25%"}));
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
        let pod = json!({"containers": [{"name": "a", "image": "r:5000/nginx"}, {"name": "b", "image": "nginx:1.22"}], "restartPolicy": "Never"});
        let deployment = filled(
            &kinds::DEPLOYMENTS,
            json!({"spec": {"replicas": 0, "template": {"spec": pod}}}),
        );
        let spec = &deployment["spec"];
        assert_eq!(
            (&spec["replicas"], &spec["strategy"]["rollingUpdate"]["maxSurge"]),
            (&0.into(), &"25%".into())
        );
        let pod = &spec["template"]["spec"];
        assert_eq!(
            (&pod["restartPolicy"], &pod["terminationGracePeriodSeconds"]),
            (&"Never".into(), &30.into())
        );
        assert_eq!(
            (&pod["containers"][0]["imagePullPolicy"], &pod["containers"][1]["imagePullPolicy"]),
            (&"Always".into(), &"IfNotPresent".into())
        );
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
