//! The runner's side: brings an agent into a node, and removes what is left of one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::clock::Offset;
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
    let Placement { node, processor, run, .. } = &placement;
    let node = node.clone();
    check_binary(program, processor)
        .map_err(|why| AgentError::Binary { node: node.name.clone(), why })?;
    let work = async |link, path: &str| {
        let point = AttachPoint {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            token: random(16),
        };
        begin(link, access.clone(), point, placement.clone(), messages).await
    };
    brought(access, &node, run, program, work).await
}

/// What a node's clocks were measured to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeClocks {
    /// How far off moments are that an agent there measures.
    pub moments_within: Duration,
    /// Its wall clock.
    pub wall: Offset,
}

/// Uploads `program`, measures the node's clocks as [`deploy`] does, and lets it end.
pub(crate) async fn measure_clocks(
    access: &Arc<dyn NodeAccess>,
    node: &NodeHandle,
    run: &str,
    program: &Arc<[u8]>,
) -> Result<NodeClocks, AgentError> {
    let measure = async |mut link: Link, _: &str| {
        let within = HANDSHAKE_TIMEOUT;
        let silent = |_| AgentError::Silent { what: "start", node: node.name.clone(), within };
        let failed = |why| AgentError::Agent { node: node.name.clone(), why };
        let measured = timeout_at(Instant::now() + within, link.clocks()).await;
        let (_, clock, wall) = measured.map_err(silent)?.map_err(failed)?;
        let moments_within = Duration::from_nanos(clock.offset().uncertainty_ns);
        Ok(NodeClocks { moments_within, wall })
    };
    brought(access, node, run, program, measure).await
}

/// Uploads `program`, starts it, and does something with it.
async fn brought<T>(
    access: &Arc<dyn NodeAccess>,
    node: &NodeHandle,
    run: &str,
    program: &Arc<[u8]>,
    work: impl AsyncFnOnce(Link, &str) -> Result<T, AgentError>,
) -> Result<T, AgentError> {
    let name = &node.name;
    let prefix = file_prefix(run).map_err(|why| AgentError::Agent { node: name.clone(), why })?;
    let path = format!("{prefix}{}", random(8));
    let refused = |what| {
        let node = name.clone();
        move |source| AgentError::Access { what, node, source }
    };
    let file = NodeFile { path: &path, mode: 0o755, bytes: program.clone() };
    access.upload(node, file).await.map_err(refused("upload"))?;
    let done = async {
        let argv = [&path, "agent", "--unlink", &path];
        let stream = access.open(node, &argv).await.map_err(refused("start"))?;
        work(Link::new(stream), &path).await
    };
    let done = done.await;
    if done.is_err() {
        // It may work and not be heard, or not have come to removing its file.
        let _ = access.run(node, WRITE_TIMEOUT, &["sh", "-c", &ending(&path, &path)]).await;
    }
    done
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
