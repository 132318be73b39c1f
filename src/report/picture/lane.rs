//! What one thing went through: states, one after the other.

use super::strip::Strip;
use crate::analysis::When;
use crate::analysis::findings::Unobserved;
use crate::stats::{Between, Seconds};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::report) struct Extent {
    pub from: Seconds,
    pub to: Seconds,
}

/// What one thing went through.
#[derive(Debug, Default)]
pub(in crate::report) struct Lane {
    /// What kind of thing it is: `nodes`, `probes`.
    pub group: &'static str,
    pub name: String,
    pub note: String,
    pub spans: Vec<Span>,
    /// Single moments of no length: heartbeats.
    pub ticks: Vec<Seconds>,
    /// What the model predicted.
    pub predicted: Vec<Span>,
    /// Times in which something changed, where that is all that is known.
    pub brackets: Vec<Span>,
    pub strip: Option<Strip>,
}

/// A time in which something was so.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::report) struct Span {
    pub from: Seconds,
    pub to: Seconds,
    pub tone: Tone,
    pub text: String,
    /// Counted from the top of the lane.
    pub row: usize,
}

/// How a state is to be taken: a colour, and a pattern for those who see none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Tone {
    Good,
    Degraded,
    Bad,
    /// Nobody knows, or nobody looked.
    Unknown,
    /// On its way from one state to another.
    Changing,
    Fault,
    Plain,
    Predicted,
    Bracket,
}

impl Tone {
    pub(in crate::report) fn class(self) -> &'static str {
        match self {
            Tone::Good => "good",
            Tone::Degraded => "degraded",
            Tone::Bad => "bad",
            Tone::Unknown => "unknown",
            Tone::Changing => "changing",
            Tone::Fault => "fault",
            Tone::Plain => "plain",
            Tone::Predicted => "predicted",
            Tone::Bracket => "bracket",
        }
    }
}

impl Span {
    pub(in crate::report) fn new(
        from: Seconds,
        to: Seconds,
        tone: Tone,
        text: impl Into<String>,
    ) -> Self {
        Self { from, to, tone, text: text.into(), row: 0 }
    }

    /// A change that is only known to lie in this time; `None`: it is known to the moment.
    pub(in crate::report) fn bracket(when: When, what: &str) -> Option<Self> {
        let text = format!("{what} at some point in this {} interval", when.width());
        (when.width() > Seconds::ZERO)
            .then(|| Self::new(when.earliest, when.latest, Tone::Bracket, text))
    }
}

/// Where something that starts at `start` is predicted to end.
pub(in crate::report) fn predicted(what: &str, start: Seconds, between: Between) -> Span {
    let (from, to) = (start + between.least, start + between.most);
    let text = format!("predicted: {what} after {between:.1}");
    Span::new(from, to, Tone::Predicted, text)
}

/// A time in which something may have changed, for all that is known.
pub(in crate::report) fn not_observed(time: &Unobserved, all: Extent) -> Span {
    let text = format!("not observed: {}", time.why);
    Span::new(time.from.max(all.from), time.until.unwrap_or(all.to), Tone::Unknown, text)
}
