//! A line of a run's chain of events.

use crate::analysis::When;
use crate::stats::Seconds;

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// When, after +0.
    pub at: Seconds,
    /// It happened no more than this earlier (`healed`: later).
    pub uncertainty: Option<Seconds>,
    /// What it is, in a word or two.
    pub label: String,
    pub text: String,
    pub predicted: Option<String>,
}

impl Line {
    pub(super) fn new(at: Seconds, label: &str, text: impl Into<String>) -> Self {
        Self { at, uncertainty: None, label: label.into(), text: text.into(), predicted: None }
    }

    pub(super) fn within(self, uncertainty: Seconds) -> Self {
        Self { uncertainty: (uncertainty > Seconds::ZERO).then_some(uncertainty), ..self }
    }

    pub(super) fn of(when: When, label: &str, text: impl Into<String>) -> Self {
        Self::new(when.latest, label, text).within(when.width())
    }
}
