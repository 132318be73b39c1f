//! The runner's side: brings an agent into a node, and removes what is left of one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::link::{Link, WRITE_TIMEOUT};
use super::protocol::{AttachPoint, Start};
use super::pump::{Pump, WayBack};
use super::{
    AgentError, AgentHandle, AgentMessage, MOST_REACHING, STOP_TIMEOUT, StopSignal, check_binary,
    names,
};
use crate::node::{NodeAccess, NodeFile, NodeHandle};
use crate::probe::ProbeSpec;
use crate::timeline::ProbeHeader;

/// Where it is put. kind's nodes have memory file systems on /tmp and /run, which hide what is
/// uploaded.
const DIRECTORY: &str = "/usr/local/bin";
/// From the start of the program until its probes have begun.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
/// An agent that does not hear from its runner for so long ends by itself, where nothing else is
/// asked for.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// Attempts that the runner has not read are kept up to so many bytes: an hour of 1000 a second.
const MEMORY_BYTES: usize = 32 << 20;

/// Where an agent is to work, and at what.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    pub node: NodeHandle,
    /// The node's processor, as Kubernetes or its kernel calls it. Empty: not known.
    pub processor: String,
    /// The run's id, which marks the file in the node: letters, digits and dashes.
    pub run: String,
    /// The pod whose network and DNS are used, by its uid; `None`: the node's own.
    pub pod_uid: Option<String>,
    pub probes: Vec<ProbeSpec>,
    /// How the control probe is called (see `probe::control::header`); `None`: there is none.
    pub control: Option<ProbeHeader>,
    /// Whether it observes the node instead of asking.
    pub observe: bool,
    /// How long it goes on without its runner: the stream to it may break for so long.
    pub grace: Duration,
}

/// Uploads `program`, starts it, and returns when its probes have begun. It removes its own file
/// immediately. Messages come until [`AgentMessage::Ended`]; none comes when this is an error.
pub(crate) async fn deploy(
    access: &Arc<dyn NodeAccess>,
    placement: Placement,
    program: &Arc<[u8]>,
    messages: UnboundedSender<AgentMessage>,
) -> Result<AgentHandle, AgentError> {
    let Placement { node, processor, .. } = &placement;
    let (node, name) = (node.clone(), node.name.clone());
    check_binary(program, processor)
        .map_err(|why| AgentError::Binary { node: name.clone(), why })?;
    let prefix =
        file_prefix(&placement.run).map_err(|why| AgentError::Agent { node: name.clone(), why })?;
    let path = format!("{prefix}{}", random(8));
    let refused = |what| {
        let node = name.clone();
        move |source| AgentError::Access { what, node, source }
    };
    let file = NodeFile { path: &path, mode: 0o755, bytes: program.clone() };
    access.upload(&node, file).await.map_err(refused("upload"))?;
    let begun = async {
        let argv = [&path, "agent", "--unlink", &path];
        let stream = access.open(&node, &argv).await.map_err(refused("start"))?;
        let point = AttachPoint {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            token: random(16),
        };
        begin(Link::new(stream), access.clone(), point, placement, messages).await
    };
    let begun = begun.await;
    if begun.is_err() {
        // It may work and not be heard, or not have come to removing its file.
        let _ = access.run(&node, WRITE_TIMEOUT, &["sh", "-c", &ending(&path, &path)]).await;
    }
    begun
}

/// So many bytes that nobody can guess, in hexadecimal.
fn random(bytes: usize) -> String {
    let mut random = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random)
        .expect("the system gives random numbers");
    random[..bytes].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ends the agents of a run in a node, whose runner died, and removes what they may have left when
/// that was between uploading one and its own removal; and what earlier runs have left. May be
/// called any number of times; a file that is not there is not an error.
///
/// Errors when the node is not up, and when the run's id can't be part of a file's name.
pub(crate) async fn sweep(
    access: &dyn NodeAccess,
    node: &NodeHandle,
    run: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let script = sweeping(&file_prefix(run)?);
    let output = access.run(node, WRITE_TIMEOUT, &["sh", "-c", &script]).await?;
    match output.code {
        0 => Ok(()),
        _ => Err(format!("remove the prober's file: {}", output.error_text()).into()),
    }
}

/// After so many minutes no upload is on its way, and an agent has removed its own file.
pub(crate) const OVER_MINUTES: u32 = 10;

fn sweeping(prefix: &str) -> String {
    // As many as the random part has: an id may begin with another.
    let (files, pattern) = (format!("{prefix}{}", "?".repeat(16)), format!("{prefix}[0-9a-f]*"));
    format!(
        "{}\n\
         find {DIRECTORY} -maxdepth 1 -name '.outage-agent-*' -cmin +{OVER_MINUTES} -exec rm -f {{}} + 2>/dev/null\n\
         exit 0",
        ending(&files, &pattern)
    )
}

/// Ends the processes whose program was one of these files, and removes the files.
fn ending(files: &str, pattern: &str) -> String {
    format!(
        "ls -l /proc/[0-9]*/exe 2>/dev/null | \
         sed -n 's#.*/proc/\\([0-9]*\\)/exe -> {pattern}\\( .*\\)*$#\\1#p' | \
         xargs -r kill -9 2>/dev/null\n\
         rm -f {files} || exit 1"
    )
}

/// The first part of the paths of a run's agents.
fn file_prefix(run: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if run.is_empty() || !run.chars().all(plain) {
        return Err(format!("{run:?} is not a run ID"));
    }
    Ok(format!("{DIRECTORY}/.outage-agent-{run}-"))
}

/// Shakes hands with a program that was started, and returns when its probes have begun.
async fn begin(
    mut link: Link,
    access: Arc<dyn NodeAccess>,
    point: AttachPoint,
    placement: Placement,
    messages: UnboundedSender<AgentMessage>,
) -> Result<AgentHandle, AgentError> {
    let Placement { node, probes, control, pod_uid, observe, grace, .. } = placement;
    let name = node.name.clone();
    let own = names(&probes, control.as_ref());
    let start = Start {
        probes,
        control,
        grace_ms: grace.as_millis() as u64,
        attach: Some(point.clone()),
        memory_bytes: MEMORY_BYTES,
        pod_uid,
        source: None,
        observe: observe.then(|| name.clone()),
    };
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let silent =
        |_| AgentError::Silent { what: "start", node: name.clone(), within: HANDSHAKE_TIMEOUT };
    let failed = |why| AgentError::Agent { node: name.clone(), why };
    let shaken = timeout_at(deadline, link.start(start)).await;
    let begun = shaken.map_err(silent)?.map_err(failed)?;
    let token = CancellationToken::new();
    let (done, ended) = oneshot::channel();
    let way = WayBack { access, node, pid: begun.pid, point, grace };
    let mut pump = Pump::new(link, begun.clock, way, own.clone(), messages, token.clone());
    let task = tokio::spawn(async move {
        let result = pump.run(begun.first).await;
        pump.end(own, result.as_ref().err().cloned());
        let _ = done.send(result);
    });
    Ok(AgentHandle {
        node: name,
        stop: StopSignal::Task(token),
        stop_timeout: STOP_TIMEOUT + grace.min(MOST_REACHING),
        ended,
        _task: Some(AbortOnDropHandle::new(task)),
    })
}
