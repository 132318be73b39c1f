//! One run, from the first watch to the last undo: the order in which things must happen.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::cluster::{Inventory, PodProblem};
use crate::engine::abort::Abort;
use crate::engine::backend::Backend;
use crate::engine::clock;
use crate::engine::component_logs;
use crate::engine::diagnosis::{Diagnosis, described, out_of_inotify};
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::job::{Job, probed_services, stage};
use crate::engine::method::Method;
use crate::engine::recorder::Recorder;
use crate::engine::seed::Seed;
use crate::engine::steady_state::SteadyState;
use crate::engine::undo::ledger::{Ledger, UndoEntry};
use crate::engine::undo::passes::NotUndone;
use crate::engine::undo::rollback::{self, Rest};
use crate::experiment::{Condition, Expectation, Experiment};
use crate::plan::{self, Known, Node, Nodes, Occupancy, Request};
use crate::timeline::{Event, NodeRole, Tuning, few, format_seconds};

/// What the backend has listed is taken in by the recorder's task, immediately; it must not be
/// waited for in vain.
const TAKEN_IN: Duration = Duration::from_secs(5);
/// When to report what is still waited for; then each time after twice as long: what is said again is
/// not news.
const FIRST_TELL: Duration = Duration::from_secs(5);
/// How often those who follow are shown it.
const SHOWN_EACH: Duration = Duration::from_millis(500);
/// A container that ended not longer ago than this may be a cause, whenever the wait began.
const RECENT: Duration = Duration::from_secs(60);
/// How long the pods may take to be looked at once the limit is over.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// How long probes and watches may take to stop.
const STOPPING: Duration = Duration::from_secs(30);
/// Probes go on for so long after the recovery, so that its edge has a neighbour.
const TAIL: Duration = Duration::from_millis(500);

/// Why a run did not come to its planned end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    Interrupted(&'static str),
    /// Something went wrong.
    RunError(RunError),
}

#[derive(Debug)]
pub(crate) struct RunEnd {
    /// Why it stopped early; `None`: it came to its planned end.
    pub stop: Option<Stop>,
    pub not_undone: Vec<NotUndone>,
}

/// Carries an experiment out. Whatever happens on the way, everything that was done is undone
/// before this returns, or is named.
pub(crate) async fn carry_out(
    job: &Job<'_>,
    backend: &mut impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
    abort: &Abort,
) -> RunEnd {
    let began = clock::now();
    let stop = forward_until_stopped(job, backend, recorder, ledger, abort).await.err();
    match &stop {
        Some(Stop::Interrupted(signal)) => {
            recorder.event(Event::Interrupted { signal: (*signal).into() })
        }
        Some(Stop::RunError(error)) => recorder.event(Event::Failed {
            error: error.line(),
            refused: error.kind == RunErrorKind::Refused,
        }),
        None => {}
    }
    // Faults first, while the probes still see the service come back; the workload that they ask
    // goes last.
    let mut not_undone = rollback::faults(job.run_ref.run, backend, recorder, ledger).await;
    recorder.event(Event::Stage { name: Event::CLEAN_UP.into() });
    let stopped = async {
        backend.stop_probes().await;
        backend.stop_watching().await;
    };
    // What hangs here ends with this process.
    let _ = tokio::time::timeout(STOPPING, stopped).await;
    // The way into a node may be what is removed next.
    if let Some(folder) = &job.logs
        && let Err(why) =
            component_logs::collect(async |back| backend.component_logs(back).await, began, folder)
                .await
    {
        let text = format!("the logs of the cluster's components: {why}");
        recorder.event(Event::Note { warning: false, text });
    }
    let came_to_its_end = stop.is_none() && not_undone.is_empty() && abort.signal().is_none();
    let what = match job.workload.stays && came_to_its_end {
        true => Rest::AllButWorkload,
        false => Rest::All,
    };
    not_undone.extend(rollback::rest(job.run_ref.run, what, backend, recorder, ledger).await);
    if !not_undone.is_empty()
        && let Err(error) = ledger.give_up(job.run_ref.run)
    {
        recorder.event(Event::Note { warning: true, text: error.line() });
    }
    // All was measured by now: the report is the same, the exit code is not.
    let late = abort.signal().filter(|_| stop.is_none()).map(|signal| {
        let completed = if not_undone.is_empty() { ", which it completed" } else { "" };
        let text = format!("{signal} while the run was cleaning up{completed}");
        recorder.event(Event::Note { warning: false, text });
        Stop::Interrupted(signal)
    });
    recorder.event(Event::Ended);
    RunEnd { stop: stop.or(late), not_undone }
}

async fn forward_until_stopped(
    job: &Job<'_>,
    backend: &mut impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
    abort: &Abort,
) -> Result<(), Stop> {
    let lost = backend.namespace_lost();
    let forward = AssertUnwindSafe(forward(job, backend, recorder, ledger)).catch_unwind();
    tokio::select! {
        biased;
        signal = abort.interrupted() => Err(Stop::Interrupted(signal)),
        error = broken(recorder) => Err(Stop::RunError(error)),
        error = lost => Err(Stop::RunError(error)),
        ended = forward => match ended {
            Ok(result) => result.map_err(Stop::RunError),
            Err(panic) => Err(Stop::RunError(RunError::panicked(panic.as_ref()))),
        },
    }
}

/// Waits until the run makes no sense any more: its timeline can't be written, or a probe is gone.
async fn broken(recorder: &Recorder) -> RunError {
    recorder
        .until(|live| {
            let timeline = live.broken.as_ref().map(|why| {
                RunError::failed("cannot write the timeline").caused_by(why).hint(
                    "check free space and permissions, or choose another directory with \
                         --runs-dir",
                )
            });
            timeline.or_else(|| {
                let (probe, why) = live.dead_probes.first_key_value()?;
                Some(RunError::failed(format!("probe {probe} ended")).caused_by(why))
            })
        })
        .await
}

async fn forward(
    job: &Job<'_>,
    backend: &mut impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Result<(), RunError> {
    let began = clock::now();
    watch(backend, recorder).await?;
    let nodes = backend.nodes().await?;
    refuse_early(job, &nodes, backend.occupancy().await?)?;
    backend.look_up(&nodes).await?;
    workload(job, backend, recorder, ledger).await?;
    stage(recorder, "probes");
    let at_risk = plan::at_risk(job.experiment, &nodes, &recorder.live().known_endpoints());
    if let Some(undo) = backend.probers_undo() {
        ledger.record(job.run_ref, undo)?;
    }
    let hosts = backend.start_probes(&at_risk, recorder.attempts()).await?;
    let steady = SteadyState::new(
        conditions(job.experiment),
        nodes
            .iter()
            .filter(|n| n.role != NodeRole::ExternalLoadBalancer)
            .map(|n| n.name.clone())
            .collect(),
        settle_time(job.tuning),
        began,
    );
    stage(recorder, "steady state");
    count_writes(backend, recorder).await;
    let limit = job.experiment.steady_state_timeout;
    let missed = |what: &str, why: Diagnosis| {
        why.explain(RunError::failed(format!("steady state {what}; no fault was injected")))
    };
    reach(&steady, true, limit, backend, recorder)
        .await
        .map_err(|why| missed("not reached", why))?;
    take_inventory(job, backend, recorder, true).await?;
    let mut seed = Seed::new(job.seed);
    tokio::time::sleep(phase(job.tuning, &mut seed)).await;
    count_writes(backend, recorder).await;
    // It must hold when the fault is injected, not only a while before.
    let holds_still = SteadyState::since(&steady.judge(&recorder.live(), clock::now())).is_some();
    if !holds_still {
        reach(&steady, true, limit, backend, recorder)
            .await
            .map_err(|why| missed("lost again", why))?;
    }
    let (seed, ledger, state) = (RefCell::new(seed), RefCell::new(ledger), RefCell::default());
    let method = Method {
        job,
        backend: &*backend,
        recorder,
        hosts: &hosts,
        nodes: &nodes,
        seed,
        ledger,
        state,
        unverified: Default::default(),
        rehearsed: RefCell::default(),
        others: RefCell::default(),
        occupancy: RefCell::default(),
    };
    method.rehearse().await?;
    let undone = method.carry_out().await?;
    stage(recorder, "recovery");
    let recovery =
        steady.recovered(&undone.before, &probed_services(job.experiment), undone.hit, undone.at);
    // That it was missed is in the timeline, and the verdict's business.
    let _ = reach(&recovery, false, limit, &*backend, recorder).await;
    take_inventory(job, backend, recorder, false).await?;
    tokio::time::sleep(TAIL).await;
    backend.finish_probes().await;
    Ok(())
}

/// Nothing is done to the cluster between the first time and the second.
async fn count_writes(backend: &impl Backend, recorder: &Recorder) {
    backend.write_counters().await.into_iter().for_each(|record| recorder.record(record));
}

/// What the cluster holds, where the experiment expects something of it.
async fn take_inventory(
    job: &Job<'_>,
    backend: &impl Backend,
    recorder: &Recorder,
    before: bool,
) -> Result<(), RunError> {
    if !job.experiment.expect.contains(&Expectation::ObjectsKept) {
        return Ok(());
    }
    let Inventory { objects, unread } = backend.inventory().await?;
    recorder.event(Event::Objects { before, objects, unread });
    Ok(())
}

async fn watch(backend: &mut impl Backend, recorder: &Recorder) -> Result<(), RunError> {
    stage(recorder, "watch");
    backend.watch(recorder.records()).await?;
    let first = recorder.until(|live| (!live.nodes.is_empty()).then_some(()));
    tokio::time::timeout(TAKEN_IN, first)
        .await
        .map_err(|_| RunError::failed("the API server listed no node"))
}

/// What can be refused before anything is made: targets that match nothing, more than the blast radius allows.
fn refuse_early(job: &Job<'_>, nodes: &[Node], occupancy: Occupancy) -> Result<(), RunError> {
    let plan = plan::plan(Request {
        experiment: job.experiment,
        nodes: Nodes::Running(nodes),
        known: Known { occupancy, ..Known::default() },
        seed: None,
        undo_timer_margin: job.undo_timer_margin,
    });
    plan.accepted()?;
    Ok(())
}

async fn workload(
    job: &Job<'_>,
    backend: &mut impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Result<(), RunError> {
    let Some(undo) = backend.workload_undo() else { return Ok(()) };
    stage(recorder, "workload");
    let namespace = match &undo {
        UndoEntry::Namespace { name, .. } => name.clone(),
        _ => String::new(),
    };
    ledger.record(job.run_ref, undo)?;
    backend.create_workload().await?;
    if let Some(earlier) = job.workload.taken_over {
        ledger.settle(earlier)?;
        let text =
            format!("the workload of the previous run is used again (namespace {namespace})");
        recorder.event(Event::Note { warning: false, text });
    }
    workload_ready(job, backend, recorder).await?;
    recorder.event(Event::WorkloadReady { namespace });
    Ok(())
}

async fn workload_ready(
    job: &Job<'_>,
    backend: &mut impl Backend,
    recorder: &Recorder,
) -> Result<(), RunError> {
    let mut waiting = Waiting::new(job.experiment.workload_timeout, recorder);
    loop {
        let readiness = backend.workload_readiness().await?;
        if let Some(why) = readiness.stuck {
            let pods = backend.pod_problems(waiting.since()).await;
            let words = pods.iter().filter_map(|pod| {
                let words = Some(pod.last_log_lines.join("; ")).filter(|text| !text.is_empty())?;
                Some(format!("Pod/{}: its last log lines: {words}", pod.pod))
            });
            let error = RunError::failed("the workload cannot become ready").caused_by(why);
            return Err(error.caused_by_all(words).maybe_hint(out_of_inotify(&pods)));
        }
        if readiness.ready {
            return Ok(());
        }
        if waiting.is_over() {
            let limit = format_seconds(job.experiment.workload_timeout);
            let pods = backend.pod_problems(waiting.since()).await;
            let error = RunError::failed(format!(
                "the workload was not ready within {limit}; waiting for {}",
                few(&readiness.waiting)
            ));
            return Err(error
                .caused_by_all(described(&pods))
                .hint(what_helps(&readiness.waiting))
                .maybe_hint(out_of_inotify(&pods)));
        }
        waiting.show(readiness.waiting.iter().cloned());
        if waiting.is_due() {
            waiting.tell(&readiness.waiting, &[]);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn what_helps(waiting: &[String]) -> &'static str {
    // In the scheduler's words: `1 node(s) were unschedulable`.
    match waiting.iter().any(|line| line.contains("were unschedulable")) {
        true => {
            "a node is cordoned: `kubectl get nodes` shows which, `kubectl uncordon NODE` allows pods on it again"
        }
        false => "raise `workloadTimeout` in the experiment",
    }
}

/// Waiting that has an end, and says what for.
struct Waiting<'a> {
    limit: Duration,
    recorder: &'a Recorder,
    began: tokio::time::Instant,
    /// After how long it says so the next time.
    tell: Duration,
    /// When to show again what is missing to those who follow.
    show: tokio::time::Instant,
    reported: Reported,
}

/// What was reported: each is reported once, and counted afterwards.
#[derive(Default)]
struct Reported(BTreeSet<String>);

impl Reported {
    fn news(&mut self, missing: &[String], causes: &[String]) -> String {
        let mut is_new = |line: &&String| self.0.insert((*line).clone());
        let mut lines: Vec<String> = missing.iter().filter(&mut is_new).cloned().collect();
        let same = missing.len() - lines.len();
        lines.extend(causes.iter().filter(is_new).cloned());
        match same {
            0 => {}
            _ if lines.is_empty() => lines.push(format!("no change ({same} not ready)")),
            _ => lines.push(format!("{same} as before")),
        }
        lines.join("; ")
    }
}

impl<'a> Waiting<'a> {
    fn new(limit: Duration, recorder: &'a Recorder) -> Self {
        let began = tokio::time::Instant::now();
        Self {
            limit,
            recorder,
            began,
            tell: FIRST_TELL,
            show: began,
            reported: Reported::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.began.elapsed() >= self.limit
    }

    /// Shows what is missing; numbers in it change at every attempt, so not too often.
    fn show(&mut self, missing: impl Iterator<Item = String>) {
        if self.show <= tokio::time::Instant::now() {
            self.show = tokio::time::Instant::now() + SHOWN_EACH;
            let left = self.limit.saturating_sub(self.began.elapsed());
            self.recorder.show_wait(missing.collect(), clock::now().plus(left));
        }
    }

    /// Since when what happened may be a cause.
    fn since(&self) -> jiff::Timestamp {
        jiff::Timestamp::now() - self.began.elapsed().max(RECENT)
    }

    /// Whether it is time to say what is missing.
    fn is_due(&self) -> bool {
        self.began.elapsed() >= self.tell
    }

    fn tell(&mut self, missing: &[String], causes: &[String]) {
        self.tell *= 2;
        let news = self.reported.news(missing, causes);
        let (waited, limit) = (format_seconds(self.began.elapsed()), format_seconds(self.limit));
        let text = format!("still waiting after {waited}, {limit} at most: {news}");
        self.recorder.event(Event::Note { warning: false, text });
    }
}

/// Waits for the steady state and records it, or that it was missed, and why.
async fn reach(
    steady: &SteadyState,
    before: bool,
    limit: Duration,
    backend: &impl Backend,
    recorder: &Recorder,
) -> Result<(), Diagnosis> {
    let mut waiting = Waiting::new(limit, recorder);
    // Beside the loop: the state may hold meanwhile, and the limit end.
    let mut asked: Option<LocalBoxFuture<'_, Vec<PodProblem>>> = None;
    loop {
        let judged = steady.judge(&recorder.live(), clock::now());
        if let Some(held_since) = SteadyState::since(&judged) {
            let conditions = judged.into_iter().map(|condition| condition.text).collect();
            recorder.event(Event::SteadyState { before, held_since, conditions });
            return Ok(());
        }
        if waiting.is_over() {
            let pods = tokio::time::timeout(LAST_LOOK, backend.pod_problems(waiting.since())).await;
            let why = Diagnosis::of(&judged, &pods.unwrap_or_default());
            let conditions = why.causes();
            recorder.event(Event::SteadyStateMissed { before, conditions });
            return Err(why);
        }
        let missing = judged.iter().filter(|condition| condition.since.is_none());
        waiting.show(missing.map(|condition| condition.text.clone()));
        if waiting.is_due() {
            let asked =
                asked.get_or_insert_with(|| Box::pin(backend.pod_problems(waiting.since())));
            tokio::select! {
                pods = asked => {
                    let why = Diagnosis::of(&judged, &pods);
                    waiting.tell(&why.missing, &why.pods);
                }
                () = recorder.changed() => continue,
            }
        }
        asked = None;
        recorder.changed().await;
    }
}

/// The experiment's conditions; and of a probe without one, that it is answered at all: one that
/// never was would measure nothing.
fn conditions(experiment: &Experiment) -> Vec<Condition> {
    let mut conditions = experiment.steady_state.clone();
    let named = |name: &str| {
        experiment
            .steady_state
            .iter()
            .any(|c| matches!(c, Condition::Probe { name: n, .. } if n == name))
    };
    for probe in experiment.probes.iter().filter(|probe| !named(&probe.name)) {
        let (name, interval) = (probe.name.clone(), Duration::from_secs_f64(1.0 / probe.rate));
        let hold = interval.max(Duration::from_secs(2));
        conditions.push(Condition::Probe { name, success_ratio: 0.5, hold });
    }
    conditions
}

/// A tuned kubelet's beat is irregular once after its status changed (by up to half a period):
/// three beats make it regular.
fn settle_time(tuning: &Tuning) -> Duration {
    match (tuning.node_status_update_frequency, tuning.node_status_report_frequency) {
        (Some(update), Some(report)) if report == update => {
            (update * 3).min(Duration::from_secs(15))
        }
        _ => Duration::ZERO,
    }
}

/// A random wait of up to the longer of heartbeat and monitor period: a fault must not keep step
/// with either.
fn phase(tuning: &Tuning, seed: &mut Seed) -> Duration {
    let longest = tuning
        .node_status_update_frequency
        .max(tuning.node_monitor_period)
        .unwrap_or(Duration::from_secs(10));
    longest.min(Duration::from_secs(10)).mul_f64(seed.share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_missing_is_counted_and_not_repeated() {
        let [a, b, c, why] = ["Pod/a: Pending", "Pod/b: Pending", "Pod/c: Pending", "no node fits"]
            .map(str::to_owned);
        let mut reported = Reported::default();
        let both = [a, b.clone()];
        let first = reported.news(&both, std::slice::from_ref(&why));
        assert_eq!(first, "Pod/a: Pending; Pod/b: Pending; no node fits");
        assert_eq!(reported.news(&both, &[why]), "no change (2 not ready)");
        assert_eq!(reported.news(&[b, c], &[]), "Pod/c: Pending; 1 as before");
    }

    #[test]
    fn a_cordoned_node_is_no_matter_of_time() {
        let full = "Pod/web-1: Pending (Unschedulable: 0/3 nodes are available: 1 node(s) were unschedulable)".to_owned();
        assert!(what_helps(&["Pod/web-2: Pending".into(), full]).contains("kubectl uncordon"));
        assert!(what_helps(&["Pod/web-2: Pending".into()]).contains("workloadTimeout"));
    }
}
