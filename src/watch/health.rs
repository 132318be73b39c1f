//! The time in which a watch was blind.

use crate::timeline::{Event, Moment, Record};

/// Through which servers a watch sees now. It is blind when it sees through none.
#[derive(Debug)]
pub(super) struct WatchHealth {
    gap: Gap,
    sources: Vec<SourceHealth>,
}

/// What one server shows.
#[derive(Clone, Copy, Debug)]
struct SourceHealth {
    /// The last sign of life.
    alive: Moment,
    blind: bool,
}

impl WatchHealth {
    /// Nothing was seen yet, and nothing is known to be missed.
    pub(super) fn new(watch: &'static str, sources: usize) -> Self {
        Self {
            gap: Gap::new(watch),
            sources: vec![SourceHealth { alive: Moment(0), blind: false }; sources],
        }
    }

    /// A server gave a sign of life.
    pub(super) fn alive(&mut self, source: usize, at: Moment) {
        self.sources[source].alive = at;
    }

    /// The latest sign of life of all.
    pub(super) fn latest(&self) -> Moment {
        self.sources.iter().map(|seen| seen.alive).max().unwrap_or(Moment(0))
    }

    /// Nothing is seen through this server since `alive`. The record of the gap, if that was the last one.
    pub(super) fn lost(&mut self, source: usize, alive: Moment, reason: String) -> Option<Record> {
        self.sources[source] = SourceHealth { alive, blind: true };
        let from = self.latest();
        if self.sources.iter().all(|seen| seen.blind) { self.gap.open(from, reason) } else { None }
    }

    /// The watch sees through this server again. The gap's beginning and its record, if there was one.
    pub(super) fn found(&mut self, source: usize, at: Moment) -> Option<(Moment, Record)> {
        self.sources[source] = SourceHealth { alive: at, blind: false };
        self.gap.close(at)
    }
}

/// Whether a watch is blind now, and since when.
#[derive(Debug)]
struct Gap {
    watch: &'static str,
    open: Option<(Moment, String)>,
}

impl Gap {
    fn new(watch: &'static str) -> Self {
        Self { watch, open: None }
    }

    /// The watch is blind since `from`, the last moment at which it was seen to be alive. `None` when that is known already.
    fn open(&mut self, from: Moment, reason: String) -> Option<Record> {
        if self.open.is_some() {
            return None;
        }
        self.open = Some((from, reason));
        self.record(Moment::now(), None)
    }

    /// The watch sees again, at `until`. Gives the gap's beginning and its record; `None` when there was no gap.
    fn close(&mut self, until: Moment) -> Option<(Moment, Record)> {
        let record = self.record(until, Some(until))?;
        let (from, _) = self.open.take()?;
        Some((from, record))
    }

    fn record(&self, at: Moment, until: Option<Moment>) -> Option<Record> {
        let (from, reason) = self.open.clone()?;
        Some(Record {
            at,
            since: Some(from),
            event: Event::WatchGap { watch: self.watch.to_owned(), until, reason },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_blind_only_through_all_of_its_servers() {
        let mut health = WatchHealth::new("nodes", 2);
        assert!(health.found(0, Moment(3)).is_none() && health.found(1, Moment(4)).is_none());
        assert!(health.lost(0, Moment(10), "refused".into()).is_none());
        health.alive(1, Moment(20));
        assert!(health.lost(0, Moment(10), "refused again".into()).is_none());
        let opened = health.lost(1, Moment(22), "refused".into()).unwrap();
        assert_eq!(opened.since, Some(Moment(22)), "the last that was seen of any");
        let (from, closed) = health.found(0, Moment(30)).unwrap();
        assert_eq!((from, closed.at), (Moment(22), Moment(30)));
        assert!(health.found(1, Moment(31)).is_none());
    }

    #[test]
    fn a_gap_is_told_when_it_opens_and_when_it_closes() {
        let mut gap = Gap::new("nodes");
        assert!(gap.close(Moment(9)).is_none());
        let opened = gap.open(Moment(5), "refused".into()).unwrap();
        assert_eq!(
            (opened.since, matches!(opened.event, Event::WatchGap { until: None, .. })),
            (Some(Moment(5)), true)
        );
        assert!(gap.open(Moment(7), "refused again".into()).is_none());
        let (from, closed) = gap.close(Moment(11)).unwrap();
        assert_eq!((from, closed.at, closed.since), (Moment(5), Moment(11), Some(Moment(5))));
        let event = Event::WatchGap {
            watch: "nodes".into(),
            until: Some(Moment(11)),
            reason: "refused".into(),
        };
        assert_eq!(closed.event, event);
        assert!(gap.close(Moment(12)).is_none());
    }
}
