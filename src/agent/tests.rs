//! Runner and agent together, over a pair of sockets instead of a container engine.

use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::ready;
use futures_util::{FutureExt, Stream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::protocol::{Frames, FromAgent, Message, ToAgent};
use super::*;
use crate::node::{self, Access, NodeAccess, NodeFile, NodeHandle, NodeState, ProcessStream};
use crate::probe::control::header;
use crate::probe::testing::{GatedServer, http_probe};
use crate::timeline::{AttemptReader, Event, Moment};

/// What the other end of the stream does.
#[derive(Clone, Copy)]
enum Manner {
    /// Is an agent.
    Serve,
    /// Says this, and ends.
    Say(&'static [u8]),
    /// Says nothing.
    Silence,
}

struct Pair {
    manner: Manner,
    calls: Mutex<Vec<String>>,
}

struct Output(OwnedReadHalf);

impl Stream for Output {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut bytes = [0; 700];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.0).poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => Poll::Ready(Some(Ok(buffer.filled().to_vec()))),
        }
    }
}

impl NodeAccess for Pair {
    fn state<'a>(&'a self, _: &'a NodeHandle) -> Access<'a, NodeState> {
        ready(Ok(NodeState::Up)).boxed()
    }

    fn run<'a>(
        &'a self,
        _: &'a NodeHandle,
        _: Duration,
        argv: &'a [&'a str],
    ) -> Access<'a, node::Output> {
        self.calls
            .lock()
            .unwrap()
            .push(argv.iter().map(|arg| dir(arg)).collect::<Vec<_>>().join(" "));
        ready(Ok(node::Output::default())).boxed()
    }

    fn upload<'a>(&'a self, node: &'a NodeHandle, file: NodeFile<'a>) -> Access<'a, ()> {
        let NodeFile { path, mode, bytes } = file;
        let call = format!("upload {} {} {mode:o} {}", node.id, dir(path), bytes.len());
        self.calls.lock().unwrap().push(call);
        ready(Ok(())).boxed()
    }

    fn open<'a>(&'a self, _: &'a NodeHandle, argv: &'a [&'a str]) -> Access<'a, ProcessStream> {
        let call = argv.iter().map(|arg| dir(arg)).collect::<Vec<_>>().join(" ");
        self.calls.lock().unwrap().push(call);
        let (ours, theirs) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let manner = self.manner;
        std::thread::spawn(move || match manner {
            Manner::Serve => drop(serve(theirs.try_clone().unwrap(), theirs, None)),
            Manner::Say(text) => io::Write::write_all(&mut &theirs, text).unwrap(),
            Manner::Silence => drop(io::Read::read_to_end(&mut &theirs, &mut Vec::new())),
        });
        let (read, write) = UnixStream::from_std(ours).unwrap().into_split();
        let stream = ProcessStream { input: Box::pin(write), output: Box::pin(Output(read)) };
        ready(Ok(stream)).boxed()
    }
}

fn node_handle() -> NodeHandle {
    NodeHandle { name: "worker".into(), id: "c1".into() }
}

/// Paths without their random part.
fn dir(path: &str) -> &str {
    let random = |part: &str| part.len() == 16 && part.chars().all(|c| c.is_ascii_hexdigit());
    path.rsplit_once('-').filter(|(_, part)| random(part)).map_or(path, |(before, _)| before)
}

fn pair(manner: Manner) -> Pair {
    Pair { manner, calls: Mutex::default() }
}

fn program() -> Arc<[u8]> {
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(18, 0);
    head.extend_from_slice(&[62, 0]);
    head.into()
}

fn placement(probes: Vec<ProbeSpec>) -> Placement {
    Placement {
        node: node_handle(),
        processor: "amd64".into(),
        run: "r-1".into(),
        pod_uid: None,
        probes,
        control: Some(header("control", "worker", Some("worker"))),
        observe: false,
    }
}

/// Everything until the end.
async fn drain(mut inbox: UnboundedReceiver<AgentMessage>) -> Vec<AgentMessage> {
    let mut all = Vec::new();
    while let Some(message) = inbox.recv().await {
        let last = matches!(message, AgentMessage::Ended { .. });
        all.push(message);
        if last {
            break;
        }
    }
    all
}

/// How many attempts of a probe succeeded, of how many.
fn succeeded(messages: &[AgentMessage], name: &str) -> (usize, usize) {
    let records = messages.iter().filter_map(|message| match message {
        AgentMessage::Attempts { probe, records } if probe == name => Some(records.clone()),
        _ => None,
    });
    let records: Vec<u8> = records.flatten().collect();
    let mut reader = AttemptReader::records(&records);
    let all: Vec<_> = reader.by_ref().collect();
    assert!(!reader.truncated());
    (all.iter().filter(|attempt| attempt.outcome.is_ok()).count(), all.len())
}

fn assert_good(messages: &[AgentMessage], before: Moment) {
    let started = messages.iter().filter_map(|message| match message {
        AgentMessage::Started(span) => Some(span),
        _ => None,
    });
    let spans: Vec<_> = started.collect();
    assert_eq!(spans.iter().map(|span| &*span.probe.name).collect::<Vec<_>>(), ["web", "control"]);
    assert!(spans.iter().all(|span| before < span.start
        && span.start < Moment::now()
        && span.clock_uncertainty_ns == 0));
    let (ok, all) = succeeded(messages, "web");
    assert!(all > 20 && ok >= all - 2, "{ok} of {all}");
    assert!(succeeded(messages, "control").0 > 1);
    let probes = ["web", "control"].map(str::to_owned).into();
    assert_eq!(messages.last(), Some(&AgentMessage::Ended { probes, error: None }));
}

#[tokio::test]
async fn an_agent_probes_until_it_is_stopped() {
    let server = GatedServer::start(1).unwrap();
    let probe = http_probe("web", server.address(), 100.0, Duration::from_millis(500));
    let (pair, (messages, inbox), before) =
        (pair(Manner::Serve), unbounded_channel(), Moment::now());
    let handle = deploy(&pair, placement(vec![probe]), &program(), messages).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    handle.stop().await.unwrap();
    assert_good(&drain(inbox).await, before);
    let calls = pair.calls.lock().unwrap();
    assert_eq!(
        *calls,
        [
            "upload c1 /usr/local/bin/.outage-agent-r-1 755 20",
            "/usr/local/bin/.outage-agent-r-1 agent --unlink /usr/local/bin/.outage-agent-r-1"
        ]
    );
}

#[tokio::test]
async fn a_local_prober_says_the_same() {
    let server = GatedServer::start(1).unwrap();
    let probe = http_probe("web", server.address(), 100.0, Duration::from_millis(500));
    let ((messages, inbox), before) = (unbounded_channel(), Moment::now());
    let handle =
        local::start(vec![probe], Some(header("control", "host", None)), messages).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    handle.stop().await.unwrap();
    assert_good(&drain(inbox).await, before);
}

#[tokio::test]
async fn a_dropped_handle_ends_the_agent() {
    let server = GatedServer::start(1).unwrap();
    let probe = http_probe("web", server.address(), 100.0, Duration::from_millis(500));
    let (messages, inbox) = unbounded_channel();
    let handle = local::start(vec![probe], None, messages).unwrap();
    drop(handle);
    let all = tokio::time::timeout(Duration::from_secs(5), drain(inbox)).await.unwrap();
    assert_eq!(all.last(), Some(&AgentMessage::Ended { probes: vec!["web".into()], error: None }));
}

async fn fails(manner: Manner, change: impl FnOnce(&mut Placement)) -> (AgentError, Vec<String>) {
    let mut placement = placement(Vec::new());
    change(&mut placement);
    let (pair, (messages, mut inbox)) = (pair(manner), unbounded_channel());
    let error = deploy(&pair, placement, &program(), messages).await.unwrap_err();
    assert_eq!(inbox.recv().await, None, "no message after an error");
    (error, pair.calls.into_inner().unwrap())
}

#[tokio::test]
async fn what_goes_wrong_is_reported_and_cleaned_up() {
    let (error, calls) =
        fails(Manner::Say(b"OCI runtime exec failed: exec format error"), |_| ()).await;
    assert_eq!(
        error.to_string(),
        "probe from worker: unexpected output: OCI runtime exec failed: exec format error"
    );
    assert_eq!(calls.last().unwrap(), "rm -f /usr/local/bin/.outage-agent-r-1");
    let (error, _) = fails(Manner::Say(b""), |_| ()).await;
    assert_eq!(error.to_string(), "probe from worker: its output has ended");
    let (error, calls) =
        fails(Manner::Serve, |placement| placement.processor = "arm64".into()).await;
    assert_eq!(
        error.to_string(),
        "run the prober on worker: the node's architecture is arm64, the program is for amd64"
    );
    assert!(error.hint().unwrap().contains("--agent-binary") && calls.is_empty());
    let (error, _) =
        fails(Manner::Serve, |placement| placement.pod_uid = Some("gone".into())).await;
    assert_eq!(
        error.to_string(),
        "probe from worker: find a process of the pod with uid gone on this node"
    );
}

#[tokio::test]
async fn a_run_sweeps_its_own_files_and_no_others() {
    let pair = pair(Manner::Say(b""));
    deploy::sweep(&pair, &node_handle(), "r-1").await.unwrap();
    let call = pair.calls.lock().unwrap().remove(0);
    let script = call.strip_prefix("sh -c ").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let names = [
        "r-1-0123456789abcdef",
        "r-1-fedcba9876543210",
        "r-10-0123456789abcdef",
        "r-1-2-0123456789abcdef",
        "r-1",
    ];
    for name in names {
        std::fs::write(folder.path().join(format!(".outage-agent-{name}")), "").unwrap();
    }
    let script = script.replace("/usr/local/bin", &folder.path().display().to_string());
    assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let left = names.map(|name| folder.path().join(format!(".outage-agent-{name}")).exists());
    assert_eq!(left, [false, false, true, true, true]);
    for run in ["", "a;b", "../x", "A", "*"] {
        let error = deploy::sweep(&pair, &node_handle(), run).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{run:?} is not a run ID"));
    }
    assert!(pair.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_run_that_no_file_can_be_named_after_uploads_nothing() {
    let (error, calls) = fails(Manner::Serve, |placement| placement.run = "a b".into()).await;
    assert_eq!(error.to_string(), "probe from worker: \"a b\" is not a run ID");
    assert!(calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_says_nothing_is_given_up() {
    let (error, _) = fails(Manner::Silence, |_| ()).await;
    assert_eq!(error.to_string(), "start the prober on worker: no answer within 20s");
}

/// Speaks with an agent by hand.
fn by_hand() -> (StdStream, std::thread::JoinHandle<Result<(), serve::ServeError>>) {
    let (ours, theirs) = StdStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let agent = std::thread::spawn(move || serve(theirs.try_clone().unwrap(), theirs, None));
    (ours, agent)
}

fn say(stream: &mut StdStream, message: &ToAgent) {
    io::Write::write_all(stream, &message.encode()).unwrap();
}

fn start(heartbeat_timeout_ms: u64) -> ToAgent {
    ToAgent::Start(Box::new(protocol::Start::of_control(
        header("control", "worker", None),
        heartbeat_timeout_ms,
    )))
}

#[test]
fn an_agent_ends_without_heartbeat() {
    let (mut stream, agent) = by_hand();
    say(&mut stream, &start(300));
    let began = Instant::now();
    let ended = agent.join().unwrap().unwrap_err().to_string();
    assert_eq!(ended, "no message from the runner for 300ms");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_agent_ends_with_its_stream_even_when_nobody_reads() {
    let (mut stream, agent) = by_hand();
    say(&mut stream, &start(60_000));
    std::thread::sleep(Duration::from_millis(50));
    drop(stream);
    assert!(matches!(agent.join().unwrap(), Err(serve::ServeError::StreamEnded)));
}

#[test]
fn nonsense_ends_an_agent_with_an_explanation() {
    let (mut stream, agent) = by_hand();
    io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(matches!(agent.join().unwrap(), Err(serve::ServeError::Protocol(_))));
    let (mut frames, mut bytes) = (Frames::default(), Vec::new());
    io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
    frames.push(&bytes);
    assert!(matches!(frames.message().unwrap(), Some(FromAgent::Hello(_))));
    let Some(FromAgent::Bye { error: Some(error) }) = frames.message().unwrap() else {
        panic!("no bye")
    };
    assert!(error.starts_with("invalid message from the runner"), "{error}");
}

#[tokio::test]
async fn an_observer_looks_until_it_is_stopped() {
    let (pair, (messages, mut inbox)) = (pair(Manner::Serve), unbounded_channel());
    let placement = Placement { observe: true, control: None, ..placement(Vec::new()) };
    let handle = deploy(&pair, placement, &program(), messages).await.unwrap();
    let (mut parts, mut looked) = (0, None);
    while looked.is_none() {
        match inbox.recv().await.unwrap() {
            AgentMessage::Record(Record { event: Event::Process { node, .. }, .. })
                if node == "worker" =>
            {
                parts += 1
            }
            AgentMessage::ObservedUntil(at) => looked = Some(at),
            _ => {}
        }
    }
    assert!(parts == 4 && looked < Some(Moment::now()));
    handle.stop().await.unwrap();
    assert_eq!(
        drain(inbox).await.last(),
        Some(&AgentMessage::Ended { probes: Vec::new(), error: None })
    );
}
