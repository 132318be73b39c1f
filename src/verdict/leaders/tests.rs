//! Each rule at its edges.

use std::time::Duration;

use super::*;
use crate::analysis::testing::{Run, at};
use crate::analysis::{Findings, analyse};
use crate::experiment::Expectation;
use crate::prediction::{ClusterModel, Predictions};
use crate::timeline::{Change, Event, FaultPhase, ProcessState};
use crate::verdict::Outcome::{self, Fail, Inconclusive, Pass};
use ProcessState::{Gone, Running, Stopped};

const WORKER: &str = "fast-detection-worker";
const OTHER: &str = "fast-detection-worker2";
const COMPONENT: Component = Component::Scheduler;

fn process(run: Run, ms: i64, pid: u32, state: ProcessState) -> Run {
    let pid = (state != Gone).then_some(pid);
    run.event(ms, Event::Process { node: WORKER.into(), component: COMPONENT, pid, state })
}

fn observed(run: Run) -> Run {
    let event =
        Event::Process { node: OTHER.into(), component: COMPONENT, pid: Some(2), state: Running };
    process(run.event(-9000, event), -9000, 1, Running)
}

fn lease(run: Run, ms: i64, node: &str, transitions: i32) -> Run {
    let (namespace, name) = ("kube-system".into(), COMPONENT.name().into());
    let (change, renewed, holder) = (Change::Changed, None, Some(format!("{node}_1")));
    let (transitions, lasts_s) = (Some(transitions), Some(15));
    run.event(ms, Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s })
}

/// The faulted node's scheduler leads; the node dies at +0, for 40 s.
fn led() -> Run {
    lease(observed(Run::new().kill(40_000)), -500, WORKER, 1)
}

/// Its process is paused in these phases.
fn paused(run: Run, phases: &[(i64, FaultPhase)]) -> Run {
    let fault = |phase| Event::Fault {
        step: 0,
        name: None,
        fault: "componentPause".into(),
        target: WORKER.into(),
        component: Some(COMPONENT),
        phase,
        detail: String::new(),
    };
    phases.iter().fold(run, |run, (ms, phase)| run.event(*ms, fault(*phase)))
}

const PHASES: [(i64, FaultPhase); 4] = [
    (0, FaultPhase::Requested),
    (200, FaultPhase::Confirmed),
    (40_000, FaultPhase::UndoRequested),
    (40_100, FaultPhase::Undone),
];

/// It is frozen instead.
fn frozen() -> Run {
    let run = paused(observed(Run::new()), &PHASES[..3]);
    process(lease(run, -500, WORKER, 1), 200, 1, Stopped)
}

fn judged(run: Run, expectation: &Expectation) -> (Outcome, String) {
    let found: Findings = analyse(&run.ended(60_000).build());
    let verdict = crate::verdict::judge(
        &found,
        std::slice::from_ref(expectation),
        &Predictions::new(None, ClusterModel::default(), 0, 0),
    );
    let assertion = &verdict.assertions[0];
    (assertion.outcome, assertion.why.clone().or(assertion.measured.clone()).unwrap_or_default())
}

fn outcomes(
    run: impl Fn() -> Run,
    expectation: impl Fn(Duration) -> Expectation,
    bounds: &[u64],
) -> Vec<Outcome> {
    bounds.iter().map(|ms| judged(run(), &expectation(Duration::from_millis(*ms))).0).collect()
}

fn change(within: Duration) -> Expectation {
    Expectation::LeaderChange { component: COMPONENT, within }
}

fn gap(at_most: Duration) -> Expectation {
    Expectation::LeaderGap { component: COMPONENT, at_most, at_least: None }
}

fn old(at_most: Duration) -> Expectation {
    Expectation::OldLeader { component: COMPONENT, at_most, at_least: None }
}

/// Renewed until the end.
fn renewed(run: Run, from: i64, node: &str, transitions: i32) -> Run {
    (0..)
        .map(|beat| from + beat * 10_000)
        .take_while(|ms| *ms < 60_000)
        .fold(run, |run, ms| lease(run, ms, node, transitions))
}

fn failed_over() -> Run {
    renewed(process(led(), 200, 1, Gone).since(100), 16_000, OTHER, 2)
}

#[test]
fn a_new_leader_is_awaited_from_the_fault() {
    assert_eq!(outcomes(failed_over, change, &[16_000, 15_999]), [Pass, Fail]);
    assert_eq!(outcomes(failed_over, gap, &[15_900, 15_850, 15_700]), [Pass, Inconclusive, Fail]);
    assert_eq!(judged(failed_over(), &old(Duration::from_secs(1))).0, Inconclusive);
}

/// The leader may be missing, or an old one go on, after the undo: until the recovery all is open.
#[test]
fn a_run_that_was_cut_just_after_the_undo_does_not_show_how_long_a_gap_is() {
    let cut = |mut run: Run| {
        run.0.records.retain(|record| record.at <= at(40_300));
        run.event(40_300, Event::Interrupted { signal: "SIGTERM".into() }).ended(41_000).build()
    };
    let of = |run: Run, expectation: Expectation| {
        let found = analyse(&cut(run));
        assert!(found.cut_at.is_some());
        let none = Predictions::new(None, ClusterModel::default(), 0, 0);
        crate::verdict::judge(&found, &[expectation], &none).assertions[0].clone()
    };
    let passes = of(failed_over(), gap(Duration::from_secs(20)));
    assert_eq!(passes.outcome, Inconclusive);
    assert!(passes.why.unwrap().ends_with("before the recovery"));
    assert_eq!(of(failed_over(), gap(Duration::from_secs(10))).outcome, Fail, "seen already");
    let unfrozen = || process(renewed(frozen(), 16_000, OTHER, 2), 30_000, 1, Running);
    let gone = || process(unfrozen(), 32_000, 1, Gone).since(31_900);
    assert_eq!(of(gone(), old(Duration::from_secs(10))).outcome, Inconclusive);
    assert_eq!(of(gone(), old(Duration::from_secs(1))).outcome, Fail, "seen already");
}

/// 15.8 s to 15.9 s without a leader.
#[test]
fn what_must_take_its_time_is_judged_on_its_lower_end() {
    let long = |run: Run, least: u64, most: u64| {
        let (at_most, at_least) = (Duration::from_millis(most), Some(Duration::from_millis(least)));
        judged(run, &Expectation::LeaderGap { component: COMPONENT, at_most, at_least }).0
    };
    let bounds =
        [(15_700, 16_000), (15_850, 16_000), (15_850, 15_870), (15_950, 16_000), (15_000, 15_500)];
    assert_eq!(
        bounds.map(|(least, most)| long(failed_over(), least, most)),
        [Pass, Inconclusive, Inconclusive, Fail, Fail]
    );
    let elsewhere = || renewed(lease(Run::new().kill(40_000), -500, OTHER, 1), 9000, OTHER, 1);
    assert_eq!(long(elsewhere(), 1000, 30_000), Inconclusive, "nobody looked");
    let unfrozen = || process(renewed(frozen(), 16_000, OTHER, 2), 30_000, 1, Running);
    let gone = || process(unfrozen(), 32_000, 1, Gone).since(31_900);
    let lived = |least| {
        let (at_most, at_least) = (Duration::from_secs(15), Some(Duration::from_millis(least)));
        judged(gone(), &Expectation::OldLeader { component: COMPONENT, at_most, at_least }).0
    };
    assert_eq!([1800, 1950, 2100].map(lived), [Pass, Inconclusive, Fail]);
}

#[test]
fn a_leader_that_was_not_hit_shows_nothing() {
    let elsewhere = || renewed(lease(Run::new().kill(40_000), -500, OTHER, 1), 9000, OTHER, 1);
    let (outcome, why) = judged(elsewhere(), &change(Duration::from_secs(30)));
    assert_eq!(
        (outcome, &*why),
        (Inconclusive, "the leader was on fast-detection-worker2, which no fault hit")
    );
    let (outcome, why) = judged(elsewhere(), &gap(Duration::from_secs(30)));
    assert_eq!((outcome, &*why), (Inconclusive, "no observer on fast-detection-worker2"));
    assert_eq!(
        judged(Run::new().kill(4000), &gap(Duration::from_secs(30))).1,
        "the leader of kube-scheduler is not known"
    );
}

/// A fault of a step from one moment to another.
fn fault(
    run: Run,
    step: u32,
    (kind, component, target): (&str, Option<Component>, &str),
    (from, to): (i64, i64),
) -> Run {
    let phases = [
        (from, FaultPhase::Requested),
        (from + 200, FaultPhase::Confirmed),
        (to, FaultPhase::UndoRequested),
        (to + 200, FaultPhase::Undone),
    ];
    let event = |phase| {
        let (fault, target, detail) = (kind.into(), target.into(), String::new());
        Event::Fault { step, name: None, fault, target, component, phase, detail }
    };
    phases.into_iter().fold(run, |run, (ms, phase)| run.event(ms, event(phase)))
}

/// A fault of a kind, on the leader's node and on a part of it.
fn faulted(kind: &str, component: Option<Component>) -> Run {
    let run = fault(observed(Run::new()), 0, (kind, component, WORKER), (0, 40_000));
    renewed(lease(run, -500, WORKER, 1), 16_000, OTHER, 2)
}

/// The leader is frozen for 5 s, which its lease outlasts; another step kills it 20 s later.
#[test]
fn what_another_fault_did_is_not_this_ones_doing() {
    let paused = |second: (&str, Option<Component>, &str)| {
        let run =
            fault(observed(Run::new()), 0, ("componentPause", Some(COMPONENT), WORKER), (0, 5000));
        let run = process(process(run, 200, 1, Stopped), 5100, 1, Running);
        let run = lease(lease(run, -500, WORKER, 1), 6000, WORKER, 1);
        let run = process(fault(run, 1, second, (25_000, 45_000)), 25_200, 1, Gone).since(25_100);
        judged(renewed(run, 41_000, OTHER, 2), &change(Duration::from_secs(50)))
    };
    let (kill, elsewhere) =
        (("componentKill", Some(COMPONENT), WORKER), ("kubeletStop", None, OTHER));
    let only = (Inconclusive, "the leader did not change, and the fault lasted only 5s".to_owned());
    assert_eq!([paused(kill), paused(elsewhere)], [only.clone(), only]);
}

/// Lost to the first fault, and followed after the second one began.
#[test]
fn a_leader_that_a_fault_cost_its_place_is_followed_when_its_lease_has_expired() {
    let run = fault(observed(Run::new()), 0, ("componentKill", Some(COMPONENT), WORKER), (0, 5000));
    let run = fault(
        process(run, 200, 1, Gone).since(100),
        1,
        ("kubeletStop", None, OTHER),
        (10_000, 20_000),
    );
    let run = renewed(lease(run, -500, WORKER, 1), 16_000, OTHER, 2);
    assert_eq!(judged(run, &change(Duration::from_secs(30))).0, Pass);
}

/// Three control planes; the leader is the first one's.
#[test]
fn a_part_on_another_node_costs_no_leader_its_place_while_there_is_a_quorum() {
    let of = |faults: &[(&str, Option<Component>, &str)]| {
        let run = lease(observed(Run::new().all_control_planes()), -500, WORKER, 1);
        let steps = faults.iter().zip(0..);
        let run = steps.fold(run, |run, (what, step)| {
            fault(run, step, *what, (i64::from(step) * 500, 40_000))
        });
        judged(renewed(run, 16_000, OTHER, 2), &change(Duration::from_secs(30))).0
    };
    let third = "fast-detection-control-plane";
    for part in [Component::ApiServer, Component::Etcd] {
        assert_eq!(of(&[("componentStop", Some(part), OTHER)]), Inconclusive, "{part:?}");
        assert_eq!(of(&[("componentStop", Some(part), WORKER)]), Pass, "{part:?}");
    }
    let etcd = |target| ("componentStop", Some(Component::Etcd), target);
    assert_eq!(
        [of(&[etcd(OTHER), etcd(third)]), of(&[etcd(OTHER), etcd(OTHER)])],
        [Pass, Inconclusive]
    );
    assert_eq!(of(&[("nodeKill", None, OTHER), ("nodeKill", None, third)]), Pass);
    let servers = |target| ("componentStop", Some(Component::ApiServer), target);
    assert_eq!(of(&[servers(OTHER), servers(third)]), Inconclusive, "its own is there");
    assert_eq!(of(&[servers(OTHER), servers(third), servers(WORKER)]), Pass);
}

#[test]
fn a_leader_that_changes_by_itself_was_not_changed_by_a_fault() {
    let of =
        |kind: &str, component| judged(faulted(kind, component), &change(Duration::from_secs(30)));
    let by_itself =
        "the leader was on fast-detection-worker, which no fault hit: it changed by itself";
    for (kind, component) in [
        ("nodeDrain", None),
        ("kubeletStop", None),
        ("componentStop", Some(Component::ControllerManager)),
    ] {
        let hit = component.map_or(kind, Component::name);
        // As `validate` says it of the experiment.
        let unfit = format!("this cannot pass: `{hit}` cannot make kube-scheduler lose its leader");
        assert_eq!(of(kind, component), (Inconclusive, format!("{by_itself}; {unfit}")), "{kind}");
    }
    for (kind, component) in [
        ("nodePause", None),
        ("partition", None),
        ("componentStop", Some(Component::ApiServer)),
        ("componentStop", Some(Component::Etcd)),
    ] {
        assert_eq!(of(kind, component).0, Pass, "{kind}");
    }
    let elsewhere = || renewed(lease(Run::new().kill(40_000), -500, OTHER, 1), 9000, WORKER, 2);
    assert_eq!(judged(elsewhere(), &change(Duration::from_secs(30))).0, Inconclusive);
}

#[test]
fn a_lease_that_nobody_takes_is_a_gap_without_an_end() {
    let orphaned = || process(led(), 200, 1, Gone).since(100);
    assert_eq!(outcomes(orphaned, change, &[59_000, 61_000]), [Fail, Inconclusive]);
    assert_eq!(outcomes(orphaned, gap, &[59_000, 61_000]), [Fail, Inconclusive]);
}

#[test]
fn a_leader_that_goes_on_is_no_change() {
    let unfrozen = || renewed(process(frozen(), 5000, 1, Running), 9000, WORKER, 1);
    assert_eq!(outcomes(unfrozen, change, &[40_000, 40_001]), [Fail, Inconclusive]);
    assert_eq!(
        outcomes(unfrozen, gap, &[4800, 4799]),
        [Inconclusive, Fail],
        "it was unfrozen long before the undo"
    );
}

/// Nobody looks at the processes of the embedded cluster, for one.
#[test]
fn an_old_leader_whose_end_nobody_observes_is_not_said_to_go_on() {
    let run = lease(paused(Run::new(), &PHASES), -500, WORKER, 1);
    let run = lease(run, 16_000, OTHER, 2);
    let (judged, why) = judged(run, &old(Duration::from_secs(1)));
    assert_eq!((judged, why.contains("was not observed")), (Inconclusive, true), "{why}");
}

#[test]
fn an_old_leader_must_give_up_in_time() {
    let replaced = || renewed(frozen(), 16_000, OTHER, 2);
    let unfrozen = || process(replaced(), 30_000, 1, Running);
    assert_eq!(
        outcomes(|| process(unfrozen(), 32_000, 1, Gone).since(31_900), old, &[2000, 1950, 1800]),
        [Pass, Inconclusive, Fail]
    );
    assert_eq!(outcomes(unfrozen, old, &[29_000, 31_000]), [Fail, Inconclusive]);
    assert_eq!(outcomes(replaced, old, &[60_000]), [Inconclusive]);
}
