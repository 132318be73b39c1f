//! The method: one step after the other, and beside a fault what is done meanwhile. All branches are one task: where one fails, the others
//! are dropped where they are, and what the ledger has is undone in the reverse order of its making.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, try_join_all};
use futures_util::{FutureExt, TryFutureExt};

use crate::engine::clock;
use crate::engine::live::Live;
use crate::engine::plan::blast_radius::Harm;
use crate::engine::plan::target::{self, Known, Node};
use crate::engine::plan::{self, Planned, Scene};
use crate::engine::recorder::Recorder;
use crate::engine::run::{Job, probed_services, stage};
use crate::engine::seed::Seed;
use crate::engine::trouble::{Trouble, TroubleKind};
use crate::engine::undo::dead_man::lasts_at_most;
use crate::engine::undo::ledger::{Ledger, Obligation};
use crate::engine::undo::rollback;
use crate::engine::voice::Voice;
use crate::engine::world::World;
use crate::experiment::{Fault, Step};
use crate::timeline::{Event, FaultPhase, Moment, NodeRole, Ready};

/// The state in which the method began, and when its last fault was over.
pub(super) struct MethodEnd {
    pub before: Live,
    pub harmed: Vec<String>,
    pub at: Moment,
}

/// The method, carried out.
pub(super) struct Method<'a, W: World> {
    pub job: &'a Job<'a>,
    pub world: &'a W,
    pub recorder: &'a Recorder,
    /// Nodes that host a probe.
    pub hosts: &'a [String],
    pub nodes: &'a [Node],
    pub seed: RefCell<Seed>,
    /// Shared by all branches; borrowed for a moment only.
    pub ledger: RefCell<&'a mut Ledger>,
    pub state: RefCell<State<'a>>,
    /// What faults on objects were to do when they were rehearsed, by step: an API that is away when they are due can't tell.
    pub rehearsed: RefCell<BTreeMap<u32, Vec<Obligation>>>,
}

/// What the branches know of one another.
#[derive(Default)]
pub(super) struct State<'a> {
    /// The endpoints before any harm.
    before: Live,
    /// The faults that last, by what is owed; with the node, if it is one that is harmed.
    active: Vec<(u64, Option<Harm<'a>>)>,
    /// When the last fault on each node was undone.
    undone: BTreeMap<String, Moment>,
    /// When the last fault was over: undone, or, where nobody undoes it, confirmed.
    over: Option<Moment>,
}

/// One fault on one node or object, as it is owed.
struct Debt<'s> {
    id: u64,
    obligation: Obligation,
    /// The step's name.
    name: Option<&'s str>,
}

impl Debt<'_> {
    fn voice<'v>(&'v self, recorder: &'v Recorder) -> Voice<'v> {
        Voice { name: self.name, ..rollback::voice(&self.obligation, recorder) }
    }
}

impl<'a, W: World> Method<'a, W> {
    /// Every target with what is known now, so that what must be refused is refused before the first fault.
    pub async fn rehearse(&self) -> Result<(), Trouble> {
        let mut seed = self.seed.borrow().clone();
        for Planned { step, targets } in
            plan::rehearse(self.job.experiment, self.nodes, &self.known(), seed.clone())?
        {
            let (Some((fault, _)), dead_man) = (step.fault(), self.dead_man(step.step)) else {
                continue;
            };
            for node in targets {
                self.world.vet(&self.world.plan_fault(fault, node, step.number, dead_man)?).await?;
            }
            if fault.target().is_none() {
                let planned =
                    self.world.plan_object_fault(fault, step.number, dead_man, &mut seed).await?;
                self.rehearsed.borrow_mut().insert(step.number, planned);
            }
        }
        Ok(())
    }

    pub async fn carry_out(&self) -> Result<MethodEnd, Trouble> {
        self.state.borrow_mut().before = self.endpoints_now();
        self.sequence(0, &self.job.experiment.method).await?;
        let state = self.state.take();
        let is_node = |name: &String| {
            self.nodes.iter().any(|n| n.name == *name && n.role != NodeRole::ExternalLoadBalancer)
        };
        let harmed = state.undone.into_keys().filter(is_node).collect();
        Ok(MethodEnd { before: state.before, harmed, at: state.over.unwrap_or_else(clock::now) })
    }

    fn endpoints_now(&self) -> Live {
        let mut known = Live::default();
        known.endpoints.clone_from(&self.recorder.live().endpoints);
        known
    }

    /// Steps in their order; `first` is the number of the first.
    fn sequence(&self, first: u32, steps: &'a [Step]) -> LocalBoxFuture<'_, Result<(), Trouble>> {
        async move {
            let mut number = first;
            for step in steps {
                match step {
                    Step::Pause { hold } => tokio::time::sleep(*hold).await,
                    Step::Fault { name, fault, hold, meanwhile } => {
                        let debts =
                            self.begin(number, name.as_deref(), fault, self.dead_man(step)).await?;
                        let confirmed = self.inject(&debts).await?;
                        if !fault.lasts() {
                            self.is_over(confirmed);
                        }
                        let (held, beside) =
                            (self.hold(confirmed, *hold), self.sequence(number + 1, meanwhile));
                        if step.is_shared() {
                            tokio::try_join!(held, beside)?;
                            self.healed().await?;
                            self.undo(fault, debts).await?;
                        } else {
                            tokio::try_join!(held.and_then(|()| self.undo(fault, debts)), beside)?;
                        }
                    }
                }
                number += step.size();
            }
            Ok(())
        }
        .boxed_local()
    }

    /// Chooses the targets of a fault and writes down what will be owed.
    async fn begin(
        &self,
        step: u32,
        name: Option<&'a str>,
        fault: &'a Fault,
        dead_man: Duration,
    ) -> Result<Vec<Debt<'a>>, Trouble> {
        let nothing_harmed = self.is_unharmed();
        let begun = async {
            self.healed().await?;
            let planned = self.plan((step, name), fault, dead_man).await?;
            let owe = |(harm, obligation)| self.owe((name, dead_man), harm, obligation);
            let debts: Result<Vec<_>, _> = planned.into_iter().map(owe).collect();
            (self.job.arm)(dead_man).await?;
            debts
        };
        // Whatever is refused after the first fault is no longer refused before any harm.
        begun.await.map_err(|trouble| {
            if nothing_harmed { trouble } else { Trouble { kind: TroubleKind::Failed, ..trouble } }
        })
    }

    /// When a step's fault is undone by nobody, its dead man's switch does it after so long.
    fn dead_man(&self, step: &Step) -> Duration {
        lasts_at_most(step, self.job.experiment.steady_state_timeout) + self.job.dead_man_margin
    }

    fn is_unharmed(&self) -> bool {
        let state = self.state.borrow();
        state.active.is_empty() && state.undone.is_empty()
    }

    /// The engine gives a machine that starts the lowest free address: the undo, in reverse order, is to start that with the lowest first.
    fn targets(&self, fault: &'a Fault) -> Result<Vec<&'a Node>, Trouble> {
        let active: Vec<Harm> =
            self.state.borrow().active.iter().filter_map(|(_, harm)| *harm).collect();
        let scene = Scene {
            experiment: self.job.experiment,
            nodes: self.nodes,
            known: &self.known(),
            active: &active,
        };
        let mut targets = scene.targets(fault, &mut self.seed.borrow_mut())?;
        let address =
            |node: &&Node| node.address.as_ref().and_then(|text| text.parse::<IpAddr>().ok());
        targets.sort_by_key(|node| std::cmp::Reverse(address(node)));
        Ok(targets)
    }

    /// What a fault does to each of its targets.
    async fn plan(
        &self,
        (step, name): (u32, Option<&'a str>),
        fault: &'a Fault,
        dead_man: Duration,
    ) -> Result<Vec<(Option<Harm<'a>>, Obligation)>, Trouble> {
        if fault.target().is_none() {
            let planned = self.plan_objects(step, fault, dead_man).await?;
            return Ok(planned.into_iter().map(|obligation| (None, obligation)).collect());
        }
        let plan = |node| {
            Ok((
                Some(Harm { node, fault, step: name }),
                self.world.plan_fault(fault, node, step, dead_man)?,
            ))
        };
        let planned =
            self.targets(fault)?.into_iter().map(plan).collect::<Result<Vec<_>, Trouble>>()?;
        for (_, obligation) in &planned {
            self.world.vet(obligation).await?;
        }
        Ok(planned)
    }

    /// While the API is away, what was found in the rehearsal is what there is. One that answers has the last word.
    async fn plan_objects(
        &self,
        step: u32,
        fault: &Fault,
        dead_man: Duration,
    ) -> Result<Vec<Obligation>, Trouble> {
        let mut seed = self.seed.borrow().clone();
        let planned = self.world.plan_object_fault(fault, step, dead_man, &mut seed).await;
        *self.seed.borrow_mut() = seed;
        let known = self.rehearsed.borrow().get(&step).cloned();
        match (planned, known) {
            (Err(why), Some(known)) if why.passes => {
                let text = format!(
                    "step {step} hits what was found before the first fault: {}",
                    why.line()
                );
                self.recorder.event(Event::Note { warning: false, text });
                Ok(known)
            }
            (planned, _) => planned,
        }
    }

    fn owe(
        &self,
        (name, dead_man): (Option<&'a str>, Duration),
        harm: Option<Harm<'a>>,
        obligation: Obligation,
    ) -> Result<Debt<'a>, Trouble> {
        let id =
            self.ledger.borrow_mut().owe_watched(self.job.debtor, obligation.clone(), dead_man)?;
        self.state.borrow_mut().active.push((id, harm));
        Ok(Debt { id, obligation, name })
    }

    fn known(&self) -> Known {
        let hit = self.state.borrow().undone.keys().cloned().collect();
        plan::known(&self.recorder.live(), self.nodes, self.hosts, hit)
    }

    /// Makes a fault on all its targets at once, and returns when the last was confirmed.
    async fn inject(&self, debts: &[Debt<'_>]) -> Result<Moment, Trouble> {
        stage(self.recorder, "fault");
        let confirmed = try_join_all(debts.iter().map(|debt| self.inject_one(debt))).await?;
        confirmed.into_iter().max().ok_or_else(|| Trouble::failed("the fault has no target"))
    }

    async fn inject_one(&self, debt: &Debt<'_>) -> Result<Moment, Trouble> {
        let mut confirmed = None;
        let voice = debt.voice(self.recorder);
        let reach = self
            .nodes
            .iter()
            .any(|node| node.name == voice.target)
            .then(|| self.reach_of(voice.target));
        let mut progress = |phase: FaultPhase, detail: String| {
            if phase == FaultPhase::Confirmed {
                confirmed = Some(clock::now());
            }
            let reach = reach.clone().filter(|_| phase == FaultPhase::Requested);
            voice.say(phase, reach.unwrap_or(detail));
        };
        self.world.inject(&debt.obligation, &mut progress).await?;
        confirmed.ok_or_else(|| {
            Trouble::failed(format!("the fault on {} was made, and never confirmed", voice.target))
        })
    }

    async fn hold(&self, confirmed: Moment, hold: Duration) -> Result<(), Trouble> {
        tokio::time::sleep(hold.saturating_sub(clock::now().since(confirmed))).await;
        Ok(())
    }

    fn is_over(&self, at: Moment) {
        let mut state = self.state.borrow_mut();
        state.over = state.over.max(Some(at));
    }

    /// The last begun first.
    async fn undo(&self, fault: &Fault, debts: Vec<Debt<'_>>) -> Result<(), Trouble> {
        stage(self.recorder, Event::UNDO);
        for debt in debts.iter().rev() {
            let voice = debt.voice(self.recorder);
            rollback::take_back(&debt.obligation, &voice, self.world).await?;
            self.ledger.borrow_mut().settle(debt.id)?;
            let mut state = self.state.borrow_mut();
            state.active.retain(|(id, _)| *id != debt.id);
            state.undone.insert(voice.target.to_owned(), clock::now());
            drop(state);
            if fault.lasts() {
                self.is_over(clock::now());
            }
        }
        if !self.state.borrow().active.is_empty() {
            stage(self.recorder, "fault");
        }
        Ok(())
    }

    /// Waits until what an earlier step harmed is back: a fault is undone when its node is up, which is a while earlier.
    async fn healed(&self) -> Result<(), Trouble> {
        let limit = self.job.experiment.steady_state_timeout;
        let whole = self.recorder.until(|live| self.not_healed(live).is_empty().then_some(()));
        tokio::time::timeout(limit, whole).await.map_err(|_| {
            let missing = self.not_healed(&self.recorder.live()).join(", ");
            Trouble::failed(format!("{} s after an earlier step: {missing}", limit.as_secs()))
        })
    }

    /// What is still waited for. Nobody waits for a node under a fault, nor, while one lasts, for what nobody can see, or can't come back.
    fn not_healed(&self, live: &Live) -> Vec<String> {
        let state = self.state.borrow();
        let lasting = !state.active.is_empty();
        if lasting && !live.blind.is_empty() {
            return Vec::new();
        }
        let harms = |harm: &Harm<'_>, name: &str| harm.fault.harms_node() && harm.node.name == name;
        let free = |name: &str| {
            !state
                .active
                .iter()
                .any(|(_, harm)| harm.as_ref().is_some_and(|harm| harms(harm, name)))
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
        let mut missing: Vec<String> =
            down.chain(silent.map(|(name, _)| format!("{name} has not been heard of"))).collect();
        if !lasting && !state.undone.is_empty() {
            missing.extend(live.blind.keys().map(|watch| format!("the watch of {watch} is blind")));
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
            format!("{} of {ready} endpoints of {service}", target::count_on(&endpoints, node))
        };
        probed_services(self.job.experiment).iter().map(share).collect::<Vec<_>>().join(", ")
    }
}

fn endpoints_missing(service: &str, before: &Live, now: &Live) -> Option<String> {
    let ready =
        |live: &Live| live.endpoints_of(service).iter().filter(|endpoint| endpoint.ready).count();
    let (before, now) = (ready(before), ready(now));
    (now < before).then(|| format!("{now} of {before} endpoints of {service} are ready"))
}
