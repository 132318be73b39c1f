//! Each cause in a timeline of its own, and what must hold of any.

use proptest::prelude::*;

use super::interval_set::IntervalSet;
use super::split::{Evidence, split};
use super::*;
use crate::analysis::findings::{Cause, When};
use crate::analysis::testing::{Run, at, attempt, file, s, span};
use crate::analysis::{Window, analyse};
use crate::stats::{Between, Seconds};
use crate::timeline::{
    Attempt, Change, Component, Event, FaultPhase, Needs, NodeFacts, NodeRole, Outcome,
    ProcessState,
};
use FaultPhase::{Confirmed, Requested, UndoRequested, Undone};
use ProcessState::{Gone, Running};

const CONTROL_PLANES: [&str; 3] = ["cp", "cp2", "cp3"];
const ETCD: Component = Component::Etcd;
const SERVER: Component = Component::ApiServer;

impl Run {
    /// On control planes, all of which are observed. The load balancer before several is not a node
    /// that the API knows.
    fn control_planes(mut self, count: usize) -> Self {
        let node = |name: &&str| NodeFacts {
            name: (*name).into(),
            role: NodeRole::ControlPlane,
            address: None,
            kubelet: String::new(),
            container: None,
            labels: Default::default(),
            tainted: None,
        };
        self.0.header.cluster.nodes = CONTROL_PLANES[..count].iter().map(node).collect();
        for (plane, pid) in CONTROL_PLANES[..count].iter().zip(1..) {
            self = self
                .process_of(-9000, plane, ETCD, pid, Running)
                .process_of(-9000, plane, SERVER, pid, Running);
            self = self.says(-9000, plane, true, pid == 1);
        }
        self
    }

    fn process_of(
        self,
        ms: i64,
        node: &str,
        component: Component,
        pid: u32,
        state: ProcessState,
    ) -> Self {
        let pid = (state != Gone).then_some(pid);
        self.event(ms, Event::Process { node: node.into(), component, pid, state }).since(ms - 50)
    }

    /// A word of an etcd member.
    fn says(self, ms: i64, node: &str, has_leader: bool, is_leader: bool) -> Self {
        self.member_says(ms, node, true, has_leader, is_leader)
    }

    fn silent(self, ms: i64, node: &str) -> Self {
        self.member_says(ms, node, false, false, false)
    }

    fn member_says(
        self,
        ms: i64,
        node: &str,
        answers: bool,
        has_leader: bool,
        is_leader: bool,
    ) -> Self {
        let (node, leader_changes) = (node.into(), 0);
        let event = Event::EtcdMember { node, answers, has_leader, is_leader, leader_changes };
        self.event(ms, event).since(ms - 250)
    }

    fn phase(
        self,
        ms: i64,
        kind: &str,
        target: &str,
        component: Option<Component>,
        phase: FaultPhase,
    ) -> Self {
        let (fault, target, detail) = (kind.into(), target.into(), String::new());
        self.event(
            ms,
            Event::Fault { step: 0, name: None, fault, target, component, phase, detail },
        )
    }

    /// From 0 s for 10 s, there after 100 ms.
    fn faulted(self, kind: &str, target: &str, component: Option<Component>) -> Self {
        let run = self
            .phase(0, kind, target, component, Requested)
            .phase(100, kind, target, component, Confirmed);
        run.phase(10_000, kind, target, component, UndoRequested)
            .phase(10_100, kind, target, component, Undone)
    }

    /// A probe that asks ten times a second and sees errors in these times.
    fn asks(self, name: &str, needs: Needs, fails: &[(i64, i64)]) -> Self {
        let mut span = span(name, 100, 1000);
        (span.probe.service, span.probe.needs) = (None, Some(needs));
        let failed = |slot: u64| {
            let sent = slot as i64 * 100 - 5000;
            fails.iter().any(|(from, until)| (*from..*until).contains(&sent))
        };
        let one = |slot| -> Attempt {
            attempt(slot, if failed(slot) { Outcome::Refused } else { Outcome::Ok }, 1000)
        };
        self.probe(file(&span, &[], (0..250).map(one).collect()))
    }

    fn asks_any(self, fails: &[(i64, i64)]) -> Self {
        self.asks("api", Needs::ApiServer { node: None, etcd: true }, fails)
    }

    fn asks_each(self, fails: [&[(i64, i64)]; 3]) -> Self {
        let needs = |node: &str| Needs::ApiServer { node: Some(node.into()), etcd: true };
        let ask = |run: Run, (node, fails): (&&str, &[(i64, i64)])| {
            run.asks(&format!("api@{node}"), needs(node), fails)
        };
        CONTROL_PLANES.iter().zip(fails).fold(self, ask)
    }

    /// The parts of the windows of a probe, in words.
    fn causes(self, probe: &str) -> String {
        let found = analyse(&self.ended(20_000).build());
        let probe = found.probes.iter().find(|of| of.name == probe).expect("the probe");
        probe.windows.iter().map(words_of).collect::<Vec<_>>().join("\n")
    }
}

fn words_of(window: &Window) -> String {
    let part = |part: &CausePart| format!("{} {}", part.length, part.cause.words());
    format!("{}: {}", window.length, window.causes.iter().map(part).collect::<Vec<_>>().join(", "))
}

#[test]
fn a_lost_leader_costs_an_election_and_then_a_check() {
    // The first etcd leader's node is killed; another leads after 1.6 s, and the balancer goes on
    // asking the dead server until 2.4 s.
    let run =
        Run::new().control_planes(3).faulted("nodeKill", "cp", None).says(1700, "cp2", true, true);
    let run =
        run.asks_any(&[(100, 2400)]).asks_each([&[(100, 12_000)], &[(100, 1600)], &[(100, 1600)]]);
    insta::assert_snapshot!(run.causes("api"), @"2.2s to 2.4s: 1.35s to 1.7s etcd without a leader or a quorum, 0s to 251ms API server down, 0s to 151ms etcd back, API server not yet, 600ms to 1s load balancer health check, 0s to 201ms unexplained");
}

#[test]
fn a_direct_question_hangs_on_its_own_server() {
    let run = Run::new()
        .control_planes(3)
        .faulted("componentStop", "cp2", Some(SERVER))
        .process_of(80, "cp2", SERVER, 2, Gone);
    let run =
        run.process_of(10_500, "cp2", SERVER, 9, Running).asks_each([&[], &[(100, 10_900)], &[]]);
    insta::assert_snapshot!(run.causes("api@cp2"), @r"
    9.8s to 10s: 9.8s to 9.97s API server down, 0s to 80ms API server shutting down
    799ms to 901ms: 449ms to 500ms API server down, 300ms to 451ms API server starting, 0s to 151ms unexplained
    ");
}

#[test]
fn a_lost_quorum_is_etcds() {
    let run = Run::new()
        .control_planes(3)
        .faulted("nodeKill", "cp2", None)
        .faulted("nodeKill", "cp3", None);
    let run = run
        .says(1200, "cp", false, false)
        .says(11_000, "cp", true, true)
        .asks_any(&[(100, 11_000)]);
    insta::assert_snapshot!(run.causes("api"), @r"
    9.8s to 10s: 9.8s to 10s etcd without a leader or a quorum, 0s to 100ms unexplained
    899ms to 1s: 899ms to 1s etcd without a leader or a quorum
    ");
}

#[test]
fn the_only_control_plane_is_a_node_and_then_a_server_that_starts() {
    let run = Run::new().control_planes(1).faulted("nodeKill", "cp", None);
    let run = run
        .process_of(10_800, "cp", ETCD, 8, Running)
        .says(11_500, "cp", true, true)
        .process_of(12_000, "cp", SERVER, 9, Running);
    insta::assert_snapshot!(run.asks_any(&[(100, 10_000), (10_000, 12_500)]).causes("api"), @r"
    9.8s to 10s: 9.8s to 10s control-plane node down, 0s to 100ms etcd without a leader or a quorum, 0s to 100ms API server down, 0s to 100ms not observed, 0s to 100ms unexplained
    2.4s to 2.5s: 0s to 100ms control-plane node down, 1.15s to 1.5s etcd without a leader or a quorum, 450ms to 750ms API server down, 400ms to 551ms API server starting, 0s to 151ms etcd back, API server not yet, 0s to 101ms unexplained
    ");
}

#[test]
fn a_server_that_is_stopped_takes_its_time_to_end_and_to_start() {
    let stop = |run: Run, ms, phase| run.phase(ms, "componentStop", "cp", Some(SERVER), phase);
    let run = stop(
        stop(Run::new().control_planes(1), 0, Requested).process_of(7980, "cp", SERVER, 1, Gone),
        8000,
        Confirmed,
    );
    let run = stop(stop(run, 10_000, UndoRequested), 10_100, Undone)
        .process_of(10_200, "cp", SERVER, 9, Running);
    insta::assert_snapshot!(run.asks_any(&[(100, 10_900)]).causes("api"), @r"
    9.8s to 10s: 1.92s to 2.07s API server down, 7.83s to 7.98s API server shutting down
    799ms to 901ms: 149ms to 200ms API server down, 600ms to 751ms API server starting, 0s to 50ms not observed, 0s to 151ms unexplained
    ");
}

/// The only etcd: asked to end at 0 s, gone at 3 s, there again at 10.2 s and leading at 10.5 s;
/// its API server finds it at 14 s.
fn etcd_stopped() -> Run {
    let phase = |run: Run, ms, phase| run.phase(ms, "componentStop", "cp", Some(ETCD), phase);
    let run = phase(Run::new().control_planes(1), 0, Requested)
        .process_of(3000, "cp", ETCD, 1, Gone)
        .says(3000, "cp", false, false);
    let run = phase(phase(run, 3100, Confirmed), 10_000, UndoRequested)
        .process_of(10_200, "cp", ETCD, 9, Running);
    phase(run, 10_300, Undone).says(10_500, "cp", true, true).asks_any(&[(100, 14_000)])
}

#[test]
fn an_etcd_that_is_stopped_takes_its_time_to_end_and_to_be_found_again() {
    insta::assert_snapshot!(etcd_stopped().causes("api"), @r"
    9.8s to 10s: 6.9s to 7.05s etcd without a leader or a quorum, 2.85s to 3s etcd shutting down
    3.9s to 4s: 249ms to 500ms etcd without a leader or a quorum, 3.4s to 3.75s etcd back, API server not yet, 0s to 351ms unexplained
    ");
}

#[test]
fn an_etcd_without_its_data_is_of_no_use() {
    let (kind, etcd) = ("etcdDataLoss", Some(ETCD));
    let run = Run::new()
        .control_planes(1)
        .phase(0, kind, "cp", etcd, Requested)
        .process_of(3000, "cp", ETCD, 1, Gone);
    let run = run
        .phase(3100, kind, "cp", etcd, FaultPhase::Returned)
        .process_of(4000, "cp", ETCD, 8, Running);
    let run = run.says(3000, "cp", false, false).says(4500, "cp", true, true);
    let run = run
        .says(12_000, "cp", false, false)
        .says(13_300, "cp", true, true)
        .phase(4100, kind, "cp", etcd, Confirmed)
        .phase(10_000, kind, "cp", etcd, UndoRequested);
    let run =
        run.process_of(12_000, "cp", ETCD, 8, Gone).process_of(13_000, "cp", ETCD, 9, Running);
    insta::assert_snapshot!(run.phase(13_100, kind, "cp", etcd, Undone).asks_any(&[(100, 14_000)]).causes("api"), @r"
    9.8s to 10s: 1.25s to 1.55s etcd without a leader or a quorum, 2.85s to 3s etcd shutting down, 5.4s to 5.75s etcd without its data
    3.9s to 4s: 1.05s to 1.55s etcd without a leader or a quorum, 1.75s to 2.05s etcd shutting down, 600ms to 901ms etcd back, API server not yet, 0s to 301ms unexplained
    ");
}

#[test]
fn a_balancer_that_is_down_is_no_check() {
    let run = Run::new()
        .control_planes(3)
        .faulted("nodeStop", "lb", None)
        .asks_any(&[(100, 10_000)])
        .asks_each([&[], &[], &[]]);
    insta::assert_snapshot!(run.causes("api"), @"9.8s to 10s: 9.8s to 10s load balancer down, 0s to 100ms load balancer health check");
}

#[test]
fn a_lease_that_nobody_holds_is_what_a_canary_waits_for() {
    let keeper = Component::Scheduler;
    let lease = |run: Run, ms, holder: &str, transitions| {
        let (namespace, name) = ("kube-system".into(), keeper.name().into());
        let change = if ms < 0 { Change::Baseline } else { Change::Changed };
        let (holder, transitions) = (Some(holder.to_owned()), Some(transitions));
        run.event(
            ms,
            Event::Lease {
                namespace,
                name,
                change,
                holder,
                renewed: None,
                transitions,
                lasts_s: Some(15),
            },
        )
    };
    let run = lease(
        Run::new().control_planes(3).process_of(-9000, "cp", keeper, 5, Running),
        -8000,
        "cp_1",
        4,
    );
    let run =
        run.faulted("componentKill", "cp", Some(keeper)).process_of(50, "cp", keeper, 5, Gone);
    let run =
        lease(run, 9000, "cp2_1", 5).asks("scheduling", Needs::Leader(keeper), &[(100, 9100)]);
    insta::assert_snapshot!(run.causes("scheduling"), @"8.9s to 9.1s: 8.9s to 9s kube-scheduler without a leader, 0s to 151ms unexplained");
}

#[test]
fn where_nobody_looked_nothing_is_reported() {
    let gap =
        Event::ObserverGap { node: "cp".into(), until: Some(at(8000)), reason: "no word".into() };
    let run = Run::new()
        .control_planes(1)
        .faulted("kubeletStop", "cp", None)
        .event(8000, gap)
        .since(2000);
    insta::assert_snapshot!(run.asks_any(&[(3000, 9000)]).causes("api"), @"5.9s to 6.1s: 5s to 5.1s not observed, 900ms to 1s unexplained");
}

/// On a node without a free processor etcd's metrics come too late, as does all else.
#[test]
fn an_etcd_member_that_did_not_answer_in_time_is_not_seen_to_be_down() {
    let causes = |component, run: Run| {
        let run = run.faulted("componentKill", "cp2", Some(component));
        let run = run.silent(1000, "cp2").says(19_000, "cp2", true, false);
        run.asks_each([&[], &[(1000, 9000)], &[]]).causes("api@cp2")
    };
    let control_planes = || Run::new().control_planes(3);
    insta::assert_snapshot!(causes(Component::Scheduler, control_planes()), @"7.9s to 8.1s: 7.9s to 8.1s not observed, 0s to 100ms unexplained");
    let gone = control_planes().process_of(900, "cp2", ETCD, 2, Gone);
    let gone = causes(ETCD, gone.process_of(12_000, "cp2", ETCD, 9, Running));
    assert!(gone.contains("7.9s to 8.1s its etcd member down"), "{gone}");
}

#[test]
fn between_two_bursts_nothing_was_away() {
    let run = Run::new()
        .control_planes(1)
        .faulted("kubeletStop", "cp", None)
        .asks_any(&[(1000, 2000), (6000, 7000)]);
    insta::assert_snapshot!(run.causes("api"), @"5.9s to 6.1s: 3.9s to 4.1s recovered in between, 1.8s to 2.2s unexplained");
}

#[test]
fn what_asks_nothing_of_the_control_plane_has_no_such_causes() {
    let found = analyse(&crate::analysis::testing::article().build());
    assert!(found.probes[0].windows[0].causes.is_empty());
}

/// A condition as it really was, and what is known of it.
#[derive(Clone, Debug)]
struct Real {
    from: i64,
    until: i64,
    known: Span,
}

fn ms(ms: i64) -> Seconds {
    Seconds::from_nanos(ms * 1_000_000)
}

fn real() -> impl Strategy<Value = Real> {
    (0i64..1000, 0i64..600, [0i64..80, 0..80, 0..80, 0..80]).prop_map(
        |(from, length, [a, b, c, d])| {
            let until = from + length;
            let known = Span {
                from: When { earliest: ms(from - a), latest: ms(from + b) },
                until: When {
                    earliest: ms((until - c).max(from - a)),
                    latest: ms((until + d).max(from + b)),
                },
            };
            Real { from, until, known }
        },
    )
}

/// The deepest cause that really held, by the same rules.
fn truly(causes: &[Real; 4], moment: i64) -> Cause {
    let [nodes, one, two, asked] = causes;
    let inside = |real: &Real| (real.from..real.until).contains(&moment);
    if inside(nodes) {
        Cause::Nodes
    } else if inside(one) && inside(two) {
        Cause::ApiServers
    } else if inside(asked) && !(inside(one) && inside(two)) {
        Cause::BalancerCheck
    } else {
        Cause::Unexplained
    }
}

proptest! {
    #[test]
    fn parts_hold_what_was_so_and_sum_up_to_the_window(window in real(), causes in [real(), real(), real(), real()]) {
        let known = |real: &Real| IntervalSet::Union(vec![real.known]);
        let [nodes, one, two, asked] = &causes;
        let servers = || IntervalSet::all(vec![known(one), known(two)]);
        let evidence: Evidence = vec![
            (Cause::Nodes, known(nodes)),
            (Cause::ApiServers, servers()),
            (Cause::BalancerCheck, IntervalSet::all(vec![known(asked), servers().not()])),
            (Cause::Unexplained, IntervalSet::Always),
        ];
        let parts = split(window.known, &evidence);
        let mut truth = std::collections::BTreeMap::new();
        (window.from..window.until).for_each(|moment| *truth.entry(truly(&causes, moment)).or_insert(0) += 1);
        for (cause, length) in &truth {
            let part = parts.iter().find(|part| part.cause == *cause);
            let part = part.unwrap_or_else(|| panic!("{cause:?} was so for {length} ms: {parts:?}"));
            prop_assert!(part.length.least <= ms(*length) && ms(*length) <= part.length.most, "{cause:?} {length}: {part:?}");
        }
        for part in parts.iter().filter(|part| !truth.contains_key(&part.cause)) {
            prop_assert_eq!(part.length.least, Seconds::ZERO);
        }
        let sum = |of: fn(&CausePart) -> Seconds| parts.iter().fold(Seconds::ZERO, |sum, part| sum + of(part));
        let (Span { from, until }, zero) = (window.known, Seconds::ZERO);
        prop_assert!(sum(|part| part.length.least) <= (until.earliest - from.latest).max(zero));
        prop_assert!(sum(|part| part.length.most) >= until.latest - from.earliest);
    }

    #[test]
    fn what_is_known_exactly_sums_up_exactly(window in real(), causes in [real(), real(), real(), real()]) {
        let exact = |real: &Real| Span::exact(ms(real.from), ms(real.until));
        let known = |real: &Real| IntervalSet::Union(vec![exact(real)]);
        let [nodes, one, two, asked] = &causes;
        let evidence: Evidence = vec![
            (Cause::Nodes, known(nodes)),
            (Cause::Etcd, IntervalSet::AtLeast(2, vec![known(one), known(two), known(asked)])),
            (Cause::Unexplained, IntervalSet::Always),
        ];
        let parts = split(exact(&window), &evidence);
        let sum = parts.iter().fold(Seconds::ZERO, |sum, part| sum + part.length.least);
        prop_assert_eq!(sum, ms(window.until - window.from));
        prop_assert!(parts.iter().all(|part| part.length.least == part.length.most));
    }
}

#[test]
fn a_length_is_written_with_its_cause() {
    let part = CausePart {
        cause: Cause::Leader(Component::Scheduler),
        length: Between::new(s(1.0), s(2.0)),
    };
    let text = serde_json::to_string(&part).unwrap();
    assert_eq!(text, r#"{"cause":{"leader":"kube-scheduler"},"length":{"least":1.0,"most":2.0}}"#);
}
