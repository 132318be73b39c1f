//! An experiment on a cluster as courses of events that the model can try: one for each probe.

use super::cluster_model::{Backends, ClusterModel};
use crate::experiment::{Connection, Count, Experiment, From, Numbered, Probe, Step};
use crate::model::{self, Action, NodeId, Routing, Scenario};

/// A course of events, and the probe whose view it is.
pub(super) struct Course<'a> {
    /// The probe; `None`: nobody asks, only the cluster is followed.
    pub probe: Option<&'a Probe>,
    /// What happens.
    pub scenario: Scenario,
}

/// One course for each probe that asks a Service of known back ends over new connections; where
/// there is none, one without. Errors say what is not modelled.
pub(super) fn courses<'a>(
    experiment: &'a Experiment,
    cluster: &ClusterModel,
) -> Result<Vec<Course<'a>>, String> {
    let steps = steps(experiment, cluster)?;
    let asked =
        experiment.probes.iter().filter_map(|probe| Some((probe, backends(probe, cluster)?)));
    let mut courses: Vec<Course> = asked
        .map(|(probe, backends)| Course {
            probe: Some(probe),
            scenario: scenario(experiment, cluster, &steps, backends, Some(probe)),
        })
        .collect();
    if let Some(why) = courses.iter().find_map(never_answered) {
        return Err(why);
    }
    if courses.is_empty() {
        let nobody = Backends::default();
        courses.push(Course {
            probe: None,
            scenario: scenario(experiment, cluster, &steps, &nobody, None),
        });
    }
    Ok(courses)
}

/// Why none of a probe's requests is answered, even before the fault.
fn never_answered(Course { probe, scenario }: &Course) -> Option<String> {
    let service = (*probe)?.ask.service()?;
    let here = scenario.asked_from;
    let answered = scenario.routing != Routing::Local || scenario.pods.contains(&here);
    let node = &scenario.topology.nodes[here.0].name;
    (!answered).then(|| {
        format!("the Service {service} has `internalTrafficPolicy: Local` and no pod on {node}, from which it is asked")
    })
}

fn backends<'a>(probe: &Probe, cluster: &'a ClusterModel) -> Option<&'a Backends> {
    // A kept connection to a dead pod hangs until its client gives up: another story.
    let backends = cluster.services.get(probe.ask.service()?)?;
    (probe.connection == Connection::New && !backends.nodes.is_empty()).then_some(backends)
}

fn scenario(
    experiment: &Experiment,
    cluster: &ClusterModel,
    steps: &[model::Step],
    backends: &Backends,
    probe: Option<&Probe>,
) -> Scenario {
    let harmed: Vec<NodeId> = steps.iter().filter_map(harmed).collect();
    let asking = probe.and_then(|probe| match &probe.from {
        From::Node(selector) => cluster.find(selector, &harmed),
        From::Pod { .. } | From::Host => None,
    });
    let standing = || cluster.topology.ids().find(|node| !harmed.contains(node));
    Scenario {
        topology: cluster.topology.clone(),
        pods: backends.nodes.clone(),
        pod: backends.pod.clone(),
        controller: backends.controller,
        routing: backends.routing,
        asked_from: asking.or_else(standing).unwrap_or(NodeId(0)),
        timeout: probe.map_or_else(Default::default, |probe| probe.timeout),
        steps: steps.to_vec(),
        horizon: experiment.steady_state_timeout,
    }
}

fn harmed(step: &model::Step) -> Option<NodeId> {
    match step {
        model::Step::Fault { action, .. } => action.node(),
        model::Step::Pause(_) => None,
    }
}

fn steps(experiment: &Experiment, cluster: &ClusterModel) -> Result<Vec<model::Step>, String> {
    let steps = experiment.steps();
    if steps.iter().any(|step| !step.during.is_empty()) {
        return Err("faults that overlap are not modelled".into());
    }
    if steps
        .iter()
        .filter_map(Numbered::fault)
        .any(|(fault, _)| fault.target().is_some_and(|target| target.count != Count::default()))
    {
        return Err("faults on several nodes at the same time are not modelled".into());
    }
    let steps = steps.into_iter().map(|step| (step.step, step.number));
    steps
        .map(|(step, number)| match step {
            Step::Pause { hold } => Ok(model::Step::Pause(*hold)),
            Step::Fault { fault, hold, .. } => {
                let known =
                    cluster.targets.get(&number).and_then(|name| cluster.topology.find(name));
                let node = known.or_else(|| cluster.find(fault.target()?, &[]));
                let node = node.ok_or_else(|| format!("no known node matches {}", fault.kind()))?;
                let action = Action::of_fault(fault.kind(), node, fault.grace())
                    .ok_or_else(|| format!("{} is not modelled", fault.kind()))?;
                Ok(model::Step::Fault { action, hold: *hold })
            }
        })
        .collect()
}
