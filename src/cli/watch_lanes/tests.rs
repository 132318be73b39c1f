use super::*;
use crate::timeline::{Endpoint, FaultKind, Outcome, Phase};

fn at(ms: u64) -> Moment {
    Moment(100_000_000_000 + ms * 1_000_000)
}

fn record(ms: u64, event: Event) -> Observation {
    Observation::Record(Record::at(at(ms), event))
}

fn fault(ms: u64, phase: FaultPhase) -> Observation {
    record(
        ms,
        Event::Fault {
            step: 0,
            name: None,
            fault: FaultKind::NodeStop.into(),
            target: "fast-detection-worker".into(),
            component: None,
            phase,
            detail: String::new(),
        },
    )
}

fn node(ms: u64, name: &str, ready: Ready) -> Observation {
    let (transition, heartbeat, taints) = (None, None, Vec::new());
    let (node, reason, change) = (name.into(), String::new(), Change::Changed);
    record(ms, Event::Node { node, change, ready, reason, transition, heartbeat, taints })
}

fn endpoint(ms: u64, number: u32, ready: bool) -> Observation {
    let endpoint = Endpoint {
        address: format!("10.0.0.{number}"),
        pod: Some(format!("web-{number}")),
        node: None,
        ready,
    };
    record(ms, Event::Endpoint { service: "web".into(), change: Change::Changed, endpoint })
}

fn attempts(ms: u64, probe: &str, outcome: Outcome, count: u32) -> Observation {
    let tallies = vec![Tally { sent: at(ms), outcome, count }];
    Observation::Attempts { probe: probe.into(), tallies }
}

fn to_undo(step: u32, undo: &str) -> Observation {
    let target = "fast-detection-worker".into();
    Observation::ToUndo { step, target, component: None, undo: undo.into() }
}

fn lanes() -> Lanes {
    let mut lanes = Lanes::new("worker-stop-fast", Duration::from_secs(20), at(0));
    let mut seen = vec![record(0, Event::Stage { name: "steady state".into() })];
    seen.extend((1..=6).map(|number| endpoint(100, number, true)));
    seen.push(node(100, "fast-detection-worker", Ready::True));
    seen.push(node(100, "fast-detection-worker2", Ready::True));
    seen.push(to_undo(0, "start container fast-detection-worker"));
    seen.push(fault(6000, FaultPhase::Requested));
    seen.push(fault(6400, FaultPhase::Confirmed));
    seen.push(node(11_000, "fast-detection-worker", Ready::Unknown));
    seen.extend((1..=2).map(|number| endpoint(11_050, number, false)));
    for ms in (0..14_000).step_by(500) {
        let failed = if (6500..11_000).contains(&ms) { 8 } else { 0 };
        seen.push(attempts(ms, "web-new", Outcome::Ok, 25 - failed));
        seen.push(attempts(ms, "web-keepalive", Outcome::Ok, 25));
        if failed > 0 {
            seen.push(attempts(ms, "web-new", Outcome::Timeout(Phase::Connect), failed));
        }
    }
    seen.push(attempts(10_500, "web-new", Outcome::Refused, 1));
    let what = vec!["the end of the fault".into()];
    seen.push(Observation::Waiting { at: at(6400), what, until: at(26_400) });
    seen.iter().for_each(|seen| lanes.take(seen));
    lanes.step("injecting the fault");
    lanes
}

fn shown(lanes: &Lanes, columns: usize, rows: usize) -> Vec<String> {
    lanes.lines(at(14_000), Size { columns, rows }, None)
}

#[test]
fn lanes_fit_every_width() {
    for columns in [100, 60, 40] {
        let lines = shown(&lanes(), columns, 30);
        assert!(lines.iter().all(|line| line.width() + 3 <= columns), "{lines:#?}");
        insta::assert_snapshot!(format!("lanes-{columns}"), lines.join("\n"));
    }
}

#[test]
fn any_size_has_room_for_something() {
    let lanes = lanes();
    for (columns, rows) in (0..120).flat_map(|columns| (0..20).map(move |rows| (columns, rows))) {
        let lines = shown(&lanes, columns, rows);
        assert!(lines.len() <= rows.saturating_sub(1).max(1), "{columns}x{rows}: {lines:#?}");
        let fits = |line: &String| line.width() + 3 <= columns;
        assert!(lines.iter().all(fits), "{columns}x{rows}: {lines:#?}");
    }
}

#[test]
fn where_there_is_no_room_for_all_lanes_those_that_were_bad_are_shown() {
    let lines = shown(&lanes(), 100, 13).join("\n");
    assert!(lines.contains("in effect") && lines.contains("NotReady"), "{lines}");
    assert!(!lines.contains("web-keepalive") && lines.contains("and 3 more"), "{lines}");
}

#[test]
fn an_interruption_shows_what_is_being_undone() {
    let mut lanes = lanes();
    assert!(shown(&lanes, 100, 30).join("\n").contains("Ctrl-C"));
    lanes.take(&record(14_000, Event::Interrupted { signal: "SIGINT".into() }));
    lanes.take(&fault(14_000, FaultPhase::UndoRequested));
    let lines = shown(&lanes, 100, 30).join("\n");
    assert!(lines.contains("interrupted by SIGINT") && !lines.contains("Ctrl-C"), "{lines}");
    assert!(lines.contains("undo   now: start container fast-detection-worker"), "{lines}");
    lanes.take(&fault(14_100, FaultPhase::Undone));
    assert!(!shown(&lanes, 100, 30).join("\n").contains("start container"));
}

#[test]
fn what_a_cluster_says_does_nothing_to_the_terminal() {
    let mut lanes = lanes();
    lanes.take(&attempts(13_000, "a\x1b[2J\nb", Outcome::Refused, 1));
    let lines = shown(&lanes, 100, 30);
    assert!(lines.iter().all(|line| !line.contains(['\x1b', '\n'])), "{lines:#?}");
}

#[test]
fn a_wait_ends_with_its_stage() {
    let mut lanes = lanes();
    lanes.take(&record(6300, Event::Stage { name: "fault".into() }));
    assert!(lanes.wait.is_some(), "the stage began before the wait");
    lanes.take(&record(13_000, Event::Stage { name: "undo".into() }));
    assert!(lanes.wait.is_none());
}

#[test]
fn a_state_that_passed_within_a_column_is_seen() {
    let mut lane = Lane::default();
    lane.set(0, Share { bad: 0, all: 3 });
    lane.set(2, Share { bad: 2, all: 3 });
    lane.set(2, Share { bad: 0, all: 3 });
    lane.resize(5);
    assert_eq!((lane.bad, lane.all), (vec![0, 0, 2, 0, 0], vec![3; 5]));
}
