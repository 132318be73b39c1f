//! What the API server would refuse of a workload, before anything is made.

use kube::api::{Api, PostParams};
use kube::core::{DynamicObject, Status};

use super::connect::Cluster;
use super::error::ClusterError;
use super::workload::Workload;
use crate::workload::{Manifest, Object};
use crate::yaml::Diagnostic;

/// Objects are checked in this namespace: the run's own does not exist yet.
const NAMESPACE: &str = "default";

impl Cluster {
    /// Has the server check every object of a manifest without creating any; all that it refuses,
    /// at its place. What depends on the namespace (a quota, a policy, a name that is taken) says
    /// nothing of the run's own.
    pub(super) async fn refusals(
        &self,
        manifest: &Manifest,
        workload: &Workload,
    ) -> Result<Vec<Diagnostic>, ClusterError> {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let mut problems = Vec::new();
        for (object, known) in manifest.objects().iter().zip(&workload.objects) {
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client(), NAMESPACE, &known.resource);
            let create = async {
                match api.create(&params, &known.object).await {
                    Err(kube::Error::Api(status)) => Ok(Some(status)),
                    created => created.map(|_| None),
                }
            };
            let status = self.call(format!("check {}", known.label), create).await?;
            problems.extend(status.iter().flat_map(|status| refusals(object, status)));
        }
        Ok(problems)
    }
}

fn refusals(object: &Object, status: &Status) -> Vec<Diagnostic> {
    let problem = |field: &str, why: &str| {
        let at = if field.is_empty() { "kind" } else { field };
        let field = if field.is_empty() { String::new() } else { format!("{field}: ") };
        object.error(at, format!("{}: {field}{why}", object.label()))
    };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<Diagnostic> = causes
        .filter(|cause| !cause.field.is_empty())
        .map(|cause| problem(&cause.field, &cause.message))
        .collect();
    match status.code {
        // A policy's refusal (ValidatingAdmissionPolicy) names no field: it may be about the
        // namespace, which is not the run's.
        422 => causes,
        // A webhook's refusal without a code is a 400, too.
        400 => {
            let unreadable = unreadable(&status.message);
            unreadable.iter().map(|Unreadable { field, why }| problem(field, why)).collect()
        }
        _ => Vec::new(),
    }
}

/// Why the server cannot read an object.
#[derive(Debug, PartialEq)]
struct Unreadable<'m> {
    /// Empty: it does not say.
    field: &'m str,
    why: String,
}

/// From Go's words: `Deployment in version "v1" cannot be handled as a Deployment: json: cannot
/// unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`. `None`: the
/// server does not say that it cannot decode an object.
fn unreadable(message: &str) -> Option<Unreadable<'_>> {
    let handled = message
        .split_once(" cannot be handled as a ")
        .filter(|(subject, _)| subject.contains(" in version \""));
    let starts = ["json: ", "strict decoding error"];
    let why = match handled {
        Some((_, rest)) => rest.split_once(": ").map_or(message, |(_, why)| why),
        None if starts.iter().any(|start| message.starts_with(start)) => message,
        None => return None,
    };
    let mismatch = why.strip_prefix("json: cannot unmarshal ").and_then(|rest| {
        let (found, rest) = rest.split_once(" into Go struct field ")?;
        let (field, wanted) = rest.rsplit_once(" of type ")?;
        // The first part is the name of a Go type.
        Some((found, field.split_once('.').map_or("", |(_, field)| field), wanted))
    });
    Some(match mismatch {
        Some((found, field, wanted)) => {
            let why = format!("must be {}, not {}", go_type(wanted), json_type(found));
            Unreadable { field, why }
        }
        None => Unreadable { field: "", why: why.to_owned() },
    })
}

fn json_type(found: &str) -> String {
    match found.split_once(' ') {
        Some(("number", value)) => value.to_owned(),
        _ => match found {
            "bool" => "a boolean".to_owned(),
            "array" => "a list".to_owned(),
            "object" => "a mapping".to_owned(),
            other => format!("a {other}"),
        },
    }
}

fn go_type(wanted: &str) -> &str {
    match wanted.trim_start_matches('*') {
        "string" => "a string",
        "bool" => "true or false",
        whole if whole.starts_with("int") || whole.starts_with("uint") => "a whole number",
        list if list.starts_with("[]") => "a list",
        _ => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const WEB: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: two\n  selector: {}\n";

    fn found(status: Value) -> Vec<String> {
        let manifest = Manifest::of_texts([("w.yaml", WEB)]);
        let status: Status = serde_json::from_value(status).unwrap();
        refusals(&manifest.objects()[0], &status).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn gos_words_are_translated() {
        let message = "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32";
        assert_eq!(
            found(json!({"code": 400, "reason": "BadRequest", "message": message})),
            [
                "w.yaml:5:13: error: Deployment/web: spec.replicas: must be a whole number, not a string"
            ]
        );
        let of = |message: &str| unreadable(message).unwrap().why;
        let field = "into Go struct field ConfigMap.data of type";
        assert_eq!(
            of(&format!("json: cannot unmarshal number 1.5 {field} string")),
            "must be a string, not 1.5"
        );
        assert_eq!(
            of(&format!("json: cannot unmarshal array {field} map[string]string")),
            "must be a mapping, not a list"
        );
        assert_eq!(
            of(&format!("json: cannot unmarshal object {field} []v1.EnvVar")),
            "must be a list, not a mapping"
        );
        let quantity = "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression";
        assert_eq!(of(quantity), "quantities must match the regular expression");
    }

    #[test]
    fn every_cause_has_its_place() {
        let cause = |field: &str, message: &str| json!({"reason": "FieldValueInvalid", "field": field, "message": message});
        let causes = [
            cause("spec.replicas", "Invalid value: -1: must be greater than or equal to 0"),
            cause(
                "spec.template.metadata.labels",
                "Invalid value: `selector` does not match template `labels`",
            ),
        ];
        let texts =
            found(json!({"code": 422, "message": "is invalid: ..", "details": {"causes": causes}}));
        assert!(
            texts[0].starts_with("w.yaml:5:")
                && texts[0].contains("Deployment/web: spec.replicas: Invalid value: -1"),
            "{texts:?}"
        );
        assert!(texts[1].contains("spec.template.metadata.labels: Invalid value"), "{texts:?}");
    }

    #[test]
    fn what_depends_on_the_namespace_is_not_the_manifests() {
        for (code, message) in [
            (403, "pods \"web\" is forbidden: exceeded quota"),
            (404, "namespaces \"default\" not found"),
            (409, "deployments.apps \"web\" already exists"),
            (400, "admission webhook \"a\" does not support dry run"),
            (400, "admission webhook \"a\" denied the request: the default namespace: json: no"),
            (422, "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' denied"),
            (500, "failed calling webhook"),
        ] {
            let details = json!({"causes": [{"message": message}]});
            let status = json!({"code": code, "message": message, "details": details});
            assert_eq!(found(status), Vec::<String>::new());
        }
    }
}
