//! How late the watches delivered around each moment that they show.

use super::clock::Zero;
use super::findings::{DeliveryFinding, FaultFinding, Findings, Lateness, MomentDelay, When};
use crate::stats::Seconds;
use crate::timeline::{Change, DELIVERY_LEASE, DELIVERY_WATCH, Event, Moment, Record, Timeline};

/// Updates that arrived so near to a moment say how late its watch may have been.
const NEAR: Seconds = Seconds::from_nanos(1_000_000_000);

/// An update of our own: written after `sent`, and seen by `seen`.
#[derive(Clone, Copy, Debug)]
struct Update {
    sent: Seconds,
    seen: Seconds,
}

/// What was seen of an object of the run's own; nothing if it had none.
pub(super) struct Delivery {
    updates: Vec<Update>,
    blind: Vec<When>,
}

impl Delivery {
    pub(super) fn of(timeline: &Timeline, zero: Zero) -> Self {
        let records = || timeline.records.iter();
        Self {
            updates: records().filter_map(|record| update(record, zero)).collect(),
            blind: records().filter_map(|record| blind(record, zero)).collect(),
        }
    }

    /// What was measured; `None`: nothing.
    pub(super) fn finding(&self, found: &Findings) -> Option<DeliveryFinding> {
        let mut delays: Vec<Seconds> = self.updates.iter().map(|it| it.seen - it.sent).collect();
        delays.sort();
        let quantile = |part: f64| {
            let rank = (part * delays.len() as f64).ceil() as usize;
            delays.get(rank.max(1) - 1).copied()
        };
        let late = Lateness { p50: quantile(0.5)?, p99: quantile(0.99)?, max: quantile(1.0)? };
        let mut at: Vec<Seconds> = watched(found).collect();
        at.sort();
        at.dedup();
        let moment = |at: Seconds| Some(MomentDelay { at, at_most: self.late_at(at)? });
        let moments = at.into_iter().filter_map(moment).collect();
        Some(DeliveryFinding { updates: self.updates.len() as u32, late, moments })
    }

    /// How late a watch may have shown what it showed at a moment: the largest delay of what
    /// arrived around it, of what was on its way, and of a watch that was blind. `None`: nothing
    /// was seen near it.
    pub(super) fn late_at(&self, at: Seconds) -> Option<Seconds> {
        let near = self.updates.iter().filter_map(|it| {
            let on_its_way = (it.sent <= at && at <= it.seen).then_some(at - it.sent);
            let near = (it.seen - NEAR <= at && at <= it.seen + NEAR).then_some(it.seen - it.sent);
            near.max(on_its_way)
        });
        let blind = self.blind.iter().filter(|gap| gap.holds(at)).map(|gap| at - gap.earliest);
        near.chain(blind).max()
    }
}

fn update(record: &Record, zero: Zero) -> Option<Update> {
    match &record.event {
        Event::Lease { name, holder: Some(holder), change: Change::Changed, .. }
            if name == DELIVERY_LEASE =>
        {
            let sent = Moment(holder.parse().ok()?);
            let (sent, seen) = (zero.at(sent), zero.at(record.at));
            Some(Update { sent: sent.min(seen), seen })
        }
        _ => None,
    }
}

/// Only what the updates themselves showed: other gaps are known of the watches themselves.
fn blind(record: &Record, zero: Zero) -> Option<When> {
    match &record.event {
        Event::WatchGap { watch, until: Some(_), .. } if watch == DELIVERY_WATCH => {
            Some(zero.when(record.bracket()))
        }
        _ => None,
    }
}

/// All moments that a watch showed; those of leaders have their width already.
fn watched(found: &Findings) -> impl Iterator<Item = Seconds> {
    let left_ready = found.other_nodes.iter().filter_map(|node| node.left_ready);
    let pods = found.pods.iter().flat_map(|pod| [pod.scheduled, pod.restarted]).flatten();
    let shown = found.faults.iter().flat_map(of_fault).chain(left_ready).chain(pods);
    let notices = found.faults.iter().flat_map(|fault| &fault.notices);
    shown.map(|when| when.latest).chain(notices.map(|notice| notice.at))
}

fn of_fault(fault: &FaultFinding) -> impl Iterator<Item = When> {
    let node = &fault.node;
    let of_node = [node.detected.as_ref().map(|detected| detected.at), node.ready_again];
    let of_services = fault.services.iter().flat_map(|service| {
        let left = service.hit.iter().flat_map(|endpoint| [endpoint.left, endpoint.back]);
        left.chain([service.removed, service.back, service.replaced])
    });
    of_node.into_iter().chain(of_services).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;
    use crate::analysis::testing::{Run, article, at};

    fn renewal(sent: i64) -> Event {
        let (namespace, name) = ("run".into(), DELIVERY_LEASE.to_owned());
        let (change, holder) = (Change::Changed, Some(at(sent).0.to_string()));
        let (renewed, transitions, lasts_s) = Default::default();
        Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s }
    }

    /// The detection of the article is at 4781 ms.
    fn within(updates: &[(i64, i64)]) -> Option<Seconds> {
        let run =
            updates.iter().fold(article(), |run, (sent, seen)| run.event(*seen, renewal(*sent)));
        let found = analyse(&run.build());
        let detected = found.faults[0].node.detected.as_ref().unwrap().at.latest;
        found.delivered_within(detected)
    }

    #[test]
    fn a_moment_is_as_uncertain_as_updates_near_it_were_late() {
        assert_eq!(within(&[]), None);
        let ms = |ms: i64| Some(Seconds::from_nanos(ms * 1_000_000));
        assert_eq!(within(&[(1000, 1900), (4500, 4512), (5000, 5030), (9000, 9900)]), ms(30));
        assert_eq!(within(&[(1000, 1900), (9000, 9900)]), None, "nothing was seen near it");
        assert_eq!(within(&[(2781, 8000)]), ms(2000), "one was on its way for so long by then");
    }

    #[test]
    fn a_leader_changes_no_later_than_its_lease_shows_and_as_much_earlier_as_watches_were_late() {
        let lease = |holder: &str| {
            let (namespace, name) = ("kube-system".into(), "kube-scheduler".into());
            let (renewed, change, holder) = (None, Change::Changed, Some(format!("{holder}_1")));
            let (transitions, lasts_s) =
                (Some(i32::from(holder.as_deref() == Some("b_1"))), Some(15));
            Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s }
        };
        let run = || article().event(-1000, lease("a")).event(6000, lease("b"));
        let width = |run: Run| {
            let found = analyse(&run.build());
            found.leaders[0].next_after(Seconds::ZERO).unwrap().1.width()
        };
        assert_eq!(width(run()), Seconds::ZERO, "nothing measures the watches");
        let measured = run().event(6030, renewal(5980)).event(7000, renewal(6995));
        assert_eq!(width(measured), Seconds::from_nanos(50_000_000));
        // The old lease had expired, however early the new one may have been taken.
        let late = article().event(-1000, lease("a")).event(14_500, lease("b"));
        let late = analyse(&late.event(14_520, renewal(13_000)).build());
        assert_eq!(late.leaders[0].gaps[0].loss, crate::analysis::LeaderLoss::Expired);
    }
}
