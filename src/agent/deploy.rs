//! The runner's side: brings an agent into a node, and turns what it says into messages.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::clock::{Offset, settle};
use super::protocol::{Frames, FromAgent, Hello, Message, Start, ToAgent, VERSION};
use super::{AgentError, AgentHandle, AgentMessage, StopSignal, check_binary, names};
use crate::node::{NodeAccess, NodeFile, NodeHandle, ProcessInput, ProcessOutput, ProcessStream};
use crate::probe::ProbeSpec;
use crate::timeline::clock::boot_id;
use crate::timeline::{Moment, ProbeHeader};

/// Where it is put. kind's nodes have memory file systems on /tmp and /run, which hide what is
/// uploaded.
const DIRECTORY: &str = "/usr/local/bin";
/// From the start of the program until its probes have begun.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// An agent that hears nothing for so long ends by itself.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// A write that takes longer goes to a node that stands still.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Exchanges that measure the agent's clock.
const EXCHANGES: usize = 8;

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
}

/// Uploads `program`, starts it, and returns when its probes have begun. It removes its own file
/// immediately. Messages come until [`AgentMessage::Ended`]; none comes when this is an error.
pub(crate) async fn deploy(
    access: &dyn NodeAccess,
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
    let path = format!("{prefix}{:016x}", random());
    let refused = |what| {
        let node = name.clone();
        move |source| AgentError::Access { what, node, source }
    };
    let file = NodeFile { path: &path, mode: 0o755, bytes: program.clone() };
    access.upload(&node, file).await.map_err(refused("upload"))?;
    let begun = async {
        let argv = [&path, "agent", "--unlink", &path];
        let ProcessStream { input, output } =
            access.open(&node, &argv).await.map_err(refused("start"))?;
        begin(Link { input, output, frames: Frames::default() }, placement, messages).await
    };
    let begun = begun.await;
    if begun.is_err() {
        // It may not have come to removing itself.
        let _ = timeout(WRITE_TIMEOUT, access.open(&node, &["rm", "-f", &path])).await;
    }
    begun
}

/// Removes what agents of a run may have left in a node when the runner died, or was asked to end,
/// between uploading one and its own removal; and what earlier runs have left. May be called any
/// number of times; a file that is not there is not an error.
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
    let file = format!("{prefix}{}", "?".repeat(16));
    format!(
        "rm -f {file} || exit 1\n\
         find {DIRECTORY} -maxdepth 1 -name '.outage-agent-*' -cmin +{OVER_MINUTES} -exec rm -f {{}} + 2>/dev/null\n\
         exit 0"
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
    placement: Placement,
    messages: UnboundedSender<AgentMessage>,
) -> Result<AgentHandle, AgentError> {
    let node = placement.node.name.clone();
    let probes = names(&placement.probes, placement.control.as_ref());
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    let silent =
        |_| AgentError::Silent { what: "start", node: node.clone(), within: HANDSHAKE_TIMEOUT };
    let failed = |why| AgentError::Agent { node: node.clone(), why };
    let shaken = timeout_at(deadline, shake_hands(&mut link, placement)).await;
    let (offset, first) = shaken.map_err(silent)?.map_err(failed)?;
    let token = CancellationToken::new();
    let (done, ended) = oneshot::channel();
    let mut pump = Pump { link, offset, messages, stop: token.clone(), drift_noted: false };
    let task = tokio::spawn(async move {
        let result = pump.run(first).await;
        let _ = pump
            .messages
            .send(AgentMessage::Ended { probes, error: result.as_ref().err().cloned() });
        let _ = done.send(result);
    });
    Ok(AgentHandle {
        node,
        stop: StopSignal::Task(token),
        ended,
        _task: Some(AbortOnDropHandle::new(task)),
    })
}

/// Both directions of an agent's stream.
struct Link {
    input: ProcessInput,
    output: ProcessOutput,
    frames: Frames,
}

impl Link {
    async fn send(&mut self, message: &ToAgent) -> Result<(), String> {
        let bytes = message.encode();
        let write = async {
            self.input.write_all(&bytes).await?;
            self.input.flush().await
        };
        match timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("cannot write to it: {error}")),
            Err(_) => Err("it does not read its input".into()),
        }
    }

    /// The next message; cancel-safe. The end of the stream is an error, which quotes what was printed
    /// instead of a frame.
    async fn receive(&mut self) -> Result<FromAgent, String> {
        loop {
            if let Some(message) = self.frames.message().map_err(|error| error.to_string())? {
                return Ok(message);
            }
            match self.output.next().await {
                Some(Ok(bytes)) => self.frames.push(&bytes),
                Some(Err(error)) => return Err(format!("cannot read its output: {error}")),
                None => match self.frames.text() {
                    text if text.is_empty() => return Err("its output has ended".into()),
                    text => return Err(format!("its output has ended with {text:?}")),
                },
            }
        }
    }
}

/// From hello until the first probe has begun: the clock's offset, and the first message.
async fn shake_hands(link: &mut Link, placement: Placement) -> Result<(Offset, FromAgent), String> {
    let hello = match link.receive().await? {
        FromAgent::Hello(hello) => hello,
        _ => return Err("it sent no hello".into()),
    };
    check_version(&hello)?;
    let mut exchanges = Vec::new();
    for _ in 0..EXCHANGES {
        exchanges.push(exchange(link).await?);
    }
    let own = boot_id();
    let offset = settle(!own.is_empty() && own == hello.boot_id, &exchanges);
    let Placement { node, probes, control, pod_uid, observe, .. } = placement;
    let observe = observe.then_some(node.name);
    let heartbeat_timeout_ms = HEARTBEAT_TIMEOUT.as_millis() as u64;
    let start = Start { probes, control, heartbeat_timeout_ms, pod_uid, source: None, observe };
    link.send(&ToAgent::Start(Box::new(start))).await?;
    match link.receive().await? {
        FromAgent::Bye { error } => Err(error.unwrap_or_else(|| "it exited immediately".into())),
        first => Ok((offset, first)),
    }
}

fn check_version(hello: &Hello) -> Result<(), String> {
    let own = env!("CARGO_PKG_VERSION");
    if (hello.protocol, hello.program.as_str()) == (VERSION, own) {
        return Ok(());
    }
    Err(format!("it is version {} of this program, not {own}", hello.program))
}

async fn exchange(link: &mut Link) -> Result<Offset, String> {
    link.send(&ToAgent::Ping(Moment::now())).await?;
    match link.receive().await? {
        FromAgent::Pong { ping, agent } => Ok(Offset::of_exchange(ping, agent, Moment::now())),
        FromAgent::Bye { error } => Err(error.unwrap_or_else(|| "it exited immediately".into())),
        _ => Err("it did not answer a ping".into()),
    }
}

/// Turns frames into messages, and keeps the agent alive.
struct Pump {
    link: Link,
    offset: Offset,
    messages: UnboundedSender<AgentMessage>,
    stop: CancellationToken,
    drift_noted: bool,
}

impl Pump {
    /// Until bye. Errors when it was not asked to end.
    async fn run(&mut self, first: FromAgent) -> Result<(), String> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        let mut next = Some(first);
        loop {
            if let Some(message) = next.take()
                && let Some(ended) = self.take(message, stopping)
            {
                return ended;
            }
            let stop = self.stop.clone();
            tokio::select! {
                message = self.link.receive() => next = Some(message?),
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.link.send(&ToAgent::Stop).await?;
                }
                _ = heartbeat.tick(), if !stopping => self.link.send(&ToAgent::Ping(Moment::now())).await?,
            }
        }
    }

    /// Passes one on; the result, when it was the last.
    fn take(&mut self, message: FromAgent, stopping: bool) -> Option<Result<(), String>> {
        let message = match message {
            FromAgent::Span(span) => AgentMessage::Started(self.offset.convert(span)),
            FromAgent::Attempts { probe, records } => AgentMessage::Attempts { probe, records },
            FromAgent::Record(record) => AgentMessage::Record(self.offset.convert_record(record)),
            FromAgent::ObservedUntil(at) => AgentMessage::ObservedUntil(self.offset.to_runner(at)),
            FromAgent::Note { warning, text } => AgentMessage::Note { warning, text },
            FromAgent::Pong { ping, agent } => {
                self.drift(Offset::of_exchange(ping, agent, Moment::now()))?
            }
            FromAgent::Hello(_) => return Some(Err("it sent hello twice".into())),
            FromAgent::Bye { error: Some(error) } => return Some(Err(error)),
            FromAgent::Bye { error: None } if stopping => return Some(Ok(())),
            FromAgent::Bye { error: None } => return Some(Err("it exited unexpectedly".into())),
        };
        let _ = self.messages.send(message);
        None
    }

    /// Two machines' clocks drift apart while a run goes on. Noted once, when it is more than the
    /// bound allows.
    fn drift(&mut self, seen: Offset) -> Option<AgentMessage> {
        if self.drift_noted || seen.allows(self.offset) {
            return None;
        }
        self.drift_noted = true;
        let off_us = seen.ahead_ns.abs_diff(self.offset.ahead_ns) / 1000;
        let text = format!(
            "the prober's clock has drifted by {off_us} µs since it started: its timestamps are \
             off by as much"
        );
        Some(AgentMessage::Note { warning: true, text })
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
