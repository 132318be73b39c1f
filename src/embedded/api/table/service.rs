//! Services as rows.

use serde_json::Value;

use super::{AGE, Layout, NAME, age, labels, name, text, text_or, wide};

pub(super) const LAYOUT: Layout = Layout {
    columns: &[
        NAME,
        text("Type"),
        text("Cluster-IP"),
        text("External-IP"),
        text("Port(s)"),
        AGE,
        wide("Selector"),
    ],
    cells,
};

fn cells(service: &Value) -> Vec<Value> {
    let spec = &service["spec"];
    vec![
        name(service),
        text_or(&spec["type"], "ClusterIP"),
        text_or(&spec["clusterIPs"][0], "<none>"),
        external(spec),
        ports(spec),
        age(service),
        labels(&spec["selector"]).into(),
    ]
}

fn external(spec: &Value) -> Value {
    match spec["type"].as_str() {
        Some("ExternalName") => spec["externalName"].clone(),
        Some("LoadBalancer") => "<pending>".into(),
        _ => {
            let addresses =
                spec["externalIPs"].as_array().into_iter().flatten().filter_map(Value::as_str);
            text_or(&addresses.collect::<Vec<_>>().join(",").into(), "<none>")
        }
    }
}

fn ports(spec: &Value) -> Value {
    let port = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_u64() {
            Some(node) if node > 0 => format!("{}:{node}/{protocol}", port["port"]),
            _ => format!("{}/{protocol}", port["port"]),
        }
    };
    let ports: Vec<String> = spec["ports"].as_array().into_iter().flatten().map(port).collect();
    text_or(&ports.join(",").into(), "<none>")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_shown_with_its_ports() {
        let service = json!({"metadata": {"name": "web"}, "spec": {"type": "ClusterIP", "clusterIPs": ["10.96.0.9"],
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}], "selector": {"app": "web"}}});
        let cells = cells(&service);
        let cells: Vec<&str> = cells.iter().map(|cell| cell.as_str().unwrap()).collect();
        assert_eq!(cells[..5], ["web", "ClusterIP", "10.96.0.9", "<none>", "80/TCP,53:30053/UDP"]);
        assert_eq!(cells[6], "app=web");
    }
}
