//! The one place where anything is printed: standard output, standard error, and what may go there.
//!
//! Names, messages and events come from a run's folder, a cluster or a file, and none of them may
//! write to a terminal: control characters and those that turn the direction of text are shown as
//! escapes. Only line breaks pass, and colours, which are known by their [`Ink`].

use std::borrow::Cow;
use std::fmt::Arguments;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::LazyLock;

use super::{exit, pinned};
use crate::report::{Ink, is_unprintable, printable};

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
    complain_lines(&format!("{text}\n"));
}

pub(super) fn complain_lines(lines: &str) {
    pinned::write_above(&visible(lines));
}

/// Keeps lines at the bottom of the terminal, below what is said on standard error.
pub(super) fn pin(lines: &[String]) {
    pinned::pin(lines.iter().map(|line| visible(line).into_owned()).collect());
}

pub(super) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let ended = if text.ends_with('\n') { "" } else { "\n" };
    printed(write!(out, "{}{ended}", visible(text)).and_then(|()| out.flush()));
}

/// Prints as it is made what is too much for one text, and printable already.
pub(super) fn stream(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut out = io::BufWriter::new(io::stdout().lock());
    printed(write(&mut out).and_then(|()| out.flush()));
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

/// A text as it may be printed, with this program's own colours.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(Ink::MARK) {
        out += &printable(&rest[..at]);
        let (colour, after) = INK.split(&rest[at..]).unwrap_or_else(|| {
            let foreign = Ink::MARK.len_utf8();
            ("\\u{10ffff}", &rest[at + foreign..])
        });
        out += colour;
        rest = after;
    }
    (out + &printable(rest)).into()
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
}
