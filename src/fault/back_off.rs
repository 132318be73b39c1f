//! A kubelet waits ever longer (10 s, 20 s, ... 5 min) before it starts again what ended again and
//! again, and a control plane that has lived through several faults is full of that. Only its own
//! end makes it forget. So once nobody measures any more, or a fault is being undone, a kubelet
//! that keeps a part of the control plane waiting is started anew: its pods run on meanwhile.
//! (Measured with a status every second, Kubernetes 1.34: the node stayed Ready in 5 of 5, its
//! status came once 2.1 s after the one before, and the part was back 1.5 s later.)
//!
//! Not where etcd is what does not run: the API server then lets every caller hang, and a new
//! kubelet asks it for the mirror of each of its pods before it starts them (measured: etcd came a
//! minute later than it would have).

use std::time::Duration;

use super::error::FaultError;
use super::find_processes::find_processes;
use crate::node::{AccessErrorKind, NodeAccess, NodeHandle};
use crate::timeline::Component;

/// The look and the restart come where a node has much to do: its control plane starts.
const LIMIT: Duration = Duration::from_secs(60);
/// One that another fault has stopped stays so.
const RESTARTING: &str = "[ -z \"$waits\" ] || systemctl try-restart --no-block kubelet || exit 1
echo $waits";

/// Starts the kubelet of a control plane anew, if a part of it does not run whose manifest is
/// there, and etcd does. Which those are, for people; empty: nothing was done. A container that is
/// gone, does not run or is paused keeps nothing waiting. Errors when the engine or the node does
/// not obey.
pub(crate) async fn end_back_off(
    access: &dyn NodeAccess,
    node: &NodeHandle,
) -> Result<Vec<&'static str>, FaultError> {
    let output = match access.run(node, LIMIT, &["sh", "-c", &script()]).await {
        Err(error)
            if matches!(
                error.kind,
                AccessErrorKind::Gone | AccessErrorKind::Down | AccessErrorKind::Frozen
            ) =>
        {
            return Ok(Vec::new());
        }
        other => other.map_err(FaultError::Access)?,
    };
    if output.code != 0 {
        return Err(FaultError::Command {
            node: node.name.clone(),
            what: "restart the kubelet",
            output: output.error_text(),
        });
    }
    Ok(output.text().split_whitespace().filter_map(Component::named).map(Component::name).collect())
}

fn script() -> String {
    let (looks, etcd) = (Component::ALL.map(look).join("\n"), without_etcd());
    format!("waits=\n{looks}\n{etcd}\n{RESTARTING}")
}

/// Nothing is done where an etcd does not run or is stopped by a signal. Where one belongs is seen
/// by its manifest, also while that is in a keep of ours, beside the others; a node may be without:
/// then another has the cluster's.
fn without_etcd() -> String {
    format!(
        "{finding}\n\
         case $(found) in\n\
         '') for at in /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/outage-*/etcd.yaml; do [ ! -e $at ] || waits=; done;;\n\
         *' T'*) waits=;;\n\
         esac",
        finding = find_processes(Component::Etcd),
    )
}

fn look(component: Component) -> String {
    let (finding, name) = (find_processes(component), component.name());
    format!(
        "{finding}\n[ ! -f /etc/kubernetes/manifests/{name}.yaml ] || [ -n \"$(found)\" ] || waits=\"$waits {name}\""
    )
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::record::mark;
    use crate::fault::samples::target;
    use crate::node::{Access, NodeFile, NodeState, Output, ProcessStream};

    async fn ended(
        answer: (i64, &'static str),
        running: bool,
    ) -> Result<Vec<&'static str>, FaultError> {
        let engine = FakeEngine::start();
        engine.with(|state| state.script = Box::new(move |_, _| (answer.0, answer.1.to_owned())));
        engine.worker(|c| c.running = running);
        end_back_off(&engine.connect().await, &target().handle()).await
    }

    /// A way into nodes that only tells for how long a command may run.
    struct Limit(std::sync::Mutex<Option<Duration>>);

    impl NodeAccess for Limit {
        fn state<'a>(&'a self, _: &'a NodeHandle) -> Access<'a, NodeState> {
            Box::pin(async { Ok(NodeState::Up) })
        }

        fn run<'a>(
            &'a self,
            _: &'a NodeHandle,
            limit: Duration,
            _: &'a [&'a str],
        ) -> Access<'a, Output> {
            *self.0.lock().unwrap() = Some(limit);
            Box::pin(async { Ok(Output::default()) })
        }

        fn upload<'a>(&'a self, _: &'a NodeHandle, _: NodeFile<'a>) -> Access<'a, ()> {
            unreachable!("nothing is uploaded")
        }

        fn open<'a>(&'a self, _: &'a NodeHandle, _: &'a [&'a str]) -> Access<'a, ProcessStream> {
            unreachable!("no process is talked with")
        }
    }

    #[tokio::test]
    async fn a_busy_node_is_given_a_minute() {
        let access = Limit(std::sync::Mutex::new(None));
        end_back_off(&access, &target().handle()).await.unwrap();
        assert_eq!(*access.0.lock().unwrap(), Some(Duration::from_secs(60)));
    }

    #[tokio::test]
    async fn a_delayed_component_is_reported() {
        assert_eq!(
            ended((0, "kube-apiserver kube-scheduler"), true).await.unwrap(),
            ["kube-apiserver", "kube-scheduler"]
        );
        assert!(ended((0, ""), true).await.unwrap().is_empty());
        assert!(
            ended((1, "no systemd"), true).await.unwrap_err().to_string().ends_with("no systemd")
        );
    }

    #[tokio::test]
    async fn a_node_that_does_not_run_keeps_nothing_waiting() {
        assert!(ended((0, "etcd"), false).await.unwrap().is_empty());
    }

    /// A node as a folder, with a manifest of the API server, which does not run.
    struct Node(tempfile::TempDir);

    impl Node {
        fn new() -> Self {
            let node = Self(tempfile::tempdir().unwrap());
            node.file("/etc/kubernetes/manifests/kube-apiserver.yaml", "");
            node
        }

        fn file(&self, path: &str, text: &str) {
            let path = PathBuf::from(format!("{}{path}", self.0.path().display()));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        /// An etcd runs, in this state.
        fn process(&self, state: &str) {
            let stat = format!("7 (etcd) {state} {}", "0 ".repeat(30));
            [("comm", "etcd\n"), ("stat", &stat), ("ns/at", "")]
                .iter()
                .for_each(|(name, text)| self.file(&format!("/proc/7/{name}"), text));
            let link = |to: &Path, at: &str| {
                std::os::unix::fs::symlink(to, self.0.path().join("proc/7").join(at)).unwrap()
            };
            link(Path::new("/usr/local/bin/etcd"), "exe");
            link(&std::fs::read_link("/proc/self/ns/net").unwrap(), "ns/net");
        }

        /// What the script says as a shell runs it here.
        fn says(&self) -> String {
            let here = |path: &str| format!("{}{path}", self.0.path().display());
            let script = script()
                .replace("/etc/kubernetes", &here("/etc/kubernetes"))
                .replace("/proc/[0-9]*", &here("/proc/[0-9]*"));
            let script = format!("systemctl() {{ printf 'restarted for '; }}\n{script}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }
    }

    #[test]
    fn a_part_that_waits_is_helped_where_etcd_runs_or_another_has_it() {
        let node = Node::new();
        assert_eq!(node.says(), "restarted for kube-apiserver", "it never had one");
        node.file("/etc/kubernetes/manifests/etcd.yaml", "");
        assert_eq!(node.says(), "", "it does not run");
        node.process("S");
        assert_eq!(node.says(), "restarted for kube-apiserver");
    }

    #[test]
    fn without_etcd_a_new_kubelet_would_be_no_help() {
        let frozen = Node::new();
        frozen.file("/etc/kubernetes/manifests/etcd.yaml", "");
        frozen.process("T");
        let held = Node::new();
        held.file(&format!("/etc/kubernetes/{}/etcd.yaml", mark("r", 0)), "");
        assert_eq!([frozen.says(), held.says()], ["", ""]);
    }

    #[test]
    fn what_has_no_manifest_is_not_missed() {
        let node = Node::new();
        std::fs::remove_file(node.0.path().join("etc/kubernetes/manifests/kube-apiserver.yaml"))
            .unwrap();
        assert_eq!(node.says(), "");
    }
}
