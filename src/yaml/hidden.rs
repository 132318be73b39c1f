//! What no message and no drawing may show: PEM, which may be a private key, and the value of
//! `clientKey`.

use std::borrow::Cow;
use std::ops::Range;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const KEY_FIELD: &str = "clientKey";
/// From here on, letters of both cases and digits are the line of a PEM; nothing else that an
/// experiment names is as long.
const LONGEST_WORD: usize = 40;

/// A message without them.
pub(super) fn message(text: String) -> String {
    let mut shown = text.clone();
    for range in pem(&text).into_iter().rev() {
        shown.replace_range(range, "…");
    }
    shown
}

/// The text of a file without them; every byte stays at its place.
pub(crate) fn source(text: &str) -> Cow<'_, str> {
    let mut hidden = pem(text);
    hidden.extend(key_fields(text));
    if hidden.is_empty() {
        return text.into();
    }
    let is_hidden = |at: usize| hidden.iter().any(|range| range.contains(&at));
    let mut shown = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        match letter {
            '\r' | '\n' => shown.push(letter),
            _ if is_hidden(at) => shown.extend(std::iter::repeat_n('*', letter.len_utf8())),
            _ => shown.push(letter),
        }
    }
    shown.into()
}

/// What stands between the markers, as far as there are any, and long words of base64.
fn pem(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(begin) = text[at..].find(BEGIN).map(|begin| at + begin + BEGIN.len()) {
        found.extend(words(text, at..begin));
        let start = text[begin..].find(DASHES).map_or(begin, |end| begin + end + DASHES.len());
        let rest = &text[start..];
        // One that was cut has no end.
        let is_body = |letter: char| is_base64(letter) || letter.is_whitespace() || letter == '\\';
        let cut = || rest.find(|letter| !is_body(letter)).unwrap_or(rest.len());
        at = start + rest.find(END).unwrap_or_else(cut);
        if !rest[..at - start].trim().is_empty() {
            found.push(start..at);
        }
    }
    found.extend(words(text, at..text.len()));
    found
}

fn words(text: &str, within: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let start = within.start;
    let part = &text[within];
    let words = part.split(|letter| !is_base64(letter)).filter(|word| {
        word.len() >= LONGEST_WORD
            && word.contains(|letter: char| letter.is_ascii_uppercase())
            && word.contains(|letter: char| letter.is_ascii_lowercase())
            && word.contains(|letter: char| letter.is_ascii_digit())
    });
    words.map(move |word| {
        let at = start + (word.as_ptr() as usize - part.as_ptr() as usize);
        at..at + word.len()
    })
}

fn is_base64(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=')
}

/// Values of `clientKey` that are not `{file: PATH}`.
fn key_fields(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices(KEY_FIELD).filter_map(move |(at, name)| {
        let after = text[at + name.len()..].trim_start_matches(['"', '\'']).trim_start();
        let value = after.strip_prefix(':')?.trim_start();
        let is_file = value.trim_start_matches(['"', '\'']).starts_with("file");
        if is_file || value.starts_with(['{', '|', '>', '#']) {
            return None;
        }
        let end = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].find(quote).map(|end| end + 2),
            _ => value.find([',', '}', '\n']),
        };
        let start = text.len() - value.len();
        Some(start..start + end.unwrap_or(value.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_hidden_however_it_is_written() {
        let shown = |text: &str| message(text.to_owned());
        for body in ["\nMIIEvQ\nab+/==\n", " MIIEvQ ab+/== ", "\\nMIIEvQ\\nab+/==\\n"] {
            let pem = format!("{BEGIN}PRIVATE KEY{DASHES}{body}{END}PRIVATE KEY{DASHES}");
            let hidden = shown(&format!("no {pem}: gone"));
            assert_eq!(hidden, "no -----BEGIN PRIVATE KEY-----…-----END PRIVATE KEY-----: gone");
        }
        assert_eq!(shown("`-----BEGIN KEY----- MIIEvQ…`"), "`-----BEGIN KEY-----……`");
        assert_eq!(shown(&format!("`{}`", "aB3".repeat(20))), "`…`");
        let digest = format!("node@sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(shown(&digest), digest);
    }

    #[test]
    fn the_rest_of_a_file_is_shown_in_its_place() {
        let hidden = |text: &str| {
            let hidden = source(text).into_owned();
            assert_eq!(hidden.len(), text.len());
            hidden
        };
        assert_eq!(hidden("{clientKey: sécret, ca: x}"), "{clientKey: *******, ca: x}");
        assert_eq!(hidden("clientKey: \"a, b\nc\" # x"), "clientKey: *****\n** # x");
        for right in ["clientKey: {file: a.key}", "clientKey:\n  file: a.key\n", "clientKey: |\n"] {
            assert_eq!(hidden(right), right);
        }
    }
}
