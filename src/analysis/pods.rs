//! What became of each pod of the run's namespace: whether it was there before the first fault,
//! where, when it left, and when its containers were started again.

use std::collections::BTreeMap;

use super::clock::Zero;
use super::findings::{PodFinding, When};
use crate::timeline::{Change, Event, Moment, PodIdentity, Record};

/// Every pod that a watch saw, in the order in which they were first seen. `first_fault`: the first
/// fault's request.
pub(super) fn pods(records: &[Record], first_fault: Moment, zero: Zero) -> Vec<PodFinding> {
    let mut found: Vec<PodFinding> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        let Event::Pod { pod, change, node, ready, identity, .. } = &record.event else { continue };
        // Older timelines name no uid: their pods are known by their names.
        let key = if identity.uid.is_empty() { pod } else { &identity.uid };
        let after = record.at >= first_fault;
        let place = *places.entry(key).or_insert_with(|| {
            let appeared =
                (after && *change != Change::Baseline).then(|| zero.when(record.bracket()));
            found.push(first_seen(pod, identity, appeared));
            found.len() - 1
        });
        let when = after.then(|| zero.when(record.bracket()));
        found[place].see(*change, node.as_deref(), *ready, identity, when);
    }
    found
}

fn first_seen(pod: &str, identity: &PodIdentity, appeared: Option<When>) -> PodFinding {
    PodFinding {
        pod: pod.to_owned(),
        node: None,
        owner: identity.owner.clone(),
        labels: identity.labels.clone(),
        appeared,
        scheduled: None,
        unschedulable: None,
        ready: None,
        restarted: None,
        restarts: identity.restarts,
        left: None,
    }
}

impl PodFinding {
    /// Takes what a watch saw of it; `when`: after the first fault's request, else before.
    fn see(
        &mut self,
        change: Change,
        node: Option<&str>,
        ready: bool,
        identity: &PodIdentity,
        when: Option<When>,
    ) {
        if let Some(node) = node {
            self.node = Some(node.to_owned());
            if self.appeared.is_some() && self.scheduled.is_none() {
                self.scheduled = when;
            }
        }
        if self.appeared.is_some() && identity.unschedulable.is_some() {
            self.unschedulable.clone_from(&identity.unschedulable);
        }
        if identity.restarts > self.restarts && self.restarted.is_none() {
            self.restarted = when;
        }
        self.restarts = identity.restarts.max(self.restarts);
        if ready && self.ready.is_none() && self.appeared.is_some() {
            self.ready = when;
        }
        if (identity.ending || change == Change::Deleted) && self.left.is_none() {
            self.left = when;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Run, at, s};

    fn pods_of(run: Run) -> Vec<PodFinding> {
        let timeline = run.build();
        let zero = Zero::of(&timeline).0;
        pods(&timeline.records, at(0), zero)
    }

    #[test]
    fn who_comes_after_the_fault_has_appeared() {
        let run = Run::new().pod(-9000, Change::Baseline, "a", 0, true).kill(15_000);
        let found = pods_of(
            run.pod(4000, Change::Changed, "b", 0, false)
                .pod(6000, Change::Changed, "b", 0, true)
                .pod(7000, Change::Deleted, "a", 0, false),
        );
        assert_eq!((found[0].appeared, found[0].left.unwrap().latest), (None, s(7.0)));
        assert_eq!(
            (found[1].appeared.unwrap().latest, found[1].ready.unwrap().latest),
            (s(4.0), s(6.0))
        );
    }

    #[test]
    fn a_restart_is_the_first_that_comes_after_the_fault() {
        let run = Run::new()
            .pod(-9000, Change::Baseline, "a", 2, true)
            .pod(-8000, Change::Changed, "a", 3, true)
            .kill(15_000);
        let found = pods_of(run.pod(2000, Change::Changed, "a", 4, true).since(500).pod(
            3000,
            Change::Changed,
            "a",
            5,
            true,
        ));
        let restarted = found[0].restarted.unwrap();
        assert_eq!((restarted.earliest, restarted.latest, found[0].restarts), (s(0.5), s(2.0), 5));
    }
}
