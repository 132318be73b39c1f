//! YAML -> JSON as `sigs.k8s.io/yaml` converts it, which resolves plain scalars by YAML 1.1 (its
//! `goyaml.v2/resolve.go`). The only place that knows these rules: kubectl reads objects by them,
//! and kind its patches.

use serde_json::{Number, Value};

use super::tree::{self, Node};

/// A document as it is sent.
pub(crate) fn of_node(node: &Node) -> Value {
    match &node.value {
        tree::Value::Scalar { text, plain: true } => plain(text),
        tree::Value::Scalar { text, plain: false } => text.as_str().into(),
        tree::Value::List(items) => items.iter().map(of_node).collect(),
        tree::Value::Map(entries) => {
            Value::Object(entries.iter().map(|(key, node)| (key.clone(), of_node(node))).collect())
        }
    }
}

/// The one document of a text; an empty text is null. Errors say where it is wrong, and what.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    match super::documents(text)?.as_slice() {
        [] => Ok(Value::Null),
        [document] => Ok(of_node(document)),
        [..] => Err("it has several documents".into()),
    }
}

/// A scalar without quotes. Sexagesimal numbers (`1:30`) and dates are texts.
pub(crate) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return true.into();
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return false.into();
        }
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || ['+', '-', '.'].contains(&c)) {
        return text.into();
    }
    let digits = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    integer(&digits).or_else(|| float(&digits)).map_or_else(|| text.into(), Value::Number)
}

/// A text as YAML reads it, in a list on one line, too.
pub(crate) fn written(text: &str) -> String {
    match needs_no_quotes(text) {
        true => text.to_owned(),
        // Escapes are hard to read, and between single quotes a line break is read as a blank.
        false if text.contains(['"', '\\']) && !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', "''"))
        }
        false => Value::from(text).to_string(),
    }
}

/// Whether a text without quotes is read as this text. With more care than [`plain`]: other readers
/// take `.inf` for a number.
fn needs_no_quotes(text: &str) -> bool {
    let begin = text.trim_start_matches(['-', '/', '.']);
    begin.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@=+:".contains(c))
        && !text.ends_with(':')
        && plain(&text.to_ascii_lowercase()).is_string()
        && text.trim_start_matches(['-', '.']).parse::<f64>().is_err()
}

/// `0x1f`, `0b11`, `0o17`, `017` (octal as well), `17`.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = |prefix: &str| lower.strip_prefix(prefix).filter(|rest| !rest.is_empty());
    let (digits, radix) = match (radix("0x"), radix("0b"), radix("0o"), radix("0")) {
        (Some(hex), ..) => (hex, 16),
        (_, Some(binary), ..) => (binary, 2),
        (_, _, Some(octal), _) | (.., Some(octal)) => (octal, 8),
        _ => (lower.as_str(), 10),
    };
    // A second sign is none of Go's.
    let number = u64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))?;
    match negative {
        true => 0i64.checked_sub_unsigned(number).map(Number::from),
        false => Some(number.into()),
    }
}

/// Of a float that is whole, JSON shows only the whole number.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let looks = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().all(|c| c.is_ascii_digit() || ".eE+-".contains(c));
    let value: f64 = text.parse().ok().filter(|value: &f64| looks && value.is_finite())?;
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => Some((value as i64).into()),
        false => Number::from_f64(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::yaml::tests::tree;

    #[test]
    fn modes_are_octal_and_switches_are_booleans() {
        let read = of_node(&tree(
            "old: 0644\nnew: 0o644\nitem: 0400\nhex: 0x1F\nbig: 1_000\nlow: -010\non: [yes, No, on, OFF, y, n, True]\n",
        ));
        assert_eq!(
            read,
            json!({"old": 420, "new": 420, "item": 256, "hex": 31, "big": 1000, "low": -8,
                "on": [true, false, true, false, true, false, true]})
        );
    }

    #[test]
    fn what_is_read_as_a_text_needs_no_quotes() {
        for text in ["web", "/healthz", "--ids", "a:b", "shop/web", "-n", "x=1", "1a", "a b"] {
            let is_text = !["1a", "a b"].contains(&text);
            assert_eq!(needs_no_quotes(text), is_text, "{text}");
            if is_text {
                assert_eq!(of_node(&tree(&format!("[{text}, b]"))), json!([text, "b"]));
            }
        }
        for text in [
            "", "y", "No", "oFF", "TRUE", "null", "nan", ".inf", "-.INF", "a:", "-", "-1", "a,b",
            "#a", "a\nb", "'a'", "{a}",
        ] {
            assert!(!needs_no_quotes(text), "{text}");
        }
    }

    #[test]
    fn octals_and_prefixes_are_numbers_with_a_sign_too() {
        for (text, number) in [
            ("050", 40),
            ("0o50", 40),
            ("0O50", 40),
            ("0b101000", 40),
            ("0x28", 40),
            ("-050", -40),
            ("+0x28", 40),
            ("-0b101000", -40),
            ("4_0", 40),
        ] {
            assert_eq!(plain(text), json!(number), "{text}");
        }
    }

    #[test]
    fn numbers_are_gos_and_the_rest_is_text() {
        let read = of_node(&tree(
            "numbers: [1.5, 1.0, 1e3, .5, 089, 0, +3]\ntexts: [1:30, 2026-11-29, 1.2.3, 0xZZ, 10m, \"0644\", '5', nope, 1e, .]\nnothing: [~, null, ]\n",
        ));
        assert_eq!(read["numbers"], json!([1.5, 1, 1000, 0.5, 89, 0, 3]));
        assert!(read["texts"].as_array().unwrap().iter().all(Value::is_string), "{read}");
        assert_eq!(read["nothing"], json!([null, null]));
    }
}
