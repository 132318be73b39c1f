//! The method: one step after the other, and beside a fault what is done meanwhile. All branches
//! are one task: where one fails, the others are dropped where they are, and what the ledger has is
//! undone in the reverse order of its making.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all, try_join_all};

use crate::engine::backend::Backend;
use crate::engine::clock;
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::fault_reporter::FaultReporter;
use crate::engine::follower::Observation;
use crate::engine::job::{Job, probed_services, stage};
use crate::engine::live::Live;
use crate::engine::recorder::Recorder;
use crate::engine::seed::Seed;
use crate::engine::undo::ledger::{Ledger, UndoEntry};
use crate::engine::undo::rollback;
use crate::experiment::{Fault, Step};
use crate::fault::UndoAfter;
use crate::plan::{
    self, ActiveFault, Known, Node, Nodes, Occupancy, PlannedStep, Request, StepContext,
};
use crate::timeline::{Event, FaultPhase, Moment, NodeRole, Ready, few, format_seconds};

/// A fault must not be late because the API is away.
const LOOK: Duration = Duration::from_secs(3);

/// The state in which the method began, and when its last fault was over.
pub(super) struct MethodEnd {
    pub before: Live,
    pub hit: Vec<String>,
    pub at: Moment,
}

/// The method, carried out.
pub(super) struct Method<'a, W: Backend> {
    pub job: &'a Job<'a>,
    pub backend: &'a W,
    pub recorder: &'a Recorder,
    /// Nodes that host a probe.
    pub hosts: &'a [String],
    pub nodes: &'a [Node],
    pub seed: RefCell<Seed>,
    /// Shared by all branches; borrowed for a moment only.
    pub ledger: RefCell<&'a mut Ledger>,
    pub state: RefCell<State<'a>>,
    /// What is undone, and not yet seen to work again.
    pub unverified: tokio::sync::Mutex<Vec<PendingUndo<'a>>>,
    /// What faults on objects were to do when they were rehearsed, by step: an API that is away
    /// when they are due can't tell.
    pub rehearsed: RefCell<BTreeMap<u32, Vec<UndoEntry>>>,
    /// What else was on the nodes that faults were to hit when they were rehearsed, by step and node.
    pub others: RefCell<BTreeMap<(u32, String), String>>,
    /// What ran on the nodes, and must not be lost, when it was last asked for.
    pub occupancy: RefCell<Occupancy>,
}

/// What the branches know of one another.
#[derive(Default)]
pub(super) struct State<'a> {
    /// The endpoints before any fault.
    before: Live,
    /// The faults that last, by their entry in the ledger; with the node, if it is one that is hit.
    active: Vec<(u64, Option<ActiveFault<'a>>)>,
    /// When the last fault on each node was undone.
    undone: BTreeMap<String, Moment>,
    /// When the last fault was over: undone, or, where nobody undoes it, confirmed.
    over: Option<Moment>,
}

/// A fault on one target, before it is recorded.
struct PlannedFault<'s> {
    /// `None`: it is on no node.
    on: Option<ActiveFault<'s>>,
    undo: UndoEntry,
}

/// One fault on one node or object, as it is in the ledger.
pub(super) struct PendingUndo<'s> {
    id: u64,
    undo: UndoEntry,
    /// The step's name.
    name: Option<&'s str>,
}

impl PendingUndo<'_> {
    fn reporter<'v>(&'v self, recorder: &'v Recorder) -> FaultReporter<'v> {
        FaultReporter { name: self.name, ..rollback::reporter(&self.undo, recorder) }
    }
}

impl<'a, W: Backend> Method<'a, W> {
    /// Every target with what is known now, so that what must be refused is refused before the
    /// first fault.
    pub(super) async fn rehearse(&self) -> Result<(), RunError> {
        self.occupancy.replace(self.backend.occupancy().await?);
        let mut seed = self.seed.borrow().clone();
        let planned = plan::plan(Request {
            experiment: self.job.experiment,
            nodes: Nodes::Running(self.nodes),
            known: self.known(),
            seed: Some(seed.clone()),
            undo_timer_margin: self.job.undo_timer_margin,
        });
        for PlannedStep { step, targets, undo_after, .. } in planned.accepted()? {
            let Some((fault, _)) = step.fault() else { continue };
            for node in targets {
                if fault.takes_pods() {
                    let others = self.backend.others_on(&node.name).await;
                    let others = others.map(|others| ((step.number, node.name.clone()), others));
                    self.others.borrow_mut().extend(others);
                }
                self.backend
                    .vet(&self.backend.plan_fault(fault, node, step.number, undo_after)?)
                    .await?;
            }
            if fault.target().is_none() {
                let planned = self
                    .backend
                    .plan_object_fault(fault, step.number, undo_after, &mut seed)
                    .await?;
                self.rehearsed.borrow_mut().insert(step.number, planned);
            }
        }
        Ok(())
    }

    pub(super) async fn carry_out(&self) -> Result<MethodEnd, RunError> {
        self.state.borrow_mut().before = self.endpoints_now();
        self.sequence(0, &self.job.experiment.method).await?;
        let state = self.state.take();
        let is_node = |name: &String| {
            self.nodes.iter().any(|n| n.name == *name && n.role != NodeRole::ExternalLoadBalancer)
        };
        let hit = state.undone.into_keys().filter(is_node).collect();
        Ok(MethodEnd { before: state.before, hit, at: state.over.unwrap_or_else(clock::now) })
    }

    fn endpoints_now(&self) -> Live {
        let mut known = Live::default();
        known.endpoints.clone_from(&self.recorder.live().endpoints);
        known
    }

    /// Steps in their order; `first` is the number of the first.
    fn sequence(&self, first: u32, steps: &'a [Step]) -> LocalBoxFuture<'_, Result<(), RunError>> {
        async move {
            let mut number = first;
            for step in steps {
                match step {
                    Step::Pause { hold } => {
                        let until = clock::now().plus(*hold);
                        self.recorder.show_wait(vec!["the end of the pause".into()], until);
                        tokio::time::sleep(*hold).await
                    }
                    Step::Fault { name, fault, hold, meanwhile } => {
                        let undo_after = self.undo_after(step);
                        let pending =
                            self.begin(number, name.as_deref(), fault, undo_after).await?;
                        let confirmed = self.inject(&pending).await?;
                        if !fault.lasts() {
                            self.is_over(confirmed);
                        }
                        let beside = self.sequence(number + 1, meanwhile);
                        let times = (*hold, fault.lasts().then_some(undo_after.confirmed));
                        if step.is_shared() {
                            tokio::try_join!(self.hold(&pending, confirmed, times), beside)?;
                            self.recovered().await?;
                            self.undo(fault, pending).await?;
                        } else {
                            let alone = async move {
                                self.hold(&pending, confirmed, times).await?;
                                self.undo(fault, pending).await
                            };
                            tokio::try_join!(alone, beside)?;
                        }
                    }
                }
                number += step.size();
            }
            Ok(())
        }
        .boxed_local()
    }

    /// Chooses the targets of a fault and records their undo.
    async fn begin(
        &self,
        step: u32,
        name: Option<&'a str>,
        fault: &'a Fault,
        undo_after: UndoAfter,
    ) -> Result<Vec<PendingUndo<'a>>, RunError> {
        let is_first = self.is_untouched();
        let begun = async {
            self.verify().await?;
            self.recovered().await?;
            let planned = self.plan(step, name, fault, undo_after).await?;
            let record = |planned| self.record(name, undo_after, planned);
            let pending: Result<Vec<_>, _> = planned.into_iter().map(record).collect();
            (self.job.arm)(undo_after.requested).await?;
            pending
        };
        begun.await.map_err(|error| refused(error, is_first))
    }

    /// When a step's fault is undone if this run has died.
    fn undo_after(&self, step: &Step) -> UndoAfter {
        let healing = self.job.experiment.steady_state_timeout;
        plan::undo_after(step, self.nodes, healing, self.job.undo_timer_margin)
    }

    fn is_untouched(&self) -> bool {
        let state = self.state.borrow();
        state.active.is_empty() && state.undone.is_empty()
    }

    /// The engine gives a machine that starts the lowest free address: the undo, in reverse order,
    /// is to start that with the lowest first.
    fn targets(&self, fault: &'a Fault) -> Result<Vec<&'a Node>, RunError> {
        let active: Vec<ActiveFault> =
            self.state.borrow().active.iter().filter_map(|(_, active)| *active).collect();
        let context = StepContext {
            experiment: self.job.experiment,
            nodes: self.nodes,
            known: &self.known(),
            active: &active,
        };
        let mut targets = context.targets(fault, &mut self.seed.borrow_mut())?;
        let address =
            |node: &&Node| node.address.as_ref().and_then(|text| text.parse::<IpAddr>().ok());
        targets.sort_by_key(|node| std::cmp::Reverse(address(node)));
        Ok(targets)
    }

    /// What a fault does to each of its targets.
    async fn plan(
        &self,
        step: u32,
        name: Option<&'a str>,
        fault: &'a Fault,
        undo_after: UndoAfter,
    ) -> Result<Vec<PlannedFault<'a>>, RunError> {
        if fault.target().is_none() {
            let planned = self.plan_objects(step, fault, undo_after).await?;
            return Ok(planned.into_iter().map(|undo| PlannedFault { on: None, undo }).collect());
        }
        // While the API is away, what was there before is what there is.
        if fault.may_lose_pods()
            && !self.is_untouched()
            && let Ok(Ok(now)) = tokio::time::timeout(LOOK, self.backend.occupancy()).await
        {
            self.occupancy.replace(now);
        }
        let plan = |node| {
            let undo = self.backend.plan_fault(fault, node, step, undo_after)?;
            Ok(PlannedFault { on: Some(ActiveFault { node, fault, step: name }), undo })
        };
        let planned =
            self.targets(fault)?.into_iter().map(plan).collect::<Result<Vec<_>, RunError>>()?;
        for planned in &planned {
            self.backend.vet(&planned.undo).await?;
        }
        Ok(planned)
    }

    /// While the API is away, what was found in the rehearsal is what there is. One that answers
    /// has the last word.
    async fn plan_objects(
        &self,
        step: u32,
        fault: &Fault,
        undo_after: UndoAfter,
    ) -> Result<Vec<UndoEntry>, RunError> {
        let mut seed = self.seed.borrow().clone();
        let planned = self.backend.plan_object_fault(fault, step, undo_after, &mut seed).await;
        *self.seed.borrow_mut() = seed;
        let known = self.rehearsed.borrow().get(&step).cloned();
        match (planned, known) {
            (Err(why), Some(known)) if why.passes => {
                let text = format!(
                    "step {step} uses the targets that were found before the first fault: {}",
                    why.line()
                );
                self.recorder.event(Event::Note { warning: false, text });
                Ok(known)
            }
            (planned, _) => planned,
        }
    }

    fn record(
        &self,
        name: Option<&'a str>,
        undo_after: UndoAfter,
        PlannedFault { on, undo }: PlannedFault<'a>,
    ) -> Result<PendingUndo<'a>, RunError> {
        let id = self.ledger.borrow_mut().record_watched(
            self.job.run_ref,
            undo.clone(),
            undo_after.requested,
        )?;
        self.state.borrow_mut().active.push((id, on));
        let FaultReporter { step, target, component, .. } =
            rollback::reporter(&undo, self.recorder);
        let target = target.to_owned();
        self.recorder.show(Observation::ToUndo { step, target, component, undo: undo.describe() });
        Ok(PendingUndo { id, undo, name })
    }

    fn known(&self) -> Known {
        let hit = self.state.borrow().undone.keys().cloned().collect();
        let known = known(&self.recorder.live(), self.nodes, self.hosts, hit);
        Known { occupancy: self.occupancy.borrow().clone(), ..known }
    }

    /// Makes a fault on all its targets at the same time, and ends when the last was confirmed. Returns
    /// from when on it lasts.
    async fn inject(&self, pending: &[PendingUndo<'_>]) -> Result<Moment, RunError> {
        stage(self.recorder, "fault");
        let confirmed =
            try_join_all(pending.iter().map(|pending| self.inject_one(pending))).await?;
        confirmed.into_iter().max().ok_or_else(|| RunError::failed("the fault has no target"))
    }

    async fn inject_one(&self, pending: &PendingUndo<'_>) -> Result<Moment, RunError> {
        let counts_from = match self.backend.is_out_of_reach(&pending.undo) {
            true => FaultPhase::Requested,
            false => FaultPhase::Confirmed,
        };
        let (mut lasts_from, mut confirmed) = (None, false);
        let reporter = pending.reporter(self.recorder);
        let target = (reporter.step, reporter.target.to_owned());
        let mut others = self.others.borrow_mut().remove(&target);
        let reach = self
            .nodes
            .iter()
            .any(|node| node.name == reporter.target)
            .then(|| self.reach_of(reporter.target));
        let mut progress = |phase: FaultPhase, detail: String| {
            if phase == counts_from {
                lasts_from = Some(clock::now());
            }
            confirmed |= phase == FaultPhase::Confirmed;
            let reach = reach.clone().filter(|_| phase == FaultPhase::Requested);
            reporter.report(phase, reach.unwrap_or(detail));
            let others = others.take().filter(|_| phase == FaultPhase::Requested);
            if let Some(others) = others {
                reporter.report(FaultPhase::AlsoHits, others);
            }
        };
        if let Err(error) = self.backend.inject(&pending.undo, &mut progress).await {
            return Err(self.not_injected(pending.id, error)?);
        }
        lasts_from.filter(|_| confirmed).ok_or_else(|| {
            RunError::failed(format!(
                "the fault on {} was injected but never confirmed",
                reporter.target
            ))
        })
    }

    /// Why a fault was not injected. What was refused is not undone: it would change what somebody
    /// else has done.
    fn not_injected(&self, id: u64, error: RunError) -> Result<RunError, RunError> {
        if error.kind != RunErrorKind::Refused {
            return Ok(error);
        }
        self.ledger.borrow_mut().settle(id)?;
        self.state.borrow_mut().active.retain(|(other, _)| *other != id);
        Ok(refused(error, self.is_untouched()))
    }

    /// Waits until a step's faults have lasted for so long since the last was confirmed. Meanwhile
    /// what undoes them without us is set anew, if it is to be, to so long from now: never before all
    /// targets are confirmed, and never at the cost of the hold.
    async fn hold(
        &self,
        pending: &[PendingUndo<'_>],
        confirmed: Moment,
        (hold, undo_after): (Duration, Option<Duration>),
    ) -> Result<(), RunError> {
        let until = confirmed.plus(hold);
        self.recorder.show_wait(vec!["the end of the fault".into()], until);
        let held = tokio::time::sleep(until.since(clock::now()));
        let set = async {
            if let Some(undo_after) = undo_after {
                self.set_timers_anew(pending, undo_after).await?;
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            failed = set => failed,
            () = held => Ok(()),
        }
    }

    /// Where neither a timer nor a second watchdog is set, the longer times stay.
    async fn set_timers_anew(
        &self,
        pending: &[PendingUndo<'_>],
        undo_after: Duration,
    ) -> Result<(), RunError> {
        let timers = pending.iter().map(|pending| self.backend.set_timer_anew(&pending.undo));
        let (watched, timers) = tokio::join!((self.job.arm)(undo_after), join_all(timers));
        for (pending, timer) in pending.iter().zip(timers) {
            if timer || watched.is_ok() {
                self.ledger.borrow_mut().watch_until(pending.id, undo_after)?;
            }
        }
        Ok(())
    }

    fn is_over(&self, at: Moment) {
        let mut state = self.state.borrow_mut();
        state.over = state.over.max(Some(at));
    }

    /// The last begun first.
    async fn undo(&self, fault: &Fault, pending: Vec<PendingUndo<'a>>) -> Result<(), RunError> {
        stage(self.recorder, Event::UNDO);
        for pending in pending.iter().rev() {
            let reporter = pending.reporter(self.recorder);
            rollback::undo_entry(&pending.undo, &reporter, self.backend).await?;
            let mut state = self.state.borrow_mut();
            state.active.retain(|(id, _)| *id != pending.id);
            state.undone.insert(reporter.target.to_owned(), clock::now());
            drop(state);
            if fault.lasts() {
                self.is_over(clock::now());
            }
        }
        self.unverified.lock().await.extend(pending);
        if !self.state.borrow().active.is_empty() {
            stage(self.recorder, "fault");
        }
        self.verify().await
    }

    /// Ends when all that was undone works again, and strikes it from the ledger. While a fault on a
    /// node lasts nobody can tell: it may have taken the API, or what another needs to start.
    async fn verify(&self) -> Result<(), RunError> {
        let mut unverified = self.unverified.lock().await;
        let lasts = |active: &Option<ActiveFault<'_>>| {
            active.is_some_and(|active| active.fault.degrades_node())
        };
        let in_the_way = || self.state.borrow().active.iter().any(|(_, active)| lasts(active));
        while !in_the_way()
            && let Some(pending) = unverified.first()
        {
            let reporter = pending.reporter(self.recorder);
            rollback::verify_entry(&pending.undo, &reporter, self.backend).await?;
            self.ledger.borrow_mut().settle(pending.id)?;
            unverified.remove(0);
        }
        Ok(())
    }

    /// Waits until everything that an earlier step affected has recovered: a fault counts as undone
    /// when its node is up, which is earlier.
    async fn recovered(&self) -> Result<(), RunError> {
        let limit = self.job.experiment.steady_state_timeout;
        let missing = self.not_recovered(&self.recorder.live());
        if !missing.is_empty() {
            self.recorder.show_wait(missing, clock::now().plus(limit));
        }
        let whole = self.recorder.until(|live| self.not_recovered(live).is_empty().then_some(()));
        tokio::time::timeout(limit, whole).await.map_err(|_| {
            let missing = few(self.not_recovered(&self.recorder.live()));
            RunError::failed(format!(
                "the cluster did not recover within {} of an earlier step: {missing}",
                format_seconds(limit)
            ))
        })
    }

    /// What is still waited for. Nobody waits for a node under a fault, nor, while one lasts, for
    /// what nobody can see, or can't come back.
    fn not_recovered(&self, live: &Live) -> Vec<String> {
        let state = self.state.borrow();
        let lasting = !state.active.is_empty();
        if lasting && !live.blind.is_empty() {
            return Vec::new();
        }
        let hits = |active: &ActiveFault<'_>, name: &str| {
            active.fault.degrades_node() && active.node.name == name
        };
        let free = |name: &str| {
            !state
                .active
                .iter()
                .any(|(_, active)| active.as_ref().is_some_and(|active| hits(active, name)))
        };
        let down = |node: &&Node| {
            node.ready && live.nodes.get(&node.name).is_some_and(|known| known.ready != Ready::True)
        };
        let down = self
            .nodes
            .iter()
            .filter(down)
            .filter(|node| free(&node.name))
            .map(|node| format!("{} is not Ready", node.name));
        let is_node = |name: &str| {
            self.nodes
                .iter()
                .any(|node| node.name == name && node.role != NodeRole::ExternalLoadBalancer)
        };
        let unheard =
            |(name, at): &(&String, &Moment)| live.heard.get(*name).is_none_or(|heard| heard < *at);
        let silent =
            state.undone.iter().filter(|(name, _)| free(name) && is_node(name)).filter(unheard);
        let mut missing: Vec<String> = down
            .chain(silent.map(|(name, _)| format!("{name} has not sent a heartbeat yet")))
            .collect();
        if !lasting && !state.undone.is_empty() {
            missing.extend(live.blind.keys().map(|watch| format!("the watch of {watch} is down")));
            missing.extend(
                probed_services(self.job.experiment)
                    .iter()
                    .filter_map(|name| endpoints_missing(name, &state.before, live)),
            );
        }
        missing
    }

    /// What the fault will hit: the endpoints on the node, by Service.
    fn reach_of(&self, node: &str) -> String {
        let live = self.recorder.live();
        let share = |service: &String| {
            let endpoints = live.endpoints_of(service);
            let ready = endpoints.iter().filter(|e| e.ready).count();
            format!("{} of {ready} endpoints of {service}", plan::count_on(&endpoints, node))
        };
        probed_services(self.job.experiment).iter().map(share).collect::<Vec<_>>().join(", ")
    }
}

/// Whatever is refused after the first fault is no longer refused before any fault.
fn refused(error: RunError, is_first: bool) -> RunError {
    if is_first { error } else { RunError { kind: RunErrorKind::Failed, ..error } }
}

fn endpoints_missing(service: &str, before: &Live, now: &Live) -> Option<String> {
    let ready =
        |live: &Live| live.endpoints_of(service).iter().filter(|endpoint| endpoint.ready).count();
    let (before, now) = (ready(before), ready(now));
    (now < before).then(|| format!("{now} of {before} endpoints of {service} are ready"))
}

/// What the records so far tell.
fn known(live: &Live, nodes: &[Node], hosts: &[String], hit: Vec<String>) -> Known {
    let is_down =
        |node: &&Node| live.nodes.get(&node.name).is_some_and(|known| known.ready != Ready::True);
    Known {
        endpoints: live.known_endpoints(),
        may_move: false,
        leaders: live.leaders.clone(),
        all_leaders: true,
        hosts: hosts.to_vec(),
        hit,
        under: BTreeMap::new(),
        occupancy: Occupancy::default(),
        down: nodes.iter().filter(is_down).map(|node| node.name.clone()).collect(),
    }
}
