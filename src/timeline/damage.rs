//! What could not be read of a run's folder.

use std::fmt;

use super::clock::Moment;

/// A stretch of a stream of which nothing is known, because it could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub stream: Stream,
    /// Whether it ends there.
    pub extent: Extent,
    /// The last moment before it that is known; `None`: it is unknown from the beginning.
    pub from: Option<Moment>,
    /// The first moment after it that is known; `None`: it is unknown to the end.
    pub until: Option<Moment>,
    /// What is wrong: a fragment, such as `line 12 does not match its checksum`.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stream {
    Records,
    Attempts(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A part is damaged, and what follows it can be read.
    Part,
    ToTheEnd,
    /// It was never written.
    Unwritten,
}

impl Damage {
    pub(super) fn ends_early(probe: &str, from: Option<Moment>, why: impl Into<String>) -> Self {
        let (stream, extent) = (Stream::Attempts(probe.to_owned()), Extent::ToTheEnd);
        Self { stream, extent, from, until: None, why: why.into() }
    }

    /// Whether something that was recorded between two moments may be missing.
    pub fn overlaps(&self, from: Moment, until: Moment) -> bool {
        self.from.is_none_or(|at| at <= until) && self.until.is_none_or(|at| at >= from)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.stream {
            Stream::Records => write!(f, "the timeline")?,
            Stream::Attempts(probe) => write!(f, "the attempts of {probe}")?,
        }
        let plural = matches!(self.stream, Stream::Attempts(_));
        let what = match (self.extent, plural) {
            (Extent::Part, false) => "is damaged",
            (Extent::Part, true) => "are damaged",
            (Extent::ToTheEnd, false) => "ends early",
            (Extent::ToTheEnd, true) => "end early",
            (Extent::Unwritten, false) => "is incomplete",
            (Extent::Unwritten, true) => "are incomplete",
        };
        write!(f, " {what}: {}", self.why)
    }
}
