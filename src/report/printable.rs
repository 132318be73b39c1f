//! Texts that do nothing but be read. Names, messages and events come from a run's folder, a cluster
//! or a file: none of them may write to a terminal, nor turn the direction in which a text is read.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::ink::Ink;

/// Whether a character would do something to a terminal, or to the order in which text is read.
pub fn is_unprintable(c: char) -> bool {
    let turns_text = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    (c.is_control() && c != '\n') || turns_text || c == Ink::MARK
}

/// A text in which such characters are escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            c if is_unprintable(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.into()
}

/// A value as data, all its texts printable: before it is written, since an escape that is put in
/// afterwards is another one in each format.
pub(super) fn data(value: &impl Serialize) -> Value {
    fn clean(value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(clean) = printable(text) {
                    *text = clean;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(clean),
            Value::Object(entries) => {
                if entries.keys().any(|key| key.contains(is_unprintable)) {
                    let taken = std::mem::take(entries).into_iter();
                    entries.extend(taken.map(|(key, value)| (printable(&key).into_owned(), value)));
                }
                entries.values_mut().for_each(clean);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut value = serde_json::to_value(value).expect("reports are plain data");
    clean(&mut value);
    value
}

#[cfg(test)]
mod tests {
    use super::super::json;

    #[test]
    fn every_format_has_the_same_printable_value() {
        let hostile = "a\x1b[2Jb\x07\r\x7f\u{85}\u{9b}31m\u{202e}c\u{2066}: \u{10ffff}\n\"d' #";
        let value = serde_json::json!({hostile: [hostile, "\u{202e}x", "plain", 1]});
        let texts = [json::pretty(&value), json::yaml(&value)];
        for text in &texts {
            assert!(!text.contains(super::is_unprintable), "{text:?}");
        }
        let read: serde_json::Value = serde_json::from_str(&texts[0]).unwrap();
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&texts[1]).unwrap(), read);
        let (key, items) = read.as_object().unwrap().iter().next().unwrap();
        assert!(
            key.starts_with("a\\u{1b}[2Jb\\u{7}\\r\\u{7f}\\u{85}\\u{9b}31m\\u{202e}c"),
            "{key}"
        );
        assert_eq!(items[1], "\\u{202e}x");
    }
}
