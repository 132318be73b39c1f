//! Undo timers on a real cluster: the program is killed in the middle of its faults, and they end
//! at their deadline. Those inside a node end without any process of ours; those of
//! objects and machines need the watchdog.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::kind::coredns;
use super::lab::{Lab, cluster, docker, kubectl};

/// No timer acts sooner: each fault is held for 15 s, and the program is killed 2 s after the
/// confirmation.
const AFTER: Duration = Duration::from_secs(11);
/// Where a fault was killed before its timer was set anew, that waits for as long as the calls may
/// take at worst. etcd's data is not among these: that takes seven minutes.
const LIMIT: Duration = Duration::from_secs(420);
const LOOK: Duration = Duration::from_millis(200);

/// Faults of which each lasts while the next ones begin.
fn nested(faults: &[&str]) -> String {
    let nested = faults.iter().enumerate().map(|(depth, fault)| {
        let pad = "  ".repeat(depth + 1);
        let begins = if depth == 0 { "method:" } else { "meanwhile:" };
        format!("{pad}{begins}\n{pad}- fault: {{{fault}}}\n{pad}  for: 15s\n")
    });
    nested.collect()
}

/// An experiment that nothing but the API is asked in.
pub(crate) fn experiment(lab: &Lab, name: &str, limits: &str, method: &str) -> String {
    let spec = format!(
        "  probes:
  - {{name: api, api: {{verb: read}}, rate: 5/s, timeout: 1s}}
  steadyState:
  - probe: {{name: api, successRatio: 0.5, for: 1s}}
  blastRadius: {limits}
{method}"
    );
    lab.home.experiment(name, &spec)
}

/// Runs it until this is said, then kills it.
fn killed_at(lab: &Lab, experiment: &str, moment: &str) {
    let mut run = lab.home.start(&["run", "-f", experiment, "--undo-timer-margin", "1s"]);
    run.wait_for(moment, 2 * LIMIT);
    // Its timer is set anew by then.
    sleep(Duration::from_secs(2));
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
    let names = std::fs::read_dir("/proc")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let ids: Vec<String> =
        names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).filter(ours).collect();
    assert!(!ids.is_empty(), "no watchdog is there");
    assert!(Command::new("kill").arg("-KILL").args(&ids).status().unwrap().success());
}

/// What a shell in a node says.
fn inside(node: &str, script: &str) -> String {
    let cluster = cluster();
    docker(&["exec", &format!("{cluster}-{node}"), "sh", "-c", script])
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
const MANIFEST: &str = "ls /etc/kubernetes/manifests/kube-scheduler.yaml 2>/dev/null || true";
fn cordoned() -> String {
    kubectl(&["get", "nodes", "-l", "outage.run", "-o", "name"])
}

fn runs(node: &str) -> bool {
    let cluster = cluster();
    docker(&["inspect", "-f", "{{.State.Running}}", &format!("{cluster}-{node}")]) == "true"
}

/// A program's home; what is still pending when a test fails is undone, as the cluster is shared.
struct Dying(Lab);

impl Drop for Dying {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.home.run(&["recover"]);
        }
    }
}

impl Dying {
    fn new() -> Self {
        Self(Lab::new())
    }

    /// Nothing is left to undo.
    fn has_settled(&self) -> bool {
        self.0.home.run(&["recover", "--dry-run"]).stdout.contains("nothing")
    }
}

/// Three programs on one cluster, each in a home of its own. Two leave their watchdogs behind, one
/// does not.
pub(crate) fn undo_what_nobody_does() {
    let cluster = cluster();
    let (objects, alone, machine) = (Dying::new(), Dying::new(), Dying::new());
    let before = coredns();
    let drain = format!("nodeDrain: {{target: {{name: {cluster}-worker2}}}}");
    let scale = "deploymentScale: {namespace: kube-system, name: coredns, replicas: 0}";
    let faults = experiment(
        &objects.0,
        "objects",
        "{maxWorkers: 2, namespaces: [kube-system]}",
        &nested(&[scale, &drain]),
    );
    killed_at(&objects.0, &faults, "nodeDrain confirmed");
    assert!(
        coredns().starts_with("0 ") && cordoned().contains("worker2"),
        "{} {}",
        coredns(),
        cordoned()
    );

    let cut =
        format!("partition: {{target: {{name: {cluster}-worker2}}, from: peers, direction: in}}");
    let stop = "componentStop: {component: kube-scheduler, target: {role: control-plane}}";
    let limits = "{maxWorkers: 2, maxControlPlanes: 1, quorumLoss: true}";
    let faults = experiment(&alone.0, "parts", limits, &nested(&[&cut, stop]));
    killed_at(&alone.0, &faults, "componentStop confirmed");
    kill_watchdogs(alone.0.home.path());
    let parts_killed = Instant::now();
    let injected = (inside("worker2", RULES), inside("control-plane", MANIFEST));
    assert!(injected.0 != "0" && injected.1.is_empty(), "{injected:?}");

    let kill = format!("nodeKill: {{target: {{name: {cluster}-worker}}}}");
    let faults = experiment(&machine.0, "machine", "{maxWorkers: 2}", &nested(&[&kill]));
    killed_at(&machine.0, &faults, "nodeKill confirmed");
    let machine_killed = Instant::now();
    assert!(!runs("worker"), "the node is off, and nobody is there to switch it on");

    until("the packet filter is gone", || inside("worker2", RULES) == "0");
    until("the manifest is back", || !inside("control-plane", MANIFEST).is_empty());
    // The inmost fault began last: its timer had all of its time.
    assert!(parts_killed.elapsed() > AFTER, "{:?}", parts_killed.elapsed());
    until("the killed node runs", || runs("worker"));
    assert!(machine_killed.elapsed() > AFTER, "{:?}", machine_killed.elapsed());
    until("the watchdogs have removed all entries from the ledger", || {
        objects.has_settled() && machine.has_settled()
    });
    assert_eq!((cordoned(), coredns()), (String::new(), before));
    // What a timer in a node has undone is still in the ledger: nobody could remove it.
    assert!(!alone.has_settled());
    alone.0.home.run(&["recover"]).exits(0);
    [objects, alone, machine].iter().for_each(|home| home.0.assert_clean());
}
