//! Which endpoints a Service had, which of them a fault hit, and when those left and came back.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::Zero;
use super::findings::{EndpointFinding, NodeCount, ServiceFinding, When};
use crate::stats::Seconds;
use crate::timeline::{Change, Endpoint, Event, Moment, ObjectRef, Record};

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
        let hit = endpoints.values().filter(|endpoint| is_on(name, endpoint, self.target));
        let hit: Vec<EndpointFinding> =
            hit.map(|endpoint| self.follow(name, endpoint, &changes)).collect();
        ServiceFinding {
            service: name.to_owned(),
            endpoints: endpoints.len() as u32,
            by_node: by_node(endpoints),
            // A node that starts again removes its endpoints itself: what left after the undo was
            // not removed because of the fault.
            removed: last_of(hit.iter().map(|e| e.left.filter(|left| left.latest < self.undo))),
            back: last_of(hit.iter().map(|e| e.back)),
            replaced: self.replaced(name, endpoints, &changes).filter(|_| !hit.is_empty()),
            hit,
        }
    }

    /// When as many new back ends were ready at the same time as the step hit, on none of its
    /// targets.
    fn replaced(
        &self,
        service: &str,
        before: &BTreeMap<&str, &Endpoint>,
        changes: &[Seen<'_>],
    ) -> Option<When> {
        let hits = |endpoint: &Endpoint| {
            self.step_targets.iter().any(|target| is_on(service, endpoint, target))
        };
        let (count, mut ready) =
            (before.values().filter(|endpoint| hits(endpoint)).count(), BTreeSet::new());
        // A pod of a StatefulSet comes again under its name, with another address.
        let is_new = |endpoint: &Endpoint| match before.get(key(endpoint)) {
            None => !hits(endpoint),
            Some(was) => {
                let node = endpoint.node.as_deref().unwrap_or_default();
                hits(was) && was.address != endpoint.address && !self.step_targets.contains(&node)
            }
        };
        let all = changes.iter().find(|seen| {
            match is_new(seen.endpoint) && seen.ready() {
                true => ready.insert(key(seen.endpoint)),
                false => ready.remove(key(seen.endpoint)),
            };
            count > 0 && ready.len() >= count
        });
        all.map(|seen| self.when(seen.record))
    }

    fn follow(&self, service: &str, endpoint: &Endpoint, changes: &[Seen<'_>]) -> EndpointFinding {
        let left =
            changes.iter().position(|seen| key(seen.endpoint) == key(endpoint) && !seen.ready());
        // In the place of a pod that was hit itself another may come, on its own node too: that is
        // not the one that left.
        let by_pod = pod_of(service, endpoint).as_deref() == Some(self.target);
        let same = |other: &Endpoint| {
            (key(other) == key(endpoint) && (by_pod || other.node == endpoint.node))
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
            replacement: back
                .filter(|seen| key(seen.endpoint) != key(endpoint))
                .and_then(|seen| seen.endpoint.pod.clone()),
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
fn is_on(service: &str, endpoint: &Endpoint, target: &str) -> bool {
    endpoint.node.as_deref() == Some(target) || pod_of(service, endpoint).as_deref() == Some(target)
}

/// The pod behind an endpoint, as other records call it: it is in its Service's namespace.
fn pod_of(service: &str, endpoint: &Endpoint) -> Option<String> {
    Some(ObjectRef::from(service).sibling(endpoint.pod.as_ref()?).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{Run, at};

    fn endpoint(service: &str, pod: &str) -> Event {
        let endpoint = Endpoint {
            address: format!("10.0.0.{}", service.len()),
            pod: Some(pod.into()),
            node: Some("fast-detection-worker".into()),
            ready: true,
        };
        Event::Endpoint { service: service.into(), change: Change::Baseline, endpoint }
    }

    #[test]
    fn a_pod_that_comes_again_under_its_name_elsewhere_is_another() {
        let seen = |change, node: &str, address: &str| {
            let (pod, node) = (Some("web-0".into()), Some(node.into()));
            let endpoint = Endpoint { address: address.into(), pod, node, ready: true };
            Event::Endpoint { service: "web".into(), change, endpoint }
        };
        let worker = "fast-detection-worker";
        let followed = |comes_on: &str| {
            let run = Run::new()
                .event(-9000, seen(Change::Baseline, worker, "10.0.0.1"))
                .event(2000, seen(Change::Deleted, worker, "10.0.0.1"))
                .event(5000, seen(Change::Changed, comes_on, "10.0.0.2"))
                .kill(15_000);
            let timeline = run.build();
            let zero = Zero::of(&timeline).0;
            let span = Span { requested: at(0), undo: at(15_000), until: Moment(u64::MAX) };
            let found = services(&timeline.records, worker, &[worker], span, zero).remove(0);
            (found.replaced.is_some(), found.back.is_some())
        };
        assert_eq!(followed("fast-detection-worker2"), (true, false));
        assert_eq!(followed(worker), (false, true));
    }

    #[test]
    fn pods_of_one_name_in_two_namespaces_are_two() {
        let run = Run::new()
            .event(-9000, endpoint("web", "web-0"))
            .event(-9000, endpoint("shop/web", "web-0"))
            .event(
                2000,
                match endpoint("shop/web", "web-0") {
                    Event::Endpoint { service, endpoint, .. } => {
                        Event::Endpoint { service, change: Change::Deleted, endpoint }
                    }
                    other => other,
                },
            )
            .kill(15_000);
        let timeline = run.build();
        let zero = Zero::of(&timeline).0;
        let span = Span { requested: at(0), undo: at(15_000), until: Moment(u64::MAX) };
        let hit = |target: &str| {
            let found = services(&timeline.records, target, &[target], span, zero);
            let hit = found.into_iter().filter(|service| !service.hit.is_empty());
            hit.map(|service| (service.service, service.removed.is_some())).collect::<Vec<_>>()
        };
        assert_eq!(hit("shop/web-0"), [("shop/web".into(), true)]);
        assert_eq!(hit("web-0"), [("web".into(), false)]);
        assert_eq!(
            hit("fast-detection-worker"),
            [("shop/web".into(), true), ("web".into(), false)],
            "what left the one did not leave the other"
        );
    }
}
