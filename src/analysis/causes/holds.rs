//! Conditions over time of which not all is known: at a moment one holds, does not, or may.

use super::super::findings::When;
use crate::stats::Seconds;

/// What is known of a condition at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    No,
    Maybe,
}

/// A time whose two ends are known as far as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from: When,
    /// No earlier than `from`, edge by edge.
    pub until: When,
}

/// When nothing ends it.
pub(super) const NEVER: When =
    When { earliest: Seconds::from_nanos(i64::MAX), latest: Seconds::from_nanos(i64::MAX) };

impl Span {
    /// Of known ends.
    pub(super) fn exact(from: Seconds, until: Seconds) -> Self {
        Self {
            from: When { earliest: from, latest: from },
            until: When { earliest: until, latest: until },
        }
    }

    /// That it was so at some time between the two, and no more.
    pub(super) fn maybe(from: Seconds, until: Seconds) -> Self {
        let when = When { earliest: from, latest: until };
        Self { from: when, until: when }
    }

    pub(super) fn at(&self, moment: Seconds) -> Known {
        let inside = |from: Seconds, until: Seconds| from <= moment && moment < until;
        match (
            inside(self.from.latest, self.until.earliest),
            inside(self.from.earliest, self.until.latest),
        ) {
            (true, _) => Known::Yes,
            (false, true) => Known::Maybe,
            (false, false) => Known::No,
        }
    }

    /// The moments at which what is known of it changes.
    pub(super) fn edges(&self) -> [Seconds; 4] {
        [self.from.earliest, self.from.latest, self.until.earliest, self.until.latest]
    }
}

/// A condition over time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Holds {
    /// In any of these times.
    In(Vec<Span>),
    /// Where so many of these hold.
    AtLeast(usize, Vec<Holds>),
    /// Where this does not.
    Not(Box<Holds>),
    /// Always.
    Always,
}

impl Holds {
    pub(super) fn any(of: Vec<Holds>) -> Self {
        Holds::AtLeast(1, of)
    }

    pub(super) fn all(of: Vec<Holds>) -> Self {
        Holds::AtLeast(of.len(), of)
    }

    pub(super) fn not(self) -> Self {
        Holds::Not(Box::new(self))
    }

    pub(super) fn at(&self, moment: Seconds) -> Known {
        match self {
            Holds::In(spans) => at_least(1, spans.iter().map(|span| span.at(moment))),
            Holds::AtLeast(enough, of) => {
                at_least(*enough, of.iter().map(|holds| holds.at(moment)))
            }
            Holds::Not(holds) => match holds.at(moment) {
                Known::Yes => Known::No,
                Known::No => Known::Yes,
                Known::Maybe => Known::Maybe,
            },
            Holds::Always => Known::Yes,
        }
    }

    /// Adds the moments at which what is known of it may change.
    pub(super) fn edges(&self, into: &mut Vec<Seconds>) {
        match self {
            Holds::In(spans) => into.extend(spans.iter().flat_map(Span::edges)),
            Holds::AtLeast(_, of) => of.iter().for_each(|holds| holds.edges(into)),
            Holds::Not(holds) => holds.edges(into),
            Holds::Always => {}
        }
    }
}

fn at_least(enough: usize, of: impl Iterator<Item = Known>) -> Known {
    let (mut surely, mut perhaps) = (0, 0);
    for known in of {
        surely += usize::from(known == Known::Yes);
        perhaps += usize::from(known != Known::No);
    }
    match (surely >= enough, perhaps >= enough) {
        (true, _) => Known::Yes,
        (false, true) => Known::Maybe,
        (false, false) => Known::No,
    }
}
