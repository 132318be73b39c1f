//! Experiments on an application that exists already, in an embedded cluster.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cluster::Cluster;
use crate::engine::abort::Abort;
use crate::engine::environment::embedded;
use crate::engine::environment::handle::{ClusterHandle, Environment};
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::run::Stop;
use crate::engine::session::{self, Ended, Session};
use crate::experiment::{Parsed, Source, parse};
use crate::timeline::{Event, Timeline};
use crate::workload::Manifest;

const CONFIG: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: a\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\n";
pub(super) const APPLICATION: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080}]}
";
/// Two Services `web`, of which only that of `shop` loses a pod.
pub(super) const EXPERIMENT: &str = "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {name: existing}
spec:
  namespace: shop
  probes:
  - {name: shop, http: {service: web}, rate: 20/s}
  - {name: data, http: {service: data/web}, rate: 20/s}
  steadyState:
  - nodesReady: all
  - endpointsReady: {service: web, atLeast: 2}
  - endpointsReady: {service: data/web, atLeast: 2}
  method:
  - fault:
      podDelete: {deployment: web}
    for: 1s
  expect:
  - rescheduled: {service: web, within: 60s}
";

pub(super) fn parsed(experiment: &str) -> Parsed {
    let parsed = parse(Source::from_text("x.yaml", experiment, "."));
    parsed.unwrap_or_else(|problems| panic!("{problems}"))
}

pub(in crate::engine) fn environment(root: &Path) -> Environment<'_> {
    Environment {
        engine: Err(RunError::refused("no engine")),
        path: std::ffi::OsStr::new(""),
        program: Default::default(),
        agent_binary: None,
        state_dir: root,
        node_image: None,
        allow_context: None,
        helper_image: None,
        connected: None,
        only_look: false,
        undo_timer_margin: Default::default(),
        granted: Default::default(),
        artifacts: None,
    }
}

pub(super) async fn with_applications(root: &Path) -> ClusterHandle {
    let config = crate::kind_config::testing::config(CONFIG);
    let handle = embedded::start(&config, &environment(root), &mut |_| {}).await.unwrap();
    let manifest = Manifest::of_texts([("web.yaml", APPLICATION)]);
    let workload = handle.cluster.check_workload(&manifest).await.unwrap().unwrap();
    for namespace in ["shop", "data"] {
        handle.cluster.create_namespace(namespace, "somebody").await.unwrap();
        handle.cluster.apply(&workload, namespace).await.unwrap();
    }
    handle
}

pub(super) async fn run(handle: &ClusterHandle, experiment: &str, root: &Path) -> Ended {
    run_once(handle, experiment, root).await.unwrap()
}

pub(in crate::engine) async fn run_once(
    handle: &ClusterHandle,
    experiment: &str,
    root: &Path,
) -> Result<Ended, RunError> {
    let (parsed, environment) = (parsed(experiment), environment(root));
    let runs_dir = root.join("runs");
    let session = Session { parsed: &parsed, runs_dir: &runs_dir, environment: &environment };
    let (follower, _seen) = crate::engine::follower::Follower::new();
    let abort = Abort::listen(|_, _| {}).unwrap();
    session.run(handle, crate::engine::session::Start::now(1, None), follower, &abort).await
}

/// The objects of a namespace but its pods and what follows them, with what is another when their
/// content is.
async fn objects(cluster: &Cluster, namespace: &str) -> BTreeMap<String, Option<String>> {
    let objects = cluster.inventory().await.unwrap().objects;
    let own = objects.into_iter().filter(|it| it.namespace.as_deref() == Some(namespace));
    own.filter(|it| it.owner.is_none())
        .map(|it| (format!("{} {}", it.kind, it.uid), it.content))
        .collect()
}

async fn pods(cluster: &Cluster, namespace: &str) -> Vec<String> {
    let pods = cluster.pods(namespace, &BTreeMap::new()).await.unwrap();
    pods.into_iter().map(|pod| pod.uid).collect()
}

#[tokio::test]
async fn two_services_of_one_name_are_two_and_only_what_is_named_is_changed() {
    let root = tempfile::tempdir().unwrap();
    let handle = with_applications(root.path()).await;
    let ready = async || {
        for namespace in ["shop", "data"] {
            while !handle.cluster.readiness(namespace).await.unwrap().ready {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    };
    ready().await;
    let before = (objects(&handle.cluster, "shop").await, objects(&handle.cluster, "data").await);
    let untouched = pods(&handle.cluster, "data").await;
    let hit = pods(&handle.cluster, "shop").await;
    let parsed = parsed(EXPERIMENT);
    session::look_up(&handle, &parsed, &handle.nodes().await.unwrap()).await.unwrap();
    let ended = run(&handle, EXPERIMENT, root.path()).await;
    assert_eq!(ended.end.stop, None);
    ready().await;
    let timeline = Timeline::read(&ended.folder).unwrap();
    let targets: Vec<&str> = timeline
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Fault { target, .. } => Some(target.as_str()),
            _ => None,
        })
        .collect();
    assert!(!targets.is_empty() && targets.iter().all(|it| it.starts_with("shop/web-")));
    let known = |wanted: &str| {
        timeline.records.iter().any(
            |record| matches!(&record.event, Event::Endpoint { service, .. } if service == wanted),
        )
    };
    assert!(known("shop/web") && known("data/web") && !known("web"));
    assert_eq!(pods(&handle.cluster, "data").await, untouched);
    assert_ne!(pods(&handle.cluster, "shop").await, hit);
    let after = (objects(&handle.cluster, "shop").await, objects(&handle.cluster, "data").await);
    assert_eq!(after, before, "nothing else of theirs is another");
    assert!(pods(&handle.cluster, "shop").await.len() == 2);
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_a_look_and_by_a_run_alike() {
    let root = tempfile::tempdir().unwrap();
    let handle = with_applications(root.path()).await;
    let nodes = handle.nodes().await.unwrap();
    for (from, to, why) in [
        ("http: {service: web}", "http: {service: wbe}", "no Service wbe in the namespace shop"),
        ("http: {service: web}", "http: {service: web, port: 81}", "uses port 81"),
        ("{deployment: web}", "{deployment: wbe}", "1 pod of Deployment wbe in namespace shop"),
        (
            "{deployment: web}",
            "{namespace: shop, labels: {a: b}}",
            "1 pod with a=b in namespace shop",
        ),
        ("service: data/web, at", "service: nowhere/web, at", "in the namespace nowhere"),
    ] {
        assert!(EXPERIMENT.contains(from), "{from}");
        let experiment = EXPERIMENT.replacen(from, to, 1);
        let error = session::look_up(&handle, &parsed(&experiment), &nodes).await.unwrap_err();
        assert!(error.message.contains(why), "{why}: {error}");
        assert_eq!(error.kind, RunErrorKind::Refused);
        let ended = run(&handle, &experiment, root.path()).await;
        let Some(Stop::RunError(refused)) = ended.end.stop else { panic!("{to} was run") };
        assert_eq!((refused.kind, refused.message), (RunErrorKind::Refused, error.message));
    }
}

/// A run on a model is refused before that: it has no certificates.
#[tokio::test]
async fn a_secret_that_is_not_there_is_refused_by_a_look() {
    let root = tempfile::tempdir().unwrap();
    let handle = with_applications(root.path()).await;
    let nodes = handle.nodes().await.unwrap();
    let asked = "http: {service: web, tls: true, ca: {secret: front-tls}}";
    let experiment = EXPERIMENT.replacen("http: {service: web}", asked, 1);
    let error = session::look_up(&handle, &parsed(&experiment), &nodes).await.unwrap_err();
    assert!(error.message.contains("no Secret front-tls in the namespace shop"), "{error}");
    assert_eq!(error.kind, RunErrorKind::Refused);
}

#[tokio::test]
async fn what_the_model_cannot_publish_is_refused_by_a_look_and_by_a_run_alike() {
    let root = tempfile::tempdir().unwrap();
    let handle = with_applications(root.path()).await;
    for (asked, why, hint) in [
        (
            "service: web, via: loadBalancer",
            "load balancer controller",
            "use `via: nodePort`, or use --cluster kind",
        ),
        (
            "ingress: web",
            "ingress controller",
            "use `service` instead of `ingress`, or use --cluster kind",
        ),
    ] {
        let experiment = EXPERIMENT.replacen("service: web", asked, 1);
        let error = session::resolved(&handle, &parsed(&experiment)).await.unwrap_err();
        assert!(error.message.ends_with(&format!("the embedded cluster has no {why}")), "{error}");
        assert!(error.hint.as_ref().unwrap().starts_with(hint), "{error:?}");
        let run = run_once(&handle, &experiment, root.path()).await;
        assert_eq!(run.err().map(|refused| refused.message), Some(error.message));
    }
}
