//! A kubelet waits ever longer (10 s, 20 s, ... 5 min) before it starts again what ended again and again, and a control plane that has
//! lived through several faults is full of that. Only its own end makes it forget. So once nobody measures any more, or a fault is being
//! undone, a kubelet that keeps a part of the control plane waiting is started anew: its pods run on meanwhile. (Measured with a status
//! every second, Kubernetes 1.34: the node stayed Ready in 5 of 5, its status came once 2.1 s after the one before, and the part was
//! back 1.5 s later.)
//!
//! Not where etcd is what does not run: the API server then lets every caller hang, and a new kubelet asks it for the mirror of each of its
//! pods before it starts them (measured: etcd came a minute later than it would have).

use super::component::Part;
use super::error::FaultError;
use crate::docker::{Docker, DockerError};
use crate::timeline::Component;

/// One that another fault has stopped stays so.
const RESTARTING: &str = "case $waits in *etcd*) waits=;; esac
[ -z \"$waits\" ] || systemctl try-restart --no-block kubelet || exit 1
echo $waits";

/// Starts the kubelet of a control plane anew, if a part of it does not run whose manifest is there. Which those are, for people; empty:
/// nothing was done. A container that is gone, does not run or is paused keeps nothing waiting. Errors when the engine or the node does
/// not do as it is told.
pub async fn end_back_off(docker: &Docker, container: &str) -> Result<Vec<&'static str>, FaultError> {
    let looks = Component::ALL.map(look).join("\n");
    let script = format!("{looks}\n{RESTARTING}");
    let output = match docker.exec(container, &["sh", "-c", &script], None).await {
        Err(DockerError::NoSuchContainer { .. } | DockerError::NotRunning { .. } | DockerError::Paused { .. }) => {
            return Ok(Vec::new());
        }
        other => other.map_err(FaultError::Docker)?,
    };
    if output.code != 0 {
        return Err(FaultError::Inside { node: container.to_owned(), what: "restart the kubelet", output: output.complaint() });
    }
    Ok(output.text().split_whitespace().filter_map(Component::named).map(Component::name).collect())
}

fn look(component: Component) -> String {
    let (finding, name) = (Part::of(component, "").finding(), component.name());
    format!("{finding}\n[ ! -f /etc/kubernetes/manifests/{name}.yaml ] || [ -n \"$(found)\" ] || waits=\"$waits {name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::fault::record::tests::target;

    async fn said(answer: (i64, &'static str), running: bool) -> Result<Vec<&'static str>, FaultError> {
        let engine = FakeEngine::start();
        engine.with(|state| state.script = Box::new(move |_, _| (answer.0, answer.1.to_owned())));
        engine.worker(|c| c.running = running);
        end_back_off(&engine.connect().await, &target().container_id).await
    }

    #[tokio::test]
    async fn who_waits_is_told() {
        assert_eq!(said((0, "kube-apiserver kube-scheduler"), true).await.unwrap(), ["kube-apiserver", "kube-scheduler"]);
        assert!(said((0, ""), true).await.unwrap().is_empty());
        assert!(said((1, "no systemd"), true).await.unwrap_err().to_string().ends_with("no systemd"));
    }

    #[tokio::test]
    async fn a_node_that_does_not_run_keeps_nothing_waiting() {
        assert!(said((0, "etcd"), false).await.unwrap().is_empty());
    }

    #[test]
    fn without_etcd_a_new_kubelet_would_be_no_help() {
        let of = |waits: &str| {
            let script = format!("systemctl() {{ printf 'restarted for '; }}; waits='{waits}'\n{RESTARTING}");
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(of(" kube-scheduler"), "restarted for kube-scheduler");
        assert_eq!([of(" etcd"), of(" kube-scheduler etcd"), of("")], ["", "", ""]);
    }

    /// The script as a shell runs it, in a place that has manifests for none.
    #[test]
    fn what_has_no_manifest_is_not_missed() {
        let script = format!("{}\necho \"[$waits]\"", Component::ALL.map(look).join("\n"));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]");
    }
}
