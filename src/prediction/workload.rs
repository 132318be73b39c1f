//! A workload's files, as far as a prediction needs them: how many pods are behind each Service, and where they may run.

use std::collections::BTreeMap;

use serde_json::Value;

/// The pods behind a Service, before they have a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// How many.
    pub replicas: usize,
    /// What they are: a pod, or a template of pods.
    pub template: Value,
    /// Whether they are made anew elsewhere when they are lost.
    pub owned: bool,
}

/// What is behind each Service of the files. A Service whose pods are not in the files is left out, as is a file that is no YAML: the
/// API server says more of it than we could.
pub fn behind_services<'a>(files: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, Deployed> {
    let documents = files
        .into_iter()
        .filter_map(|text| serde_saphyr::from_multiple::<Value>(text).ok())
        .flatten();
    let objects: Vec<Value> = documents.flat_map(unfold).collect();
    let services = objects.iter().filter(|object| object["kind"] == "Service");
    services
        .filter_map(|service| {
            let behind =
                objects.iter().find_map(|object| deployed(object, &service["spec"]["selector"]))?;
            Some((service["metadata"]["name"].as_str()?.to_owned(), behind))
        })
        .collect()
}

fn unfold(value: Value) -> Vec<Value> {
    match value["items"].as_array() {
        Some(items) if value["kind"] == "List" => items.clone(),
        _ => vec![value],
    }
}

/// The pods that an object makes, if a selector selects them.
fn deployed(object: &Value, selector: &Value) -> Option<Deployed> {
    let owned =
        matches!(object["kind"].as_str(), Some("Deployment" | "ReplicaSet" | "StatefulSet"));
    let template = match object["kind"].as_str() {
        Some("Pod") => object,
        _ if owned => &object["spec"]["template"],
        _ => return None,
    };
    let wanted = selector.as_object().filter(|wanted| !wanted.is_empty())?;
    if !wanted.iter().all(|(key, value)| &template["metadata"]["labels"][key] == value) {
        return None;
    }
    let replicas = if owned { object["spec"]["replicas"].as_u64().unwrap_or(1) } else { 1 };
    Some(Deployed { replicas: replicas as usize, template: template.clone(), owned })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_two_pods() {
        let found = behind_services([include_str!("../../experiments/workloads/web.yaml")]);
        assert_eq!((found["web"].replicas, found["web"].owned), (2, true));
        assert!(found["web"].template["spec"]["affinity"].is_object());
    }

    #[test]
    fn bare_pods_are_understood_and_what_is_not_there_is_left_out() {
        let text = "kind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}}\n---\nkind: Pod\nmetadata: {labels: {a: b, c: d}}\nspec: {nodeName: w}\n";
        let found = behind_services([text]);
        assert_eq!((found["s"].replicas, found["s"].owned), (1, false));
        assert_eq!(found["s"].template["spec"]["nodeName"], "w");
        assert!(
            behind_services([
                "kind: Service\nmetadata: {name: s}\nspec: {selector: {a: x}}",
                "not: [yaml"
            ])
            .is_empty()
        );
    }
}
