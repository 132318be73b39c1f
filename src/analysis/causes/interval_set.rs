//! Sets of intervals whose ends are not known exactly: a moment is inside, outside, or may be
//! either.

use super::super::findings::When;
use crate::stats::Seconds;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    No,
    Maybe,
}

/// An interval; each end lies within a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from: When,
    /// No earlier than `from`, edge by edge.
    pub until: When,
}

/// The end of what does not end.
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

#[derive(Clone, Debug, PartialEq)]
pub(super) enum IntervalSet {
    Union(Vec<Span>),
    /// Where at least so many of these overlap.
    AtLeast(usize, Vec<IntervalSet>),
    Not(Box<IntervalSet>),
    Always,
}

impl IntervalSet {
    pub(super) fn any(of: Vec<IntervalSet>) -> Self {
        IntervalSet::AtLeast(1, of)
    }

    pub(super) fn all(of: Vec<IntervalSet>) -> Self {
        IntervalSet::AtLeast(of.len(), of)
    }

    pub(super) fn not(self) -> Self {
        IntervalSet::Not(Box::new(self))
    }

    pub(super) fn at(&self, moment: Seconds) -> Known {
        match self {
            IntervalSet::Union(spans) => at_least(1, spans.iter().map(|span| span.at(moment))),
            IntervalSet::AtLeast(enough, of) => {
                at_least(*enough, of.iter().map(|holds| holds.at(moment)))
            }
            IntervalSet::Not(holds) => match holds.at(moment) {
                Known::Yes => Known::No,
                Known::No => Known::Yes,
                Known::Maybe => Known::Maybe,
            },
            IntervalSet::Always => Known::Yes,
        }
    }

    /// Whether it may hold at some moment of a span.
    pub(super) fn meets(&self, span: &Span) -> bool {
        let mut edges = span.edges().to_vec();
        self.edges(&mut edges);
        let inside = |edge: &Seconds| span.from.earliest <= *edge && *edge < span.until.latest;
        edges.iter().filter(|edge| inside(edge)).any(|edge| self.at(*edge) != Known::No)
    }

    /// Adds the moments at which what is known of it may change.
    pub(super) fn edges(&self, into: &mut Vec<Seconds>) {
        match self {
            IntervalSet::Union(spans) => into.extend(spans.iter().flat_map(Span::edges)),
            IntervalSet::AtLeast(_, of) => of.iter().for_each(|holds| holds.edges(into)),
            IntervalSet::Not(holds) => holds.edges(into),
            IntervalSet::Always => {}
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
