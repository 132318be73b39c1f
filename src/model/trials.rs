//! Many trials of one course of events in virtual time.

use std::time::Duration;

use super::action::Action;
use super::agenda::NEVER;
use super::distribution::Distribution;
use super::machine::{Model, nanos};
use super::node::Effect;
use super::observer::{Fault, Observer};
use super::scenario::{Scenario, Step};
use super::settings::{
    INSIDE_TAKES, NOT_READY_WITHIN, Nanos, Settings, UNDO_CONFIRMED, UNDO_CONFIRMED_BOOT,
};
use super::topology::{Controller, NodeId, OwnerId, PodId, PodSpec};
use crate::stats::Random;

/// What many trials came to.
#[derive(Clone, Debug)]
pub struct Forecast {
    pub trials: u32,
    /// For each fault of the scenario, in its order.
    pub faults: Vec<FaultForecast>,
}

/// What many trials of one fault came to. Times are in seconds.
#[derive(Clone, Debug)]
pub struct FaultForecast {
    pub node: NodeId,
    /// From the fault's request until its node's Ready is no longer True.
    pub detection: Distribution,
    /// From the fault's request until the node's last ready endpoint had left the Service; only
    /// before the undo. Empty where it had none.
    pub endpoint_removal: Distribution,
    /// From the fault's request until the last request that fails was sent, at the latest the undo.
    pub errors_until: Distribution,
    /// From the first failing request to the last, as sent, between fault and undo.
    pub error_window: Distribution,
    /// Of the requests in that window, the share that fails (0 to 1): the one to be expected, since
    /// kube-proxy draws a backend for each.
    pub failed_share: Distribution,
    /// From the fault's request until as many endpoints were ready elsewhere as there were before.
    pub rescheduling: Distribution,
    /// From the confirmed undo until every node is ready, as many endpoints as before are, no
    /// request fails, and the node has been heard.
    pub recovery: Distribution,
}

impl FaultForecast {
    fn new(node: NodeId) -> Self {
        let none = Distribution::default;
        Self {
            node,
            detection: none(),
            endpoint_removal: none(),
            errors_until: none(),
            error_window: none(),
            failed_share: none(),
            rescheduling: none(),
            recovery: none(),
        }
    }

    fn add(&mut self, fault: &Fault, hit: bool, confirmed: Nanos) {
        let since = |from: Nanos, at: Option<Nanos>| at.map(|at| seconds(at.saturating_sub(from)));
        self.detection.add(since(fault.requested, fault.detected));
        self.recovery.add(since(fault.undo.unwrap_or_default() + confirmed, fault.recovered));
        if !hit {
            return;
        }
        let window = fault.window;
        let length = window.first.map(|first| seconds(window.last - first));
        self.endpoint_removal.add(since(fault.requested, fault.removed));
        self.errors_until.add(window.first.and(since(fault.requested, Some(window.last))));
        self.error_window.add(length);
        self.failed_share.add(length.map(|length| window.failed / 1e9 / length));
        self.rescheduling.add(since(fault.requested, fault.replaced));
    }
}

/// Tries a scenario so many times, each at random phases that the seed draws.
///
/// Nothing is kept of a trial but its place in the distributions.
pub fn forecast(scenario: &Scenario, settings: &Settings, trials: u32, seed: u64) -> Forecast {
    let mut seeds = Random::new(seed);
    let nodes = scenario.steps.iter().filter_map(Step::target);
    let mut forecast = Forecast { trials, faults: nodes.map(FaultForecast::new).collect() };
    let mut observer = Observer::new(scenario, !seed);
    for _ in 0..trials {
        observer.reset(&scenario.pods);
        Trial::begin(scenario, settings, seeds.draw(), &mut observer)
            .run(scenario, &mut forecast.faults);
    }
    forecast
}

struct Trial<'a> {
    model: Model,
    chance: Random,
    observer: &'a mut Observer,
}

impl<'a> Trial<'a> {
    /// A cluster with its workload in place, some time after its beginning: long enough that
    /// everybody has seen everybody.
    fn begin(
        scenario: &Scenario,
        settings: &Settings,
        seed: u64,
        observer: &'a mut Observer,
    ) -> Self {
        let mut model = Model::new(settings.clone(), &scenario.topology, seed);
        for taint in &scenario.taints {
            model.taint_id(taint);
        }
        if let Some(leads) = scenario.leads {
            model.begin_with_leader(leads);
        }
        let owner = scenario.controller.replaces().then(|| {
            model.settled_owner(scenario.controller, scenario.pod.clone(), scenario.pods.len())
        });
        for node in &scenario.pods {
            model.settled_pod(owner, scenario.pod.clone(), *node);
        }
        let mut chance = Random::new(!seed);
        let beat = settings.status_report.max(settings.status_update).min(settings.lease_renewal);
        let warm =
            3 * beat + 3 * settings.monitor_period + chance.below(beat + settings.monitor_period);
        model.run(warm, |_, _| {});
        Self { model, chance, observer }
    }

    fn run(mut self, scenario: &Scenario, into: &mut [FaultForecast]) {
        let mut into = into.iter_mut();
        for step in &scenario.steps {
            match step {
                Step::Pause(length) => self.advance(nanos(*length)),
                Step::Fault { action, hold, meanwhile } => {
                    let Some(node) = action.target() else { continue };
                    let hit = scenario.pods.contains(&node);
                    self.observer.requested(node, self.model.now);
                    self.fault(*action, nanos(*hold), meanwhile);
                    // As a run does: the next fault waits until this one has recovered.
                    self.until_well(nanos(scenario.horizon));
                    if let (Some(forecast), Some(fault)) =
                        (into.next(), self.observer.finish(self.model.now))
                    {
                        forecast.add(&fault, hit, confirmation(*action));
                    }
                }
            }
        }
    }

    fn fault(&mut self, action: Action, hold: Nanos, meanwhile: &[Step]) {
        let mut end = self.inject(action).saturating_add(hold);
        for step in meanwhile {
            match step {
                Step::Pause(length) => self.advance(nanos(*length)),
                Step::Fault { action, hold, .. } => {
                    let undone = self.inject(*action).saturating_add(nanos(*hold));
                    self.to(undone);
                    action.undo().into_iter().for_each(|undo| self.act(undo));
                }
            }
        }
        end = end.max(self.model.now);
        self.to(end);
        self.observer.undone(self.model.now);
        action.undo().into_iter().for_each(|undo| self.act(undo));
    }

    /// Returns when its effect is there.
    fn inject(&mut self, action: Action) -> Nanos {
        // On a machine it is done from inside.
        if matches!(action, Action::Disconnect { .. } | Action::CutFromApi { .. }) {
            let takes = INSIDE_TAKES.draw(&mut self.chance);
            self.advance(takes);
        }
        // A node that is still Ready is not taken out of service.
        self.until(NOT_READY_WITHIN, |model| !model.waits(action));
        self.act(action);
        self.until(NEVER, |model| {
            action.target().is_none_or(|node| model.node(node).effect(action) != Effect::Coming)
        });
        self.model.now
    }

    /// Follows the cluster until something is so, but no longer than this.
    fn until(&mut self, longest: Nanos, is_so: impl Fn(&Model) -> bool) {
        let end = self.model.now.saturating_add(longest);
        while self.model.now < end && !is_so(&self.model) {
            let Some(next) = self.model.next() else { break };
            self.to(nanos(next).min(end));
        }
    }

    /// Follows the cluster until all is well again and stays so for a moment, or for so long.
    fn until_well(&mut self, horizon: Nanos) {
        let end = self.model.now + horizon;
        while self.model.now < end
            && self.observer.fault.is_some_and(|fault| fault.recovered.is_none())
        {
            let next = self.model.next().map_or(end, nanos);
            self.to(next.min(end));
        }
    }

    fn act(&mut self, action: Action) {
        self.model.take(action);
        let observer = &mut *self.observer;
        self.model.run(self.model.now, |at, change| observer.see(at, change));
    }

    fn advance(&mut self, length: Nanos) {
        self.to(self.model.now + length);
    }

    fn to(&mut self, to: Nanos) {
        let observer = &mut *self.observer;
        self.model.run(to, |at, change| observer.see(at, change));
    }
}

/// How long an undo's call takes until it is confirmed: recovery is measured from there.
fn confirmation(action: Action) -> Nanos {
    match action {
        Action::Stop { .. } | Action::Kill { .. } => UNDO_CONFIRMED_BOOT,
        _ => UNDO_CONFIRMED,
    }
}

fn seconds(length: Nanos) -> f64 {
    Duration::from_nanos(length).as_secs_f64()
}

impl Model {
    fn settled_owner(&mut self, controller: Controller, pod: PodSpec, replicas: usize) -> OwnerId {
        let owner = self.add_owner(controller, pod, replicas);
        self.agenda.clear(super::agenda::Timer::Owner(owner));
        owner
    }

    fn settled_pod(&mut self, owner: Option<OwnerId>, pod: PodSpec, node: NodeId) -> PodId {
        let pod = self.add_pod(owner, pod);
        self.settle_pod(pod, node);
        pod
    }
}
