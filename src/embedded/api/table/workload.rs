//! Deployments and ReplicaSets as rows.

use serde_json::Value;

use super::{AGE, Layout, NAME, age, joined, labels, name, number, text, texts, wide};

pub(super) const DEPLOYMENTS: Layout = Layout {
    columns: &[
        NAME,
        text("Ready"),
        text("Up-to-date"),
        text("Available"),
        AGE,
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |object| {
        let ready = format!("{}/{}", of(&object["status"]["readyReplicas"]), wanted(object));
        let status = |field: &str| of(&object["status"][field]).into();
        let mut cells = vec![
            name(object),
            ready.into(),
            status("updatedReplicas"),
            status("availableReplicas"),
            age(object),
        ];
        cells.extend(template(object));
        cells
    },
};

pub(super) const REPLICA_SETS: Layout = Layout {
    columns: &[
        NAME,
        number("Desired"),
        number("Current"),
        number("Ready"),
        AGE,
        wide("Containers"),
        wide("Images"),
        wide("Selector"),
    ],
    cells: |object| {
        let status = |field: &str| of(&object["status"][field]).into();
        let mut cells = vec![
            name(object),
            wanted(object).into(),
            status("replicas"),
            status("readyReplicas"),
            age(object),
        ];
        cells.extend(template(object));
        cells
    },
};

fn of(count: &Value) -> u64 {
    count.as_u64().unwrap_or(0)
}

fn wanted(object: &Value) -> u64 {
    object["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// What the pods are made of, and by which labels they are found.
fn template(object: &Value) -> [Value; 3] {
    let containers = &object["spec"]["template"]["spec"]["containers"];
    let selector = labels(&object["spec"]["selector"]["matchLabels"]);
    [
        joined(texts(containers, "name")).into(),
        joined(texts(containers, "image")).into(),
        selector.into(),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replicas_are_counted() {
        let object = json!({"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"name": "nginx", "image": "nginx:1.22"}]}}},
            "status": {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}});
        let cells = (DEPLOYMENTS.cells)(&object);
        assert_eq!((&cells[1], &cells[2], &cells[3]), (&"1/2".into(), &2.into(), &1.into()));
        assert_eq!(cells[5..], ["nginx", "nginx:1.22", "app=web"].map(Value::from));
        assert_eq!((REPLICA_SETS.cells)(&object)[1..4], [2, 2, 1].map(Value::from));
    }
}
