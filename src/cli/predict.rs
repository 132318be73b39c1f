//! `predict`: what the model expects of an experiment, and of a cluster's settings. Changes no
//! cluster; reads one where `--context` or the experiment names it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use serde::Serialize;

use super::args::{LintForm, Predict};
use super::env::Env;
use super::expected_cluster::{ExpectedCluster, expected, with_endpoints, with_workload};
use super::load::Place;
use super::{block_on, diagnostics, exit, failure::Failure, live, load, print};
use crate::engine::error::RunError;
use crate::engine::plan::behind;
use crate::experiment::{Cluster, Diagnostic, Parsed};
use crate::kind_config::Kubernetes;
use crate::lint::{self, Outlook};
use crate::model::{About, Trap};
use crate::prediction::{self, ClusterModel, Predictions};
use crate::report::forecast::{self, ForecastReport};
use crate::report::{hang, json};
use crate::timeline::{Endpoint, NodeRole, ObjectRef, Tuning, counted};

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
    let all = block_on(async {
        let (mut all, mut known) = (Vec::new(), BTreeMap::new());
        for parsed in &experiments {
            all.push(match context(parsed, args) {
                Some(context) => {
                    let running = running_in(context, &mut known, args, env).await?;
                    let parsed = behind::resolved(&running.cluster, parsed).await?;
                    one(&parsed, in_cluster(&parsed, running).await, args)
                }
                None => one(parsed, in_config(parsed, args, env)?, args),
            });
        }
        Ok::<_, Failure>(all)
    })?;
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
        prediction::traps(&parsed.experiment, &cluster).into_iter().map(|it| it.trap).collect();
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
        let name = &parsed.experiment.name;
        Failure::usage(format!("{name} names neither a kind config nor a context")).hint(hint)
    })?;
    Ok(expected(parsed, &config))
}

/// The context that the command names, else the experiment; `None`: a kind config is used.
fn context<'a>(parsed: &'a Parsed, args: &'a Predict) -> Option<&'a str> {
    match (&args.context, &parsed.experiment.cluster) {
        (Some(context), _) => Some(context),
        (None, Cluster::NamedContext { name, .. }) if args.kind_config.is_none() => Some(name),
        _ => None,
    }
}

/// A cluster that is running, without anything on it.
struct Running {
    cluster: crate::cluster::Cluster,
    model: ClusterModel,
    name: String,
}

/// The running cluster of a context. `known` has those that were asked before.
async fn running_in<'a, 'k>(
    context: &'a str,
    known: &'k mut BTreeMap<&'a str, Running>,
    args: &Predict,
    env: &Env,
) -> Result<&'k Running, RunError> {
    Ok(match known.entry(context) {
        Entry::Occupied(found) => found.into_mut(),
        Entry::Vacant(place) => {
            place.insert(running(context, args.kubeconfig.as_deref(), env).await?)
        }
    })
}

/// A running cluster with the experiment's workload, and the endpoints of what exists already.
async fn in_cluster(parsed: &Parsed, running: &Running) -> ExpectedCluster {
    let model = with_workload(running.model.clone(), parsed);
    let (model, warnings) = with_existing(model, &running.cluster, parsed).await;
    for warning in warnings {
        complain!("warning: {warning}");
    }
    ExpectedCluster { model, name: running.name.clone() }
}

/// A cluster with the endpoints of the Services that exist already and are named, and which of them
/// could not be had.
async fn with_existing(
    mut model: ClusterModel,
    cluster: &crate::cluster::Cluster,
    parsed: &Parsed,
) -> (ClusterModel, Vec<String>) {
    let mut warnings = Vec::new();
    for service in parsed.experiment.elsewhere().values().flatten() {
        match endpoints(cluster, service).await {
            Ok(endpoints) => model = with_endpoints(model, &service.to_string(), &endpoints),
            Err(why) => warnings.push(format!(
                "errors and endpoint removal of Service {service} are not predicted: {why}"
            )),
        }
    }
    (model, warnings)
}

/// The endpoints of a Service, of which at least one is ready. Errors say why there are none to
/// predict with.
async fn endpoints(
    cluster: &crate::cluster::Cluster,
    service: &ObjectRef,
) -> Result<Vec<Endpoint>, String> {
    let namespace = service.namespace_or(cluster.default_namespace());
    let found = cluster.endpoints(namespace, &service.name).await.map_err(|e| e.to_string())?;
    match found.iter().any(|endpoint| endpoint.ready) {
        true => Ok(found),
        false => Err("it has no ready endpoint, or does not exist".into()),
    }
}

async fn running(context: &str, kubeconfig: Option<&Path>, env: &Env) -> Result<Running, RunError> {
    let cluster = live::cluster(Some(context), kubeconfig, env).await?;
    let (facts, warnings) = live::facts_of(&cluster).await?;
    for warning in warnings {
        complain!("warning: {warning}");
    }
    let name = format!(
        "the running cluster of context {} (Kubernetes {}, {})",
        facts.name,
        facts.kubernetes,
        counted(facts.nodes.len(), "node")
    );
    Ok(Running { cluster, model: ClusterModel::of_cluster(&facts), name })
}

fn show(predicted: &Predicted, parsed: &Parsed, env: &Env) {
    // That pods stay where they are is Kubernetes' own way, and no mistake of the experiment's.
    let (notes, warnings): (Vec<&Trap>, Vec<&Trap>) =
        predicted.traps.iter().partition(|trap| trap.about == About::Pods);
    // Those that were reported at their places, when the experiment was read, are known.
    let holds = load::hold_traps(parsed).into_iter().map(|it| it.trap);
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
        print(&lint::text::render("Settings", &predicted.outlook, &[], env.width));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::args::tests::predict as typed;
    use crate::cli::cluster::default_config;
    use crate::embedded::Embedded;
    use crate::engine::environment::embedded::spec;
    use crate::experiment;
    use crate::prediction::Quantity;
    use crate::workload::Manifest;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/apps/worker-stop.yaml");

    fn parsed(cluster: &str) -> Parsed {
        let text = std::fs::read_to_string(FILE).unwrap();
        let text = text.replace("cluster: {context: {}}", &format!("cluster: {{{cluster}}}"));
        experiment::parse(experiment::Source::from_text("x.yaml", text, "")).unwrap()
    }

    #[test]
    fn the_context_is_that_of_the_command_else_of_the_experiment() {
        let (named, current) = (parsed("context: mine"), parsed("context: {}"));
        let plain = typed(&["predict", "x"]);
        assert_eq!((context(&named, &plain), context(&current, &plain)), (Some("mine"), None));
        let other = typed(&["predict", "x", "--context", "other"]);
        assert_eq!(context(&named, &other), Some("other"));
        let config = typed(&["predict", "x", "--kind-config", "file"]);
        assert_eq!(context(&named, &config), None);
    }

    #[tokio::test]
    async fn an_existing_service_is_predicted_where_its_endpoints_are() {
        const SHOP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: frontend}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: 'nginx:1.22'}]}
---
apiVersion: v1
kind: Service
metadata: {name: frontend}
spec: {selector: {app: web}, ports: [{port: 80}]}
";
        let embedded = Embedded::start(spec(&default_config())).unwrap();
        let cluster =
            crate::cluster::Cluster::from_kubeconfig(embedded.kubeconfig()).await.unwrap();
        let parsed = parsed("context: mine");
        let (facts, _) = live::facts_of(&cluster).await.unwrap();
        let model = ClusterModel::of_cluster(&facts);
        let (absent, warnings) = with_existing(model.clone(), &cluster, &parsed).await;
        assert_eq!(absent, model);
        assert!(warnings[0].contains("Service shop/frontend are not predicted"), "{warnings:?}");

        cluster.create_namespace("shop", "x").await.unwrap();
        let manifest = Manifest::of_texts([("shop.yaml", SHOP)]);
        let workload = cluster.check_workload(&manifest).await.unwrap().unwrap();
        cluster.apply(&workload, "shop").await.unwrap();
        let ready = async {
            let service = ObjectRef::new(Some("shop"), "frontend");
            let are_ready = |all: Vec<Endpoint>| all.iter().filter(|one| one.ready).count() == 2;
            while !endpoints(&cluster, &service).await.is_ok_and(are_ready) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), ready).await.unwrap();
        let (model, warnings) = with_existing(model, &cluster, &parsed).await;
        assert_eq!(warnings, Vec::<String>::new());
        let predictions = Predictions::new(Some(parsed.experiment), model, 100, 1);
        for quantity in
            [Quantity::ErrorWindow("frontend"), Quantity::EndpointRemoval("shop/frontend")]
        {
            assert!(predictions.longest(quantity, 0).is_ok(), "{quantity:?}");
        }
    }
}
