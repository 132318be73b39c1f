//! A workload's files, as far as a prediction needs them: how many pods are behind each Service, and where they may run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::model::{PodSpec, Spread, Tolerates};

/// The pods behind a Service, before they have a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    /// How many.
    pub replicas: usize,
    /// What they are.
    pub pod: PodSpec,
    /// Whether they are made anew elsewhere when they are lost.
    pub owned: bool,
}

/// What is behind each Service of the files. A Service whose pods are not in the files is left out, as is a file that is no YAML: the
/// API server says more of it than we could.
pub fn behind_services<'a>(files: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, Deployed> {
    let documents = files.into_iter().filter_map(|text| serde_saphyr::from_multiple::<Value>(text).ok()).flatten();
    let objects: Vec<Value> = documents.flat_map(unfold).collect();
    let services = objects.iter().filter(|object| object["kind"] == "Service");
    services
        .filter_map(|service| {
            let behind = objects.iter().find_map(|object| deployed(object, &service["spec"]["selector"]))?;
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
    let owned = matches!(object["kind"].as_str(), Some("Deployment" | "ReplicaSet" | "StatefulSet"));
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
    Some(Deployed { replicas: replicas as usize, pod: pod(&template["spec"]), owned })
}

fn pod(spec: &Value) -> PodSpec {
    let none = Vec::new();
    let tolerations = spec["tolerations"].as_array().unwrap_or(&none);
    let apart = &spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let default = PodSpec::default();
    PodSpec {
        tolerates_not_ready: tolerated(tolerations, "node.kubernetes.io/not-ready").unwrap_or(default.tolerates_not_ready),
        tolerates_unreachable: tolerated(tolerations, "node.kubernetes.io/unreachable").unwrap_or(default.tolerates_unreachable),
        tolerates_control_plane: tolerations.iter().any(|t| matches(t, "node-role.kubernetes.io/control-plane")),
        spread: if apart.as_array().is_some_and(|terms| !terms.is_empty()) { Spread::Require } else { Spread::Prefer },
        ..default
    }
}

/// A toleration without a key is one of everything.
fn matches(toleration: &Value, taint: &str) -> bool {
    toleration["key"].as_str().is_none_or(|key| key.is_empty() || key == taint)
}

fn tolerated(tolerations: &[Value], taint: &str) -> Option<Tolerates> {
    let executes = |t: &&Value| t["effect"].as_str().is_none_or(|effect| effect.is_empty() || effect == "NoExecute");
    let found = tolerations.iter().filter(executes).find(|t| matches(t, taint))?;
    Some(match found["tolerationSeconds"].as_i64() {
        Some(seconds) => Tolerates::For(Duration::from_secs(seconds.max(0) as u64)),
        None => Tolerates::Forever,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_has_two_pods_that_stay_apart() {
        let found = behind_services([include_str!("../../experiments/workloads/web.yaml")]);
        let web = &found["web"];
        assert_eq!((web.replicas, web.owned, web.pod.spread), (2, true, Spread::Require));
        assert_eq!(web.pod.tolerates_unreachable, Tolerates::For(Duration::from_secs(300)));
        assert!(!web.pod.tolerates_control_plane);
    }

    #[test]
    fn tolerations_and_bare_pods_are_understood() {
        let text = "kind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}}\n---\nkind: Pod\nmetadata: {labels: {a: b, c: d}}\nspec:\n  tolerations:\n  - {key: node.kubernetes.io/unreachable, effect: NoExecute, tolerationSeconds: 5}\n  - {key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}\n";
        let found = behind_services([text]);
        let pod = &found["s"].pod;
        assert_eq!((found["s"].replicas, found["s"].owned), (1, false));
        assert_eq!(pod.tolerates_unreachable, Tolerates::For(Duration::from_secs(5)));
        assert_eq!(pod.tolerates_not_ready, Tolerates::For(Duration::from_secs(300)));
        assert!(pod.tolerates_control_plane);
        assert!(behind_services(["kind: Service\nmetadata: {name: s}\nspec: {selector: {a: x}}", "not: [yaml"]).is_empty());
    }
}
