//! `run --dry-run`: what would be done, to what, and how each step would be undone. Changes
//! nothing.

mod document;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::command::Command;
use super::form::Form;
use super::output::{complain_lines, visible};
use super::outputs::Outputs;
use super::suite::Times;
use super::{exit, expected_cluster, failure::Failure, print};
use crate::canary;
use crate::cluster::{Pod, PodOnNode};
use crate::engine::backend::real;
use crate::engine::environment::handle::{ClusterHandle, Found, Nodes};
use crate::engine::environment::provision::{self, ClusterSpec};
use crate::engine::error::RunError;
use crate::engine::plan::{known, pods};
use crate::engine::preflight::{programs, without_errors};
use crate::engine::session;
use crate::experiment::{Ask, Count, Experiment, Fault, From, HttpAsk, Parsed};
use crate::fault::{self, ObjectFaultRecord};
use crate::plan::preview::Preview;
use crate::plan::{self, Known, Node, Plan, PlannedStep, Request, each};
use crate::prediction::{ClusterModel, Predicted, Predictions, Quantity, SEED, TRIALS};
use crate::preflight::Level;
use crate::report::{hang, json};
use crate::timeline::{Impact, NodeRole, counted, few};
use document::Document;

pub(super) struct DryRun {
    width: usize,
    times: Times,
    documents: Vec<Document>,
}

/// What a plan of an experiment is made for.
struct Target<'a> {
    cluster: document::Cluster,
    workload: Vec<String>,
    nodes: Option<Vec<Node>>,
    known: Known,
    handle: Option<&'a ClusterHandle>,
    model: Option<ClusterModel>,
}

impl DryRun {
    /// `times`: how often each experiment is to be run.
    pub(super) fn new(width: usize, times: Times) -> Self {
        Self { width, times, documents: Vec::new() }
    }

    /// Plans one experiment, and prints the plan where it is for people.
    pub(super) async fn add(
        &mut self,
        parsed: &Parsed,
        wanted: &ClusterSpec,
        command: &Command<'_>,
    ) -> Result<u8, Failure> {
        let found = provision::find(wanted, &command.environment, &mut |_| {}).await?;
        let (parsed, target) = match &found {
            Found::ClusterHandle(handle) => match in_cluster(parsed, handle).await {
                Ok(resolved) => resolved,
                Err(error) => {
                    let preflight = command.preflight(handle, Some(parsed));
                    return Err(preflight.explain(error).await.into());
                }
            },
            Found::Absent(name) => {
                (parsed.clone(), absent(parsed, name, command.environment.node_image)?)
            }
        };
        let parsed = &parsed;
        let margin = command.execution.undo_timer_margin;
        let margin = match &found {
            Found::ClusterHandle(handle) => {
                command.execution.warn_of_margin(handle);
                handle.undo_timer_margin(margin)
            }
            Found::Absent(_) => margin,
        };
        let document = planned(parsed, target, margin, self.times, TRIALS).await?;
        if command.outputs.stdout.is_for_people() {
            print(&document.text(self.width));
        }
        self.documents.push(document);
        // Last, so that it is seen what would be hit.
        let handle = match &found {
            Found::ClusterHandle(handle) => Some(&**handle),
            Found::Absent(_) => None,
        };
        handle.map_or(Ok(()), |handle| command.refuse_unnamed(parsed, handle))?;
        refuse_unready(parsed, handle, command).await?;
        Ok(exit::PASS)
    }

    /// Writes all plans as one document, where that was not done one after the other.
    pub(super) fn write(&self, outputs: &Outputs) -> u8 {
        if !outputs.stdout.is_for_people() {
            print(&self.all(outputs.stdout));
        }
        outputs.write_files(|form, out| write!(out, "{}", visible(&self.all(form))))
    }

    fn all(&self, form: Form) -> String {
        match form {
            Form::Json => json::pretty(&self.documents),
            Form::Yaml => json::yaml(&self.documents),
            _ => {
                let plans = self.documents.iter().map(|plan| plan.text(self.width));
                plans.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

/// What a run looks at first on this machine and in somebody's cluster: an error refuses it here,
/// too.
async fn refuse_unready(
    parsed: &Parsed,
    handle: Option<&ClusterHandle>,
    command: &Command<'_>,
) -> Result<(), Failure> {
    let found = match handle.filter(|handle| matches!(handle.nodes, Nodes::Api(_))) {
        Some(handle) => command.preflight(handle, Some(parsed)).of_run().await?,
        None => without_errors(programs(&parsed.experiment).await)?,
    };
    for finding in found.iter().filter(|finding| finding.level == Level::Warning) {
        let text = format!("{}: {}", finding.check.words(), finding.message);
        complain_lines(&hang("warning: ", &text, command.env.stderr.width));
    }
    Ok(())
}

fn absent<'a>(parsed: &Parsed, name: &str, image: Option<&str>) -> Result<Target<'a>, Failure> {
    let cluster = document::Cluster {
        name: name.to_owned(),
        context: None,
        server: None,
        user: None,
        exists: false,
        kubernetes: None,
        nodes: None,
        engine: None,
        node_image: image.map(str::to_owned),
    };
    Ok(Target {
        cluster,
        workload: Vec::new(),
        nodes: expected_cluster::nodes(parsed),
        known: Known::default(),
        handle: None,
        model: expected_cluster::model(parsed),
    })
}

/// The experiment with what its probes mean in this cluster, and what it is planned for.
async fn in_cluster<'a>(
    parsed: &Parsed,
    handle: &'a ClusterHandle,
) -> Result<(Parsed, Target<'a>), RunError> {
    let resolved = session::resolved(handle, parsed).await?;
    let parsed = &resolved;
    let facts = &handle.facts;
    let cluster = document::Cluster {
        name: facts.name.clone(),
        context: handle.context().map(str::to_owned),
        server: facts.context.as_ref().map(|context| context.server.clone()),
        user: facts.context.as_ref().and_then(|context| context.user.clone()),
        exists: true,
        kubernetes: Some(facts.kubernetes.clone()),
        nodes: Some(facts.nodes.len()),
        engine: facts.engine.clone(),
        node_image: None,
    };
    let workload = session::fits(handle, parsed).await?.summary();
    let nodes = handle.nodes().await?;
    session::look_up(handle, parsed, &nodes).await?;
    let known = known::now(handle, &parsed.experiment, &nodes).await?;
    let model = expected_cluster::with_workload(ClusterModel::of_cluster(facts), parsed);
    let target = Target {
        cluster,
        workload,
        nodes: Some(nodes),
        known,
        handle: Some(handle),
        model: Some(model),
    };
    Ok((resolved, target))
}

async fn planned(
    parsed: &Parsed,
    target: Target<'_>,
    undo_timer_margin: Duration,
    Times { repeat, retries }: Times,
    trials: u32,
) -> Result<Document, Failure> {
    let experiment = &parsed.experiment;
    let nodes = match (&target.nodes, target.handle) {
        (Some(nodes), Some(_)) => plan::Nodes::Running(nodes),
        (Some(nodes), None) => plan::Nodes::Expected(nodes),
        (None, _) => plan::Nodes::Unknown,
    };
    let mut plan = plan::plan(Request {
        experiment,
        nodes,
        known: target.known.clone(),
        seed: None,
        undo_timer_margin,
    });
    if !plan.refused.is_empty() {
        return Err(plan.refused.swap_remove(0).why.into());
    }
    let predictions =
        target.model.map(|model| Predictions::new(Some(experiment.clone()), model, trials, SEED));
    let (mut steps, mut on_nodes) = (Vec::new(), PodsOnNodes::new());
    for step in &plan.steps {
        let predicted = predictions.as_ref().map(|all| all.of_step(step.step.number));
        let predicted = predicted.unwrap_or_default();
        let (handle, known) = (target.handle, &target.known);
        steps.extend(step_of(experiment, step, handle, known, predicted, &mut on_nodes).await?);
    }
    Ok(Document {
        format: document::FORMAT,
        experiment: experiment.name.clone(),
        file: parsed.source.name().to_owned(),
        cluster: target.cluster,
        workload: target.workload,
        probes: probes(experiment, &plan, target.nodes.as_deref()),
        helpers: target.handle.and_then(|handle| helpers(experiment, &plan, handle, &target.nodes)),
        steps,
        repeat,
        retries,
        at_least_seconds: (plan.length.at_least * repeat).into(),
        at_most_seconds: (plan.length.at_most * repeat * (1 + retries)).into(),
    })
}

fn helpers(
    experiment: &Experiment,
    plan: &Plan<'_>,
    handle: &ClusterHandle,
    nodes: &Option<Vec<Node>>,
) -> Option<document::Helpers> {
    let Nodes::Api(api) = &handle.nodes else { return None };
    let entered = plan.entered(experiment, nodes.as_ref()?);
    let from_pod = experiment.probes.iter().any(|probe| matches!(probe.from, From::Pod(_)));
    let kinds = experiment.fault_kinds();
    let kills = kinds.iter().any(|kind| kind.traits().impact == Impact::Containers);
    experiment.works_in_nodes().then(|| document::Helpers {
        image: api.image(experiment).to_owned(),
        nodes: entered.into_iter().map(|node| node.name.clone()).collect(),
        of_pods: from_pod || kills,
    })
}

fn probes(experiment: &Experiment, plan: &Plan, nodes: Option<&[Node]>) -> Vec<document::Probe> {
    let from = |probe: &crate::experiment::Probe| match &probe.from {
        _ if probe.ask.canary().is_some() => None,
        From::Host => Some("this machine".into()),
        From::Node(_) => {
            let host = plan.hosts.iter().find(|host| host.probe.name == probe.name)?;
            Some(host.node.name.clone())
        }
        From::Pod(pods) => Some(format!("the pod {pods}")),
    };
    let probe = |probe: &crate::experiment::Probe| document::Probe {
        name: probe.name.clone(),
        per_second: probe.rate,
        on_each: on_each(&probe.ask, nodes),
        canary: probe.ask.canary().map(|canary| canary::describe(canary).to_string()),
        side_effects: side_effects(&probe.ask),
        from: from(probe),
    };
    experiment.probes.iter().map(probe).collect()
}

fn on_each(ask: &Ask, nodes: Option<&[Node]>) -> Option<document::OnEach> {
    let is_asked = each::asked_roles(ask)?;
    let count = |nodes: &[Node]| nodes.iter().filter(|node| is_asked(node.role)).count();
    Some(document::OnEach { nodes: nodes.map(count) })
}

fn side_effects(ask: &Ask) -> Option<document::SideEffects> {
    let Ask::Http(http) = ask else { return None };
    let HttpAsk { method, target, .. } = &**http;
    method
        .has_side_effects()
        .then(|| document::SideEffects { method: method.name(), target: target.to_string() })
}

async fn step_of(
    experiment: &Experiment,
    planned: &PlannedStep<'_>,
    handle: Option<&ClusterHandle>,
    known: &Known,
    predicted: Vec<Predicted>,
    on_nodes: &mut PodsOnNodes,
) -> Result<Option<document::Step>, Failure> {
    let PlannedStep { step, candidates, undo_after, .. } = planned;
    let Some((fault, hold)) = step.fault() else { return Ok(None) };
    if let Some(Nodes::Kind(nodes)) = handle.map(|handle| &handle.nodes) {
        real::refuse_lost_address(nodes, fault, candidates).await?;
    }
    let model = handle.is_some_and(ClusterHandle::is_model);
    let by_api = handle.is_some_and(|handle| matches!(handle.nodes, Nodes::Api(_)));
    let preview = |node: &&Node| match model {
        true => Preview { undo: fault::describe_in_model(fault, &node.name), commands: Vec::new() },
        false => plan::preview::on_node(fault, node, step.number, *undo_after, !by_api),
    };
    let previews: Vec<Preview> = candidates.iter().map(preview).collect();
    let commands = previews.first().map_or_else(Vec::new, |first| first.commands.clone());
    let undo = match fault.target() {
        Some(_) => previews.into_iter().map(|preview| preview.undo).collect(),
        None => {
            let cluster = handle.map(|handle| &handle.cluster);
            let undo = fault::preview_undo(fault, cluster).await.map_err(RunError::refused_by)?;
            undo.into_iter().collect()
        }
    };
    let now = match handle.filter(|handle| !handle.is_model()) {
        Some(handle) => now(experiment, fault, candidates, handle, on_nodes).await?,
        None => Vec::new(),
    };
    let target = fault.target();
    let by_lead = target.and_then(|target| target.leader.or(target.followers));
    Ok(Some(document::Step {
        step: step.number,
        name: step.name().map(str::to_owned),
        fault: fault.kind().to_string(),
        component: fault.component().map(|component| component.name().to_owned()),
        target: target.map_or_else(|| fault.objects().unwrap_or_default(), plan::describe),
        candidates: candidates.iter().map(|node| node.name.clone()).collect(),
        count: target.and_then(|target| match target.count {
            Count::Exactly(count) => Some(count),
            Count::All => None,
        }),
        most_endpoints_of: target.and_then(|it| Some(it.most_endpoints_of.as_ref()?.to_string())),
        leader_of: target.and_then(|target| Some(target.leader?.name().to_owned())),
        followers_of: target.and_then(|target| Some(target.followers?.name().to_owned())),
        hit_by: target.and_then(|target| target.of.clone()),
        during: step.during.last().copied(),
        hold_seconds: hold.into(),
        undo_timer: (fault.lasts() && !model).then(|| document::UndoTimer {
            by: if fault.traits().is_inside_node() { "node" } else { "watchdog" },
            seconds_after_confirmation: undo_after.confirmed.into(),
            seconds_after_request: undo_after.requested.into(),
        }),
        now,
        commands,
        undo,
        leaders: by_lead.filter(|_| handle.is_some()).map(|_| plan::who_leads(&known.leaders)),
        detection_within_seconds: predicted
            .iter()
            .find(|it| it.quantity == Quantity::Detection.name())
            .map(|it| it.between.most),
        predicted,
    }))
}

/// Of so many candidates it is shown what they would lose: each is a call.
const MOST_LOOKED_AT: usize = 8;

/// The pods on nodes, for people, each node listed once; `None`: it has none.
type PodsOnNodes = BTreeMap<String, Option<String>>;

/// What a fault would hit now, a sentence each. Refused where the fault would be.
async fn now(
    experiment: &Experiment,
    fault: &Fault,
    candidates: &[&Node],
    handle: &ClusterHandle,
    on_nodes: &mut PodsOnNodes,
) -> Result<Vec<String>, RunError> {
    const OWN: &str = "the run's own namespace, which does not exist yet";
    let cluster = &handle.cluster;
    let mut lines = Vec::new();
    if fault.pods().is_some() {
        let found = pods::pods_now(cluster, &experiment.blast_radius, fault).await?;
        lines.push(match (found, fault.foreign_namespace()) {
            (Some(pods), Some(namespace)) => {
                let on = |node: &String| format!(" on {node}");
                let name = |pod: &Pod| {
                    format!("{}{}", pod.name, pod.node.as_ref().map_or(String::new(), on))
                };
                let (of, names) = (counted(pods.len(), "pod"), few(pods.iter().map(name)));
                format!("would choose from {of} in namespace {namespace} now: {names}")
            }
            _ => format!("will choose from the pods in {OWN}"),
        });
    }
    let namespaces = &experiment.namespaces();
    let looked_at = candidates.iter().take(MOST_LOOKED_AT);
    for node in looked_at {
        if let Some(record) = ObjectFaultRecord::plan_on_node(fault, &node.name, namespaces) {
            lines.extend(record.outlook(cluster).await.map_err(RunError::refused_by)?);
        } else if fault.takes_pods() && node.role != NodeRole::ExternalLoadBalancer {
            if !on_nodes.contains_key(&node.name) {
                let pods = cluster.pods_on(&node.name, None).await.map_err(RunError::refused_by)?;
                on_nodes.insert(node.name.clone(), PodOnNode::by_namespace(&pods));
            }
            let pods = on_nodes[&node.name].as_ref();
            lines.extend(pods.map(|pods| format!("also on {}: {pods}", node.name)));
        }
    }
    if candidates.len() > MOST_LOOKED_AT && !lines.is_empty() {
        let left = counted(candidates.len() - MOST_LOOKED_AT, "more candidate");
        lines.push(format!("the pods on {left} were not checked"));
    }
    if matches!(fault, Fault::NodeDrain { .. }) && !experiment.workload.is_empty() {
        lines.push(format!("will evict pods in {OWN}"));
    }
    Ok(lines)
}
