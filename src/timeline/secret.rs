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

/// The user and password, or the token, of a URL within a word.
pub(crate) fn credentials(word: &str) -> Option<Range<usize>> {
    let start = word.find("://")? + 3;
    let authority = word[start..].split(['/', '?', '#']).next()?;
    let end = start + authority.rfind('@')?;
    (start < end).then_some(start..end)
}

/// A line without the values of what is called a secret, tokens that look like one, and passwords in
/// URLs.
pub(crate) fn without_secrets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut before, mut rest) = ("", line);
    while !rest.is_empty() {
        let mut end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        match lead(before, &rest[..end]) {
            Lead::None => out.push_str(&word_without_secrets(&rest[..end])),
            Lead::Word => {
                end = end_of_quoted(rest, end);
                out.push_str(HIDDEN);
            }
            Lead::Line => {
                end = rest.len();
                out.push_str(HIDDEN);
            }
        }
        let (word, after) = rest.split_at(end);
        let next = after.find(|c: char| !c.is_whitespace()).unwrap_or(after.len());
        out.push_str(&after[..next]);
        (before, rest) = (word, &after[next..]);
    }
    out
}

/// What is a secret after a word.
enum Lead {
    None,
    /// The next word, or all that is between its quotes.
    Word,
    /// The rest of the line: cookies are several words.
    Line,
}

/// What a word says of the next: `Bearer`, `password:`.
fn lead(word: &str, next: &str) -> Lead {
    let bare = word.trim_end_matches([':', '=', '"', '\'']);
    let name = bare.trim_start_matches(['"', '\'', '{', '(', '[', '-']);
    if word != name && is_secret_name(name) {
        return if compared(name).ends_with("cookie") { Lead::Line } else { Lead::Word };
    }
    let scheme = bare.rsplit(|letter| !is_of_name(letter)).next().unwrap_or_default();
    let is_encoded = |letter: char| letter.is_ascii_uppercase() || "0123456789=".contains(letter);
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Lead::Word,
        // It is a word of English, too.
        "basic" if next.contains(is_encoded) => Lead::Word,
        _ => Lead::None,
    }
}

/// Where a text ends that begins with a quote, if it does; else where its first word ends.
fn end_of_quoted(text: &str, end_of_word: usize) -> usize {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
    let closing = quote.and_then(|quote| text[1..].find(quote)).map_or(0, |at| at + 2);
    let more = text[closing..].find(char::is_whitespace).map_or(text.len(), |at| closing + at);
    if closing > end_of_word { more } else { end_of_word }
}

fn word_without_secrets(word: &str) -> String {
    if word.contains("eyJ") && word.matches('.').count() >= 2 {
        return HIDDEN.to_owned();
    }
    let text = compared(word);
    let ends =
        NAMES.iter().flat_map(|name| text.match_indices(name).map(|(at, _)| at + name.len()));
    let values = ends.filter_map(|end| {
        let value = text[end..].trim_start_matches(['"', '\'', '\\']);
        let is_value = value.len() > 1 && value.starts_with(['=', ':']);
        is_value.then_some(text.len() - value.len() + 1)
    });
    // From the first one on, nothing of the word is shown.
    let (shown, hidden) = match values.min() {
        Some(value) => (&word[..value], HIDDEN),
        None => (word, ""),
    };
    match credentials(shown) {
        Some(Range { start, end }) => {
            format!("{}{HIDDEN}{}{hidden}", &shown[..start], &shown[end..])
        }
        None => format!("{shown}{hidden}"),
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
            ("basic auth failed", "basic auth failed"),
            (r#"{"Authorization":"Bearer abc"}"#, r#"{"Authorization":(secret) (secret)"#),
            (r#"{"Authorization":["Bearer abc"]}"#, r#"{"Authorization":(secret) (secret)"#),
            ("Authorization:Basic dXNlcjpwdw==", "Authorization:(secret) (secret)"),
            ("Cookie: theme=dark; session=hunter2", "Cookie: (secret)"),
            (
                "/?token_type=bearer&access_token=hunter2",
                "/?token_type=bearer&access_token=(secret)",
            ),
            ("a?token=abc&password=y", "a?token=(secret)"),
            ("https://me:pw@h/?token=x", "https://(secret)@h/?token=(secret)"),
            ("https://ghp_abc@host/x", "https://(secret)@host/x"),
            ("https://10.0.0.1:8080/users/@me", "https://10.0.0.1:8080/users/@me"),
            (r#"password: "two words" x"#, "password: (secret) x"),
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
