//! The way into the nodes of a cluster that is reached through its API alone: a privileged pod on
//! each node, in which commands enter the host's namespaces. Nothing is written on the host: files
//! go into the pod's own file system, and end with it.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use crate::cluster::{Cluster, ClusterError, HELPER_PROCESS, HelperPod, PodOutput};
use crate::node::{
    Access, AccessError, AccessErrorKind, NodeAccess, NodeFile, NodeHandle, NodeState, Output,
    ProcessStream,
};

/// A small public image with all that is needed.
pub(crate) const DEFAULT_IMAGE: &str = "docker.io/library/busybox:1.37";
/// What enters the host of the pod's node; the command follows.
const ENTER: [&str; 9] = ["nsenter", "-t", "1", "-m", "-u", "-i", "-n", "-p", "--"];
/// The bound on a look whether commands run.
const LOOK: Duration = Duration::from_secs(5);
/// The bound on an upload.
const UPLOAD: Duration = Duration::from_secs(120);
/// Where files go in the pod; a directory that every image has.
const FILES: &str = "/tmp";
/// What a shell says of a program that is not there.
const NOT_FOUND: [i64; 2] = [126, 127];
const NO_TOOL: &str = "use a helper image that has sh, nsenter and gzip, such as busybox, Debian or Alpine (--helper-image)";

const OTHER_IMAGE: &str =
    "use another image with --helper-image, OUTAGE_HELPER_IMAGE or `helperImage`";
pub(crate) const WITHOUT_PODS: &str = "where privileged pods are not allowed, probe with `from: host`, and use \
     podDelete, nodeDrain, nodeTaint, deploymentScale or deploymentPlace";

/// The helper pods of a run. Cheap to clone; one is started when its node is first asked.
#[derive(Clone)]
pub(crate) struct HelperPods(Arc<Helpers>);

struct Helpers {
    spec: HelperSpec,
    /// The pods, by node.
    pods: Mutex<BTreeMap<String, Arc<OnceCell<RunningHelper>>>>,
    /// The last file that was uploaded, compressed.
    packed: Mutex<Option<(Arc<[u8]>, Bytes)>>,
}

/// A helper pod that leads into its node.
#[derive(Clone)]
struct RunningHelper {
    pod: String,
    /// Its file system, as the host sees it.
    root: String,
}

/// Where and of what helper pods are made.
#[derive(Clone)]
pub(crate) struct HelperSpec {
    pub cluster: Cluster,
    /// The run's namespace: helper pods end with it.
    pub namespace: String,
    /// The run's id.
    pub run: String,
    pub image: String,
    /// They end by themselves after so long.
    pub lasts: Duration,
}

impl HelperPods {
    pub(crate) fn new(spec: HelperSpec) -> Self {
        Self(Arc::new(Helpers { spec, pods: Mutex::default(), packed: Mutex::default() }))
    }

    /// Starts the helper pod of a node, unless it runs, and looks whether it leads into the node.
    pub(crate) async fn start(&self, node: &NodeHandle) -> Result<(), AccessError> {
        self.pod(node).await.map(drop)
    }

    async fn pod(&self, node: &NodeHandle) -> Result<RunningHelper, AccessError> {
        let cell = self.0.pods.lock().await.entry(node.name.clone()).or_default().clone();
        cell.get_or_try_init(async || self.start_pod(node).await).await.cloned()
    }

    async fn start_pod(&self, node: &NodeHandle) -> Result<RunningHelper, AccessError> {
        let HelperSpec { cluster, namespace, run, image, lasts } = &self.0.spec;
        let (node_name, lasts) = (node.name.as_str(), *lasts);
        cluster.allow_privileged(namespace, run).await.map_err(of_cluster)?;
        let helper = HelperPod { namespace, run, node: node_name, image, lasts };
        let pod = cluster.start_helper(&helper).await.map_err(of_cluster)?;
        // Its first process may not have come to writing its number.
        let script =
            format!("until cat {HELPER_PROCESS} 2>/dev/null; do sleep 0.1; done && exec \"$@\"");
        let entered = [&["sh", "-c", &script, "sh"][..], &ENTER[..], &["true"][..]].concat();
        let output = self.exec(&pod, LOOK, &entered, None).await?;
        match output.code {
            0 => Ok(RunningHelper { pod, root: format!("/proc/{}/root", output.text()) }),
            code => {
                let said = output.error_text();
                let message = format!("enter node {node_name} from its helper pod: {said}");
                let hint = NOT_FOUND.contains(&code).then_some(NO_TOOL);
                Err(AccessError { kind: AccessErrorKind::Refused, message, hint })
            }
        }
    }

    /// Runs a command in the pod itself.
    async fn exec(
        &self,
        pod: &str,
        limit: Duration,
        argv: &[&str],
        input: Option<Bytes>,
    ) -> Result<Output, AccessError> {
        let HelperSpec { cluster, namespace, .. } = &self.0.spec;
        let whole = async {
            let process = cluster.exec(namespace, pod, argv).await.map_err(of_cluster)?;
            let ended = process.output(input).await;
            let away = |why: String| AccessError {
                kind: AccessErrorKind::Away,
                message: format!("run a command in pod {namespace}/{pod}: {why}"),
                hint: None,
            };
            match ended.map_err(|error| away(error.to_string()))? {
                PodOutput { code: Some(code), stdout, stderr } => {
                    Ok(Output { code, stdout, stderr })
                }
                PodOutput { code: None, .. } => Err(away("the connection broke".into())),
            }
        };
        timeout(limit, whole).await.unwrap_or_else(|_| {
            let message = format!(
                "run a command in pod {namespace}/{pod}: no answer within {}s",
                limit.as_secs()
            );
            Err(AccessError { kind: AccessErrorKind::Timeout, message, hint: None })
        })
    }

    /// A file, compressed; the last is kept, since every node is given the same.
    async fn packed(&self, bytes: &Arc<[u8]>) -> Bytes {
        let mut kept = self.0.packed.lock().await;
        if let Some((_, packed)) = kept.as_ref().filter(|(of, _)| Arc::ptr_eq(of, bytes)) {
            return packed.clone();
        }
        let file = bytes.clone();
        // It takes a second, in which watches are to go on.
        let packed = tokio::task::spawn_blocking(move || pack(&file)).await;
        let packed = packed.expect("memory takes it");
        *kept = Some((bytes.clone(), packed.clone()));
        packed
    }
}

impl NodeAccess for HelperPods {
    fn state<'a>(&'a self, node: &'a NodeHandle) -> Access<'a, NodeState> {
        async move {
            let known = self.0.spec.cluster.node_uid(&node.name).await;
            if let Ok(uid) = known
                && uid.as_ref() != Some(&node.id)
            {
                let message = format!("look for node {}: it no longer exists", node.name);
                return Err(AccessError { kind: AccessErrorKind::Gone, message, hint: None });
            }
            self.run(node, LOOK, &["true"]).await.map(|_| NodeState::Up)
        }
        .boxed()
    }

    fn run<'a>(
        &'a self,
        node: &'a NodeHandle,
        limit: Duration,
        argv: &'a [&'a str],
    ) -> Access<'a, Output> {
        async move {
            let RunningHelper { pod, .. } = self.pod(node).await.map_err(not_its_node)?;
            let entered = self.exec(&pod, limit, &[&ENTER[..], argv].concat(), None).await;
            let is_over = match entered.as_ref().map_err(|error| error.kind) {
                Err(AccessErrorKind::Gone | AccessErrorKind::Refused) => true,
                // To the API server, a kubelet that does not know the pod is one that fails.
                Err(AccessErrorKind::Away) => {
                    let HelperSpec { cluster, namespace, .. } = &self.0.spec;
                    let ended = cluster.helper_has_ended(namespace, &pod);
                    timeout(LOOK, ended).await.unwrap_or(false)
                }
                _ => false,
            };
            if is_over {
                // Somebody deleted the pod, or its node has been restarted: another is made.
                self.0.pods.lock().await.remove(&node.name);
                let again = async {
                    let RunningHelper { pod, .. } = self.pod(node).await?;
                    self.exec(&pod, limit, &[&ENTER[..], argv].concat(), None).await
                };
                return again.await.map_err(not_its_node);
            }
            entered
        }
        .boxed()
    }

    fn upload<'a>(&'a self, node: &'a NodeHandle, file: NodeFile<'a>) -> Access<'a, ()> {
        async move {
            let RunningHelper { pod, .. } = self.pod(node).await?;
            let packed = self.packed(&file.bytes).await;
            let (path, mode) = (in_pod("", file.path), format!("{:o}", file.mode));
            let script = "gzip -dc >\"$1\" && chmod \"$2\" \"$1\"";
            let argv = ["sh", "-c", script, "sh", &path, &mode];
            let output = self.exec(&pod, UPLOAD, &argv, Some(packed)).await?;
            match output.code {
                0 => Ok(()),
                code => {
                    let message = format!("write {path} in pod {pod}: {}", output.error_text());
                    let hint = NOT_FOUND.contains(&code).then_some(NO_TOOL);
                    Err(AccessError { kind: AccessErrorKind::Refused, message, hint })
                }
            }
        }
        .boxed()
    }

    /// The process is an uploaded program: it runs in the host's namespaces, from the pod's file
    /// system.
    fn open<'a>(&'a self, node: &'a NodeHandle, argv: &'a [&'a str]) -> Access<'a, ProcessStream> {
        async move {
            let RunningHelper { pod, root } = self.pod(node).await?;
            let argv: Vec<String> = argv.iter().map(|word| in_pod(&root, word)).collect();
            let argv = ENTER.into_iter().chain(argv.iter().map(String::as_str));
            let argv: Vec<&str> = argv.collect();
            let HelperSpec { cluster, namespace, .. } = &self.0.spec;
            let process = cluster.exec(namespace, &pod, &argv).await.map_err(of_cluster)?;
            let streams = process.streams();
            Ok(ProcessStream { input: streams.input, output: streams.output })
        }
        .boxed()
    }
}

fn pack(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    Bytes::from(encoder.finish().expect("memory takes it"))
}

/// Where a file that is uploaded into a node goes in the pod, whose file system is at `root`.
fn in_pod(root: &str, path: &str) -> String {
    match path.rsplit_once('/') {
        Some((_, name)) if name.starts_with(".outage-agent-") => format!("{root}{FILES}/{name}"),
        _ => path.to_owned(),
    }
}

/// A helper pod that is gone, with its namespace perhaps, says nothing of its node: what was done
/// there is still to be undone.
fn not_its_node(error: AccessError) -> AccessError {
    match error.kind {
        AccessErrorKind::Gone => AccessError { kind: AccessErrorKind::Refused, ..error },
        _ => error,
    }
}

fn of_cluster(error: ClusterError) -> AccessError {
    let kind = match &error {
        ClusterError::Unauthorized { .. }
        | ClusterError::Forbidden { .. }
        | ClusterError::Plugin(_) => AccessErrorKind::NotAllowed,
        ClusterError::NotFound { .. } => AccessErrorKind::Gone,
        ClusterError::Timeout { .. } => AccessErrorKind::Timeout,
        error if error.is_unreachable() => AccessErrorKind::Away,
        // The API server says that it can't reach the kubelet.
        ClusterError::Api { code: 500..=599, .. } => AccessErrorKind::Away,
        _ => AccessErrorKind::Refused,
    };
    let hint = match error {
        ClusterError::HelperPod { .. } => Some(OTHER_IMAGE),
        ClusterError::Forbidden { .. } => Some(WITHOUT_PODS),
        _ => None,
    };
    let message = error.to_string();
    // Of a kubelet that does not answer, the API server quotes the whole request.
    let message = match (message.split_once(": "), message.rsplit_once("\": ")) {
        (Some((what, _)), Some((_, why))) => format!("{what}: {why}"),
        _ => message,
    };
    AccessError { kind, message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_put_into_the_pod_and_nothing_else_is_renamed() {
        let put = in_pod("/proc/7/root", "/usr/local/bin/.outage-agent-r-1");
        assert_eq!(put, "/proc/7/root/tmp/.outage-agent-r-1");
        assert_eq!(in_pod("/proc/7/root", "--unlink"), "--unlink");
        assert_eq!(in_pod("/proc/7/root", "/bin/sh"), "/bin/sh");
    }

    #[test]
    fn a_kubelet_that_cannot_be_reached_is_away_and_no_pod_is_gone() {
        let what = || "run a command".to_owned();
        let api = ClusterError::Api {
            what: what(),
            code: 500,
            why: "Post \"https://10.0.0.1:10250/exec\": refused".into(),
        };
        let of_api = of_cluster(api);
        assert_eq!(of_api.kind, AccessErrorKind::Away);
        assert!(of_api.message.starts_with("run a command: refused"), "{}", of_api.message);
        let gone = ClusterError::NotFound { what: what(), why: "no pod".into() };
        let gone = of_cluster(gone);
        assert_eq!(gone.kind, AccessErrorKind::Gone);
        assert_eq!(not_its_node(gone).kind, AccessErrorKind::Refused);
        let image = ClusterError::HelperPod {
            node: "w".into(),
            image: "a".into(),
            why: "ErrImagePull".into(),
        };
        assert!(of_cluster(image).hint.unwrap().contains("--helper-image"));
    }
}
