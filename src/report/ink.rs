//! Colours that can be told from those that a text brings along.

use std::fmt::Display;

/// What marks a colour as this program's own: whoever prints knows the number, and what a run's
/// folder holds cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ink(u64);

impl Ink {
    /// Begins every colour. It is not a character.
    pub const MARK: char = '\u{10ffff}';

    /// Ink with a number that nobody can guess.
    pub fn new(secret: u64) -> Self {
        Self(secret)
    }

    /// A colour's escape sequence, marked.
    pub fn colour(&self, sequence: impl Display) -> String {
        let sequence = sequence.to_string();
        // A style may be several sequences.
        sequence.split_inclusive('m').map(|one| format!("{}{one}", self.lead())).collect()
    }

    /// A text with colours of this program's alone, each marked.
    pub fn mark(&self, text: &str) -> String {
        text.replace('\x1b', &format!("{}\x1b", self.lead()))
    }

    /// The escape sequence with which a text begins, and the text after it, if it is marked.
    pub fn split<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let text = text.strip_prefix(Self::MARK)?.strip_prefix(&format!("{:016x}", self.0))?;
        text.split_at_checked(text.find('m')? + 1)
    }

    fn lead(&self) -> String {
        format!("{}{:016x}", Self::MARK, self.0)
    }
}
