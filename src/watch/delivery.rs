//! How late watches deliver: a Lease of our own is renewed twice a second, and a watch of it shows
//! when each renewal arrives. Each is a record of its Lease, whose holder is the moment at which it
//! was sent.
//!
//! A watch that does not see what was written is blind, though its stream may look alive; that is
//! known after two seconds, and only here. While writes fail, the API is away: that the other
//! watches report themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::follow::Follow;
use super::{Watches, lease, run, within};
use crate::cluster::Cluster;
use crate::timeline::{Change, DELIVERY_LEASE, DELIVERY_WATCH, Event, Moment, Record};

/// Between two renewals.
const EVERY: Duration = Duration::from_millis(500);
/// A write without an answer after this long is a failed one.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Writes have succeeded for so long that were not seen: the watch is blind.
const BLIND_AFTER: Duration = Duration::from_secs(2);

impl Watches {
    /// Measures how late these watches deliver, by the Lease of a namespace in which it was made.
    pub(crate) fn measure_delivery(
        &mut self,
        servers: &[Cluster],
        cluster: &Cluster,
        namespace: &str,
        out: UnboundedSender<Record>,
    ) {
        // Without a bound: two renewals a second come in.
        let (seen, seen_in) = mpsc::unbounded_channel();
        let (written, written_in) = mpsc::unbounded_channel();
        // The run does not wait for its first list: where it is not seen, nothing is measured.
        let (report, _) = watch::channel(BTreeSet::new());
        let follow = Follow::new(DELIVERY_WATCH, seen, report);
        let clients: super::Clients = servers.iter().map(Cluster::client).collect();
        self.tasks.spawn(run::<lease::Leases>(follow, within(&clients, namespace)));
        self.tasks.spawn(renew(cluster.clone(), namespace.to_owned(), written));
        self.tasks.spawn(compare(seen_in, written_in, out));
    }
}

/// A renewal, and whether the API server took it.
#[derive(Clone, Copy, Debug)]
struct Write {
    sent: Moment,
    answered: Moment,
    taken: bool,
}

async fn renew(cluster: Cluster, namespace: String, written: UnboundedSender<Write>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let sent = Moment::now();
        let holder = sent.0.to_string();
        let renewed = timeout(WRITE_TIMEOUT, cluster.renew_delivery_lease(&namespace, &holder));
        let taken = matches!(renewed.await, Ok(Ok(())));
        if written.send(Write { sent, answered: Moment::now(), taken }).is_err() {
            return;
        }
    }
}

async fn compare(
    mut seen: UnboundedReceiver<Record>,
    mut written: UnboundedReceiver<Write>,
    out: UnboundedSender<Record>,
) {
    let mut delivery = Delivery::default();
    loop {
        let records = tokio::select! {
            Some(record) = seen.recv() => delivery.seen(record),
            Some(write) = written.recv() => delivery.written(write).into_iter().collect(),
            else => return,
        };
        for record in records {
            if out.send(record).is_err() {
                return;
            }
        }
    }
}

/// What was written, and what was seen of it.
#[derive(Debug, Default)]
struct Delivery {
    /// Whether the watch follows: what a list shows says nothing about how late a watch is.
    follows: bool,
    /// When the last renewal arrived, and when that one was sent.
    last: Option<(Moment, Moment)>,
    /// The first write since then that was taken.
    unseen: Option<Write>,
    /// Since when the watch is blind.
    blind: Option<Moment>,
}

impl Delivery {
    /// What the watch shows; what of that, and what it means, is recorded.
    fn seen(&mut self, record: Record) -> Vec<Record> {
        match &record.event {
            Event::WatchStarted { .. } => {
                self.follows = true;
                self.unseen = None;
                self.seen_again(record.at).into_iter().collect()
            }
            Event::WatchGap { until: None, .. } => {
                self.follows = false;
                Vec::new()
            }
            Event::Lease { name, holder: Some(holder), change: Change::Changed, .. }
                if name == DELIVERY_LEASE =>
            {
                let Some(sent) = holder.parse().ok().map(Moment) else { return Vec::new() };
                self.last = Some((record.at, sent));
                self.unseen = self.unseen.filter(|write| write.sent > sent);
                let again = self.seen_again(record.at);
                again.into_iter().chain(Some(record).filter(|_| self.follows)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The record of a watch that turns out to be blind.
    fn written(&mut self, write: Write) -> Option<Record> {
        if !write.taken || !self.follows {
            self.unseen = None;
            return None;
        }
        let (arrived, sent) = self.last?;
        if write.sent <= sent {
            return None;
        }
        let unseen = *self.unseen.get_or_insert(write);
        let is_blind = write.answered.since(unseen.answered) >= BLIND_AFTER;
        if !is_blind || self.blind.is_some() {
            return None;
        }
        self.blind = Some(arrived);
        Some(gap(write.answered, arrived, None))
    }

    fn seen_again(&mut self, at: Moment) -> Option<Record> {
        self.blind.take().map(|since| gap(at, since, Some(at)))
    }
}

fn gap(at: Moment, since: Moment, until: Option<Moment>) -> Record {
    let reason = "changes that the API server accepted were not delivered".to_owned();
    let event = Event::WatchGap { watch: DELIVERY_WATCH.to_owned(), until, reason };
    Record { at, since: Some(since), event }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    fn write(at: u64, taken: bool) -> Write {
        Write { sent: ms(at), answered: ms(at + 5), taken }
    }

    fn renewal(sent: u64, at: u64) -> Record {
        let (namespace, name) = ("run".into(), DELIVERY_LEASE.into());
        let (change, holder) = (Change::Changed, Some(ms(sent).0.to_string()));
        let (renewed, transitions, lasts_s) = Default::default();
        let event = Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s };
        Record::at(ms(at), event)
    }

    fn started(at: u64) -> Record {
        Record::at(ms(at), Event::WatchStarted { watch: DELIVERY_WATCH.into() })
    }

    fn following() -> Delivery {
        let mut delivery = Delivery::default();
        delivery.seen(started(0));
        delivery.written(write(500, true));
        assert_eq!(delivery.seen(renewal(500, 507)).len(), 1, "how late it was is a record");
        delivery
    }

    #[test]
    fn a_watch_that_does_not_see_what_was_written_is_blind() {
        let mut delivery = following();
        let told: Vec<_> = (1..=6).map(|n| delivery.written(write(500 + n * 500, true))).collect();
        let blind = told.iter().position(Option::is_some).unwrap();
        assert_eq!(blind, 4, "after two seconds of them");
        assert_eq!(told.iter().flatten().count(), 1, "once");
        assert_eq!(told[blind].as_ref().unwrap().since, Some(ms(507)), "since the last it saw");
        let again = delivery.seen(renewal(3500, 3600));
        let Event::WatchGap { until, .. } = &again[0].event else { panic!("{again:?}") };
        assert_eq!((*until, again.len()), (Some(ms(3600)), 2));
        assert!(delivery.written(write(4000, true)).is_none());
    }

    #[test]
    fn another_lease_with_a_number_as_its_holder_is_not_ours() {
        let mut delivery = following();
        let mut other = renewal(9000, 600);
        let Event::Lease { name, .. } = &mut other.event else { panic!("{other:?}") };
        *name = "of-the-app".into();
        assert!(delivery.seen(other).is_empty());
        let blind = (1..=6).find_map(|n| delivery.written(write(500 + n * 500, true)));
        assert_eq!(blind.unwrap().since, Some(ms(507)), "it hides no blind watch");
    }

    #[test]
    fn an_api_that_is_away_makes_no_watch_blind() {
        let mut delivery = following();
        delivery.written(write(1000, true));
        assert!((2..=20).all(|n| delivery.written(write(n * 500, false)).is_none()));
        assert!(delivery.written(write(10_500, true)).is_none(), "counted from here");
        assert!(delivery.written(write(11_000, true)).is_none());
    }

    #[test]
    fn what_a_list_shows_is_not_how_late_a_watch_is() {
        let mut delivery = following();
        let gap = Event::WatchGap { watch: DELIVERY_WATCH.into(), until: None, reason: "x".into() };
        assert!(delivery.seen(Record::at(ms(600), gap)).is_empty(), "the others report it");
        assert!((2..=20).all(|n| delivery.written(write(n * 500, true)).is_none()));
        assert!(delivery.seen(renewal(10_000, 10_400)).is_empty(), "from the list");
        delivery.seen(started(10_400));
        assert_eq!(delivery.seen(renewal(10_500, 10_510)).len(), 1);
    }
}
