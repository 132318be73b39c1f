//! Cells that are more than one field.

use serde_json::{Map, Value};

use crate::embedded::store::object;

/// A text, or another one where it is absent or empty.
pub(super) fn text_or<'a>(value: &'a Value, or: &'a str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(or)
}

pub(super) fn count(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len) + value.as_object().map_or(0, Map::len)
}

/// Labels as `a=b,c=d`, by name.
pub(super) fn labels(map: &Value) -> String {
    let pair = |(key, value): (&String, &Value)| format!("{key}={}", text_or(value, ""));
    let mut pairs: Vec<String> = map.as_object().into_iter().flatten().map(pair).collect();
    pairs.sort();
    joined(pairs, "<none>")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn joined(texts: Vec<String>, none: &str) -> String {
    if texts.is_empty() { none.to_owned() } else { texts.join(",") }
}

/// The first three, and how many more there are.
fn first_three(list: &[String], none: &str) -> String {
    match list.len() {
        0 => none.to_owned(),
        1..=3 => list.join(","),
        more => format!("{} + {} more...", list[..3].join(","), more - 3),
    }
}

pub(super) fn node_status(node: &Value) -> String {
    let ready = items(&node["status"]["conditions"]).find(|condition| condition["type"] == "Ready");
    let ready = match ready.map(|condition| condition["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    };
    let cordoned = node["spec"]["unschedulable"] == true;
    format!("{ready}{}", if cordoned { ",SchedulingDisabled" } else { "" })
}

pub(super) fn node_roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    let roles = labels.filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"));
    joined(roles.map(str::to_owned).collect(), "<none>")
}

pub(super) fn node_address(node: &Value) -> String {
    let mut addresses = items(&node["status"]["addresses"]);
    let internal = addresses.find(|address| address["type"] == "InternalIP");
    internal.map_or("<none>", |found| text_or(&found["address"], "<none>")).to_owned()
}

pub(super) fn pod_ready(pod: &Value) -> String {
    let containers = items(&pod["status"]["containerStatuses"]);
    let ready = containers.filter(|container| container["ready"] == true).count();
    format!("{ready}/{}", count(&pod["spec"]["containers"]))
}

/// The containers of this cluster run or do not; the phase says it all.
pub(super) fn pod_status(pod: &Value) -> String {
    let phase = text_or(&pod["status"]["phase"], "");
    if object::is_deleted(pod) { "Terminating" } else { phase }.to_owned()
}

pub(super) fn pod_restarts(pod: &Value) -> String {
    let restarts = |container: &Value| container["restartCount"].as_u64().unwrap_or(0);
    items(&pod["status"]["containerStatuses"]).map(restarts).sum::<u64>().to_string()
}

pub(super) fn external_address(service: &Value) -> String {
    let spec = &service["spec"];
    match spec["type"].as_str() {
        Some("ExternalName") => text_or(&spec["externalName"], "").to_owned(),
        Some("LoadBalancer") => "<pending>".to_owned(),
        _ => "<none>".to_owned(),
    }
}

pub(super) fn service_ports(service: &Value) -> String {
    let port = |port: &Value| {
        let node = port["nodePort"].as_u64().map_or(String::new(), |node| format!(":{node}"));
        format!("{}{node}/{}", port["port"], text_or(&port["protocol"], "TCP"))
    };
    joined(items(&service["spec"]["ports"]).map(port).collect(), "<none>")
}

/// Every ready address with every port.
pub(super) fn endpoints(object: &Value) -> String {
    let of_subset = |subset: &Value| -> Vec<String> {
        let addresses = || items(&subset["addresses"]).map(|address| text_or(&address["ip"], ""));
        items(&subset["ports"])
            .flat_map(|port| addresses().map(move |address| format!("{address}:{}", port["port"])))
            .collect()
    };
    let all: Vec<String> = items(&object["subsets"]).flat_map(of_subset).collect();
    first_three(&all, "<none>")
}

pub(super) fn slice_ports(slice: &Value) -> String {
    let ports: Vec<String> = items(&slice["ports"]).map(|port| port["port"].to_string()).collect();
    first_three(&ports, "<unset>")
}

/// All addresses, ready or not.
pub(super) fn slice_addresses(slice: &Value) -> String {
    let addresses = items(&slice["endpoints"]).flat_map(|endpoint| items(&endpoint["addresses"]));
    let addresses: Vec<String> = addresses.map(|address| text_or(address, "").to_owned()).collect();
    first_three(&addresses, "<unset>")
}

pub(super) fn involved_object(event: &Value) -> String {
    let about = &event["involvedObject"];
    format!("{}/{}", text_or(&about["kind"], "").to_lowercase(), text_or(&about["name"], ""))
}

pub(super) fn event_source(event: &Value) -> String {
    let parts = [&event["source"]["component"], &event["source"]["host"]];
    parts.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

pub(super) fn ready_replicas(deployment: &Value) -> String {
    let ready = deployment["status"]["readyReplicas"].as_u64().unwrap_or(0);
    format!("{ready}/{}", deployment["spec"]["replicas"].as_u64().unwrap_or(1))
}

pub(super) fn container_names(workload: &Value) -> String {
    of_containers(workload, "name")
}

pub(super) fn images(workload: &Value) -> String {
    of_containers(workload, "image")
}

fn of_containers(workload: &Value, field: &str) -> String {
    let containers = items(&workload["spec"]["template"]["spec"]["containers"]);
    joined(
        containers.map(|container| text_or(&container[field], "").to_owned()).collect(),
        "<none>",
    )
}
