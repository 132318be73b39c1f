//! The real thing: two kind clusters, shared by all tests, and the program against them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use libtest_mimic::Failed;
use serde_json::Value;

use super::Test;
use crate::CLUSTER;

use super::lab::{
    Lab, MINUTE, asked, beside, cluster, delete, docker, kubeconfig, kubectl, use_cluster,
};
use super::program::{Home, Output};

/// The second cluster, and its Docker network.
const SECOND: &str = "outage-test-2";

/// The tests of this level.
pub(crate) struct Tests {
    /// Those on each of two clusters, which may run beside each other.
    pub beside: [Vec<Test>; 2],
    /// Those that come after all others.
    pub last: Vec<Test>,
}

/// All of them. Where they can't run they are listed as ignored, with the reason; where they must
/// run, that fails.
pub(crate) fn tests() -> Tests {
    let first: &[(&str, fn())] = &[
        ("worker_stop_shows_its_chain", worker_stop_shows_its_chain),
        ("experiments_of_one_cluster_in_one_suite", experiments_of_one_cluster_in_one_suite),
        // A static pod that was ended several times within ten minutes is started again ever later
        // (the kubelet's back-off): few of each.
        ("scheduler_stopped_frozen_and_killed", scheduler_stopped_frozen_and_killed),
        ("canary_reconciliation", canary_reconciliation),
        ("partitions", partitions),
        ("api_server_down", api_server_down),
        ("worker_reboot_through_the_users_context", worker_reboot),
        (
            "a_worker_dies_while_the_control_plane_is_away",
            a_worker_dies_while_the_control_plane_is_away,
        ),
        ("sigterm_while_two_faults_last", sigterm_while_two_faults_last),
        ("sigkill_while_two_faults_last", || {
            killed("worker-down-while-control-plane-down", "nodeKill confirmed")
        }),
        ("from_pod_by_name_beside_a_node_that_is_no_container", from_pod_by_name),
        ("a_second_run_is_refused", a_second_run_is_refused),
        ("sigint_during_the_stop", || interrupted("INT", "nodeStop requested")),
        ("sigkill_during_the_stop", || killed("worker-stop-fast", "nodeStop requested")),
        // Without etcd the API server answers nothing, and etcd is down and up much faster.
        ("sigkill_while_the_api_is_down", || killed("etcd-down", "componentStop confirmed")),
        ("dry_run_changes_nothing", dry_run_changes_nothing),
        ("other_settings_are_refused", other_settings_are_refused),
        ("a_probe_on_the_target_is_refused", a_probe_on_the_target_is_refused),
        ("etcd_data_lost", etcd_data_lost),
        ("no_kind_is_refused_with_a_hint", no_kind_is_refused_with_a_hint),
        ("a_runs_directory_that_cannot_be_written", a_runs_directory_that_cannot_be_written),
    ];
    let second: &[(&str, fn())] = &[
        // They show what ails the control plane, too: before it is hit.
        ("an_image_that_is_not_there", an_image_that_is_not_there),
        ("a_workload_that_never_becomes_ready", a_workload_that_never_becomes_ready),
        ("faults_on_objects_and_a_drained_node", faults_on_objects),
        ("undo_timers_undo_what_nothing_else_undoes", super::undo_timer::undo_what_nobody_does),
        ("a_command_and_a_freeze", a_command_and_a_freeze),
        ("a_network_policy_and_an_object_whose_status_another_sets", objects_of_others),
        ("a_kubelet_is_throttled", a_kubelet_is_throttled),
        ("anycluster_node_disconnect", super::anycluster::node_disconnect),
        ("anycluster_node_freeze", super::anycluster::node_freeze),
        ("the_printed_role_is_enough", super::anycluster::the_printed_role_is_enough),
        ("anycluster_recovered_after_a_kill", super::anycluster::recovered_after_a_kill),
        (
            "anycluster_a_helper_image_that_is_not_there",
            super::anycluster::a_helper_image_that_is_not_there,
        ),
        ("an_existing_application", super::apps::each_question_by_one_command),
        ("every_kind_of_probe", every_kind_of_probe),
        ("the_second_cluster_is_deleted", || delete(cluster())),
    ];
    let last: &[(&str, fn())] = &[
        // No kubelet of this machine can start meanwhile.
        ("a_kubelet_without_inotify_instances", super::inotify::used_up_while_it_is_stopped),
        ("a_cluster_that_is_deleted_under_the_run", a_cluster_that_is_deleted_under_the_run),
    ];
    Tests {
        beside: [trials("kind", CLUSTER, first), trials("kind", SECOND, second)],
        last: trials("kind", CLUSTER, last),
    }
}

/// Tests that need a cluster, which the first of them makes.
pub(crate) fn trials(
    topic: &'static str,
    cluster: &'static str,
    tests: &[(&'static str, fn())],
) -> Vec<Test> {
    if let Some(why) = missing() {
        let which = if required() { "impossible" } else { "skipped" };
        eprintln!("tests on a real cluster are {which}: {why}");
    }
    let trial = |(name, body): &(&str, fn())| {
        let body = *body;
        let run = move || {
            if let Some(why) = missing() {
                return Err(Failed::from(format!("must run here, but {why}")));
            }
            use_cluster(cluster);
            // What tests that were killed left behind may have a fault in it. By hand, a cluster
            // that is there saves its making.
            if required() {
                remade(cluster);
            }
            body();
            Ok(())
        };
        Test::new(format!("{topic}::{name}"), run).ignored(!required() && missing().is_some())
    };
    tests.iter().map(trial).collect()
}

fn required() -> bool {
    std::env::var_os("OUTAGE_REQUIRE_CLUSTER").is_some()
}

/// A cluster of that name is one that these tests made: an older one is deleted, once.
fn remade(cluster: &'static str) {
    static SEEN: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if SEEN.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster) {
        delete(cluster);
    }
}

/// Why these tests can't run here.
fn missing() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let works = |command: &&[&str]| {
        Command::new(command[0]).args(&command[1..]).output().is_ok_and(|o| o.status.success())
    };
    let needed: [&[&str]; 3] =
        [&["docker", "info"], &["kind", "version"], &["kubectl", "version", "--client"]];
    let look = || {
        needed
            .iter()
            .find(|command| !works(command))
            .map(|command| format!("`{}` does not work", command.join(" ")))
    };
    MISSING.get_or_init(look).clone()
}

/// The run came to its end and was judged. How it was judged is not asserted: bounds in seconds
/// don't hold on every machine, the order of things does.
pub(crate) fn judged(output: &Output) {
    output.is_judged().has_no_error().prints("recovery");
}

fn worker_stop_shows_its_chain() {
    let lab = Lab::new();
    lab.home.file(".kube/config", "a user's own: must not be touched");
    let output = lab.home.run(&["run", "-f", &lab.experiment("worker-stop-fast")]);
    judged(&output);
    for moment in ["stop requested", "errors", "down", "detected", "unready", "undone", "steady"] {
        output.prints(moment);
    }
    assert_eq!(
        std::fs::read_to_string(lab.home.path().join(".kube/config")).unwrap(),
        "a user's own: must not be touched"
    );
    let report = lab.report("latest");
    super::chain::assert_order(&report);
    super::chain::assert_errors(&report, "web");
    lab.assert_clean();
}

/// One that shows in the cluster, and then every side in either direction, with no client.
fn partitions() {
    let cluster = cluster();
    one_fault("worker-cut-off-from-the-api-server");
    let lab = Lab::new();
    let sides = ["apiServer", "peers", "all"]
        .into_iter()
        .flat_map(|from| ["in", "out"].map(|direction| (from, direction)));
    let faults = sides.map(|(from, direction)| {
        format!("  - fault: {{partition: {{target: {{name: {cluster}-worker2}}, from: {from}, direction: {direction}}}}}\n    for: 100ms\n")
    });
    let experiment = super::undo_timer::experiment(
        &lab,
        "cuts",
        "{}",
        &format!("  method:\n{}", faults.collect::<String>()),
    );
    lab.home.run(&["run", "-f", &experiment]);
    let report = lab.report("latest");
    let faults = report["findings"]["faults"].as_array().unwrap();
    let cut = |fault: &Value| {
        let seen = fault["confirmed"]["what"].as_str().unwrap_or_default();
        seen.contains("is silent") && fault["undone"].is_number()
    };
    assert!(faults.len() == 6 && faults.iter().all(cut), "{faults:#?}");
    lab.assert_clean();
}

/// Its node may stay Ready.
fn a_kubelet_is_throttled() {
    let lab = Lab::new();
    judged(&lab.home.run(&["run", "-f", &lab.experiment("kubelet-throttle")]));
    let report = lab.report("latest");
    let what = report["findings"]["faults"][0]["confirmed"]["what"].as_str().unwrap().to_owned();
    assert_eq!(what, "the kubelet may use 1% of one CPU");
    lab.assert_clean();
}

fn one_fault(name: &str) {
    let lab = Lab::new();
    let output = lab.home.run(&["run", "-f", &lab.experiment(name)]);
    judged(&output);
    super::chain::assert_order(&lab.report("latest"));
    lab.assert_clean();
}

/// The second one comes when the first one's node is back.
fn a_command_and_a_freeze() {
    let lab = Lab::new();
    let freeze = lab.step("node-freeze");
    let both = format!("    for: 9s\n  - pause: 5s\n{freeze}");
    let experiment = lab.altered("machine-command", &[("    for: 9s\n", &both)]);
    let output = lab.home.run(&["run", "-f", &experiment]);
    judged(&output);
    let report = lab.report("latest");
    (0..2).for_each(|fault| super::chain::assert_order_of(&report, fault));
    lab.assert_clean();
}

/// What is asked of a control plane that lacks a part is not done, and is done by itself when the
/// part is back.
fn canary(name: &str, probe: &str, changes: &[(&str, &str)]) -> Value {
    let lab = Lab::new();
    let output = lab.home.run(&["run", "-f", &lab.altered(name, changes)]);
    judged(&output);
    output.prints("caught up");
    let report = lab.report("latest");
    let probes = report["findings"]["probes"].as_array().unwrap();
    let found = probes.iter().find(|p| p["name"] == probe).unwrap();
    let late = &found["late"][0];
    assert!(late["cameTrue"].as_u64().unwrap() >= 3, "{found:#}");
    lab.assert_clean();
    report
}

/// The part of a control plane that is missed least, hit in every way one after the other.
fn scheduler_stopped_frozen_and_killed() {
    let more = ["componentPause", "componentKill"].map(|fault| {
        format!("  - fault:\n      {fault}: {{component: kube-scheduler, target: {{role: control-plane}}}}\n    for: 3s\n")
    });
    let short = [
        ("rate: 0.25/s, timeout: 10s", "rate: 0.5/s, timeout: 6s"),
        ("successRatio: 1.0, for: 8s", "successRatio: 1.0, for: 4s"),
        ("for: 30s\n", &format!("for: 12s\n{}", more.concat())),
        ("  - noSuccess: {probe: scheduling}\n", ""),
        ("by: [noSuccess, noErrors]", "by: [noErrors]"),
    ];
    let report = canary("scheduler-down", "scheduling", &short);
    let faults = report["findings"]["faults"].as_array().unwrap();
    let whole = |fault: &Value| fault["confirmed"]["at"].is_number() && fault["undone"].is_number();
    assert!(faults.len() == 3 && faults.iter().all(whole), "{faults:#?}");
}

/// Without the worker that dies meanwhile.
fn canary_reconciliation() {
    let meanwhile = "    meanwhile:\n    - pause: 5s\n    - name: worker-dies\n      fault:\n        nodeKill: {target: {role: worker, mostEndpointsOf: web}}\n      for: 65s\n";
    let expected = "  - detection: {of: worker-dies, after: controller-manager-away, within: 40s}\n  - errorWindow: {probe: web, atLeast: 25s}\n";
    let short =
        [(meanwhile, ""), (expected, "  - noErrors: {probe: web}\n"), ("for: 30s", "for: 12s")];
    let short =
        [&short[..], &[("by: [noSuccess, detection, errorWindow]", "by: [noSuccess]")]].concat();
    canary("controller-manager-down", "reconciliation", &short);
}

/// Traffic goes on, the probe of the API fails, and the watches are blind: the run copes with all
/// three.
fn api_server_down() {
    let lab = Lab::new();
    let experiment = lab.altered("api-server-down", &[("for: 20s", "for: 5s")]);
    let output = lab.home.run(&["run", "-f", &experiment]);
    judged(&output);
    output.prints("watches were down");
    let report = lab.report("latest");
    let probes = report["findings"]["probes"].as_array().unwrap();
    let failed = |name: &str| {
        probes.iter().find(|p| p["name"] == name).unwrap()["total"]["failed"].as_u64().unwrap()
    };
    output.prints("PASS  errors of web at most 0");
    assert!(failed("api-read") > 40, "5 s at 10 attempts a second: {report:#}");
    assert_eq!(report["findings"]["faults"][0]["component"], "kube-apiserver");
    lab.assert_clean();
}

/// What a user calls a context says nothing of the cluster behind it, and the user's file stays as
/// it is.
fn worker_reboot() {
    let cluster = cluster();
    let lab = Lab::new();
    let config =
        lab.home.file("user.kubeconfig", &kubeconfig().replace(&format!("kind-{cluster}"), "home"));
    let before = std::fs::read_to_string(&config).unwrap();
    let experiment = lab.altered("node-kill", &[("nodeKill: {", "nodeReboot: {hard: true, ")]);
    let path = config.to_string_lossy();
    let through = |context: &str| {
        lab.home.run(&["run", "-f", &experiment, "--context", context, "--kubeconfig", &path])
    };
    let output = through("home");
    judged(&output);
    output.prints("reboot requested").prints(&format!("{cluster}-worker"));
    let report = lab.report("latest");
    let fault = &report["findings"]["faults"][0];
    assert!(fault["confirmed"]["what"].as_str().unwrap().contains("started again"), "{fault:#}");
    assert!(fault["undone"].is_number(), "{fault:#}");
    through("nowhere").exits(4).says("nowhere");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), before);
    lab.assert_clean();
}

/// The shorter form of an experiment whose faults overlap.
fn two_faults(lab: &Lab) -> String {
    let shorter =
        [("for: 40s", "for: 12s"), ("for: 75s", "for: 40s"), ("atLeast: 35s", "atLeast: 6s")];
    lab.altered("worker-down-while-control-plane-down", &shorter)
}

fn a_worker_dies_while_the_control_plane_is_away() {
    let lab = Lab::new();
    let output = lab.home.run(&["run", "-f", &two_faults(&lab)]);
    judged(&output);
    let report = lab.report("latest");
    let faults = report["findings"]["faults"].as_array().unwrap();
    let at = |fault: usize, moment: &str| faults[fault][moment].as_f64().unwrap();
    assert_eq!((faults.len(), faults[1]["name"].as_str()), (2, Some("worker-dies")));
    assert!(
        at(1, "requested") < at(0, "undoRequested") && at(0, "undone") < at(1, "undoRequested"),
        "{report:#}"
    );
    assert!(
        faults[1]["node"]["detected"]["at"]["latest"].as_f64().unwrap() > at(0, "undoRequested"),
        "{report:#}"
    );
    lab.assert_clean();
}

fn sigterm_while_two_faults_last() {
    let lab = Lab::new();
    let two = two_faults(&lab);
    interrupted_in(&lab, &two, "TERM", "nodeKill confirmed");
}

/// Faults on objects, one after the other: a Deployment of another namespace, a pod, a pod's
/// container, and a node.
const ON_OBJECTS: &str = "  blastRadius: {namespaces: [kube-system]}
  method:
  - fault: {deploymentScale: {namespace: kube-system, name: coredns, replicas: 0}}
    for: 2s
  - fault: {podDelete: {labels: {app: web}}}
    for: 5s
  - fault: {containerKill: {labels: {app: web}}}
    for: 5s
";
const RESTARTED: &str = "  expect:
  - restarted: {labels: {app: web}, within: 60s}
";

fn on_objects(lab: &Lab) -> String {
    let text = std::fs::read_to_string(lab.experiment("node-drain")).unwrap();
    let (head, _) = text.split_once("  method:").unwrap();
    // Its claims are decided by what it expects, and this expects something else.
    let head: String = head
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("  claims:") && !line.contains("{id: "))
        .collect();
    let text = format!("{head}{ON_OBJECTS}{}{RESTARTED}", lab.step("node-drain"));
    lab.home.file("experiments/objects.yaml", &text).to_string_lossy().into_owned()
}

pub(crate) fn coredns() -> String {
    kubectl(&[
        "-n",
        "kube-system",
        "get",
        "deployment",
        "coredns",
        "-o",
        "jsonpath={.spec.replicas} {.metadata.labels}",
    ])
}

fn faults_on_objects() {
    let (lab, before) = (Lab::new(), coredns());
    let output = lab.home.run(&["run", "-f", &on_objects(&lab)]);
    output.prints("coredns").prints("restarted").prints("drained");
    assert!(output.stdout.matches("rescheduled").count() >= 2, "{}", output.stdout);
    let report = lab.report("latest");
    let faults = report["findings"]["faults"].as_array().unwrap();
    assert!(faults.len() == 4 && faults.iter().all(|fault| fault["undone"].is_f64()), "{report:#}");
    assert_eq!(coredns(), before);
    let cordoned = kubectl(&["get", "nodes", "-l", "outage.run", "-o", "name"])
        + &kubectl(&["get", "nodes", "--field-selector", "spec.unschedulable=true", "-o", "name"]);
    assert_eq!(cordoned, "", "nothing is left on the nodes");
    lab.assert_clean();
}

/// A NetworkPolicy; and a custom resource, with somebody who says in its status that it is in effect.
fn objects_of_others() {
    let lab = Lab::new();
    let schema =
        serde_json::json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = serde_json::json!({"name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}});
    let definition = serde_json::json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "storms.outage.test"},
        "spec": {"group": "outage.test", "scope": "Namespaced", "versions": [version],
            "names": {"kind": "Storm", "singular": "storm", "plural": "storms"}}});
    let file = lab.home.file("crd.json", &definition.to_string());
    kubectl(&["apply", "-f", &file.to_string_lossy()]);
    kubectl(&["wait", "--for=condition=Established", "crd/storms.outage.test", "--timeout=60s"]);
    let controller = beside(|| {
        let status = r#"{"status":{"conditions":[{"type":"Raining","status":"True"}]}}"#;
        for _ in 0..600 {
            let all = ["get", "storms", "-A", "-o", "jsonpath={.items[*].metadata.namespace}"];
            if let Ok(namespace) = asked(&all)
                && !namespace.is_empty()
            {
                let patch = ["patch", "storm", "deny-web", "--subresource=status", "--type=merge"];
                let _ = asked(&[&["-n", &namespace][..], &patch, &["-p", status]].concat());
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let storm = lab
        .step("network-policy")
        .replace("networking.k8s.io/v1", "outage.test/v1")
        .replace("kind: NetworkPolicy", "kind: Storm")
        .replace("    for: 10s", "        inEffect: {condition: {type: Raining}}\n    for: 3s");
    let both = format!("    for: 5s\n{storm}");
    let experiment = lab.altered("network-policy", &[("    for: 10s\n", &both)]);
    let output = lab.home.run(&["run", "-f", &experiment]);
    judged(&output);
    output.says("condition Raining is True").says("the object is gone");
    let report = lab.report("latest");
    let faults = report["findings"]["faults"].as_array().unwrap();
    let whole = |fault: &Value| fault["confirmed"]["at"].is_number() && fault["undone"].is_number();
    assert!(faults.len() == 2 && faults.iter().all(whole), "{faults:#?}");
    controller.join().unwrap();
    kubectl(&["delete", "crd", "storms.outage.test"]);
    lab.assert_clean();
}

fn etcd_data_lost() {
    let cluster = cluster();
    let lab = Lab::new();
    let experiment = lab.altered("etcd-data-lost", &[("for: 20s", "for: 5s")]);
    let output = lab.home.run(&["run", "-f", &experiment]);
    output
        .prints("objects kept ")
        .prints("PASS  recovery")
        .says("a snapshot from before is in /var/lib/etcd-");
    let left = docker(&["exec", &format!("{cluster}-control-plane"), "ls", "/var/lib"]);
    assert!(!left.contains("etcd-"), "the snapshot goes when the data is back: {left}");
    lab.assert_clean();
}

fn a_second_run_is_refused() {
    let lab = Lab::new();
    let experiment = lab.experiment("node-pause");
    let mut first = lab.home.start(&["run", "-f", &experiment]);
    first.wait_for("watching the cluster", 3 * MINUTE);
    lab.home
        .run(&["run", "-f", &experiment])
        .exits(4)
        .says("another run, or the undo of one, is in progress");
    first.signal("HUP");
    first.finish().exits(130);
    lab.assert_clean();
}

fn interrupted(signal: &str, moment: &str) {
    let lab = Lab::new();
    let experiment = lab.experiment("worker-stop-fast");
    interrupted_in(&lab, &experiment, signal, moment);
}

fn interrupted_in(lab: &Lab, experiment: &str, signal: &str, moment: &str) {
    let mut run = lab.home.start(&["run", "-f", experiment]);
    run.wait_for(moment, 4 * MINUTE);
    run.signal(signal);
    std::thread::sleep(Duration::from_millis(300));
    run.signal(signal); // a second one does not cut it short
    let output = run.finish();
    output.exits(130).says("undoing").says("undone: ");
    lab.assert_clean();
    // The timeline can be read, and says what became of it.
    let report = lab.home.run(&["report", "latest", "--exit-code"]);
    report.exits(3).prints("INCONCLUSIVE");
}

fn killed(name: &str, moment: &str) {
    let lab = Lab::new();
    let experiment = lab.experiment(name);
    let mut run = lab.home.start(&["run", "-f", &experiment]);
    run.wait_for(moment, 4 * MINUTE);
    run.signal("KILL");
    run.finish();
    lab.home.run(&["run", "-f", &experiment]).exits(4).says("recover");
    lab.home.run(&["report", "latest", "--exit-code"]).exits(3);
    lab.home.run(&["recover"]).exits(0);
    lab.assert_clean();
    lab.home.run(&["recover"]).exits(0).prints("nothing");
}

fn an_image_that_is_not_there() {
    let lab = Lab::new();
    let workload = std::fs::read_to_string(lab.experiment("workloads/web")).unwrap();
    lab.home.file(
        "experiments/workloads/web.yaml",
        &workload.replace("nginx:1.22", "registry.invalid/no/such:1"),
    );
    let began = std::time::Instant::now();
    let output = lab.home.run(&["run", "-f", &lab.experiment("worker-stop-fast")]);
    output.exits(3).says("registry.invalid/no/such:1");
    assert!(began.elapsed() < 2 * MINUTE, "must be reported immediately, not after the timeout");
    lab.assert_clean();
}

fn a_workload_that_never_becomes_ready() {
    let lab = Lab::new();
    let workload = std::fs::read_to_string(lab.experiment("workloads/web")).unwrap();
    lab.home.file(
        "experiments/workloads/web.yaml",
        &workload.replace("replicas: 2", "replicas: 2\n  minReadySeconds: 300"),
    );
    let experiment =
        lab.altered("worker-stop-fast", &[("spec:\n", "spec:\n  workloadTimeout: 5s\n")]);
    lab.home.run(&["run", "-f", &experiment]).exits(3).says("was not ready within 5s");
    lab.assert_clean();
}

fn dry_run_changes_nothing() {
    let cluster = cluster();
    let lab = Lab::new();
    let output = lab.home.run(&["run", "-f", &lab.experiment("worker-stop-fast"), "--dry-run"]);
    output.exits(0).prints(&format!("{cluster}-worker")).prints("start");
    assert!(!lab.home.runs().exists(), "a dry run leaves no run");
    lab.assert_clean();
}

fn other_settings_are_refused() {
    let lab = Lab::new();
    let config =
        std::fs::read_to_string(lab.home.path().join("kind-configs/fast-detection.yaml")).unwrap();
    lab.home.file("kind-configs/fast-detection.yaml", &config.replace("4s", "9s"));
    let output = lab.home.run(&["run", "-f", &lab.experiment("worker-stop-fast")]);
    output.exits(4).says("kind delete cluster --name outage-test");
}

fn a_probe_on_the_target_is_refused() {
    let cluster = cluster();
    let lab = Lab::new();
    let node = format!("{cluster}-worker");
    let experiment = lab.altered(
        "worker-stop-fast",
        &[
            ("from: {node: {role: control-plane}}", &format!("from: {{node: {{name: {node}}}}}")),
            ("{role: worker, mostEndpointsOf: web}", &format!("{{name: {node}}}")),
        ],
    );
    let output = lab.home.run(&["run", "-f", &experiment]);
    assert!([2, 4].contains(&output.code), "{}", output.stderr);
    output.says("probe");
}

/// A node as kwok makes one: an object that somebody keeps Ready.
struct FakeNode {
    over: Arc<AtomicBool>,
    keeper: Option<JoinHandle<()>>,
}

impl FakeNode {
    const NAME: &str = "fake";

    fn new(home: &Home) -> Self {
        let node = serde_json::json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": Self::NAME},
            "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
        });
        let file = home.file("fake.json", &node.to_string());
        kubectl(&["create", "-f", &file.to_string_lossy()]);
        let over = Arc::<AtomicBool>::default();
        let ended = over.clone();
        let keep = move || {
            while !ended.load(Ordering::Relaxed) {
                let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let ready = serde_json::json!({"status": {"conditions": [{
                    "type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                }]}});
                let patch = ready.to_string();
                // An API server that is busy is asked again.
                let _ = asked(&[
                    "patch",
                    "node",
                    Self::NAME,
                    "--subresource=status",
                    "--type=merge",
                    "-p",
                    &patch,
                ]);
                std::thread::sleep(Duration::from_millis(500));
            }
        };
        Self { over, keeper: Some(beside(keep)) }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.keeper.take().map(JoinHandle::join);
        let _ = asked(&["delete", "node", Self::NAME]);
    }
}

/// Those that are containers can be hit beside it, while a pod's clients are watched.
fn from_pod_by_name() {
    let cluster = cluster();
    let lab = Lab::new();
    let fake = FakeNode::new(&lab.home);
    kubectl(&["wait", "--for=condition=Ready", "node", FakeNode::NAME, "--timeout=60s"]);
    let experiment = lab.experiment("worker-stop-from-pod");
    lab.home
        .run(&["run", "-f", &experiment, "--dry-run"])
        .exits(0)
        .prints(&format!("{cluster}-worker"));
    let output = lab.home.run(&["run", "-f", &experiment]);
    judged(&output);
    let report = lab.report("latest");
    super::chain::assert_order(&report);
    let nodes = report["cluster"]["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["name"] == FakeNode::NAME), "{nodes:#?}");
    assert!(report["findings"]["faults"][0]["undone"].is_number(), "{report:#}");
    drop(fake);
    lab.assert_clean();
}

/// Experiments for one suite, and how their faults are made shorter: of a node, a part of it and the
/// control plane, and a matrix.
const SUITE: &[(&str, &str, &str)] = &[
    ("node-kill", "for: 9s", "for: 9s"),
    ("kubelet-stop", "for: 9s", "for: 9s"),
    ("control-plane-away", "for: [10s, 1m, 5m]", "for: [6s]"),
];

/// Experiments of one cluster, one after the other: each is carried out and undone, whatever the
/// one before left.
fn experiments_of_one_cluster_in_one_suite() {
    let lab = Lab::new();
    let files: Vec<String> =
        SUITE.iter().map(|(name, long, short)| lab.shorter(name, long, short)).collect();
    let artifacts = lab.home.path().join("artifacts");
    let to = artifacts.to_string_lossy().into_owned();
    let flags = files.iter().flat_map(|file| ["-f", file]);
    let run = ["run", "-o", "json", "--artifacts", &to];
    let arguments: Vec<&str> = run.into_iter().chain(flags).collect();
    plant_secret();
    let output = lab.home.run(&arguments);
    output.is_judged();
    let suite: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", output.stderr));
    let rows = suite["experiments"].as_array().unwrap();
    assert_eq!(rows.len(), SUITE.len(), "{rows:#?}");
    for row in rows {
        let name = row["experiment"].as_str().unwrap();
        assert!(row["outcome"].is_string(), "{name} was not carried out: {row:#}");
        let report = lab.report(row["runs"]["runs"][0]["run"].as_str().unwrap());
        assert_eq!(report["findings"]["completion"], "complete", "{name}: {}", row["figures"]);
        let faults = report["findings"]["faults"].as_array().unwrap();
        assert!(
            faults
                .iter()
                .all(|fault| fault["confirmed"]["at"].is_number() && fault["undone"].is_number()),
            "{name}: {faults:#?}"
        );
        let recorded = artifacts.join(report["run"].as_str().unwrap());
        assert!(recorded.join("events.jsonl").is_file(), "{name}");
        assert_has_logs(&recorded.join("logs"));
        match name.starts_with("control-plane") {
            true => assert_only_the_api_failed(&report),
            false => super::chain::assert_order(&report),
        }
    }
    assert!(rows.iter().any(|row| row["experiment"] == "control-plane-away[for=6s]"));
    lab.assert_clean();
}

const PLANTED: &str = "planted-in-a-log";

/// Writes something to a component's log that must not be kept.
fn plant_secret() {
    let cluster = cluster();
    let script = format!(
        "for log in /var/log/pods/kube-system_etcd-*/etcd/*.log; do echo \"$(date -u \
         +%Y-%m-%dT%H:%M:%SZ) stderr F password={PLANTED}\" >>$log; done"
    );
    docker(&["exec", &format!("{cluster}-control-plane"), "sh", "-c", &script]);
}

/// What the kubelets and the control plane wrote is there, without what was planted in it.
fn assert_has_logs(logs: &Path) {
    let cluster = cluster();
    let log = |node: &str, component: &str| {
        let path = logs.join(format!("{cluster}-{node}/{component}.log"));
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(!text.starts_with("not read"), "{component} of {node}: {text}");
        assert!(!text.contains(PLANTED), "{component} of {node}");
        text
    };
    for node in ["control-plane", "worker", "worker2"] {
        assert!(!log(node, "kubelet").is_empty(), "the kubelet of {node}");
    }
    for component in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        log("control-plane", component);
    }
    assert!(log("control-plane", "etcd").contains("password=(secret)"));
}

/// The only control plane lost its power: while it was away clients of a Service were answered, and
/// those of the API were not. What happened before the steady state held is not asked.
fn assert_only_the_api_failed(report: &Value) {
    let probes = report["findings"]["probes"].as_array().unwrap();
    let in_fault = |name: &str| {
        let probe = probes.iter().find(|p| p["name"] == name).unwrap();
        let tally = probe["periods"]
            .as_array()
            .unwrap()
            .iter()
            .find(|p| p["period"]["fault"].is_object())
            .unwrap_or_else(|| panic!("no fault: {probe:#}"));
        (tally["ok"].as_u64().unwrap(), tally["failed"].as_u64().unwrap())
    };
    let ((web_ok, web_failed), (_, api_failed)) = (in_fault("web"), in_fault("api-read"));
    assert!(web_ok > 0 && web_failed == 0 && api_failed > 15, "{probes:#?}");
}

fn every_kind_of_probe() {
    let lab = Lab::new();
    let server = kubectl(&["config", "view", "-o", "jsonpath={.clusters[0].cluster.server}"]);
    let spec = format!(
        "  workload: [workloads/web.yaml, workloads/client.yaml]
  probes:
  - {{name: tcp, tcp: {{service: web}}, rate: 20/s, timeout: 300ms}}
  - {{name: tls, tls: {{address: \"10.96.0.1:443\", insecure: true}}, rate: 20/s, timeout: 300ms}}
  - {{name: tcp-kept, tcp: {{service: web}}, connection: reused, rate: 20/s, timeout: 300ms}}
  - {{name: kept, http: {{service: web}}, connection: reused, rate: 20/s, timeout: 300ms}}
  - {{name: pod, http: {{pod: {{labels: {{app: web}}, port: 80}}}}, rate: 20/s, timeout: 300ms}}
  - {{name: from-pod, tcp: {{service: web}}, from: {{pod: {{labels: {{app: client}}}}}}, rate: 20/s, timeout: 300ms}}
  - {{name: api, http: {{url: \"{server}/livez\", insecure: true}}, from: host, rate: 20/s, timeout: 1s}}
  - {{name: http2, http: {{url: \"{server}/livez\", insecure: true, version: 2}}, connection: reused, from: host, rate: 20/s, timeout: 1s}}
  steadyState:
  - nodesReady: all
  - probe: {{name: api, successRatio: 0.9, for: 2s}}
  - probe: {{name: from-pod, successRatio: 0.9, for: 2s}}
  method:
  - fault:
      nodePause: {{target: {{role: worker, mostEndpointsOf: web}}}}
    for: 9s
"
    );
    let file = lab.home.experiment("every-kind-of-probe", &spec);
    let output = lab.home.run(&["run", "-f", &file, "-o", "json"]);
    assert!([0, 3].contains(&output.code), "{}", output.stderr);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    for name in ["tcp", "tls", "tcp-kept", "kept", "pod", "from-pod", "api", "http2"] {
        let probes = report["findings"]["probes"].as_array().unwrap();
        let probe = probes
            .iter()
            .find(|p| p["name"] == name)
            .unwrap_or_else(|| panic!("{name} is missing: {}", output.stderr));
        assert!(probe["total"]["ok"].as_u64() > Some(40), "{name}: {probe:#}");
    }
    super::chain::assert_order(&report);
    lab.assert_clean();
}

fn no_kind_is_refused_with_a_hint() {
    let lab = Lab::new();
    let arguments = ["run", "-f", &lab.experiment("worker-stop-fast")];
    let output = lab.home.command(&arguments).env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("kind is not installed") && said.contains("hint:"), "{said}");
}

fn a_runs_directory_that_cannot_be_written() {
    let lab = Lab::new();
    let file = lab.home.file("a-file", "");
    let output = lab.home.run(&[
        "run",
        "-f",
        &lab.experiment("node-pause"),
        "--runs-dir",
        &file.to_string_lossy(),
    ]);
    output.exits(4).says("--runs-dir");
    lab.assert_clean();
}

fn a_cluster_that_is_deleted_under_the_run() {
    let cluster = cluster();
    let lab = Lab::new();
    let mut run = lab.home.start(&["run", "-f", &lab.experiment("worker-stop-fast")]);
    run.wait_for("nodeStop confirmed", 4 * MINUTE);
    // What a run that was killed now would leave.
    let dead = Home::for_kind();
    let clusters = std::fs::read_dir(lab.home.path().join("state/outage/clusters")).unwrap();
    let of_cluster =
        |path: &std::path::PathBuf| path.to_string_lossy().contains(&format!("{cluster}@"));
    let state = clusters.map(|entry| entry.unwrap().path()).find(of_cluster).unwrap();
    // An earlier version kept it by the cluster's name alone.
    dead.file(
        &format!("state/outage/clusters/{cluster}/ledger.jsonl"),
        &std::fs::read_to_string(state.join("ledger.jsonl")).unwrap(),
    );
    delete(cluster);
    let output = run.finish();
    assert!([1, 3].contains(&output.code), "{}", output.stderr);
    lab.home.run(&["recover"]).exits(0).prints("nothing to undo");
    dead.run(&["recover", "--dry-run"]).exits(0).prints(&format!("{cluster}-worker"));
    dead.run(&["recover"]).exits(0);
    dead.run(&["recover"]).exits(0).prints("nothing to undo");
    lab.home.run(&["report", "latest", "--exit-code"]).exits(output.code);
}
