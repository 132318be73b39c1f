//! `run --dry-run`: what would be done, to what, and how each step would be undone. Changes nothing.

use std::time::Duration;

use super::args::Run;
use super::{exit, failure::Failure, planned, print};
use crate::docker::Container;
use crate::engine::provision::{self, Found, Ground, Nodes, Site, Wanted};
use crate::engine::run::{duration_at_least, faults};
use crate::engine::target::{self, Endpoints, Node};
use crate::engine::trouble::Trouble;
use crate::engine::{blast_radius, embedded_world, session};
use crate::experiment::{Fault, From, Parsed};
use crate::fault::{self, NodeTarget};
use crate::prediction::{self, Predictions, Quantity};

/// Prints the plan of one experiment.
pub async fn dry_run(parsed: &Parsed, wanted: &Wanted, site: &Site<'_>, args: &Run) -> Result<u8, Failure> {
    let mut lines = vec![format!("{} ({}), dry run: nothing is changed", parsed.experiment.name, parsed.source.name())];
    match provision::find(wanted, site, &mut |_| {}).await? {
        Found::Ground(ground) => in_ground(parsed, &ground, &mut lines).await?,
        Found::Absent(name) => absent(parsed, &name, args.node_image.as_deref(), &mut lines),
    }
    let times = format!(" {} times", args.repeat);
    let at_least = duration_at_least(&parsed.experiment) * args.repeat;
    lines.push(format!("takes at least {} s{}", at_least.as_secs(), if args.repeat > 1 { times.as_str() } else { "" }));
    print(&lines.join("\n"));
    Ok(exit::PASS)
}

fn absent(parsed: &Parsed, name: &str, image: Option<&str>, lines: &mut Vec<String>) {
    let image = image.map_or("kind's own node image".to_owned(), |image| format!("node image {image}"));
    lines.push(format!("cluster   kind cluster {name} would be made ({image}) and kept"));
    let predictions = planned::today(parsed).map(|ground| closed_form(parsed, ground));
    for (step, fault, hold) in faults(&parsed.experiment) {
        lines.push(format!(
            "step {step}    {} on {}, for {} s, then undone",
            named(fault),
            fault.target().map_or_else(|| fault.objects().unwrap_or_default(), target::describe),
            hold.as_secs_f64()
        ));
        lines.extend(predictions.as_ref().and_then(|predictions| predicted(predictions, step)));
    }
}

/// A fault and the part that it hits: `componentStop of kube-scheduler`.
fn named(fault: &Fault) -> String {
    let part = fault.component().map_or(String::new(), |component| format!(" of {}", component.name()));
    format!("{}{part}", fault.kind())
}

/// What would take a fault back, on each node that it may hit.
fn undos(ground: &Ground, names: &[&str], fault: &Fault, step: u32, hold: Duration) -> Vec<String> {
    match &ground.nodes {
        Nodes::Kind(nodes) => {
            let hit = nodes.containers.iter().filter(|container| names.contains(&container.name.as_str()));
            let undo = |c: &Container| fault::plan_on_node(fault, &NodeTarget::new(&c.name, c), "dry-run", step, hold);
            hit.map(|c| undo(c).map_or_else(|| undone_otherwise(fault, &c.name), |undo| fault::describe(&undo))).collect()
        }
        Nodes::Embedded(_) => names.iter().map(|name| embedded_world::describe(fault, name)).collect(),
    }
}

fn undone_otherwise(fault: &Fault, node: &str) -> String {
    match fault {
        Fault::NodeDrain { .. } => format!("uncordon node {node}"),
        _ => format!("take the packet filter out of container {node}"),
    }
}

/// Not tried: the closed form is enough.
fn closed_form(parsed: &Parsed, ground: prediction::Ground) -> Predictions {
    Predictions::new(Some(parsed.experiment.clone()), ground, 0, 0)
}

fn predicted(predictions: &Predictions, step: u32) -> Option<String> {
    let latest = predictions.longest(Quantity::Detection, step).ok()?;
    Some(format!("          detection is predicted within {latest:.1}"))
}

async fn in_ground(parsed: &Parsed, ground: &Ground, lines: &mut Vec<String>) -> Result<(), Failure> {
    if matches!(ground.nodes, Nodes::Embedded(_)) {
        embedded_world::refuse_unmodelled(&parsed.experiment)?;
    }
    let facts = &ground.facts;
    let engine = facts.engine.as_deref().unwrap_or("a model inside this program: no real Kubernetes");
    lines.push(format!("cluster   {} (Kubernetes {}, {} nodes), {engine}", facts.name, facts.kubernetes, facts.nodes.len()));
    let workload = session::workload(ground, parsed).await?.summary();
    if !workload.is_empty() {
        lines.push(format!("workload  {} in a namespace of the run's own", workload.join(", ")));
    }
    let nodes = nodes(ground).await?;
    for probe in &parsed.experiment.probes {
        lines.push(format!("probe     {}: {} attempts a second from {}", probe.name, probe.rate, place(&probe.from, &nodes)?));
    }
    let predictions = closed_form(parsed, prediction::Ground::of_cluster(&ground.facts));
    for (step, fault, hold) in faults(&parsed.experiment) {
        lines.extend(step_lines(parsed, ground, &nodes, step, fault, hold)?);
        lines.extend(predicted(&predictions, step));
    }
    Ok(())
}

async fn nodes(ground: &Ground) -> Result<Vec<Node>, Trouble> {
    let nodes = ground.cluster.nodes().await.map_err(Trouble::refused_by)?;
    Ok(nodes.into_iter().map(Node::from).collect())
}

fn place(from: &From, nodes: &[Node]) -> Result<String, Trouble> {
    match from {
        From::Host => Ok("this machine".into()),
        From::Node(selector) => Ok(target::probe_host(nodes, selector, &Endpoints::new(), &[])?.name.clone()),
        From::Pod { labels } => {
            Ok(format!("the pod with {}", labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")))
        }
    }
}

fn step_lines(
    parsed: &Parsed,
    ground: &Ground,
    nodes: &[Node],
    step: u32,
    fault: &Fault,
    hold: Duration,
) -> Result<Vec<String>, Failure> {
    let Some(selector) = fault.target() else {
        let objects = fault.objects().unwrap_or_default();
        return Ok(vec![format!("step {step}    {} on {objects}, for {} s", fault.kind(), hold.as_secs_f64())]);
    };
    let candidates = target::candidates(nodes, selector, &Endpoints::new());
    let any = target::choose(nodes, selector, &Endpoints::new(), &[], &mut crate::engine::seed::Seed::new(0))?;
    blast_radius::check(&parsed.experiment.blast_radius, nodes, &[], fault, any)?;
    let names: Vec<&str> = candidates.iter().map(|node| node.name.as_str()).collect();
    let how = match (&selector.most_endpoints_of, names.len()) {
        (_, 1) => names[0].to_owned(),
        (Some(service), _) => {
            format!("one of {}: with the most endpoints of {service} then, among equals by the seed", names.join(", "))
        }
        (None, _) => format!("one of {}, by the seed", names.join(", ")),
    };
    let mut lines = vec![format!("step {step}    {} on {how}, for {} s", named(fault), hold.as_secs_f64())];
    lines.extend(undos(ground, &names, fault, step, hold).into_iter().map(|undo| format!("          undo: {undo}")));
    Ok(lines)
}
