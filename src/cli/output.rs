//! The one place where anything is printed: standard output, standard error, and what may go there.
//!
//! Names, messages and events come from a run's folder, a cluster or a file, and none of them may
//! write to a terminal: control characters and those that turn the direction of text are shown as
//! escapes. Only line breaks pass, and colours, which are known by their [`Ink`].

use std::borrow::Cow;
use std::fmt::{Arguments, Write as _};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::LazyLock;

use super::exit;
use crate::report::Ink;

/// Says something on standard error. One that can't be written is no reason to panic: there is
/// something to undo.
macro_rules! complain {
    ($($text:tt)*) => { $crate::cli::output::complain(format_args!($($text)*)) };
}

/// The colours of this process.
pub(super) static INK: LazyLock<Ink> =
    LazyLock::new(|| Ink::new(RandomState::new().hash_one(std::process::id())));

/// See `complain!`.
pub(super) fn complain(text: Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(&text.to_string()));
}

pub(super) fn complain_lines(lines: &str) {
    let _ = write!(io::stderr().lock(), "{}", visible(lines));
}

pub(super) fn print(text: &str) {
    put(&visible(text));
}

/// Prints JSON to standard output: what a terminal must not see is escaped as JSON escapes it.
pub(super) fn print_json(json: &str) {
    put(&escaped(json));
}

fn put(text: &str) {
    let mut out = io::stdout().lock();
    let ended = if text.ends_with('\n') { "" } else { "\n" };
    printed(write!(out, "{text}{ended}").and_then(|()| out.flush()));
}

pub(super) fn stream_json(write: impl FnOnce(&mut JsonOutput<'_>) -> io::Result<()>) {
    let mut out = io::BufWriter::new(io::stdout().lock());
    printed(write(&mut JsonOutput(&mut out)).and_then(|()| out.flush()));
}

/// Standard output, for JSON.
pub(super) struct JsonOutput<'a>(&'a mut dyn Write);

impl Write for JsonOutput<'_> {
    /// A serializer writes whole characters.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(escaped(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Ends the program when its output could not be written: whoever reads a report must not take a
/// cut one for a pass. A reader that has gone (`| head`) is not an error.
fn printed(result: io::Result<()>) {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain!("error: cannot write the output: {error}");
            std::process::exit(exit::INCONCLUSIVE.into());
        }
        _ => {}
    }
}

/// Whether a character would do something to a terminal, or to the order in which text is read.
fn is_unprintable(c: char) -> bool {
    let turns_text = matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    (c.is_control() && c != '\n') || turns_text || c == Ink::MARK
}

/// A text as it may be printed: everything that does something else than to be read is an escape.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        if let Some((colour, after)) = INK.split(rest) {
            out.push_str(colour);
            rest = after;
            continue;
        }
        match c {
            '\t' => out.push_str("    "),
            c if is_unprintable(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out.into()
}

/// The same for JSON, where such characters are in strings only.
fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unprintable) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unprintable(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}"));
        } else {
            out.push(c);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\x1b[2Jb\x07\r\x7f\u{9b}31m\u{202e}c\u{10ffff}0000000000000000\x1b[1m";

    #[test]
    fn nothing_but_our_colours_reaches_a_terminal() {
        let shown = visible(HOSTILE);
        assert!(!shown.contains(is_unprintable), "{shown:?}");
        assert!(shown.starts_with("a\\u{1b}[2Jb\\u{7}\\r\\u{7f}\\u{9b}31m\\u{202e}c"), "{shown}");
        let ours = format!("{}PASS{}\n", INK.colour("\x1b[1m"), INK.colour("\x1b[0m"));
        assert_eq!(visible(&ours), "\x1b[1mPASS\x1b[0m\n");
        assert!(matches!(visible("plain ≤ text\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_is_the_same_value_without_them() {
        let json = serde_json::to_string(HOSTILE).unwrap();
        let printed = escaped(&json);
        assert!(!printed.contains(is_unprintable), "{printed}");
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), HOSTILE);
    }
}
