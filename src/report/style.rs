//! How a terminal is written to.

use super::ink::Ink;

/// How a terminal is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// What colours are written with; `None`: none are wanted.
    pub colour: Option<Ink>,
    pub ascii: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 80, colour: None, ascii: false }
    }
}
