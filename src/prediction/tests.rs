//! What is predicted, held against experiments of this repository and against real runs.

use std::time::Duration;

use super::*;
use crate::experiment::{self, Expectation, Parsed, Step};
use crate::model::Topology;
use crate::stats::one_sample;
use crate::timeline::{NodeRole, Tuning};
use crate::workload::Manifest;

fn seconds(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

fn tuned() -> Tuning {
    Tuning {
        node_status_update_frequency: seconds(1),
        node_monitor_period: seconds(1),
        node_monitor_grace_period: seconds(4),
        ..Tuning::default()
    }
    .completed("v1.34.4")
}

fn parsed(name: &str) -> Parsed {
    experiment::parse(experiment::load(name).unwrap()).unwrap()
}

fn cluster(parsed: &Parsed, tuning: Tuning) -> ClusterModel {
    let nodes = Topology::kind("k", 1, 2).nodes.into_iter().map(|node| (node.name, node.role));
    ClusterModel::new(nodes, tuning, "v1.34.4").with_workload(&parsed.workload)
}

fn predictions(name: &str, tuning: Tuning, hold: u64) -> Predictions {
    let parsed = parsed(name);
    let cluster = cluster(&parsed, tuning);
    let mut experiment = parsed.experiment;
    for step in &mut experiment.method {
        if let Step::Fault { hold: held, .. } = step {
            *held = Duration::from_secs(hold);
        }
    }
    Predictions::new(Some(experiment), cluster, 2000, 1)
}

#[test]
fn a_workload_is_spread_over_the_workers_and_one_of_them_is_hit() {
    let predictions = predictions("worker-stop-fast", tuned(), 15);
    let tried = &predictions.tried().unwrap()[0];
    let hit = (tried.endpoints_hit, tried.endpoints, tried.node.as_str());
    assert_eq!(hit, (1, 2, "k-worker"));
    assert_eq!((tried.probe.as_deref(), tried.service.as_deref()), (Some("web"), Some("web")));
    let share = tried.forecast.failed_share.summary();
    assert!((share.median.unwrap() - 0.5).abs() < 0.05, "{share:?}");
    assert_eq!(tried.forecast.rescheduling.n(), 0, "pods tolerate an unreachable node for 300 s");
}

#[test]
fn of_a_large_cluster_only_nodes_that_matter_are_modelled() {
    let parsed = parsed("worker-stop-fast");
    let nodes = Topology::kind("k", 1, 1000).nodes.into_iter().map(|node| (node.name, node.role));
    let seen = ["k-worker900", "k-worker901"].map(|node| Seen { service: "web", node, count: 1 });
    let cluster = ClusterModel::new(nodes, tuned(), "v1.34.4")
        .with_workload(&parsed.workload)
        .with_endpoints(seen);
    let predictions = Predictions::new(Some(parsed.experiment), cluster, 50, 1);
    assert_eq!(predictions.cluster.topology.nodes.len(), 64);
    let tried = &predictions.tried().unwrap()[0];
    let hit = (tried.endpoints_hit, tried.endpoints, tried.node.as_str());
    assert_eq!(hit, (1, 2, "k-worker900"));
    let detection = predictions.between(Quantity::Detection, 0).unwrap();
    assert!(detection.least.as_f64() > 2.5 && detection.most.as_f64() < 20.0, "{detection:?}");
}

/// The pod of a StatefulSet is ready elsewhere when the taint has let it go; the taint itself is
/// part of the fault's forecast.
#[test]
fn a_node_that_is_taken_out_of_service_is_predicted() {
    let of = |name: &str, change: &dyn Fn(&mut Experiment)| {
        let parsed = parsed(name);
        let cluster = cluster(&parsed, tuned());
        let mut experiment = parsed.experiment;
        change(&mut experiment);
        Predictions::new(Some(experiment), cluster, 500, 1)
    };
    let with = of("out-of-service", &|_| {});
    let [tried] = with.tried().unwrap() else { panic!("{:?}", with.tried()) };
    let replaced = tried.forecast.rescheduling.summary();
    assert_eq!((tried.step, tried.forecast.rescheduling.n()), (0, 500));
    let (least, most) = (replaced.min.unwrap(), replaced.max.unwrap());
    assert!(least > 3.0 && (20.0..29.0).contains(&most), "{replaced:?}");
    assert!(with.steps[0].prediction.is_some() && with.steps[1].prediction.is_none());
    assert!(!with.steps[1].why_not.as_ref().unwrap().contains("overlap"), "{:?}", with.steps[1]);
    let alone = |experiment: &mut Experiment| {
        let Step::Fault { meanwhile, .. } = &mut experiment.method[0] else { unreachable!() };
        meanwhile.clear();
    };
    let without = of("out-of-service", &alone);
    let traps = |predictions: &Predictions| {
        let experiment = predictions.experiment.as_ref().unwrap();
        traps(experiment, &predictions.cluster).len()
    };
    assert_eq!(
        (traps(&with), traps(&without)),
        (0, 2),
        "a StatefulSet's pod does not move by itself"
    );
    assert_eq!(without.tried().unwrap()[0].forecast.rescheduling.n(), 0);
}

#[test]
fn every_quantity_has_an_end() {
    let predictions = predictions("worker-stop-fast", tuned(), 15);
    let longest = |quantity| predictions.longest(quantity, 0).unwrap().as_f64();
    let (detection, removal) =
        (longest(Quantity::Detection), longest(Quantity::EndpointRemoval("web")));
    let (window, recovery) = (longest(Quantity::ErrorWindow("web")), longest(Quantity::Recovery));
    assert!((6.0..7.0).contains(&detection), "{detection}");
    assert!((5.0..8.0).contains(&removal), "{removal}");
    assert!((4.0..8.0).contains(&window), "{window}");
    assert!((1.0..60.0).contains(&recovery), "{recovery}");
    let why = predictions.longest(Quantity::EndpointRemoval("other"), 0).unwrap_err();
    assert!(why.contains("no probe targets"), "{why}");
    assert!(predictions.longest(Quantity::Detection, 7).is_err());
}

#[test]
fn nobody_waits_for_a_load_balancer() {
    let predictions = predictions("load-balancer-down", tuned(), 20);
    let why = predictions.between(Quantity::Detection, 0).unwrap_err();
    assert!(why.contains("the load balancer is not a Kubernetes node"), "{why}");
}

#[test]
fn what_can_t_be_tried_says_why() {
    let zero = Tuning { node_monitor_period: Some(Duration::ZERO), ..tuned() };
    let why = predictions("worker-stop-fast", zero, 15).tried().unwrap_err().to_owned();
    assert!(why.contains("--node-monitor-period is 0s"), "{why}");
    let flapping = Tuning { node_monitor_grace_period: seconds(1), ..tuned() };
    let why = predictions("worker-stop-fast", flapping, 15).tried().unwrap_err().to_owned();
    assert!(why.contains("healthy nodes are marked NotReady"), "{why}");
    let nobody = ClusterModel::new([("a".to_owned(), NodeRole::ControlPlane)], tuned(), "v1.34.4");
    let alone = Predictions::new(Some(parsed("worker-stop-fast").experiment), nobody, 10, 1);
    assert!(alone.tried().unwrap_err().contains("no known node"), "{:?}", alone.tried());
    assert!(Predictions::new(None, ClusterModel::default(), 10, 1).tried().is_err());
}

/// Thirty freezes of a worker of one kind cluster (Kubernetes 1.34.4, 1 s / 1 s / 4 s), each at a
/// random phase.
const TUNED: &str = include_str!("../../tests/recorded/node-pause-30.spread.json");
/// Twenty-one of another with Kubernetes' defaults.
const DEFAULT: &str = include_str!("../../tests/recorded/node-pause-default-21.spread.json");

fn measured(text: &str, what: &str) -> Vec<f64> {
    let all: serde_json::Value = serde_json::from_str(text).unwrap();
    let runs = all[0]["runs"].as_array().unwrap();
    let mut values: Vec<f64> = runs.iter().map(|run| run[what]["most"].as_f64().unwrap()).collect();
    values.sort_by(f64::total_cmp);
    values
}

#[test]
fn real_freezes_are_of_the_predicted_distribution() {
    held_against(&predictions("node-pause", tuned(), 9), TUNED, 30);
    held_against(&predictions("node-pause", Tuning::defaults("v1.34.4"), 57), DEFAULT, 21);
}

fn held_against(predictions: &Predictions, runs: &str, n: usize) {
    let tried = &predictions.tried().unwrap()[0].forecast;
    let bounds = predictions.between(Quantity::Detection, 0).unwrap();
    let detections = measured(runs, "detection");
    assert_eq!(detections.len(), n);
    assert!(
        detections.iter().all(|d| (bounds.least.as_f64()..=bounds.most.as_f64()).contains(d)),
        "{bounds} {detections:?}"
    );
    for (what, predicted) in [
        ("detection", &tried.detection),
        ("removal", &tried.endpoint_removal),
        ("errorWindow", &tried.error_window),
    ] {
        let test = one_sample(&measured(runs, what), |value| predicted.share(value)).unwrap();
        assert!(
            test.p > 0.01,
            "{what}: {test:?}, {:?}, measured {:?}",
            predicted.summary(),
            measured(runs, what)
        );
    }
}

/// The example with another workload.
fn with_service(web: &str, hold: u64) -> Result<Vec<Tried>, String> {
    let mut parsed = parsed("worker-stop-fast");
    parsed.workload = Manifest::of_texts([("web.yaml", web)]);
    let cluster = cluster(&parsed, tuned());
    let Step::Fault { hold: held, .. } = &mut parsed.experiment.method[0] else { unreachable!() };
    *held = Duration::from_secs(hold);
    let predictions = Predictions::new(Some(parsed.experiment), cluster, 200, 1);
    predictions.tried().map(<[Tried]>::to_vec).map_err(str::to_owned)
}

fn web(kind: &str, tolerations: &str, service: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{selector: {{app: web}}, {service}}}\n---\n\
         apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: web}}\nspec:\n  replicas: 2\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{tolerations: {tolerations}, containers: [{{name: nginx}}]}}\n"
    )
}

#[test]
fn a_stateful_sets_pod_on_a_dead_node_is_never_replaced() {
    let tolerations = "[{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 5}]";
    let replaced = |kind: &str| {
        let tried = with_service(&web(kind, tolerations, "ports: [{port: 80}]"), 40).unwrap();
        tried[0].forecast.rescheduling.n()
    };
    assert_eq!((replaced("Deployment"), replaced("StatefulSet")), (200, 0));
    let mut parsed = parsed("worker-stop-fast");
    let stateful = web("StatefulSet", tolerations, "ports: [{port: 80}]");
    parsed.workload = Manifest::of_texts([("web.yaml", stateful.as_str())]);
    let found = traps(&parsed.experiment, &cluster(&parsed, tuned()));
    assert!(found.iter().any(|it| it.trap.name == "stateful-pod-stays-terminating"), "{found:?}");
}

#[test]
fn who_expects_only_a_recovery_means_a_fault_to_be_short() {
    // With the defaults a detection takes longer than the fault.
    let default = Tuning::default().completed("v1.34.4");
    let mut parsed = parsed("worker-stop-fast");
    let is_told = |parsed: &Parsed| {
        let found = traps(&parsed.experiment, &cluster(parsed, default));
        found.iter().any(|it| it.trap.name == "hold-below-detection")
    };
    assert!(is_told(&parsed));
    parsed.experiment.expect.retain(|it| matches!(it, Expectation::Recovery { .. }));
    assert!(!parsed.experiment.expect.is_empty() && !is_told(&parsed));
}

#[test]
fn nobody_is_left_to_notice_the_loss_of_the_only_control_plane() {
    // With the defaults a detection takes longer than the 30 s of the fault.
    let default = Tuning::default().completed("v1.34.4");
    let parsed = parsed("control-plane-down");
    assert!(traps(&parsed.experiment, &cluster(&parsed, default)).is_empty());
    let several = Topology::kind("k", 3, 2).nodes.into_iter().map(|node| (node.name, node.role));
    let several = ClusterModel::new(several, default, "v1.34.4").with_workload(&parsed.workload);
    let found = traps(&parsed.experiment, &several);
    assert!(found.iter().any(|it| it.trap.name == "hold-below-detection"), "{found:?}");
}

#[test]
fn a_sticky_client_loses_all_or_nothing() {
    let tried = with_service(&web("Deployment", "[]", "sessionAffinity: ClientIP"), 15).unwrap();
    let share = tried[0].forecast.failed_share.summary();
    assert!(
        share.min.unwrap() > 0.999 && share.max.unwrap() < 1.001,
        "of who loses any: {share:?}"
    );
    let hit = tried[0].forecast.failed_share.n();
    assert!((60..140).contains(&hit), "half of the clients: {hit} of 200");
}

#[test]
fn a_sticky_client_of_its_own_nodes_pods_loses_nothing_elsewhere() {
    let both = "sessionAffinity: ClientIP, internalTrafficPolicy: Local";
    let everywhere = web("DaemonSet", "[{operator: Exists}]", both);
    let tried = with_service(&everywhere, 15).unwrap();
    assert_eq!(tried[0].forecast.error_window.n(), 0, "the asking node's own pod answers");
}

#[test]
fn a_local_policy_leaves_a_node_without_an_endpoint_unanswered() {
    let why =
        with_service(&web("Deployment", "[]", "internalTrafficPolicy: Local"), 15).unwrap_err();
    assert!(why.contains("`internalTrafficPolicy: Local`, but no pod on k-control-plane"), "{why}");
}

/// The example's method with this fault, on a cluster of three control planes and two workers.
fn with_fault(fault: &str, hold: u64) -> Predictions {
    let mut parsed = parsed("worker-stop-fast");
    let Step::Fault { fault: had, hold: held, .. } = &mut parsed.experiment.method[0] else {
        unreachable!()
    };
    *had = serde_json::from_str(fault).unwrap();
    *held = Duration::from_secs(hold);
    let nodes = Topology::kind("k", 3, 2).nodes.into_iter().map(|node| (node.name, node.role));
    let cluster = ClusterModel::new(nodes, tuned(), "v1.34.4").with_workload(&parsed.workload);
    Predictions::new(Some(parsed.experiment), cluster, 300, 1)
}

const ANY: &str = r#""labels": {}, "name": null, "role": null, "mostEndpointsOf": null"#;

#[test]
fn a_cut_from_the_api_servers_is_noticed_and_fails_nobody() {
    let target = ANY.replace(r#""role": null"#, r#""role": "worker""#);
    let partition = |from: &str, direction: &str| {
        with_fault(
            &format!(
                r#"{{"partition": {{"target": {{{target}}}, "from": "{from}", "direction": "{direction}"}}}}"#
            ),
            15,
        )
    };
    let cut = partition("apiServer", "both");
    let forecast = &cut.tried().unwrap()[0].forecast;
    assert_eq!((forecast.detection.n(), forecast.error_window.n()), (300, 0));
    assert!(cut.steps[0].prediction.is_some());
    let all = partition("all", "both");
    assert_eq!(all.tried().unwrap()[0].forecast.error_window.n(), 300);
    let partly = partition("all", "in");
    assert_eq!(
        partly.tried().unwrap_err(),
        "partition is not predicted: cuts in one direction, or from some nodes only, are not modelled"
    );
    assert!(partly.steps[0].why_not.as_deref().unwrap().contains("is not known"));
}

#[test]
fn a_fault_on_a_part_of_the_control_plane_is_tried() {
    let target = ANY.replace(r#""role": null"#, r#""role": "control-plane""#);
    let stop = with_fault(
        &format!(
            r#"{{"componentStop": {{"component": "kube-scheduler", "target": {{{target}}}}}}}"#
        ),
        15,
    );
    let forecast = &stop.tried().unwrap()[0].forecast;
    assert_eq!((forecast.detection.n(), forecast.error_window.n()), (0, 0));
    assert_eq!(forecast.recovery.n(), 300);
    assert_eq!(
        stop.steps[0].why_not.as_deref(),
        Some("this fault does not stop the node's heartbeats")
    );
}

#[test]
fn a_leader_is_found_and_its_successor_counts_anew() {
    let kill =
        |more: &str| with_fault(&format!(r#"{{"nodeKill": {{"target": {{{ANY}, {more}}}}}}}"#), 60);
    let leader = kill(r#""leader": "kube-controller-manager""#);
    let tried = leader.tried().unwrap()[0].forecast.detection.summary();
    assert!(tried.min.unwrap() > 15.0, "{tried:?}");
    let closed = leader.steps[0].prediction.clone().unwrap();
    assert!(closed.detection.least.as_f64() <= tried.min.unwrap(), "{closed:?}");
    let follower = kill(r#""followers": "kube-controller-manager""#);
    let tried = follower.tried().unwrap()[0].forecast.detection.summary();
    assert!(tried.max.unwrap() < 13.0, "{tried:?}");
    let two = kill(r#""count": {"exactly": 2}"#);
    let target = ANY.replace(r#""role": null"#, r#""role": "control-plane""#);
    let majority = with_fault(
        &format!(r#"{{"nodeKill": {{"target": {{{target}, "count": {{"exactly": 2}}}}}}}}"#),
        60,
    );
    assert!(majority.steps[0].why_not.as_deref().unwrap().contains("no majority"));
    assert!(two.tried().unwrap_err().contains("several nodes"));
}

#[test]
fn pods_that_fit_nowhere_are_told() {
    let web = web("Deployment", "[]", "ports: [{port: 80}]")
        .replace("{tolerations: []", "{nodeSelector: {disk: fast}, tolerations: []");
    let why = with_service(&web, 15).unwrap_err();
    assert!(why.starts_with("the Service web has no pods here"), "{why}");
}

/// The API server's flags move pods 20 s after the node is lost.
#[test]
fn the_api_servers_tolerations_count_where_pods_have_none() {
    let config = crate::kind_config::testing::config(
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: k\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\n\
         kubeadmConfigPatches:\n- |\n  kind: JoinConfiguration\n  nodeRegistration: {kubeletExtraArgs: {node-status-update-frequency: 4s}}\n\
         - |\n  kind: ClusterConfiguration\n  apiServer: {extraArgs: {default-not-ready-toleration-seconds: '20', default-unreachable-toleration-seconds: '20'}}\n  \
         controllerManager: {extraArgs: {node-monitor-period: 4s, node-monitor-grace-period: 16s}}\n",
    );
    let mut parsed = parsed("worker-stop-fast");
    let web = web("Deployment", "[]", "ports: [{port: 80}]");
    parsed.workload = Manifest::of_texts([("web.yaml", web.as_str())]);
    let Step::Fault { hold, .. } = &mut parsed.experiment.method[0] else { unreachable!() };
    *hold = Duration::from_secs(60);
    let cluster = ClusterModel::of_config(&config).with_workload(&parsed.workload);
    assert_eq!(traps(&parsed.experiment, &cluster), [], "the pods move in time");
    let predictions = Predictions::new(Some(parsed.experiment), cluster, 2000, 1);
    let forecast = &predictions.tried().unwrap()[0].forecast;
    let moved = forecast.rescheduling.summary();
    assert_eq!(moved.never, 0);
    assert!(moved.min.unwrap() > 25.0 && moved.max.unwrap() < 50.0, "{moved:?}");
    let closed = predictions.steps[0].prediction.clone().unwrap();
    assert!(forecast.detection.summary().max.unwrap() <= closed.latest().as_f64());
}

#[test]
fn a_probe_of_an_address_is_not_predicted_and_its_node_recovers() {
    let parsed = parsed("worker-stop-fast");
    let cluster = cluster(&parsed, tuned());
    let mut experiment = parsed.experiment;
    let target = experiment.probes[0].ask.target_mut().unwrap();
    *target = Target::Address { host: "10.96.3.4".into(), port: 80, tls: false, service: None };
    let predictions = Predictions::new(Some(experiment), cluster, 200, 1);
    assert_eq!(predictions.unpredicted()[0].probe, "web");
    let recovery = &predictions.tried().unwrap()[0].forecast.recovery;
    assert_eq!((recovery.n(), recovery.never()), (200, 0));
}

/// What a run's folder has is enough: tolerations, labels, taints and the workload's pods.
#[test]
fn a_header_predicts_as_the_cluster_and_the_workload_did() {
    let mut header = crate::analysis::testing::Run::new().0.header;
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {a: b}}\n---\n\
        apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  \
        template: {metadata: {labels: {a: b}}, spec: {nodeSelector: {disk: fast}}}\n";
    header.workload = Manifest::of_texts([("w.yaml", text)]).for_prediction();
    header.cluster.tolerations.unreachable = Duration::from_secs(20);
    let worker =
        header.cluster.nodes.iter_mut().find(|node| node.role == NodeRole::Worker).unwrap();
    worker.labels.insert("disk".into(), "fast".into());
    let name = worker.name.clone();
    let header = serde_json::from_str(&serde_json::to_string(&header).unwrap()).unwrap();
    let cluster = ClusterModel::of_header(&header);
    let backends = &cluster.services["web"];
    let node = cluster.topology.find(&name).unwrap();
    assert_eq!(backends.nodes, [node; 2]);
    let tolerated = crate::model::Tolerates::For(Duration::from_secs(20));
    assert_eq!(backends.pod.tolerates_unreachable, tolerated);
}
