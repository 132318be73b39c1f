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

use unicode_width::UnicodeWidthStr;

use super::env::{NARROWEST, Terminal};
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
    let lines = visible(lines);
    match label() {
        None => pinned::write_above(&lines),
        Some(label) => {
            let lines = lines.lines().filter(|line| !line.is_empty());
            let lines: String = lines.map(|line| format!("{}{line}\n", lead(&label))).collect();
            pinned::write_above(&lines);
        }
    }
}

tokio::task_local! {
    static LABEL: String;
}

/// Does some work that is not the only one: every line that it says on standard error begins with a
/// label, if there is one.
pub(super) async fn labelled<T>(label: Option<String>, work: impl Future<Output = T>) -> T {
    match label {
        Some(label) => LABEL.scope(label, work).await,
        None => work.await,
    }
}

/// The same for work on a thread.
pub(super) fn with_label<T>(label: Option<String>, work: impl FnOnce() -> T) -> T {
    match label {
        Some(label) => LABEL.sync_scope(label, work),
        None => work(),
    }
}

/// The label of the work that is being done, if it is not the only one.
pub(super) fn label() -> Option<String> {
    LABEL.try_with(Clone::clone).ok()
}

fn lead(label: &str) -> String {
    format!("[{}] ", visible(label))
}

/// A terminal as it is for the work that is being done: whoever shares it draws nothing again.
pub(super) fn shared(terminal: Terminal) -> Terminal {
    let Some(label) = label() else { return terminal };
    let width = terminal.width.saturating_sub(lead(&label).width()).max(NARROWEST);
    Terminal { live: false, width, ..terminal }
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
    fn work_beside_other_work_is_labelled_and_draws_nothing_again() {
        let terminal = Terminal { live: true, colour: None, width: 80 };
        assert_eq!((label(), shared(terminal)), (None, terminal));
        with_label(Some("web".into()), || {
            assert_eq!(label().as_deref(), Some("web"));
            assert_eq!(shared(terminal), Terminal { live: false, width: 74, ..terminal });
        });
        assert_eq!(label(), None);
    }

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
