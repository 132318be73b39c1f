//! The object of a `manifest` fault, and what shows that it is in effect.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::timeline::ObjectRef;

/// An object that is created as a fault, and deleted again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedObject {
    /// Its name, with its namespace if it is not the run's.
    pub object: ObjectRef,
    /// All of it, from the experiment or from its file.
    pub manifest: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// What shows that it is in effect. Default: that it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_effect: Option<Sign>,
    /// What shows that its effect is gone, of an object that is being deleted. Default: that it is
    /// gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<Sign>,
    /// Limit for the injection, and again for the undo. Default: 60s.
    pub timeout: Duration,
}

impl AppliedObject {
    pub fn api_version(&self) -> &str {
        self.manifest["apiVersion"].as_str().unwrap_or_default()
    }

    pub fn kind(&self) -> &str {
        self.manifest["kind"].as_str().unwrap_or_default()
    }
}

impl std::fmt::Display for AppliedObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind(), self.object)
    }
}

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sign {
    /// An entry of `status.conditions`.
    Condition {
        #[serde(rename = "type")]
        type_: String,
        status: String,
    },
    /// The field at a path such as `.status.phase`, and its value.
    Field { path: String, value: String },
}

impl Sign {
    /// Whether an object says so.
    pub fn is_in(&self, object: &Value) -> bool {
        self.found(object).is_some_and(|found| found == self.wanted())
    }

    /// What an object says of it, for people: `condition AllInjected is False`.
    pub fn describe(&self, object: &Value) -> String {
        let found = self.found(object);
        let found = found.as_deref().unwrap_or("absent");
        match self {
            Sign::Condition { type_, .. } => format!("condition {type_} is {found}"),
            Sign::Field { path, .. } => format!("{path} is {found}"),
        }
    }

    fn wanted(&self) -> &str {
        match self {
            Sign::Condition { status, .. } => status,
            Sign::Field { value, .. } => value,
        }
    }

    fn found(&self, object: &Value) -> Option<String> {
        let found = match self {
            Sign::Condition { type_, .. } => {
                let conditions = object["status"]["conditions"].as_array()?;
                &conditions.iter().find(|one| one["type"] == type_.as_str())?["status"]
            }
            Sign::Field { path, .. } => {
                steps(path)?.into_iter().try_fold(object, |value, step| match step {
                    Step::Key(key) => value.get(key),
                    Step::Index(index) => value.get(index),
                })?
            }
        };
        match found {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

#[derive(Debug, PartialEq)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// Whether a path can be followed: fields and indices, as in kubectl's JSONPath.
pub(crate) fn is_path(path: &str) -> bool {
    steps(path).is_some()
}

/// `{.status.conditions[0].status}`, with or without the braces.
fn steps(path: &str) -> Option<Vec<Step<'_>>> {
    let braced = path.strip_prefix('{').and_then(|path| path.strip_suffix('}'));
    let fields = braced.unwrap_or(path).strip_prefix('.')?;
    let mut steps = Vec::new();
    for field in fields.split('.') {
        let (key, indices) = field.split_once('[').map_or((field, None), |(k, i)| (k, Some(i)));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_/".contains(c);
        if key.is_empty() || !key.chars().all(is_plain) {
            return None;
        }
        steps.push(Step::Key(key));
        for index in indices.into_iter().flat_map(|indices| indices.split('[')) {
            steps.push(Step::Index(index.strip_suffix(']')?.parse().ok()?));
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_or_a_field_says_what_is_so() {
        let object = json!({"status": {"phase": "Running", "n": 3, "deep": [[{"up": true}]],
            "conditions": [{"type": "Selected", "status": "True"}, {"type": "AllInjected", "status": "False"}]}});
        let condition = |type_: &str, status: &str| Sign::Condition {
            type_: type_.into(),
            status: status.into(),
        };
        assert!(condition("Selected", "True").is_in(&object));
        assert!(!condition("AllInjected", "True").is_in(&object));
        assert_eq!(
            condition("AllInjected", "True").describe(&object),
            "condition AllInjected is False"
        );
        assert_eq!(condition("Else", "True").describe(&json!({})), "condition Else is absent");
        let field =
            |path: &str, value: &str| Sign::Field { path: path.into(), value: value.into() };
        assert!(field("{.status.phase}", "Running").is_in(&object));
        assert!(field(".status.n", "3").is_in(&object));
        assert!(field(".status.deep[0][0].up", "true").is_in(&object));
        assert!(!field(".status.deep[1]", "x").is_in(&object));
        assert_eq!(field(".status.n", "4").describe(&object), ".status.n is 3");
    }

    #[test]
    fn a_path_is_of_fields_and_indices() {
        for good in [".status", "{.status.phase}", ".a[0][1].b"] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["", ".", "status.phase", ".a..b", ".a[x]", ".a[0", ".a[?(@.b)]", "{.a", ".a[*]"]
        {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
