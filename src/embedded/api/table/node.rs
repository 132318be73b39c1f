//! Nodes as rows.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{AGE, Layout, NAME, age, name, text, text_or, wide};

pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        NAME,
        text("Status"),
        text("Roles"),
        AGE,
        text("Version"),
        wide("Internal-IP"),
        wide("External-IP"),
        wide("OS-Image"),
        wide("Kernel-Version"),
        wide("Container-Runtime"),
    ],
    cells,
};

fn cells(node: &Value) -> Vec<Value> {
    let info = &node["status"]["nodeInfo"];
    vec![
        name(node),
        status(node).into(),
        roles(node).into(),
        age(node),
        text_or(&info["kubeletVersion"], ""),
        address(node, "InternalIP"),
        address(node, "ExternalIP"),
        text_or(&info["osImage"], "<unknown>"),
        text_or(&info["kernelVersion"], "<unknown>"),
        text_or(&info["containerRuntimeVersion"], "<unknown>"),
    ]
}

fn status(node: &Value) -> String {
    let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions
        .find(|condition| condition["type"] == "Ready")
        .map(|condition| condition["status"] == "True");
    let mut status = match ready {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if node["spec"]["unschedulable"] == true {
        status += ",SchedulingDisabled";
    }
    status
}

fn roles(node: &Value) -> String {
    let labels = node["metadata"]["labels"].as_object();
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/")
    {
        Some(role) => Some(role.to_owned()),
        None => value.as_str().filter(|_| key == "kubernetes.io/role").map(str::to_owned),
    };
    let roles: BTreeSet<String> =
        labels.into_iter().flatten().filter_map(role).filter(|role| !role.is_empty()).collect();
    if roles.is_empty() {
        "<none>".to_owned()
    } else {
        roles.into_iter().collect::<Vec<_>>().join(",")
    }
}

fn address(node: &Value, what: &str) -> Value {
    let mut addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let found =
        addresses.find(|address| address["type"] == what).map(|address| &address["address"]);
    text_or(found.unwrap_or(&Value::Null), "<none>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_is_not_heard_of_is_not_ready() {
        let node = json!({"metadata": {"name": "w", "labels": {"node-role.kubernetes.io/control-plane": ""}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "nodeInfo": {"kubeletVersion": "v1.34.0"},
                "addresses": [{"type": "InternalIP", "address": "127.0.0.2"}]}});
        let cells = cells(&node);
        let cells: Vec<&str> = cells.iter().map(|cell| cell.as_str().unwrap()).collect();
        assert_eq!(cells[1..3], ["NotReady,SchedulingDisabled", "control-plane"]);
        assert_eq!(cells[4..8], ["v1.34.0", "127.0.0.2", "<none>", "<unknown>"]);
        assert_eq!((status(&json!({})), roles(&json!({}))), ("Unknown".into(), "<none>".into()));
    }
}
