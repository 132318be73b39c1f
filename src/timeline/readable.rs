//! Other programs' texts, as they may be shown.

use super::secret::{HIDDEN, without_secrets};

/// A text in one line, without the terminal's colours and control characters, and without secrets
/// and what looks like a token or a key.
pub(crate) fn readable(text: &str) -> String {
    let text = without_colours(text);
    let lines = text.lines().map(|line| {
        let words = line.split(|c: char| c.is_whitespace() || c.is_control());
        let shown = words
            .filter(|word| !word.is_empty())
            .map(|word| if looks_secret(word) { HIDDEN } else { word });
        without_secrets(&shown.collect::<Vec<_>>().join(" "))
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Leaves out `ESC [ ... m`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |plain, piece| {
        let end = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        plain + end.get(1..).unwrap_or_default()
    })
}

/// Names, paths and hosts are shorter between their separators.
fn looks_secret(word: &str) -> bool {
    let parts = word.split(['/', '.', ',', '"', '\'', '=', ':', '&', '?', '-']);
    word.contains("eyJ")
        || word.contains("k8s-aws-v1.")
        || parts.map(str::len).max().unwrap_or(0) >= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_control_characters_are_not_shown() {
        let text = "log in at https://login.example/device?code=ABC\n\n\u{1b}[31mtoken eyJhbGciOiJIUzI1NiJ9.e30.x\r\n";
        assert_eq!(
            readable(text),
            "log in at https://login.example/device?code=ABC; token (secret)"
        );
        assert_eq!(readable(&format!("key={}", "a1".repeat(30))), "(secret)");
        assert_eq!(readable("aws --token 123\nno"), "aws --token (secret); no");
        assert_eq!(readable("a [\x1b[0;1;31mFAILED\x1b[0m]\tb\n\x1b[0;1;3"), "a [FAILED] b");
        let name = "kube-proxy-config-fast-detection-control-plane-7fb5c9d4b8-x2x7q is not ready";
        assert_eq!(readable(name), name);
    }
}
