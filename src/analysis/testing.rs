//! Timelines for tests: a small builder, and a prober that is simulated against back ends that are
//! shut and opened at known moments.

use std::time::Duration;

use crate::stats::Seconds;
use crate::timeline::attempts::{AttemptEncoder, Phases};
use crate::timeline::record::Endpoint;
use crate::timeline::*;

/// The monotonic clock at +0, in milliseconds: 06:23:41.207 on a day in November.
const ZERO_MS: i64 = 1_000_000;

/// A moment, in milliseconds after +0.
pub(crate) fn at(ms: i64) -> Moment {
    Moment(((ZERO_MS + ms) * 1_000_000) as u64)
}

pub(crate) fn s(seconds: f64) -> Seconds {
    Seconds::from_f64(seconds)
}

/// A probe's header: of the Service `web`, so many milliseconds between attempts. Slot 0 is due 5 s
/// before +0.
pub(crate) fn span(name: &str, interval_ms: u64, timeout_ms: u64) -> ProbeSpan {
    ProbeSpan {
        format: ProbeSpan::FORMAT.into(),
        probe: ProbeHeader {
            name: name.into(),
            kind: crate::timeline::ProbeKind::Http,
            target: "http://web.outage-7f3a.svc:80/ (10.96.3.4:80)".into(),
            service: Some("web".into()),
            from: "fast-detection-control-plane".into(),
            from_node: Some("fast-detection-control-plane".into()),
            reused: false,
            control: false,
            paths: Vec::new(),
            needs: None,
        },
        start: at(-5000),
        interval_ns: interval_ms * 1_000_000,
        timeout_ns: timeout_ms * 1_000_000,
        clock_uncertainty_ns: 0,
    }
}

/// An attempt on a connection of its own, sent in time.
pub(crate) fn attempt(slot: u64, outcome: Outcome, took_us: u64) -> Attempt {
    let phases = Phases { first_byte_us: took_us, ..Phases::default() };
    Attempt { slot, outcome, phases, ..Attempt::default() }
}

/// A file of attempts, given in any order; they are written in the order in which they ended.
pub(crate) fn file(span: &ProbeSpan, backends: &[&str], mut attempts: Vec<Attempt>) -> ProbeFile {
    ProbeFile::new(bytes(span, backends, &mut attempts)).expect("a file that was just written")
}

/// The file of a prober that was killed: of what was still in flight there are no records.
pub(crate) fn broken_off(span: &ProbeSpan, mut attempts: Vec<Attempt>, until: Moment) -> ProbeFile {
    attempts.retain(|attempt| span.done(attempt) <= until);
    ProbeFile::new(written(span, &[], &mut attempts, |_| Ok(()))).expect("a file just written")
}

/// The bytes of [`file`].
pub(crate) fn bytes(span: &ProbeSpan, backends: &[&str], attempts: &mut [Attempt]) -> Vec<u8> {
    written(span, backends, attempts, |writer| writer.finish())
}

fn written(
    span: &ProbeSpan,
    backends: &[&str],
    attempts: &mut [Attempt],
    end: impl FnOnce(AttemptWriter<&mut Vec<u8>>) -> std::io::Result<()>,
) -> Vec<u8> {
    attempts.sort_by_key(|attempt| span.done(attempt));
    let (mut encoder, mut records, mut file) = (AttemptEncoder::default(), Vec::new(), Vec::new());
    backends.iter().for_each(|name| encoder.backend(name, &mut records));
    attempts.iter().for_each(|attempt| encoder.attempt(attempt, &mut records));
    AttemptWriter::new(&mut file, span)
        .and_then(|mut writer| writer.append(&records).and_then(|()| end(writer)))
        .expect("written to memory");
    file
}

/// A small deterministic generator (xorshift64*), so that a seed is a run.
pub(crate) struct Random(pub u64);

impl Random {
    /// The next number between 0 and 1.
    pub(crate) fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A prober against back ends of which the first `dead` do not answer what reaches them between two
/// moments.
#[derive(Clone)]
pub(crate) struct Prober {
    pub span: ProbeSpan,
    pub seconds: u64,
    pub backends: u32,
    pub dead: u32,
    /// From and to, in nanoseconds after +0.
    pub outage: (i64, i64),
    /// Whether answers name their back end.
    pub named: bool,
    /// Whether dead back ends refuse (else they are silent).
    pub refuses: bool,
    pub seed: u64,
}

impl Prober {
    pub(crate) const NAMES: [&'static str; 10] =
        ["web-0", "web-1", "web-2", "web-3", "web-4", "web-5", "web-6", "web-7", "web-8", "web-9"];

    pub(crate) fn new(interval_ms: u64, backends: u32, dead: u32, outage_ms: (i64, i64)) -> Self {
        let outage = (outage_ms.0 * 1_000_000, outage_ms.1 * 1_000_000);
        Self {
            span: span("web", interval_ms, 200),
            seconds: 30,
            backends,
            dead,
            outage,
            named: false,
            refuses: false,
            seed: 7,
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        let mut random = Random(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..self.seconds * 1_000_000_000 / self.span.interval_ns)
            .map(|slot| self.attempt(slot, &mut random))
            .collect()
    }

    fn attempt(&self, slot: u64, random: &mut Random) -> Attempt {
        let late_us = (random.share() * 300.0) as u64;
        let transit_ns = 20_000.0 + random.share() * 80_000.0;
        let backend = (random.share() * f64::from(self.backends)) as u32;
        let reaches = self.span.due(slot).0 as i64 - at(0).0 as i64
            + late_us as i64 * 1000
            + transit_ns as i64;
        let shut = backend < self.dead && reaches >= self.outage.0 && reaches < self.outage.1;
        let (outcome, took_us) = match (shut, self.refuses) {
            (false, _) => (Outcome::Ok, 2 * transit_ns as u64 / 1000 + 100),
            (true, true) => (Outcome::Refused, 2 * transit_ns as u64 / 1000),
            (true, false) => (Outcome::Timeout(Phase::Connect), self.span.timeout_ns / 1000 + 400),
        };
        let backend = (self.named && !shut).then_some(backend);
        Attempt { late_us, backend, ..attempt(slot, outcome, took_us) }
    }

    pub(crate) fn file(&self) -> ProbeFile {
        let names = &Self::NAMES[..if self.named { self.backends as usize } else { 0 }];
        file(&self.span, names, self.attempts())
    }
}

pub(crate) struct Run(pub Timeline);

const NODES: [(&str, NodeRole); 3] = [
    ("fast-detection-control-plane", NodeRole::ControlPlane),
    ("fast-detection-worker", NodeRole::Worker),
    ("fast-detection-worker2", NodeRole::Worker),
];

impl Run {
    /// A run of three nodes, tuned as in the article, with nothing in it.
    pub(crate) fn new() -> Self {
        let wall = "2026-11-22T06:23:41.207Z".parse().expect("a time");
        let anchor = Anchor { monotonic: at(0), wall, uncertainty_ns: 80, boot_id: "b".into() };
        let second = |n| Some(Duration::from_secs(n));
        let tuning = Tuning {
            node_status_update_frequency: second(1),
            node_status_report_frequency: second(1),
            node_lease_duration: second(40),
            node_monitor_period: second(1),
            node_monitor_grace_period: second(4),
            source: TuningSource::Cluster,
        };
        let node = |(name, role): (&str, NodeRole)| NodeFacts {
            name: name.into(),
            role,
            address: Some("172.18.0.2".into()),
            kubelet: "v1.34.4".into(),
            container: None,
            labels: Default::default(),
            tainted: None,
        };
        let cluster = ClusterFacts {
            kind: ClusterKind::Kind,
            name: "fast-detection".into(),
            kubernetes: "v1.34.4".into(),
            engine: Some("Docker 20.10.24 (API 1.41)".into()),
            nodes: NODES.into_iter().map(node).collect(),
            tuning,
            tolerations: Default::default(),
            context: None,
        };
        let header = Header {
            format: Header::FORMAT.into(),
            program: "outage 0.1.0".into(),
            run: "20261122-062341-7f3a".into(),
            anchor,
            name: "worker-stop-fast".into(),
            experiment: serde_json::Value::Null,
            source: String::new(),
            seed: 1,
            repetition: None,
            retry: None,
            shard: None,
            cluster,
            places: None,
            claimed_tuning: None,
            workload: Vec::new(),
        };
        Run(Timeline {
            header,
            records: Vec::new(),
            probes: Vec::new(),
            damage: Vec::new(),
            growing: false,
        })
    }

    pub(crate) fn all_control_planes(mut self) -> Self {
        self.0.header.cluster.nodes.iter_mut().for_each(|node| node.role = NodeRole::ControlPlane);
        self
    }

    pub(crate) fn event(mut self, ms: i64, event: Event) -> Self {
        self.0.records.push(Record::at(at(ms), event));
        self
    }

    /// The last event happened at an unknown time since then.
    pub(crate) fn since(mut self, ms: i64) -> Self {
        self.0.records.last_mut().expect("an event").since = Some(at(ms));
        self
    }

    pub(crate) fn fault_phase(self, ms: i64, kind: &str, phase: FaultPhase, detail: &str) -> Self {
        let (fault, target, detail) = (kind.into(), "fast-detection-worker".into(), detail.into());
        self.event(
            ms,
            Event::Fault { step: 0, name: None, fault, target, component: None, phase, detail },
        )
    }

    pub(crate) fn node(self, ms: i64, change: Change, ready: Ready, reason: &str) -> Self {
        let (node, reason) = ("fast-detection-worker".into(), reason.into());
        self.event(
            ms,
            Event::Node {
                node,
                change,
                ready,
                reason,
                transition: None,
                heartbeat: None,
                taints: Vec::new(),
            },
        )
    }

    /// A record of the worker's node with a heartbeat at this time of the run's day.
    pub(crate) fn beat(self, ms: i64, heartbeat: &str, ready: Ready) -> Self {
        let heartbeat = Some(format!("2026-11-22T{heartbeat}").parse().expect("a time"));
        let (node, reason) = ("fast-detection-worker".into(), "KubeletReady".into());
        self.event(
            ms,
            Event::Node {
                node,
                change: Change::Changed,
                ready,
                reason,
                transition: None,
                heartbeat,
                taints: Vec::new(),
            },
        )
    }

    /// A record of the worker's Lease, renewed at this time of the run's day.
    pub(crate) fn lease(self, ms: i64, renewed: &str) -> Self {
        let renewed = Some(format!("2026-11-22T{renewed}").parse().expect("a time"));
        let (namespace, name) = ("kube-node-lease".into(), "fast-detection-worker".into());
        self.event(
            ms,
            Event::Lease {
                namespace,
                name,
                change: Change::Changed,
                holder: None,
                renewed,
                transitions: None,
                lasts_s: None,
            },
        )
    }

    /// Endpoint `index` of the Service `web`.
    pub(crate) fn endpoint(
        self,
        ms: i64,
        change: Change,
        index: u32,
        node: &str,
        ready: bool,
    ) -> Self {
        let (address, pod) = (format!("10.244.1.{index}"), Some(format!("web-{index}")));
        let endpoint = Endpoint { address, pod, node: Some(node.into()), ready };
        self.event(ms, Event::Endpoint { service: "web".into(), change, endpoint })
    }

    /// So many endpoints, the first of which are on the worker that is hit.
    pub(crate) fn endpoints(mut self, all: u32, hit: u32) -> Self {
        for index in 0..all {
            let node = if index < hit { "fast-detection-worker" } else { "fast-detection-worker2" };
            self = self.endpoint(-9000, Change::Baseline, index, node, true);
        }
        self
    }

    /// A pod with the label `app: web`, by its name, which is its uid as well.
    pub(crate) fn pod(
        self,
        ms: i64,
        change: Change,
        name: &str,
        restarts: u32,
        ready: bool,
    ) -> Self {
        let labels = [("app".to_owned(), "web".to_owned())].into();
        let identity = PodIdentity { uid: name.into(), labels, restarts, ..PodIdentity::default() };
        let node = Some("fast-detection-worker".into());
        self.event(
            ms,
            Event::Pod { pod: name.into(), change, node, phase: "Running".into(), ready, identity },
        )
    }

    /// A kill at +0, confirmed at 300 ms, undone from `undo_ms` on.
    pub(crate) fn kill(self, undo_ms: i64) -> Self {
        self.fault_phase(0, "nodeKill", FaultPhase::Requested, "")
            .fault_phase(290, "nodeKill", FaultPhase::Returned, "")
            .fault_phase(300, "nodeKill", FaultPhase::Confirmed, "container exited")
            .fault_phase(undo_ms, "nodeKill", FaultPhase::UndoRequested, "")
            .fault_phase(undo_ms + 400, "nodeKill", FaultPhase::Undone, "container runs")
    }

    pub(crate) fn steady(self, ms: i64, before: bool, held_since_ms: i64) -> Self {
        let conditions = vec!["all 3 nodes are Ready".into()];
        self.event(ms, Event::SteadyState { before, held_since: at(held_since_ms), conditions })
    }

    pub(crate) fn probe(mut self, file: ProbeFile) -> Self {
        self.0.probes.push(file);
        self
    }

    pub(crate) fn ended(self, ms: i64) -> Self {
        self.event(ms, Event::Ended)
    }

    pub(crate) fn build(mut self) -> Timeline {
        self.0.records.sort_by_key(|record| record.at);
        self.0
    }
}

/// The article's case: one of two back ends on a worker that is stopped, tuned settings, 50
/// attempts a second.
pub(crate) fn article() -> Run {
    let docker = |action: &str| Event::Docker {
        container: "fast-detection-worker".into(),
        action: action.into(),
        engine_time: None,
        exit_code: None,
    };
    let notice = Event::KubeEvent {
        kind: "Normal".into(),
        reason: "NodeNotReady".into(),
        regarding: "Node/fast-detection-worker".into(),
        message: "Node fast-detection-worker status is now: NodeNotReady".into(),
        time: Some("2026-11-22T06:23:45Z".parse().expect("a time")),
        change: Change::Changed,
    };
    let worker = "fast-detection-worker";
    let stop = |run: Run, ms, phase, detail: &str| run.fault_phase(ms, "nodeStop", phase, detail);
    let run = Run::new().endpoints(2, 1).steady(-100, true, -8000).node(
        -9000,
        Change::Baseline,
        Ready::True,
        "KubeletReady",
    );
    let run = stop(run, 0, FaultPhase::Requested, "");
    let run = stop(run, 10_310, FaultPhase::Returned, "");
    let run = stop(run, 10_320, FaultPhase::Confirmed, "container exited");
    let run = run
        .event(10_312, docker("die"))
        .node(4781, Change::Changed, Ready::Unknown, "NodeStatusUnknown")
        .event(4790, notice)
        .endpoint(4860, Change::Changed, 0, worker, false);
    let run = stop(run, 15_330, FaultPhase::UndoRequested, "");
    let run = stop(run, 15_800, FaultPhase::Undone, "container runs");
    run.node(19_600, Change::Changed, Ready::True, "KubeletReady")
        .endpoint(21_600, Change::Changed, 0, worker, true)
        .steady(26_600, false, 21_600)
        .probe(Prober { named: true, ..Prober::new(20, 2, 1, (75, 4845)) }.file())
        .ended(27_000)
}

/// A fault for 30 s in which no new pod is given a node, asked every 2 s; afterwards those that
/// waited run.
pub(crate) fn pods_wait() -> Run {
    (2..12).fold(pods_asked(|_| Outcome::Timeout(Phase::Bound)), |run: Run, slot: u64| {
        run.event(
            32_000 + slot as i64 * 100,
            Event::LateSuccess { probe: "scheduling".into(), slot },
        )
        .since(31_900)
    })
}

/// The same fault; `failed` is what became of the attempts that it hit, slots 2 to 12. Those from 3
/// on are asked in it, and end in it.
pub(crate) fn pods_asked(failed: impl Fn(u64) -> Outcome) -> Run {
    let mut canary = span("scheduling", 2000, 10_000);
    (canary.probe.kind, canary.probe.service) = (crate::timeline::ProbeKind::Canary, None);
    (canary.probe.target, canary.probe.from) =
        ("a new pod, until it runs".into(), "this machine".into());
    // Slot 2 is under way at the fault; slot 12 waits for 11 s, the next one for 9 s only.
    let outcome = |slot: u64| if (2..13).contains(&slot) { failed(slot) } else { Outcome::Ok };
    let took = |slot: u64| match slot {
        2..13 => 10_000_000,
        // Asked in the fault, they run when it is over.
        13..18 => 30_700_000 - (2 * slot - 5) * 1_000_000,
        _ => 1_200_000,
    };
    let attempts = (0..20).map(|slot| attempt(slot, outcome(slot), took(slot))).collect();
    let run = Run::new().steady(-100, true, -6000).kill(30_000).probe(file(&canary, &[], attempts));
    run.steady(40_000, false, 34_000).ended(41_000)
}
