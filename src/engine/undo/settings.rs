//! The settings of failure detection inside a kind cluster's nodes, where kubeadm puts them: the
//! kubelet's config file and the controller manager's manifest. The texts as they were are the undo.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::engine::error::RunError;
use crate::node::{AccessError, AccessErrorKind, NodeAccess, NodeHandle, Output};
use crate::timeline::{Tuning, format_duration, format_seconds};

const KUBELET: &str = "/var/lib/kubelet/config.yaml";
const MANAGER: &str = "/etc/kubernetes/manifests/kube-controller-manager.yaml";
/// Beside the folder of manifests: the kubelet must not see half a file.
const DRAFT: &str = "/etc/kubernetes/outage-controller-manager.yaml";
/// Prints the command lines of the controller managers, a word a line.
const COMMAND_LINE: &str = "for file in /proc/[0-9]*/cmdline; do
words=$(tr '\\0' '\\n' < \"$file\" 2>/dev/null)
case \"$words\" in kube-controller-manager*) echo \"$words\";; esac; done";
const FLAGS: [&str; 2] = ["--node-monitor-period", "--node-monitor-grace-period"];
/// How long one command may take: the restart of a kubelet.
const COMMAND: Duration = Duration::from_secs(60);
/// How long the kubelet may take to start a controller manager.
const START: Duration = Duration::from_secs(120);
/// How long it may take to end it: the kubelet gives it 30 s, and sees the manifest gone within 20.
const END: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(250);

/// The two files of a node, as they are or shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SettingsFiles {
    /// The node's container.
    pub id: String,
    pub name: String,
    pub kubelet: String,
    /// `None`: it is not a control plane.
    pub manager: Option<String>,
}

impl SettingsFiles {
    pub(crate) async fn read(
        access: &impl NodeAccess,
        node: NodeHandle,
        is_control_plane: bool,
    ) -> Result<Self, RunError> {
        let file = async |path: &str| {
            let output = run(access, &node, &["cat", path], "read the settings").await?;
            String::from_utf8(output.stdout).map_err(|e| {
                RunError::refused(format!("{path} of node {} is not text", node.name)).because(&e)
            })
        };
        let manager = if is_control_plane { Some(file(MANAGER).await?) } else { None };
        Ok(Self { kubelet: file(KUBELET).await?, manager, id: node.id.clone(), name: node.name })
    }

    /// The same files with other settings, all of them explicit: the report frequency follows the
    /// update frequency only where it is not set.
    pub(crate) fn with(&self, tuning: &Tuning) -> Result<Self, RunError> {
        let text = |value: Option<Duration>| value.map(format_duration);
        let lease = tuning.node_lease_duration.map(|lease| lease.as_secs().to_string());
        let mut kubelet = self.kubelet.clone();
        for (field, value) in [
            ("nodeStatusUpdateFrequency", text(tuning.node_status_update_frequency)),
            ("nodeStatusReportFrequency", text(tuning.node_status_report_frequency)),
            ("nodeLeaseDurationSeconds", lease),
        ] {
            if let Some(value) = value {
                kubelet = with_field(&kubelet, field, &value);
            }
        }
        let values = [text(tuning.node_monitor_period), text(tuning.node_monitor_grace_period)];
        let mut manager = self.manager.clone();
        for (flag, value) in FLAGS.iter().zip(values) {
            if let (Some(manifest), Some(value)) = (&manager, value) {
                manager = Some(with_flag(manifest, flag, &value).ok_or_else(|| {
                    RunError::refused(format!(
                        "{MANAGER} of node {} is not laid out as kubeadm does it",
                        self.name
                    ))
                })?);
            }
        }
        Ok(Self { kubelet, manager, ..self.clone() })
    }

    fn handle(&self) -> NodeHandle {
        NodeHandle { name: self.name.clone(), id: self.id.clone() }
    }

    async fn is_gone(&self, access: &impl NodeAccess) -> bool {
        let state = access.state(&self.handle()).await;
        matches!(state, Err(AccessError { kind: AccessErrorKind::Gone, .. }))
    }

    async fn shell(
        &self,
        access: &impl NodeAccess,
        script: &str,
        argument: &str,
    ) -> Result<String, RunError> {
        let argv = ["sh", "-c", script, "sh", argument];
        Ok(run(access, &self.handle(), &argv, "change the settings").await?.text())
    }

    async fn write_kubelet(&self, access: &impl NodeAccess) -> Result<(), RunError> {
        let script = format!(
            "cp -p {KUBELET} {KUBELET}.outage && printf %s \"$1\" > {KUBELET}.outage &&
mv {KUBELET}.outage {KUBELET} && systemctl restart kubelet"
        );
        self.shell(access, &script, &self.kubelet).await.map(drop)
    }

    /// Ends when no controller manager runs on the node.
    async fn stop_manager(&self, access: &impl NodeAccess) -> Result<(), RunError> {
        self.shell(access, "rm -f \"$1\"", MANAGER).await?;
        let wrong = "the controller manager did not end";
        self.manager_is(access, wrong, END, str::is_empty).await
    }

    /// Ends when the command line of the node's controller managers is as it shall be.
    async fn manager_is(
        &self,
        access: &impl NodeAccess,
        wrong: &str,
        within: Duration,
        is_so: impl Fn(&str) -> bool,
    ) -> Result<(), RunError> {
        let until = Instant::now() + within;
        while !is_so(&self.shell(access, COMMAND_LINE, "").await?) {
            if Instant::now() > until {
                let (node, limit) = (&self.name, format_seconds(within));
                return Err(RunError::failed(format!("{wrong} on node {node} within {limit}")));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Ends when a controller manager runs with the manifest's flags.
    async fn write_manager(&self, access: &impl NodeAccess) -> Result<(), RunError> {
        let Some(manifest) = &self.manager else { return Ok(()) };
        let script =
            format!("printf %s \"$1\" > {DRAFT} && chmod 600 {DRAFT} && mv {DRAFT} {MANAGER}");
        self.shell(access, &script, manifest).await?;
        let is_so = |words: &str| !words.is_empty() && flags(words) == flags(manifest);
        let wrong = "no controller manager ran with the flags of its manifest";
        self.manager_is(access, wrong, START, is_so).await
    }
}

/// Writes all files, and restarts what reads them. No controller manager runs while kubelets do not:
/// none is mistaken for dead. Nodes that are gone need nothing.
pub(crate) async fn write(
    access: &impl NodeAccess,
    nodes: &[SettingsFiles],
) -> Result<(), RunError> {
    let mut there = Vec::new();
    for node in nodes {
        if !node.is_gone(access).await {
            there.push(node);
        }
    }
    let managers = there.iter().filter(|node| node.manager.is_some());
    let stopped = join_all(managers.map(|node| node.stop_manager(access))).await;
    // One that does not end may have a kubelet that does not run with its file.
    let kubelets = join_all(there.iter().map(|node| node.write_kubelet(access))).await;
    // Whatever became of a kubelet: without its controller manager a cluster stands still.
    let managers = join_all(there.iter().map(|node| node.write_manager(access))).await;
    stopped.into_iter().chain(kubelets).chain(managers).collect()
}

/// Whether nothing is left of the nodes: a cluster of the same name is another one.
pub(crate) async fn are_gone(access: &impl NodeAccess, nodes: &[SettingsFiles]) -> bool {
    for node in nodes {
        if !node.is_gone(access).await {
            return false;
        }
    }
    true
}

async fn run(
    access: &impl NodeAccess,
    node: &NodeHandle,
    argv: &[&str],
    what: &str,
) -> Result<Output, RunError> {
    let cannot = || RunError::failed(format!("cannot {what} of node {}", node.name));
    let output = access.run(node, COMMAND, argv).await.map_err(|error| cannot().because(&error))?;
    if output.code == 0 { Ok(output) } else { Err(cannot().caused_by(output.error_text())) }
}

/// A YAML file with this field at its top level.
fn with_field(text: &str, field: &str, value: &str) -> String {
    let is_field = |line: &&str| line.split_once(':').is_some_and(|(name, _)| name == field);
    let rest: String =
        text.lines().filter(|line| !is_field(line)).map(|l| format!("{l}\n")).collect();
    format!("{rest}{field}: {value}\n")
}

/// A manifest whose command has this flag; `None`: it has no such command.
fn with_flag(manifest: &str, flag: &str, value: &str) -> Option<String> {
    let mut found = false;
    let lines = manifest.lines().filter(|line| {
        flags(line).iter().all(|other| other.split_once('=').is_none_or(|(name, _)| name != flag))
    });
    let text = lines.fold(String::new(), |text, line| {
        let is_command = !found && line.trim() == "- kube-controller-manager";
        found |= is_command;
        let indent = &line[..line.len() - line.trim_start().len()];
        let added = if is_command { format!("{indent}- {flag}={value}\n") } else { String::new() };
        format!("{text}{line}\n{added}")
    });
    found.then_some(text)
}

/// The flags about nodes in a manifest or a command line, in one order.
fn flags(text: &str) -> Vec<&str> {
    let words = text.lines().map(|line| line.trim().trim_start_matches("- "));
    let is_one = |word: &&str| word.split_once('=').is_some_and(|(name, _)| FLAGS.contains(&name));
    let mut flags: Vec<&str> = words.filter(is_one).collect();
    flags.sort_unstable();
    flags
}

#[cfg(test)]
pub(in crate::engine) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fake::FakeApi;
    use crate::docker::fake::FakeEngine;

    const NODES: [&str; 2] = ["c-control-plane", "c-worker"];

    const FIELDS: &str = "kind: KubeletConfiguration\nlogging:\n  nodeStatusUpdateFrequency: x\nnodeStatusUpdateFrequency: 0s\n";
    const MANIFEST: &str = "spec:\n  containers:\n  - command:\n    - kube-controller-manager\n    - --leader-elect=true\n    - --node-monitor-period=5s\n    image: i\n";

    pub(in crate::engine) fn tuning(period: u64) -> Tuning {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        Tuning {
            node_status_update_frequency: seconds(1),
            node_status_report_frequency: seconds(300),
            node_lease_duration: seconds(40),
            node_monitor_period: seconds(period),
            node_monitor_grace_period: seconds(4),
            ..Tuning::default()
        }
    }

    pub(in crate::engine) fn files(manager: bool) -> SettingsFiles {
        let name = if manager { "c-control-plane" } else { "c-worker" };
        SettingsFiles {
            id: format!("id-{name}"),
            name: name.into(),
            kubelet: FIELDS.into(),
            manager: manager.then(|| MANIFEST.into()),
        }
    }

    #[test]
    fn settings_replace_those_of_the_files_and_nothing_else() {
        let tuned = files(true).with(&tuning(1)).unwrap();
        assert_eq!(
            tuned.kubelet,
            "kind: KubeletConfiguration\nlogging:\n  nodeStatusUpdateFrequency: x\nnodeStatusUpdateFrequency: 1s\nnodeStatusReportFrequency: 5m\nnodeLeaseDurationSeconds: 40\n"
        );
        let manifest = tuned.manager.clone().unwrap();
        assert!(manifest.contains(
            "    - kube-controller-manager\n    - --node-monitor-grace-period=4s\n    - --node-monitor-period=1s\n    - --leader-elect=true\n    image: i\n"
        ), "{manifest}");
        assert!(!manifest.contains("=5s"));
        assert_eq!(tuned.with(&tuning(1)).unwrap(), tuned);
        let other = SettingsFiles { manager: Some("spec: {}\n".into()), ..files(true) };
        assert!(other.with(&tuning(1)).unwrap_err().message.contains("not laid out as kubeadm"));
    }

    /// The manifest of a controller manager that is ending.
    const ENDING: &str = "ending";

    /// A node whose files are what was written, and whose controller manager runs with its manifest,
    /// and for one look after that is gone.
    pub(in crate::engine) fn cluster() -> FakeEngine {
        let engine = FakeEngine::start();
        engine.with(|state| {
            state.script = Box::new(|node, argv| {
                let text = argv.join(" ");
                let argument = argv.last().cloned().unwrap_or_default();
                match () {
                    () if text.contains("/cmdline") => {
                        let ending = node.inside.remove(ENDING);
                        let manifest = node.inside.get(MANAGER).cloned().or(ending);
                        let manifest = manifest.unwrap_or_default();
                        let words = manifest.lines().map(|l| l.trim().trim_start_matches("- "));
                        return (0, words.collect::<Vec<_>>().join("\n"));
                    }
                    () if text.contains("rm -f") => {
                        let removed = node.inside.remove(&argument);
                        node.inside.extend(removed.map(|manifest| (ENDING.to_owned(), manifest)));
                    }
                    () if text.contains(DRAFT) => {
                        node.inside.insert(MANAGER.into(), argument);
                    }
                    () if text.contains("restart kubelet") => {
                        let runs = [MANAGER, ENDING].iter().any(|it| node.inside.contains_key(*it));
                        assert!(!runs, "it would judge the kubelets");
                        node.inside.insert(KUBELET.into(), argument);
                    }
                    () if argv[0] == "cat" => {
                        return match node.inside.get(&argument) {
                            Some(text) => (0, text.clone()),
                            None => (1, "no such file".into()),
                        };
                    }
                    () => {}
                }
                (0, String::new())
            });
        });
        engine
    }

    /// Its API server, whose components say that they have these settings.
    pub(in crate::engine) fn api(tuning: &Tuning) -> FakeApi {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let nodes = NODES.map(|node| json!({"metadata": {"name": node}, "status": ready}));
        let api = FakeApi::with("/api/v1/nodes", list("Node", json!(nodes)));
        for (group, kind, plural) in [
            ("apis/apps/v1", "Deployment", "deployments"),
            ("apis/coordination.k8s.io/v1", "Lease", "leases"),
            ("api/v1", "Service", "services"),
        ] {
            let path = format!("/{group}/namespaces/kube-system/{plural}");
            api.put(&path, list(kind, json!([])));
        }
        show(&api, tuning);
        api
    }

    fn list(kind: &str, items: Value) -> Value {
        json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {}, "items": items})
    }

    /// Its components say that they have these settings from now on.
    pub(in crate::engine) fn show(api: &FakeApi, tuning: &Tuning) {
        let text = |value: Option<Duration>| format_duration(value.unwrap());
        let config = json!({"kubeletconfig": {
            "nodeStatusUpdateFrequency": text(tuning.node_status_update_frequency),
            "nodeStatusReportFrequency": text(tuning.node_status_report_frequency),
            "nodeLeaseDurationSeconds": tuning.node_lease_duration.unwrap().as_secs(),
        }});
        for node in NODES {
            api.put(&format!("/api/v1/nodes/{node}/proxy/configz"), config.clone());
        }
        let period = format!("--node-monitor-period={}", text(tuning.node_monitor_period));
        let grace =
            format!("--node-monitor-grace-period={}", text(tuning.node_monitor_grace_period));
        let pod = json!({
            "metadata": {"name": "m", "labels": {"component": "kube-controller-manager"}},
            "spec": {"containers": [{"name": "m", "command": [period, grace]}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        api.put("/api/v1/namespaces/kube-system/pods", list("Pod", json!([pod])));
    }

    #[tokio::test]
    async fn what_was_written_is_read_back_and_a_node_that_is_gone_needs_nothing() {
        let engine = cluster();
        let docker = engine.connect().await;
        let all = [files(true), files(false)];
        write(&docker, &all).await.unwrap();
        let tuned: Vec<_> = all.iter().map(|node| node.with(&tuning(2)).unwrap()).collect();
        write(&docker, &tuned).await.unwrap();
        for node in &tuned {
            let has_manager = node.manager.is_some();
            let read = SettingsFiles::read(&docker, node.handle(), has_manager).await.unwrap();
            assert_eq!(read, *node);
        }
        engine.with(|state| state.containers.remove("c-worker"));
        write(&docker, &all).await.unwrap();
        engine.with(|state| state.containers.clear());
        write(&docker, &all).await.unwrap();
    }

    #[tokio::test]
    async fn a_node_that_is_off_leaves_the_cluster_its_controller_manager() {
        let engine = cluster();
        let docker = engine.connect().await;
        let all = [files(true), files(false)];
        write(&docker, &all).await.unwrap();
        engine.worker(|c| c.running = false);
        write(&docker, &all).await.unwrap_err();
        engine.with(|state| {
            assert!(state.containers["c-control-plane"].inside.contains_key(MANAGER));
        });
    }
}
