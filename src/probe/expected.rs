//! What an HTTP answer is compared with.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::timeline::Outcome;

/// What a body must have to be success; by default anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BodyExpectation {
    pub contains: Option<String>,
    pub json: Option<JsonValue>,
}

/// A JSONPath, and what it must select: at least one value, and only such.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonValue {
    pub path: String,
    pub equals: Value,
}

#[derive(Debug)]
pub(super) struct Expected {
    /// The response header that names the backend, in any case.
    pub backend_header: String,
    /// The lowest and the highest status that counts as success.
    pub success: (u16, u16),
    /// Whether answers have no body, whatever their length says.
    pub is_head: bool,
    pub body: BodyCheck,
}

impl Expected {
    /// Whether the body of an answer with this status decides.
    pub(super) fn needs_body(&self, status: u16) -> bool {
        (self.body.contains.is_some() || self.body.json.is_some()) && self.is_success(status)
    }

    fn is_success(&self, status: u16) -> bool {
        (self.success.0..=self.success.1).contains(&status)
    }

    /// What an answer is; `body` is empty where it does not decide.
    pub(super) fn outcome(&self, status: u16, body: &[u8]) -> Outcome {
        match self.is_success(status) {
            false => Outcome::Status(status),
            true if self.body.accepts(body) => Outcome::Ok,
            true => Outcome::WrongBody,
        }
    }
}

/// What a body must have, prepared.
#[derive(Debug, Default)]
pub(super) struct BodyCheck {
    contains: Option<String>,
    json: Option<Selected>,
}

#[derive(Debug)]
struct Selected {
    path: JsonPath,
    equals: Value,
}

impl BodyCheck {
    /// Errors when the JSONPath is none.
    pub(super) fn new(expectation: BodyExpectation) -> Result<Self, String> {
        let BodyExpectation { contains, json } = expectation;
        let json = json.map(|JsonValue { path, equals }| match JsonPath::parse(&path) {
            Ok(path) => Ok(Selected { path, equals }),
            Err(_) => Err(format!("{path:?} is not a JSONPath")),
        });
        Ok(Self { contains, json: json.transpose()? })
    }

    fn accepts(&self, body: &[u8]) -> bool {
        let contains = |text: &String| String::from_utf8_lossy(body).contains(text.as_str());
        self.contains.as_ref().is_none_or(contains)
            && self.json.as_ref().is_none_or(|selected| selected.is_in(body))
    }
}

impl Selected {
    fn is_in(&self, body: &[u8]) -> bool {
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
        let found = self.path.query(&body);
        !found.is_empty() && found.iter().all(|found| is_same(found, &self.equals))
    }
}

/// 1 and 1.0 are the same number.
fn is_same(found: &Value, wanted: &Value) -> bool {
    found == wanted || found.as_f64().zip(wanted.as_f64()).is_some_and(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(expected_body: BodyExpectation, status: u16, body: &str) -> Outcome {
        let expected = Expected {
            backend_header: String::new(),
            success: (200, 399),
            is_head: false,
            body: BodyCheck::new(expected_body).unwrap(),
        };
        expected.outcome(status, body.as_bytes())
    }

    fn json(path: &str, equals: impl Into<Value>) -> BodyExpectation {
        let json = Some(JsonValue { path: path.into(), equals: equals.into() });
        BodyExpectation { json, ..BodyExpectation::default() }
    }

    #[test]
    fn a_body_contains_a_text() {
        let welcome = || BodyExpectation { contains: Some("welcome".into()), json: None };
        assert_eq!(outcome(welcome(), 200, "<h1>welcome</h1>"), Outcome::Ok);
        assert_eq!(outcome(welcome(), 200, "<h1>sorry</h1>"), Outcome::WrongBody);
        assert_eq!(outcome(welcome(), 503, "<h1>welcome</h1>"), Outcome::Status(503));
        assert_eq!(outcome(BodyExpectation::default(), 200, ""), Outcome::Ok);
    }

    #[test]
    fn all_values_that_a_path_selects_are_equal() {
        let body = r#"{"status":"ok","ready":true,"n":1.0,"checks":[{"s":"ok"},{"s":"ok"}]}"#;
        for right in [
            json("$.status", "ok"),
            json("$.ready", true),
            json("$.n", 1),
            json("$.checks[*].s", "ok"),
            json("$.checks[?@.s == 'ok'].s", "ok"),
        ] {
            assert_eq!(outcome(right.clone(), 200, body), Outcome::Ok, "{right:?}");
        }
        for wrong in [
            json("$.status", "down"),
            json("$.ready", "true"),
            json("$.absent", "ok"),
            json("$.checks[2].s", "ok"),
        ] {
            assert_eq!(outcome(wrong.clone(), 200, body), Outcome::WrongBody, "{wrong:?}");
        }
        assert_eq!(outcome(json("$.status", "ok"), 200, "<html>"), Outcome::WrongBody);
        assert!(BodyCheck::new(json("status", 1)).is_err());
    }
}
