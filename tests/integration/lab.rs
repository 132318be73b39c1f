//! A kind cluster that a program of tests shares, its experiments on it, and the same cluster as a
//! kubeconfig alone knows it.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::CLUSTER;

use super::program::Home;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// What the cluster's context is called where nothing tells that it is a kind cluster.
pub(crate) const CONTEXT: &str = "prod-eu";
/// The workload's own image, which the nodes have: it has sh, nsenter and gzip.
pub(crate) const IMAGE: &str = "docker.io/library/nginx:1.22";

/// The controller manager's settings as kind-configs/fast-detection.yaml has them, and as a patch
/// of the other kind: every test after the first meets a cluster that was made with it.
const MERGED: &str = "
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs:
      node-monitor-period: 1s
      node-monitor-grace-period: 4s
";
const PATCHED: &str = "
kubeadmConfigPatchesJSON6902:
- group: kubeadm.k8s.io
  version: v1beta3
  kind: ClusterConfiguration
  patch: |
    - {op: add, path: /controllerManager/extraArgs/node-monitor-period, value: 1s}
    - {op: add, path: /controllerManager/extraArgs/node-monitor-grace-period, value: 4s}
";

thread_local! {
    static CURRENT: Cell<&'static str> = const { Cell::new(CLUSTER) };
}

/// The kind cluster of this thread's test.
pub(crate) fn cluster() -> &'static str {
    CURRENT.get()
}

/// What this thread does from now on is done on that kind cluster.
pub(crate) fn use_cluster(name: &'static str) {
    CURRENT.set(name);
}

/// Does something beside a test, on its cluster.
pub(crate) fn beside(body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let cluster = cluster();
    std::thread::spawn(move || {
        use_cluster(cluster);
        body();
    })
}

/// The experiments, with their kind config's cluster renamed to the tests' own.
pub(crate) struct Lab {
    /// Where the program lives.
    pub home: Home,
    experiments: PathBuf,
}

impl Lab {
    /// A fresh one.
    pub(crate) fn new() -> Self {
        let cluster = cluster();
        let home = Home::for_kind();
        // Shorter: a node is detected within 6.4 s, and a steady state that is there is seen in a
        // second.
        home.copy(&["experiments", "experiments/workloads", "kind-configs"], |text| {
            let text = text.replace("name: fast-detection", &format!("name: {cluster}"));
            text.replace(MERGED, PATCHED)
                .replace("    for: 15s", "    for: 9s")
                .replace("    for: 12s", "    for: 9s")
                .replace("successRatio: 1.0, for: 5s", "successRatio: 1.0, for: 2s")
        });
        let experiments = home.path().join("experiments");
        Self { home, experiments }
    }

    /// One for runs on embedded clusters.
    pub(crate) fn of_models() -> Self {
        let home = Home::new();
        home.copy(&["experiments/workloads", "kind-configs"], |text| text);
        let experiments = home.path().join("experiments");
        Self { home, experiments }
    }

    pub(crate) fn experiment(&self, name: &str) -> String {
        self.experiments.join(name).with_extension("yaml").to_string_lossy().into_owned()
    }

    /// An experiment with some of its text replaced; each replacement must be there.
    pub(crate) fn altered(&self, name: &str, changes: &[(&str, &str)]) -> String {
        let mut text = std::fs::read_to_string(self.experiment(name)).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{name} has no {from:?}");
            text = text.replace(from, to);
        }
        self.home.file("experiments/altered.yaml", &text).to_string_lossy().into_owned()
    }

    /// The one step of an experiment.
    pub(crate) fn step(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.experiment(name)).unwrap();
        let (_, step) = text.split_once("  method:\n").unwrap();
        step.split_once("  expect:\n").unwrap().0.to_owned()
    }

    /// An experiment under its own name, with a shorter fault.
    pub(crate) fn shorter(&self, name: &str, long: &str, short: &str) -> String {
        let text = std::fs::read_to_string(self.experiment(name)).unwrap();
        assert!(text.contains(long), "{name} has no {long:?}");
        self.home
            .file(&format!("experiments/{name}.yaml"), &text.replace(long, short))
            .to_string_lossy()
            .into_owned()
    }

    pub(crate) fn report(&self, run: &str) -> Value {
        let output = self.home.run(&["report", run, "-o", "json"]);
        serde_json::from_str(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}\n{}", output.stdout, output.stderr))
    }

    /// A kubeconfig whose context tells nothing of kind.
    pub(crate) fn kubeconfig_of_context(&self) -> String {
        let cluster = cluster();
        let text = kubeconfig().replace(&format!("kind-{cluster}"), CONTEXT);
        self.home.file("user.kubeconfig", &text).to_string_lossy().into_owned()
    }

    /// Nothing of a run is left: nodes up and as they were, no namespace, nothing to undo, no prober,
    /// no packet filter, no timer.
    pub(crate) fn assert_clean(&self) {
        let nodes = containers();
        assert!(!nodes.is_empty(), "the cluster is gone");
        for node in nodes {
            assert_eq!(
                docker(&["inspect", "-f", "{{.State.Running}} {{.State.Paused}}", &node]),
                "true false",
                "{node}"
            );
            assert_eq!(
                docker(&["exec", &node, "sh", "-c", LEFT_BEHIND]),
                "looked",
                "left in {node}"
            );
        }
        let namespaces = kubectl(&["get", "namespaces", "-o", "name"]);
        assert!(
            namespaces.contains("namespace/default") && !namespaces.contains("namespace/outage-"),
            "{namespaces}"
        );
        self.home.run(&["recover", "--dry-run"]).exits(0).prints("nothing");
    }
}

/// Prints what a run may have left in a node, and at last that it has looked.
const LEFT_BEHIND: &str = "set -e
ls -A /usr/local/bin /etc/kubernetes /run /var/lib >/tmp/left; systemctl list-units --all --plain --no-legend 'outage-*' >>/tmp/left
iptables -w -t mangle -S >>/tmp/left; iptables -w -S >>/tmp/left
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >>/tmp/left
grep -E '[.]outage-agent|outage-[0-9]{8}-' /tmp/left || true
rm /tmp/left; echo looked";

pub(crate) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn containers() -> Vec<String> {
    let cluster = cluster();
    docker(&[
        "ps",
        "-a",
        "--filter",
        &format!("label=io.x-k8s.kind.cluster={cluster}"),
        "--format",
        "{{.Names}}",
    ])
    .lines()
    .map(str::to_owned)
    .collect()
}

pub(crate) fn kubeconfig() -> String {
    let cluster = cluster();
    let output =
        Command::new("kind").args(["get", "kubeconfig", "--name", cluster]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn kubectl(arguments: &[&str]) -> String {
    asked(arguments).unwrap_or_else(|why| panic!("kubectl {arguments:?}: {why}"))
}

/// What kubectl says, or why it could not.
pub(crate) fn asked(arguments: &[&str]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig()).unwrap();
    let output = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(file.path())
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Deletes a cluster and the Docker network of its own, if they are there.
pub(crate) fn delete(cluster: &str) {
    assert!(
        Command::new("kind")
            .args(["delete", "cluster", "--name", cluster])
            .output()
            .unwrap()
            .status
            .success()
    );
    let _ = Command::new("docker").args(["network", "rm", cluster]).output().unwrap();
}

/// No container engine can be reached.
pub(crate) fn nowhere(command: &mut Command) -> &mut Command {
    command.env("DOCKER_HOST", "unix:///nowhere.sock")
}
