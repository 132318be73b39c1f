//! Lines that stay at the bottom of the terminal while others scroll above. No mode of the terminal
//! is changed, so that whatever ends the process leaves it as it was.

use std::io::{self, Write};
use std::sync::{Mutex, Once, TryLockError};

use unicode_width::UnicodeWidthStr;

static PINNED: Mutex<Pinned> = Mutex::new(Pinned { lines: Vec::new() });

#[derive(Debug)]
struct Pinned {
    /// As they are on the screen.
    lines: Vec<String>,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub columns: usize,
    pub rows: usize,
}

impl Size {
    /// Of standard error's terminal, as it is now.
    pub(super) fn now() -> Option<Self> {
        let size = rustix::termios::tcgetwinsize(io::stderr()).ok()?;
        let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
        (columns > 0 && rows > 0).then_some(Self { columns, rows })
    }
}

/// Writes lines to standard error, above those that are pinned.
pub(super) fn write_above(text: &str) {
    let mut pinned = PINNED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let lines = pinned.lines.clone();
    pinned.write(text, lines);
}

/// Pins other lines; none leaves the terminal to others.
pub(super) fn pin(lines: Vec<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(unpin_before_panics);
    let mut pinned = PINNED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    pinned.write("", lines);
}

/// The message of a panic is written by others. A terminal that stands still must not hold it.
fn unpin_before_panics() {
    let message = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        match PINNED.try_lock() {
            Ok(mut pinned) => pinned.write("", Vec::new()),
            Err(TryLockError::Poisoned(pinned)) => pinned.into_inner().write("", Vec::new()),
            Err(TryLockError::WouldBlock) => {}
        }
        message(panic);
    }));
}

impl Pinned {
    fn write(&mut self, above: &str, lines: Vec<String>) {
        let columns = Size::now().map_or(usize::MAX, |size| size.columns);
        let frame = self.frame(above, lines, columns);
        let mut out = io::stderr().lock();
        // One write: a terminal shows no half of it.
        let _ = out.write_all(frame.as_bytes()).and_then(|()| out.flush());
    }

    /// What writes a text, and lines below it, in the place of the lines on the screen. The cursor is
    /// at the end of the last.
    fn frame(&mut self, above: &str, lines: Vec<String>, columns: usize) -> String {
        // A terminal that has become narrower has wrapped them.
        let rows = |line: &String| columns_of(line).div_ceil(columns).max(1);
        let up = self.lines.iter().map(rows).sum::<usize>().saturating_sub(1);
        let mut frame = String::new();
        if !self.lines.is_empty() {
            // Frames are written over each other, so that nothing flickers. What is erased is erased
            // row by row: tmux keeps a copy of a screen that is erased from its first character on.
            let erase = if above.is_empty() && !lines.is_empty() { "" } else { "\x1b[2K" };
            frame += &format!("\r{erase}{}", format!("\x1b[A{erase}").repeat(up));
        }
        frame += above;
        frame += &lines.join("\x1b[K\n");
        if !lines.is_empty() {
            frame += "\x1b[J";
        }
        self.lines = lines;
        frame
    }
}

/// The columns that a line takes, without its colours.
fn columns_of(line: &str) -> usize {
    let mut pieces = line.split("\x1b[");
    let first = pieces.next().map_or(0, UnicodeWidthStr::width);
    let after = |piece: &str| piece.split_once('m').map_or(0, |(_, text)| text.width());
    first + pieces.map(after).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn other_lines_scroll_above_the_pinned_ones() {
        let mut pinned = Pinned { lines: Vec::new() };
        assert_eq!(pinned.frame("first\n", Vec::new(), 80), "first\n");
        assert_eq!(pinned.frame("", lines(&["a", "b"]), 80), "a\x1b[K\nb\x1b[J");
        assert_eq!(
            pinned.frame("new\n", lines(&["a", "c"]), 80),
            "\r\x1b[2K\x1b[A\x1b[2Knew\na\x1b[K\nc\x1b[J"
        );
        assert_eq!(pinned.frame("", lines(&["d"]), 80), "\r\x1b[Ad\x1b[J");
        assert_eq!(pinned.frame("", Vec::new(), 80), "\r\x1b[2K");
        assert_eq!(pinned.frame("last\n", Vec::new(), 80), "last\n");
    }

    #[test]
    fn lines_that_a_narrower_terminal_has_wrapped_are_erased() {
        let mut pinned = Pinned { lines: lines(&["\x1b[2m0123456789\x1b[0m", "", "▁▂▃"]) };
        let erased = pinned.frame("above\n", Vec::new(), 4);
        assert_eq!(erased.matches("\x1b[2K").count(), 3 + 1 + 1);
    }
}
