//! Against a real kind cluster with fast detection: `OUTAGE_TEST_KUBECONFIG` is its kubeconfig, the
//! `docker` program its engine.
//!
//! `cargo test --lib -- --ignored --test-threads 1 watch::real_tests`

#![allow(clippy::disallowed_methods)] // the names of the cluster and the image to test with

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::start;
use crate::cluster::Cluster;
use crate::timeline::{Change, Event, Moment, NodeRole, Ready, Record};
use crate::workload::Manifest;

async fn cluster() -> Cluster {
    let path = std::env::var_os("OUTAGE_TEST_KUBECONFIG").expect("OUTAGE_TEST_KUBECONFIG");
    Cluster::from_files(&[PathBuf::from(path)], None, &mut |_| {}).await.unwrap()
}

async fn docker(args: &[&str]) {
    let output = tokio::process::Command::new("docker").args(args).output().await.unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
}

/// Unpauses a container, also when the test fails.
struct Paused(String);

impl Paused {
    async fn new(container: &str) -> Self {
        docker(&["pause", container]).await;
        Self(container.to_owned())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = std::process::Command::new("docker").args(["unpause", &self.0]).output();
    }
}

struct SourceHealth {
    records: UnboundedReceiver<Record>,
    began: Moment,
}

impl SourceHealth {
    async fn next(&mut self, what: &str, want: impl Fn(&Event) -> bool) -> Record {
        let found = async {
            loop {
                let record = self.records.recv().await.expect("the watches go on");
                if want(&record.event) {
                    let since = record.since.map(|since| since.seconds_since(self.began));
                    println!(
                        "{:+.3} {what} (since {since:?}): {:?}",
                        record.at.seconds_since(self.began),
                        record.event
                    );
                    return record;
                }
            }
        };
        timeout(Duration::from_secs(40), found)
            .await
            .unwrap_or_else(|_| panic!("{what} does not come"))
    }
}

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: web}}}]
      containers: [{name: nginx, image: 'nginx:1.22', imagePullPolicy: IfNotPresent}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG and docker"]
async fn a_frozen_worker_is_seen_and_its_endpoint_leaves_and_comes_back() {
    let cluster = cluster().await;
    let manifest = Manifest::of_texts([("w", WEB)]);
    let workload = cluster.check_workload(&manifest).await.unwrap().unwrap();
    let namespace = "outage-t-watch".to_owned();
    cluster.create_namespace(&namespace, "t-watch").await.unwrap();
    cluster.apply(&workload, &namespace).await.unwrap();
    while !cluster.readiness(&namespace).await.unwrap().ready {
        sleep(Duration::from_millis(200)).await;
    }
    let endpoints = cluster.endpoints(&namespace, "web").await.unwrap();
    let worker = endpoints[0].node.clone().unwrap();
    let (out, records) = unbounded_channel();
    let watches = start(std::slice::from_ref(&cluster), &namespace, out);
    watches.baseline(Duration::from_secs(5)).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    let mut seen = SourceHealth { records, began: Moment::now() };
    let mut beats = 0;
    while let Ok(record) = seen.records.try_recv() {
        assert!(!matches!(record.event, Event::WatchGap { .. }), "{record:?}");
        beats += usize::from(
            matches!(&record.event, Event::Node { node, change: Change::Changed, .. } if *node == worker),
        );
    }
    println!("{beats} status changes of {worker} in 5 s");
    assert!(beats >= 3);
    let paused = Paused::new(&worker).await;
    seen.began = Moment::now();
    let is_unknown = |event: &Event| matches!(event, Event::Node { node, ready: Ready::Unknown, .. } if *node == worker);
    let unknown = seen.next("unknown", is_unknown).await;
    assert!((2.5..7.5).contains(&unknown.at.seconds_since(seen.began)));
    let is_ready = |event: &Event, want: bool| matches!(event, Event::Endpoint { service, endpoint, .. } if service == "web" && endpoint.ready == want && endpoint.node.as_ref() == Some(&worker));
    seen.next("unready", |event| is_ready(event, false)).await;
    seen.began = Moment::now();
    drop(paused);
    seen.next("ready again", |event| is_ready(event, true)).await;
    watches.stop().await;
    let began = Moment::now();
    cluster.remove_namespace(&namespace, "t-watch", Duration::from_secs(60)).await.unwrap();
    println!("removed in {:.1} s", Moment::now().seconds_since(began));
}

async fn control_plane(cluster: &Cluster) -> String {
    let nodes = cluster.nodes().await.unwrap();
    nodes.into_iter().find(|node| node.role == NodeRole::ControlPlane).unwrap().name
}

fn is_gap(event: &Event, ended: bool) -> bool {
    matches!(event, Event::WatchGap { watch, until, .. } if watch == "endpoints" && until.is_some() == ended)
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG and docker"]
async fn a_frozen_control_plane_is_a_gap() {
    let cluster = cluster().await;
    let node = control_plane(&cluster).await;
    let (out, records) = unbounded_channel();
    let watches = start(std::slice::from_ref(&cluster), "default", out);
    watches.baseline(Duration::from_secs(5)).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let paused = Paused::new(&node).await;
    let mut seen = SourceHealth { records, began: Moment::now() };
    let gap = seen.next("gap", |event| is_gap(event, false)).await;
    assert!(gap.at.since(seen.began) < Duration::from_secs(4) && gap.since.unwrap() <= seen.began);
    sleep(Duration::from_secs(3)).await;
    seen.began = Moment::now();
    drop(paused);
    let end = seen.next("end of the gap", |event| is_gap(event, true)).await;
    assert_eq!(end.since, gap.since);
    watches.stop().await;
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG and docker"]
async fn a_control_plane_without_power_is_a_gap_until_it_is_back() {
    let cluster = cluster().await;
    let node = control_plane(&cluster).await;
    let (out, records) = unbounded_channel();
    let watches = start(std::slice::from_ref(&cluster), "default", out);
    watches.baseline(Duration::from_secs(5)).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let mut seen = SourceHealth { records, began: Moment::now() };
    docker(&["kill", &node]).await;
    seen.next("gap", |event| is_gap(event, false)).await;
    seen.began = Moment::now();
    docker(&["start", &node]).await;
    seen.next("end of the gap", |event| is_gap(event, true)).await;
    watches.stop().await;
}

#[tokio::test]
#[ignore = "needs OUTAGE_TEST_KUBECONFIG; the cluster's clock must be this machine's"]
async fn renewals_are_seen_as_they_happen() {
    let cluster = cluster().await;
    let anchor = crate::timeline::Anchor::take();
    let (out, mut records) = unbounded_channel();
    let watches = start(std::slice::from_ref(&cluster), "default", out);
    sleep(Duration::from_secs(30)).await;
    watches.stop().await;
    let (mut delays, mut bracketed) = (Vec::new(), Vec::new());
    while let Some(record) = records.recv().await {
        assert!(!matches!(record.event, Event::WatchGap { .. }), "{record:?}");
        if let Event::Lease { change: Change::Changed, renewed: Some(renewed), .. } = record.event {
            delays.push(record.at.seconds_since(anchor.moment_of(renewed).unwrap()) * 1e3);
            bracketed.extend(record.since.map(|since| record.at.seconds_since(since) * 1e3));
        }
    }
    delays.sort_by(f64::total_cmp);
    println!(
        "{} renewals, ms after their own time: p50 {:.1}, max {:.1}",
        delays.len(),
        delays[delays.len() / 2],
        delays[delays.len() - 1]
    );
    println!("with a bracket (ms wide): {bracketed:.1?}");
    assert!(delays.len() > 20 && delays[delays.len() / 2] < 100.0);
}
