//! The ways to say what should change in an object.

mod strategic;

use serde_json::Value;

use super::ApiError;
use super::body;
use crate::embedded::objects::service;
use crate::embedded::store::Cause;
use crate::embedded::store::kinds::SERVICES;
use crate::embedded::store::object::name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// A list of operations (RFC 6902).
    Json,
    /// What is given is set, null takes away (RFC 7386).
    Merge,
    /// The same, with lists joined by their items' names.
    Strategic,
    /// What a client wants to own. Owners are not kept here, so nobody's claim is in the way: every
    /// apply is a forced one.
    Apply,
}

#[derive(Clone, Debug)]
pub(super) struct Patch {
    style: Style,
    content: Value,
}

impl Patch {
    pub(super) fn read(content_type: &str, bytes: &[u8]) -> Result<Self, ApiError> {
        let style = match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Style::Json,
            "application/merge-patch+json" => Style::Merge,
            "application/strategic-merge-patch+json" => Style::Strategic,
            "application/apply-patch+yaml" => Style::Apply,
            other => {
                let message = format!(
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, \
                     application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml; got {other}"
                );
                return Err(ApiError::new(415, "UnsupportedMediaType", message));
            }
        };
        let content = body::read(
            if style == Style::Apply { "application/yaml" } else { "application/json" },
            bytes,
        )?;
        match (style, content.is_object(), content.is_array()) {
            (Style::Json, _, true) | (Style::Merge | Style::Strategic | Style::Apply, true, _) => {
                Ok(Self { style, content })
            }
            _ => Err(ApiError::bad_request(
                "the patch is not of the form that its content type says",
            )),
        }
    }

    /// What is to be made where nothing is there to be changed; `None` where that is an error.
    pub(super) fn creates(&self) -> Option<&Value> {
        (self.style == Style::Apply).then_some(&self.content)
    }

    pub(super) fn apply(&self, object: &Value) -> Result<Value, ApiError> {
        let mut new = object.clone();
        match self.style {
            Style::Json => {
                let operations: json_patch::Patch = serde_json::from_value(self.content.clone())
                    .map_err(|error| refused_patch(&error))?;
                json_patch::patch(&mut new, &operations).map_err(|error| refused_patch(&error))?;
            }
            Style::Merge => json_patch::merge(&mut new, &self.content),
            Style::Strategic | Style::Apply => {
                let content = service::in_published_terms(object, &self.content);
                let refused = |why: String| {
                    ApiError::invalid(&SERVICES, name(object), &[Cause::new("spec.ports", why)])
                };
                strategic::apply(&mut new, &*content.map_err(refused)?);
            }
        }
        Ok(new)
    }
}

fn refused_patch(error: &dyn std::fmt::Display) -> ApiError {
    let message =
        format!("the server rejected our request due to an error in our request: {error}");
    ApiError::new(422, "Invalid", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(content_type: &str, object: Value, patch: Value) -> Result<Value, ApiError> {
        Patch::read(content_type, patch.to_string().as_bytes())?.apply(&object)
    }

    #[test]
    fn the_content_type_is_the_style() {
        let labels = json!({"metadata": {"labels": {"a/b": "1", "c": "2"}}});
        let json = json!([{"op": "test", "path": "/metadata/labels/c", "value": "2"}, {"op": "replace", "path": "/metadata/labels/a~1b", "value": "2"}]);
        let merge = json!({"metadata": {"labels": {"a/b": "2", "none": null}}});
        let expected = json!({"metadata": {"labels": {"a/b": "2", "c": "2"}}});
        let of = |style: &str, patch| {
            patched(&format!("application/{style}+json"), labels.clone(), patch)
        };
        assert_eq!(of("json-patch", json), Ok(expected.clone()));
        assert_eq!(of("merge-patch", merge), Ok(expected));
        assert_eq!(of("xml", json!({})).unwrap_err().code, 415);
        assert_eq!(of("merge-patch", json!([])).unwrap_err().code, 400);
    }

    #[test]
    fn an_operation_that_does_not_fit_changes_nothing() {
        for operation in [
            json!({"op": "remove", "path": "/absent"}),
            json!({"op": "test", "path": "/a", "value": 2}),
            json!({"op": "replace", "path": "/absent", "value": 2}),
            json!({"op": "invent", "path": "/a"}),
        ] {
            let both = json!([{"op": "add", "path": "/b", "value": 1}, operation]);
            let refused =
                patched("application/json-patch+json", json!({"a": 1}), both).unwrap_err();
            assert_eq!(refused.code, 422, "{refused:?}");
        }
    }
}
