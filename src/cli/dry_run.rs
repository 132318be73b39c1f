//! `run --dry-run`: what would be done, to what, and how each step would be undone. Changes nothing.

use std::time::Duration;

use super::args::Run;
use super::{exit, failure::Failure, planned, print};
use crate::canary::describe;
use crate::docker::Container;
use crate::engine::backend::embedded;
use crate::engine::environment::provision::{
    self, ClusterHandle, ClusterSpec, Environment, Found, Nodes,
};
use crate::engine::error::RunError;
use crate::engine::leaders;
use crate::engine::plan::target::{self, Endpoints, Known, Node};
use crate::engine::plan::{self, Planned, object_undo};
use crate::engine::run::duration_at_least;
use crate::engine::seed::Seed;
use crate::engine::session;
use crate::experiment::{Count, Fault, From, NodeSelector, Numbered, Parsed};
use crate::fault::{self, NodeTarget};
use crate::prediction::{self, Predictions, Quantity};
use crate::stats::Seconds;

/// Prints the plan of one experiment.
pub(super) async fn dry_run(
    parsed: &Parsed,
    wanted: &ClusterSpec,
    environment: &Environment<'_>,
    args: &Run,
) -> Result<u8, Failure> {
    let mut lines = vec![format!(
        "{} ({}), dry run: nothing is changed",
        parsed.experiment.name,
        parsed.source.name()
    )];
    match provision::find(wanted, environment, &mut |_| {}).await? {
        Found::ClusterHandle(handle) => in_cluster(parsed, &handle, &mut lines).await?,
        Found::Absent(name) => {
            absent(parsed, &name, args.node_image.as_deref(), &mut lines).await?
        }
    }
    let times = format!(" {} times", args.repeat);
    let at_least = duration_at_least(&parsed.experiment) * args.repeat;
    lines.push(format!(
        "takes at least {} s{}",
        at_least.as_secs(),
        if args.repeat > 1 { times.as_str() } else { "" }
    ));
    print(&lines.join("\n"));
    Ok(exit::PASS)
}

async fn absent(
    parsed: &Parsed,
    name: &str,
    image: Option<&str>,
    lines: &mut Vec<String>,
) -> Result<(), Failure> {
    let image =
        image.map_or("kind's own node image".to_owned(), |image| format!("node image {image}"));
    lines.push(format!("cluster   kind cluster {name} would be made ({image}) and kept"));
    let predictions = planned::today(parsed).map(|handle| closed_form(parsed, handle));
    for step in parsed.experiment.steps() {
        let Some((fault, hold)) = step.fault() else { continue };
        let (number, during, hold) = (step.number, during(&step), hold.as_secs_f64());
        let called = called(&step);
        let target =
            fault.target().map_or_else(|| fault.objects().unwrap_or_default(), target::describe);
        let undo = object_undo::outlook(fault, number, None).await?;
        let then = if undo.is_none() { ", then undone" } else { "" };
        lines.push(format!("{called}    {} on {target}, for {hold} s{during}{then}", named(fault)));
        lines.extend(undo.map(|undo| format!("          {undo}")));
        lines.extend(predictions.as_ref().and_then(|predictions| predicted(predictions, number)));
    }
    Ok(())
}

/// A fault and the part that it hits: `componentStop of kube-scheduler`.
fn named(fault: &Fault) -> String {
    let part =
        fault.component().map_or(String::new(), |component| format!(" of {}", component.name()));
    format!("{}{part}", fault.kind())
}

/// What would take a fault back, on each node that it may hit.
fn undos(
    handle: &ClusterHandle,
    names: &[&str],
    fault: &Fault,
    step: u32,
    hold: Duration,
) -> Vec<String> {
    match &handle.nodes {
        Nodes::Kind(nodes) => {
            let hit = nodes
                .containers
                .iter()
                .filter(|container| names.contains(&container.name.as_str()));
            let undo = |c: &Container| {
                fault::plan_on_node(fault, &NodeTarget::new(&c.name, c), "dry-run", step, hold)
            };
            hit.map(|c| {
                undo(c)
                    .map_or_else(|| undone_otherwise(fault, &c.name), |undo| fault::describe(&undo))
            })
            .collect()
        }
        Nodes::Embedded(_) => names.iter().map(|name| embedded::describe(fault, name)).collect(),
    }
}

fn undone_otherwise(fault: &Fault, node: &str) -> String {
    match fault {
        Fault::NodeDrain { .. } => format!("uncordon node {node}"),
        _ => format!("take the packet filter out of container {node}"),
    }
}

/// Not tried: the closed form is enough.
fn closed_form(parsed: &Parsed, handle: prediction::Ground) -> Predictions {
    Predictions::new(Some(parsed.experiment.clone()), handle, 0, 0)
}

fn predicted(predictions: &Predictions, step: u32) -> Option<String> {
    let latest = predictions.longest(Quantity::Detection, step).ok()?;
    Some(format!("          detection is predicted within {latest:.1}"))
}

async fn in_cluster(
    parsed: &Parsed,
    handle: &ClusterHandle,
    lines: &mut Vec<String>,
) -> Result<(), Failure> {
    if matches!(handle.nodes, Nodes::Embedded(_)) {
        embedded::refuse_unmodelled(&parsed.experiment)?;
    }
    let facts = &handle.facts;
    let engine =
        facts.engine.as_deref().unwrap_or("a model inside this program: no real Kubernetes");
    lines.push(format!(
        "cluster   {} (Kubernetes {}, {} nodes), {engine}",
        facts.name,
        facts.kubernetes,
        facts.nodes.len()
    ));
    let workload = session::workload(handle, parsed).await?.summary();
    if !workload.is_empty() {
        lines.push(format!("workload  {} in a namespace of the run's own", workload.join(", ")));
    }
    let nodes = handle.nodes().await?;
    for probe in &parsed.experiment.probes {
        if let Some(canary) = probe.ask.canary() {
            let every = Seconds::from_f64(1.0 / probe.rate);
            lines.push(format!(
                "canary    {}: {}; asked of the API every {every}",
                probe.name,
                describe(canary)
            ));
            continue;
        }
        lines.push(format!(
            "probe     {}: {} attempts a second from {}",
            probe.name,
            probe.rate,
            place(&probe.from, &nodes)?
        ));
    }
    let predictions = closed_form(parsed, prediction::Ground::of_cluster(&handle.facts));
    let known = Known { leaders: leaders::now(handle).await?, ..Known::default() };
    for planned in plan::rehearse(&parsed.experiment, &nodes, &known, Seed::new(0))? {
        lines.extend(step_lines(handle, &nodes, &known, &planned).await?);
        lines.extend(predicted(&predictions, planned.step.number));
    }
    Ok(())
}

fn place(from: &From, nodes: &[Node]) -> Result<String, RunError> {
    match from {
        From::Host => Ok("this machine".into()),
        From::Node(selector) => {
            Ok(target::probe_host(nodes, selector, &Endpoints::new(), &[])?.name.clone())
        }
        From::Pod { labels } => Ok(format!(
            "the pod with {}",
            labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
        )),
    }
}

async fn step_lines(
    handle: &ClusterHandle,
    nodes: &[Node],
    known: &Known,
    planned: &Planned<'_>,
) -> Result<Vec<String>, RunError> {
    let Some((fault, hold)) = planned.step.fault() else { return Ok(Vec::new()) };
    let step = planned.step.number;
    let Some(target) = fault.target() else {
        let (objects, during) = (fault.objects().unwrap_or_default(), during(&planned.step));
        let what = format!(
            "{}    {} on {objects}, for {} s{during}",
            called(&planned.step),
            fault.kind(),
            hold.as_secs_f64()
        );
        let undo = object_undo::outlook(fault, step, Some(&handle.cluster)).await?;
        return Ok([what]
            .into_iter()
            .chain(undo.map(|undo| format!("          {undo}")))
            .collect());
    };
    let leader = target.leader.and_then(|part| known.leaders.get(&part));
    let names: Vec<&str> = match leader {
        Some(leader) => vec![leader],
        None => target::candidates(nodes, target, &Endpoints::new())
            .iter()
            .map(|node| node.name.as_str())
            .collect(),
    };
    let during = during(&planned.step);
    let hit = format!("{} on {}", named(fault), hit(target, &names));
    let mut lines =
        vec![format!("{}    {hit}, for {} s{during}", called(&planned.step), hold.as_secs_f64())];
    let undos = undos(handle, &names, fault, step, hold);
    lines.extend(undos.into_iter().map(|undo| format!("          undo: {undo}")));
    lines.extend(
        target
            .leader
            .or(target.followers)
            .map(|_| format!("          {}", target::who_leads(&known.leaders))),
    );
    Ok(lines)
}

fn hit(target: &NodeSelector, names: &[&str]) -> String {
    let all = names.join(", ");
    let count = match target.count {
        _ if names.len() == 1 => return all,
        Count::All => return all,
        Count::Exactly(1) => "one".to_owned(),
        Count::Exactly(count) => count.to_string(),
    };
    match &target.most_endpoints_of {
        Some(service) => format!(
            "{count} of {all}: with the most endpoints of {service} then, among equals by the seed"
        ),
        None => format!("{count} of {all}, by the seed"),
    }
}

/// A step as it is told: `step 2 (worker-dies)`.
fn called(step: &Numbered) -> String {
    step.name().map_or_else(
        || format!("step {}", step.number),
        |name| format!("step {} ({name})", step.number),
    )
}

/// The fault beside which a step begins.
fn during(step: &Numbered) -> String {
    step.during.last().map_or(String::new(), |outer| format!(", while step {outer} lasts"))
}
