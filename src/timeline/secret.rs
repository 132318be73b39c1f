//! What must not get into a timeline, a report or a log.

use std::fmt;
use std::ops::Range;

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "(secret)";

/// A header, field, flag or variable whose name ends with one of these has a secret. As names are
/// compared, `_` is `-`.
const NAMES: [&str; 13] = [
    "authorization",
    "password",
    "passwd",
    "token",
    "cookie",
    "apikey",
    "api-key",
    "auth-key",
    "access-key",
    "clientkey",
    "client-key-data",
    "client-secret",
    "clientsecret",
];

/// Something that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret<T>(pub T);

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Whether the value of a header, field, flag or variable is a secret, by its name.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = compared(name);
    name.chars().all(is_of_name) && NAMES.iter().any(|secret| name.ends_with(secret))
}

/// Every byte stays at its place.
fn compared(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', "-")
}

pub(crate) fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

/// The user and password of a URL within a word.
pub(crate) fn credentials(word: &str) -> Option<Range<usize>> {
    let (start, end) = (word.find("://")? + 3, word.rfind('@')?);
    (start < end && word[start..end].contains(':')).then_some(start..end)
}

/// A line without the values of what is called a secret, tokens that look like one, and passwords in
/// URLs.
pub(crate) fn without_secrets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut before, mut rest) = ("", line);
    while !rest.is_empty() {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let next = after.find(|c: char| !c.is_whitespace()).unwrap_or(after.len());
        match is_lead(before) {
            true => out.push_str(HIDDEN),
            false => out.push_str(&word_without_secrets(word)),
        }
        out.push_str(&after[..next]);
        (before, rest) = (word, &after[next..]);
    }
    out
}

/// Whether the word after this one is a secret: `Bearer`, `password:`.
fn is_lead(word: &str) -> bool {
    let bare = word.trim_end_matches([':', '=', '"', '\'']);
    let bare = bare.trim_start_matches(['"', '\'', '{', '(', '[', '-']);
    matches!(bare.to_ascii_lowercase().as_str(), "bearer" | "basic")
        || word != bare && is_secret_name(bare)
}

fn word_without_secrets(word: &str) -> String {
    if word.contains("eyJ") && word.matches('.').count() >= 2 {
        return HIDDEN.to_owned();
    }
    let text = compared(word);
    for name in NAMES {
        let Some(at) = text.find(name) else { continue };
        let value = text[at + name.len()..].trim_start_matches(['"', '\'', '\\']);
        let begins = text.len() - value.len();
        if value.len() > 1 && value.starts_with(['=', ':']) {
            return format!("{}{HIDDEN}", &word[..=begins]);
        }
    }
    match credentials(word) {
        Some(range) => format!("{}{HIDDEN}{}", &word[..range.start], &word[range.end..]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_without_secrets() {
        for (line, kept) in [
            ("GET /api Authorization: Bearer abc.def", "GET /api Authorization: (secret) (secret)"),
            ("using Bearer abcdef now", "using Bearer (secret) now"),
            ("X-Api-Key: abcdef now", "X-Api-Key: (secret) now"),
            ("url=https://me:hunter2@host/x", "url=https://(secret)@host/x"),
            ("etcd --password=hunter2 --x", "etcd --password=(secret) --x"),
            ("AWS_SECRET_ACCESS_KEY=hunter2 aws", "AWS_SECRET_ACCESS_KEY=(secret) aws"),
            (r#"{"token":"hunter2"}"#, r#"{"token":(secret)"#),
            (r#"{"password": "hunter2", x"#, r#"{"password": (secret) x"#),
            ("jwt eyJhbGciOi.eyJpc3MiOi.c2ln end", "jwt (secret) end"),
            (
                "secret \"kube-system/token-abc\" not found",
                "secret \"kube-system/token-abc\" not found",
            ),
            ("mount \"/run/secrets/token\" failed", "mount \"/run/secrets/token\" failed"),
            ("the token expired", "the token expired"),
        ] {
            assert_eq!(without_secrets(line), kept);
        }
    }

    #[test]
    fn names_tell_what_is_secret() {
        for name in ["Authorization", "proxy-authorization", "Cookie", "X-Api-Key", "DB_PASSWORD"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["Idempotency-Key", "Accept", "token-ttl", "", "/run/token"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
