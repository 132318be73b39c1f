//! The object of a `manifest` fault, and what shows that it is in effect.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::fields::{Cx, Fields};
use super::scalar::{path, positive, sentence};
use crate::experiment::schema::{AppliedObject, Sign, is_path};
use crate::experiment::tree::Node;
use crate::timeline::ObjectRef;
use crate::workload::{Manifest, Object};

/// For a controller that has to reach every pod.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn applied_object(fields: &mut Fields) -> Option<Box<AppliedObject>> {
    enum From {
        Here(Box<AppliedObject>),
        File(PathBuf),
    }
    let from = fields.one_of(&[
        ("object", |cx, node| inline(cx, node).map(Box::new).map(From::Here)),
        ("file", |cx, node| path(cx, node).map(From::File)),
    ]);
    fields.about_field("object", "The object, as in a manifest for kubectl.");
    fields.about_field("file", "A file with the object, relative to the experiment.");
    let in_effect = fields
        .doc("What shows that it is in effect. Default: that it exists.")
        .optional("inEffect", sign);
    let undone = fields
        .doc("What shows that its effect is gone. Default: that the object is gone.")
        .optional("undone", sign);
    let timeout = fields
        .doc("Limit for the injection, and again for the undo.")
        .or("timeout", TIMEOUT, positive);
    let read = match from? {
        From::Here(read) => *read,
        // Its file is read with the others (`files.rs`).
        From::File(file) => AppliedObject { file: Some(file), ..empty() },
    };
    Some(Box::new(AppliedObject {
        in_effect: in_effect?,
        undone: undone?,
        timeout: timeout?,
        ..read
    }))
}

fn empty() -> AppliedObject {
    let object = ObjectRef { namespace: None, name: String::new() };
    let (manifest, file) = (Value::Null, None);
    AppliedObject { object, manifest, file, in_effect: None, undone: None, timeout: TIMEOUT }
}

fn inline(cx: &Cx, node: &Node) -> Option<AppliedObject> {
    cx.reads(|| json!({"type": "object"}))?;
    let (manifest, problems) = Manifest::read([(cx.file(), node)]);
    if !problems.is_empty() {
        problems.into_iter().for_each(|problem| cx.report(problem));
        return None;
    }
    match manifest.objects() {
        [object] => {
            object.schema_problems().into_iter().for_each(|problem| cx.report(problem));
            let mut applied = empty();
            applied.set(object);
            Some(applied)
        }
        _ => cx.expected(node, "one object"),
    }
}

impl AppliedObject {
    /// Takes over what was read of it.
    pub(in crate::experiment) fn set(&mut self, object: &Object) {
        self.manifest = object.json().clone();
        let namespace = self.manifest["metadata"]["namespace"].as_str();
        self.object = ObjectRef::new(namespace, object.name());
    }
}

/// `condition: {type, status}`, or `path` and `value`.
fn sign(cx: &Cx, node: &Node) -> Option<Sign> {
    let mut fields = Fields::of(cx, node, "an expected state")?;
    fields.about("A state of the object: a `condition`, or a `path` and a `value`.");
    let condition = fields
        .doc("An entry of the object's `status.conditions`.")
        .optional("condition", condition);
    let path = fields
        .doc("The path of a field, such as `.status.phase` or `.status.conditions[0].status`.")
        .optional("path", json_path);
    let value = fields.doc("The value of that field.").optional("value", any_text);
    let (at_condition, at_path) =
        (fields.key("condition"), fields.key("path").or(fields.key("value")));
    if at_condition.is_none() {
        match (fields.key("path"), fields.key("value")) {
            (None, None) => fields.misses("condition"),
            (None, _) => fields.misses("path"),
            (_, None) => fields.misses("value"),
            _ => {}
        }
    }
    fields.finish();
    match (condition?, path?, value?) {
        (Some(_), _, _) if at_path.is_some() => cx.error(
            at_path?,
            "an expected state is either a `condition`, or a `path` and a `value`",
        ),
        (Some(condition), ..) => Some(condition),
        (None, Some(path), Some(value)) => Some(Sign::Field { path, value }),
        // Which was reported.
        _ => None,
    }
}

fn condition(cx: &Cx, node: &Node) -> Option<Sign> {
    let mut fields = Fields::of(cx, node, "a condition of an object")?;
    let type_ = fields.doc("The condition's type.").required("type", sentence);
    let status = fields.doc("The condition's status.").or("status", "True".to_owned(), any_text);
    fields.finish();
    Some(Sign::Condition { type_: type_?, status: status? })
}

/// `True` and `3` are texts here: they are compared as what is printed.
fn any_text(cx: &Cx, node: &Node) -> Option<String> {
    cx.reads(|| json!({"type": ["string", "number", "boolean"]}))?;
    match node.text() {
        Some(text) => Some(text.to_owned()),
        None => cx.expected(node, "a value"),
    }
}

fn json_path(cx: &Cx, node: &Node) -> Option<String> {
    let path = sentence(cx, node)?;
    match is_path(&path) {
        true => Some(path),
        false => cx.expected_hint(
            node,
            "a path of fields and indices",
            "write `.status.phase`, or `.status.conditions[0].status`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::super::method::step;
    use crate::experiment::schema::{Fault, Sign, Step};

    const FAULT: &str = "{fault: {manifest: {object: {apiVersion: chaos-mesh.org/v1alpha1, kind: NetworkChaos, metadata: {name: delay, namespace: shop}, spec: {action: delay}}, inEffect: {condition: {type: AllInjected}}, timeout: 30s}}, for: 15s}";

    fn problem(from: &str, to: &str) -> String {
        assert!(FAULT.contains(from), "{from}");
        decoded(&FAULT.replace(from, to), step).1
    }

    #[test]
    fn an_object_and_its_sign_are_read() {
        let (found, problems) = decoded(FAULT, step);
        assert_eq!(problems, "");
        let Some(Step::Fault { fault, .. }) = found else { panic!("{found:?}") };
        let again = serde_json::to_value(&fault).unwrap();
        assert_eq!(serde_json::from_value::<Fault>(again).unwrap(), fault);
        let Fault::Manifest { applied } = &fault else { panic!("{fault:?}") };
        assert_eq!(applied.to_string(), "NetworkChaos shop/delay");
        assert_eq!(applied.manifest["spec"]["action"], "delay");
        let sign = Sign::Condition { type_: "AllInjected".into(), status: "True".into() };
        assert_eq!((&applied.in_effect, &applied.undone), (&Some(sign), &None));
        assert_eq!(fault.foreign_namespace(), Some("shop"));
        assert_eq!(fault.objects().unwrap(), "NetworkChaos shop/delay");
        let path = FAULT
            .replace("condition: {type: AllInjected}", "path: '{.status.phase}', value: Running");
        let (found, problems) = decoded(&path, step);
        assert!(found.is_some(), "{problems}");
    }

    #[test]
    fn mistakes_are_reported_where_they_are() {
        assert!(problem("name: delay, ", "").contains("a NetworkChaos without a name"));
        assert!(
            problem("condition: {type: AllInjected}", "path: status.phase, value: x")
                .contains("expected a path of fields")
        );
        assert!(
            problem("condition: {type: AllInjected}", "path: .status.phase")
                .contains("an expected state needs `value`")
        );
        assert!(
            problem("condition: {type: AllInjected}", "condition: {type: A}, path: .a, value: b")
                .contains("either a `condition`")
        );
        assert!(problem("object: {", "file: x.yaml, object: {").contains("only one of"));
        let wrong = problem("kind: NetworkChaos, metadata", "metadata");
        assert!(wrong.contains("kind"), "{wrong}");
    }
}
