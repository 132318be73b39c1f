//! Each way to lose a leader, and to keep one too long.

use super::*;
use crate::analysis::delivery::Delivery;
use crate::analysis::findings::LeaderLoss;
use crate::analysis::testing::{Run, at, s};
use crate::timeline::{Change, FaultPhase, ProcessState};
use ProcessState::{Gone, Running, Stopped};

const KEEPER: Component = Component::ControllerManager;

impl Run {
    fn process(self, ms: i64, node: &str, pid: u32, state: ProcessState) -> Self {
        self.part(ms, node, KEEPER, pid, state)
    }

    /// A change that was seen 50 ms after the look before; the first is how it was.
    fn part(
        self,
        ms: i64,
        node: &str,
        component: Component,
        pid: u32,
        state: ProcessState,
    ) -> Self {
        let pid = (state != Gone).then_some(pid);
        let run = self.event(ms, Event::Process { node: node.into(), component, pid, state });
        if ms > -5000 { run.since(ms - 50) } else { run }
    }

    fn leads(self, ms: i64, holder: Option<&str>, transitions: i32) -> Self {
        let (namespace, name) = ("kube-system".into(), KEEPER.name().into());
        let change = if ms < -5000 { Change::Baseline } else { Change::Changed };
        let (holder, renewed, transitions, lasts_s) =
            (holder.map(str::to_owned), None, Some(transitions), Some(15));
        self.event(
            ms,
            Event::Lease { namespace, name, change, holder, renewed, transitions, lasts_s },
        )
    }

    fn member(self, ms: i64, node: &str, answers: bool, is_leader: bool) -> Self {
        let event = Event::EtcdMember {
            node: node.into(),
            answers,
            has_leader: is_leader,
            is_leader,
            leader_changes: 0,
        };
        let run = self.event(ms, event);
        if ms > -5000 { run.since(ms - 250) } else { run }
    }

    fn blind(self, from: i64, until: Option<i64>, node: &str) -> Self {
        let event = Event::ObserverGap {
            node: node.into(),
            until: until.map(at),
            reason: "the node is down".into(),
        };
        self.event(until.unwrap_or(from), event).since(from)
    }
}

/// Three nodes; the one on `a` leads, renewed at 0 s for the last time if nothing else is said.
fn led() -> Run {
    let nodes = ["a", "b", "c"].into_iter().zip(1..);
    let run = nodes.fold(Run::new(), |run, (node, pid)| run.process(-9000, node, pid, Running));
    run.leads(-8000, Some("a_1"), 4).leads(0, Some("a_1"), 4)
}

fn found(run: Run) -> LeaderFinding {
    let timeline = run.build();
    let zero = Zero::of(&timeline).0;
    leaders(&timeline, zero, &Delivery::of(&timeline, zero)).remove(0)
}

fn nodes(found: &LeaderFinding) -> Vec<&str> {
    found.held.iter().map(|leader_term| &*leader_term.node).collect()
}

fn only_gap(found: &LeaderFinding) -> (LeaderLoss, Between) {
    assert_eq!(found.gaps.len(), 1, "{found:#?}");
    (found.gaps[0].loss, found.gaps[0].length)
}

fn between(least: f64, most: f64) -> Between {
    Between::new(s(least), s(most))
}

#[test]
fn one_who_goes_on_leading_leaves_no_gap() {
    let found = found(
        (1..20).fold(led(), |run, beat| run.leads(beat * 2000, Some("a_1"), 4)).ended(40_000),
    );
    assert_eq!(
        (nodes(&found), found.gaps.len(), found.old.len(), found.blind.len()),
        (vec!["a"], 0, 0, 0)
    );
    assert_eq!((found.held[0].from, found.held[0].until), (None, None));
}

#[test]
fn a_killed_leader_is_missed_until_another_takes_its_lease() {
    let run = led()
        .process(1000, "a", 1, Gone)
        .process(1500, "a", 9, Running)
        .leads(16_500, Some("b_2"), 5)
        .ended(20_000);
    let found = found(run);
    assert_eq!(nodes(&found), ["a", "b"]);
    assert_eq!(only_gap(&found), (LeaderLoss::Gone, between(15.5, 15.55)));
    assert_eq!(found.gaps[0].next.as_deref(), Some("b"));
    assert!(found.old.is_empty(), "its process is another: {:?}", found.old);
}

#[test]
fn a_renewal_under_way_does_not_raise_the_dead() {
    let run = led()
        .process(1000, "a", 1, Gone)
        .leads(1010, Some("a_1"), 4)
        .leads(16_500, Some("a_9"), 5)
        .ended(20_000);
    assert_eq!(only_gap(&found(run)), (LeaderLoss::Gone, between(15.5, 15.55)));
}

#[test]
fn a_released_lease_is_free_immediately() {
    let run = led()
        .leads(1000, None, 4)
        .process(1100, "a", 1, Gone)
        .leads(2900, Some("b_2"), 5)
        .ended(9000);
    assert_eq!(only_gap(&found(run)), (LeaderLoss::GivenBack, between(1.9, 1.9)));
}

#[test]
fn a_frozen_leader_unfrozen_in_time_goes_on() {
    let run = led()
        .process(1000, "a", 1, Stopped)
        .process(9000, "a", 1, Running)
        .leads(9100, Some("a_1"), 4)
        .ended(12_000);
    let found = found(run);
    assert_eq!(
        (nodes(&found), only_gap(&found)),
        (vec!["a"], (LeaderLoss::Frozen, between(7.95, 8.05)))
    );
}

#[test]
fn a_frozen_leader_unfrozen_too_late_leads_again_once_it_has_renewed() {
    let run = led()
        .process(1000, "a", 1, Stopped)
        .process(39_000, "a", 1, Running)
        .leads(39_800, Some("a_1"), 4)
        .ended(42_000);
    let found = found(run);
    assert_eq!(
        (nodes(&found), only_gap(&found)),
        (vec!["a"], (LeaderLoss::Frozen, between(38.8, 38.85)))
    );
}

#[test]
fn a_frozen_leader_unfrozen_too_late_lives_on_beside_its_successor() {
    let frozen = || led().process(1000, "a", 1, Stopped).leads(17_000, Some("b_2"), 5);
    let found_ = found(
        frozen().process(25_000, "a", 1, Running).process(26_200, "a", 1, Gone).ended(30_000),
    );
    assert_eq!(only_gap(&found_), (LeaderLoss::Frozen, between(16.0, 16.05)));
    let [old] = &found_.old[..] else { panic!("{found_:#?}") };
    assert_eq!((&*old.node, &*old.next, old.length), ("a", "b", between(1.15, 1.25)));
    // One that never continued did not believe anything; one that still runs has not given up.
    assert!(found(frozen().process(26_200, "a", 1, Gone).ended(30_000)).old.is_empty());
    // One that ended between two looks ran for less than that.
    let unfreeze = Event::Fault {
        step: 0,
        name: None,
        fault: "componentPause".into(),
        target: "a".into(),
        component: Some(KEEPER),
        phase: FaultPhase::UndoRequested,
        detail: String::new(),
    };
    let quick = found(frozen().event(26_160, unfreeze).process(26_200, "a", 1, Gone).ended(30_000));
    assert_eq!(quick.old[0].length, between(0.0, 0.04));
    let alive = found(frozen().process(25_000, "a", 1, Running).ended(30_000));
    assert_eq!((alive.old[0].until, alive.old[0].length), (None, between(5.0, 5.05)));
}

#[test]
fn a_lease_that_is_not_renewed_expires() {
    let run = || led().leads(18_000, Some("b_2"), 5).ended(20_000);
    assert_eq!(only_gap(&found(run())), (LeaderLoss::Expired, between(3.0, 3.0)));
    assert_eq!(
        found(run()).old[0].from.latest,
        s(18.0),
        "its process runs: it may believe that it leads"
    );
    // Nobody took it: it is open at the end.
    let open = found(led().ended(20_000));
    assert_eq!(
        (open.gaps[0].until, only_gap(&open)),
        (None, (LeaderLoss::Expired, between(5.0, 5.0)))
    );
}

#[test]
fn what_a_blind_watch_did_not_see_has_not_expired() {
    let blind = |until: Option<i64>| {
        let event = Event::WatchGap {
            watch: LEASE_WATCH.into(),
            until: until.map(at),
            reason: "refused".into(),
        };
        led().event(until.unwrap_or(3000), event).since(3000)
    };
    let back = found(blind(Some(25_000)).leads(25_000, Some("a_1"), 4).since(3000).ended(26_000));
    assert_eq!((back.gaps.len(), back.blind.len()), (0, 1));
    assert!(found(blind(None).ended(30_000)).gaps.is_empty());
}

#[test]
fn while_it_is_cleaned_up_nobody_looks() {
    let clean_up = |run: Run, ms| run.event(ms, Event::Stage { name: Event::CLEAN_UP.into() });
    // Nobody watches any more, so that nobody sees it renewed.
    assert!(found(clean_up(led(), 9000).ended(90_000)).gaps.is_empty());
    let gone = || clean_up(led().process(1000, "a", 1, Gone), 9000);
    let open = found(gone().ended(90_000));
    assert_eq!(
        (open.gaps[0].until, only_gap(&open)),
        (None, (LeaderLoss::Gone, between(8.0, 8.05)))
    );
    // A run that was cut short watches on while it undoes its faults.
    assert_eq!(
        only_gap(&found(gone().leads(16_500, Some("b_2"), 5).ended(90_000))),
        (LeaderLoss::Gone, between(15.5, 15.55))
    );
    assert_eq!(
        only_gap(&found(clean_up(led().process(500, "a", 1, Running), 17_000).ended(90_000))).1,
        between(2.0, 2.0)
    );
}

#[test]
fn a_node_that_dies_takes_its_leader_with_it() {
    let fault = |run: Run, ms, phase| {
        let (fault, target, detail) = ("nodeKill".into(), "a".into(), String::new());
        run.event(
            ms,
            Event::Fault { step: 0, name: None, fault, target, component: None, phase, detail },
        )
    };
    let run = fault(fault(led(), 1000, FaultPhase::Requested), 1400, FaultPhase::Confirmed);
    let die = Event::Docker {
        container: "a".into(),
        action: "die".into(),
        engine_time: None,
        exit_code: None,
    };
    let run = run.event(1300, die).blind(1200, Some(30_000), "a").leads(16_000, Some("c_3"), 5);
    let found = found(run.process(30_000, "a", 7, Running).since(1200).ended(30_500));
    // +0 is the fault's request, the node was seen to live 0.2 s later and to be dead 0.1 s after
    // that.
    assert_eq!(only_gap(&found), (LeaderLoss::Gone, between(14.7, 14.8)));
    assert!(found.old.is_empty() && found.blind.is_empty(), "{found:#?}");
}

#[test]
fn a_leader_whom_nobody_saw_is_lost_at_an_unknown_time() {
    let run = led().blind(1000, Some(30_000), "a").leads(16_000, Some("b_2"), 5).ended(35_000);
    let run_blind = found(run);
    assert_eq!(run_blind.blind.len(), 1);
    let nobody = Run::new()
        .leads(-8000, Some("a_1"), 4)
        .leads(0, Some("a_1"), 4)
        .leads(12_000, Some("b_2"), 5)
        .ended(13_000);
    let nobody = found(nobody);
    assert_eq!(only_gap(&nobody), (LeaderLoss::Unseen, between(0.0, 12.0)));
    assert_eq!(nobody.blind.len(), 2);
}

fn etcd() -> Run {
    let nodes = ["a", "b", "c"].into_iter().zip(1..);
    let run = nodes
        .fold(Run::new(), |run, (node, pid)| run.part(-9000, node, Component::Etcd, pid, Running));
    run.member(-8900, "a", true, true)
        .member(-8900, "b", true, false)
        .member(-8900, "c", true, false)
}

#[test]
fn an_etcd_member_that_is_killed_is_followed_by_another() {
    let run = etcd()
        .part(1000, "a", Component::Etcd, 1, Gone)
        .member(1100, "a", false, false)
        .member(2500, "c", true, true);
    let found = found(
        run.part(2600, "a", Component::Etcd, 9, Running).member(3000, "a", true, false).ended(9000),
    );
    assert_eq!(
        (nodes(&found), only_gap(&found)),
        (vec!["a", "c"], (LeaderLoss::Gone, between(1.25, 1.55)))
    );
    assert!(found.old.is_empty());
}

#[test]
fn an_unfrozen_etcd_member_hears_of_its_successor() {
    let run = etcd()
        .part(1000, "a", Component::Etcd, 1, Stopped)
        .member(1600, "a", false, false)
        .member(2500, "c", true, true);
    let found = found(
        run.part(9000, "a", Component::Etcd, 1, Running)
            .member(9200, "a", true, false)
            .ended(12_000),
    );
    assert_eq!(only_gap(&found).0, LeaderLoss::Frozen);
    assert_eq!(found.old[0].length, between(0.0, 0.25));
}

#[test]
fn without_a_quorum_nobody_leads() {
    let run = etcd().member(3000, "a", true, false).member(20_000, "a", true, true).ended(25_000);
    assert_eq!(only_gap(&found(run)), (LeaderLoss::StoodDown, between(16.75, 17.25)));
}

#[test]
fn a_single_member_that_starts_again_leads_again() {
    let run =
        Run::new().part(-9000, "a", Component::Etcd, 1, Running).member(-8900, "a", true, true);
    let run = run.part(1000, "a", Component::Etcd, 1, Gone).member(1100, "a", false, false);
    let found = found(
        run.part(6000, "a", Component::Etcd, 9, Running).member(7000, "a", true, true).ended(9000),
    );
    assert_eq!(
        (nodes(&found), only_gap(&found)),
        (vec!["a", "a"], (LeaderLoss::Gone, between(5.75, 6.05)))
    );
    assert_eq!(found.next_after(s(0.0)).unwrap().1.latest, s(7.0));
}
