//! A cluster that the program knows through a kubeconfig alone: no container engine can be reached,
//! and the context's name says nothing of kind.

use std::path::PathBuf;
use std::time::Instant;

use super::kind::judged;
use super::lab::{CONTEXT, IMAGE, Lab, MINUTE, asked, kubectl, nowhere};
use super::program::Output;

struct AnyCluster {
    lab: Lab,
    kubeconfig: String,
}

impl AnyCluster {
    fn new() -> Self {
        let lab = Lab::new();
        let kubeconfig = lab.kubeconfig_of_context();
        Self { lab, kubeconfig }
    }

    fn arguments<'a>(&'a self, experiment: &'a str, image: &'a str) -> Vec<&'a str> {
        let context = ["run", "-f", experiment, "--context", CONTEXT];
        let access = ["--kubeconfig", &self.kubeconfig, "--helper-image", image];
        [&context[..], &access[..]].concat()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.lab.home.command(arguments);
        self.lab.home.finish(nowhere(&mut command))
    }
}

/// A fault that closes the way into its node is undone by the node's own timer.
fn carried_out(name: &str) {
    let cluster = AnyCluster::new();
    let experiment = cluster.lab.experiment(name);
    let mut arguments = cluster.arguments(&experiment, IMAGE);
    cluster.run(&arguments).exits(4).says("must be allowed");
    arguments.extend(["--allow-context", CONTEXT]);
    is_carried_out(&cluster, &arguments);
    cluster.lab.assert_clean();
}

fn is_carried_out(cluster: &AnyCluster, arguments: &[&str]) {
    let output = cluster.run(arguments);
    judged(&output);
    output.says("reached through its API alone");
    output.prints(&format!("on context {CONTEXT}")).prints("(server https://");
    super::chain::assert_order(&cluster.lab.report("latest"));
}

pub(crate) fn node_disconnect() {
    carried_out("node-disconnect");
}

pub(crate) fn node_freeze() {
    carried_out("node-freeze");
}

/// The cluster has one lock and what is left to undo is found, whichever way in is used.
pub(crate) fn recovered_after_a_kill() {
    let cluster = AnyCluster::new();
    let experiment = cluster.lab.experiment("kubelet-stop");
    let mut arguments = cluster.arguments(&experiment, IMAGE);
    arguments.extend(["--allow-context", CONTEXT]);
    let mut run = cluster.lab.home.start_with(&arguments, |command| _ = nowhere(command));
    run.wait_for("kubeletStop confirmed", 4 * MINUTE);
    let by_engine = || cluster.lab.home.run(&["run", "-f", &experiment]);
    by_engine().exits(4).says("another run, or the undo of one, is in progress");
    run.signal("KILL");
    run.finish();
    cluster.run(&arguments).exits(4).says("recover");
    by_engine().exits(4).says("left something to undo");
    cluster.run(&["recover"]).exits(0);
    cluster.lab.assert_clean();
    cluster.run(&["recover"]).exits(0).prints("nothing");
}

pub(crate) fn a_helper_image_that_is_not_there() {
    let cluster = AnyCluster::new();
    let experiment = cluster.lab.experiment("kubelet-stop");
    let mut arguments = cluster.arguments(&experiment, "registry.invalid/no/such:1");
    arguments.extend(["--allow-context", CONTEXT]);
    let began = Instant::now();
    cluster.run(&arguments).exits(4).says("start a helper pod").says("--helper-image");
    assert!(began.elapsed() < 2 * MINUTE, "must be reported immediately, not after the timeout");
    cluster.lab.assert_clean();
}

/// Deleted however the test ends: the cluster is shared.
struct Account {
    namespace: &'static str,
    /// The file of its role.
    role: Option<PathBuf>,
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(role) = &self.role {
            let _ = asked(&["delete", "--ignore-not-found", "-f", &role.to_string_lossy()]);
        }
        let _ = asked(&["delete", "--ignore-not-found", "namespace", self.namespace]);
    }
}

/// A ServiceAccount that has just the printed role can run an experiment with helper pods; without
/// it, the run is refused before anything is made.
pub(crate) fn the_printed_role_is_enough() {
    const NAMESPACE: &str = "ci-of-a-test";
    let cluster = AnyCluster::new();
    let experiment = cluster.lab.experiment("kubelet-stop");
    let mut made = Account { namespace: NAMESPACE, role: None };
    kubectl(&["create", "namespace", NAMESPACE]);
    kubectl(&["create", "serviceaccount", "outage", "-n", NAMESPACE]);
    let token = kubectl(&["create", "token", "outage", "-n", NAMESPACE]);
    let admin = std::fs::read_to_string(&cluster.kubeconfig).unwrap();
    let lines = admin.lines().filter(|line| !line.trim_start().starts_with("client-key-data:"));
    let lines = lines.map(|line| match line.trim_start().starts_with("client-certificate-data:") {
        true => format!("    token: {}", token.trim()),
        false => line.to_owned(),
    });
    std::fs::write(&cluster.kubeconfig, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let mut arguments = cluster.arguments(&experiment, IMAGE);
    arguments.extend(["--allow-context", CONTEXT]);
    cluster.run(&arguments).exits(4);
    let account = format!("{NAMESPACE}/outage");
    let role = cluster.run(&["rbac", "-f", &experiment, "--service-account", &account]);
    let role = cluster.lab.home.file("role.yaml", &role.exits(0).stdout);
    made.role = Some(role.clone());
    kubectl(&["apply", "-f", &role.to_string_lossy()]);
    let mut preflight = arguments.clone();
    preflight[0] = "preflight";
    preflight.push("--enter-nodes");
    let ready = cluster.run(&preflight);
    ready.exits(0).prints("ok       permissions").prints("helper pods ran on");
    ready.prints("wall clocks are within ");
    cluster.lab.assert_clean();
    is_carried_out(&cluster, &arguments);
    drop(made);
    cluster.lab.assert_clean();
}
