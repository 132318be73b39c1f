//! The engine against a fake backend on a paused clock, with something going wrong at every step in
//! turn.

use std::future::ready;
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;

use crate::engine::abort::Abort;
use crate::engine::backend::fake::{Failure, FakeBackend};
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::follower::Follower;
use crate::engine::job::{Job, WorkloadOf};
use crate::engine::recorder::Recorder;
use crate::engine::run::{self, RunEnd, Stop};
use crate::engine::undo::ledger::{Entry, Ledger, RunRef};
use crate::experiment::*;
use crate::timeline::*;

fn fault(fault: Fault, secs: u64, meanwhile: Vec<Step>) -> Step {
    Step::Fault { name: None, fault, hold: Duration::from_secs(secs), meanwhile }
}

pub(super) fn experiment() -> Experiment {
    let target = NodeSelector {
        role: Some(NodeRole::Worker),
        most_endpoints_of: Some("web".into()),
        ..NodeSelector::default()
    };
    let service = Target::Service { service: "web".into(), port: None };
    Experiment {
        name: "simulated".into(),
        question: None,
        claims: Vec::new(),
        cluster: Cluster::Context,
        namespace: None,
        workload: Vec::new(),
        workload_timeout: Duration::from_secs(60),
        probes: vec![Probe {
            name: "web".into(),
            ask: Ask::Tcp { target: service },
            from: From::Host,
            connection: Connection::New,
            rate: 50.0,
            timeout: Duration::from_millis(200),
        }],
        steady_state: vec![
            Condition::NodesReady(Quantity::All),
            Condition::Probe {
                name: "web".into(),
                success_ratio: 1.0,
                hold: Duration::from_secs(2),
            },
        ],
        steady_state_timeout: Duration::from_secs(60),
        method: vec![
            fault(Fault::NodeKill { target: target.clone() }, 5, Vec::new()),
            Step::Pause { hold: Duration::from_secs(3) },
            fault(Fault::NodePause { target }, 5, Vec::new()),
        ],
        expect: Vec::new(),
        blast_radius: BlastRadius::default(),
    }
}

const MARGIN: Duration = Duration::from_secs(60);
const RUN: RunRef<'static> = RunRef { run: "r", engine: "unix:///engine.sock", access: None };

fn header() -> Header {
    let cluster = ClusterFacts {
        kind: ClusterKind::Context,
        name: "fake".into(),
        kubernetes: "v1.34.4".into(),
        engine: None,
        nodes: Vec::new(),
        tuning: Tuning::default(),
        tolerations: Default::default(),
        context: None,
    };
    Header {
        format: Header::FORMAT.into(),
        program: "test".into(),
        run: "r".into(),
        anchor: Anchor::take(),
        name: "simulated".into(),
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

struct Simulated {
    end: RunEnd,
    backend: FakeBackend,
    pending: usize,
    /// Those of them that no watchdog waits with.
    given_up: usize,
    timeline: Timeline,
}

/// Runs the engine once; `interrupt` after so much (virtual) time.
async fn simulate(backend: FakeBackend, interrupt: Option<Duration>, seed: u64) -> Simulated {
    simulate_method(experiment(), backend, interrupt, seed).await
}

async fn simulate_method(
    experiment: Experiment,
    backend: FakeBackend,
    interrupt: Option<Duration>,
    seed: u64,
) -> Simulated {
    simulate_in_series(experiment, backend, interrupt, seed, WorkloadOf::default()).await
}

async fn simulate_in_series(
    experiment: Experiment,
    mut backend: FakeBackend,
    interrupt: Option<Duration>,
    seed: u64,
    workload: WorkloadOf,
) -> Simulated {
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(&dir.path().join("runs"), &header()).unwrap();
    let (recorder, recording) = Recorder::start(folder, Follower::new().0);
    let mut ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
    let (signal, abort) = Abort::by_hand();
    if let Some(after) = interrupt {
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let _ = signal.send(Some("SIGINT"));
            std::future::pending::<()>().await;
        });
    }
    let tuning = Tuning::default();
    let job = Job {
        run_ref: RUN,
        experiment: &experiment,
        tuning: &tuning,
        seed,
        workload,
        undo_timer_margin: MARGIN,
        logs: None,
        arm: &|_| ready(Ok(())).boxed_local(),
    };
    let end = run::carry_out(&job, &mut backend, &recorder, &mut ledger, &abort).await;
    drop(recorder);
    recording.finish().await;
    Simulated {
        end,
        backend,
        pending: pending(&dir.path().join("ledger"), |_| true),
        given_up: pending(&dir.path().join("ledger"), |entry| {
            entry.watched_until.is_some_and(|until| until <= jiff::Timestamp::now())
        }),
        timeline: Timeline::read(&dir.path().join("runs/r")).unwrap(),
    }
}

fn pending(ledger: &Path, which: impl Fn(&Entry) -> bool) -> usize {
    Ledger::open(ledger).unwrap().pending().iter().filter(|entry| which(entry)).count()
}

impl Simulated {
    /// Whatever was done was undone, or is listed as not undone and still in the ledger.
    fn assert_nothing_is_lost(&self, what: &str) {
        let truth = self.backend.truth.lock().unwrap();
        let left = truth.down.len() + usize::from(truth.namespace) + usize::from(truth.probers);
        assert_eq!(left, self.end.not_undone.len(), "{what}: {:?} {:?}", truth, self.end);
        assert_eq!(left, self.pending, "{what}: what is left must stay in the ledger");
        assert!(self.timeline.ended(), "{what}: the timeline must end");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_without_mishap_does_things_in_order() {
    let run = simulate(FakeBackend::new(None), None, 1).await;
    assert!(run.end.stop.is_none(), "{:?}", run.end);
    run.assert_nothing_is_lost("no mishap");
    let phases: Vec<FaultPhase> = run
        .timeline
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Fault { step: 0, phase, .. } => Some(*phase),
            _ => None,
        })
        .collect();
    use FaultPhase::*;
    assert_eq!(phases, [Requested, Returned, Confirmed, UndoRequested, Reverted, Undone]);
    let steady: Vec<bool> = run
        .timeline
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::SteadyState { before, .. } => Some(*before),
            _ => None,
        })
        .collect();
    assert_eq!(steady, [true, false]);
    let attempts = run.timeline.probe("web").unwrap().attempts().count();
    assert!(attempts > 500, "{attempts} attempts in at least 13 s at 50/s");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_work_after_its_undo_is_not_undone() {
    for node in ["w1", "w2"] {
        let mut backend = FakeBackend::new(None);
        backend.broken = Some(node);
        let run = simulate(backend, None, 1).await;
        let of_node = phases(&run.timeline).into_iter().filter(|(_, target, _)| target == node);
        let seen: Vec<FaultPhase> = of_node.map(|(_, _, phase)| phase).collect();
        if seen.is_empty() {
            continue;
        }
        assert!(seen.contains(&FaultPhase::NotUndone), "{seen:?}");
        assert!(!seen.contains(&FaultPhase::Undone), "{seen:?}");
        assert!(matches!(&run.end.stop, Some(Stop::RunError(_))), "{:?}", run.end);
        let left = &run.end.not_undone;
        assert!(left.len() == 1 && left[0].why.message == "it sends no heartbeat", "{left:?}");
        assert_eq!((run.pending, run.given_up), (1, 1), "it stays in the ledger, for the watchdog");
        let requests = seen.iter().filter(|phase| **phase == FaultPhase::UndoRequested).count();
        assert_eq!(requests, 1, "an undo that is tried again was requested once: {seen:?}");
        return;
    }
    panic!("no worker was hit");
}

/// One target is confirmed long after the other, and the timers are slow to be set: they wait for
/// the last confirmation, and the hold does not wait for them.
#[tokio::test(start_paused = true)]
async fn the_undo_timers_are_set_anew_when_the_last_target_is_confirmed() {
    for (slow_timer, set) in [(0, 2), (30, 0)] {
        let mut experiment = experiment();
        let target = NodeSelector {
            role: Some(NodeRole::Worker),
            count: Count::Exactly(2),
            ..NodeSelector::default()
        };
        experiment.method = vec![fault(Fault::NodeKill { target }, 7, Vec::new())];
        experiment.blast_radius.max_workers = 2;
        let mut backend = FakeBackend::new(None);
        backend.slow = Some(("w2", Duration::from_secs(19)));
        backend.slow_timer = Duration::from_secs(slow_timer);
        let run = simulate_method(experiment, backend, None, 1).await;
        assert!(run.end.stop.is_none(), "{:?}", run.end);
        let timers = run.backend.truth.lock().unwrap().timers.clone();
        assert_eq!(timers[..2], ["confirmed w1", "confirmed w2"]);
        assert_eq!(timers.len(), 2 + set, "{timers:?}");
        let at = |wanted| {
            let mut records = run.timeline.records.iter();
            records.rfind(|record| matches!(&record.event, Event::Fault { phase, .. } if *phase == wanted)).unwrap().at
        };
        let held = at(FaultPhase::UndoRequested).since(at(FaultPhase::Confirmed));
        assert!(held < Duration::from_secs(8), "{held:?}");
    }
}

/// What a fault has hit is verified when no other fault lasts: it may have taken the API.
#[tokio::test(start_paused = true)]
async fn nothing_is_verified_while_another_fault_lasts() {
    let run = simulate_method(overlapping(1), FakeBackend::new(None), None, 1).await;
    let all = phases(&run.timeline);
    let place = |step, wanted| all.iter().position(|p| p.0 == step && p.2 == wanted).unwrap();
    use FaultPhase::*;
    assert!(place(2, Reverted) < place(0, Reverted) && place(0, Reverted) < place(2, Undone));
    assert!(place(0, Undone) < place(3, Requested), "{all:?}");
}

/// A worker dies while etcd is away, and outlasts it.
fn overlapping(inner_secs: u64) -> Experiment {
    let of = |role| NodeSelector { role: Some(role), ..NodeSelector::default() };
    let inner = fault(Fault::NodeKill { target: of(NodeRole::Worker) }, inner_secs, Vec::new());
    let outer =
        Fault::ComponentPause { component: Component::Etcd, target: of(NodeRole::ControlPlane) };
    let method = vec![
        fault(outer, 6, vec![Step::Pause { hold: Duration::from_secs(2) }, inner]),
        fault(
            Fault::KubeletStop {
                target: NodeSelector { count: Count::All, ..of(NodeRole::Worker) },
            },
            3,
            Vec::new(),
        ),
    ];
    let blast_radius = BlastRadius {
        max_workers: 2,
        max_control_planes: 1,
        quorum_loss: true,
        ..BlastRadius::default()
    };
    Experiment { method, blast_radius, ..experiment() }
}

/// The faults' phases in their order, with step and target.
fn phases(timeline: &Timeline) -> Vec<(u32, String, FaultPhase)> {
    let phase = |record: &Record| match &record.event {
        Event::Fault { step, target, phase, .. } => Some((*step, target.clone(), *phase)),
        _ => None,
    };
    timeline.records.iter().filter_map(phase).collect()
}

#[tokio::test(start_paused = true)]
async fn faults_overlap_and_each_ends_in_its_own_time() {
    for (inner_secs, last_undone) in [(10, 2), (1, 0)] {
        let run = simulate_method(overlapping(inner_secs), FakeBackend::new(None), None, 1).await;
        assert!(run.end.stop.is_none(), "{:?}", run.end);
        run.assert_nothing_is_lost("overlap");
        let phases = phases(&run.timeline);
        let place = |step, wanted| {
            phases.iter().position(|(s, _, phase)| *s == step && *phase == wanted).unwrap()
        };
        use FaultPhase::*;
        assert!(
            place(0, Confirmed) < place(2, Requested)
                && place(2, Confirmed) < place(0, UndoRequested),
            "{phases:?}"
        );
        let undone: Vec<u32> = phases
            .iter()
            .filter(|(step, _, phase)| *step < 3 && *phase == Undone)
            .map(|p| p.0)
            .collect();
        assert_eq!(undone[1], last_undone, "{phases:?}");
        assert!(
            place(3, Requested) > place(0, Undone).max(place(2, Undone)),
            "a step begins when the one before has ended"
        );
        let both: Vec<&str> =
            phases.iter().filter(|p| p.0 == 3 && p.2 == Confirmed).map(|p| p.1.as_str()).collect();
        assert_eq!(both.len(), 2, "all workers: {phases:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_does_not_wait_for_an_api_that_is_away() {
    let mut backend = FakeBackend::new(None);
    backend.no_occupancy = true;
    let run = simulate_method(overlapping(10), backend, None, 1);
    let run = tokio::time::timeout(Duration::from_secs(600), run).await.expect("it ends");
    assert!(run.end.stop.is_none(), "{:?}", run.end);
    run.assert_nothing_is_lost("nobody says what is on the nodes");
}

#[tokio::test(start_paused = true)]
async fn overlapping_faults_are_undone_whatever_goes_wrong() {
    let backend = || FakeBackend::new(None);
    let calls = simulate_method(overlapping(10), backend(), None, 1)
        .await
        .backend
        .truth
        .lock()
        .unwrap()
        .calls
        .len();
    for turn in 0..calls {
        for mishap in [Failure::Fails, Failure::Panics, Failure::Hangs] {
            let interrupt = (mishap == Failure::Hangs).then_some(Duration::from_secs(300));
            let run = simulate_method(
                overlapping(10),
                FakeBackend::new(Some((turn, mishap))),
                interrupt,
                turn as u64,
            )
            .await;
            assert!(
                run.end.stop.is_some() && run.end.not_undone.is_empty(),
                "{turn} {mishap:?}: {:?}",
                run.end
            );
            run.assert_nothing_is_lost(&format!("call {turn} {mishap:?}"));
        }
    }
    for tenths in (0..300u64).step_by(3) {
        let run = simulate_method(
            overlapping(10),
            backend(),
            Some(Duration::from_millis(tenths * 100 + 7)),
            tenths,
        )
        .await;
        run.assert_nothing_is_lost(&format!("interrupted after {tenths} tenths of a second"));
        let undone = phases(&run.timeline);
        let begun: Vec<u32> =
            undone.iter().filter(|p| p.2 == FaultPhase::Requested).map(|p| p.0).collect();
        let ended = undone
            .iter()
            .filter(|p| p.2 == FaultPhase::Undone)
            .map(|p| p.0)
            .collect::<std::collections::BTreeSet<_>>();
        assert!(begun.iter().all(|step| ended.contains(step)), "{undone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_early_end_undoes_the_last_fault_first() {
    let backend = FakeBackend::new(None);
    let whole = simulate_method(overlapping(10), backend, None, 1).await;
    let began = whole.timeline.header.anchor.monotonic;
    let confirmed = |record: &&Record| {
        matches!(&record.event, Event::Fault { step: 2, phase: FaultPhase::Confirmed, .. })
    };
    let at = whole.timeline.records.iter().find(confirmed).unwrap().at.since(began)
        + Duration::from_secs(1);
    let run = simulate_method(overlapping(10), FakeBackend::new(None), Some(at), 1).await;
    assert_eq!(run.end.stop, Some(Stop::Interrupted("SIGINT")));
    let undone =
        phases(&run.timeline).into_iter().filter(|p| p.2 == FaultPhase::Undone).map(|p| p.0);
    assert_eq!(undone.collect::<Vec<_>>(), [2, 0]);
}

/// A worker is drained for 3 s at least, and rebooted meanwhile, for longer.
fn drained_and_rebooted() -> Experiment {
    let of = |of: Option<&str>| NodeSelector {
        role: Some(NodeRole::Worker),
        of: of.map(str::to_owned),
        ..NodeSelector::default()
    };
    let reboot =
        fault(Fault::NodeReboot { target: of(Some("drained")), hard: false }, 6, Vec::new());
    let (fault, hold) = (
        Fault::NodeDrain { target: of(None), options: Default::default() },
        Duration::from_secs(3),
    );
    let method =
        vec![Step::Fault { name: Some("drained".into()), fault, hold, meanwhile: vec![reboot] }];
    Experiment { method, ..experiment() }
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_is_uncordoned_when_what_was_done_to_it_meanwhile_is_undone_and_it_is_back()
{
    use FaultPhase::*;
    for seed in 0..8 {
        let mut backend = FakeBackend::new(None);
        backend.boot = Duration::from_secs(4);
        let run = simulate_method(drained_and_rebooted(), backend, None, seed).await;
        assert!(run.end.stop.is_none(), "{:?}", run.end);
        run.assert_nothing_is_lost("drained and rebooted");
        let phases = phases(&run.timeline);
        assert!(
            phases.iter().all(|(_, target, _)| *target == phases[0].1),
            "the same node: {phases:?}"
        );
        let order: Vec<(u32, FaultPhase)> =
            phases.into_iter().filter(|p| p.2 != Returned).map(|p| (p.0, p.2)).collect();
        let wanted = [(0, Requested), (0, Confirmed), (1, Requested), (1, Confirmed)];
        assert_eq!(order[..4], wanted);
        let undone = [(1, UndoRequested), (1, Reverted), (1, Undone)];
        assert_eq!(order[4..7], undone);
        assert_eq!(order[7..], [(0, UndoRequested), (0, Undone)]);
        let ready = |record: &Record| {
            matches!(record.event, Event::Node { change: Change::Changed, ready: Ready::True, .. })
        };
        let uncordons = |record: &Record| {
            matches!(record.event, Event::Fault { step: 0, phase: UndoRequested, .. })
        };
        let place = |wanted: &dyn Fn(&Record) -> bool| {
            run.timeline.records.iter().position(wanted).unwrap()
        };
        assert!(place(&ready) < place(&uncordons), "it is not uncordoned before it is back");
    }
    let calls = simulate_method(drained_and_rebooted(), FakeBackend::new(None), None, 1)
        .await
        .backend
        .truth
        .lock()
        .unwrap()
        .calls
        .len();
    for turn in 0..calls {
        let run = simulate_method(
            drained_and_rebooted(),
            FakeBackend::new(Some((turn, Failure::Fails))),
            None,
            turn as u64,
        )
        .await;
        assert!(run.end.stop.is_some() && run.end.not_undone.is_empty(), "{turn}: {:?}", run.end);
        run.assert_nothing_is_lost(&format!("call {turn} fails"));
    }
}

/// A drain that is due while the API is away.
fn drained_while_the_api_is_away() -> Experiment {
    let of = |role| NodeSelector { role: Some(role), ..NodeSelector::default() };
    let drain = fault(
        Fault::NodeDrain { target: of(NodeRole::Worker), options: Default::default() },
        1,
        Vec::new(),
    );
    let away =
        Fault::ComponentPause { component: Component::Etcd, target: of(NodeRole::ControlPlane) };
    let method = vec![fault(away, 6, vec![Step::Pause { hold: Duration::from_secs(2) }, drain])];
    Experiment { method, ..overlapping(1) }
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_another_is_in_the_way_of_is_tried_again() {
    let run =
        simulate_method(drained_while_the_api_is_away(), FakeBackend::new(None), None, 1).await;
    assert!(
        matches!(&run.end.stop, Some(Stop::RunError(error)) if error.message.contains("API server is away")),
        "{:?}",
        run.end
    );
    assert!(run.end.not_undone.is_empty(), "{:?}", run.end);
    run.assert_nothing_is_lost("drained while the API is away");
    use FaultPhase::*;
    let undone = phases(&run.timeline)
        .into_iter()
        .map(|p| (p.0, p.2))
        .filter(|p| matches!(p.1, NotUndone | Undone));
    assert_eq!(
        undone.collect::<Vec<_>>(),
        [(2, NotUndone), (0, Undone), (2, Undone)],
        "the last first, and once more"
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_is_undone() {
    let calls =
        simulate(FakeBackend::new(None), None, 1).await.backend.truth.lock().unwrap().calls.len();
    assert!(calls == 9, "every call of the backend goes wrong once");
    for turn in 0..calls {
        for mishap in [Failure::Fails, Failure::Panics, Failure::Hangs] {
            let interrupt = (mishap == Failure::Hangs).then_some(Duration::from_secs(300));
            let run =
                simulate(FakeBackend::new(Some((turn, mishap))), interrupt, turn as u64).await;
            let call = run.backend.truth.lock().unwrap().calls[turn];
            assert!(run.end.stop.is_some(), "{call} {mishap:?}");
            assert!(run.end.not_undone.is_empty(), "{call} {mishap:?}: {:?}", run.end);
            run.assert_nothing_is_lost(&format!("{call} {mishap:?}"));
        }
    }
}

/// Two pods are deleted while a node is down, and a node is killed.
fn with_pods() -> Experiment {
    let pods = PodSelector { pods: Pods::labelled([("app", "web")]), count: Count::Exactly(2) };
    let target = NodeSelector { role: Some(NodeRole::Worker), ..NodeSelector::default() };
    let inner = fault(Fault::PodDelete { pods }, 2, Vec::new());
    let method = vec![fault(Fault::NodeKill { target }, 5, vec![inner])];
    Experiment { method, expect: vec![Expectation::ObjectsKept], ..experiment() }
}

#[tokio::test(start_paused = true)]
async fn faults_on_objects_are_undone_as_others_are() {
    let run = simulate_method(with_pods(), FakeBackend::new(None), None, 1).await;
    assert!(run.end.stop.is_none(), "{:?}", run.end);
    run.assert_nothing_is_lost("no mishap");
    let hit = |wanted| {
        let faults = run.timeline.records.iter().filter_map(|record| match &record.event {
            Event::Fault { step: 1, target, phase, .. } if *phase == wanted => {
                Some(target.as_str())
            }
            _ => None,
        });
        faults.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(
        (hit(FaultPhase::Requested), hit(FaultPhase::Undone)),
        (vec!["web-0", "web-1"], vec!["web-0", "web-1"])
    );
    let taken = |wanted| {
        run.timeline
            .records
            .iter()
            .any(|r| matches!(&r.event, Event::Objects { before, .. } if *before == wanted))
    };
    assert!(taken(true) && taken(false), "an inventory before and one after");
    let calls = run.backend.truth.lock().unwrap().calls.len();
    for turn in 0..calls {
        let run = simulate_method(
            with_pods(),
            FakeBackend::new(Some((turn, Failure::Fails))),
            None,
            turn as u64,
        )
        .await;
        assert!(run.end.stop.is_some() && run.end.not_undone.is_empty(), "{turn}: {:?}", run.end);
        run.assert_nothing_is_lost(&format!("call {turn} fails"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_found_before_the_first_fault_is_hit_only_while_nobody_can_say_what_is_there_now()
{
    let gone = RunError::refused("2 pods are to be targeted, but there are 0");
    for (answer, hit) in [(RunError { passes: true, ..gone.clone() }, true), (gone, false)] {
        let mut backend = FakeBackend::new(None);
        backend.no_objects = Some(answer);
        let run = simulate_method(with_pods(), backend, None, 1).await;
        let injected =
            phases(&run.timeline).iter().any(|p| p.0 == 1 && p.2 == FaultPhase::Requested);
        assert_eq!((injected, run.end.stop.is_none()), (hit, hit), "{:?}", run.end);
        run.assert_nothing_is_lost("no objects");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_later_step_could_not_undo_is_refused_before_the_first() {
    let named =
        |name: &str| NodeSelector { name: Some(name.to_owned()), ..NodeSelector::default() };
    let kill = |name| fault(Fault::NodeKill { target: named(name) }, 1, Vec::new());
    let experiment = Experiment { method: vec![kill("w1"), kill("w2")], ..experiment() };
    let mut backend = FakeBackend::new(None);
    backend.moves = Some("w2");
    let run = simulate_method(experiment.clone(), backend, None, 1).await;
    let Some(Stop::RunError(error)) = &run.end.stop else { panic!("{:?}", run.end) };
    assert_eq!(
        (error.kind, error.message.as_str()),
        (RunErrorKind::Refused, "w2 would come back with another address")
    );
    assert!(phases(&run.timeline).is_empty(), "nothing was injected");
    run.assert_nothing_is_lost("refused");
    assert!(
        simulate_method(experiment, FakeBackend::new(None), None, 1).await.end.stop.is_none(),
        "all else is well"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_was_refused_is_not_undone() {
    let named =
        |name: &str| NodeSelector { name: Some(name.to_owned()), ..NodeSelector::default() };
    let kill = |name| fault(Fault::NodeKill { target: named(name) }, 1, Vec::new());
    for (method, hit, kind) in [
        (vec![kill("w2")], vec![], RunErrorKind::Refused),
        (vec![kill("w1"), kill("w2")], vec!["w1"], RunErrorKind::Failed),
    ] {
        let mut backend = FakeBackend::new(None);
        backend.taken = Some("w2");
        let run = simulate_method(Experiment { method, ..experiment() }, backend, None, 1).await;
        let Some(Stop::RunError(error)) = &run.end.stop else { panic!("{:?}", run.end) };
        assert_eq!((error.kind, error.message.as_str()), (kind, "it is not running"));
        let undone = run.timeline.records.iter().filter_map(|record| match &record.event {
            Event::Fault { phase: FaultPhase::UndoRequested, target, .. } => Some(target.as_str()),
            _ => None,
        });
        assert_eq!(undone.collect::<Vec<_>>(), hit);
        let down = run.backend.truth.lock().unwrap().down.keys().cloned().collect::<Vec<_>>();
        assert_eq!((down, run.pending), (vec!["w2".to_owned()], 0), "somebody else's stays");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_somebody_deletes_ends_the_run_and_all_is_undone() {
    for tenths in (0..120).step_by(8) {
        let mut backend = FakeBackend::new(None);
        backend.namespace_lost = Some(Duration::from_millis(tenths * 100 + 7));
        let run = simulate(backend, None, tenths).await;
        let Some(Stop::RunError(error)) = &run.end.stop else { panic!("{tenths}: {:?}", run.end) };
        let (kind, message) = (error.kind, error.message.as_str());
        assert_eq!((kind, message), (RunErrorKind::Failed, "its namespace was deleted"));
        run.assert_nothing_is_lost(&format!("deleted after {tenths} tenths of a second"));
    }
}

/// A node into which no command comes is undone by its own timer, here about two minutes after the
/// request.
#[tokio::test(start_paused = true)]
async fn what_the_nodes_own_timer_undid_was_gone_at_some_time_since_it_was_due() {
    let target = NodeSelector { name: Some("w1".into()), ..NodeSelector::default() };
    let method = vec![fault(Fault::KubeletStop { target }, 5, Vec::new())];
    for (waits, is_by_timer) in [(0, false), (20, false), (300, true)] {
        let mut backend = FakeBackend::new(None);
        backend.undo_waits = Duration::from_secs(waits);
        let experiment = Experiment { method: method.clone(), ..experiment() };
        let run = simulate_method(experiment, backend, None, 1).await;
        let of = |wanted| {
            let mut records = run.timeline.records.iter();
            records.find(
                |record| matches!(&record.event, Event::Fault { phase, .. } if *phase == wanted),
            )
        };
        let (asked, gone) = (of(FaultPhase::Requested).unwrap(), of(FaultPhase::Reverted).unwrap());
        let due = gone.since.map(|since| since.seconds_since(asked.at));
        assert_eq!(due.is_some(), is_by_timer, "{waits}: {due:?}");
        assert!(due.is_none_or(|due| (60.0..200.0).contains(&due)), "{due:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_at_any_time_is_undone() {
    for tenths in 0..200u64 {
        let run =
            simulate(FakeBackend::new(None), Some(Duration::from_millis(tenths * 100 + 7)), tenths)
                .await;
        run.assert_nothing_is_lost(&format!("interrupted after {tenths} tenths of a second"));
        assert!(run.end.not_undone.is_empty());
        let interrupted = run.end.stop == Some(Stop::Interrupted("SIGINT"));
        assert!(interrupted || run.end.stop.is_none(), "{:?}", run.end);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signal_during_the_clean_up_is_an_interruption_of_a_run_that_was_measured() {
    let whole = simulate(FakeBackend::new(None), None, 1).await;
    let began = whole.timeline.header.anchor.monotonic;
    let cleans_up = |record: &&Record| matches!(&record.event, Event::Stage { name } if name == Event::CLEAN_UP);
    let clean_up = whole.timeline.records.iter().find(cleans_up).unwrap().at.since(began);
    let at = clean_up + Duration::from_millis(5);
    let run = simulate(FakeBackend::new(None), Some(at), 1).await;
    assert_eq!(run.end.stop, Some(Stop::Interrupted("SIGINT")));
    run.assert_nothing_is_lost("interrupted while cleaning up");
    let interrupted = |record: &Record| matches!(record.event, Event::Interrupted { .. });
    assert!(!run.timeline.records.iter().any(interrupted), "what was measured stands");
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_hangs_ends_and_leaves_its_entries_in_the_ledger() {
    let mut backend = FakeBackend::new(None);
    backend.undo_mishap = Some(Failure::Hangs);
    // The step's own undo hangs, too, until somebody loses patience.
    let run = simulate(backend, Some(Duration::from_secs(60)), 3).await;
    assert_eq!(run.end.not_undone.len(), 3, "{:?}", run.end);
    run.assert_nothing_is_lost("the undo hangs");
    let records = &run.timeline.records;
    let ended = records.last().unwrap().at.since(run.timeline.header.anchor.monotonic);
    assert!(ended < Duration::from_secs(60 + 600 + 30), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_timeline_that_cannot_be_written_ends_the_run_and_everything_is_undone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(dir.path(), &header()).unwrap();
    // Where the probe's attempts should go something else is in the way.
    std::fs::create_dir(folder.path().join("web.attempts")).unwrap();
    let (recorder, recording) = Recorder::start(folder, Follower::new().0);
    let mut ledger = Ledger::open(&dir.path().join("ledger")).unwrap();
    let (experiment, tuning, mut backend) =
        (experiment(), Tuning::default(), FakeBackend::new(None));
    let job = Job {
        run_ref: RUN,
        experiment: &experiment,
        tuning: &tuning,
        seed: 1,
        workload: Default::default(),
        undo_timer_margin: MARGIN,
        logs: None,
        arm: &|_| ready(Ok(())).boxed_local(),
    };
    let end = run::carry_out(&job, &mut backend, &recorder, &mut ledger, &Abort::by_hand().1).await;
    drop(recorder);
    recording.finish().await;
    let Some(Stop::RunError(error)) = end.stop else { panic!("{end:?}") };
    assert!(error.message.contains("timeline"), "{error}");
    assert!(end.not_undone.is_empty() && ledger.pending().is_empty());
    assert!(!backend.truth.lock().unwrap().namespace);
}

#[tokio::test(start_paused = true)]
async fn a_workload_stays_for_the_next_run_unless_the_run_was_cut_short() {
    let stays = WorkloadOf { taken_over: None, stays: true };
    let run = simulate_in_series(experiment(), FakeBackend::new(None), None, 3, stays).await;
    assert!(run.end.stop.is_none() && run.end.not_undone.is_empty(), "{:?}", run.end);
    assert!(run.backend.truth.lock().unwrap().namespace);
    assert_eq!(run.pending, 1, "its undo is in the ledger");
    let cut = Some(Duration::from_secs(3));
    let run = simulate_in_series(experiment(), FakeBackend::new(None), cut, 3, stays).await;
    assert!(run.end.stop.is_some());
    run.assert_nothing_is_lost("interrupted");
    assert!(!run.backend.truth.lock().unwrap().namespace);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_undone_is_named_and_stays_pending() {
    let mut backend = FakeBackend::new(None);
    backend.undo_mishap = Some(Failure::Fails);
    let run = simulate(backend, None, 3).await;
    assert_eq!(
        run.end.not_undone.len(),
        3,
        "the fault, the probers and the namespace: {:?}",
        run.end
    );
    run.assert_nothing_is_lost("undo fails");
    let named = run
        .timeline
        .records
        .iter()
        .any(|r| matches!(&r.event, Event::Fault { phase: FaultPhase::NotUndone, .. }));
    assert!(named);
}

#[tokio::test]
async fn an_agents_end_is_that_of_its_own_probes() {
    use crate::agent::AgentMessage;
    let dir = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(dir.path(), &header()).unwrap();
    let path = folder.path().to_owned();
    let (recorder, recording) = Recorder::start(folder, Follower::new().0);
    for name in ["web", "control", "other"] {
        let probe = crate::probe::control::header(name, "host", None);
        let span = crate::timeline::ProbeSpan {
            format: crate::timeline::ProbeSpan::FORMAT.into(),
            probe,
            start: crate::timeline::Moment::now(),
            interval_ns: 1,
            timeout_ns: 1,
            clock_uncertainty_ns: 0,
        };
        recorder.attempts().send(AgentMessage::Started(span)).unwrap();
    }
    let probes = ["web", "control", "never began"].map(str::to_owned).into();
    recorder.attempts().send(AgentMessage::Ended { probes, error: Some("died".into()) }).unwrap();
    drop(recorder);
    recording.finish().await;
    let timeline = Timeline::read(&path).unwrap();
    let stopped = timeline.records.into_iter().filter_map(|record| match record.event {
        crate::timeline::Event::ProbeStopped { probe, error } => Some((probe, error.unwrap())),
        _ => None,
    });
    assert_eq!(
        stopped.collect::<Vec<_>>(),
        ["web", "control"].map(|probe| (probe.to_owned(), "died".to_owned()))
    );
}
