//! The logs of the kubelets and of the control plane's components around a run, for a person who asks
//! why: bounded, and without what must not be read.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;

use crate::cluster::{Cluster, ClusterError};
use crate::engine::clock;
use crate::node::{NodeAccess, NodeHandle};
use crate::timeline::{Component, HIDDEN, Moment, without_secrets};

/// So much of a log is kept: its end.
const MOST_BYTES: usize = 4 << 20;
/// How long before the run they begin.
const BEFORE: Duration = Duration::from_secs(60);
/// How long all of it may take. What is not read by then is left out: undo goes on.
const LIMIT: Duration = Duration::from_secs(30);
/// The bound on one log.
const EACH: Duration = Duration::from_secs(15);

/// The log of a component on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ComponentLog {
    pub node: String,
    /// `kubelet`, `kube-apiserver`, ...
    pub component: String,
    /// Its lines, or why there are none.
    pub text: String,
}

/// Writes the logs of a run that began then into a folder; `read` has those since so long ago.
/// Errors: why some of them are not there.
pub(super) async fn collect(
    read: impl AsyncFnOnce(Duration) -> Vec<ComponentLog>,
    began: Moment,
    folder: &Path,
) -> Result<(), String> {
    let back = clock::now().since(began) + BEFORE;
    let Ok(logs) = tokio::time::timeout(LIMIT, read(back)).await else {
        return Err(format!("not read within {}s", LIMIT.as_secs()));
    };
    save(&logs, folder).map_err(|error| format!("cannot write to {}: {error}", folder.display()))
}

/// The logs of the control plane's pods through the API: those that there are, or why not.
pub(super) async fn through_the_api(cluster: &Cluster, back: Duration) -> Vec<ComponentLog> {
    let not_read = |error: ClusterError| format!("not read: {error}\n");
    let pods = match cluster.component_pods().await {
        Ok(pods) => pods,
        Err(error) => {
            let (node, component) = ("api".to_owned(), "control-plane".to_owned());
            return vec![ComponentLog { node, component, text: not_read(error) }];
        }
    };
    let read = async |pod: &crate::cluster::ComponentPod| {
        let text = cluster.component_log(pod, back, MOST_BYTES).await;
        let text = text.map_or_else(not_read, |text| log(text.as_bytes()));
        ComponentLog { node: pod.node.clone(), component: pod.component.clone(), text }
    };
    join_all(pods.iter().map(read)).await
}

/// Reads a node's logs since so long ago: of the kubelet from the journal, of the static pods from
/// where the kubelet keeps what containers write.
pub(super) async fn of_node(
    way: &dyn NodeAccess,
    node: &NodeHandle,
    is_control_plane: bool,
    back: Duration,
) -> Vec<ComponentLog> {
    let components = Component::ALL.into_iter().map(Component::name);
    let components = components.filter(|_| is_control_plane);
    let read = async |component: &str| {
        let script = script(component, back.as_secs());
        let output = way.run(node, EACH, &["sh", "-c", &script]).await;
        let text = match output {
            Ok(output) if output.code == 0 => log(&output.stdout),
            Ok(output) => format!("not read: {}\n", output.error_text()),
            Err(error) => format!("not read: {error}\n"),
        };
        ComponentLog { node: node.name.clone(), component: component.to_owned(), text }
    };
    join_all(["kubelet"].into_iter().chain(components).map(read)).await
}

/// One byte more than is kept tells that there is more. The lines that the kubelet keeps begin with
/// their time, in UTC.
fn script(component: &str, seconds: u64) -> String {
    let more = MOST_BYTES + 1;
    if component == "kubelet" {
        return format!(
            "journalctl --unit kubelet --no-pager --output short-iso --since -{seconds}s | tail -c \
             {more}"
        );
    }
    format!(
        "since=$(date -u -d @$(($(date +%s) - {seconds})) +%Y-%m-%dT%H:%M:%S) && for log in \
         /var/log/pods/kube-system_{component}-*/{component}/*.log; do [ -f \"$log\" ] && cat \
         \"$log\"; done | awk -v since=\"$since\" '$1 >= since' | tail -c {more}"
    )
}

/// A log as it is kept: without the beginning of what is too long, and without secrets.
fn log(bytes: &[u8]) -> String {
    let cut = bytes.len().saturating_sub(MOST_BYTES);
    let text = String::from_utf8_lossy(&bytes[cut..]);
    // What was cut within a line may be the end of a secret.
    let (first, lines) = match cut > 0 {
        true => text.split_once('\n').unwrap_or_default(),
        false => ("", &*text),
    };
    let mut out = String::with_capacity(lines.len());
    if cut > 0 || !first.is_empty() {
        let _ = writeln!(out, "truncated: these are the last {} MiB", MOST_BYTES >> 20);
    }
    let mut in_key = false;
    for line in lines.lines() {
        in_key |= line.contains("-----BEGIN") && line.contains("PRIVATE KEY-----");
        let kept = if in_key { HIDDEN.to_owned() } else { without_secrets(line) };
        let _ = writeln!(out, "{kept}");
        in_key &= !line.contains("-----END");
    }
    out
}

/// Writes logs into a folder: a folder for each node, a file for each component.
fn save(logs: &[ComponentLog], folder: &Path) -> std::io::Result<()> {
    for ComponentLog { node, component, text } in logs {
        let folder = folder.join(node);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{component}.log")), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_not_kept() {
        let key = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb\n";
        let kept = log(key.as_bytes());
        assert!(
            !kept.contains("MIIE") && kept.starts_with("a\n") && kept.ends_with("b\n"),
            "{kept}"
        );
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let line = "0123456789abcde\n";
        let long = line.repeat(MOST_BYTES / line.len() + 10);
        let kept = log(long.as_bytes());
        assert!(kept.starts_with("truncated: these are the last 4 MiB\n0123"), "{}", &kept[..60]);
        assert!(kept.len() <= MOST_BYTES + 100 && kept.ends_with(line));
        assert_eq!(log(b"x\n"), "x\n");
    }
}
