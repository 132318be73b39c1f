//! Field selectors: `spec.nodeName=worker,status.phase!=Failed`.

use serde_json::Value;

use super::Kind;

/// Conditions on an object's fields, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    field: String,
    /// Whether it must be different.
    not: bool,
    value: String,
}

/// The fields by which a kind can be selected, beside its name and namespace.
fn selectable(kind: &Kind) -> &'static [&'static str] {
    match kind.plural {
        "pods" => &["spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"],
        "nodes" => &["spec.unschedulable"],
        "services" => &["spec.clusterIP", "spec.type"],
        "namespaces" => &["status.phase"],
        "secrets" => &["type"],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.fieldPath",
            "reason",
            "type",
        ],
        _ => &[],
    }
}

impl FieldSelector {
    /// Reads the form of a query. Errors with what this kind can't be selected by, in Kubernetes'
    /// words.
    pub(crate) fn parse(text: &str, kind: &Kind) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let all: Vec<Requirement> = parts.map(requirement).collect::<Result<_, _>>()?;
        let knows = |field: &str| {
            field == "metadata.name"
                || (field == "metadata.namespace" && kind.namespaced)
                || selectable(kind).contains(&field)
        };
        match all.iter().find(|requirement| !knows(&requirement.field)) {
            Some(odd) => Err(format!("field label not supported: {}", odd.field)),
            None => Ok(Self(all)),
        }
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        let fits = |Requirement { field, not, value }: &Requirement| {
            (text_of(object, field) == *value) != *not
        };
        self.0.iter().all(fits)
    }
}

fn requirement(part: &str) -> Result<Requirement, String> {
    let unequal = part.split_once("!=");
    let equal = || part.split_once("==").or_else(|| part.split_once('='));
    let (field, value) = unequal
        .or_else(equal)
        .ok_or_else(|| format!("invalid selector: '{part}'; can't understand '{part}'"))?;
    Ok(Requirement { field: field.into(), not: unequal.is_some(), value: value.into() })
}

/// A field's value; what is absent is empty, and a flag that is absent is false.
fn text_of(object: &Value, field: &str) -> String {
    match field.split('.').fold(object, |value, member| &value[member]) {
        Value::String(text) => text.clone(),
        Value::Null if field == "spec.unschedulable" => "false".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kinds::{EVENTS, NODES, PODS};
    use super::*;

    #[test]
    fn fields_select() {
        let pod = json!({"metadata": {"name": "a", "namespace": "n"}, "spec": {"nodeName": "w"}, "status": {"phase": "Running"}});
        let matches = |text: &str| FieldSelector::parse(text, &PODS).unwrap().matches(&pod);
        assert!(
            matches("spec.nodeName=w,status.phase!=Failed")
                && matches("metadata.name==a")
                && matches("")
        );
        assert!(!matches("spec.nodeName=other") && !matches("status.phase!=Running"));
        let node = json!({"metadata": {"name": "w"}, "spec": {}});
        assert!(FieldSelector::parse("spec.unschedulable=false", &NODES).unwrap().matches(&node));
        let event = json!({"involvedObject": {"kind": "Node"}, "reason": "NodeNotReady"});
        assert!(
            FieldSelector::parse("involvedObject.kind=Node,reason=NodeNotReady", &EVENTS)
                .unwrap()
                .matches(&event)
        );
    }

    #[test]
    fn what_can_not_be_selected_by_is_reported() {
        assert_eq!(
            FieldSelector::parse("spec.color=red", &PODS).unwrap_err(),
            "field label not supported: spec.color"
        );
        assert!(FieldSelector::parse("metadata.namespace=x", &NODES).is_err());
        assert!(FieldSelector::parse("nonsense", &PODS).is_err());
    }
}
