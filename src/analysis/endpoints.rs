//! Which endpoints a Service had, which of them a fault hit, and when those left and came back.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Zero;
use super::findings::{EndpointFinding, NodeCount, ServiceFinding, When};
use crate::stats::Seconds;
use crate::timeline::{Change, Endpoint, Event, Moment, Record};

/// What an endpoint is known by: its pod, whose address may change; its address where it has none.
pub fn key(endpoint: &Endpoint) -> &str {
    endpoint.pod.as_deref().unwrap_or(&endpoint.address)
}

/// The ready endpoints of every Service at a moment, by Service and [`key`].
pub fn ready_at(records: &[Record], moment: Moment) -> BTreeMap<&str, BTreeMap<&str, &Endpoint>> {
    let mut services: BTreeMap<&str, BTreeMap<&str, &Endpoint>> = BTreeMap::new();
    for record in records.iter().take_while(|record| record.at < moment) {
        if let Event::Endpoint { service, change, endpoint } = &record.event {
            let endpoints = services.entry(service).or_default();
            match endpoint.ready && *change != Change::Deleted {
                true => endpoints.insert(key(endpoint), endpoint),
                false => endpoints.remove(key(endpoint)),
            };
        }
    }
    services
}

/// When a fault began, when its undo did (the end of time: it has none), and when the next fault
/// did.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The fault's request.
    pub requested: Moment,
    /// The undo's request.
    pub undo: Moment,
    /// The next fault's request.
    pub until: Moment,
}

/// Every Service at the request of a fault on `target` (a node or a pod), and what became of its
/// endpoints there. `step_targets` are all targets of its step: what comes in the place of one may
/// as well be in the place of another.
pub fn services(
    records: &[Record],
    target: &str,
    step_targets: &[&str],
    span: Span,
    zero: Zero,
) -> Vec<ServiceFinding> {
    let after = records.partition_point(|record| record.at < span.requested);
    let end = records.partition_point(|record| record.at < span.until);
    let found = ready_at(records, span.requested);
    let scope = Scope {
        after: &records[after..end],
        target,
        step_targets,
        requested: span.requested,
        undo: zero.at(span.undo),
        zero,
    };
    found.into_iter().map(|(name, endpoints)| scope.service(name, &endpoints)).collect()
}

struct Scope<'a> {
    after: &'a [Record],
    target: &'a str,
    step_targets: &'a [&'a str],
    requested: Moment,
    undo: Seconds,
    zero: Zero,
}

impl Scope<'_> {
    fn service(&self, name: &str, endpoints: &BTreeMap<&str, &Endpoint>) -> ServiceFinding {
        let changes: Vec<Seen<'_>> =
            self.after.iter().filter_map(|record| Seen::of(record, name)).collect();
        let hit = endpoints.values().filter(|endpoint| is_on(endpoint, self.target));
        let hit: Vec<EndpointFinding> =
            hit.map(|endpoint| self.follow(endpoint, &changes)).collect();
        ServiceFinding {
            service: name.to_owned(),
            endpoints: endpoints.len() as u32,
            by_node: by_node(endpoints),
            // A node that starts again removes its endpoints itself: what left after the undo was
            // not removed because of the fault.
            removed: last_of(hit.iter().map(|e| e.left.filter(|left| left.latest < self.undo))),
            back: last_of(hit.iter().map(|e| e.back)),
            replaced: self.replaced(endpoints, &changes).filter(|_| !hit.is_empty()),
            hit,
        }
    }

    /// When as many new back ends were ready at the same time as the step hit, on none of its
    /// targets.
    fn replaced(&self, before: &BTreeMap<&str, &Endpoint>, changes: &[Seen<'_>]) -> Option<When> {
        let hits =
            |endpoint: &Endpoint| self.step_targets.iter().any(|target| is_on(endpoint, target));
        let (count, mut ready) =
            (before.values().filter(|endpoint| hits(endpoint)).count(), BTreeSet::new());
        let all = changes.iter().find(|seen| {
            let new = !before.contains_key(key(seen.endpoint)) && !hits(seen.endpoint);
            match new && seen.ready() {
                true => ready.insert(key(seen.endpoint)),
                false => ready.remove(key(seen.endpoint)),
            };
            count > 0 && ready.len() >= count
        });
        all.map(|seen| self.when(seen.record))
    }

    fn follow(&self, endpoint: &Endpoint, changes: &[Seen<'_>]) -> EndpointFinding {
        let left =
            changes.iter().position(|seen| key(seen.endpoint) == key(endpoint) && !seen.ready());
        // In the place of a pod that was hit itself another may come, on its own node too: that is
        // not the one that left.
        let by_pod = endpoint.pod.as_deref() == Some(self.target);
        let same = |other: &Endpoint| {
            key(other) == key(endpoint)
                || (!by_pod && other.node.is_some() && other.node == endpoint.node)
        };
        let back = left.and_then(|left| {
            changes[left + 1..].iter().find(|seen| seen.ready() && same(seen.endpoint))
        });
        EndpointFinding {
            address: endpoint.address.clone(),
            pod: endpoint.pod.clone(),
            left: left.map(|left| self.when(changes[left].record)),
            deleted: left.is_some_and(|left| changes[left].deleted),
            back: back.map(|seen| self.when(seen.record)),
        }
    }

    /// No earlier than the fault, however long the watch was blind.
    fn when(&self, record: &Record) -> When {
        let when = self.zero.when(record.bracket());
        When { earliest: when.earliest.max(self.zero.at(self.requested)), latest: when.latest }
    }
}

fn by_node(endpoints: &BTreeMap<&str, &Endpoint>) -> Vec<NodeCount> {
    let mut counts: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    for endpoint in endpoints.values() {
        *counts.entry(endpoint.node.as_deref()).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|(node, count)| NodeCount { node: node.map(str::to_owned), count })
        .collect()
}

/// The last of some moments; `None` without any, or when one is missing.
fn last_of(mut moments: impl Iterator<Item = Option<When>>) -> Option<When> {
    let first = moments.next()??;
    moments.try_fold(first, |last, when| Some(last.later(when?)))
}

struct Seen<'a> {
    record: &'a Record,
    endpoint: &'a Endpoint,
    deleted: bool,
}

impl<'a> Seen<'a> {
    fn of(record: &'a Record, wanted: &str) -> Option<Self> {
        match &record.event {
            Event::Endpoint { service, change, endpoint }
                if service == wanted && *change != Change::Baseline =>
            {
                Some(Self { record, endpoint, deleted: *change == Change::Deleted })
            }
            _ => None,
        }
    }

    fn ready(&self) -> bool {
        self.endpoint.ready && !self.deleted
    }
}

/// A target is a node or a pod.
fn is_on(endpoint: &Endpoint, target: &str) -> bool {
    [&endpoint.node, &endpoint.pod].into_iter().any(|place| place.as_deref() == Some(target))
}
