//! Which objects can't be: the mistakes that people make, in Kubernetes' words.

use serde_json::Value;

use super::ApiError;
use crate::embedded::store::{Cause, Kind, LabelSelector, object};

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

/// What is wrong with an object, as far as it was looked at.
#[derive(Default)]
struct Causes(Vec<Cause>);

impl Causes {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Cause::new(field, message));
    }

    fn required(&mut self, field: impl Into<String>) {
        self.add(field, "Required value");
    }

    fn refuse(self, kind: &Kind, object: &Value) -> Result<(), ApiError> {
        match self.0.as_slice() {
            [] => Ok(()),
            causes => Err(ApiError::invalid(kind, object::name(object), causes)),
        }
    }
}

/// Errors with what is not a map and must be one. Kubernetes can't even read such an object.
pub(super) fn check_shape(kind: &Kind, object: &Value) -> Result<(), ApiError> {
    let mut causes = Causes::default();
    for path in MAPS {
        let part = object.pointer(&format!("/{path}"));
        if part.is_some_and(|part| !part.is_object() && !part.is_null()) {
            causes.add(path.replace('/', "."), "Invalid value: must be a map");
        }
    }
    causes.refuse(kind, object)
}

/// Errors with all that is wrong. `before` is the object that it takes the place of.
pub(super) fn check(kind: &Kind, object: &Value, before: Option<&Value>) -> Result<(), ApiError> {
    let mut causes = Causes::default();
    name(kind, object, &mut causes);
    labels(object, &mut causes);
    if !object["metadata"]["finalizers"].is_null() {
        causes.add("metadata.finalizers", "Forbidden: the embedded cluster has none");
    }
    match kind.plural {
        "pods" => pod_spec(&object["spec"], "spec", &mut causes),
        "services" => service(&object["spec"], &mut causes),
        "deployments" | "replicasets" | "statefulsets" => workload(object, &mut causes),
        _ => {}
    }
    for field in before.map_or(&[][..], |_| immutable(kind)) {
        let of = |object: &Value| object["spec"].get(field).cloned();
        if before.and_then(of).is_some_and(|was| of(object) != Some(was)) {
            causes.add(format!("spec.{field}"), "Invalid value: field is immutable");
        }
    }
    causes.refuse(kind, object)
}

/// What of a spec never changes.
fn immutable(kind: &Kind) -> &'static [&'static str] {
    match kind.plural {
        "pods" => &["nodeName", "restartPolicy"],
        "services" => &["clusterIP"],
        "deployments" | "replicasets" => &["selector"],
        "statefulsets" => &["selector", "serviceName", "volumeClaimTemplates"],
        _ => &[],
    }
}

fn name(kind: &Kind, object: &Value, causes: &mut Causes) {
    let name = object::name(object);
    // Namespaces and Services are single labels of DNS names, the rest may have dots.
    let label = ["namespaces", "services"].contains(&kind.plural);
    let (longest, dots) = if label { (63, "") } else { (253, " (in parts between '.')") };
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| {
        part.starts_with(letter)
            && part.ends_with(letter)
            && part.chars().all(|c| letter(c) || c == '-')
    };
    let fits = if label { part(name) } else { name.split('.').all(part) };
    if name.is_empty() {
        causes.add("metadata.name", "Required value: name or generateName is required");
    } else if !fits || name.len() > longest {
        causes.add("metadata.name", format!(
            "Invalid value: \"{name}\": must be at most {longest} characters: lower case letters, \
             digits and '-'{dots}, beginning and ending with a letter or digit"
        ));
    }
}

fn labels(object: &Value, causes: &mut Causes) {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let fits = |text: &str| {
        text.len() <= 63
            && text.chars().all(|c| plain(c) || "-_.".contains(c))
            && (text.is_empty() || text.starts_with(plain) && text.ends_with(plain))
    };
    for (key, value) in object["metadata"]["labels"].as_object().into_iter().flatten() {
        let bare = key.rsplit('/').next().unwrap_or_default();
        if bare.is_empty() || !fits(bare) || !value.as_str().is_some_and(fits) {
            causes.add("metadata.labels", format!(
                "Invalid value: {value}: label \"{key}\" must be at most 63 letters, digits, '-', '_' and '.'"
            ));
        }
    }
}

fn pod_spec(spec: &Value, path: &str, causes: &mut Causes) {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.required(format!("{path}.containers"));
    }
    for (index, container) in containers.iter().enumerate() {
        let given = |field: &str| container[field].as_str().is_some_and(|text| !text.is_empty());
        for field in ["name", "image"].into_iter().filter(|field| !given(field)) {
            causes.required(format!("{path}.containers[{index}].{field}"));
        }
        let mut others = containers[..index].iter();
        if given("name") && others.any(|other| other["name"] == container["name"]) {
            let why = format!("Duplicate value: {}", container["name"]);
            causes.add(format!("{path}.containers[{index}].name"), why);
        }
    }
}

fn service(spec: &Value, causes: &mut Causes) {
    let ports = spec["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    if ports.is_empty() && spec["clusterIP"] != "None" && spec["type"] != "ExternalName" {
        causes.required("spec.ports");
    }
    for (index, port) in ports.iter().enumerate() {
        if !port["port"].as_u64().is_some_and(|port| (1..=65_535).contains(&port)) {
            let why = "must be between 1 and 65535, inclusive";
            let why = format!("Invalid value: {}: {why}", port["port"]);
            causes.add(format!("spec.ports[{index}].port"), why);
        }
        if ports.len() > 1 && port["name"].as_str().unwrap_or_default().is_empty() {
            causes.required(format!("spec.ports[{index}].name"));
        }
    }
}

fn workload(object: &Value, causes: &mut Causes) {
    let spec = &object["spec"];
    let selector = LabelSelector::of_object(&spec["selector"]);
    let labels = &spec["template"]["metadata"]["labels"];
    if selector.is_empty() {
        causes.required("spec.selector");
    } else if !selector.matches(labels) {
        let why = format!("Invalid value: {labels}: `selector` does not match template `labels`");
        causes.add("spec.template.metadata.labels", why);
    }
    let replicas = &spec["replicas"];
    let why = match replicas.as_i64() {
        Some(0..=MOST_REPLICAS) => None,
        Some(1..) => Some(format!("the embedded cluster accepts at most {MOST_REPLICAS}")),
        _ => Some("must be greater than or equal to 0".to_owned()),
    };
    if let Some(why) = why {
        causes.add("spec.replicas", format!("Invalid value: {replicas}: {why}"));
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
            ["spec.clusterIP"]
        );
        assert!(causes(&SERVICES, service("10.0.0.1"), Some(service("10.0.0.1"))).is_empty());
    }
}
