//! Outages that are known exactly: gated servers asked by a real prober, and the timelines that a
//! run would have written of them.

use std::time::Duration;

use outage::probe::testing::{Closed, Found, GatedServer, http_probe, probe_while};
use outage::probe::{NameService, ProbeSpec};
use outage::timeline::ProbeFile;
use outage::timeline::attempts::AttemptEncoder;
use outage::timeline::{
    Anchor, AttemptWriter, Change, ClusterFacts, ClusterKind, Endpoint, Event, FaultPhase, Header,
    Moment, Record, Timeline, Tuning,
};

/// The time between two attempts: 100 a second.
pub(crate) const PERIOD_MS: f64 = 10.0;
const TIMEOUT: Duration = Duration::from_millis(200);
/// Outages of each server.
const OUTAGES: u64 = 10;

/// How servers fail: backend 0 of each, again and again.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub servers: u64,
    pub back_ends: usize,
    /// From the fault's request to the closing, and from the opening to the undo's request: longer
    /// than a bracket, and than a timeout.
    pub margin_ms: u64,
    pub outage_ms: u64,
}

/// One outage: the records of a fault say `requested` and `undo`, the truth lies between.
pub(crate) struct Outage {
    requested: Moment,
    pub closed: Moment,
    /// When the server decided not to answer the first request.
    pub unanswered: Moment,
    pub opened: Moment,
    undo: Moment,
}

/// Sleeps for so long and a little more, never in step with the probes.
fn pause(ms: u64, number: u64) {
    let uneven = Duration::from_micros(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 40_000);
    std::thread::sleep(Duration::from_millis(ms) + uneven);
}

impl Plan {
    fn outage(self, server: &GatedServer, number: u64) -> Outage {
        let requested = Moment::now();
        pause(self.margin_ms, number * 3);
        let closed =
            server.close(0, if number.is_multiple_of(2) { Closed::Hang } else { Closed::Drop });
        pause(self.outage_ms, number * 3 + 1);
        // An outage lasts until somebody has noticed it: by chance, or on a busy machine, nobody
        // may have.
        let unanswered = loop {
            match server.first_unanswered(0) {
                Some(at) => break at,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
            assert!(Moment::now().since(closed) < Duration::from_secs(20), "nobody asks");
        };
        let opened = server.open(0);
        pause(self.margin_ms, number * 3 + 2);
        let undo = Moment::now();
        pause(5, number);
        Outage { requested, closed, unanswered, opened, undo }
    }

    /// What a prober found of each server, and the truth.
    pub(crate) fn run(self) -> Vec<(Found, Vec<Outage>)> {
        let servers: Vec<GatedServer> =
            (0..self.servers).map(|_| GatedServer::start(self.back_ends).unwrap()).collect();
        let probes = servers.iter().enumerate().map(|(n, server)| probe(n, server)).collect();
        let mut truth = Vec::new();
        let found = probe_while(probes, NameService::parse("", ""), || {
            truth = std::thread::scope(|scope| {
                let outages = |(server, n)| {
                    pause(100, n);
                    (n * OUTAGES..(n + 1) * OUTAGES)
                        .map(|number| self.outage(server, number))
                        .collect::<Vec<_>>()
                };
                let threads: Vec<_> = servers
                    .iter()
                    .zip(0..)
                    .map(|pair| scope.spawn(move || outages(pair)))
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
        });
        found.into_iter().zip(truth).collect()
    }
}

fn probe(number: usize, server: &GatedServer) -> ProbeSpec {
    let mut spec = http_probe(&format!("p{number}"), server.address(), 1e3 / PERIOD_MS, TIMEOUT);
    spec.header.service = Some("web".into());
    spec
}

/// The file of a probe's attempts, with or without the names of the back ends that answered.
fn file(found: &Found, named: bool) -> ProbeFile {
    let (mut encoder, mut records, mut file) = (AttemptEncoder::default(), Vec::new(), Vec::new());
    found.backends.iter().for_each(|name| encoder.backend(name, &mut records));
    for attempt in &found.attempts {
        let mut attempt = attempt.clone();
        attempt.backend = attempt.backend.filter(|_| named);
        encoder.attempt(&attempt, &mut records);
    }
    AttemptWriter::new(&mut file, &found.span)
        .and_then(|mut writer| writer.append(&records).and_then(|()| writer.finish()))
        .unwrap();
    ProbeFile::new(file).unwrap()
}

/// What a run would have written: back end i is on node i, and each outage is a fault of node 0.
pub(crate) fn timeline(
    found: &Found,
    outages: &[Outage],
    back_ends: usize,
    named: bool,
) -> Timeline {
    let endpoint = |n: usize| {
        let (pod, node) = (Some(format!("backend-{n}")), Some(format!("node-{n}")));
        let endpoint = Endpoint { address: format!("10.0.0.{n}"), pod, node, ready: true };
        Event::Endpoint { service: "web".into(), change: Change::Baseline, endpoint }
    };
    let fault = |step: usize, phase| Event::Fault {
        name: None,
        step: step as u32,
        fault: "nodeKill".into(),
        target: "node-0".into(),
        component: None,
        phase,
        detail: String::new(),
    };
    let before = std::iter::once(Event::ProbeStarted {
        probe: found.span.probe.name.clone(),
        control: false,
    })
    .chain((0..back_ends).map(endpoint));
    let mut records: Vec<Record> =
        before.map(|event| Record::at(found.span.start, event)).collect();
    for (step, outage) in outages.iter().enumerate() {
        let phases = [
            (outage.requested, FaultPhase::Requested),
            (outage.closed, FaultPhase::Confirmed),
            (outage.undo, FaultPhase::UndoRequested),
            (outage.undo, FaultPhase::Undone),
        ];
        records.extend(phases.map(|(at, phase)| Record::at(at, fault(step, phase))));
    }
    records.push(Record::now(Event::Ended));
    Timeline {
        header: header(),
        records,
        probes: vec![file(found, named)],
        damage: Vec::new(),
        growing: false,
    }
}

fn header() -> Header {
    let cluster = ClusterFacts {
        kind: ClusterKind::Kind,
        name: "gated".into(),
        kubernetes: "v1.34.4".into(),
        engine: None,
        nodes: Vec::new(),
        tuning: Tuning::default(),
        tolerations: Default::default(),
        context: None,
    };
    Header {
        format: Header::FORMAT.into(),
        program: "outage".into(),
        run: "gated".into(),
        anchor: Anchor::take(),
        name: "gated".into(),
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
    }
}
