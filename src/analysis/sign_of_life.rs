//! The first sign of life of a node after the undo of a fault.
//!
//! That Kubernetes calls a node Ready proves nothing: if an outage was shorter than detection, it
//! never stopped doing so. What the node itself writes does: its Lease's renewal, its status'
//! heartbeat, and Ready turning True.

use crate::timeline::leader::NODE_LEASES;
use crate::timeline::{Anchor, Bracket, Change, Event, FaultName, Moment, Ready, Record};

/// From when on a word of the node counts. What ends heartbeats lets none out before its undo is
/// requested, and the first may come while that call still returns.
pub(super) fn counts_from(fault: &FaultName, requested: Option<Moment>, undone: Moment) -> Moment {
    requested.filter(|_| fault.traits().last_heartbeat.is_some()).unwrap_or(undone)
}

/// When a node first gave a sign of life after `undone`.
pub(super) fn after(
    records: &[Record],
    anchor: &Anchor,
    node: &str,
    undone: Moment,
) -> Option<Bracket> {
    let mut known = Known::default();
    records.iter().find_map(|record| {
        let word = known.hear(&record.event, node)?;
        if record.at < undone {
            None
        } else {
            spoken(record, word.and_then(|own| anchor.moment_of(own)), undone)
        }
    })
}

/// When that was. What a watch caught up with after it was down may be old, unless the node's own
/// timestamp shows that it is not.
fn spoken(record: &Record, own: Option<Moment>, undone: Moment) -> Option<Bracket> {
    let bracket = record.bracket();
    let fresh = bracket.earliest >= undone || own.is_some_and(|own| own >= undone);
    fresh.then_some(Bracket { earliest: bracket.earliest.max(undone), ..bracket })
}

#[derive(Default)]
struct Known {
    renewed: Option<jiff::Timestamp>,
    heartbeat: Option<jiff::Timestamp>,
    ready: Option<Ready>,
}

impl Known {
    /// Takes an event. If it is a new sign of life: the node's own timestamp, where it has one.
    fn hear(&mut self, event: &Event, wanted: &str) -> Option<Option<jiff::Timestamp>> {
        match event {
            Event::Lease { namespace, name, renewed, change, .. }
                if namespace == NODE_LEASES && name == wanted =>
            {
                let fresh = is_fresh(&mut self.renewed, *renewed);
                (fresh && *change == Change::Changed).then_some(*renewed)
            }
            Event::Node { node, ready, heartbeat, change, .. } if node == wanted => {
                let beat = is_fresh(&mut self.heartbeat, *heartbeat);
                // Others may write Unknown; only the node itself writes Ready.
                let up = self.ready.replace(*ready).is_some_and(|before| before != Ready::True)
                    && *ready == Ready::True;
                ((beat || up) && *change == Change::Changed).then_some(heartbeat.filter(|_| beat))
            }
            _ => None,
        }
    }
}

fn is_fresh(known: &mut Option<jiff::Timestamp>, stated: Option<jiff::Timestamp>) -> bool {
    stated.is_some() && known.replace(stated.unwrap_or_default()) != stated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Run, at};

    const WORKER: &str = "fast-detection-worker";

    /// The first word after an undo that was confirmed at 2 s; +0 is 06:23:41.207.
    fn heard(run: Run) -> Option<Bracket> {
        let run = run.beat(-500, "06:23:40Z", Ready::True).lease(-400, "06:23:40.8Z").build();
        after(&run.records, &run.header.anchor, WORKER, at(2000))
    }

    fn exactly(ms: i64) -> Option<Bracket> {
        Some(Bracket { earliest: at(ms), latest: at(ms) })
    }

    #[test]
    fn what_the_node_wrote_after_the_undo_counts() {
        assert_eq!(heard(Run::new()), None);
        assert_eq!(
            heard(Run::new().lease(1900, "06:23:43.1Z").lease(2300, "06:23:43.5Z")),
            exactly(2300)
        );
        assert_eq!(heard(Run::new().beat(2400, "06:23:43Z", Ready::True)), exactly(2400));
        assert_eq!(
            heard(Run::new().beat(1000, "06:23:40Z", Ready::Unknown).beat(
                2500,
                "06:23:40Z",
                Ready::True
            )),
            exactly(2500)
        );
    }

    #[test]
    fn what_others_wrote_of_it_does_not() {
        let same = Run::new().beat(2300, "06:23:40Z", Ready::Unknown).beat(
            2400,
            "06:23:40Z",
            Ready::Unknown,
        );
        assert_eq!(heard(same.lease(2500, "06:23:40.8Z")), None);
    }

    #[test]
    fn what_a_blind_watch_caught_up_with_must_say_so_itself() {
        assert_eq!(heard(Run::new().lease(3000, "06:23:41Z").since(100)), None);
        let stated = Run::new().lease(3000, "06:23:43.5Z").since(100);
        assert_eq!(heard(stated), Some(Bracket { earliest: at(2000), latest: at(3000) }));
        assert_eq!(
            heard(Run::new().lease(3000, "06:23:41Z").since(2100)),
            Some(Bracket { earliest: at(2100), latest: at(3000) })
        );
    }
}
