//! One hour at 1000 attempts a second: bytes on disk, the time to find the error windows, and the
//! time for the whole report; and the page's size and time.
//!
//! `cargo bench --bench analysis`. Goals: 40 MB, 150 ms, 1 s; a page of 5 MB.

use std::path::Path;
use std::time::{Duration, Instant};

use outage::analysis::{Findings, analyse};
use outage::prediction::{ClusterModel, Predictions};
use outage::report::suite::Part;
use outage::report::{Style, View, html, terminal};
use outage::timeline::attempts::{AttemptEncoder, Phases};
use outage::timeline::*;
use outage::verdict::judge;

const ATTEMPTS: u64 = 3_600_000;
const START: Moment = Moment(1_000_000_000_000);
/// When the fault is requested, and for how long one of two backends is silent, in slots.
const FAULT: u64 = 1_800_000;
const OUTAGE: u64 = 45_000;
const ROUNDS: u32 = 7;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = write(folder.path());
    let bytes: u64 = std::fs::read_dir(&path)
        .expect("the run")
        .map(|e| e.expect("a file").metadata().expect("its size").len())
        .sum();
    println!("{ATTEMPTS} attempts: {:.1} MB on disk", bytes as f64 / 1e6);
    let timeline = Timeline::read(&path).expect("the run");
    let findings = analyse(&timeline);
    let window = &findings.probes[0].windows[0];
    println!("errors for {}, {} of {} failed", window.length, window.failed, window.attempts);
    report("decoding alone", || {
        timeline.probes[0].attempts().filter(|a| a.outcome.is_failure()).count()
    });
    report("windows (decode, order, windows, counts)", || analyse(&timeline).probes.len());
    report("page (levels, lanes, markup)", || page(&timeline, &findings).len());
    let page = page(&timeline, &findings).len();
    println!("page: {:.2} MB", page as f64 / 1e6);
    assert!(page <= 5_000_000, "a page has at most 5 MB");
    report("whole report (read, analyse, judge, render)", || {
        let timeline = Timeline::read(&path).expect("the run");
        let findings = analyse(&timeline);
        let predictions = Predictions::new(None, ClusterModel::default(), 0, 0);
        let verdict = judge(&findings, &[], &predictions);
        terminal::render(
            &View::new(&timeline, &findings, &verdict, &predictions),
            &Style::default(),
        )
        .len()
    });
}

fn page(timeline: &Timeline, findings: &Findings) -> String {
    let predictions = Predictions::new(None, ClusterModel::default(), 0, 0);
    let verdict = judge(findings, &[], &predictions);
    html::render(&Part::of_runs(vec![View::new(timeline, findings, &verdict, &predictions)]))
}

fn report<T>(what: &str, mut work: impl FnMut() -> T) {
    let time = |()| {
        let begin = Instant::now();
        std::hint::black_box(work());
        begin.elapsed()
    };
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| ()).map(time).collect();
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{what}: median {:.1} ms, least {:.1} ms, most {:.1} ms of {ROUNDS}",
        ms(times[3]),
        ms(times[0]),
        ms(times[6])
    );
}

fn write(runs: &Path) -> std::path::PathBuf {
    let mut folder = RunFolder::create(runs, &header()).expect("a run's folder");
    let span = span();
    let mut writer = folder.probe(&span).expect("a file of attempts");
    let mut encoder = AttemptEncoder::default();
    let mut bytes = Vec::new();
    encoder.backend("web-559b-47p6z", &mut bytes);
    encoder.backend("web-559b-9xkq2", &mut bytes);
    in_order_of_ending(|attempt| encoder.attempt(attempt, &mut bytes));
    writer.append(&bytes).and_then(|()| writer.finish()).expect("attempts are written");
    for (slot, phase) in [
        (FAULT, FaultPhase::Requested),
        (FAULT + 300, FaultPhase::Confirmed),
        (FAULT + 60_000, FaultPhase::UndoRequested),
        (FAULT + 61_000, FaultPhase::Undone),
    ] {
        let (fault, target) = ("nodeKill".into(), "worker".into());
        let event = Event::Fault {
            step: 0,
            name: None,
            fault,
            target,
            component: None,
            phase,
            detail: String::new(),
        };
        folder.record(&Record::at(span.due(slot), event)).expect("a record is written");
    }
    for (index, node) in ["worker", "worker2"].into_iter().enumerate() {
        let pod = Some(["web-559b-47p6z", "web-559b-9xkq2"][index].into());
        let endpoint = Endpoint {
            address: format!("10.244.{index}.2"),
            pod,
            node: Some(node.into()),
            ready: true,
        };
        let event = Event::Endpoint { service: "web".into(), change: Change::Baseline, endpoint };
        folder.record(&Record::at(START, event)).expect("a record is written");
    }
    folder.record(&Record::at(span.due(ATTEMPTS), Event::Ended)).expect("a record is written");
    folder.path().to_owned()
}

/// Attempts in the order in which a prober finishes them: timeouts come 200 slots later.
fn in_order_of_ending(mut take: impl FnMut(&Attempt)) {
    let mut late = std::collections::VecDeque::new();
    for slot in 0..ATTEMPTS {
        while late.front().is_some_and(|a: &Attempt| a.slot + 201 <= slot) {
            take(&late.pop_front().expect("one is there"));
        }
        let attempt = attempt(slot);
        if attempt.outcome.is_ok() { take(&attempt) } else { late.push_back(attempt) }
    }
    late.iter().for_each(take);
}

fn attempt(slot: u64) -> Attempt {
    // A multiplicative hash instead of a random number.
    let chance = slot.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let backend = (chance & 1) as u32;
    let late_us = 20 + chance % 70;
    if backend == 0 && (FAULT + 80..FAULT + OUTAGE).contains(&slot) {
        let phases = Phases { connect_us: 200_300 + chance % 200, ..Phases::default() };
        return Attempt {
            slot,
            late_us,
            outcome: Outcome::Timeout(Phase::Connect),
            phases,
            ..Attempt::default()
        };
    }
    let phases = Phases {
        connect_us: 60 + chance % 90,
        first_byte_us: 200 + chance % 300,
        body_us: 5,
        ..Phases::default()
    };
    Attempt { slot, late_us, phases, backend: Some(backend), ..Attempt::default() }
}

fn span() -> ProbeSpan {
    ProbeSpan {
        format: ProbeSpan::FORMAT.into(),
        probe: ProbeHeader {
            name: "web".into(),
            kind: outage::timeline::ProbeKind::Http,
            target: "http://web".into(),
            service: Some("web".into()),
            from: "control-plane".into(),
            from_node: None,
            reused: false,
            control: false,
            paths: Vec::new(),
            needs: None,
        },
        start: START,
        interval_ns: 1_000_000,
        timeout_ns: 200_000_000,
        clock_uncertainty_ns: 0,
    }
}

fn header() -> Header {
    Header {
        format: Header::FORMAT.into(),
        program: "outage".into(),
        run: "bench".into(),
        anchor: Anchor {
            monotonic: START,
            wall: "2026-11-22T06:00:00Z".parse().expect("a time"),
            uncertainty_ns: 0,
            boot_id: String::new(),
        },
        name: "bench".into(),
        experiment: serde_json::Value::Null,
        source: String::new(),
        seed: 1,
        repetition: None,
        retry: None,
        shard: None,
        places: None,
        claimed_tuning: None,
        workload: Vec::new(),
        cluster: ClusterFacts {
            tolerations: Default::default(),
            kind: ClusterKind::Kind,
            name: "bench".into(),
            kubernetes: "v1.34.4".into(),
            engine: None,
            nodes: Vec::new(),
            tuning: Tuning::default(),
            context: None,
        },
    }
}
