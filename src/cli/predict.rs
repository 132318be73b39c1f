//! `predict`: what the model expects of an experiment, and of a cluster's settings. Touches no cluster; reads one where it is told to.

use serde::Serialize;

use super::args::{LintForm, Predict};
use super::env::Env;
use super::{block_on, diagnostics, exit, failure::Failure, load, print};
use crate::cluster::{Cluster, KindConfig, kubeconfig_paths};
use crate::engine::provision::Wanted;
use crate::engine::trouble::Trouble;
use crate::experiment::{self, Diagnostic, Parsed};
use crate::lint::{self, Outlook};
use crate::model::{FaultPlan, KubeletEnd, Pods, Tolerates, Topology, Trap, traps_of_fault};
use crate::prediction::{Ground, Predictions, workload};
use crate::report::forecast::{self, ForecastReport};
use crate::timeline::{ClusterKind, NodeRole, Tuning};

/// What is said of one experiment.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    #[serde(flatten)]
    forecast: ForecastReport,
    outlook: Outlook,
    /// What will surprise, of the experiment's faults.
    traps: Vec<Trap>,
}

/// The cluster that is predicted for, and how people call it.
struct Site {
    ground: Ground,
    name: String,
}

/// Predicts, and prints.
pub fn predict(args: &Predict, env: &Env) -> Result<u8, Failure> {
    let experiments = load::experiments(&args.filename, &args.names, env)?;
    let live = match &args.context {
        Some(_) => Some(block_on(in_cluster(args, env))?),
        None => None,
    };
    let mut all = Vec::new();
    for parsed in &experiments {
        let site = match &live {
            Some((ground, name)) => Site { ground: ground.clone(), name: name.clone() },
            None => in_config(parsed, args)?,
        };
        all.push(one(parsed, site, args));
    }
    match args.output {
        LintForm::Text => all.iter().for_each(|said| show(said, env)),
        LintForm::Json => print(&serde_json::to_string_pretty(&all).expect("plain data is JSON")),
        LintForm::Yaml => print(&serde_saphyr::to_string(&all).expect("plain data is YAML")),
    }
    Ok(exit::PASS)
}

fn one(parsed: &Parsed, site: Site, args: &Predict) -> Said {
    let mut ground = site.ground;
    ground.tuning = args.tuning.over(ground.tuning);
    let ground = ground.with_workload(workload::behind_services(parsed.workload.iter().map(|file| file.text.as_str())));
    let (tuning, kubernetes) = (ground.tuning, ground.kubernetes.clone());
    let planes = ground.topology.with_role(NodeRole::ControlPlane).count() as u32;
    let traps = traps(parsed, &ground);
    let predictions = Predictions::new(Some(parsed.experiment.clone()), ground, args.trials, args.seed);
    Said {
        forecast: ForecastReport::new(&parsed.experiment.name, &site.name, &predictions, args.seed),
        outlook: lint::outlook(&tuning, &kubernetes, planes, args.nodes),
        traps,
    }
}

/// The cluster that the experiment, or the command, names a kind config for.
fn in_config(parsed: &Parsed, args: &Predict) -> Result<Site, Failure> {
    let (path, text, tuning) = match (&args.kind_config, &parsed.kind_config, &parsed.experiment.cluster) {
        (Some(path), ..) => {
            let cannot = |e: std::io::Error| Failure::usage(format!("error: cannot read {}: {e}", path.display()));
            (path.display().to_string(), std::fs::read_to_string(path).map_err(cannot)?, None)
        }
        (None, Some(file), experiment::Cluster::Kind { tuning, .. }) => (file.path.clone(), file.text.clone(), *tuning),
        _ => {
            let hint = "--context NAME reads a running cluster, --kind-config FILE one that could be made";
            return Err(Failure::usage(format!("error: {} names no kind config\n\nhint: {hint}", parsed.experiment.name)));
        }
    };
    let wanted = Wanted::kind(&path, &text, tuning).map_err(|trouble| Failure { code: exit::USAGE, ..Failure::from(trouble) })?;
    let Wanted::Kind { name, config } = wanted else { unreachable!("a kind config makes a kind cluster") };
    let config = KindConfig::parse(&config).map_err(|e| Failure::usage(format!("error: cannot use {path}: {e}")))?;
    let nodes = Topology::kind(&name, config.count(NodeRole::ControlPlane), config.count(NodeRole::Worker)).nodes;
    let count = nodes.len();
    let nodes = nodes.into_iter().map(|node| (node.name, node.role));
    let ground = Ground::new(nodes, config.expected(&args.kubernetes), &args.kubernetes);
    Ok(Site { ground, name: format!("kind cluster {name} as {path} asks for it (Kubernetes {}, {count} nodes)", args.kubernetes) })
}

/// The cluster of a context, as it is.
async fn in_cluster(args: &Predict, env: &Env) -> Result<(Ground, String), Trouble> {
    let paths = kubeconfig_paths(args.kubeconfig.as_deref(), env.kubeconfig.as_deref(), env.home.as_deref());
    let cluster = Cluster::from_files(&paths, args.context.as_deref()).await.map_err(Trouble::refused_by)?;
    let context = cluster.context().to_owned();
    let (facts, warnings) = cluster.facts(ClusterKind::Context, &context, None, &[]).await.map_err(Trouble::refused_by)?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let name = format!("context {context} as it is (Kubernetes {}, {} nodes)", facts.kubernetes, facts.nodes.len());
    Ok((Ground::of_cluster(&facts), name))
}

/// What will surprise of the experiment's faults.
fn traps(parsed: &Parsed, ground: &Ground) -> Vec<Trap> {
    let pods = ground.services.values().map(|behind| Pods {
        toleration: match behind.pod.tolerates_unreachable {
            Tolerates::For(length) => Some(length),
            Tolerates::Forever => None,
        },
        bare: !behind.owned,
    });
    let pods: Vec<Pods> = pods.collect();
    let faults = crate::engine::run::faults(&parsed.experiment);
    let of_fault = |(_, fault, hold): (u32, &experiment::Fault, _)| {
        let grace = match fault {
            experiment::Fault::NodeStop { grace, .. } => Some(*grace),
            _ => None,
        };
        let plan = FaultPlan {
            end: KubeletEnd::of_fault(fault.kind(), grace),
            hold,
            nodes: 1,
            zone: ground.topology.nodes.len() as u32,
            only_zone: true,
            pods: pods.first().copied(),
        };
        traps_of_fault(&plan, &ground.tuning, &ground.kubernetes)
    };
    let mut traps: Vec<Trap> = Vec::new();
    for trap in faults.flat_map(of_fault) {
        if !traps.contains(&trap) {
            traps.push(trap);
        }
    }
    traps
}

fn show(said: &Said, env: &Env) {
    let traps: Vec<Diagnostic> = said.outlook.traps.iter().chain(&said.traps).map(lint::without_place).collect();
    if !traps.is_empty() {
        eprint!("{}", diagnostics::render(&traps, env.stderr.colour, env.stderr.width));
    }
    print(&forecast::render(&said.forecast, env.width, false));
    print(&lint::text::render("Settings", &said.outlook, &[]));
}

impl super::args::TuningFlags {
    /// These settings where they are given, else those of the cluster.
    fn over(&self, cluster: Tuning) -> Tuning {
        let update = self.node_status_update_frequency;
        Tuning {
            node_status_update_frequency: update.or(cluster.node_status_update_frequency),
            // As in the kubelet's config file: it follows the update frequency unless it is set itself.
            node_status_report_frequency: self.node_status_report_frequency.or(update).or(cluster.node_status_report_frequency),
            node_lease_duration: self.node_lease_duration.or(cluster.node_lease_duration),
            node_monitor_period: self.node_monitor_period.or(cluster.node_monitor_period),
            node_monitor_grace_period: self.node_monitor_grace_period.or(cluster.node_monitor_grace_period),
            source: cluster.source,
        }
    }
}
