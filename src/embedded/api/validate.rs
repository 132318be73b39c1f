//! Which objects can't be: the mistakes that people make, in Kubernetes' words.

use serde_json::Value;

use super::ApiError;
use crate::embedded::store::{Kind, LabelSelector, object};

/// A field and what is wrong with it.
type Cause = (String, String);

const MAPS: [&str; 11] = [
    "metadata",
    "metadata/labels",
    "metadata/annotations",
    "spec",
    "spec/selector/matchLabels",
    "spec/template",
    "spec/template/metadata",
    "spec/template/metadata/labels",
    "spec/template/metadata/annotations",
    "spec/template/spec",
    "status",
];
/// A fleet for all of 100 nodes, which is as many as there can be.
const MOST_REPLICAS: i64 = 1_000;

/// Errors with what is not a map and must be one. Kubernetes can't even read such an object.
pub(super) fn check_shape(kind: &Kind, object: &Value) -> Result<(), ApiError> {
    let odd = |path: &&str| {
        object.pointer(&format!("/{path}")).is_some_and(|part| !part.is_object() && !part.is_null())
    };
    let cause = |path: &str| (path.replace('/', "."), "Invalid value: must be a map".to_owned());
    let causes: Vec<Cause> = MAPS.iter().filter(|path| odd(path)).map(|path| cause(path)).collect();
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(kind, object::name(object), &causes))
    }
}

/// Errors with all that is wrong. `before` is the object that it takes the place of.
pub(super) fn check(kind: &Kind, object: &Value, before: Option<&Value>) -> Result<(), ApiError> {
    let mut causes = Vec::new();
    name(kind, object, &mut causes);
    labels(object, &mut causes);
    if !object["metadata"]["finalizers"].is_null() {
        let why = "Forbidden: the embedded cluster has none".to_owned();
        causes.push(("metadata.finalizers".to_owned(), why));
    }
    match kind.plural {
        "pods" => pod_spec(&object["spec"], "spec", &mut causes),
        "services" => service(&object["spec"], &mut causes),
        "deployments" | "replicasets" => workload(object, &mut causes),
        _ => {}
    }
    for (pointer, path) in before.map_or(&[][..], |_| immutable(kind)) {
        if before.is_some_and(|before| {
            before.pointer(pointer).is_some_and(|was| object.pointer(pointer) != Some(was))
        }) {
            causes.push(((*path).to_owned(), "Invalid value: field is immutable".to_owned()));
        }
    }
    if causes.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(kind, object::name(object), &causes))
    }
}

/// What never changes, as a pointer and as a path for people.
fn immutable(kind: &Kind) -> &'static [(&'static str, &'static str)] {
    match kind.plural {
        "pods" => {
            &[("/spec/nodeName", "spec.nodeName"), ("/spec/restartPolicy", "spec.restartPolicy")]
        }
        "services" => &[("/spec/clusterIP", "spec.clusterIPs[0]")],
        "deployments" | "replicasets" => &[("/spec/selector", "spec.selector")],
        _ => &[],
    }
}

fn required(field: &str, causes: &mut Vec<Cause>) {
    causes.push((field.to_owned(), "Required value".to_owned()));
}

fn name(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    let name = object::name(object);
    // Namespaces and Services are single labels of DNS names, the rest may have dots.
    let label = ["namespaces", "services"].contains(&kind.plural);
    let longest = if label { 63 } else { 253 };
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(letter)
            && part.ends_with(letter)
            && part.chars().all(|c| letter(c) || c == '-')
    };
    let fits = if label { part(name) } else { name.split('.').all(part) };
    if name.is_empty() {
        causes.push((
            "metadata.name".to_owned(),
            "Required value: name or generateName is required".to_owned(),
        ));
    } else if !fits || name.len() > longest {
        let why = format!(
            "Invalid value: \"{name}\": must be at most {longest} characters: lower case letters, digits and '-'{}, beginning and ending with \
             a letter or digit",
            if label { "" } else { " (in parts between '.')" }
        );
        causes.push(("metadata.name".to_owned(), why));
    }
}

fn labels(object: &Value, causes: &mut Vec<Cause>) {
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        let plain = |c: char| c.is_ascii_alphanumeric();
        let fits = |text: &str| {
            text.len() <= 63
                && text.chars().all(|c| plain(c) || "-_.".contains(c))
                && (text.is_empty() || text.starts_with(plain) && text.ends_with(plain))
        };
        let bare = key.rsplit('/').next().unwrap_or_default();
        if bare.is_empty() || !fits(bare) || !value.as_str().is_some_and(fits) {
            let why = format!(
                "Invalid value: {value}: label \"{key}\" must be at most 63 letters, digits, '-', '_' and '.'"
            );
            causes.push(("metadata.labels".to_owned(), why));
        }
    }
}

fn pod_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        required(&format!("{path}.containers"), causes);
    }
    for (index, container) in containers.iter().enumerate() {
        let given = |field: &str| container[field].as_str().is_some_and(|text| !text.is_empty());
        for field in ["name", "image"].into_iter().filter(|field| !given(field)) {
            required(&format!("{path}.containers[{index}].{field}"), causes);
        }
        if containers[..index]
            .iter()
            .any(|other| given("name") && other["name"] == container["name"])
        {
            let why = format!("Duplicate value: {}", container["name"]);
            causes.push((format!("{path}.containers[{index}].name"), why));
        }
    }
}

fn service(spec: &Value, causes: &mut Vec<Cause>) {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && spec["clusterIP"] != "None" && spec["type"] != "ExternalName" {
        required("spec.ports", causes);
    }
    for (index, port) in ports.iter().enumerate() {
        if !port["port"].as_u64().is_some_and(|port| (1..=65_535).contains(&port)) {
            let why =
                format!("Invalid value: {}: must be between 1 and 65535, inclusive", port["port"]);
            causes.push((format!("spec.ports[{index}].port"), why));
        }
        if ports.len() > 1 && port["name"].as_str().unwrap_or_default().is_empty() {
            required(&format!("spec.ports[{index}].name"), causes);
        }
    }
}

fn workload(object: &Value, causes: &mut Vec<Cause>) {
    let spec = &object["spec"];
    let selector = LabelSelector::of_object(&spec["selector"]);
    let labels = &spec["template"]["metadata"]["labels"];
    if selector.is_empty() {
        required("spec.selector", causes);
    } else if !selector.matches(labels) {
        let why = format!("Invalid value: {labels}: `selector` does not match template `labels`");
        causes.push(("spec.template.metadata.labels".to_owned(), why));
    }
    if spec["replicas"].as_i64().is_none_or(|replicas| replicas < 0) {
        let why =
            format!("Invalid value: {}: must be greater than or equal to 0", spec["replicas"]);
        causes.push(("spec.replicas".to_owned(), why));
    }
    if spec["replicas"].as_i64().is_some_and(|replicas| replicas > MOST_REPLICAS) {
        let why = format!(
            "Invalid value: {}: the embedded cluster takes no more than {MOST_REPLICAS}",
            spec["replicas"]
        );
        causes.push(("spec.replicas".to_owned(), why));
    }
    pod_spec(&spec["template"]["spec"], "spec.template.spec", causes);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::embedded::store::kinds::*;

    fn causes(kind: &Kind, object: Value, before: Option<Value>) -> Vec<String> {
        let Err(error) = check(kind, &object, before.as_ref()) else { return Vec::new() };
        let causes = error.details["causes"].as_array().unwrap().clone();
        causes.iter().map(|cause| cause["field"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn all_errors_are_reported_together() {
        let web = json!({"metadata": {"name": "web"}, "spec": {"replicas": -1, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "api"}}, "spec": {"containers": [{"name": "a"}, {"name": "a", "image": "x"}]}}}});
        let fields = [
            "spec.template.metadata.labels",
            "spec.replicas",
            "spec.template.spec.containers[0].image",
            "spec.template.spec.containers[1].name",
        ];
        assert_eq!(causes(&DEPLOYMENTS, web, None), fields);
        assert_eq!(
            causes(&SERVICES, json!({"metadata": {"name": "a.b"}, "spec": {}}), None),
            ["metadata.name", "spec.ports"]
        );
        assert_eq!(
            causes(
                &SERVICES,
                json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": 0}]}}),
                None
            ),
            ["spec.ports[0].port"]
        );
        assert_eq!(
            causes(&PODS, json!({"metadata": {}, "spec": {}}), None),
            ["metadata.name", "spec.containers"]
        );
        let labelled =
            |value: &str| json!({"metadata": {"name": "a", "labels": {"x.io/run": value}}});
        assert_eq!(causes(&NAMESPACES, labelled("-a"), None), ["metadata.labels"]);
        assert_eq!(causes(&NAMESPACES, labelled(&"a".repeat(64)), None), ["metadata.labels"]);
        assert!(causes(&NAMESPACES, labelled("20261122-7f3a"), None).is_empty());
        let held = json!({"metadata": {"name": "a", "finalizers": ["x/y"]}});
        assert_eq!(causes(&CONFIG_MAPS, held, None), ["metadata.finalizers"]);
    }

    #[test]
    fn a_part_that_is_no_map_is_refused() {
        let odd = |object: Value| {
            check_shape(&LEASES, &object).map_err(|error| (error.code, error.message))
        };
        let (code, message) =
            odd(json!({"metadata": {"name": "w", "labels": 1}, "spec": "x"})).unwrap_err();
        assert_eq!(code, 422);
        assert!(
            message.contains("metadata.labels: Invalid value")
                && message.contains("spec: Invalid value"),
            "{message}"
        );
        assert!(odd(json!({"metadata": "x"})).is_err() && odd(json!({"status": []})).is_err());
        assert!(odd(json!({"spec": {"template": {"metadata": "x"}}})).is_err());
        assert!(odd(json!({"metadata": {"name": "w", "labels": null}, "spec": {}})).is_ok());
    }

    #[test]
    fn nobody_wants_a_thousand_million_pods() {
        let web = |replicas: u64| {
            json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}}}})
        };
        assert_eq!(causes(&DEPLOYMENTS, web(1_000_000_000), None), ["spec.replicas"]);
        assert_eq!(causes(&REPLICA_SETS, web(10_001), None), ["spec.replicas"]);
        assert_eq!(causes(&DEPLOYMENTS, web(u64::MAX), None), ["spec.replicas"]);
        assert!(causes(&DEPLOYMENTS, web(1_000), None).is_empty());
    }

    #[test]
    fn what_never_changes_is_held_to() {
        let service = |ip: &str| json!({"metadata": {"name": "a"}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}});
        assert_eq!(
            causes(&SERVICES, service("10.0.0.2"), Some(service("10.0.0.1"))),
            ["spec.clusterIPs[0]"]
        );
        assert!(causes(&SERVICES, service("10.0.0.1"), Some(service("10.0.0.1"))).is_empty());
    }
}
