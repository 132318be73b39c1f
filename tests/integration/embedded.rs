//! The embedded cluster as a user runs it: needs neither Docker nor root.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::termios::Winsize;
use serde_json::Value;

use super::model::{address, cluster, start};
use super::program::{Home, Output, Started};
use super::{Test, test};

const MINUTE: Duration = Duration::from_secs(60);

/// All tests of this rung.
pub(crate) fn tests() -> Vec<Test> {
    let mut tests = vec![
        test(
            "embedded::every_fault_each_in_a_cluster_of_its_own_at_once",
            every_fault_each_in_a_cluster_of_its_own_at_once,
        ),
        test(
            "embedded::the_built_in_experiment_shows_the_articles_chain",
            the_built_in_experiment_shows_the_articles_chain,
        ),
        test(
            "embedded::a_node_that_boots_takes_the_next_fault",
            a_node_that_boots_takes_the_next_fault,
        ),
        test("embedded::a_signal_during_the_stop_undoes_it", || {
            interrupted("INT", "nodeStop requested")
        }),
        test("embedded::a_signal_during_the_outage_undoes_it", || {
            interrupted("TERM", "nodeStop confirmed")
        }),
        test(
            "embedded::clients_see_rates_bursts_and_hung_connections",
            clients_see_rates_bursts_and_hung_connections,
        ),
        test("embedded::a_drained_node_takes_no_pod", a_drained_node_takes_no_pod),
        test("embedded::an_object_is_created_and_deleted", an_object_is_created_and_deleted),
        test(
            "embedded::a_stateful_pod_is_replaced_once_its_node_is_out_of_service",
            a_stateful_pod_is_replaced_once_its_node_is_out_of_service,
        ),
        test(
            "embedded::each_nodes_port_leads_to_the_service_while_the_node_is_up",
            each_nodes_port_leads_to_the_service_while_the_node_is_up,
        ),
        test("embedded::a_signal_before_the_fault", a_signal_before_the_fault),
        test("embedded::lanes_grow_on_a_terminal", lanes_grow_on_a_terminal),
        test("embedded::a_killed_run_blocks_no_other", a_killed_run_blocks_no_other),
        test("embedded::a_probe_from_a_pod_is_refused", a_probe_from_a_pod_is_refused),
        test(
            "embedded::grpc_and_http2_clients_see_the_node_go",
            grpc_and_http2_clients_see_the_node_go,
        ),
        test("embedded::a_wrong_body_is_no_steady_state", a_wrong_body_is_no_steady_state),
        test("embedded::a_kind_that_it_lacks_is_refused", a_kind_that_it_lacks_is_refused),
        test(
            "embedded::what_the_api_refuses_is_known_before_anything_is_made",
            what_the_api_refuses_is_known_before_anything_is_made,
        ),
        test("embedded::settings_that_cannot_be_are_refused", settings_that_cannot_be_are_refused),
        test("embedded::a_dry_run_shows_targets_and_undo", a_dry_run_shows_targets_and_undo),
        test(
            "embedded::a_cluster_in_the_foreground_ends_on_ctrl_c",
            a_cluster_in_the_foreground_ends_on_ctrl_c,
        ),
    ];
    let no_kubectl = kubectl_program().is_none();
    if no_kubectl {
        eprintln!(
            "the tests of the embedded cluster with a real kubectl are skipped: none on PATH, and KUBECTL names none"
        );
    }
    let with_kubectl = [
        test("embedded::a_real_kubectl_sees_the_node_go", a_real_kubectl_sees_the_node_go),
        test(
            "embedded::a_namespace_that_somebody_deletes_ends_the_run",
            a_namespace_that_somebody_deletes_ends_the_run,
        ),
        test("embedded::kubectl_reads", kubectl_reads),
        test("embedded::kubectl_writes", kubectl_writes),
        test("embedded::kubectl_is_refused_plainly", kubectl_is_refused_plainly),
    ];
    tests.extend(with_kubectl.map(|test| test.ignored(no_kubectl)));
    tests
}

/// The kubectl that `KUBECTL` names, else the one on `PATH`.
fn kubectl_program() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let look = || {
        let named = std::env::var_os("KUBECTL").map_or_else(|| "kubectl".into(), PathBuf::from);
        let works = Command::new(&named)
            .args(["version", "--client"])
            .output()
            .is_ok_and(|output| output.status.success());
        works.then_some(named)
    };
    PROGRAM.get_or_init(look).clone()
}

fn run(home: &Home, arguments: &[&str]) -> Output {
    start(home, arguments).finish()
}

/// An experiment of this repository's with some of its text replaced; each replacement must be
/// there.
fn altered(home: &Home, name: &str, changes: &[(&str, &str)]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    home.copy(&["experiments/workloads", "kind-configs"], |text| text);
    let mut text =
        std::fs::read_to_string(root.join("experiments").join(name).with_extension("yaml"))
            .unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{name} has no {from:?}");
        text = text.replace(from, to);
    }
    home.file(&format!("experiments/{name}.yaml"), &text).to_string_lossy().into_owned()
}

/// As short as it can be and still be noticed: detection takes up to 7 s.
fn short(home: &Home, name: &str) -> String {
    let target = "nodeStop: {target: {role: worker, mostEndpointsOf: web}}";
    let stop = (target, "nodeStop: {target: {role: worker, mostEndpointsOf: web}, grace: 2s}");
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments").join(format!("{name}.yaml")),
    )
    .unwrap();
    let hold = text.lines().find_map(|line| line.strip_prefix("    for: ")).unwrap().to_owned();
    let (hold, shorter) = (format!("    for: {hold}"), "    for: 9s".to_owned());
    let mut changes = vec![("for: 5s", "for: 2s"), (hold.as_str(), shorter.as_str())];
    changes.extend(text.contains(target).then_some(stop));
    altered(home, name, &changes)
}

fn report(home: &Home) -> Value {
    let output = home.run(&["report", "latest", "-o", "json"]);
    serde_json::from_str(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}\n{}", output.stdout, output.stderr))
}

/// The run came to its own end, and its exit code is its verdict's and no error's.
fn assert_completed(home: &Home, output: &Output) {
    let shown = format!("{}\n{}", output.stdout, output.stderr);
    output.has_no_error();
    let events = std::fs::read_to_string(home.runs().join("latest/events.jsonl")).unwrap();
    let kinds: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event"].clone())
        .collect();
    assert!(
        kinds.contains(&"ended".into()) && !kinds.contains(&"failed".into()),
        "{kinds:?}: {shown}"
    );
    let outcome = report(home)["verdict"]["outcome"].clone();
    let expected = match outcome.as_str() {
        Some("pass" | "measured") => 0,
        Some("fail") => 1,
        _ => 3,
    };
    assert_eq!(output.code, expected, "{outcome}: {shown}");
}

/// One of a run's assertions passed: the model's own times are sure, those of probes are the
/// machine's too.
fn assert_passed(report: &Value, subject: &str) {
    let assertions = report["verdict"]["assertions"].as_array().unwrap();
    let judged: Vec<&Value> = assertions
        .iter()
        .filter(|assertion| assertion["subject"].as_str() == Some(subject))
        .collect();
    assert!(!judged.is_empty(), "nothing about {subject} in {assertions:#?}");
    assert!(judged.iter().all(|assertion| assertion["outcome"] == "pass"), "{judged:#?}");
}

/// The share of a probe's requests that failed in the fault's window. On a machine under load there
/// may be others, before the steady state and long after the undo.
fn failed_in_fault(report: &Value, probe: &str) -> f64 {
    let probes = report["findings"]["probes"].as_array().unwrap();
    let found = probes.iter().find(|one| one["name"] == probe).unwrap();
    let windows = found["windows"].as_array().unwrap();
    let window = windows.iter().find(|window| window["period"]["fault"].is_object());
    let window = window.unwrap_or_else(|| panic!("no errors during the fault: {found:#}"));
    window["failed"].as_f64().unwrap() / window["attempts"].as_f64().unwrap()
}

/// Nothing is left to undo, and no file is left.
fn assert_clean(home: &Home) {
    home.run(&["recover", "--dry-run"]).exits(0).prints("nothing");
    let left = home.path().join("state/outage/embedded");
    let left: Vec<_> = std::fs::read_dir(left).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

fn every_fault_each_in_a_cluster_of_its_own_at_once() {
    let names = ["worker-stop-fast", "node-kill", "node-pause", "node-disconnect", "kubelet-stop"];
    let homes = names.map(|_| Home::new());
    let running: Vec<Started> = homes
        .iter()
        .zip(names)
        .map(|(home, name)| {
            let experiment = short(home, name);
            start(home, &["run", "-f", &experiment, "--cluster", "embedded"])
        })
        .collect();
    for ((home, name), run) in homes.iter().zip(names).zip(running) {
        let output = run.finish();
        assert_completed(home, &output);
        assert!(
            output.stdout.starts_with(&format!("{name} on the EMBEDDED MODEL of a cluster")),
            "{}",
            output.stdout
        );
        output.prints("no real Kubernetes");
        let report = report(home);
        assert_eq!(report["cluster"]["kind"], "embedded", "{name}");
        super::chain::assert_order(&report);
        assert_passed(&report, "detection");
        if name != "kubelet-stop" {
            super::chain::assert_errors(&report, "web");
        }
        assert_clean(home);
    }
}

fn the_built_in_experiment_shows_the_articles_chain() {
    let home = Home::new();
    let began = Instant::now();
    let output = run(&home, &["run", "worker-stop-fast", "--cluster", "embedded"]);
    assert_completed(&home, &output);
    assert_passed(&report(&home), "detection");
    for moment in [
        "stop requested",
        "errors",
        "down",
        "detected",
        "predicted",
        "unready",
        "healed",
        "undone",
        "steady",
    ] {
        output.prints(moment);
    }
    assert!(began.elapsed() < Duration::from_secs(60), "took {:?}", began.elapsed());
    let detected = &report(&home)["findings"]["faults"][0]["node"]["detected"]["at"];
    // The closed form's interval; the machine may be late, never early.
    assert!(
        detected["latest"].as_f64() > Some(2.9) && detected["earliest"].as_f64() < Some(8.0),
        "{detected}"
    );
    let delivery = &report(&home)["findings"]["delivery"];
    assert!(delivery["updates"].as_u64() > Some(20), "twice a second: {delivery}");
    let moments = delivery["moments"].as_array().unwrap();
    let late = moments.iter().find(|moment| moment["at"] == detected["latest"]);
    let late = late.unwrap_or_else(|| panic!("{delivery}"))["atMost"].as_f64().unwrap();
    assert!(late > 0.0 && late < 2.0, "{delivery}");
    assert_clean(&home);
}

/// The same stop as seen over new connections and over kept ones.
fn clients_see_rates_bursts_and_hung_connections() {
    let home = Home::new();
    let kept = "    timeout: 200ms\n  - name: kept\n    http: {service: web, path: /}\n    from: {node: {role: control-plane}}\n    connection: reused\n    rate: 50/s\n    timeout: 200ms\n";
    // The bound is far off: where a machine under load lets a request fail long after the others, the
    // failing time is between the two bursts and all of the time from the first to the last.
    let expected = "  - errorWindow: {probe: web, atMost: 60s, counts: failingTime}\n  - errorRate: {probe: web, window: 2s, atMost: 5%}\n  - errorRate: {probe: kept, atMost: 95%}\n";
    let changes = [
        ("    timeout: 200ms\n", kept),
        ("  - errorWindow: {probe: web, atMost: 8s}\n", expected),
        ("for: 12s", "for: 9s"),
    ];
    let experiment = altered(&home, "worker-stop-fast", &changes);
    home.run(&["validate", "-f", &experiment]).exits(0);
    let output = run(&home, &["run", "-f", &experiment, "--cluster", "embedded"]);
    assert_completed(&home, &output);
    let report = report(&home);
    assert_passed(&report, "failing time of web");
    assert_passed(&report, "error rate of kept");
    let assertions = report["verdict"]["assertions"].as_array().unwrap();
    let rate = assertions.iter().find(|one| one["name"] == "errorRate/web").unwrap();
    assert_eq!(rate["outcome"], "fail", "half of the endpoints were away for seconds: {rate:#}");
    // 100 are due in 2 s; a machine under load sends many of them too late, or not at all.
    let measured = rate["measured"].as_str().unwrap();
    let rest = measured.split_once("% of ").unwrap_or_else(|| panic!("{rate:#}")).1;
    let requests = rest.split_once(" requests from +").unwrap_or_else(|| panic!("{rate:#}")).0;
    assert!((40..=100).contains(&requests.parse::<u32>().unwrap()), "{rate:#}");
    let probes = report["findings"]["probes"].as_array().unwrap();
    let kept = probes.iter().find(|probe| probe["name"] == "kept").unwrap();
    // Its one connection may lead to the backend that stayed, or be closed between two requests; else
    // that node's shutdown resets it, or it hangs.
    if let Some(ends) = kept["kept"].as_array() {
        let known = |one: &Value| {
            ["timeout", "reset", "closed", "idle"].iter().any(|end| one["end"] == *end)
        };
        assert!(!ends.is_empty() && ends.iter().all(known), "{ends:#?}");
        output.prints("kept connection");
    }
    assert_clean(&home);
}

/// The evicted pod is made anew on another node, and the node is uncordoned at the end.
fn a_drained_node_takes_no_pod() {
    let home = Home::new();
    let output = run(&home, &["run", "node-drain", "--cluster", "embedded", "--watch"]);
    assert_completed(&home, &output);
    // Without a terminal there is nothing to draw on.
    assert_eq!(output.stderr.matches("--watch needs a terminal").count(), 1);
    assert!(!output.stderr.contains('\x1b'), "{}", output.stderr);
    output.says("nodeDrain confirmed").says("the node is uncordoned");
    assert_passed(&report(&home), "pods of web rescheduled");
    assert_clean(&home);
}

/// Of a kind that it serves; of one that it does not, nothing is made.
fn an_object_is_created_and_deleted() {
    let home = Home::new();
    let near = [
        ("[workloads/web.yaml, workloads/client.yaml]", "[workloads/web.yaml]"),
        ("from: {pod: {labels: {app: client}}}", "from: {node: {role: control-plane}}"),
        ("for: 10s", "for: 2s"),
    ];
    let policy = altered(&home, "network-policy", &near);
    run(&home, &["run", "-f", &policy, "--cluster", "embedded"])
        .exits(4)
        .says("the cluster has no kind NetworkPolicy in networking.k8s.io/v1");
    let spec = "          spec:\n            podSelector: {matchLabels: {app: web}}\n            policyTypes: [Ingress]\n";
    let data =
        "          data: {on: \"yes\"}\n        inEffect: {path: .data.on, value: \"yes\"}\n";
    let map =
        [("networking.k8s.io/v1", "v1"), ("kind: NetworkPolicy", "kind: ConfigMap"), (spec, data)];
    let experiment = altered(&home, "network-policy", &[&near[..], &map].concat());
    let output = run(&home, &["run", "-f", &experiment, "--cluster", "embedded"]);
    assert_completed(&home, &output);
    output.says("manifest confirmed").says(".data.on is yes").says("the object is gone");
    assert_clean(&home);
}

fn a_stateful_pod_is_replaced_once_its_node_is_out_of_service() {
    let home = Home::new();
    let output = run(&home, &["run", "out-of-service", "--cluster", "embedded"]);
    assert_completed(&home, &output);
    output.says("nodeTaint confirmed").says("the taint is removed");
    let report = report(&home);
    assert_passed(&report, "detection of power-loss");
    assert_passed(&report, "pods of web rescheduled");
    assert_clean(&home);
}

/// The port of the node that is off times out; those of the others lead to the pod that is left.
fn each_nodes_port_leads_to_the_service_while_the_node_is_up() {
    let home = Home::new();
    home.copy(&["experiments/workloads", "kind-configs"], |text| {
        text.replace(
            "spec:\n  selector: {app: web}",
            "spec:\n  type: NodePort\n  selector: {app: web}",
        )
    });
    let file = home.experiment(
        "ports",
        "  workload: [workloads/web.yaml]
  probes:
  - {name: web, http: {service: web, via: nodePort, on: each}, rate: 20/s, timeout: 200ms}
  steadyState:
  - nodesReady: all
  - endpointsReady: {service: web, atLeast: 2}
  - probe: {name: web, successRatio: 1.0, for: 2s}
  method:
  - fault: {nodeKill: {target: {role: worker, mostEndpointsOf: web}}}
    for: 9s
  expect:
  - recovery: {within: 60s}
",
    );
    let output = run(&home, &["run", "-f", &file, "--cluster", "embedded"]);
    assert_completed(&home, &output);
    let report = report(&home);
    let target = report["findings"]["faults"][0]["target"].as_str().unwrap();
    for node in ["fast-detection-control-plane", "fast-detection-worker", "fast-detection-worker2"]
    {
        let share = failed_in_fault(&report, &format!("web@{node}"));
        match node == target {
            true => assert!(share > 0.9, "the node that was killed has no port: {share}"),
            false => {
                assert!((0.1..0.9).contains(&share), "half of the endpoints were away: {share}")
            }
        }
    }
    assert_clean(&home);
}

/// Nothing is undone, nothing is predicted, and nothing is left.
fn a_signal_before_the_fault() {
    let home = Home::new();
    let mut run = start(&home, &["run", "worker-stop-fast", "--cluster", "embedded"]);
    run.wait_for("watching the cluster", 2 * MINUTE);
    let began = Instant::now();
    run.signal("INT");
    let output = run.finish();
    output.exits(130).says("SIGINT: stopping, please wait").prints("interrupted");
    assert!(!output.stderr.contains("undo"), "{}", output.stderr);
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
    assert_clean(&home);
}

/// They show the fault, the node that is lost, and what an interruption undoes, and are gone in the end.
fn lanes_grow_on_a_terminal() {
    let home = Home::new();
    let size = Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let arguments = ["run", "worker-stop-fast", "--cluster", "embedded", "--watch"];
    let mut run = home.start_on_terminal(&arguments, size);
    for text in ["probe  control", "fault  nodeStop fast-detection-worker", "NotReady"] {
        run.wait_for(text, 2 * MINUTE);
    }
    run.wait_for("(Ctrl-C undoes it now)", MINUTE);
    run.signal("INT");
    run.wait_for("interrupted by SIGINT", MINUTE);
    run.wait_for("now: start node fast-detection-worker", MINUTE);
    let output = run.finish();
    output.exits(130).prints("interrupted");
    let (_, last) = output.stderr.rsplit_once('\x1b').unwrap();
    assert!(!last.contains("probe  "), "{last}");
    assert_clean(&home);
}

fn interrupted(signal: &str, moment: &str) {
    let home = Home::new();
    let file = home.path().join("report.xml");
    let junit = format!("junit={}", file.display());
    let arguments = ["run", "worker-stop-fast", "--cluster", "embedded", "-o", &junit];
    let mut run = start(&home, &arguments);
    run.wait_for(moment, 2 * MINUTE);
    let began = Instant::now();
    run.signal(signal);
    let output = run.finish();
    output.exits(130).says("undoing").says("undone").prints("interrupted");
    let written = std::fs::read_to_string(file).unwrap();
    assert!(written.contains(r#"type="interrupted">"#) && written.contains(signal), "{written}");
    assert!(began.elapsed() < Duration::from_secs(20), "took {:?}", began.elapsed());
    assert_clean(&home);
    home.run(&["report", "latest", "--exit-code"]).exits(3).prints("INCONCLUSIVE");
}

fn a_killed_run_blocks_no_other() {
    let home = Home::new();
    let mut killed = start(&home, &["run", "worker-stop-fast", "--cluster", "embedded"]);
    killed.wait_for("nodeStop requested", 2 * MINUTE);
    killed.signal("KILL");
    killed.finish();
    run(&home, &["run", "worker-stop-fast", "--cluster", "embedded", "--dry-run"]).exits(0);
    home.run(&["recover", "--dry-run"])
        .exits(0)
        .prints("to remove")
        .prints("left behind by an embedded cluster");
    home.run(&["recover"]).exits(0).prints("removed");
    assert_clean(&home);
}

fn a_probe_from_a_pod_is_refused() {
    let home = Home::new();
    for more in [&["--dry-run"][..], &[]] {
        let output =
            run(&home, &[&["run", "worker-stop-from-pod", "--cluster", "embedded"], more].concat());
        output.exits(4).says("runs in a pod").says("hint:").says("--cluster kind");
    }
    home.assert_nothing_recorded();
}

/// Its pods speak HTTP/2, too, and know their health; it has no certificates.
fn grpc_and_http2_clients_see_the_node_go() {
    let home = Home::new();
    home.copy(&["experiments/workloads", "kind-configs"], |text| text);
    let experiment = |name: &str, grpc: &str| {
        let text = format!(
            "  workload: [workloads/web.yaml]
  probes:
  - {{name: calls, grpc: {{{grpc}}}, connection: reused, rate: 50/s, timeout: 200ms}}
  - {{name: new, grpc: {{{grpc}}}, rate: 50/s, timeout: 200ms}}
  - {{name: pages, http: {{service: web, version: 2}}, rate: 50/s, timeout: 200ms}}
  steadyState:
  - nodesReady: all
  - endpointsReady: {{service: web, atLeast: 2}}
  - probe: {{name: new, successRatio: 1.0, for: 2s}}
  - probe: {{name: pages, successRatio: 1.0, for: 2s}}
  method:
  - fault: {{nodeKill: {{target: {{role: worker, mostEndpointsOf: web}}}}}}
    for: 9s
  expect:
  - recovery: {{within: 60s}}
"
        );
        home.experiment(name, &text)
    };
    let output =
        run(&home, &["run", "-f", &experiment("grpc", "service: web"), "--cluster", "embedded"]);
    assert_completed(&home, &output);
    let report = report(&home);
    for name in ["new", "pages"] {
        let share = failed_in_fault(&report, name);
        assert!((0.1..0.9).contains(&share), "{name}: half of the endpoints were away: {share}");
    }
    let with_tls = experiment("tls", "service: web, tls: true, insecure: true");
    run(&home, &["run", "-f", &with_tls, "--cluster", "embedded", "--dry-run"])
        .exits(4)
        .says("probe calls uses TLS: the embedded cluster has no certificates");
    assert_clean(&home);
}

/// The pods of the embedded cluster answer with their names.
fn a_wrong_body_is_no_steady_state() {
    let home = Home::new();
    let http = "http: {service: web, method: POST, paths: [/a, /b], body: {file: body.json}, \
                bodyContains: no-such-pod}";
    let changes = [
        ("http: {service: web, path: /}", http),
        ("  steadyState:\n", "  steadyStateTimeout: 7s\n  steadyState:\n"),
    ];
    let file = altered(&home, "worker-stop-fast", &changes);
    let arguments = ["run", "-f", &file, "--cluster", "embedded"];
    run(&home, &arguments).exits(2).says("cannot read body.json: no such file");
    home.file("experiments/body.json", r#"{"order": $(unique)}"#);
    run(&home, &[&arguments[..], &["--dry-run"]].concat())
        .exits(0)
        .prints("web: sends 50 POST requests a second to web from");
    run(&home, &arguments)
        .exits(3)
        .says("wrong body x")
        .says("check the probe's `bodyContains`")
        .prints("web: POST http://web/a and 1 more path");
    assert_clean(&home);
}

fn a_kind_that_it_lacks_is_refused() {
    let home = Home::new();
    let experiment = altered(&home, "node-kill", &[]);
    let set = "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: web}\n";
    let web = std::fs::read_to_string(home.path().join("experiments/workloads/web.yaml")).unwrap();
    home.file("experiments/workloads/web.yaml", &format!("{web}---\n{set}"));
    run(&home, &["run", "-f", &experiment, "--cluster", "embedded"])
        .exits(4)
        .says("no DaemonSet in apps/v1");
    assert_clean(&home);
}

fn what_the_api_refuses_is_known_before_anything_is_made() {
    let home = Home::new();
    let file = altered(&home, "worker-stop-fast", &[]);
    home.copy(&["experiments/workloads"], |text| {
        text.replace("{name: web, labels: {app: web}}", "{name: web, labels: {app: a b}}")
    });
    run(&home, &["run", "-f", &file, "--cluster", "embedded"])
        .exits(4)
        .says("web.yaml:")
        .says("Deployment/web: metadata.labels: Invalid value");
    assert!(!home.runs().join("latest").exists(), "nothing was begun");
}

fn settings_that_cannot_be_are_refused() {
    let home = Home::new();
    let experiment = altered(&home, "node-kill", &[]);
    let config =
        std::fs::read_to_string(home.path().join("kind-configs/fast-detection.yaml")).unwrap();
    home.file(
        "kind-configs/fast-detection.yaml",
        &config.replace("node-monitor-grace-period: 4s", "node-monitor-grace-period: 900000h"),
    );
    let output = run(&home, &["run", "-f", &experiment, "--cluster", "embedded"]);
    assert!([2, 4].contains(&output.code), "{}", output.stderr);
    output.says("node-monitor-grace-period");
    let workers = "- role: worker\n".repeat(120);
    home.file(
        "kind-configs/fast-detection.yaml",
        &config.replacen("- role: worker\n", &workers, 1),
    );
    run(&home, &["run", "-f", &experiment, "--cluster", "embedded"])
        .exits(4)
        .says("122 nodes")
        .says("the limit is 100");
    assert_clean(&home);
}

fn a_dry_run_shows_targets_and_undo() {
    let home = Home::new();
    let flags = ["--delete-cluster", "--node-image", "kindest/node:v1.31.0"];
    let arguments = [&["run", "node-pause", "--cluster", "embedded", "--dry-run"][..], &flags];
    let output = run(&home, &arguments.concat());
    for flag in ["--delete-cluster", "--node-image"] {
        output.says(&format!("warning: {flag} has no effect with --cluster embedded"));
    }
    output
        .exits(0)
        .prints("fast-detection-worker2")
        .prints("unpause node")
        .prints("a model inside this program");
    assert!(!home.runs().exists());
    assert_clean(&home);
}

fn a_cluster_in_the_foreground_ends_on_ctrl_c() {
    let home = Home::new();
    let (running, kubeconfig) = cluster(&home);
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let address = address(&text);
    std::net::TcpStream::connect(address).expect("the API listens");
    running.signal("INT");
    running.finish().exits(0).prints("--kubeconfig");
    assert!(std::net::TcpStream::connect(address).is_err(), "every port is free again");
    assert!(!kubeconfig.exists());
    assert_clean(&home);
    // What is there is not ours.
    std::fs::write(&kubeconfig, "credentials").unwrap();
    run(&home, &["cluster", "--kubeconfig-out", &kubeconfig.to_string_lossy()])
        .exits(4)
        .says("hint:");
    assert_eq!(std::fs::read_to_string(&kubeconfig).unwrap(), "credentials");
    assert_clean(&home);
}

/// A `kubectl get --watch` that is ended with its test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn a_real_kubectl_sees_the_node_go() {
    let home = Home::new();
    let experiment = short(&home, "node-kill");
    let mut run = start(&home, &["run", "-f", &experiment, "--cluster", "embedded"]);
    run.wait_for("steady state reached", 2 * MINUTE);
    let seen = home.path().join("seen");
    let command = kubectl_of(&home, &run.said());
    let listed =
        command(&["get", "nodes,pods,endpointslices", "-A", "-o", "wide"]).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout).into_owned()
        + &String::from_utf8_lossy(&listed.stderr);
    assert!(listed.status.success(), "{text}");
    for word in [
        "fast-detection-worker2",
        "INTERNAL-IP",
        "pod/web-",
        "endpointslice.discovery.k8s.io/web-",
        "Running",
    ] {
        assert!(text.contains(word), "no {word} in:\n{text}");
    }
    let watching = command(&["get", "nodes", "-w"])
        .stdout(std::fs::File::create(&seen).unwrap())
        .spawn()
        .unwrap();
    let watching = Watching(watching);
    run.wait_for("is NotReady", MINUTE);
    let began = Instant::now();
    while !std::fs::read_to_string(&seen).unwrap().contains("NotReady") {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{}",
            std::fs::read_to_string(&seen).unwrap()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(watching);
    let output = run.finish();
    assert_completed(&home, &output);
    assert_clean(&home);
}

/// kubectl with the kubeconfig that a run on the embedded cluster has named.
fn kubectl_of(home: &Home, said: &str) -> impl Fn(&[&str]) -> Command + use<> {
    let mut named = said.split_whitespace().skip_while(|word| *word != "--kubeconfig");
    let (kubeconfig, home) = (named.nth(1).unwrap().to_owned(), home.path().to_owned());
    move |arguments| {
        let mut command = Command::new(kubectl_program().unwrap());
        command.args(["--kubeconfig", &kubeconfig]).args(arguments);
        command.env("HOME", &home).stdin(Stdio::null());
        command
    }
}

fn a_namespace_that_somebody_deletes_ends_the_run() {
    let home = Home::new();
    let experiment = short(&home, "node-kill");
    let mut run = start(&home, &["run", "-f", &experiment, "--cluster", "embedded"]);
    run.wait_for("nodeKill confirmed", 2 * MINUTE);
    let kubectl = kubectl_of(&home, &run.said());
    let names = kubectl(&["get", "namespaces", "-o", "name"]).output().unwrap();
    let names = String::from_utf8(names.stdout).unwrap();
    let name = names.lines().find(|name| name.contains("/outage-")).unwrap();
    let deleted = kubectl(&["delete", name, "--wait=false"]).output().unwrap();
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    let output = run.finish();
    output.exits(3).says("of this run was deleted, with all that was in it").prints("node started");
    assert_clean(&home);
}

/// The second fault comes while the node boots after the first.
fn a_node_that_boots_takes_the_next_fault() {
    let home = Home::new();
    let kill = "      nodeKill: {target: {role: worker, mostEndpointsOf: web}}\n    for: 15s\n";
    let pause =
        "  - fault:\n      nodePause: {target: {name: fast-detection-worker2}}\n    for: 3s\n";
    let twice = format!(
        "{}{pause}",
        kill.replace("role: worker, mostEndpointsOf: web", "name: fast-detection-worker2")
            .replace("15s", "3s")
    );
    let experiment = altered(&home, "node-kill", &[(kill, &twice), ("for: 5s", "for: 2s")]);
    let output = run(&home, &["run", "-f", &experiment, "--cluster", "embedded"]);
    assert_completed(&home, &output);
    let report = report(&home);
    let faults = report["findings"]["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2);
    assert!(
        faults
            .iter()
            .all(|fault| fault["confirmed"]["at"].is_number() && fault["undone"].is_number()),
        "{faults:#?}"
    );
    assert_clean(&home);
}

/// A kubectl user's cluster: `web` runs in it.
struct Kubectl {
    home: Home,
    kubeconfig: PathBuf,
    _cluster: Started,
}

impl Kubectl {
    fn new() -> Self {
        let home = Home::new();
        let (cluster, kubeconfig) = cluster(&home);
        home.copy(&["experiments/workloads"], |text| text);
        let kubectl = Self { home, kubeconfig, _cluster: cluster };
        kubectl.prints("apply -f experiments/workloads/web.yaml", &["deployment.apps/web created"]);
        kubectl.prints("rollout status deployment/web --timeout=60s", &["successfully rolled out"]);
        kubectl
    }

    /// The words of a command stand between spaces; whether it succeeded, and what it printed.
    fn run(&self, command: &str) -> (bool, String) {
        let output = Command::new(kubectl_program().unwrap())
            .args(["--kubeconfig", &self.kubeconfig.to_string_lossy()])
            .args(command.split(' '))
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("EDITOR", "sed -i s/worker_processes.1/worker_processes.2/")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    #[track_caller]
    fn prints(&self, command: &str, texts: &[&str]) -> String {
        let (success, printed) = self.run(command);
        assert!(success, "kubectl {command}:\n{printed}");
        for text in texts {
            assert!(
                printed.contains(text),
                "kubectl {command} does not print {text:?}:\n{printed}"
            );
        }
        printed
    }
}

fn kubectl_reads() {
    let kubectl = Kubectl::new();
    let pods = kubectl.prints("get pods -o name", &["pod/web-"]);
    let pod = pods.lines().next().unwrap();
    for (command, texts) in [
        ("version", &["Server Version: v1."][..]),
        ("api-resources", &["deployments", "endpointslices", "leases"]),
        ("get nodes -o wide", &["INTERNAL-IP", "control-plane", "Ready"]),
        ("get all", &["deployment.apps/web", "service/web", "replicaset.apps/web-"]),
        (
            "get cm,ep,endpointslices,events,leases,ns,sa,secrets -A -o wide",
            &["kube-node-lease", "SuccessfulCreate", "HOLDER", "endpoints/web", "Active"],
        ),
        ("get pods -o yaml", &["kind: Pod", "podIP: 127."]),
        ("get pods -o json", &["\"kind\": \"Pod\""]),
        ("get pods -l app=web --show-labels", &["pod-template-hash="]),
        ("get pods --field-selector=status.phase=Running", &["web-"]),
        ("get pods -A --sort-by=.metadata.name", &["kube-system", "kube-apiserver-"]),
        ("get deploy web -o jsonpath={.status.readyReplicas}", &["2"]),
        ("get pods -w --request-timeout=2s", &["web-"]),
        ("describe nodes", &["Ready", "True", "KubeletReady", "Non-terminated Pods"]),
        ("describe pods", &["Controlled By:  ReplicaSet/web-", "Successfully assigned"]),
        ("describe deployment web", &["2 desired | 2 updated | 2 total | 2 available"]),
        ("describe service web", &["Endpoints:", "127."]),
        ("events", &["Scheduled"]),
        ("rollout history deployment/web", &["REVISION"]),
        ("wait --for=condition=Available deployment/web --timeout=10s", &["condition met"]),
        ("get --raw /readyz", &["ok"]),
        ("get --raw /api/v1/nodes", &["NodeList"]),
    ] {
        kubectl.prints(command, texts);
    }
    kubectl.prints("auth can-i delete nodes", &["yes"]);
    kubectl.prints("auth can-i --list", &["*.*"]);
    kubectl.prints("auth whoami", &["embedded"]);
    kubectl.prints(&format!("get {pod}"), &["1/1", "Running"]);
    let node = kubectl.prints("get nodes -o jsonpath={.items[1].metadata.name}", &["-worker"]);
    let configz = format!("get --raw /api/v1/nodes/{node}/proxy/configz");
    kubectl.prints(&configz, &["nodeStatusUpdateFrequency"]);
}

fn kubectl_writes() {
    let kubectl = Kubectl::new();
    let node = kubectl.prints("get nodes -o jsonpath={.items[1].metadata.name}", &["-worker"]);
    for (command, texts) in [
        ("create namespace x", &["namespace/x created"][..]),
        ("create deployment two --image=nginx:1 --port=80 -n x", &["created"]),
        ("create configmap m --from-literal=a=b -n x", &["created"]),
        ("create serviceaccount s -n x", &["created"]),
        ("create service clusterip two --tcp=80:80 -n x", &["created"]),
        ("expose deployment two --name=three --port=80 -n x", &["service/three exposed"]),
        ("run one --image=nginx:1 -n x", &["pod/one created"]),
        ("apply -f experiments/workloads/web.yaml", &["deployment.apps/web unchanged"]),
        ("apply -f experiments/workloads/web.yaml --dry-run=server", &["(server dry run)"]),
        (
            "apply -f experiments/workloads/web.yaml --server-side --force-conflicts",
            &["deployment.apps/web serverside-applied"],
        ),
        ("diff -f experiments/workloads/web.yaml", &[]),
        ("replace -f experiments/workloads/web.yaml", &["deployment.apps/web replaced"]),
        ("scale deployment/web --replicas=3", &["scaled"]),
        ("scale deployment/web --current-replicas=3 --replicas=2", &["scaled"]),
        ("edit configmap web", &["configmap/web edited"]),
        ("get configmap web -o yaml", &["worker_processes.2"]),
        ("set image deployment/web *=nginx:2", &["image updated"]),
        ("rollout status deployment/web --timeout=60s", &["successfully rolled out"]),
        ("rollout restart deployment/web", &["restarted"]),
        ("rollout undo deployment/web", &["rolled back"]),
        (r#"patch deployment web -p {"spec":{"replicas":1}}"#, &["patched"]),
        (
            r#"patch deployment web --type=json -p [{"op":"replace","path":"/spec/replicas","value":2}]"#,
            &["patched"],
        ),
        (r#"patch deployment web --type=merge -p {"spec":{"replicas":1}}"#, &["patched"]),
        ("get deployment web -o jsonpath={.spec.replicas}", &["1"]),
        ("label deployment web a=b", &["labeled"]),
        ("annotate deployment web a=b", &["annotated"]),
        ("delete pod one -n x --grace-period=0 --force", &["force deleted"]),
        (&format!("cordon {node}"), &["cordoned"]),
        ("get nodes", &["SchedulingDisabled"]),
        (&format!("drain {node} --force --timeout=60s"), &["drained"]),
        (&format!("uncordon {node}"), &["uncordoned"]),
        (&format!("taint nodes {node} a=b:NoSchedule"), &["tainted"]),
        (&format!("taint nodes {node} a-"), &["untainted"]),
        ("delete pods -l app=web", &["deleted"]),
        ("delete -f experiments/workloads/web.yaml", &["deployment.apps \"web\" deleted"]),
        ("delete namespace x", &["namespace \"x\" deleted"]),
        ("get pods -A -l app=two", &["No resources found"]),
    ] {
        kubectl.prints(command, texts);
    }
}

fn kubectl_is_refused_plainly() {
    let kubectl = Kubectl::new();
    let pods = kubectl.prints("get pods -o name", &[]);
    let [logs, exec] = ["logs NAME", "exec NAME -- ls"]
        .map(|command| command.replace("NAME", pods.lines().next().unwrap()));
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\n";
    kubectl.home.file("job.yaml", job);
    let invalid =
        "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 0}]}\n";
    kubectl.home.file("invalid.yaml", invalid);
    for (command, text) in [
        (logs.as_str(), "this cluster is a model: its pods have no log"),
        (exec.as_str(), "this cluster is a model: its pods have no exec"),
        ("top nodes", "Metrics API not available"),
        ("explain pod", "not found in OpenAPI schema"),
        ("get jobs", "doesn't have a resource type \"jobs\""),
        ("get pod nope", "pods \"nope\" not found"),
        ("get pods --field-selector=spec.x=y", "field label not supported: spec.x"),
        ("create job x --image=x", "could not find the requested resource"),
        ("create secret generic s --from-literal=a=b", "send it as JSON or YAML"),
        ("apply -f job.yaml --validate=false", "no matches for kind \"Job\""),
        ("apply -f invalid.yaml", "spec.ports[0].port: Invalid value: 0"),
        ("delete deployment web --cascade=orphan", "does not orphan objects"),
        ("scale deployment/web --replicas=100000", "accepts at most 1000"),
    ] {
        let (success, printed) = kubectl.run(command);
        assert!(!success, "kubectl {command} succeeded:\n{printed}");
        assert!(printed.contains(text), "kubectl {command} does not say {text:?}:\n{printed}");
    }
}
