//! Pure: what the model says of an experiment on a cluster. It never sees the measurement.
//!
//! ```text
//! experiment, ClusterModel -> closed form of the detection, and thousands of trials (scenario.rs) -> Predictions
//! ```

mod cluster_model;
mod scenario;
mod traps;

#[cfg(test)]
mod tests;

use std::cell::OnceCell;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use cluster_model::{Backends, ClusterModel, Seen};
pub(crate) use traps::{StepTrap, traps};

use crate::experiment::{Count, Experiment, Fault, PortOn, Probe, Target};
use crate::model::{
    self, Distribution, FaultForecast, KubeletEnd, NodeId, Prediction, Routing, Settings,
    Unpredictable,
};
use crate::stats::{Between, Seconds};
use crate::timeline::{Component, Header, NodeRole};

/// Enough for bounds that one run in a thousand leaves, and done in a blink.
pub const TRIALS: u32 = 2000;
/// The same trials for the same run, whenever it is reported.
pub const SEED: u64 = 1;

/// What the closed form predicts for one fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StepPrediction {
    /// The fault's step in the method, from 0.
    pub step: u32,
    /// The kind of fault: `nodeStop`.
    pub fault: String,
    /// The prediction.
    pub prediction: Option<Prediction>,
    /// Why there is none.
    pub why_not: Option<String>,
}

/// What many trials of one fault came to, as one probe sees it.
#[derive(Clone, Debug)]
pub struct Tried {
    /// The fault's step in the method, from 0.
    pub step: u32,
    /// The probe; `None` where none asks a Service over new connections.
    pub probe: Option<String>,
    /// The Service that it targets.
    pub service: Option<String>,
    /// The node that is hit.
    pub node: String,
    /// The Service's ready endpoints on that node.
    pub endpoints_hit: u32,
    /// All of its ready endpoints.
    pub endpoints: u32,
    /// How the Service chooses among them.
    pub routing: Routing,
    /// What the trials came to.
    pub forecast: FaultForecast,
}

/// A probe whose errors are not predicted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unpredicted {
    pub probe: String,
    pub why: String,
}

impl std::fmt::Display for Unpredicted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "errors of {} are not predicted: {}", self.probe, self.why)
    }
}

/// What the model says of a run.
#[derive(Debug)]
pub struct Predictions {
    /// Each fault, in order, by the closed form.
    pub steps: Vec<StepPrediction>,
    experiment: Option<Experiment>,
    cluster: ClusterModel,
    trials: u32,
    seed: u64,
    tried: OnceCell<Result<Vec<Tried>, String>>,
}

/// What a bound can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity<'a> {
    /// From the fault until the node is noticed.
    Detection,
    /// From the fault until the last endpoint on the node left this Service.
    EndpointRemoval(&'a str),
    /// From the first to the last error of this probe.
    ErrorWindow(&'a str),
    /// From the undo until the steady state.
    Recovery,
}

/// The experiment in a header; `None` when this program does not understand it.
pub fn experiment(header: &Header) -> Option<Experiment> {
    serde_json::from_value(header.experiment.clone()).ok()
}

impl Quantity<'_> {
    /// As reports call it.
    pub fn name(&self) -> String {
        match self {
            Quantity::Detection => "detection".into(),
            Quantity::EndpointRemoval(service) => format!("endpoints of {service} removed"),
            Quantity::ErrorWindow(probe) => format!("errors of {probe}"),
            Quantity::Recovery => "recovery".into(),
        }
    }
}

/// What is predicted of one quantity: the same in a dry run, a forecast and a report, if their clusters
/// and trials are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicted {
    /// What: `detection`, `endpoints of web removed`, `errors of web`, `recovery`.
    pub quantity: String,
    /// From the shortest to the longest.
    pub between: Between,
}

impl Predictions {
    /// Of an experiment on a cluster, with so many trials. They are made when they are first asked for.
    pub fn new(
        experiment: Option<Experiment>,
        cluster: ClusterModel,
        trials: u32,
        seed: u64,
    ) -> Self {
        let cluster = match &experiment {
            Some(experiment) => cluster.of_nodes_that_matter(experiment),
            None => cluster,
        };
        let method = experiment.as_ref().map(Experiment::steps).unwrap_or_default();
        let steps = method.iter().filter_map(|step| Some((step, step.fault()?.0)));
        let steps = steps.map(|(step, fault)| {
            let is_alone = step.during.is_empty() || fault.taint().is_some();
            match is_alone && scenario::overlaps_as_modelled(step.step) {
                true => closed_form(&cluster, step.number, fault),
                false => of_step(step.number, fault, Err(scenario::OVERLAP.to_owned())),
            }
        });
        let steps = steps.collect();
        Self { steps, experiment, cluster, trials, seed, tried: OnceCell::new() }
    }

    /// Of a run, from its header; `cluster` is where it stood before any fault.
    pub fn of_run(header: &Header, cluster: ClusterModel) -> Self {
        Self::new(experiment(header), cluster, TRIALS, SEED)
    }

    /// The probes whose errors are not predicted although a fault may cause some.
    pub fn unpredicted(&self) -> Vec<Unpredicted> {
        let probes = self.experiment.iter().flat_map(|experiment| &experiment.probes);
        let unpredicted = |probe: &Probe| {
            let why = match probe.ask.target()? {
                Target::Address { host, service: None, .. } => {
                    format!(
                        "its address, {host}, belongs to no Service of the cluster, or to a node that a fault can hit"
                    )
                }
                Target::Published { on: PortOn::Each | PortOn::Node { .. }, .. } => {
                    "it targets every node, including those that a fault hits".into()
                }
                Target::Ingress { of_paths, .. } if !of_paths.is_empty() => {
                    "its paths lead to several Services".into()
                }
                _ => return None,
            };
            Some(Unpredicted { probe: probe.name.clone(), why })
        };
        probes.filter_map(unpredicted).collect()
    }

    pub(crate) fn trials(&self) -> u32 {
        self.trials
    }

    /// What the trials came to: for each probe, each fault in order. Errors say why none can be made.
    pub fn tried(&self) -> Result<&[Tried], &str> {
        self.tried.get_or_init(|| self.try_all()).as_deref().map_err(String::as_str)
    }

    fn try_all(&self) -> Result<Vec<Tried>, String> {
        let experiment = self.experiment.as_ref().ok_or("the experiment is not valid")?;
        // Where healthy nodes are taken for dead there is no steady state that could be tried.
        if let Err(why @ Unpredictable::Flapping { .. }) =
            model::predict(&self.cluster.tuning, &self.cluster.kubernetes, KubeletEnd::AtOnce)
        {
            return Err(why.to_string());
        }
        let settings = Settings::of(&self.cluster.tuning, &self.cluster.kubernetes)
            .map_err(|why| why.to_string())?;
        let mut tried = Vec::new();
        for scenario::Course { probe, scenario } in scenario::courses(experiment, &self.cluster)? {
            let forecast = model::forecast(&scenario, &settings, self.trials, self.seed);
            // What is done while a fault lasts is part of that fault's forecast.
            let steps = experiment.steps().into_iter();
            let steps = steps.filter(|step| step.during.is_empty() && step.fault().is_some());
            tried.extend(
                steps
                    .map(|step| step.number)
                    .zip(forecast.faults)
                    .map(|(step, forecast)| self.one(step, probe, &scenario, forecast)),
            );
        }
        Ok(tried)
    }

    fn one(
        &self,
        step: u32,
        probe: Option<&Probe>,
        scenario: &model::Scenario,
        forecast: FaultForecast,
    ) -> Tried {
        let hit = scenario.pods.iter().filter(|node| **node == forecast.node).count();
        Tried {
            step,
            probe: probe.map(|probe| probe.name.clone()),
            service: probe.and_then(|probe| probe.ask.service()).map(ToString::to_string),
            node: self.cluster.topology.nodes[forecast.node.0].name.clone(),
            endpoints_hit: hit as u32,
            endpoints: scenario.pods.len() as u32,
            routing: scenario.routing,
            forecast,
        }
    }

    /// From the shortest to the longest that something takes that the fault of a step causes, in the closed form and in all trials
    /// together; recovery from half to twice of those. Errors say why it is not known.
    pub fn between(&self, quantity: Quantity<'_>, step: u32) -> Result<Between, String> {
        let fault =
            self.steps.iter().find(|fault| fault.step == step).ok_or("there is no such fault")?;
        match (quantity, &fault.prediction) {
            // The closed form leaves a rare tail out, which the trials have.
            (Quantity::Detection, Some(prediction)) => Ok(self
                .in_tries(quantity, step)
                .map_or(prediction.detection, |tried| hull(prediction.detection, tried))),
            (Quantity::Detection, None) => Err(fault.why_not.clone().unwrap_or_default()),
            (Quantity::Recovery, _) => self.in_tries(quantity, step).map(of_any_machine),
            _ => self.in_tries(quantity, step),
        }
    }

    fn in_tries(&self, quantity: Quantity<'_>, step: u32) -> Result<Between, String> {
        let tried = self.tried()?.iter().filter(|tried| tried.step == step);
        let found = tried.filter_map(|tried| tried.of(quantity)).next();
        let distribution = found.ok_or("no probe targets that Service over new connections")?;
        let (happened, never) = (distribution.n(), distribution.never());
        match spread(distribution) {
            Some(spread) if happened > never => Ok(spread),
            _ => Err(format!("it happened in {happened} of {} trials", happened + never)),
        }
    }

    /// Everything that is predicted of the fault of a step.
    pub fn of_step(&self, step: u32) -> Vec<Predicted> {
        let tried = self.tried().unwrap_or_default().iter().filter(|tried| tried.step == step);
        let mut quantities = vec![Quantity::Detection];
        for tried in tried {
            let removal = tried.service.as_deref().map(Quantity::EndpointRemoval);
            let errors = tried.probe.as_deref().map(Quantity::ErrorWindow);
            let new = removal.into_iter().chain(errors).filter(|it| !quantities.contains(it));
            quantities.extend(new.collect::<Vec<_>>());
        }
        quantities.push(Quantity::Recovery);
        let predicted = |quantity: &Quantity<'_>| {
            let between = self.between(*quantity, step).ok()?;
            Some(Predicted { quantity: quantity.name(), between })
        };
        quantities.iter().filter_map(predicted).collect()
    }

    /// The upper end of that.
    pub fn longest(&self, quantity: Quantity<'_>, step: u32) -> Result<Seconds, String> {
        self.between(quantity, step).map(|between| between.most)
    }
}

impl Tried {
    /// What the trials say of a quantity, if it is this probe's or this Service's.
    fn of(&self, quantity: Quantity<'_>) -> Option<&Distribution> {
        match quantity {
            Quantity::Detection => Some(&self.forecast.detection),
            Quantity::EndpointRemoval(service) => (self.service.as_deref() == Some(service))
                .then_some(&self.forecast.endpoint_removal),
            Quantity::ErrorWindow(probe) => {
                (self.probe.as_deref() == Some(probe)).then_some(&self.forecast.error_window)
            }
            Quantity::Recovery => Some(&self.forecast.recovery),
        }
    }
}

fn spread(distribution: &Distribution) -> Option<Between> {
    let summary = distribution.summary();
    Some(Between::new(summary.min?.into(), summary.max?.into()))
}

fn hull(a: Between, b: Between) -> Between {
    Between::new(a.least.min(b.least), a.most.max(b.most))
}

/// How fast a node boots is its machine's own: the model's times were measured on one. Another may take half of them, or twice.
fn of_any_machine(spread: Between) -> Between {
    Between::new((spread.least.as_f64() / 2.0).into(), (spread.most.as_f64() * 2.0).into())
}

fn of_step(step: u32, fault: &Fault, prediction: Result<Prediction, String>) -> StepPrediction {
    let (prediction, why_not) = match prediction {
        Ok(prediction) => (Some(prediction), None),
        Err(why) => (None, Some(why)),
    };
    StepPrediction { step, fault: fault.kind().name().to_owned(), prediction, why_not }
}

fn closed_form(cluster: &ClusterModel, step: u32, fault: &Fault) -> StepPrediction {
    let predicted = leader_hit(cluster, step, fault).map_err(str::to_owned).and_then(|leader| {
        let end = KubeletEnd::of_fault(fault.facts());
        let prediction = model::predict(&cluster.tuning, &cluster.kubernetes, end)
            .map_err(|why| why.to_string())?;
        Ok(match leader {
            Some(share) => prediction.with_leader_hit(share),
            None => prediction,
        })
    });
    of_step(step, fault, predicted)
}

/// How probable it is that the leader of the controller managers is hit, or etcd's; `None`: it is
/// not. Errors say why no controller will miss what is hit, where it is known beforehand.
fn leader_hit(
    cluster: &ClusterModel,
    step: u32,
    fault: &Fault,
) -> Result<Option<f64>, &'static str> {
    let Some(target) = fault.target().filter(|_| fault.takes_node()) else { return Ok(None) };
    if target.role == Some(NodeRole::ExternalLoadBalancer) {
        return Err("the load balancer is not a Kubernetes node: nothing monitors its heartbeats");
    }
    let is_plane = |node: &NodeId| cluster.topology.nodes[node.0].role == NodeRole::ControlPlane;
    let planes = cluster.topology.ids().filter(is_plane).count();
    let hit = cluster.hit_by(step, target);
    // Of those that another may be hit instead of, nothing is known beforehand.
    let is_certain = hit.len() == 1 && cluster.targets.contains_key(&step)
        || cluster.matching(target, &[]).iter().all(is_plane)
        || target.count == Count::All;
    match hit.iter().copied().filter(is_plane).count() {
        0 => Ok(None),
        _ if !is_certain => Ok(None),
        hit if hit == planes => Err("no control plane is left to detect it"),
        hit if 2 * (planes - hit) <= planes => {
            Err("etcd has no majority without it: no controller can detect it")
        }
        _ if target.leader == Some(Component::ControllerManager) => Ok(Some(1.0)),
        // Two leaders, each of them anywhere.
        hit => Ok(Some(1.0 - (1.0 - hit as f64 / planes as f64).powi(2))),
    }
}
