//! The time in which a watch was blind.

use crate::timeline::{Event, Moment, Record};

/// Whether a watch is blind now, and since when.
#[derive(Debug)]
pub(super) struct Gap {
    watch: &'static str,
    open: Option<(Moment, String)>,
}

impl Gap {
    pub(super) fn new(watch: &'static str) -> Self {
        Self { watch, open: None }
    }

    /// The watch is blind since `from`, the last moment at which it was seen to be alive. `None` when that is known already.
    pub(super) fn open(&mut self, from: Moment, reason: String) -> Option<Record> {
        if self.open.is_some() {
            return None;
        }
        self.open = Some((from, reason));
        self.record(Moment::now(), None)
    }

    /// The watch sees again, at `until`. Gives the gap's beginning and its record; `None` when there was no gap.
    pub(super) fn close(&mut self, until: Moment) -> Option<(Moment, Record)> {
        let record = self.record(until, Some(until))?;
        let (from, _) = self.open.take()?;
        Some((from, record))
    }

    fn record(&self, at: Moment, until: Option<Moment>) -> Option<Record> {
        let (from, reason) = self.open.clone()?;
        Some(Record { at, since: Some(from), event: Event::WatchGap { watch: self.watch.to_owned(), until, reason } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_when_it_opens_and_when_it_closes() {
        let mut gap = Gap::new("nodes");
        assert!(gap.close(Moment(9)).is_none());
        let opened = gap.open(Moment(5), "refused".into()).unwrap();
        assert_eq!((opened.since, matches!(opened.event, Event::WatchGap { until: None, .. })), (Some(Moment(5)), true));
        assert!(gap.open(Moment(7), "refused again".into()).is_none());
        let (from, closed) = gap.close(Moment(11)).unwrap();
        assert_eq!((from, closed.at, closed.since), (Moment(5), Moment(11), Some(Moment(5))));
        let event = Event::WatchGap { watch: "nodes".into(), until: Some(Moment(11)), reason: "refused".into() };
        assert_eq!(closed.event, event);
        assert!(gap.close(Moment(12)).is_none());
    }
}
