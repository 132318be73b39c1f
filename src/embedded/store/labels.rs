//! Label selectors: which objects a list, a watch, a Service or a ReplicaSet means.

use serde_json::Value;

/// Conditions on labels, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl LabelSelector {
    /// Reads the form of a query: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Errors with what is not
    /// understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let conditions = split(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
        Ok(Self(conditions.map(requirement).collect::<Result<_, _>>()?))
    }

    /// Reads an object's own form: `{matchLabels: {...}, matchExpressions: [...]}`.
    pub(crate) fn of_object(selector: &Value) -> Self {
        let mut all = Self::of_map(&selector["matchLabels"]).0;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let values =
                || expression["values"].as_array().into_iter().flatten().map(text).collect();
            let condition = match expression["operator"].as_str() {
                Some("In") => Condition::In(values()),
                Some("NotIn") => Condition::NotIn(values()),
                Some("DoesNotExist") => Condition::Absent,
                _ => Condition::Exists,
            };
            all.push(Requirement { key: text(&expression["key"]), condition });
        }
        Self(all)
    }

    /// Reads a Service's form: `{a: b}`.
    pub(crate) fn of_map(labels: &Value) -> Self {
        let requirement = |(key, value): (&String, &Value)| Requirement {
            key: key.clone(),
            condition: Condition::In(vec![value.as_str().unwrap_or_default().to_owned()]),
        };
        Self(labels.as_object().into_iter().flatten().map(requirement).collect())
    }

    /// Whether it asks for nothing, and so takes everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels (a map, or null) is meant.
    pub(crate) fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|Requirement { key, condition }| {
            let value = labels.get(key).and_then(Value::as_str);
            match condition {
                Condition::In(values) => {
                    value.is_some_and(|value| values.iter().any(|wanted| wanted == value))
                }
                Condition::NotIn(values) => {
                    value.is_none_or(|value| values.iter().all(|other| other != value))
                }
                Condition::Exists => value.is_some(),
                Condition::Absent => value.is_none(),
            }
        })
    }
}

/// At the commas outside of brackets.
fn split(text: &str) -> Vec<&str> {
    let mut inside = false;
    let at_comma = |c: char| {
        inside = match c {
            '(' => true,
            ')' => false,
            _ => inside,
        };
        c == ',' && !inside
    };
    text.split(at_comma).collect()
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let set = |rest: &str| {
        let values = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let values = values.ok_or_else(|| {
            format!("unable to parse requirement: found '{text}', expected: (values)")
        })?;
        Ok::<_, String>(values.split(',').map(|value| value.trim().to_owned()).collect::<Vec<_>>())
    };
    let (key, condition) = if let Some((key, value)) = text.split_once("!=") {
        (key, Condition::NotIn(vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        (key, Condition::In(vec![value.trim().to_owned()]))
    } else if let Some((key, rest)) = text.split_once(" notin ") {
        (key, Condition::NotIn(set(rest)?))
    } else if let Some((key, rest)) = text.split_once(" in ") {
        (key, Condition::In(set(rest)?))
    } else if let Some(key) = text.strip_prefix('!') {
        (key, Condition::Absent)
    } else {
        (text, Condition::Exists)
    };
    let key = key.trim();
    match key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) && !key.is_empty() {
        true => Ok(Requirement { key: key.to_owned(), condition }),
        false => Err(format!("unable to parse requirement: '{text}' has no key")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operator_means_what_kubernetes_means() {
        let labels = json!({"app": "web", "tier": "front", "empty": ""});
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=web,tier=back", false),
            ("app!=api", true),
            ("app!=web", false),
            ("other!=x", true),
            ("app in (api, web)", true),
            ("app notin (api,web),tier", false),
            ("other notin (x)", true),
            ("app", true),
            ("other", false),
            ("!other", true),
            ("!app", false),
            ("empty=", true),
            ("app in (web),tier in (back,front),!x", true),
        ] {
            assert_eq!(
                LabelSelector::parse(selector).unwrap().matches(&labels),
                expected,
                "{selector}"
            );
        }
        assert!(LabelSelector::parse("app in web").is_err() && LabelSelector::parse("=x").is_err());
        assert!(!LabelSelector::parse("app").unwrap().matches(&Value::Null));
    }

    #[test]
    fn an_objects_selector_is_the_same() {
        let selector = json!({"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "tier", "operator": "NotIn", "values": ["back"]}, {"key": "x", "operator": "DoesNotExist"}]});
        let selector = LabelSelector::of_object(&selector);
        assert!(selector.matches(&json!({"app": "web", "tier": "front"})));
        assert!(!selector.matches(&json!({"app": "web", "tier": "back"})));
        assert!(!selector.matches(&json!({"app": "web", "x": "1"})));
        assert_eq!(
            LabelSelector::of_map(&json!({"app": "web"})),
            LabelSelector::parse("app=web").unwrap()
        );
    }
}
