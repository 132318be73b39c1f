//! What the machines do together.

mod closed_form;
mod control_plane;
mod controllers;
mod pairs;
mod taints;
mod trials;

use std::time::Duration;

use super::*;
use crate::timeline::{Cut, FaultFacts, FaultKind, Ready, Tuning};

fn seconds(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

fn tuning(status: Option<f64>, lease: f64, period: f64, grace: f64) -> Tuning {
    Tuning {
        node_status_update_frequency: status.map(seconds),
        node_lease_duration: Some(seconds(4.0 * lease)),
        node_monitor_period: Some(seconds(period)),
        node_monitor_grace_period: Some(seconds(grace)),
        ..Tuning::default()
    }
}

/// The article's: status every second, a pass every second, 4 s of grace.
fn tuned() -> Tuning {
    tuning(Some(1.0), 10.0, 1.0, 4.0)
}

/// A cluster, what it told, and shorthands.
struct Cluster {
    model: Model,
    changes: Vec<(f64, Change)>,
}

impl Cluster {
    fn of(tuning: &Tuning, topology: &Topology, seed: u64) -> Self {
        let settings = Settings::of(tuning, "v1.34.4").unwrap();
        Self { model: Model::new(settings, topology, seed), changes: Vec::new() }
    }

    fn tuned(planes: usize, workers: usize, seed: u64) -> Self {
        Self::of(&tuned(), &Topology::kind("k", planes, workers), seed)
    }

    fn owner(&mut self, at: f64, pod: PodSpec, replicas: usize) -> OwnerId {
        let changes = &mut self.changes;
        self.model.create_owner(
            seconds(at),
            Controller::ReplicaSet,
            pod,
            replicas,
            &mut |at, change| changes.push((at.as_secs_f64(), change)),
        )
    }

    fn pod(&mut self, at: f64, pod: PodSpec) -> PodId {
        let changes = &mut self.changes;
        self.model.create_pod(seconds(at), pod, &mut |at, change| {
            changes.push((at.as_secs_f64(), change))
        })
    }

    fn until(&mut self, to: f64) -> &mut Self {
        let changes = &mut self.changes;
        self.model.advance(seconds(to), &mut |at, change| changes.push((at.as_secs_f64(), change)));
        self
    }

    fn at(&mut self, at: f64, action: Action) -> &mut Self {
        let changes = &mut self.changes;
        self.model
            .act(seconds(at), action, &mut |at, change| changes.push((at.as_secs_f64(), change)));
        self
    }

    /// When something was told, from `since` on.
    fn when(&self, since: f64, which: impl Fn(&Change) -> bool) -> Vec<f64> {
        self.changes
            .iter()
            .filter(|(at, change)| *at >= since && which(change))
            .map(|(at, _)| *at)
            .collect()
    }

    fn first(&self, since: f64, which: impl Fn(&Change) -> bool) -> Option<f64> {
        self.when(since, which).first().copied()
    }

    fn became(&self, since: f64, node: usize, wanted: Ready) -> Option<f64> {
        self.first(since, |c| matches!(c, Change::NodeReady { node: n, ready, .. } if n.0 == node && *ready == wanted))
    }

    fn tainted(&self, since: f64, taint: Taint) -> Vec<f64> {
        self.when(
            since,
            |c| matches!(c, Change::Taint { taint: t, present: true, .. } if *t == taint),
        )
    }
}

fn stop(node: usize) -> Action {
    Action::Stop { node: NodeId(node), grace: seconds(10.0) }
}

fn pause(node: usize) -> Action {
    Action::Pause { node: NodeId(node) }
}

fn one_fault(action: Action, hold: f64) -> Scenario {
    Scenario {
        topology: Topology::kind("k", 1, 2),
        pods: vec![NodeId(1), NodeId(2)],
        pod: PodSpec::default(),
        controller: Controller::ReplicaSet,
        routing: Routing::Any,
        asked_from: NodeId(0),
        timeout: seconds(0.2),
        leads: None,
        steps: vec![Step::Fault { action, hold: seconds(hold), meanwhile: Vec::new() }],
        taints: Vec::new(),
        horizon: seconds(60.0),
    }
}

fn facts(kind: FaultKind) -> FaultFacts {
    let cut = (kind == FaultKind::NodeDisconnect).then_some(Cut::All);
    let grace = (kind == FaultKind::NodeStop).then(|| seconds(10.0));
    FaultFacts { traits: kind.traits(), grace, component: None, cut }
}

fn forecast_one(
    tuning: &Tuning,
    kind: FaultKind,
    hold: f64,
    trials: u32,
    seed: u64,
) -> FaultForecast {
    let settings = Settings::of(tuning, "v1.34.4").unwrap();
    let action = Action::of_fault(facts(kind), NodeId(1)).unwrap();
    forecast(&one_fault(action, hold), &settings, trials, seed).faults.remove(0)
}
