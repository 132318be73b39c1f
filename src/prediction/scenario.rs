//! An experiment on a cluster as courses of events that the model can try: one for each probe.

use std::collections::BTreeMap;

use super::cluster_model::{Backends, ClusterModel};
use crate::experiment::{Connection, Experiment, Fault, From, NodeSelector, Probe, Step, Target};
use crate::model::{self, Action, Leads, NodeId, Scenario, TaintId};
use crate::timeline::{NodeRole, Taint};

/// Who looks for dead nodes may be dead itself.
pub(super) const OVERLAP: &str = "faults that overlap are not modelled";

/// A course of events, and the probe whose view it is.
pub(super) struct Course<'a> {
    /// The probe; `None`: nobody asks, only the cluster is followed.
    pub probe: Option<&'a Probe>,
    /// What happens.
    pub scenario: Scenario,
}

/// One course for each probe that asks a Service of known backends over new connections; where
/// there is none, one without. Errors say what is not modelled.
pub(super) fn courses<'a>(
    experiment: &'a Experiment,
    cluster: &ClusterModel,
) -> Result<Vec<Course<'a>>, String> {
    let mut method = Method { cluster, taints: Vec::new(), number: 0, hit: BTreeMap::new() };
    let steps = method.steps(&experiment.method)?;
    let taints = method.taints;
    let course = |probe: Option<&'a Probe>, backends: &Backends| Course {
        probe,
        scenario: Scenario {
            taints: taints.clone(),
            ..scenario(experiment, cluster, &steps, backends, probe)
        },
    };
    let asked =
        experiment.probes.iter().filter_map(|probe| Some((probe, backends(probe, cluster)?)));
    let mut courses: Vec<Course> =
        asked.map(|(probe, backends)| course(Some(probe), backends)).collect();
    if let Some(why) = courses.iter().find_map(never_answered) {
        return Err(why);
    }
    if let Some(why) = experiment.probes.iter().find_map(|probe| nowhere(probe, cluster)) {
        return Err(why);
    }
    if courses.is_empty() {
        courses.push(course(None, &Backends::default()));
    }
    Ok(courses)
}

/// Why none of a probe's requests is answered, even before the fault.
fn never_answered(Course { probe, scenario }: &Course) -> Option<String> {
    let service = (*probe)?.ask.service()?;
    let here = scenario.asked_from;
    let answered = !scenario.routing.is_local() || scenario.pods.contains(&here);
    let node = &scenario.topology.nodes[here.0].name;
    (!answered).then(|| {
        format!("the Service {service} has `internalTrafficPolicy: Local`, but no pod on {node}, where the probe runs")
    })
}

/// Why a probe's Service has no pods.
fn nowhere(probe: &Probe, cluster: &ClusterModel) -> Option<String> {
    let service = probe.ask.service()?;
    cluster.services.get(&service.to_string())?.nodes.is_empty().then(|| {
        format!(
            "the Service {service} has no pods here: it has no replicas, or no node fits its pods' \
             nodeSelector, node affinity and tolerations"
        )
    })
}

fn backends<'a>(probe: &Probe, cluster: &'a ClusterModel) -> Option<&'a Backends> {
    // What is asked on a node that is down gets no answer, wherever the pods are.
    if matches!(probe.ask.target(), Some(Target::Published { on, .. }) if !on.is_spared()) {
        return None;
    }
    // A kept connection to a dead pod hangs until its client gives up: another story.
    let backends = cluster.services.get(&probe.ask.service()?.to_string())?;
    (probe.connection == Connection::New && !backends.nodes.is_empty()).then_some(backends)
}

fn scenario(
    experiment: &Experiment,
    cluster: &ClusterModel,
    steps: &[model::Step],
    backends: &Backends,
    probe: Option<&Probe>,
) -> Scenario {
    let hit: Vec<NodeId> = steps.iter().filter_map(model::Step::target).collect();
    let asking = probe.and_then(|probe| match &probe.from {
        From::Node(selector) => cluster.matching(selector, &hit).first().copied(),
        From::Pod { .. } | From::Host => None,
    });
    let standing = || cluster.topology.ids().find(|node| !hit.contains(node));
    Scenario {
        topology: cluster.topology.clone(),
        pods: backends.nodes.clone(),
        pod: backends.pod.clone(),
        controller: backends.controller,
        routing: backends.routing,
        asked_from: asking.or_else(standing).unwrap_or(NodeId(0)),
        timeout: probe.map_or_else(Default::default, |probe| probe.timeout),
        leads: leads(experiment, cluster),
        steps: steps.to_vec(),
        taints: Vec::new(),
        horizon: experiment.steady_state_timeout,
    }
}

/// Whether what is done while a step lasts can be modelled: taints and pauses, one after the other.
pub(super) fn overlaps_as_modelled(step: &Step) -> bool {
    step.meanwhile().iter().all(|inner| match inner {
        Step::Fault { fault, meanwhile, .. } => fault.taint().is_some() && meanwhile.is_empty(),
        Step::Pause { .. } => true,
    })
}

/// Turns a method into what the model can try.
struct Method<'a> {
    cluster: &'a ClusterModel,
    /// Those of its steps so far.
    taints: Vec<Taint>,
    /// Of the next step.
    number: u32,
    /// The nodes of the steps with a name.
    hit: BTreeMap<String, NodeId>,
}

impl Method<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<Vec<model::Step>, String> {
        steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Result<model::Step, String> {
        let number = self.number;
        self.number += 1;
        match step {
            Step::Pause { hold } => Ok(model::Step::Pause(*hold)),
            Step::Fault { .. } if !overlaps_as_modelled(step) => Err(OVERLAP.into()),
            Step::Fault { name, fault, hold, meanwhile } => {
                let action = self.action(fault, number)?;
                let named = name.clone().zip(action.target());
                self.hit.extend(named);
                let meanwhile = self.steps(meanwhile)?;
                Ok(model::Step::Fault { action, hold: *hold, meanwhile })
            }
        }
    }

    fn action(&mut self, fault: &Fault, number: u32) -> Result<Action, String> {
        let node = match fault.target() {
            None => NodeId(0),
            Some(target) => self.node(fault, target, number)?,
        };
        let Some(taint) = fault.taint() else {
            let why = |why| format!("{} is not predicted: {why}", fault.kind());
            return Action::of_fault(fault.facts(), node).map_err(why);
        };
        let known = self.taints.iter().position(|known| known == taint);
        let taint = TaintId(known.unwrap_or_else(|| {
            self.taints.push(taint.clone());
            self.taints.len() - 1
        }));
        Ok(Action::Taint { node, taint, present: true })
    }

    fn node(&self, fault: &Fault, target: &NodeSelector, number: u32) -> Result<NodeId, String> {
        if let Some(node) = target.of.as_ref().and_then(|name| self.hit.get(name)) {
            return Ok(*node);
        }
        match self.cluster.hit_by(number, target)[..] {
            [node] => Ok(node),
            [] => Err(format!("no known node matches the target of {}", fault.kind())),
            _ => Err("faults on several nodes at the same time are not modelled".into()),
        }
    }
}

/// Who leads in the beginning, where the first fault is aimed at a leader, or at one who follows.
fn leads(experiment: &Experiment, cluster: &ClusterModel) -> Option<Leads> {
    let steps = experiment.steps();
    let (number, fault) = steps.iter().find_map(|step| Some((step.number, step.fault()?.0)))?;
    let target = fault.target()?;
    let node = *cluster.hit_by(number, target).first()?;
    let NodeSelector { leader, followers, .. } = target;
    let other = || cluster.topology.with_role(NodeRole::ControlPlane).find(|plane| *plane != node);
    match (leader, followers) {
        (Some(component), _) => Some(Leads { component: *component, node }),
        (None, Some(component)) => Some(Leads { component: *component, node: other()? }),
        (None, None) => None,
    }
}
