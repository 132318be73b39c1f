//! Three control planes behind a load balancer: a kind cluster of its own, made by the first test
//! and deleted by the last. It has a Docker network of its own, too: tests of `kind` run beside these.

use super::Test;
use super::kind::trials;
use super::lab::{delete, docker};
use super::program::{Home, Output};

const CLUSTER: &str = "outage-test-ha";

/// All tests of this topic.
pub(crate) fn tests() -> Vec<Test> {
    let tests: &[(&str, fn())] = &[
        ("one_control_plane_lost", one_control_plane_lost),
        ("a_leader_is_found", a_leader_is_found),
        (
            "two_control_planes_lost_keep_their_addresses",
            two_control_planes_lost_keep_their_addresses,
        ),
        ("load_balancer_down", load_balancer_down),
        // The last one.
        ("the_cluster_is_deleted", the_cluster_is_deleted),
    ];
    trials("ha", CLUSTER, tests)
}

/// The experiments on a cluster of the tests' own, shorter.
fn home() -> Home {
    let home = Home::for_kind();
    home.copy(&["experiments", "experiments/workloads", "kind-configs"], |text| {
        let text = text.replace("name: ha-fast-detection", &format!("name: {CLUSTER}"));
        text.replace("for: 30s", "for: 10s").replace("for: 20s", "for: 10s")
    });
    home
}

fn run(home: &Home, name: &str) -> Output {
    let experiment = home.path().join("experiments").join(name).with_extension("yaml");
    let output = home.run(&["run", "-f", &experiment.to_string_lossy()]);
    output.is_judged().has_no_error();
    output
}

/// Every machine of the cluster and its address.
fn addresses() -> Vec<String> {
    let filter = format!("label=io.x-k8s.kind.cluster={CLUSTER}");
    let names = docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
    let format =
        "{{.Name}} {{.State.Running}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let mut found: Vec<String> =
        names.lines().map(|name| docker(&["inspect", "-f", format, name])).collect();
    found.sort();
    found
}

fn nothing_is_pending(home: &Home) {
    home.run(&["recover", "--dry-run"]).exits(0).prints("nothing");
}

/// That a probe asked while the fault was in effect, and that nothing of it succeeded.
#[track_caller]
fn nothing_succeeds(output: &Output, probe: &str) {
    let none = format!("successes of {probe} during the fault 0 of ");
    let (_, asked) = output.prints(&none).stdout.split_once(&none).unwrap();
    let digits = asked.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    assert!(digits.parse::<u64>().is_ok_and(|asked| asked > 0), "nobody asked: {none}{digits}");
}

fn one_control_plane_lost() {
    let home = home();
    run(&home, "ha-one-control-plane-lost").prints("errors of web").prints("recovery");
    nothing_is_pending(&home);
}

fn a_leader_is_found() {
    let home = home();
    let path = home.path().join("experiments/ha-one-control-plane-lost.yaml");
    let led = std::fs::read_to_string(&path)
        .unwrap()
        .replace("target: {role: control-plane}", "target: {leader: kube-scheduler}");
    let file = home.file("experiments/led.yaml", &led);
    let output = home.run(&["run", "-f", &file.to_string_lossy(), "--dry-run"]);
    output
        .exits(0)
        .prints("nodeKill on whichever leads kube-scheduler when the step begins: outage-test-ha-control-plane")
        .prints("kube-scheduler on outage-test-ha-control-plane");
}

fn two_control_planes_lost_keep_their_addresses() {
    let (home, before) = (home(), addresses());
    nothing_succeeds(run(&home, "ha-quorum-lost").prints("errors of web"), "api-write");
    assert_eq!(addresses(), before);
    nothing_is_pending(&home);
}

fn load_balancer_down() {
    let (home, before) = (home(), addresses());
    nothing_succeeds(&run(&home, "load-balancer-down"), "api");
    assert_eq!(addresses(), before);
    nothing_is_pending(&home);
}

fn the_cluster_is_deleted() {
    delete(CLUSTER);
    assert!(addresses().is_empty());
}
