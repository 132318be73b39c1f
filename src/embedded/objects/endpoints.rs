//! A Service's endpoints: its EndpointSlice, and the Endpoints that mirror it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::embedded::store::{Object, object};
use crate::workload::target_port;

/// A pod of a Service, as the endpoints controller sees it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub pod: Object,
    pub ready: bool,
}

/// The slice of a Service. `reachable` gives the port at which a pod really listens (see
/// [`crate::embedded::network::Ports`]).
pub(crate) fn slice(
    service: &Value,
    members: &[Member],
    reachable: impl Fn(&Value, u16) -> u16,
) -> Value {
    let name = object::name(service);
    let ports =
        members.first().map_or_else(Vec::new, |member| ports(service, &member.pod, &reachable));
    let endpoints: Vec<Value> = members.iter().map(endpoint).collect();
    json!({
        "metadata": {
            "name": format!("{name}-{}", slice_suffix(object::uid(service))), "generateName": format!("{name}-"),
            "namespace": object::namespace(service),
            "labels": labels(service), "ownerReferences": super::owned_by(service),
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    })
}

/// Five letters that differ from Service to Service, as `generateName` would give.
fn slice_suffix(uid: &str) -> String {
    uid.chars().filter(char::is_ascii_alphanumeric).take(5).collect()
}

fn labels(service: &Value) -> Value {
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert(
        "endpointslice.kubernetes.io/managed-by".into(),
        "endpointslice-controller.k8s.io".into(),
    );
    labels.insert("kubernetes.io/service-name".into(), object::name(service).into());
    labels.into()
}

fn ports(service: &Value, pod: &Value, reachable: impl Fn(&Value, u16) -> u16) -> Vec<Value> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let port = |port: &Value| {
        let target = target_port(
            pod,
            if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] },
        )?;
        let name = port["name"].as_str().unwrap_or_default();
        Some(
            json!({"name": name, "port": reachable(pod, target), "protocol": port["protocol"].as_str().unwrap_or("TCP")}),
        )
    };
    ports.filter_map(port).collect()
}

fn reference(pod: &Value) -> Value {
    json!({"kind": "Pod", "name": object::name(pod), "namespace": object::namespace(pod), "uid": object::uid(pod)})
}

fn endpoint(member: &Member) -> Value {
    let pod = &member.pod;
    let terminating = object::is_deleted(pod);
    json!({
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": member.ready, "serving": member.ready, "terminating": terminating},
        "nodeName": pod["spec"]["nodeName"], "targetRef": reference(pod),
    })
}

/// The same in the old form.
pub(crate) fn endpoints(
    service: &Value,
    members: &[Member],
    reachable: impl Fn(&Value, u16) -> u16,
) -> Value {
    let mut subset = BTreeMap::new();
    for (field, ready) in [("addresses", true), ("notReadyAddresses", false)] {
        let of_kind = members.iter().filter(|member| member.ready == ready);
        let addresses: Vec<Value> = of_kind.map(|member| address(&member.pod)).collect();
        if !addresses.is_empty() {
            subset.insert(field, Value::from(addresses));
        }
    }
    if let Some(member) = members.first() {
        subset.insert("ports", ports(service, &member.pod, reachable).into());
    }
    let mut endpoints = json!({"metadata": {"name": object::name(service), "namespace": object::namespace(service)}});
    if let Some(labels) = service["metadata"].get("labels") {
        endpoints["metadata"]["labels"] = labels.clone();
    }
    if !subset.is_empty() {
        endpoints["subsets"] = json!([subset]);
    }
    endpoints
}

fn address(pod: &Value) -> Value {
    json!({"ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": reference(pod)})
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn member(name: &str, ready: bool) -> Member {
        let pod = json!({
            "metadata": {"name": name, "namespace": "n", "uid": name},
            "spec": {"nodeName": "w", "containers": [{"ports": [{"name": "http", "containerPort": 80}]}]},
            "status": {"podIP": "127.64.1.2"},
        });
        Member { pod: Arc::new(pod), ready }
    }

    #[test]
    fn an_endpoint_that_is_not_ready_stays_in_the_slice_and_moves_in_the_endpoints() {
        let service = json!({
            "metadata": {"name": "web", "namespace": "n", "uid": "ab-cdefgh"},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        });
        let members = [member("a", true), member("b", false)];
        let slice = slice(&service, &members, |_, port| port + 8000);
        assert_eq!(slice["endpoints"].as_array().unwrap().len(), 2);
        assert_eq!(slice["endpoints"][1]["conditions"]["ready"], false);
        assert_eq!(
            (&slice["ports"][0]["port"], &slice["metadata"]["name"]),
            (&8080.into(), &"web-abcde".into())
        );
        let old = endpoints(&service, &members, |_, port| port + 8000);
        assert_eq!(old["subsets"][0]["addresses"][0]["targetRef"]["name"], "a");
        assert_eq!(old["subsets"][0]["notReadyAddresses"][0]["targetRef"]["name"], "b");
        assert!(endpoints(&service, &[], |_, port| port).get("subsets").is_none());
    }
}
