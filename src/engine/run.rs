//! One run, from the first watch to the last undo: the order in which things must happen.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use super::abort::Abort;
use super::blast_radius;
use super::clock;
use super::ledger::{Debtor, Ledger, Obligation};
use super::live::Live;
use super::recorder::Recorder;
use super::rollback::{self, NotUndone};
use super::seed::Seed;
use super::steady_state::SteadyState;
use super::target::{self, Endpoints, Node};
use super::trouble::{Trouble, TroubleKind};
use super::voice::Voice;
use super::world::World;
use crate::experiment::{Condition, Expectation, Experiment, Fault, NodeSelector, Step};
use crate::timeline::{Event, FaultPhase, Moment, Ready, Tuning};

/// How long after the planned end of a fault a dead man's switch takes it back.
pub const DEAD_MAN_MARGIN: Duration = Duration::from_secs(60);
/// A node takes so long to be stopped and to be started again, at most, for a dead man's switch.
const FAULT_CALLS: Duration = Duration::from_secs(30);
/// How long the watches may take to deliver their first lists.
const FIRST_LISTS: Duration = Duration::from_secs(30);
/// So often it is said what is still waited for.
const TELL: Duration = Duration::from_secs(10);
/// Probes go on for so long after the recovery, so that its edge has a neighbour.
const TAIL: Duration = Duration::from_millis(500);

/// What a run is about.
pub struct Job<'a> {
    /// The run, and the engine of its cluster.
    pub debtor: Debtor<'a>,
    /// The experiment.
    pub experiment: &'a Experiment,
    /// The settings that decide when a dead node is noticed.
    pub tuning: &'a Tuning,
    /// The seed of every random choice.
    pub seed: u64,
    /// Called before each fault with how long it may last at most: starts the dead man's switch that lives outside the cluster.
    pub arm: &'a dyn Fn(Duration) -> Result<(), Trouble>,
}

/// Why a run did not come to its planned end.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// It was interrupted, by this signal.
    Interrupted(&'static str),
    /// Something went wrong.
    Trouble(Trouble),
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    /// Why it stopped early; `None`: it came to its planned end.
    pub stop: Option<Stop>,
    /// What could not be undone.
    pub not_undone: Vec<NotUndone>,
}

/// Carries an experiment out. Whatever happens on the way, everything that was done is undone before this returns, or is named.
pub async fn carry_out(job: &Job<'_>, world: &mut impl World, recorder: &Recorder, ledger: &mut Ledger, abort: &Abort) -> RunEnd {
    let stop = forward_until_stopped(job, world, recorder, ledger, abort).await.err();
    match &stop {
        Some(Stop::Interrupted(signal)) => recorder.event(Event::Interrupted { signal: (*signal).into() }),
        Some(Stop::Trouble(trouble)) => recorder.event(Event::Failed { error: trouble.line() }),
        None => {}
    }
    recorder.event(Event::Stage { name: "clean up".into() });
    // Faults first, while the probes still see the service come back; the workload that they ask goes last.
    let mut not_undone = rollback::faults(job.debtor.run, world, recorder, ledger).await;
    world.stop_probes().await;
    world.stop_watching().await;
    not_undone.extend(rollback::rest(job.debtor.run, world, recorder, ledger).await);
    recorder.event(Event::Ended);
    RunEnd { stop, not_undone }
}

async fn forward_until_stopped(
    job: &Job<'_>,
    world: &mut impl World,
    recorder: &Recorder,
    ledger: &mut Ledger,
    abort: &Abort,
) -> Result<(), Stop> {
    let forward = AssertUnwindSafe(forward(job, world, recorder, ledger)).catch_unwind();
    tokio::select! {
        biased;
        signal = abort.interrupted() => Err(Stop::Interrupted(signal)),
        trouble = broken(recorder) => Err(Stop::Trouble(trouble)),
        ended = forward => match ended {
            Ok(result) => result.map_err(Stop::Trouble),
            Err(panic) => Err(Stop::Trouble(Trouble::panicked(panic.as_ref()))),
        },
    }
}

/// Waits until the run makes no sense any more: its timeline can't be written, or a probe is gone.
async fn broken(recorder: &Recorder) -> Trouble {
    recorder
        .until(|live| {
            let timeline = live.broken.as_ref().map(|why| {
                Trouble::failed("cannot write the timeline").caused_by(why).hint("free the disk, or choose another --runs-dir")
            });
            timeline.or_else(|| {
                let (probe, why) = live.dead_probes.first_key_value()?;
                Some(Trouble::failed(format!("probe {probe} ended")).caused_by(why))
            })
        })
        .await
}

async fn forward(job: &Job<'_>, world: &mut impl World, recorder: &Recorder, ledger: &mut Ledger) -> Result<(), Trouble> {
    let began = clock::now();
    watch(world, recorder).await?;
    let nodes = world.nodes().await?;
    refuse_early(job, &nodes)?;
    workload(job, world, recorder, ledger).await?;
    stage(recorder, "probes");
    let at_risk = at_risk(job.experiment, &nodes);
    if let Some(obligation) = world.probers_obligation() {
        ledger.owe(job.debtor, obligation)?;
    }
    let hosts = world.start_probes(&at_risk, recorder.attempts()).await?;
    let steady = SteadyState::new(
        conditions(job.experiment),
        nodes.iter().map(|n| n.name.clone()).collect(),
        settle_time(job.tuning),
        began,
    );
    stage(recorder, "steady state");
    if !reach(&steady, true, job.experiment.steady_state_timeout, recorder).await {
        return Err(Trouble::failed("the steady state did not hold before any harm was done, so none was")
            .hint("`kubectl outage describe run latest` lists what was seen"));
    }
    take_inventory(job, world, recorder, true).await?;
    let mut seed = Seed::new(job.seed);
    tokio::time::sleep(phase(job.tuning, &mut seed)).await;
    // It must hold at the moment of the harm, not only a while before.
    let holds_still = SteadyState::since(&steady.judge(&recorder.live(), clock::now())).is_some();
    if !holds_still && !reach(&steady, true, job.experiment.steady_state_timeout, recorder).await {
        return Err(Trouble::failed("the steady state was lost again before any harm was done, so none was"));
    }
    let method = Method { job, world, recorder, hosts: &hosts, nodes: &nodes };
    method.rehearse(seed.clone()).await?;
    let undone = method.carry_out(ledger, &mut seed).await?;
    stage(recorder, "recovery");
    let recovery = steady.recovered(&undone.before, &probed_services(job.experiment), undone.harmed, undone.at);
    reach(&recovery, false, job.experiment.steady_state_timeout, recorder).await;
    take_inventory(job, world, recorder, false).await?;
    tokio::time::sleep(TAIL).await;
    Ok(())
}

/// What the cluster holds, where the experiment expects something of it.
async fn take_inventory(job: &Job<'_>, world: &impl World, recorder: &Recorder, before: bool) -> Result<(), Trouble> {
    if !job.experiment.expect.contains(&Expectation::ObjectsKept) {
        return Ok(());
    }
    let (objects, unread) = world.inventory().await?;
    recorder.event(Event::Objects { before, objects, unread });
    Ok(())
}

fn stage(recorder: &Recorder, name: &str) {
    recorder.event(Event::Stage { name: name.into() });
}

async fn watch(world: &mut impl World, recorder: &Recorder) -> Result<(), Trouble> {
    stage(recorder, "watch");
    world.watch(recorder.records()).await?;
    let first = recorder.until(|live| (!live.nodes.is_empty()).then_some(()));
    tokio::time::timeout(FIRST_LISTS, first).await.map_err(|_| Trouble::failed("the API server did not list the nodes in time"))
}

/// What can be refused before anything is made: targets that match nothing, more harm than allowed.
fn refuse_early(job: &Job<'_>, nodes: &[Node]) -> Result<(), Trouble> {
    let mut seed = Seed::new(job.seed);
    for (_, fault, _) in faults(job.experiment) {
        let Some(target) = fault.target() else { continue };
        let node = target::choose(nodes, target, &Endpoints::new(), &[], &mut seed)?;
        blast_radius::check(&job.experiment.blast_radius, nodes, &[], fault, node)?;
    }
    Ok(())
}

/// The faults of a method, with their number and how long each lasts.
pub fn faults(experiment: &Experiment) -> impl Iterator<Item = (u32, &Fault, Duration)> {
    let steps = experiment.method.iter().zip(0u32..);
    steps.filter_map(|(step, number)| match step {
        Step::Fault { fault, hold } => Some((number, fault, *hold)),
        Step::Pause { .. } => None,
    })
}

fn at_risk(experiment: &Experiment, nodes: &[Node]) -> Vec<String> {
    let taken = faults(experiment).filter(|(_, fault, _)| fault.takes_node());
    let targets = taken.filter_map(|(_, fault, _)| fault.target());
    let allowed = targets.flat_map(|target| target::candidates(nodes, target, &Endpoints::new()));
    allowed.map(|node| node.name.clone()).collect()
}

async fn workload(job: &Job<'_>, world: &mut impl World, recorder: &Recorder, ledger: &mut Ledger) -> Result<(), Trouble> {
    let Some(obligation) = world.workload_obligation() else { return Ok(()) };
    stage(recorder, "workload");
    let namespace = match &obligation {
        Obligation::Namespace { name, .. } => name.clone(),
        _ => String::new(),
    };
    ledger.owe(job.debtor, obligation)?;
    world.create_workload().await?;
    workload_ready(job, world).await?;
    recorder.event(Event::WorkloadReady { namespace });
    Ok(())
}

async fn workload_ready(job: &Job<'_>, world: &mut impl World) -> Result<(), Trouble> {
    let deadline = tokio::time::Instant::now() + job.experiment.workload_timeout;
    loop {
        let readiness = world.workload_readiness().await?;
        if let Some(why) = readiness.stuck {
            return Err(Trouble::failed("the workload can't become ready").caused_by(why));
        }
        if readiness.ready {
            return Ok(());
        }
        if tokio::time::Instant::now() >= deadline {
            let limit = job.experiment.workload_timeout.as_secs();
            return Err(Trouble::failed(format!(
                "the workload was not ready within {limit} s; waiting for {}",
                readiness.waiting.join(", ")
            ))
            .hint("`workloadTimeout` in the experiment allows it more"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits for the steady state and records it, or that it was missed.
async fn reach(steady: &SteadyState, before: bool, limit: Duration, recorder: &Recorder) -> bool {
    let deadline = tokio::time::Instant::now() + limit;
    let mut tell = tokio::time::Instant::now() + TELL;
    loop {
        let judged = steady.judge(&recorder.live(), clock::now());
        let texts =
            |held: bool| -> Vec<String> { judged.iter().filter(|c| c.since.is_some() == held).map(|c| c.text.clone()).collect() };
        if let Some(held_since) = SteadyState::since(&judged) {
            recorder.event(Event::SteadyState { before, held_since, conditions: texts(true) });
            return true;
        }
        if tokio::time::Instant::now() >= deadline {
            recorder.event(Event::SteadyStateMissed { before, conditions: texts(false) });
            return false;
        }
        if tokio::time::Instant::now() >= tell {
            tell += TELL;
            let text = format!("still waiting, {} s at most: {}", limit.as_secs(), texts(false).join("; "));
            recorder.event(Event::Note { warning: false, text });
        }
        recorder.changed().await;
    }
}

/// The experiment's conditions; and of a probe without one, that it is answered at all: one that never was would measure nothing.
fn conditions(experiment: &Experiment) -> Vec<Condition> {
    let mut conditions = experiment.steady_state.clone();
    let named = |name: &str| experiment.steady_state.iter().any(|c| matches!(c, Condition::Probe { name: n, .. } if n == name));
    for probe in experiment.probes.iter().filter(|probe| !named(&probe.name)) {
        let name = probe.name.clone();
        conditions.push(Condition::Probe { name, success_ratio: 0.5, hold: Duration::from_secs(2) });
    }
    conditions
}

/// A tuned kubelet's beat is irregular once after its status changed (by up to half a period): three beats make it regular.
fn settle_time(tuning: &Tuning) -> Duration {
    match (tuning.node_status_update_frequency, tuning.node_status_report_frequency) {
        (Some(update), Some(report)) if report == update => (update * 3).min(Duration::from_secs(15)),
        _ => Duration::ZERO,
    }
}

/// A random wait of up to the longer of heartbeat and monitor period: a fault must not keep step with either.
fn phase(tuning: &Tuning, seed: &mut Seed) -> Duration {
    let longest = tuning.node_status_update_frequency.max(tuning.node_monitor_period).unwrap_or(Duration::from_secs(10));
    longest.min(Duration::from_secs(10)).mul_f64(seed.share())
}

/// The Services that probes ask: their endpoints must come back.
pub fn probed_services(experiment: &Experiment) -> Vec<String> {
    let mut services: Vec<String> = experiment.probes.iter().filter_map(|probe| probe.ask.service().map(str::to_owned)).collect();
    services.sort();
    services.dedup();
    services
}

/// The state in which the method began, and when its last fault was undone.
struct MethodEnd {
    before: Live,
    harmed: Vec<String>,
    at: Moment,
}

/// The method: one step after the other.
struct Method<'a, W: World> {
    job: &'a Job<'a>,
    world: &'a W,
    recorder: &'a Recorder,
    hosts: &'a [String],
    nodes: &'a [Node],
}

impl<W: World> Method<'_, W> {
    /// Every target with what is known now, so that what must be refused is refused before the first fault.
    async fn rehearse(&self, mut seed: Seed) -> Result<(), Trouble> {
        for (number, fault, hold) in faults(self.job.experiment) {
            self.plan(number, fault, hold, &mut seed).await?;
        }
        Ok(())
    }

    /// What a fault will do to each of its targets, checked.
    async fn plan(&self, step: u32, fault: &Fault, dead_man: Duration, seed: &mut Seed) -> Result<Vec<Obligation>, Trouble> {
        match fault.target() {
            None => self.world.plan_object_fault(fault, step, dead_man, seed).await,
            Some(selector) => {
                let node = self.choose(fault, selector, seed)?;
                self.check_blast_radius(fault, node)?;
                Ok(vec![self.world.plan_fault(fault, node, step, dead_man)?])
            }
        }
    }

    async fn carry_out(&self, ledger: &mut Ledger, seed: &mut Seed) -> Result<MethodEnd, Trouble> {
        let before = self.endpoints_now();
        let mut harmed = Vec::new();
        for (step, number) in self.job.experiment.method.iter().zip(0u32..) {
            match step {
                Step::Pause { hold } => tokio::time::sleep(*hold).await,
                Step::Fault { fault, hold } => {
                    let step = self.fault(number, fault, *hold, ledger, seed).await;
                    // Whatever is refused after the first fault is no longer refused before any harm.
                    let nodes = step
                        .map_err(|trouble| if number == 0 { trouble } else { Trouble { kind: TroubleKind::Failed, ..trouble } })?;
                    harmed.extend(nodes);
                }
            }
        }
        Ok(MethodEnd { before, harmed, at: clock::now() })
    }

    fn endpoints_now(&self) -> Live {
        let mut known = Live::default();
        known.endpoints.clone_from(&self.recorder.live().endpoints);
        known
    }

    /// One fault, from its targets to its undo. Returns the nodes that were harmed.
    async fn fault(
        &self,
        step: u32,
        fault: &Fault,
        hold: Duration,
        ledger: &mut Ledger,
        seed: &mut Seed,
    ) -> Result<Vec<String>, Trouble> {
        self.healed().await?;
        let dead_man = hold + FAULT_CALLS + DEAD_MAN_MARGIN;
        let planned = self.plan(step, fault, dead_man, seed).await?;
        let mut owed = Vec::new();
        for obligation in planned {
            owed.push((ledger.owe(self.job.debtor, obligation.clone())?, obligation));
        }
        (self.job.arm)(dead_man)?;
        stage(self.recorder, "fault");
        let mut confirmed = clock::now();
        for (_, obligation) in &owed {
            confirmed = self.inject(obligation, &self.voice(obligation)).await?;
        }
        tokio::time::sleep(hold.saturating_sub(clock::now().since(confirmed))).await;
        stage(self.recorder, "undo");
        for (id, obligation) in owed.iter().rev() {
            rollback::settle(*id, obligation, &self.voice(obligation), self.world, ledger).await?;
        }
        let hit = owed.iter().filter_map(|(_, obligation)| obligation.fault()).filter(|_| fault.harms_node());
        Ok(hit.map(|fault| fault.node.to_owned()).collect())
    }

    fn voice<'o>(&'o self, obligation: &'o Obligation) -> Voice<'o> {
        rollback::voice(obligation, self.recorder)
    }

    /// Waits until nodes that an earlier step harmed are Ready again: a fault is undone when its node is up, which is a while earlier.
    async fn healed(&self) -> Result<(), Trouble> {
        let limit = self.job.experiment.steady_state_timeout;
        let ready = self.recorder.until(|live| self.not_ready(live).is_empty().then_some(()));
        tokio::time::timeout(limit, ready).await.map_err(|_| {
            let down = self.not_ready(&self.recorder.live()).join(", ");
            Trouble::failed(format!("{down} not Ready within {} s after an earlier step", limit.as_secs()))
        })
    }

    /// Nodes that were Ready at the beginning and are not now, as far as is known.
    fn not_ready(&self, live: &Live) -> Vec<&str> {
        let down = |node: &&Node| node.ready && live.nodes.get(&node.name).is_some_and(|n| n.ready != Ready::True);
        self.nodes.iter().filter(down).map(|node| node.name.as_str()).collect()
    }

    /// Nodes that are down already count as well.
    fn check_blast_radius(&self, fault: &Fault, target: &Node) -> Result<(), Trouble> {
        let down: Vec<&Node> = {
            let live = self.recorder.live();
            self.nodes.iter().filter(|node| live.nodes.get(&node.name).is_some_and(|n| n.ready != Ready::True)).collect()
        };
        blast_radius::check(&self.job.experiment.blast_radius, self.nodes, &down, fault, target)
    }

    fn choose(&self, fault: &Fault, selector: &NodeSelector, seed: &mut Seed) -> Result<&Node, Trouble> {
        let live = self.recorder.live();
        let services = selector.most_endpoints_of.iter();
        let endpoints: Endpoints = services.map(|service| (service.clone(), live.endpoints_of(service))).collect();
        let hosts = if fault.takes_node() { self.hosts } else { &[] };
        target::choose(self.nodes, selector, &endpoints, hosts, seed)
    }

    /// Makes the fault and returns when it was confirmed.
    async fn inject(&self, fault: &Obligation, voice: &Voice<'_>) -> Result<Moment, Trouble> {
        let mut confirmed = None;
        let is_node = self.nodes.iter().any(|node| node.name == voice.target);
        let reach = if is_node { self.reach_of(voice.target) } else { String::new() };
        let mut progress = |phase: FaultPhase, detail: String| {
            if phase == FaultPhase::Confirmed {
                confirmed = Some(clock::now());
            }
            voice.say(phase, if phase == FaultPhase::Requested && is_node { reach.clone() } else { detail });
        };
        self.world.inject(fault, &mut progress).await?;
        confirmed.ok_or_else(|| Trouble::failed(format!("the fault on {} was made, and never confirmed", voice.target)))
    }

    /// What the fault will hit: the endpoints on the node, by Service.
    fn reach_of(&self, node: &str) -> String {
        let live = self.recorder.live();
        let share = |service: &String| {
            let endpoints = live.endpoints_of(service);
            let ready = endpoints.iter().filter(|e| e.ready).count();
            format!("{} of {ready} endpoints of {service}", target::count_on(&endpoints, node))
        };
        probed_services(self.job.experiment).iter().map(share).collect::<Vec<_>>().join(", ")
    }
}

/// How long a run takes at least, for `--dry-run`: the steady state, all steps, the recovery.
pub fn duration_at_least(experiment: &Experiment) -> Duration {
    let steady = experiment.steady_state.iter().map(|condition| match condition {
        Condition::Probe { hold, .. } => *hold,
        _ => Duration::ZERO,
    });
    let method = experiment.method.iter().map(|step| match step {
        Step::Fault { hold, .. } | Step::Pause { hold } => *hold,
    });
    steady.max().unwrap_or_default() * 2 + method.sum::<Duration>()
}
