//! What no message and no drawing may show: PEM, which may be a private key, passwords in URLs, and
//! the values of `clientKey` and of other names that say that they are secret.

use std::borrow::Cow;
use std::ops::Range;

use super::tree::{Node, Value};
use crate::timeline::{credentials, is_of_name, is_secret_name};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// From here on, letters of both cases and digits are the line of a PEM; nothing else that an
/// experiment names is as long.
const LONGEST_WORD: usize = 40;

/// A message without them.
pub(super) fn message(text: String) -> String {
    let mut shown = text.clone();
    for range in pem(&text).into_iter().rev() {
        shown.replace_range(range, "…");
    }
    let urls: Vec<_> = urls(&shown).collect();
    for range in urls.into_iter().rev() {
        shown.replace_range(range, "…");
    }
    shown
}

/// The text of a file without them; every byte stays at its place. The file may be no YAML: where a
/// value ends is a guess.
pub(crate) fn source(text: &str) -> Cow<'_, str> {
    without(text, Vec::new())
}

/// The same of a file that was read: all of a value, wherever it stands.
pub(crate) fn document<'t>(text: &'t str, root: &Node) -> Cow<'t, str> {
    let mut known = Vec::new();
    values(text, root, &mut known);
    without(text, known)
}

/// Where the values of secrets stand. An alias (`*a`) repeats one that stands elsewhere.
fn values(text: &str, node: &Node, found: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Map(entries) => {
            for (name, child) in entries {
                if let (true, Some(value)) = (is_secret_name(name), child.text()) {
                    let span = child.span.start..child.span.end;
                    if text.get(span.clone()).is_some_and(|text| text.starts_with('*')) {
                        found.extend(text.match_indices(value).map(|(at, _)| at..at + value.len()));
                    }
                    found.push(span);
                }
                values(text, child, found);
            }
        }
        Value::List(items) => items.iter().for_each(|item| values(text, item, found)),
        Value::Scalar { .. } => {}
    }
}

fn without(text: &str, mut hidden: Vec<Range<usize>>) -> Cow<'_, str> {
    hidden.extend(pem(text));
    hidden.extend(named(text));
    hidden.extend(urls(text));
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

/// Users and passwords in URLs.
fn urls(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.split_whitespace().filter_map(move |word| {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        credentials(word).map(|range| at + range.start..at + range.end)
    })
}

/// Values under names that say that they are secret.
fn named(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.match_indices(':').filter_map(move |(colon, _)| {
        let key = text[..colon].trim_end_matches(['"', '\'', ' ']);
        let start = key.trim_end_matches(is_of_name).len();
        if !is_secret_name(&key[start..]) {
            return None;
        }
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let before = text[line..start].trim_end_matches(['"', '\'']);
        let indent = before.len();
        let is_block = before.trim_start_matches([' ', '-']).is_empty();
        let value = text[colon + 1..].trim_start();
        let start = text.len() - value.len();
        let is_below = text[colon..start].contains('\n');
        let word = value.split_whitespace().next()?;
        if is_below && (indent_of(text, start) <= indent || word.ends_with(':'))
            || value.starts_with(['{', '[', '#', '*'])
            || ["true", "false", "null", "~"].contains(&word.trim_end_matches([',', '}']))
        {
            return None;
        }
        let length = match value.chars().next()? {
            '"' => quoted(value, '"', '\\'),
            '\'' => quoted(value, '\'', '\''),
            '|' | '>' => {
                let first = value.find('\n').unwrap_or(value.len());
                return Some(start + first..start + first + deeper(&value[first..], indent));
            }
            _ => {
                let first = value.find('\n').unwrap_or(value.len());
                match is_block {
                    true => first + deeper(&value[first..], indent),
                    false => value.find([',', '}', '\n']).unwrap_or(value.len()),
                }
            }
        };
        Some(start..start + length)
    })
}

/// How long a text in quotes is; `escape` before a quote makes it a letter.
fn quoted(value: &str, quote: char, escape: char) -> usize {
    let mut letters = value.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        if letter == escape && next.is_some() && (escape != quote || next == Some(quote)) {
            letters.next();
        } else if letter == quote {
            return at + 1;
        }
    }
    value.len()
}

/// How many bytes the lines have, from the next one on, that are further in than `indent`, or
/// blank.
fn deeper(text: &str, indent: usize) -> usize {
    let lines = text.split_inclusive('\n').skip(1);
    let lines = lines.take_while(|line| {
        line.trim().is_empty() || line.len() - line.trim_start_matches(' ').len() > indent
    });
    lines.map(str::len).sum::<usize>() + usize::from(text.starts_with('\n'))
}

/// How far in the place of a line's first letter is.
fn indent_of(text: &str, at: usize) -> usize {
    at - text[..at].rfind('\n').map_or(0, |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::tests::tree;

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
        assert_eq!(shown("`http://me:pw@host/` no"), "`http://…@host/` no");
        let digest = format!("node@sha256:{}", "0123456789abcdef".repeat(4));
        assert_eq!(shown(&digest), digest);
    }

    #[test]
    fn a_value_is_hidden_wherever_its_file_has_it() {
        let hidden = |text: &str| document(text, &tree(text)).into_owned();
        let text = "x: &a Bearer b\nheaders: {Authorization: *a, X-Token: c\n d}\n";
        let shown = "x: &a ********\nheaders: {Authorization: **, X-Token: *\n**}\n";
        assert_eq!(hidden(text), shown);
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
        assert_eq!(hidden("url: https://me:pw@host/"), "url: https://*****@host/");
        assert_eq!(hidden("Authorization: a, b\nX-Id: c"), "Authorization: ****\nX-Id: c");
        assert_eq!(hidden("x_token: 'a''b' # c"), "x_token: ****** # c");
        assert_eq!(hidden("{\"X-Api-Key\": \"a\\\"b\"}"), "{\"X-Api-Key\": ******}");
        let block = " cookie: >-\n   ab\n\n   c\n next: 1\n";
        assert_eq!(hidden(block), " cookie: >-\n*****\n\n****\n next: 1\n");
        for right in ["token:\nnext: 1\n", "token:\n  a: b\n", "mountsToken: false", "token: *a"] {
            assert_eq!(hidden(right), right);
        }
        for right in ["clientKey: {file: a.key}", "clientKey:\n  file: a.key\n", "clientKey: |\n"] {
            assert_eq!(hidden(right), right);
        }
    }
}
