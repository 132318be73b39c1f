//! Objects as rows for people: the columns and words of Kubernetes' own printers
//! (pkg/printers/internalversion of 1.34), which the server fills in and kubectl only prints.

mod age;
mod cells;

use serde_json::{Value, json};

use crate::embedded::store::Kind;

/// What each row carries of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "None" => Self::None,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

struct Column {
    heading: &'static str,
    /// Shown with `-o wide` only.
    wide: bool,
    cell: Cell,
}

enum Cell {
    /// The text at a pointer, or another one where it is absent or empty.
    Text(&'static str, &'static str),
    /// The number at a pointer, or another one where it is absent.
    Number(&'static str, u64),
    /// How long ago the time at a pointer was.
    Since(&'static str),
    /// How many members the list or map at a pointer has.
    Count(&'static str),
    /// The labels at a pointer.
    Labels(&'static str),
    /// `<none>`: this cluster never has any.
    Nothing,
    Of(fn(&Value) -> String),
}

impl Cell {
    fn of(&self, object: &Value) -> Value {
        let at = |pointer: &str| object.pointer(pointer).unwrap_or(&Value::Null);
        match *self {
            Self::Text(pointer, or) => cells::text_or(at(pointer), or).into(),
            Self::Number(pointer, or) => at(pointer).as_u64().unwrap_or(or).into(),
            Self::Since(pointer) => age::since(at(pointer)).into(),
            Self::Count(pointer) => cells::count(at(pointer)).into(),
            Self::Labels(pointer) => cells::labels(at(pointer)).into(),
            Self::Nothing => "<none>".into(),
            Self::Of(cell) => cell(object).into(),
        }
    }
}

const fn column(heading: &'static str, cell: Cell) -> Column {
    Column { heading, wide: false, cell }
}

const fn wide(heading: &'static str, cell: Cell) -> Column {
    Column { heading, wide: true, cell }
}

const NAME: Column = column("Name", Cell::Text("/metadata/name", ""));
const AGE: Column = column("Age", Cell::Since("/metadata/creationTimestamp"));
const CONTAINERS: Column = wide("Containers", Cell::Of(cells::container_names));
const IMAGES: Column = wide("Images", Cell::Of(cells::images));
const TEMPLATE_SELECTOR: Column = wide("Selector", Cell::Labels("/spec/selector/matchLabels"));

fn columns(kind: &Kind) -> Vec<Column> {
    use Cell::{Count, Labels, Nothing, Number, Of, Since, Text};
    match kind.plural {
        "nodes" => vec![
            NAME,
            column("Status", Of(cells::node_status)),
            column("Roles", Of(cells::node_roles)),
            AGE,
            column("Version", Text("/status/nodeInfo/kubeletVersion", "")),
            wide("Internal-IP", Of(cells::node_address)),
            wide("External-IP", Nothing),
            wide("OS-Image", Text("/status/nodeInfo/osImage", "<unknown>")),
            wide("Kernel-Version", Text("/status/nodeInfo/kernelVersion", "<unknown>")),
            wide(
                "Container-Runtime",
                Text("/status/nodeInfo/containerRuntimeVersion", "<unknown>"),
            ),
        ],
        "pods" => vec![
            NAME,
            column("Ready", Of(cells::pod_ready)),
            column("Status", Of(cells::pod_status)),
            column("Restarts", Of(cells::pod_restarts)),
            AGE,
            wide("IP", Text("/status/podIP", "<none>")),
            wide("Node", Text("/spec/nodeName", "<none>")),
            wide("Nominated Node", Nothing),
            wide("Readiness Gates", Nothing),
        ],
        "services" => vec![
            NAME,
            column("Type", Text("/spec/type", "ClusterIP")),
            column("Cluster-IP", Text("/spec/clusterIP", "<none>")),
            column("External-IP", Of(cells::external_address)),
            column("Port(s)", Of(cells::service_ports)),
            AGE,
            wide("Selector", Labels("/spec/selector")),
        ],
        "endpoints" => vec![NAME, column("Endpoints", Of(cells::endpoints)), AGE],
        "endpointslices" => vec![
            NAME,
            column("AddressType", Text("/addressType", "")),
            column("Ports", Of(cells::slice_ports)),
            column("Endpoints", Of(cells::slice_addresses)),
            AGE,
        ],
        "events" => vec![
            column("Last Seen", Since("/lastTimestamp")),
            column("Type", Text("/type", "")),
            column("Reason", Text("/reason", "")),
            column("Object", Of(cells::involved_object)),
            wide("Source", Of(cells::event_source)),
            column("Message", Text("/message", "")),
            wide("First Seen", Since("/firstTimestamp")),
            wide("Count", Number("/count", 1)),
            wide("Name", Text("/metadata/name", "")),
        ],
        "deployments" => vec![
            NAME,
            column("Ready", Of(cells::ready_replicas)),
            column("Up-to-date", Number("/status/updatedReplicas", 0)),
            column("Available", Number("/status/availableReplicas", 0)),
            AGE,
            CONTAINERS,
            IMAGES,
            TEMPLATE_SELECTOR,
        ],
        "statefulsets" => {
            vec![NAME, column("Ready", Of(cells::ready_replicas)), AGE, CONTAINERS, IMAGES]
        }
        "replicasets" => vec![
            NAME,
            column("Desired", Number("/spec/replicas", 1)),
            column("Current", Number("/status/replicas", 0)),
            column("Ready", Number("/status/readyReplicas", 0)),
            AGE,
            CONTAINERS,
            IMAGES,
            TEMPLATE_SELECTOR,
        ],
        "namespaces" => vec![NAME, column("Status", Text("/status/phase", "")), AGE],
        "leases" => vec![NAME, column("Holder", Text("/spec/holderIdentity", "")), AGE],
        "configmaps" => vec![NAME, column("Data", Count("/data")), AGE],
        "secrets" => {
            vec![NAME, column("Type", Text("/type", "")), column("Data", Count("/data")), AGE]
        }
        "serviceaccounts" => vec![NAME, column("Secrets", Count("/secrets")), AGE],
        _ => vec![NAME, AGE],
    }
}

pub(super) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// A table of objects, with the metadata of their list.
pub(super) fn table(
    kind: &'static Kind,
    objects: &[&Value],
    meta: Value,
    include: Include,
) -> Value {
    let columns = columns(kind);
    let definition = |column: &Column| {
        let format = if column.heading == "Name" { "name" } else { "" };
        json!({"name": column.heading, "type": "string", "format": format, "description": "", "priority": i32::from(column.wide)})
    };
    let row = |object: &&Value| {
        let cells: Vec<Value> = columns.iter().map(|column| column.cell.of(object)).collect();
        let mut row = json!({"cells": cells});
        match include {
            Include::None => {}
            Include::Metadata => row["object"] = metadata(object),
            Include::Object => row["object"] = Value::clone(object),
        }
        row
    };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
        "columnDefinitions": columns.iter().map(definition).collect::<Vec<_>>(),
        "rows": objects.iter().map(row).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::store::kinds;

    fn cells(kind: &'static Kind, object: Value) -> Vec<String> {
        let table = table(kind, &[&object], json!({}), Include::None);
        let cells = table["rows"][0]["cells"].as_array().unwrap();
        cells.iter().map(|cell| cell.as_str().map_or(cell.to_string(), str::to_owned)).collect()
    }

    #[test]
    fn a_node_that_is_not_heard_of_is_not_ready() {
        let node = json!({"metadata": {"name": "w", "labels": {"node-role.kubernetes.io/control-plane": ""}},
            "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}], "nodeInfo": {"kubeletVersion": "v1.34.0"},
                "addresses": [{"type": "InternalIP", "address": "127.0.0.2"}]}});
        let row = cells(&kinds::NODES, node);
        assert_eq!(row[1..3], ["NotReady,SchedulingDisabled", "control-plane"]);
        assert_eq!(row[4..8], ["v1.34.0", "127.0.0.2", "<none>", "<unknown>"]);
        assert_eq!(cells(&kinds::NODES, json!({}))[1..3], ["Unknown", "<none>"]);
    }

    #[test]
    fn a_pod_is_shown_as_kubectl_knows_it() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{}, {}], "nodeName": "w"}, "status": {"phase": "Running",
            "podIP": "127.0.0.9", "containerStatuses": [{"ready": true, "restartCount": 2}, {}]}});
        let row = cells(&kinds::PODS, pod.clone());
        assert_eq!(row[..4], ["a", "1/2", "Running", "2"]);
        assert_eq!(row[5..7], ["127.0.0.9", "w"]);
        let mut ending = pod;
        ending["metadata"]["deletionTimestamp"] = "2026-11-22T06:23:41Z".into();
        assert_eq!(cells(&kinds::PODS, ending)[2], "Terminating");
        assert_eq!(
            cells(&kinds::PODS, json!({"status": {"phase": "Pending"}}))[1..3],
            ["0/0", "Pending"]
        );
    }

    #[test]
    fn a_service_is_shown_with_its_ports() {
        let service = json!({"metadata": {"name": "web"}, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9",
            "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}], "selector": {"app": "web"}}});
        let row = cells(&kinds::SERVICES, service);
        assert_eq!(row[..5], ["web", "ClusterIP", "10.96.0.9", "<none>", "80/TCP,53:30053/UDP"]);
        assert_eq!(row[6], "app=web");
    }

    #[test]
    fn at_most_three_endpoints_are_shown() {
        let addresses: Vec<Value> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
        let object = json!({"subsets": [{"addresses": addresses, "ports": [{"port": 80}]}]});
        assert_eq!(
            cells(&kinds::ENDPOINTS, object)[1],
            "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."
        );
        assert_eq!(cells(&kinds::ENDPOINTS, json!({}))[1], "<none>");
        let slice = json!({"addressType": "IPv4", "ports": [{"port": 80}], "endpoints": [{"addresses": ["10.0.0.1"]}]});
        assert_eq!(cells(&kinds::ENDPOINT_SLICES, slice)[1..4], ["IPv4", "80", "10.0.0.1"]);
        assert_eq!(cells(&kinds::ENDPOINT_SLICES, json!({}))[2..4], ["<unset>", "<unset>"]);
    }

    #[test]
    fn an_event_is_shown_with_what_it_is_about() {
        let now = crate::embedded::store::object::timestamp(jiff::Timestamp::now());
        let event = json!({"metadata": {"name": "w.1"}, "type": "Normal", "reason": "NodeNotReady", "message": "Node w is not ready",
            "involvedObject": {"kind": "Node", "name": "w"}, "source": {"component": "kubelet", "host": "w"}, "lastTimestamp": now});
        let row = cells(&kinds::EVENTS, event);
        assert_eq!(
            row[1..6],
            ["Normal", "NodeNotReady", "node/w", "kubelet, w", "Node w is not ready"]
        );
        assert!(["0s", "1s"].contains(&row[0].as_str()), "{}", row[0]);
        assert_eq!(row[7], "1");
    }

    #[test]
    fn replicas_are_counted() {
        let object = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "nginx", "image": "nginx:1.22"}]}}},
            "status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}});
        let row = cells(&kinds::DEPLOYMENTS, object.clone());
        assert_eq!(row[1..4], ["1/2", "2", "1"]);
        assert_eq!(row[5..], ["nginx", "nginx:1.22", "app=web"]);
        assert_eq!(cells(&kinds::REPLICA_SETS, object)[1..4], ["2", "2", "1"]);
    }
}
