//! The gaps of a watch: when none of its servers could be followed.

use crate::timeline::{Event, Moment, Record};

/// Which servers a watch can follow now. There is a gap while it can follow none.
#[derive(Debug)]
pub(super) struct WatchHealth {
    gap: Gap,
    sources: Vec<SourceHealth>,
}

/// Whether one server can be followed.
#[derive(Clone, Copy, Debug)]
struct SourceHealth {
    alive: Moment,
    down: bool,
}

impl WatchHealth {
    pub(super) fn new(watch: &str, sources: usize) -> Self {
        Self {
            gap: Gap::new(watch),
            sources: vec![SourceHealth { alive: Moment(0), down: false }; sources],
        }
    }

    pub(super) fn alive(&mut self, source: usize, at: Moment) {
        self.sources[source].alive = at;
    }

    /// The latest response of any server.
    pub(super) fn latest(&self) -> Moment {
        self.sources.iter().map(|seen| seen.alive).max().unwrap_or(Moment(0))
    }

    /// This server is lost since `alive`. The record of the gap, if it was the last one.
    pub(super) fn lost(&mut self, source: usize, alive: Moment, reason: String) -> Option<Record> {
        self.sources[source] = SourceHealth { alive, down: true };
        let from = self.latest();
        if self.sources.iter().all(|seen| seen.down) { self.gap.open(from, reason) } else { None }
    }

    /// This server can be followed again. The gap's beginning and its record, if there was one.
    pub(super) fn restored(&mut self, source: usize, at: Moment) -> Option<(Moment, Record)> {
        self.sources[source] = SourceHealth { alive: at, down: false };
        self.gap.close(at)
    }
}

/// Whether there is a gap now, and since when.
#[derive(Debug)]
struct Gap {
    watch: String,
    open: Option<(Moment, String)>,
}

impl Gap {
    fn new(watch: &str) -> Self {
        Self { watch: watch.to_owned(), open: None }
    }

    /// There is a gap since `from`, the last response. `None` when that is known already.
    fn open(&mut self, from: Moment, reason: String) -> Option<Record> {
        if self.open.is_some() {
            return None;
        }
        self.open = Some((from, reason));
        self.record(Moment::now(), None)
    }

    /// The gap ends at `until`. Gives the gap's beginning and its record; `None` when there was no
    /// gap.
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
    fn there_is_a_gap_only_when_all_servers_are_lost() {
        let mut health = WatchHealth::new("nodes", 2);
        assert!(health.restored(0, Moment(3)).is_none() && health.restored(1, Moment(4)).is_none());
        assert!(health.lost(0, Moment(10), "refused".into()).is_none());
        health.alive(1, Moment(20));
        assert!(health.lost(0, Moment(10), "refused again".into()).is_none());
        let opened = health.lost(1, Moment(22), "refused".into()).unwrap();
        assert_eq!(opened.since, Some(Moment(22)), "the last that was seen of any");
        let (from, closed) = health.restored(0, Moment(30)).unwrap();
        assert_eq!((from, closed.at), (Moment(22), Moment(30)));
        assert!(health.restored(1, Moment(31)).is_none());
    }

    #[test]
    fn a_gap_is_reported_when_it_opens_and_when_it_closes() {
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
