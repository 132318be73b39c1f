//! `predict`: what the model expects of an experiment, and of a cluster's settings. Touches no
//! cluster; reads one where `--context` names it.

use serde::Serialize;

use super::args::{LintForm, Predict};
use super::env::Env;
use super::expected_cluster::{ExpectedCluster, expected, with_workload};
use super::load::Place;
use super::{block_on, diagnostics, exit, failure::Failure, live, load, print};
use crate::engine::error::RunError;
use crate::experiment::{Diagnostic, Parsed};
use crate::kind_config::Kubernetes;
use crate::lint::{self, Outlook};
use crate::model::{About, Trap};
use crate::prediction::{self, ClusterModel, Predictions};
use crate::report::forecast::{self, ForecastReport};
use crate::report::{hang, json};
use crate::timeline::counted;
use crate::timeline::{NodeRole, Tuning};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicted {
    #[serde(flatten)]
    forecast: ForecastReport,
    outlook: Outlook,
    /// What will surprise, of the experiment's faults.
    traps: Vec<Trap>,
}

pub(super) fn predict(args: &Predict, env: &Env) -> Result<u8, Failure> {
    let own = args.context.is_none() && args.kind_config.is_none();
    let place = match own {
        true => Place::Own(Kubernetes::Default(&args.kubernetes)),
        false => Place::Other,
    };
    let experiments = load::experiments(&args.experiments, place, env)?;
    let live = match &args.context {
        Some(_) => Some(block_on(in_cluster(args, env))?),
        None => None,
    };
    let mut all = Vec::new();
    for parsed in &experiments {
        let environment = match &live {
            Some((cluster, name)) => ExpectedCluster {
                model: with_workload(cluster.clone(), parsed),
                name: name.clone(),
            },
            None => in_config(parsed, args, env)?,
        };
        all.push(one(parsed, environment, args));
    }
    let unpredictable = all.iter().any(|predicted| predicted.forecast.why_not.is_some());
    match args.output {
        LintForm::Text => all
            .iter()
            .zip(&experiments)
            .for_each(|(predicted, parsed)| show(predicted, parsed, env)),
        LintForm::Json => print(&json::pretty(&all)),
        LintForm::Yaml => print(&json::yaml(&all)),
    }
    Ok(if unpredictable { exit::INCONCLUSIVE } else { exit::PASS })
}

fn one(parsed: &Parsed, environment: ExpectedCluster, args: &Predict) -> Predicted {
    let mut cluster = environment.model;
    cluster.tuning = args.tuning.over(cluster.tuning);
    let (tuning, kubernetes) = (cluster.tuning, cluster.kubernetes.clone());
    let planes = cluster.topology.with_role(NodeRole::ControlPlane).count() as u32;
    let mut traps: Vec<Trap> =
        prediction::traps(&parsed.experiment, &cluster).into_iter().map(|(_, trap)| trap).collect();
    traps.dedup();
    let predictions =
        Predictions::new(Some(parsed.experiment.clone()), cluster, args.trials, args.seed);
    Predicted {
        forecast: ForecastReport::new(
            &parsed.experiment.name,
            &environment.name,
            &predictions,
            args.seed,
        ),
        outlook: lint::outlook(&tuning, &kubernetes, planes, args.nodes),
        traps,
    }
}

/// The cluster that the experiment, or the command, names a kind config for.
fn in_config(parsed: &Parsed, args: &Predict, env: &Env) -> Result<ExpectedCluster, Failure> {
    let config = match &args.kind_config {
        Some(path) => Some(load::kind_config(path, &args.kubernetes, env)?),
        None => parsed.kind_config.clone(),
    };
    let config = config.ok_or_else(|| {
        let hint =
            "use --context NAME for a running cluster, or --kind-config FILE for one that does \
             not exist yet";
        Failure::usage(format!("{} does not name a kind config", parsed.experiment.name)).hint(hint)
    })?;
    Ok(expected(parsed, &config))
}

async fn in_cluster(args: &Predict, env: &Env) -> Result<(ClusterModel, String), RunError> {
    let (facts, warnings) =
        live::facts(args.context.as_deref(), args.kubeconfig.as_deref(), env).await?;
    for warning in warnings {
        complain!("warning: {warning}");
    }
    let name = format!(
        "the running cluster of context {} (Kubernetes {}, {})",
        facts.name,
        facts.kubernetes,
        counted(facts.nodes.len(), "node")
    );
    Ok((ClusterModel::of_cluster(&facts), name))
}

fn show(predicted: &Predicted, parsed: &Parsed, env: &Env) {
    // That pods stay where they are is Kubernetes' own way, and no mistake of the experiment's.
    let (notes, warnings): (Vec<&Trap>, Vec<&Trap>) =
        predicted.traps.iter().partition(|trap| trap.about == About::Pods);
    // Those that were reported at their places, when the experiment was read, are known.
    let holds = load::hold_traps(parsed).into_iter().map(|(_, trap)| trap);
    let known: Vec<Trap> =
        parsed.kind_config.iter().flat_map(lint::certain_traps).chain(holds).collect();
    let traps = predicted.outlook.traps.iter().chain(warnings);
    let traps: Vec<Diagnostic> =
        traps.filter(|trap| !known.contains(trap)).map(lint::without_place).collect();
    if !traps.is_empty() {
        complain!(
            "{}",
            diagnostics::render(&traps, env.stderr.colour, env.stderr.width).trim_end()
        );
    }
    print(&forecast::render(&predicted.forecast, env.width, false));
    notes.iter().for_each(|note| {
        print(&hang("note: ", &format!("{}; {} ({})", note.text, note.why, note.hint), env.width))
    });
    // Figures for a cluster that can't be would be lies.
    if predicted.forecast.why_not.is_none() {
        print(&lint::text::render("Settings", &predicted.outlook, &[]));
    }
}

impl super::args::TuningFlags {
    /// These settings where they are given, else those of the cluster.
    fn over(&self, cluster: Tuning) -> Tuning {
        let update = self.node_status_update_frequency;
        Tuning {
            node_status_update_frequency: update.or(cluster.node_status_update_frequency),
            // As in the kubelet's config file: it follows the update frequency unless it is set
            // itself.
            node_status_report_frequency: self
                .node_status_report_frequency
                .or(update)
                .or(cluster.node_status_report_frequency),
            node_lease_duration: self.node_lease_duration.or(cluster.node_lease_duration),
            node_monitor_period: self.node_monitor_period.or(cluster.node_monitor_period),
            node_monitor_grace_period: self
                .node_monitor_grace_period
                .or(cluster.node_monitor_grace_period),
            source: cluster.source,
        }
    }
}
