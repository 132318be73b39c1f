//! What is counted over the runs of a cell: how often a node was taken for dead, and what was written
//! in the quiet time before each fault.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::{FaultFinding, Findings, WritesFinding};
use crate::model::Distribution;
use crate::stats::{Interval, interval_of_count, interval_of_share};
use crate::timeline::Impact;

/// What may follow when a node is considered dead, rightly or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Consequence {
    /// The node that was hit became NotReady, at any time after the fault's request.
    NotReady,
    /// An endpoint on it was no longer ready, or gone.
    EndpointRemoved,
    /// A pod on it was deleted.
    PodEvicted,
}

impl Consequence {
    pub const ALL: [Self; 3] = [Self::NotReady, Self::EndpointRemoved, Self::PodEvicted];

    pub fn name(self) -> &'static str {
        ["node NotReady", "endpoint removed", "pod evicted"][self as usize]
    }

    /// The consequences of a run's faults; `None`: none of them hit a Ready node. Those on a component
    /// or on objects of the API leave the node's heartbeats alone.
    pub(super) fn of(findings: &Findings) -> Option<Vec<Self>> {
        let hits_node = |fault: &&FaultFinding| {
            fault.node.ready_before == Some(true)
                && fault.component.is_none()
                && fault.kind.traits().impact != Impact::Objects
        };
        let faults = || findings.faults.iter().filter(hits_node);
        faults().next()?;
        let not_ready = faults().any(|fault| fault.node.detected.is_some());
        let mut hit = faults().flat_map(|fault| &fault.services).flat_map(|it| &it.hit);
        let removed = hit.any(|endpoint| endpoint.left.is_some());
        let evicted = faults().any(|fault| {
            let mut on_it =
                findings.pods.iter().filter(|it| it.node.as_ref() == Some(&fault.target));
            on_it.any(|pod| pod.appeared.is_none() && pod.left.is_some())
        });
        let seen = [not_ready, removed, evicted];
        Some(Self::ALL.into_iter().zip(seen).filter_map(|(it, seen)| seen.then_some(it)).collect())
    }
}

/// In how many runs something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Occurrence {
    /// What.
    pub what: Consequence,
    /// In how many runs it was seen.
    pub runs: u32,
    /// Of how many whose fault hit a Ready node.
    pub of: u32,
    /// The interval of its chance at 95 % (Clopper and Pearson).
    pub interval: Interval,
    /// In which share of the model's trials; `None`: it is not predicted.
    pub predicted: Option<f64>,
}

impl Occurrence {
    /// Of each consequence; empty where no run says anything of it.
    pub(super) fn all(runs: &[Vec<Consequence>], detection: Option<&Distribution>) -> Vec<Self> {
        let of = runs.len() as u64;
        let predicted = detection.and_then(|it| it.summary().chance());
        let one = |what: Consequence| {
            let seen = runs.iter().filter(|run| run.contains(&what)).count() as u64;
            let predicted = predicted.filter(|_| what == Consequence::NotReady);
            let interval = interval_of_share(seen, of)?;
            Some(Self { what, runs: seen as u32, of: of as u32, interval, predicted })
        };
        Consequence::ALL.into_iter().filter_map(one).collect()
    }
}

/// So many a second, of everything that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// How many were counted.
    pub count: u64,
    /// The rate a second.
    pub per_second: f64,
    /// Its interval at 95 % (Garwood), outward by the time that the readings took.
    pub interval: Interval,
}

/// The time between two readings, in seconds: at least and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Time {
    least: f64,
    most: f64,
}

impl Rate {
    /// None where no time has passed.
    fn new(count: u64, time: Time, scale: f64) -> Option<Self> {
        let Interval { low, high } = interval_of_count(count);
        let middle = f64::midpoint(time.least, time.most);
        let interval = Interval { low: scale * low / time.most, high: scale * high / time.least };
        let per_second = scale * count as f64 / middle;
        (time.least > 0.0).then_some(Self { count, per_second, interval })
    }
}

/// What was written in the quiet time before each fault, by the API servers' and etcd's own counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MeasuredWrites {
    /// In how many runs it was counted.
    pub runs: u32,
    /// For how long, in all of them together.
    pub seconds: f64,
    /// The number of nodes: the largest of the runs.
    pub nodes: u32,
    /// The number of API servers whose counters are added up, in each of the runs.
    pub api_servers: u32,
    /// The number of control-plane nodes, each with an API server; 0: not known.
    pub control_planes: u32,
    /// All write requests to the API servers that succeeded, but for this program's own renewals.
    pub all: Rate,
    /// Writes of the nodes' status: they grow with the nodes.
    pub node_status: Rate,
    /// Renewals of the nodes' leases: they grow with the nodes.
    pub node_leases: Rate,
    /// The rest: leader election, events, the workload.
    pub other: Rate,
    /// Puts and deletes of etcd; `None`: not read.
    pub etcd: Option<Rate>,
    /// Node status and leases together, extrapolated to the study's number of nodes: in proportion.
    pub heartbeats: Rate,
    /// The write requests by kind, in all runs together.
    pub requests: BTreeMap<String, u64>,
}

impl MeasuredWrites {
    /// Of the runs of a cell together, but for those in which fewer API servers were read than in
    /// others; `None`: no API server was read. `nodes`: for how many the heartbeats are extrapolated.
    pub(super) fn new<'a>(
        runs: impl Iterator<Item = &'a WritesFinding>,
        nodes: u32,
    ) -> Option<Self> {
        let mut runs: Vec<&WritesFinding> = runs.filter(|run| run.api_servers > 0).collect();
        let api_servers = runs.iter().map(|run| run.api_servers).max()?;
        runs.retain(|run| run.api_servers == api_servers);
        let sum = |of: &dyn Fn(&WritesFinding) -> u64| runs.iter().map(|run| of(run)).sum::<u64>();
        // Of runs on different numbers of nodes, heartbeats go with the time of all nodes together.
        let time = |of: &dyn Fn(&WritesFinding) -> f64| {
            runs.iter().fold(Time::default(), |time, run| Time {
                least: time.least + of(run) * run.seconds.least.as_f64(),
                most: time.most + of(run) * run.seconds.most.as_f64(),
            })
        };
        let own_time = time(&|_| 1.0);
        let rate = |of: &dyn Fn(&WritesFinding) -> u64| Rate::new(sum(of), own_time, 1.0);
        let heartbeats = sum(&|run| run.node_status + run.node_leases);
        let mut requests = BTreeMap::new();
        for (name, count) in runs.iter().flat_map(|run| &run.requests) {
            *requests.entry(name.clone()).or_default() += count;
        }
        let etcd = || runs.iter().filter_map(|run| run.etcd);
        let etcd_time = etcd().fold(Time::default(), |time, it| Time {
            least: time.least + it.seconds.least.as_f64(),
            most: time.most + it.seconds.most.as_f64(),
        });
        Some(Self {
            runs: runs.len() as u32,
            seconds: f64::midpoint(own_time.least, own_time.most),
            nodes: runs.iter().map(|run| run.nodes).max()?,
            api_servers,
            control_planes: runs.iter().map(|run| run.control_planes).max()?,
            all: rate(&|run| run.total() - run.own)?,
            node_status: rate(&|run| run.node_status)?,
            node_leases: rate(&|run| run.node_leases)?,
            other: rate(&WritesFinding::other)?,
            etcd: Rate::new(etcd().map(|it| it.count).sum(), etcd_time, 1.0),
            heartbeats: Rate::new(heartbeats, time(&|run| f64::from(run.nodes)), f64::from(nodes))?,
            requests,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::Run;
    use crate::analysis::{Counted, analyse};
    use crate::stats::{Between, Seconds};
    use crate::timeline::{Change, Component, Event, FaultPhase, Ready};

    fn quiet(least: f64, most: f64, status: u64, leases: u64) -> WritesFinding {
        let seconds = Between::new(Seconds::from_f64(least), Seconds::from_f64(most));
        let requests =
            [("PATCH nodes/status".to_owned(), status), ("PUT leases".into(), leases + 5)];
        let (node_status, node_leases) = (status, leases);
        let etcd = Some(Counted { count: 40, seconds });
        let (nodes, api_servers, own, requests) = (3, 1, 2, requests.into());
        WritesFinding {
            seconds,
            nodes,
            api_servers,
            requests,
            node_status,
            node_leases,
            own,
            etcd,
            ..WritesFinding::default()
        }
    }

    #[test]
    fn runs_are_pooled_and_heartbeats_grow_with_the_nodes() {
        let runs = [quiet(9.8, 10.2, 30, 3), quiet(9.8, 10.2, 27, 3)];
        let writes = MeasuredWrites::new(runs.iter(), 1000).unwrap();
        assert_eq!((writes.runs, writes.seconds, writes.all.count), (2, 20.0, 69));
        assert_eq!((writes.node_status.per_second, writes.other.per_second), (2.85, 0.3));
        assert_eq!(writes.etcd.unwrap().per_second, 4.0);
        // 63 heartbeats of 3 nodes in 20 s.
        assert_eq!(writes.heartbeats.per_second, 1050.0);
        let Interval { low, high } = writes.heartbeats.interval;
        assert!((750.0..850.0).contains(&low) && (1300.0..1400.0).contains(&high), "{low} {high}");
        assert_eq!(writes.requests["PUT leases"], 16);
        let unread = WritesFinding { unread: vec!["403".into()], ..WritesFinding::default() };
        assert_eq!(MeasuredWrites::new([unread].iter(), 1000), None);
    }

    #[test]
    fn a_run_in_which_an_api_server_was_not_read_lowers_nothing() {
        let all = WritesFinding { api_servers: 3, ..quiet(9.8, 10.2, 30, 3) };
        let one_away = WritesFinding { api_servers: 2, ..quiet(9.8, 10.2, 20, 2) };
        let writes = MeasuredWrites::new([&one_away, &all].into_iter(), 1000).unwrap();
        assert_eq!(writes, MeasuredWrites::new([&all].into_iter(), 1000).unwrap());
        assert_eq!((writes.runs, writes.api_servers), (1, 3));
    }

    #[test]
    fn only_faults_that_may_stop_heartbeats_say_whether_a_node_becomes_not_ready() {
        let of = |kind: &str, of: Option<Component>| {
            let ready = Run::new().node(-9000, Change::Baseline, Ready::True, "KubeletReady");
            let mut run = ready.fault_phase(0, kind, FaultPhase::Requested, "");
            if let Event::Fault { component, .. } = &mut run.0.records[1].event {
                *component = of;
            }
            Consequence::of(&analyse(&run.ended(9000).build()))
        };
        assert_eq!(of("nodeKill", None), Some(vec![]));
        assert_eq!(of("kubeletThrottle", None), Some(vec![]));
        assert_eq!(of("nodeDrain", None), None);
        assert_eq!(of("componentStop", Some(Component::Scheduler)), None);
    }

    #[test]
    fn what_was_seen_in_some_runs_has_its_interval() {
        use Consequence::NotReady;
        let runs = [vec![NotReady], vec![], vec![], vec![NotReady]];
        let seen = Occurrence::all(&runs, None);
        assert_eq!((seen[0].what, seen[0].runs, seen[0].of), (NotReady, 2, 4));
        assert!((seen[0].interval.low - 0.0676).abs() < 1e-4, "{seen:?}");
        assert_eq!((seen[2].runs, seen[2].interval.low), (0, 0.0));
        assert_eq!(Occurrence::all(&[], None), []);
    }
}
