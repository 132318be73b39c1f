//! The writes between two readings of the API servers' and etcd's own counters, in the quiet time before
//! the first fault.

use std::collections::BTreeMap;

use super::findings::{Counted, WritesFinding};
use crate::stats::{Between, Seconds};
use crate::timeline::{
    Change, DELIVERY_LEASE, Event, Moment, NodeRole, Record, Timeline, WriteSource,
};

/// Where the kubelets keep their leases.
const NODE_LEASES: &str = "kube-node-lease";

/// One reading.
struct Reading<'a> {
    record: &'a Record,
    source: WriteSource,
    name: &'a str,
    started: &'a Option<String>,
    counts: &'a BTreeMap<String, u64>,
    unread: &'a Option<String>,
}

impl<'a> Reading<'a> {
    fn of(record: &'a Record) -> Option<Self> {
        let Event::WriteCounters { source, name, started, counts, unread } = &record.event else {
            return None;
        };
        Some(Self { record, source: *source, name, started, counts, unread })
    }

    /// What was counted from this reading to a later one of the same process.
    fn until(&self, later: &Self) -> Result<BTreeMap<String, u64>, String> {
        if let Some(why) = self.unread.as_ref().or(later.unread.as_ref()) {
            return Err(why.clone());
        }
        if self.started != later.started {
            return Err("the two readings came from different processes".into());
        }
        let since = |name: &String| self.counts.get(name).copied().unwrap_or_default();
        let grown = later.counts.iter().map(|(name, count)| (name, count.checked_sub(since(name))));
        grown
            .filter(|(_, count)| *count != Some(0))
            .map(|(name, count)| Some((name.clone(), count?)))
            .collect::<Option<_>>()
            .ok_or_else(|| "its counters decreased".to_owned())
    }

    /// From somewhere in this reading to somewhere in a later one.
    fn time_until(&self, later: &Self) -> Between {
        let (own, later) = (self.record.bracket(), later.record.bracket());
        let seconds = |from: Moment, to: Moment| Seconds::from(to.since(from));
        Between::new(seconds(own.latest, later.earliest), seconds(own.earliest, later.latest))
    }
}

/// What was counted; `None`: nobody was asked twice.
pub(super) fn writes(timeline: &Timeline) -> Option<WritesFinding> {
    let readings: Vec<Reading<'_>> = timeline.records.iter().filter_map(Reading::of).collect();
    let mut found = WritesFinding::default();
    let cluster = &timeline.header.cluster;
    let nodes = |role: Option<NodeRole>| {
        let is_node = |it: NodeRole| it != NodeRole::ExternalLoadBalancer;
        let nodes =
            cluster.nodes.iter().filter(|it| role.map_or(is_node(it.role), |role| it.role == role));
        nodes.count() as u32
    };
    (found.nodes, found.control_planes) = (nodes(None), nodes(Some(NodeRole::ControlPlane)));
    let mut between: Option<(Moment, Moment)> = None;
    let mut was_asked = false;
    for (index, first) in readings.iter().enumerate() {
        let same = |it: &&Reading<'_>| it.source == first.source && it.name == first.name;
        let Some(second) = readings[index + 1..].iter().find(same) else { continue };
        was_asked = true;
        let time = first.time_until(second);
        match first.until(second) {
            Err(why) => found.unread.push(format!("{}: {why}", who(first))),
            Ok(counts) if first.source == WriteSource::Etcd => {
                found.etcd = Some(Counted { count: counts.values().sum(), seconds: time });
            }
            Ok(counts) => {
                found.seconds = match found.api_servers {
                    0 => time,
                    _ => Between::new(
                        found.seconds.least.min(time.least),
                        found.seconds.most.max(time.most),
                    ),
                };
                found.api_servers += 1;
                for (name, count) in counts {
                    *found.requests.entry(name).or_default() += count;
                }
                between.get_or_insert((first.record.at, second.record.at));
            }
        }
    }
    if let Some((from, to)) = between {
        let renewals = |is_wanted: &dyn Fn(&str, &str) -> bool| {
            let seen = timeline.records.iter().filter(|it| from < it.at && it.at <= to);
            let renewed = seen.filter(|record| match &record.event {
                Event::Lease { namespace, name, change: Change::Changed, .. } => {
                    is_wanted(namespace, name)
                }
                _ => false,
            });
            renewed.count() as u64
        };
        let status = found.requests.iter().filter(|(name, _)| name.ends_with(" nodes/status"));
        found.node_status = status.map(|(_, count)| count).sum();
        let leases = found.requests.iter().filter(|(name, _)| name.ends_with(" leases"));
        let leases: u64 = leases.map(|(_, count)| count).sum();
        found.node_leases = renewals(&|namespace, _| namespace == NODE_LEASES).min(leases);
        found.own = renewals(&|_, name| name == DELIVERY_LEASE)
            .min(leases.saturating_sub(found.node_leases));
    }
    was_asked.then_some(found)
}

fn who(reading: &Reading<'_>) -> String {
    match reading.source {
        WriteSource::ApiServer => format!("API server {}", reading.name),
        WriteSource::Etcd => format!("etcd on {}", reading.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;
    use crate::analysis::testing::{Run, article};

    fn reading(
        run: Run,
        ms: i64,
        source: WriteSource,
        started: &str,
        counts: &[(&str, u64)],
    ) -> Run {
        let counts = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let (name, started, unread) = ("a".to_owned(), Some(started.to_owned()), None);
        let event = Event::WriteCounters { source, name, started, counts, unread };
        run.event(ms, event).since(ms - 100)
    }

    fn lease(namespace: &str, name: &str) -> Event {
        let (namespace, name, change) = (namespace.into(), name.into(), Change::Changed);
        let (holder, renewed, transitions, lasts_s) = Default::default();
        Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s }
    }

    fn found(second: impl Fn(Run) -> Run) -> Option<WritesFinding> {
        use WriteSource::{ApiServer, Etcd};
        let counts = [("PATCH nodes/status", 100), ("PUT leases", 50), ("POST events", 7)];
        let run = reading(article(), -9000, ApiServer, "1", &counts);
        let run = reading(run, -9000, Etcd, "1", &[("put", 10)]);
        let run = run
            .event(-9500, lease(NODE_LEASES, "w"))
            .event(-5000, lease(NODE_LEASES, "w"))
            .event(-4000, lease("kube-system", "kube-scheduler"))
            .event(-3000, lease("run", DELIVERY_LEASE));
        analyse(&second(run).build()).writes
    }

    #[test]
    fn what_grew_between_two_readings_is_counted_and_leases_are_told_apart_by_the_watch() {
        let counts = [("PATCH nodes/status", 116), ("PUT leases", 56), ("POST events", 7)];
        let writes = found(|run| {
            let run = reading(run, -1000, WriteSource::ApiServer, "1", &counts);
            reading(run, -1000, WriteSource::Etcd, "1", &[("put", 34), ("delete", 2)])
        });
        let writes = writes.unwrap();
        let requests = [("PATCH nodes/status".to_owned(), 16), ("PUT leases".to_owned(), 6)];
        assert_eq!(writes.requests, requests.into());
        assert_eq!((writes.api_servers, writes.node_status, writes.node_leases), (1, 16, 1));
        assert_eq!((writes.own, writes.other(), writes.total()), (1, 4, 22));
        let seconds = |value| Seconds::from_f64(value);
        let time = Between::new(seconds(7.9), seconds(8.1));
        assert_eq!(writes.seconds, time);
        assert_eq!(writes.etcd, Some(Counted { count: 26, seconds: time }));
        assert_eq!(writes.unread, [""; 0]);
    }

    #[test]
    fn another_process_and_what_could_not_be_read_are_told_and_not_counted() {
        let writes = found(|run| {
            let run = reading(run, -1000, WriteSource::ApiServer, "2", &[("PUT leases", 999)]);
            let event = Event::WriteCounters {
                source: WriteSource::Etcd,
                name: "a".into(),
                started: None,
                counts: BTreeMap::new(),
                unread: Some("403 Forbidden".into()),
            };
            run.event(-1000, event)
        });
        let writes = writes.unwrap();
        assert_eq!((writes.api_servers, writes.total(), writes.etcd), (0, 0, None));
        assert_eq!(
            writes.unread,
            [
                "API server a: the two readings came from different processes",
                "etcd on a: 403 Forbidden"
            ]
        );
        assert_eq!(found(|run| run), None, "nobody was asked twice");
    }
}
