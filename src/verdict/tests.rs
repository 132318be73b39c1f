//! Each rule at its edges.

use std::time::Duration;

use super::*;
use crate::analysis::testing::{
    Prober, Run, article, at, attempt, file, pods_asked, pods_wait, span,
};
use crate::analysis::{Findings, analyse, analyse_for};
use crate::experiment::{Bound, During, ErrorTime};
use crate::prediction::{ClusterModel, Predictions};
use crate::timeline::{
    Change, Damage, Event, Extent, FaultPhase, Outcome as Answer, Phase, ProbeFile, Ready, Stream,
};
use Outcome::{Fail, Inconclusive, Pass};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn unpredicted(found: &Findings, expect: &[Expectation]) -> Verdict {
    judge(found, expect, &Predictions::new(None, ClusterModel::default(), 0, 0))
}

fn detection(within: u64) -> Expectation {
    Expectation::Detection {
        of: None,
        after: None,
        within: Bound::Fixed(ms(within)),
        at_least: None,
    }
}

fn window(at_most: u64) -> Expectation {
    Expectation::ErrorWindow {
        probe: "web".into(),
        at_most: Some(Bound::Fixed(ms(at_most))),
        at_least: None,
        counts: ErrorTime::FirstToLast,
    }
}

fn removal(within: u64) -> Expectation {
    Expectation::EndpointRemoval { service: None, within: Bound::Fixed(ms(within)) }
}

fn recovery(within: u64) -> Expectation {
    Expectation::Recovery { within: Bound::Fixed(ms(within)) }
}

fn share(at_most: f64) -> Expectation {
    Expectation::FailedShare { probe: "web".into(), at_most }
}

fn no_errors() -> Expectation {
    Expectation::NoErrors { probe: "web".into() }
}

pub(super) fn one(found: &Findings, expectation: Expectation) -> (Outcome, String) {
    let verdict = unpredicted(found, std::slice::from_ref(&expectation));
    (verdict.outcome, verdict.assertions[0].why.clone().unwrap_or_default())
}

fn outcome(found: &Findings, expectation: Expectation) -> Outcome {
    one(found, expectation).0
}

/// A kill of the only back end at +0, undone at 15 s; errors from 1 s to 4 s.
fn killed() -> Run {
    let run = Run::new().endpoints(1, 1).kill(15_000).node(
        -9000,
        Change::Baseline,
        Ready::True,
        "KubeletReady",
    );
    run.probe(Prober::new(20, 1, 1, (1000, 4000)).file())
}

pub(super) fn found(run: Run) -> Findings {
    analyse(&run.ended(27_000).build())
}

fn refused(from: i64, to: i64) -> ProbeFile {
    let outcome = |ms: i64| if (from..to).contains(&ms) { Answer::Refused } else { Answer::Ok };
    let attempts =
        (0..1500).map(|slot| attempt(slot, outcome(slot as i64 * 20 - 5000), 1000)).collect();
    file(&span("web", 20, 200), &[], attempts)
}

#[test]
fn the_article_passes_as_a_whole() {
    let found = analyse(&article().build());
    let verdict = unpredicted(
        &found,
        &[detection(7000), window(8000), removal(7000), recovery(60_000), share(0.5)],
    );
    assert_eq!(verdict.outcome, Pass, "{verdict:#?}");
    assert_eq!(verdict.assertions[0].result_text(), "detection 4.781s, within 7s");
    assert_eq!(verdict.summary, "5 of 5 expectations met");
}

/// Detected at 4.781 s; what was sent 70 ms earlier had just arrived.
#[test]
fn a_bound_within_the_delay_of_the_watches_decides_nothing() {
    let (namespace, name) = ("run".into(), crate::timeline::DELIVERY_LEASE.to_owned());
    let (change, holder) = (Change::Changed, Some(at(4700).0.to_string()));
    let (renewed, transitions, lasts_s) = Default::default();
    let renewal = Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s };
    let found = analyse(&article().event(4770, renewal).build());
    let judged = |within| outcome(&found, detection(within));
    assert_eq!([4710, 4750, 4782].map(judged), [Fail, Inconclusive, Pass]);
    let verdict = unpredicted(&found, &[detection(4750)]);
    let text = "detection 4.781s (seen up to 70ms late), within 4.75s";
    assert_eq!(verdict.assertions[0].result_text(), text);
    assert_eq!(
        verdict.assertions[0].why.as_deref(),
        Some("the bound lies within the measured range, 4.711s to 4.781s")
    );
}

#[test]
fn a_window_is_judged_on_its_upper_end() {
    let found = found(killed());
    assert_eq!([outcome(&found, window(3100)), outcome(&found, window(2900))], [Pass, Fail]);
    let (outcome, why) = one(&found, window(3000));
    assert_eq!(outcome, Inconclusive);
    assert!(why.starts_with("the bound lies within"), "{why}");
}

/// Errors from 1 s to 2 s, and from 4 s to 5 s.
fn fails_twice() -> Findings {
    let down = |ms: i64| (1000..2000).contains(&ms) || (4000..5000).contains(&ms);
    let outcome = |ms: i64| if down(ms) { Answer::Refused } else { Answer::Ok };
    let attempts =
        (0..1500).map(|slot| attempt(slot, outcome(slot as i64 * 20 - 5000), 1000)).collect();
    let file = file(&span("web", 20, 200), &[], attempts);
    let run = Run::new().endpoints(1, 1).kill(15_000).probe(file).ended(27_000);
    let expect = [2, 10, 10, 60].map(|s| error_rate(ms(s * 1000), 0.5));
    let found = crate::analysis::analyse_for(&run.build(), &super::wanted(&expect));
    assert_eq!(found.probes[0].error_rates.len(), 3, "each length once");
    found
}

fn error_rate(window: Duration, at_most: f64) -> Expectation {
    Expectation::ErrorRate { probe: "web".into(), window, at_most }
}

#[test]
fn a_window_counts_all_of_its_time_or_its_bursts_alone() {
    let found = fails_twice();
    let judged = |most, counts| {
        let at_most = Some(Bound::Fixed(ms(most)));
        let probe = "web".into();
        let expect = Expectation::ErrorWindow { probe, at_most, at_least: None, counts };
        unpredicted(&found, &[expect]).assertions[0].clone()
    };
    let outcomes = |counts| [1900, 2000, 2100, 3900, 4100].map(|most| judged(most, counts).outcome);
    assert_eq!(outcomes(ErrorTime::FirstToLast), [Fail, Fail, Fail, Fail, Pass]);
    assert_eq!(outcomes(ErrorTime::FailingTime), [Fail, Inconclusive, Pass, Pass, Pass]);
    let text = judged(2100, ErrorTime::FailingTime).result_text();
    let wanted = "failing time of web for 1.96s to 2.04s in 2 bursts, 3.98s to 4.02s from first to last, at most 2.1s";
    assert_eq!(text, wanted);
}

#[test]
fn a_rate_is_judged_on_the_worst_window() {
    let found = fails_twice();
    let judged = |window: u64, at_most| {
        let expect = error_rate(ms(window * 1000), at_most);
        unpredicted(&found, &[expect]).assertions[0].clone()
    };
    assert_eq!([0.19, 0.2].map(|most| judged(10, most).outcome), [Fail, Pass]);
    assert_eq!([0.49, 0.5].map(|most| judged(2, most).outcome), [Fail, Pass]);
    assert_eq!(
        judged(10, 0.05).result_text(),
        "error rate of web 20% of 500 requests from +0.000s to +10.000s, at most 5% in any 10s"
    );
    assert_eq!(judged(30, 0.5).outcome, Inconclusive, "that window was not looked for");
    // 25 s were measured, of which 2 s failed: 8 %, or 3.33 % of a whole minute.
    assert_eq!([0.03, 0.05, 0.09].map(|most| judged(60, most).outcome), [Fail, Inconclusive, Pass]);
    assert_eq!(judged(60, 0.05).name, "errorRate/web");
    let why = "only 25s were measured after the fault, less than one window";
    assert_eq!(judged(60, 0.05).why.as_deref(), Some(why));
}

#[test]
fn a_rate_is_not_decided_by_attempts_that_are_missing() {
    let missing = |ms: i64| (6000..6500).contains(&ms);
    let outcome = |ms: i64| match ms {
        1000..2000 => Answer::Refused,
        _ if missing(ms) => Answer::NotSent,
        _ => Answer::Ok,
    };
    let attempts =
        (0..1500).map(|slot| attempt(slot, outcome(slot as i64 * 20 - 5000), 1000)).collect();
    let file = file(&span("web", 20, 200), &[], attempts);
    let run = Run::new().endpoints(1, 1).kill(15_000).probe(file).ended(27_000);
    let expect = |at_most| error_rate(ms(10_000), at_most);
    let found = crate::analysis::analyse_for(&run.build(), &super::wanted(&[expect(0.5)]));
    let judged = |at_most| one(&found, expect(at_most));
    assert_eq!([0.09, 0.12, 0.15].map(|most| judged(most).0), [Fail, Inconclusive, Pass]);
    assert_eq!(judged(0.12).1, "attempts without a result could make it 15%");
}

#[test]
fn a_window_that_stays_open_can_only_fail() {
    let run = || Run::new().endpoints(1, 1).kill(15_000).probe(refused(1000, 20_000));
    assert_eq!(
        [outcome(&found(run()), window(20_000)), outcome(&found(run()), window(5000))],
        [Inconclusive, Fail]
    );
}

#[test]
fn no_errors_count_only_when_the_fault_could_cause_them() {
    let unaffected = |hit| found(Run::new().endpoints(2, hit).kill(15_000).probe(refused(0, 0)));
    assert_eq!(
        [outcome(&unaffected(1), window(1000)), outcome(&unaffected(0), window(1000))],
        [Pass, Inconclusive]
    );
    assert_eq!(
        [outcome(&unaffected(1), share(0.0)), outcome(&unaffected(0), share(0.0))],
        [Pass, Inconclusive]
    );
    assert_eq!(
        [outcome(&unaffected(1), no_errors()), outcome(&unaffected(0), no_errors())],
        [Pass, Pass]
    );
    assert_eq!(outcome(&found(killed()), no_errors()), Fail);
}

#[test]
fn a_share_is_exact() {
    let found = found(killed());
    let since = found.probes[0].since_fault();
    let exact = since.failed as f64 / since.judged() as f64;
    assert_eq!(
        [outcome(&found, share(exact)), outcome(&found, share(exact * 0.999))],
        [Pass, Fail]
    );
}

#[test]
fn what_was_not_noticed_fails_only_when_there_was_time() {
    let found = found(killed());
    assert_eq!(
        [outcome(&found, detection(15_000)), outcome(&found, detection(15_001))],
        [Fail, Inconclusive]
    );
    assert_eq!(
        [outcome(&found, removal(7000)), outcome(&found, removal(20_000))],
        [Fail, Inconclusive]
    );
}

/// A node that starts again takes its pods out of the Service itself: with a long grace, that is
/// the first removal there is.
#[test]
fn a_detection_may_be_too_soon() {
    let seen = found(
        killed().node(6000, Change::Changed, Ready::Unknown, "NodeStatusUnknown").since(3000),
    );
    let judged = |least| {
        let (within, at_least) = (Bound::Fixed(ms(7000)), Some(ms(least)));
        one(&seen, Expectation::Detection { of: None, after: None, within, at_least })
    };
    assert_eq!([2999, 3001, 6001].map(|least| judged(least).0), [Pass, Inconclusive, Fail]);
    assert_eq!(judged(6001).1, "shorter than expected");
}

#[test]
fn what_the_undo_removed_was_not_removed_by_the_fault() {
    let run = |undo| Run::new().endpoints(1, 1).kill(undo).probe(refused(1000, 2000));
    let left = |run: Run| run.endpoint(6000, Change::Changed, 0, "fast-detection-worker", false);
    assert_eq!(outcome(&found(left(run(15_000))), removal(8000)), Pass);
    let late = found(left(run(3000)));
    assert_eq!(
        one(&late, removal(8000)),
        (Inconclusive, "an endpoint was not removed in the 3s of the fault".into())
    );
    assert_eq!(outcome(&late, removal(2000)), Fail);
    assert_eq!(
        (late.faults[0].services[0].removed, late.faults[0].services[0].hit[0].left.is_some()),
        (None, true)
    );
    // A watch that was blind across the undo can't tell.
    let gap = Event::WatchGap {
        watch: "endpoints".into(),
        until: None,
        reason: "connection refused".into(),
    };
    assert_eq!(
        outcome(&found(left(run(3000)).since(2500).event(2500, gap)), removal(2000)),
        Inconclusive
    );
}

#[test]
fn a_blind_watch_leaves_it_open() {
    let run = killed().node(6000, Change::Changed, Ready::Unknown, "NodeStatusUnknown").since(3000);
    let seen = found(run);
    let bounds = [2999, 5000, 6000].map(|bound| outcome(&seen, detection(bound)));
    assert_eq!(bounds, [Fail, Inconclusive, Pass]);
    let gap =
        Event::WatchGap { watch: "nodes".into(), until: None, reason: "connection refused".into() };
    assert_eq!(outcome(&found(killed().event(2000, gap)), detection(7000)), Inconclusive);
}

#[test]
fn a_steady_state_that_did_not_come_back_fails_when_it_was_waited_for() {
    let missed = |run: Run| {
        run.event(
            26_000,
            Event::SteadyStateMissed { before: false, conditions: vec!["1 of 3 nodes".into()] },
        )
    };
    let missed = found(missed(killed()));
    assert_eq!(
        [outcome(&missed, recovery(10_000)), outcome(&missed, recovery(11_000))],
        [Fail, Inconclusive]
    );
    let back = found(killed().beat(16_000, "06:23:57Z", Ready::True).steady(26_000, false, 21_400));
    assert_eq!([outcome(&back, recovery(6000)), outcome(&back, recovery(5999))], [Pass, Fail]);
    assert_eq!(outcome(&found(killed()), recovery(6000)), Inconclusive);
}

/// The watch still says Ready of a node that was away for less than detection takes: that it is
/// back shows only when it speaks.
#[test]
fn a_recovery_needs_a_sign_of_life() {
    let short = || {
        Run::new()
            .endpoints(1, 1)
            .kill(2000)
            .beat(-500, "06:23:40Z", Ready::True)
            .steady(2500, false, 2400)
    };
    assert_eq!(found(short()).recovery, None);
    let (judged, why) = one(&found(short()), recovery(60_000));
    assert_eq!(
        (judged, why.contains("no sign of life from fast-detection-worker after the undo")),
        (Inconclusive, true),
        "{why}"
    );
    // It was heard of 4.6 s after the undo was confirmed.
    let heard = found(short().lease(7000, "06:23:48.1Z"));
    assert_eq!([4600, 4599].map(|bound| outcome(&heard, recovery(bound))), [Pass, Fail]);
    // kind's load balancer is not a node: nobody speaks for it.
    let mut proxy = short().ended(27_000);
    proxy.0.header.cluster.nodes[1].role = crate::timeline::NodeRole::ExternalLoadBalancer;
    assert_eq!(outcome(&analyse(&proxy.build()), recovery(0)), Pass);
    // The watch was blind from 3 s on.
    let blind = found(short().lease(7000, "06:23:48.1Z").since(3000));
    assert_eq!(
        [4600, 4599, 600, 599].map(|bound| outcome(&blind, recovery(bound))),
        [Pass, Inconclusive, Inconclusive, Fail]
    );
}

/// A kill of the only back end at +0 and no undo; errors from 1 s on, noticed at 5 s, records up to
/// 8 s.
fn dies_during_its_fault() -> Run {
    let run = Run::new().endpoints(1, 1).node(-9000, Change::Baseline, Ready::True, "KubeletReady");
    let run = run.kill(15_000).node(5000, Change::Changed, Ready::Unknown, "NodeStatusUnknown");
    let mut run = run.event(8000, Event::Note { warning: false, text: "last words".into() });
    run.0.records.retain(|record| record.at <= at(8000));
    let answer = |slot| if slot > 300 { Answer::Refused } else { Answer::Ok };
    let attempts = (0..650).map(|slot| attempt(slot, answer(slot), 1000)).collect();
    run.probe(file(&span("web", 20, 200), &[], attempts))
}

#[test]
fn a_run_that_was_cut_short_decides_what_it_recorded() {
    let at_least = |least, at_most: Option<u64>| {
        let at_most = at_most.map(|most| Bound::Fixed(ms(most)));
        Expectation::ErrorWindow {
            probe: "web".into(),
            at_most,
            at_least: Some(ms(least)),
            counts: ErrorTime::FirstToLast,
        }
    };
    let judged =
        |found: &Findings, expectation| unpredicted(found, &[expectation]).assertions[0].outcome;
    let died = analyse(&dies_during_its_fault().build());
    let interrupted = analyse(
        &dies_during_its_fault()
            .event(8000, Event::Interrupted { signal: "SIGTERM".into() })
            .fault_phase(8100, "nodeKill", crate::timeline::FaultPhase::UndoRequested, "")
            .fault_phase(8200, "nodeKill", crate::timeline::FaultPhase::Undone, "")
            .ended(9000)
            .build(),
    );
    for found in [died, interrupted] {
        let outcome = |expectation| judged(&found, expectation);
        assert_eq!([7000, 4000].map(|most| outcome(detection(most))), [Pass, Fail]);
        assert_eq!([7000, 9000].map(|most| outcome(removal(most))), [Fail, Inconclusive]);
        assert_eq!([6000, 7500].map(|most| outcome(window(most))), [Fail, Inconclusive]);
        assert_eq!(outcome(at_least(5000, None)), Pass);
        assert_eq!(outcome(at_least(20_000, None)), Inconclusive, "they may have gone on");
        assert_eq!(outcome(at_least(20_000, Some(6000))), Fail);
        assert_eq!(outcome(at_least(20_000, Some(30_000))), Inconclusive);
        assert_eq!(outcome(no_errors()), Fail);
        assert_eq!([0.1, 0.99].map(|most| outcome(share(most))), [Inconclusive; 2]);
        assert_eq!(outcome(Expectation::NotDetected), Fail);
        assert_eq!(outcome(Expectation::NodesUntouched), Inconclusive);
        assert_eq!(outcome(recovery(60_000)), Inconclusive);
    }
}

#[test]
fn a_run_that_was_cut_short_fails_or_is_inconclusive_as_a_whole() {
    let died = analyse(&dies_during_its_fault().build());
    let crashed = "the run did not finish: its timeline is incomplete";
    let seen = unpredicted(&died, &[detection(7000)]);
    assert_eq!((seen.outcome, seen.summary.as_str()), (Inconclusive, crashed));
    assert_eq!(seen.assertions[0].outcome, Pass);
    let exceeded = unpredicted(&died, &[window(6000), detection(7000)]);
    assert_eq!(exceeded.outcome, Fail);
    assert_eq!(exceeded.summary, format!("1 of 2 expectations not met; {crashed}"));
    let open = &unpredicted(&died, &[window(20_000)]).assertions[0];
    assert_eq!(open.why.as_deref(), Some("the run was cut short at +8.000s, before the undo"));
    assert_eq!(unpredicted(&died, &[]).outcome, Inconclusive);
}

/// What was over before the run ended is complete.
#[test]
fn a_fault_that_was_undone_before_the_run_died_is_judged() {
    let died = analyse(&killed().build());
    assert_eq!([3100, 2900].map(|most| outcome_of(&died, window(most))), [Pass, Fail]);
    let quiet = Run::new().endpoints(2, 1).kill(15_000).probe(refused(0, 0));
    let quiet = analyse(&quiet.build());
    assert_eq!(outcome_of(&quiet, window(1000)), Pass);
    assert_eq!(outcome_of(&quiet, no_errors()), Inconclusive, "the recovery is missing");
}

fn outcome_of(found: &Findings, expectation: Expectation) -> Outcome {
    unpredicted(found, &[expectation]).assertions[0].outcome
}

#[test]
fn each_fault_that_was_planned_must_have_been_injected() {
    let died = analyse(&dies_during_its_fault().build());
    let planned = |name: &str| {
        let experiment = crate::experiment::parse(crate::experiment::load(name).unwrap()).unwrap();
        Predictions::new(Some(experiment.experiment), ClusterModel::default(), 0, 0)
    };
    let on = |name: &str| judge(&died, &[detection(7000)], &planned(name)).assertions[0].clone();
    assert_eq!(on("worker-stop-fast").outcome, Pass);
    let first_of_two = on("worker-down-while-control-plane-down");
    assert_eq!(first_of_two.outcome, Inconclusive);
    assert!(first_of_two.why.unwrap().ends_with("cut short after 1 of 2 faults"));
}

#[test]
fn a_run_that_was_never_steady_decides_nothing() {
    let never_steady = found(killed().event(
        -100,
        Event::SteadyStateMissed { before: true, conditions: vec!["2 of 3 nodes".into()] },
    ));
    let verdict = unpredicted(&never_steady, &[window(2900), detection(100)]);
    assert!(
        verdict.assertions.iter().all(|a| a.outcome == Inconclusive && a.why.is_some()),
        "{verdict:#?}"
    );
    assert_eq!(verdict.outcome, Inconclusive);
}

#[test]
fn a_fault_that_was_not_confirmed_decides_nothing() {
    use crate::timeline::FaultPhase::{Requested, UndoRequested};
    let run = Run::new().endpoints(1, 1).fault_phase(0, "nodeKill", Requested, "").fault_phase(
        15_000,
        "nodeKill",
        UndoRequested,
        "",
    );
    let found = found(run.probe(refused(1000, 4000)));
    assert_eq!(
        [outcome(&found, window(8000)), outcome(&found, window(1000))],
        [Inconclusive, Inconclusive]
    );
}

#[test]
fn a_sick_prober_decides_nothing() {
    let control = |fails: fn(u64) -> bool| {
        let mut span = span("control", 20, 200);
        (span.probe.control, span.probe.service) = (true, None);
        let answer = |slot: u64| if fails(slot) { Answer::Refused } else { Answer::Ok };
        file(&span, &[], (0..1500).map(|slot| attempt(slot, answer(slot), 1000)).collect())
    };
    let judged = |fails, bound| outcome(&found(killed().probe(control(fails))), window(bound));
    assert_eq!((judged(|_| false, 8000), judged(|_| false, 1000)), (Pass, Fail));
    // An unhealthy host may have made the window longer, but not shorter.
    let sick = |slot: u64| slot > 250 && slot.is_multiple_of(20);
    assert_eq!((judged(sick, 8000), judged(sick, 1000)), (Pass, Inconclusive));
    // Its failures were at 3 s; without them errors lasted from 1 s to 4 s still.
    let moment = |slot| slot == 400;
    assert_eq!((judged(moment, 8000), judged(moment, 1000)), (Pass, Fail));
    let other = |slot: u64| slot == 1000;
    assert_eq!(judged(other, 1000), Fail, "nothing else failed then");
    let late =
        |slot| crate::timeline::Attempt { late_us: 150_000, ..attempt(slot, Answer::Ok, 1000) };
    let late = file(&span("web", 20, 200), &[], (0..1500).map(late).collect());
    assert_eq!(
        outcome(&found(Run::new().endpoints(1, 1).kill(15_000).probe(late)), no_errors()),
        Inconclusive
    );
}

fn control(from: i64, to: i64) -> ProbeFile {
    let mut control = api("control", from, to);
    control.span.probe.control = true;
    control
}

/// Only a failure that would change the verdict leaves it open.
#[test]
fn failures_of_the_prober_itself_are_taken_off_the_bound() {
    let judged = |control: ProbeFile, bound| {
        let run = Run::new().endpoints(2, 1).kill(15_000).probe(api("api", 1000, 14_000));
        one(&found(run.probe(control)), at_least(bound))
    };
    assert_eq!(judged(control(5000, 5040), 12_000).0, Pass);
    let why = "the control probe control failed too, from +4.980s to +8.001s: the prober's host was unhealthy";
    assert_eq!(judged(control(5000, 8000), 12_000), (Inconclusive, why.into()));
    assert_eq!(judged(control(5000, 8000), 9000).0, Pass);
    // Of what failed at the end nothing is sure; nothing is shorter than nothing.
    assert_eq!(judged(control(5000, 14_000), 9000).0, Inconclusive);
    assert_eq!(judged(control(5000, 8000), 14_000).0, Fail);
    let mut elsewhere = control(5000, 14_000);
    elsewhere.span.probe.from = "fast-detection-worker2".into();
    assert_eq!(judged(elsewhere, 9000).0, Pass, "the control probe of another prober");
}

/// A busy machine fails the control probe now and then, and what has more to do more often.
#[test]
fn failures_close_to_those_of_the_control_probe_decide_nothing() {
    let failing = |name: &str, control: bool, moments: &[i64]| {
        let mut span = span(name, 20, 200);
        span.probe.control = control;
        span.probe.service = span.probe.service.filter(|_| !control);
        let answer = |slot: u64| {
            let failed = moments.contains(&(slot as i64 * 20 - 5000));
            if failed { Answer::Timeout(Phase::Connect) } else { Answer::Ok }
        };
        file(&span, &[], (0..1500).map(|slot| attempt(slot, answer(slot), 1000)).collect())
    };
    // The undo was requested at 15 s.
    let judged = |control: &[i64], web: &[i64], expect: Expectation| {
        let run = Run::new().endpoints(2, 1).kill(15_000).probe(failing("control", true, control));
        let run = run.probe(failing("web", false, web)).ended(27_000).build();
        one(&analyse_for(&run, &wanted(std::slice::from_ref(&expect))), expect)
    };
    let after = [17_000, 17_020, 17_040, 17_500, 17_520, 18_400];
    let expectations = [
        no_errors(),
        Expectation::FailedShare { probe: "web".into(), at_most: 0.001 },
        Expectation::ErrorRate { probe: "web".into(), window: ms(2000), at_most: 0.01 },
        Expectation::Latency {
            probe: "web".into(),
            quantile: crate::stats::Quantile::P99,
            at_most: ms(100),
            during: During::After,
        },
    ];
    for expect in expectations {
        let judged = |control: &[i64]| judged(control, &after, expect.clone());
        let (open, why) = judged(&[17_200, 17_800]);
        assert_eq!(open, Inconclusive, "{expect:?} {why}");
        assert!(why.starts_with("the control probe control failed too, from +17.180s"), "{why}");
        assert_eq!(judged(&[]).0, Fail, "{expect:?}");
        // A single failure says little of what comes after it, and none of what comes much later.
        assert_eq!([judged(&[17_800]).0, judged(&[15_200, 15_500]).0], [Fail; 2], "{expect:?}");
        // In the fault is another time, too.
        assert_eq!(judged(&[3000, 3200]).0, Fail, "{expect:?}");
    }
    // More than 1% of what it sent after the undo failed, of all that it sent less than that.
    let sick = [16_000, 18_800, 19_000, 19_200, 21_500, 24_000];
    assert_eq!(judged(&sick, &[22_740], no_errors()).0, Inconclusive);
    assert_eq!(judged(&sick, &[10_000], no_errors()).0, Fail);
    assert_eq!(judged(&sick[..2], &[17_400], no_errors()).0, Fail);
}

#[test]
fn a_stall_of_the_prober_counts_only_where_it_failed() {
    let judged = |stalled: i64| {
        let answer = |slot: u64| {
            let ms = slot as i64 * 20 - 5000;
            let late_us = if (stalled..stalled + 200).contains(&ms) { 300_000 } else { 0 };
            let answer = if ms == 2000 { Answer::Timeout(Phase::Connect) } else { Answer::Ok };
            crate::timeline::Attempt { late_us, ..attempt(slot, answer, 1000) }
        };
        let web = file(&span("web", 20, 200), &[], (0..1500).map(answer).collect());
        one(&found(Run::new().endpoints(2, 1).kill(15_000).probe(web)), no_errors())
    };
    assert_eq!(judged(8000).0, Fail);
    let (open, why) = judged(1800);
    assert_eq!((open, why.starts_with("the prober stalled from +1.800s to")), (Inconclusive, true));
}

/// A prober that gets no time sends nothing, and sees late what was answered in time.
#[test]
fn failures_while_the_prober_got_no_time_decide_nothing() {
    let judged = |answer: &dyn Fn(i64) -> (Answer, u64, u64), control: bool| {
        let mut span = span("web", 20, 200);
        let answer = |slot: u64| {
            let (outcome, late_us, took_us) = answer(slot as i64 * 20 - 5000);
            crate::timeline::Attempt { late_us, ..attempt(slot, outcome, took_us) }
        };
        let timeout = Answer::Timeout(Phase::FirstByte);
        let fails = |slot| attempt(slot, if slot == 350 { timeout } else { Answer::Ok }, 200_000);
        let mut run = Run::new().endpoints(2, 1).kill(15_000);
        if control {
            run = run.probe(file(&span, &[], (0..1500).map(fails).collect()));
            (span.probe.name, span.probe.control, span.probe.service) =
                ("control".into(), true, None);
        }
        one(&found(run.probe(file(&span, &[], (0..1500).map(answer).collect()))), no_errors()).0
    };
    let timeout = Answer::Timeout(Phase::FirstByte);
    let failed = |took_us: u64| {
        move |ms: i64| match ms {
            2000 => (timeout, 0, took_us),
            _ => (Answer::Ok, 0, 1000),
        }
    };
    assert_eq!(judged(&failed(200_400), false), Fail);
    assert_eq!(judged(&failed(300_000), false), Inconclusive, "its end was noticed late");
    let unsent = |since: i64| {
        move |ms: i64| match ms {
            2000 => (timeout, 0, 200_400),
            _ if (since..since + 60).contains(&ms) => (Answer::NotSent, 250_000, 0),
            _ => (Answer::Ok, 0, 1000),
        }
    };
    assert_eq!(judged(&unsent(2100), false), Inconclusive);
    assert_eq!(judged(&unsent(8000), false), Fail);
    // The control probe is asked of a machine that has nothing else to do.
    let slow =
        |since: i64| move |ms: i64| (Answer::Ok, 0, if ms == since { 150_000 } else { 1000 });
    assert_eq!(judged(&slow(2040), true), Inconclusive);
    assert_eq!(judged(&slow(8000), true), Fail);
}

fn unreadable(mut run: Run, stream: Stream, from: i64, until: Option<i64>) -> Run {
    let extent = if until.is_some() { Extent::Part } else { Extent::ToTheEnd };
    let (from, until) = (Some(at(from)), until.map(at));
    run.0.damage.push(Damage { stream, extent, from, until, why: "a test".into() });
    run
}

#[test]
fn records_that_cannot_be_read_decide_nothing_that_they_may_have_shown() {
    let unknown = |run: Run| run.node(6000, Change::Changed, Ready::Unknown, "NodeStatusUnknown");
    let judged = |run: Run, from, until, within| {
        outcome(&found(unreadable(run, Stream::Records, from, Some(until))), detection(within))
    };
    // Nothing was detected in 15 s, as far as can be read.
    assert_eq!(judged(killed(), 2000, 2100, 7000), Inconclusive);
    assert_eq!(judged(killed(), -3000, -2000, 7000), Fail);
    // It was detected after 6 s, or earlier.
    let bounds = [1900, 5000, 7000].map(|within| judged(unknown(killed()), 2000, 2100, within));
    assert_eq!(bounds, [Fail, Inconclusive, Pass]);
    assert_eq!(judged(unknown(killed()), 7000, 8000, 5000), Fail, "it had been detected");
    let (judged, why) = one(
        &found(unreadable(killed(), Stream::Records, 2000, Some(2100))),
        Expectation::NodesUntouched,
    );
    assert_eq!(judged, Inconclusive, "{why}");
}

#[test]
fn attempts_that_cannot_be_read_decide_nothing_that_they_may_have_shown() {
    let judged = |probe: &str, from, until, expect: Expectation| {
        let run = Run::new().endpoints(1, 1).kill(15_000).probe(refused(0, 0));
        let run = run.probe(api("api", 1000, 14_000)).probe(control(0, 0));
        outcome(&found(unreadable(run, Stream::Attempts(probe.into()), from, until)), expect)
    };
    assert_eq!(judged("web", -3000, Some(-2000), no_errors()), Pass);
    assert_eq!(judged("web", 2000, Some(2100), no_errors()), Inconclusive);
    assert_eq!(judged("web", 2000, None, window(1000)), Inconclusive);
    assert_eq!(judged("api", 5000, Some(6000), at_least(12_000)), Inconclusive);
    assert_eq!(judged("api", 14_500, Some(14_600), at_least(12_000)), Pass);
    assert_eq!(judged("api", 14_500, Some(14_600), at_least(14_000)), Inconclusive);
    // Where nothing shows that the prober was well, failures may be its own, and successes not.
    assert_eq!(judged("control", 5000, None, at_least(12_000)), Inconclusive);
    assert_eq!(judged("control", 13_500, None, at_least(12_000)), Pass);
    assert_eq!(judged("control", 5000, None, no_errors()), Pass);
}

/// Of a file whose header is broken only its name is known.
#[test]
fn an_unreadable_probe_of_the_user_disturbs_no_other() {
    let judged = |probe: &str, control: bool| {
        let run = Run::new().endpoints(1, 1).kill(15_000).probe(api("api", 1000, 14_000));
        let run = run.event(-5000, Event::ProbeStarted { probe: probe.into(), control });
        let run = unreadable(run, Stream::Attempts(probe.into()), 5000, None);
        outcome(&found(run), at_least(12_000))
    };
    assert_eq!(judged("control-plane-api", false), Pass);
    assert_eq!(judged("of-the-prober", true), Inconclusive);
    // An earlier timeline does not say what it was.
    assert_eq!([judged("control", false), judged("control-2", false)], [Inconclusive; 2]);
}

#[test]
fn a_blind_prober_can_prove_failures_but_no_success() {
    let blind = |failures: bool| {
        let answer = |slot: u64| match slot {
            300 | 800 if failures => Answer::Refused,
            _ if slot.is_multiple_of(4) => Answer::NotSent,
            _ => Answer::Ok,
        };
        let file = file(
            &span("web", 20, 200),
            &[],
            (0..1500).map(|slot| attempt(slot, answer(slot), 1000)).collect(),
        );
        found(Run::new().endpoints(1, 1).kill(15_000).probe(file))
    };
    assert_eq!(
        [outcome(&blind(false), window(8000)), outcome(&blind(true), window(8000))],
        [Inconclusive, Fail]
    );
}

#[test]
fn fail_dominates_inconclusive_dominates_pass() {
    let found = found(killed());
    let judged = |expect: &[Expectation]| unpredicted(&found, expect).outcome;
    assert_eq!(judged(&[window(8000), window(3000)]), Inconclusive);
    assert_eq!(judged(&[window(8000), window(3000), window(100)]), Fail);
    assert_eq!(judged(&[window(8000)]), Pass);
}

#[test]
fn a_run_without_expectations_is_measured_and_not_judged() {
    let verdict = unpredicted(&found(killed()), &[]);
    assert_eq!(
        (verdict.outcome, verdict.summary.as_str()),
        (Outcome::Measured, "no expectations: nothing was judged")
    );
}

/// A probe called `name` of what is no Service, asked every 20 ms from 5 s before +0, refused from
/// one moment to another.
fn api(name: &str, from: i64, to: i64) -> ProbeFile {
    let mut span = span(name, 20, 200);
    span.probe.service = None;
    let outcome = |ms: i64| if (from..to).contains(&ms) { Answer::Refused } else { Answer::Ok };
    file(
        &span,
        &[],
        (0..1500).map(|slot| attempt(slot, outcome(slot as i64 * 20 - 5000), 1000)).collect(),
    )
}

fn at_least(seconds: u64) -> Expectation {
    Expectation::ErrorWindow {
        probe: "api".into(),
        at_most: None,
        at_least: Some(ms(seconds)),
        counts: ErrorTime::FirstToLast,
    }
}

#[test]
fn a_window_that_must_last_is_judged_on_its_lower_end() {
    let failing =
        |from, to| found(Run::new().endpoints(2, 1).kill(15_000).probe(api("api", from, to)));
    // The first failure was answered at 1.001 s, the last one was sent at 3.98 s.
    assert_eq!(
        [2979, 2980, 3100].map(|bound| outcome(&failing(1000, 4000), at_least(bound))),
        [Pass, Inconclusive, Fail]
    );
    assert_eq!(
        outcome(&failing(1000, 20_000), at_least(13_000)),
        Pass,
        "an end that is not known was not sooner"
    );
    let (judged, why) = one(&failing(0, 0), at_least(10));
    assert_eq!((judged, why.as_str()), (Fail, "shorter than expected"));
    let both = |most| Expectation::ErrorWindow {
        probe: "api".into(),
        at_most: Some(Bound::Fixed(ms(most))),
        at_least: Some(ms(2000)),
        counts: ErrorTime::FirstToLast,
    };
    assert_eq!(
        [outcome(&failing(1000, 4000), both(3100)), outcome(&failing(1000, 4000), both(2900))],
        [Pass, Fail]
    );
}

/// Failures at the fault's begin and at its end are not an outage that lasted.
#[test]
fn errors_that_come_and_go_did_not_last() {
    let attempts = |interval, fails: &dyn Fn(i64) -> bool| {
        let slots = 30_000 / interval;
        let answer = |slot: u64| {
            if fails(slot as i64 * interval as i64 - 5000) { Answer::Refused } else { Answer::Ok }
        };
        let mut span = span("api", interval, 200);
        span.probe.service = None;
        file(&span, &[], (0..slots).map(|slot| attempt(slot, answer(slot), 1000)).collect())
    };
    let found = |file| found(Run::new().endpoints(2, 1).kill(15_000).probe(file));
    let twice =
        found(attempts(20, &|ms| (1000..3000).contains(&ms) || (6000..11_000).contains(&ms)));
    assert_eq!(
        [4979, 4980, 9000, 11_000].map(|bound| outcome(&twice, at_least(bound))),
        [Pass, Inconclusive, Inconclusive, Fail]
    );
    let (_, why) = one(&twice, at_least(9000));
    assert_eq!(why, "only 2 bursts together lasted that long, 9.979s to 10.021s");
    let text = unpredicted(&twice, &[at_least(4000)]).assertions[0].result_text();
    assert_eq!(text, "errors of api for 4.98s to 5.02s, the longest of 2 bursts, at least 4s");
    // Too few successes to tell two bursts apart, and time enough for more than one.
    let seldom = found(attempts(500, &|ms| [1000, 9000].contains(&ms)));
    let (judged, why) = one(&seldom, at_least(7000));
    assert_eq!(
        (judged, why.as_str()),
        (Inconclusive, "nothing failed from +1.000s to +9.000s, and 15 succeeded")
    );
    let one_success = found(attempts(500, &|ms| (1000..9000).contains(&ms) && ms != 5000));
    assert_eq!(outcome(&one_success, at_least(7000)), Pass);
}

/// Half of the back ends are dead: what is answered between two failures came from the others, and
/// the burst is one.
#[test]
fn what_a_living_neighbour_answers_is_no_end_of_a_burst() {
    let found = found(
        Run::new().endpoints(2, 1).kill(15_000).probe(Prober::new(20, 2, 1, (100, 15_000)).file()),
    );
    let lasted = |ms_| Expectation::ErrorWindow {
        probe: "web".into(),
        at_most: None,
        at_least: Some(ms(ms_)),
        counts: ErrorTime::FirstToLast,
    };
    assert_eq!([outcome(&found, lasted(14_000)), outcome(&found, lasted(16_000))], [Pass, Fail]);
}

#[test]
fn no_success_is_judged_while_the_fault_was_in_effect() {
    let expect = || Expectation::NoSuccess { probe: "api".into(), during: None };
    let failing =
        |from, to| found(Run::new().endpoints(2, 1).kill(15_000).probe(api("api", from, to)));
    let held = failing(0, 20_000);
    let effect = held.probes[0].in_effect[0];
    let (confirmed, undo) = (effect.from, effect.until.unwrap());
    assert_eq!((effect.tally.ok, outcome(&held, expect())), (0, Pass));
    // What was sent before the confirmation, or had not ended at the undo, may have succeeded.
    let whole = failing((confirmed.as_f64() * 1000.0) as i64, (undo.as_f64() * 1000.0) as i64);
    assert_eq!(outcome(&whole, expect()), Pass, "{:?}", whole.probes[0].in_effect);
    let (judged, why) = one(&failing(0, 14_000), expect());
    assert_eq!((judged, why.as_str()), (Fail, "an attempt sent at +14.000s succeeded"));
    let verdict = unpredicted(&held, &[expect()]);
    let asked = effect.tally.failed;
    assert_eq!(
        verdict.assertions[0].result_text(),
        format!("successes of api during the fault 0 of {asked}, at most 0")
    );
}

/// That nobody acts is shown by what the API server took, and not by what it did not.
#[test]
fn of_a_canary_only_what_was_accepted_shows_anything() {
    let judged = |failed: &dyn Fn(u64) -> Answer| {
        let found = analyse(&pods_asked(failed).build());
        let verdict = unpredicted(
            &found,
            &[Expectation::NoSuccess { probe: "scheduling".into(), during: None }],
        );
        let assertion = verdict.assertions.into_iter().next().unwrap();
        (assertion.outcome, assertion.why.or(assertion.measured).unwrap())
    };
    let (bound, accepted) = (Answer::Timeout(Phase::Bound), Answer::Timeout(Phase::Accepted));
    assert_eq!(judged(&|_| bound), (Pass, "0 of 10".into()));
    for refused in [Answer::Refused, accepted, Answer::Status(503)] {
        let none = "no attempt of scheduling was accepted while the fault was in effect".to_owned();
        assert_eq!(judged(&|_| refused), (Inconclusive, none), "{refused:?}");
        let one_in_ten = judged(&|slot| if slot == 5 { refused } else { bound });
        let why = "1 of 10 attempts of scheduling were not accepted by the API server, and show nothing about what comes after it";
        assert_eq!(one_in_ten, (Inconclusive, why.into()));
    }
    let two = judged(&|slot| if slot < 5 { bound } else { Answer::Refused });
    assert_eq!(
        two,
        (
            Inconclusive,
            "only 2 attempts of scheduling were accepted while the fault was in effect".into()
        )
    );
}

/// Three are enough: a canary that asks every 10 s and waits for 20 s has no more in 50 s.
#[test]
fn three_accepted_attempts_decide() {
    let found = analyse(&pods_wait().build());
    let (canary, mut held) = (&found.probes[0], found.probes[0].in_effect[0]);
    let doubts = [2, 3].map(|failed| {
        held.tally.failed = failed;
        validity::of_step(canary, &held).is_some()
    });
    assert_eq!(doubts, [true, false]);
}

/// A fault that was over long before its undo shows nothing by what it did not cause.
#[test]
fn a_fault_that_wore_off_shows_nothing() {
    let unaffected = || Run::new().endpoints(2, 1).kill(15_000).probe(refused(0, 0));
    let start = |ms| {
        let (container, action) = ("fast-detection-worker".into(), "start".into());
        one(
            &found(unaffected().event(
                ms,
                Event::Docker { container, action, engine_time: None, exit_code: None },
            )),
            no_errors(),
        )
    };
    let why = "nodeKill of fast-detection-worker ended before its undo: the engine reported \
         `start` at +9.000s";
    assert_eq!(start(9000), (Inconclusive, why.into()));
    assert_eq!(start(15_100).0, Pass, "that was the undo");
    use crate::timeline::FaultPhase::{Confirmed, Requested, UndoRequested, Undone, WoreOff};
    let filtered = |ends: &[(i64, crate::timeline::FaultPhase)]| {
        let phases = [(0, Requested), (300, Confirmed), (15_000, UndoRequested)];
        let run = Run::new().endpoints(2, 1).probe(refused(0, 0));
        let run = phases.iter().chain(ends).fold(run, |run, (ms, phase)| {
            run.fault_phase(*ms, "nodeDisconnect", *phase, "no packet filter")
        });
        outcome(&found(run), no_errors())
    };
    assert_eq!(filtered(&[(15_400, Undone)]), Pass);
    assert_eq!(filtered(&[(15_400, WoreOff), (15_400, Undone)]), Inconclusive);
    assert_eq!(filtered(&[(15_400, Undone), (16_000, WoreOff), (16_000, Undone)]), Pass);
    assert_eq!(
        outcome(&found(killed().event(9000, started())), window(8000)),
        Pass,
        "what did happen did"
    );
}

fn started() -> Event {
    Event::Docker {
        container: "fast-detection-worker".into(),
        action: "start".into(),
        engine_time: None,
        exit_code: None,
    }
}

#[test]
fn a_process_that_ends_or_comes_back_ends_its_fault() {
    use crate::timeline::FaultPhase::{Confirmed, Requested, UndoRequested};
    use crate::timeline::{Component, ProcessState};
    let judged = |kind: &str, state: Option<ProcessState>| {
        let (target, component) = ("fast-detection-control-plane", Component::Scheduler);
        let run = [(0, Requested), (300, Confirmed), (15_000, UndoRequested)].into_iter().fold(
            Run::new(),
            |run, (ms, phase)| {
                let (fault, target, detail) = (kind.into(), target.to_owned(), String::new());
                run.event(
                    ms,
                    Event::Fault {
                        step: 0,
                        name: None,
                        fault,
                        target,
                        component: Some(component),
                        phase,
                        detail,
                    },
                )
            },
        );
        let process = |state| Event::Process { node: target.into(), component, pid: None, state };
        let run = state.into_iter().fold(run, |run, state| run.event(5000, process(state)));
        outcome(&found(run.probe(api("web", 0, 0))), no_errors())
    };
    let (gone, running) = (Some(ProcessState::Gone), Some(ProcessState::Running));
    assert_eq!(
        [
            judged("componentPause", None),
            judged("componentStop", None),
            judged("componentStop", gone)
        ],
        [Pass; 3]
    );
    let over = [
        judged("componentPause", gone),
        judged("componentPause", running),
        judged("componentStop", running),
    ];
    assert_eq!(over, [Inconclusive; 3]);
}

/// Nothing succeeded, and that says nothing: nobody asked, or hardly anybody, or not to the end.
#[test]
fn no_success_needs_attempts_that_could_have_succeeded() {
    let judged = |answer: fn(u64) -> Answer, slots: std::ops::Range<u64>| {
        let attempts = slots.map(|slot| attempt(slot, answer(slot), 1000)).collect();
        let found = found(Run::new().endpoints(2, 1).kill(15_000).probe(file(
            &span("api", 20, 200),
            &[],
            attempts,
        )));
        one(&found, Expectation::NoSuccess { probe: "api".into(), during: None })
    };
    // Slot 250 is due at +0, slot 265 at the confirmation, slot 1000 at the undo's request.
    assert_eq!(judged(|_| Answer::Refused, 0..1500).0, Pass);
    let none = judged(|_| Answer::NotSent, 0..1500);
    assert_eq!(
        none,
        (Inconclusive, "no attempt of api says anything while the fault was in effect".into())
    );
    let thin = judged(|slot| if slot == 500 { Answer::Refused } else { Answer::NotSent }, 0..1500);
    assert_eq!(
        thin,
        (Inconclusive, "only 1 attempt of api says anything while the fault was in effect".into())
    );
    // Over the whole of the run a few are blind; in the fault they are many.
    let blind = judged(
        |slot| if (265..310).contains(&slot) { Answer::NotSent } else { Answer::Refused },
        0..1500,
    );
    assert_eq!(blind, (Inconclusive, "the prober could not make 45 of 735 attempts".into()));
    assert_eq!(
        judged(|_| Answer::Refused, 0..500),
        (Inconclusive, "api stopped sending before the undo".into())
    );
    assert_eq!(
        judged(|slot| if slot == 500 { Answer::Ok } else { Answer::NotSent }, 0..1500).0,
        Fail
    );
}

#[test]
fn a_probe_of_every_server_is_judged_by_the_worst_of_them() {
    let run = Run::new()
        .endpoints(2, 1)
        .kill(15_000)
        .probe(api("api@cp-1", 0, 20_000))
        .probe(api("api@cp-2", 0, 0));
    let found = found(run);
    let verdict =
        unpredicted(&found, &[Expectation::NoSuccess { probe: "api".into(), during: None }]);
    assert!(verdict.assertions[0].result_text().contains("(on cp-2)"), "{verdict:?}");
    assert_eq!(verdict.outcome, Fail);
    let (judged, why) = one(&found, Expectation::NoErrors { probe: "api".into() });
    assert_eq!((judged, why.as_str()), (Fail, "some attempts failed"));
    assert_eq!(outcome(&found, Expectation::NoErrors { probe: "ap".into() }), Inconclusive);
}

#[test]
fn what_could_have_been_missed_is_reported() {
    let text = |run: Run| {
        let found = found(run);
        unpredicted(&found, &[no_errors()]).assertions[0].result_text()
    };
    // 15 s of the fault and 10 s after it, every 20 ms; half of the requests would have met the
    // dead back end: five in a row.
    let text_of = |hit| text(Run::new().endpoints(2, hit).kill(15_000).probe(refused(0, 0)));
    assert_eq!(
        text_of(1),
        "errors of web at most 0: 0 of 1250 failed; an outage under 100ms could have been missed"
    );
    assert_eq!(
        text_of(2),
        "errors of web at most 0: 0 of 1250 failed; an outage under 20ms could have been missed"
    );
    assert_eq!(
        text_of(0),
        "errors of web at most 0: 0 of 1250 failed; an outage under 20ms could have been missed"
    );
}

#[test]
fn a_probe_that_was_away_at_the_undo_is_back_with_its_first_success_that_lasts() {
    let back = |from, to| {
        found(Run::new().endpoints(2, 1).kill(15_000).probe(api("api", from, to))).probes[0]
            .recovered
            .clone()
    };
    assert_eq!(back(1000, 4000), [], "it was back before the undo");
    let late = back(1000, 18_000)[0];
    let at = late.at.unwrap();
    assert_eq!(
        (late.step, late.undo_requested.as_f64(), at.earliest.as_f64(), at.latest.as_f64()),
        (0, 15.0, 17.98, 18.001)
    );
    assert_eq!(back(1000, 40_000)[0].at, None, "never");
    assert_eq!(
        back(16_000, 17_000)[0].at.unwrap().latest.as_f64(),
        17.001,
        "it went away after the undo"
    );
}

#[test]
fn an_unknown_probe_is_no_pass() {
    let expectation = Expectation::NoErrors { probe: "other".into() };
    assert_eq!(outcome(&found(killed()), expectation), Inconclusive);
}

#[test]
fn nothing_succeeded_in_the_step_that_is_meant() {
    let mut timeline = pods_wait().build();
    for record in &mut timeline.records {
        if let Event::Fault { name, .. } = &mut record.event {
            *name = Some("away".into());
        }
    }
    let found = analyse(&timeline);
    let judged = |during: Option<&str>| {
        outcome(
            &found,
            Expectation::NoSuccess {
                probe: "scheduling".into(),
                during: during.map(str::to_owned),
            },
        )
    };
    assert_eq!(
        [judged(None), judged(Some("away")), judged(Some("later"))],
        [Pass, Pass, Inconclusive]
    );
    let lasted = |secs: u64| {
        let at_least = Some(Duration::from_secs(secs));
        outcome(
            &found,
            Expectation::ErrorWindow {
                probe: "scheduling".into(),
                at_most: None,
                at_least,
                counts: ErrorTime::FirstToLast,
            },
        )
    };
    assert_eq!([lasted(10), lasted(40)], [Pass, Fail]);
}

#[test]
fn a_taint_on_a_dead_node_is_not_judged_for_what_the_kill_did() {
    let worker = "fast-detection-worker";
    let taint = |ms, phase| {
        let (fault, target) = ("nodeTaint".into(), worker.into());
        let (name, component, detail) = (None, None, String::new());
        (ms, Event::Fault { step: 1, name, fault, target, component, phase, detail })
    };
    let run = killed().node(4000, Change::Changed, Ready::Unknown, "NodeStatusUnknown").endpoint(
        4500,
        Change::Deleted,
        0,
        worker,
        false,
    );
    let run = [
        taint(6000, FaultPhase::Requested),
        taint(6100, FaultPhase::Confirmed),
        taint(14_000, FaultPhase::UndoRequested),
        taint(14_100, FaultPhase::Undone),
    ]
    .into_iter()
    .fold(run, |run, (ms, event)| run.event(ms, event));
    let found = found(run);
    assert_eq!(found.faults.len(), 2);
    assert_eq!([outcome(&found, removal(7000)), outcome(&found, detection(7000))], [Pass, Pass]);
}
