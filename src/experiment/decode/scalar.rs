//! Decoders of single values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::duration;
use super::fields::{Cx, Fields};
use crate::experiment::schema::FileText;
use crate::experiment::tree::{Node, Value, quoted};
use crate::kind_config::{LABEL_VALUE, is_dns_label, is_label_value, is_qualified_name};
use crate::yaml::suggest;

/// A text. What looks like a number or a boolean must be in quotes.
pub(crate) fn text(cx: &Cx, node: &Node) -> Option<String> {
    cx.reads(|| json!({"type": "string"}))?;
    match &node.value {
        Value::Scalar { text, plain: true } if !node.is_null() && looks_otherwise(text) => cx
            .error_hint(
                node.focus(),
                format!("expected a string, found {}", node.described()),
                format!("put it in quotes: \"{text}\""),
            ),
        Value::Scalar { text, .. } if !node.is_null() => Some(text.clone()),
        _ => cx.expected(node, "a string"),
    }
}

fn looks_otherwise(text: &str) -> bool {
    text.parse::<f64>().is_ok() || boolean(text).is_some()
}

/// A text that is not empty.
pub(crate) fn sentence(cx: &Cx, node: &Node) -> Option<String> {
    match text(cx, node)? {
        empty if empty.trim().is_empty() => {
            cx.error(node.focus(), "expected a string, found an empty one")
        }
        text => Some(text),
    }
}

/// A DNS label, as Kubernetes wants names: at most 63 of `a-z`, `0-9` and `-`, none of them `-` at
/// either end.
pub(crate) fn dns_label(cx: &Cx, node: &Node) -> Option<String> {
    name(cx, node, LABEL, is_dns_label)
}

pub(crate) fn node_name(cx: &Cx, node: &Node) -> Option<String> {
    name(cx, node, 253, is_dns_name)
}

/// DNS labels with dots between them.
pub(super) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// The key of a taint: `disk`, or `example.com/disk`.
pub(crate) fn qualified_name(cx: &Cx, node: &Node) -> Option<String> {
    match text(cx, node)? {
        name if is_qualified_name(&name) => Some(name),
        other => {
            let message = format!("{} is not a valid key", quoted(&other));
            cx.error_hint(node.focus(), message, "such as `example.com/disk`")
        }
    }
}

/// The value of a taint.
pub(crate) fn label_value(cx: &Cx, node: &Node) -> Option<String> {
    match text(cx, node)? {
        value if is_label_value(&value) => Some(value),
        other => {
            let message = format!("{} is not a valid value", quoted(&other));
            cx.error_hint(node.focus(), message, LABEL_VALUE)
        }
    }
}

/// The characters of a DNS label.
const LABEL: usize = 63;

fn name(cx: &Cx, node: &Node, longest: usize, valid: fn(&str) -> bool) -> Option<String> {
    cx.reads_as(if longest > LABEL { "nodeName" } else { "name" }, || {
        let about = format!("A name: a-z, 0-9 and `-`, {longest} characters at most.");
        json!({"type": "string", "pattern": "^[a-z0-9.-]+$", "maxLength": longest, "description": about})
    })?;
    let Some(text) = node.text() else { return cx.expected(node, "a name") };
    if valid(text) && text.len() <= longest {
        return Some(text.to_owned());
    }
    let (message, hint) = not_a_name(text, longest);
    cx.error_hint(node.focus(), message, hint)
}

fn not_a_name(text: &str, longest: usize) -> (String, String) {
    let hint = format!(
        "a name has only a-z, 0-9 and `-`, begins and ends with a letter or digit, and is at \
         most {longest} characters long"
    );
    (format!("{} is not a valid name", quoted(text)), hint)
}

/// A namespace that was typed elsewhere than in a file. Errors say what is wrong.
pub(crate) fn typed_namespace(text: &str) -> Result<String, String> {
    match is_dns_label(text) {
        true => Ok(text.to_owned()),
        false => {
            let (message, hint) = not_a_name(text, LABEL);
            Err(format!("{message} ({hint})"))
        }
    }
}

/// A duration; 0 is one.
pub(crate) fn duration(cx: &Cx, node: &Node) -> Option<Duration> {
    cx.reads_as("duration", || {
        let about = "A duration from 1ms to 24h: `200ms`, `1.5s`, `1m30s`.";
        json!({"type": "string", "pattern": "^([0-9.]+(ms|s|m|h))+$", "description": about})
    })?;
    let Some(text) = node.text() else { return cx.expected(node, "a duration such as `15s`") };
    duration::duration(text)
        .or_else(|error| cx.error_hint(node.focus(), error.message, error.hint).ok_or(()))
        .ok()
}

/// A duration above 0.
pub(crate) fn positive(cx: &Cx, node: &Node) -> Option<Duration> {
    match duration(cx, node)? {
        Duration::ZERO => cx.error(node.focus(), "the duration must be greater than 0"),
        some => Some(some),
    }
}

/// A rate among those that are allowed, in attempts a second.
pub(crate) fn rate(cx: &Cx, node: &Node, rates: duration::Rates) -> Option<f64> {
    cx.reads_as("rate", || {
        let about = "Attempts per second or minute: `50/s`, `3/min`. From 1/s to 1000/s; a \
                     canary's from 0.01/s to 5/s.";
        json!({"type": "string", "pattern": "^[0-9.]+ */ *(s|m|min)$", "description": about})
    })?;
    let Some(text) = node.text() else { return cx.expected(node, "a rate such as `50/s`") };
    duration::rate_of(text, rates)
        .or_else(|error| cx.error_hint(node.focus(), error.message, error.hint).ok_or(()))
        .ok()
}

/// A share, as `5%` or as a number from 0 to 1.
pub(crate) fn share(cx: &Cx, node: &Node) -> Option<f64> {
    cx.reads_as("share", || {
        let percent = json!({"type": "string", "pattern": "^[0-9.]+ *%$"});
        let number = json!({"type": "number", "minimum": 0, "maximum": 1});
        let about = "A share: percents such as `5%`, or a number from 0 to 1.";
        json!({"description": about, "anyOf": [number, percent]})
    })?;
    let text = node.text().unwrap_or_default();
    let read = |number: &str| number.trim().parse::<f64>().ok();
    let share = match text.strip_suffix('%') {
        Some(percent) => read(percent).map(|percent| percent / 100.0),
        None => read(text),
    };
    let found = share.filter(|share| (0.0..=1.0).contains(share));
    match share.filter(|share| (1.0..=100.0).contains(share) && !text.ends_with('%')) {
        Some(percent) if found.is_none() => {
            cx.expected_hint(node, SHARE, format!("did you mean `{percent}%`?"))
        }
        _ => found.or_else(|| cx.expected(node, SHARE)),
    }
}

const SHARE: &str = "a share such as `5%`, or a number from 0 to 1";

/// Whole percents, 1 to 100.
pub(crate) fn percent(cx: &Cx, node: &Node) -> Option<u32> {
    cx.reads_as("percent", || {
        let about = "Whole percents, from `1%` to `100%`.";
        json!({"type": "string", "pattern": "^([1-9][0-9]?|100)%$", "description": about})
    })?;
    let text = node.text().unwrap_or_default();
    let found = text.strip_suffix('%').and_then(|number| number.parse().ok());
    match found.filter(|percent| (1..=100).contains(percent)) {
        Some(percent) => Some(percent),
        None => cx.expected(node, "whole percents from `1%` to `100%`"),
    }
}

/// A whole number, 0 or more.
pub(crate) fn count(cx: &Cx, node: &Node) -> Option<u32> {
    cx.reads(|| json!({"type": "integer", "minimum": 0}))?;
    let text = node.text().unwrap_or_default();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(count) => Some(count),
        Err(_) if is_number => cx.error(
            node.focus(),
            format!("{} is too large: {} at most", node.described(), u32::MAX),
        ),
        Err(_) => cx.expected(node, "a whole number of 0 or more"),
    }
}

/// A whole number, 1 or more.
pub(crate) fn at_least_one(cx: &Cx, node: &Node) -> Option<u32> {
    cx.reads(|| json!({"type": "integer", "minimum": 1}))?;
    match count(cx, node)? {
        0 => cx.error(node.focus(), "expected 1 or more: 0 is always met"),
        some => Some(some),
    }
}

/// A port, 1 to 65535.
pub(crate) fn port(cx: &Cx, node: &Node) -> Option<u16> {
    cx.reads(|| json!({"type": "integer", "minimum": 1, "maximum": 65535}))?;
    let found = node.text().and_then(|text| text.parse().ok()).filter(|port| *port > 0);
    found.or_else(|| cx.expected(node, "a port from 1 to 65535"))
}

/// `true` or `false`.
pub(crate) fn flag(cx: &Cx, node: &Node) -> Option<bool> {
    cx.reads(|| json!({"type": "boolean"}))?;
    match (&node.value, node.text().and_then(boolean)) {
        (Value::Scalar { text, plain: true }, Some(flag))
            if matches!(text.as_str(), "true" | "false") =>
        {
            Some(flag)
        }
        (_, Some(flag)) => {
            let message = format!("expected `true` or `false`, found {}", node.described());
            cx.error_hint(node.focus(), message, format!("write `{flag}`, without quotes"))
        }
        _ => cx.expected(node, "`true` or `false`"),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `{file: PATH}`, relative to the experiment.
pub(crate) fn named_file(cx: &Cx, node: &Node) -> Option<PathBuf> {
    const WHAT: &str = "a file to read";
    if node.text().is_some() {
        // It may be a private key.
        let message = format!("expected {WHAT} (a mapping), found a text");
        let hint = "save it to a file, and write `{file: client.key}`";
        return cx.error_hint(node.focus(), message, hint);
    }
    let mut fields = Fields::of(cx, node, WHAT)?;
    let file = fields.doc("The file.").required("file", path);
    fields.finish();
    file
}

/// A text, or a file that has it.
pub(crate) fn text_or_file(cx: &Cx, node: &Node) -> Option<FileText> {
    cx.reads_also(|| json!({"type": "string"}), || named_file(cx, node))?;
    match node.value {
        Value::Map(_) => {
            named_file(cx, node).map(|file| FileText { file: Some(file), text: String::new() })
        }
        _ => text(cx, node).map(|text| FileText { file: None, text }),
    }
}

/// A string, a number or a boolean.
pub(crate) fn scalar(cx: &Cx, node: &Node) -> Option<Json> {
    cx.reads(|| json!({"type": ["string", "number", "boolean"]}))?;
    match &node.value {
        // What JSON takes for a number or a boolean is one.
        Value::Scalar { text, plain: true } => match serde_json::from_str(text) {
            Ok(read) => Some(read),
            Err(_) if looks_otherwise(text) => cx.error_hint(
                node.focus(),
                format!("{} is not written as in JSON", node.described()),
                "write `true`, `false` or a JSON number, or a string in quotes",
            ),
            Err(_) => Some(text.clone().into()),
        },
        Value::Scalar { text, plain: false } => Some(text.clone().into()),
        _ => cx.expected(node, "a string, a number or a boolean"),
    }
}

pub(crate) fn choice<T: Copy>(
    cx: &Cx,
    node: &Node,
    what: &str,
    choices: &[(&str, T)],
) -> Option<T> {
    let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    cx.reads(|| json!({"enum": words}))?;
    let Some(text) = node.text() else { return cx.expected(node, &suggest::listed(&words, "or")) };
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let hint = suggest::hint(text, &words, &format!("the {what} is one of")).unwrap_or_default();
    cx.error_hint(node.focus(), format!("unknown {what} {}", quoted(text)), hint)
}

pub(crate) fn path(cx: &Cx, node: &Node) -> Option<PathBuf> {
    cx.reads_as("file", || {
        let about = "A path, relative to the file that names it.";
        json!({"type": "string", "description": about})
    })?;
    match sentence(cx, node)? {
        url if url.contains("://") => cx.error_hint(
            node.focus(),
            "expected a file, found a URL",
            "download and review it first",
        ),
        path => Some(PathBuf::from(path)),
    }
}

/// Texts by key, at least one: labels.
pub(crate) fn labels(cx: &Cx, node: &Node) -> Option<BTreeMap<String, String>> {
    match texts(cx, node)? {
        empty if empty.is_empty() => {
            cx.error(node.focus(), "expected labels, found none: that would match everything")
        }
        labels => Some(labels),
    }
}

pub(crate) fn texts(cx: &Cx, node: &Node) -> Option<BTreeMap<String, String>> {
    cx.reads(|| json!({"type": "object", "additionalProperties": {"type": "string"}}))?;
    match &node.value {
        Value::Map(entries) => {
            let all: Vec<_> =
                entries.iter().map(|(key, value)| Some((key.clone(), text(cx, value)?))).collect();
            all.into_iter().collect()
        }
        _ => cx.expected(node, "a mapping of strings"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::tests::decoded;
    use super::*;

    /// The value that a decoder makes of a scalar, or its problem without the place.
    fn one<T>(yaml: &str, decode: fn(&Cx, &Node) -> Option<T>) -> Result<T, String> {
        let (found, problems) =
            decoded(&format!("a: {yaml}"), |cx, node| decode(cx, node.get("a").unwrap()));
        found.ok_or(problems.replace("1:4: error: ", ""))
    }

    #[test]
    fn a_text_that_looks_like_something_else_needs_quotes() {
        assert_eq!(one("abc", text), Ok("abc".into()));
        assert_eq!(one("\"5\"", text), Ok("5".into()));
        assert_eq!(one("\"\"", text), Ok(String::new()));
        assert_eq!(
            one("5", text),
            Err("expected a string, found `5` (put it in quotes: \"5\")".into())
        );
        assert_eq!(
            one("yes", text),
            Err("expected a string, found `yes` (put it in quotes: \"yes\")".into())
        );
        assert_eq!(one("[a]", text), Err("expected a string, found a list".into()));
    }

    #[test]
    fn a_value_of_json_is_written_as_there() {
        for (typed, value) in [
            ("true", json!(true)),
            ("1.5e3", json!(1500.0)),
            ("\"on\"", json!("on")),
            ("ready", json!("ready")),
        ] {
            assert_eq!(one(typed, scalar), Ok(value));
        }
        for typed in ["True", "yes", "on", ".5", "+1", "007"] {
            let why = "is not written as in JSON (write `true`, `false` or a JSON number, or a string in quotes)";
            assert_eq!(one(typed, scalar), Err(format!("`{typed}` {why}")));
        }
    }

    #[test]
    fn names_are_dns_labels() {
        assert_eq!(one("web-2", dns_label), Ok("web-2".into()));
        for bad in ["Web", "-web", "web-", "we_b", "a.b", &"a".repeat(64)] {
            assert!(one(bad, dns_label).is_err(), "{bad}");
        }
        assert!(one("node.example.com", node_name).is_ok());
        for typed in ["Bad NS", "a/b", "a.b"] {
            assert_eq!(typed_namespace(typed), one(&format!("{typed:?}"), dns_label), "{typed}");
        }
        assert!(typed_namespace("").is_err() && typed_namespace("shop").is_ok());
    }

    #[test]
    fn shares_lie_between_0_and_1() {
        assert_eq!(one("0.25", share), Ok(0.25));
        assert_eq!((one("99%", share), one("0.5 %", share)), (Ok(0.99), Ok(0.005)));
        let wrong = "expected a share such as `5%`, or a number from 0 to 1, found";
        assert_eq!(one("150%", share), Err(format!("{wrong} `150%`")));
        assert_eq!(one("5", share), Err(format!("{wrong} `5` (did you mean `5%`?)")));
        assert!(["-1", "nan", "nan%", "inf%"].iter().all(|text| one(text, share).is_err()));
    }

    #[test]
    fn flags_are_true_or_false_only() {
        assert_eq!(one("true", flag), Ok(true));
        assert_eq!(
            one("no", flag),
            Err("expected `true` or `false`, found `no` (write `false`, without quotes)".into())
        );
        assert_eq!(
            one("1", flag),
            Err("expected `true` or `false`, found `1` (write `true`, without quotes)".into())
        );
        assert_eq!(one("7", flag), Err("expected `true` or `false`, found `7`".into()));
    }

    #[test]
    fn ports_and_counts_are_whole_numbers() {
        assert_eq!(one("80", port), Ok(80));
        assert_eq!(one("2", count), Ok(2));
        for bad in ["0", "65536", "http", "-1", "8.5"] {
            assert!(one(bad, port).is_err(), "{bad}");
        }
        assert_eq!(
            one("-1", count),
            Err("expected a whole number of 0 or more, found `-1`".into())
        );
        assert!(one("-1", count).is_err() && one("0", at_least_one).is_err());
    }

    #[test]
    fn nothing_is_not_a_duration() {
        assert_eq!(one("0s", positive), Err("the duration must be greater than 0".into()));
        assert_eq!(one("0s", duration), Ok(Duration::ZERO));
        assert_eq!(
            one("[]", positive),
            Err("expected a duration such as `15s`, found an empty list".into())
        );
        assert_eq!(
            one("15", duration),
            Err("expected a duration, found `15`, which has no unit (did you mean `15s`?)".into())
        );
    }

    #[test]
    fn a_choice_helps_with_slips() {
        let decode: fn(&Cx, &Node) -> Option<u8> =
            |cx, node| choice(cx, node, "role", &[("worker", 1), ("control-plane", 2)]);
        assert_eq!(one("worker", decode), Ok(1));
        assert_eq!(
            one("controlplane", decode),
            Err("unknown role `controlplane` (did you mean `control-plane`?)".into())
        );
        assert_eq!(
            one("boss", decode),
            Err("unknown role `boss` (the role is one of `worker` and `control-plane`)".into())
        );
    }

    #[test]
    fn labels_must_choose_something() {
        assert!(one("{app: web}", labels).is_ok());
        assert!(one("{}", labels).unwrap_err().contains("would match everything"));
    }
}
