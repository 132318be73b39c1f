//! Dead man's switches on a real cluster: the program is killed in the middle of its faults, and they end at their deadline. Those
//! inside a node end without any process of ours; those of objects and machines need the watchdog.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::kind::{CLUSTER, Lab, asked, coredns, docker, kubectl};

/// No switch acts sooner after a fault's `for` in these tests: what its calls may take, and the margin on the command line.
const AFTER: Duration = Duration::from_secs(31);
/// A fault that waits for etcd's end and begin may take more than six minutes, and its switch waits for that.
const LIMIT: Duration = Duration::from_secs(420);
const LOOK: Duration = Duration::from_millis(200);

/// Faults of which each lasts while the next ones begin.
fn nested(faults: &[&str]) -> String {
    let nested = faults.iter().enumerate().map(|(depth, fault)| {
        let pad = "  ".repeat(depth + 1);
        let begins = if depth == 0 { "method:" } else { "meanwhile:" };
        format!("{pad}{begins}\n{pad}- fault: {{{fault}}}\n{pad}  for: 8s\n")
    });
    nested.collect()
}

/// An experiment that nothing but the API is asked in.
pub fn experiment(lab: &Lab, name: &str, limits: &str, method: &str) -> String {
    let text = format!(
        "apiVersion: outage/v1alpha1
kind: Experiment
metadata: {{name: {name}}}
spec:
  cluster: {{kind: {{config: ../kind-configs/fast-detection.yaml}}}}
  probes:
  - {{name: api, api: {{verb: read}}, rate: 5/s, timeout: 1s}}
  steadyState:
  - probe: {{name: api, successRatio: 0.5, for: 1s}}
  blastRadius: {limits}
{method}"
    );
    lab.home.file(&format!("experiments/{name}.yaml"), &text).to_string_lossy().into_owned()
}

/// Runs it until this is said, then kills it.
fn killed_at(lab: &Lab, experiment: &str, moment: &str) {
    let mut run = lab.home.start(&["run", "-f", experiment, "--dead-man-margin", "1s"]);
    run.wait_for(moment, 2 * LIMIT);
    run.signal("KILL");
    run.finish();
}

/// Kills the watchdogs of this home's runs, by their ids.
fn kill_watchdogs(home: &Path) {
    let home = home.to_string_lossy().into_owned();
    let ours = |id: &String| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("watchdog") && line.contains(&home)
    };
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let ids: Vec<String> = names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).filter(ours).collect();
    assert!(!ids.is_empty(), "no watchdog is there");
    assert!(Command::new("kill").arg("-KILL").args(&ids).status().unwrap().success());
}

/// What a shell in a node says.
fn inside(node: &str, script: &str) -> String {
    docker(&["exec", &format!("{CLUSTER}-{node}"), "sh", "-c", script])
}

/// Waits until something is so; how long that took.
fn until(what: &str, so: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < LIMIT, "{what} is not so after {LIMIT:?}");
        sleep(LOOK);
    }
    began.elapsed()
}

const RULES: &str = "iptables -w -t mangle -S | grep -c outage- || true";
const MANIFEST: &str = "ls /etc/kubernetes/manifests/kube-controller-manager.yaml 2>/dev/null || true";
/// The state of the scheduler's process, `T` while it is frozen.
const SCHEDULER: &str = "set -- $(cat /proc/$(pgrep -x kube-scheduler | head -n 1)/stat 2>/dev/null); echo $3";

fn cordoned() -> String {
    kubectl(&["get", "nodes", "-l", "outage.run", "-o", "name"])
}

fn runs(node: &str) -> bool {
    docker(&["inspect", "-f", "{{.State.Running}}", &format!("{CLUSTER}-{node}")]) == "true"
}

/// Two programs on one cluster, each in a home of its own. The first has its watchdogs; the second's are killed with it.
pub fn undo_what_nobody_does() {
    let (watched, alone, before) = (Lab::new(), Lab::new(), coredns());
    let reboot = format!("nodeReboot: {{target: {{name: {CLUSTER}-worker}}}}");
    let drain = format!("nodeDrain: {{target: {{name: {CLUSTER}-worker2}}}}");
    let scale = "deploymentScale: {namespace: kube-system, name: coredns, replicas: 0}";
    let limits = "{maxWorkers: 2, namespaces: [kube-system]}";
    let objects = experiment(&watched, "objects", limits, &nested(&[scale, &drain, &reboot]));
    // Between the two halves of a reboot: the node is off, and nobody is there to switch it on.
    killed_at(&watched, &objects, "nodeReboot requested");
    let objects_killed = Instant::now();
    assert!(coredns().starts_with("0 ") && cordoned().contains("worker2"), "{} {}", coredns(), cordoned());

    let cut = format!("partition: {{target: {{name: {CLUSTER}-worker2}}, from: peers, direction: in}}");
    let stop = "componentStop: {component: kube-controller-manager, target: {role: control-plane}}";
    let pause = "componentPause: {component: kube-scheduler, target: {role: control-plane}}";
    let limits = "{maxWorkers: 2, maxControlPlanes: 1, quorumLoss: true}";
    let parts = experiment(&alone, "parts", limits, &nested(&[&cut, stop, pause]));
    killed_at(&alone, &parts, "componentPause confirmed");
    kill_watchdogs(alone.home.path());
    let parts_killed = Instant::now();
    let harmed = (inside("worker2", RULES), inside("control-plane", MANIFEST), inside("control-plane", SCHEDULER));
    assert!(harmed.0 != "0" && harmed.1.is_empty() && harmed.2 == "T", "{harmed:?}");
    assert!(!runs("worker") && objects_killed.elapsed() < AFTER, "nothing is undone before its time");

    until("the rebooted node runs", || runs("worker"));
    assert!(objects_killed.elapsed() > AFTER, "{:?}", objects_killed.elapsed());
    until("the packet filter is gone", || inside("worker2", RULES) == "0");
    until("the manifest is back", || !inside("control-plane", MANIFEST).is_empty());
    until("the scheduler is thawed", || inside("control-plane", SCHEDULER) == "S");
    // The inmost fault began last: its switch had all of its time.
    assert!(parts_killed.elapsed() > AFTER, "{:?}", parts_killed.elapsed());
    until("the node takes pods again", || cordoned().is_empty());
    until("the name servers are back", || coredns() == before);
    until("the watchdog has struck all that was owed", || watched.home.run(&["recover", "--dry-run"]).stdout.contains("nothing"));
    // What a switch in a node has undone is still in the ledger: nobody could strike it.
    alone.home.run(&["recover"]).exits(0);
    alone.assert_clean();
    watched.assert_clean();
}

/// etcd's data is away, and the run and its watchdog are dead: a timer in the node puts it back.
pub fn puts_the_data_back() {
    let lab = Lab::new();
    let uid = || asked(&["get", "namespace", "default", "-o", "jsonpath={.metadata.uid}"]);
    let before = uid();
    assert!(before.is_ok(), "{before:?}");
    let limits = "{maxControlPlanes: 1, quorumLoss: true, dataLoss: true}";
    let loss = experiment(&lab, "loss", limits, &nested(&["etcdDataLoss: {target: {role: control-plane}}"]));
    killed_at(&lab, &loss, "etcdDataLoss confirmed");
    kill_watchdogs(lab.home.path());
    let away = "ls -d /var/lib/etcd-outage-* 2>/dev/null || true";
    assert!(!inside("control-plane", away).is_empty());
    let took = until("the data is back", || inside("control-plane", away).is_empty());
    assert!(took > Duration::from_secs(5), "{took:?} after the kill: not by the switch");
    lab.home.run(&["recover"]).exits(0);
    until("the API server knows what it knew", || uid() == before);
    lab.assert_clean();
}
