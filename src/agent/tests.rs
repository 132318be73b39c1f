//! Runner and agent together, over a pair of sockets instead of a container engine.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::ready;
use futures_util::{FutureExt, Stream};
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::protocol::{AttachPoint, Frames, FromAgent, Hello, Message, Start, ToAgent};
use super::serve::{Findings, ServeError, serve, serve_by};
use super::*;
use crate::node::Access;
use crate::node::{
    self, AccessError, AccessErrorKind, NodeAccess, NodeFile, NodeHandle, NodeState, ProcessStream,
};
use crate::probe::Sink;
use crate::probe::control::header;
use crate::probe::testing::{GatedServer, http_probe};
use crate::timeline::attempts::AttemptEncoder;
use crate::timeline::{Attempt, AttemptReader, Event, Moment};

/// What the other end of the stream does.
#[derive(Clone, Copy)]
enum Manner {
    /// Is an agent.
    Serve,
    /// Is an agent that finds what is written in a script.
    Script,
    /// Says this, and ends.
    Say(&'static [u8]),
    /// Says nothing.
    Silence,
}

/// After so many bytes a stream breaks: of the runner's, and of the agent's.
#[derive(Clone, Copy, Debug)]
struct Cut {
    input: u64,
    output: u64,
}

struct Pair {
    manner: Manner,
    calls: Mutex<Vec<String>>,
    /// Of the streams to come; those after them do not break.
    cuts: Mutex<VecDeque<Cut>>,
    /// What happens to who wants to reach the agent again, until a moment.
    obstacle: Mutex<Option<(Obstacle, Instant)>>,
}

#[derive(Clone, Copy)]
enum Obstacle {
    Away,
    Gone,
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
        let cut = self.cuts.lock().unwrap().pop_front();
        let ours = Self::through(ours, cut);
        let obstacle = self.obstacle.lock().unwrap().filter(|(_, end)| Instant::now() < *end);
        let mut manner = self.manner;
        match (argv, obstacle) {
            (["sh", .., name], None) => match socket::connect(name) {
                Ok(agent) => return ready(Ok(stream(Self::through(agent, cut)))).boxed(),
                Err(_) => manner = Manner::Say(b"the prober is not running\n"),
            },
            (["sh", ..], Some((Obstacle::Gone, _))) => {
                manner = Manner::Say(b"the prober is not running\n");
            }
            (["sh", ..], Some((Obstacle::Away, _))) => {
                let message = "the way is closed".into();
                let error = AccessError { kind: AccessErrorKind::Away, message, hint: None };
                return ready(Err(error)).boxed();
            }
            _ => {}
        }
        std::thread::spawn(move || match manner {
            Manner::Serve => drop(serve(theirs)),
            Manner::Script => drop(serve_by(theirs, script)),
            Manner::Say(text) => io::Write::write_all(&mut &theirs, text).unwrap(),
            Manner::Silence => drop(io::Read::read_to_end(&mut &theirs, &mut Vec::new())),
        });
        ready(Ok(stream(ours))).boxed()
    }
}

impl Pair {
    /// The end of a stream that breaks where it is to.
    fn through(end: StdStream, cut: Option<Cut>) -> StdStream {
        let Some(cut) = cut else { return end };
        let (near, far) = StdStream::pair().unwrap();
        let [far, end] = [far, end].map(|stream| {
            stream.set_nonblocking(true).unwrap();
            UnixStream::from_std(stream).unwrap().into_split()
        });
        tokio::spawn(async move {
            let (mut input, mut output) = (far.0.take(cut.input), end.0.take(cut.output));
            let (mut to_agent, mut to_runner) = (end.1, far.1);
            tokio::select! {
                _ = tokio::io::copy(&mut input, &mut to_agent) => {}
                _ = tokio::io::copy(&mut output, &mut to_runner) => {}
            }
        });
        near
    }
}

fn stream(end: StdStream) -> ProcessStream {
    end.set_nonblocking(true).unwrap();
    let (read, write) = UnixStream::from_std(end).unwrap().into_split();
    ProcessStream { input: Box::pin(write), output: Box::pin(Output(read)) }
}

fn node_handle() -> NodeHandle {
    NodeHandle { name: "worker".into(), id: "c1".into() }
}

/// Paths without their random part.
fn dir(path: &str) -> &str {
    let random = |part: &str| part.len() == 16 && part.chars().all(|c| c.is_ascii_hexdigit());
    path.rsplit_once('-').filter(|(_, part)| random(part)).map_or(path, |(before, _)| before)
}

fn pair(manner: Manner) -> Arc<Pair> {
    let (calls, cuts, obstacle) = Default::default();
    Arc::new(Pair { manner, calls, cuts, obstacle })
}

async fn deploy_to(
    pair: &Arc<Pair>,
    placement: Placement,
    messages: tokio::sync::mpsc::UnboundedSender<AgentMessage>,
) -> Result<AgentHandle, AgentError> {
    let access: Arc<dyn NodeAccess> = pair.clone();
    deploy(&access, placement, &program(), messages).await
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
        grace: GRACE,
    }
}

#[tokio::test]
async fn a_nodes_clocks_are_measured_and_the_agent_ends() {
    let pair = pair(Manner::Serve);
    let access: Arc<dyn NodeAccess> = pair.clone();
    let clocks = measure_clocks(&access, &node_handle(), "r-1", &program()).await.unwrap();
    assert_eq!(clocks.moments_within, Duration::ZERO, "one boot is one clock");
    let off = clocks.wall.ahead_ns.unsigned_abs();
    assert!(off <= u128::from(clocks.wall.uncertainty_ns), "{clocks:?}");
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
    let handle = deploy_to(&pair, placement(vec![probe]), messages).await.unwrap();
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
    let error = deploy_to(&pair, placement, messages).await.unwrap_err();
    assert_eq!(inbox.recv().await, None, "no message after an error");
    let calls = pair.calls.lock().unwrap().clone();
    (error, calls)
}

#[tokio::test]
async fn what_goes_wrong_is_reported_and_cleaned_up() {
    let (error, calls) =
        fails(Manner::Say(b"OCI runtime exec failed: exec format error"), |_| ()).await;
    assert_eq!(
        error.to_string(),
        "probe from worker: unexpected output: OCI runtime exec failed: exec format error"
    );
    assert!(calls.last().unwrap().contains("rm -f /usr/local/bin/.outage-agent-r-1-"));
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
    deploy::sweep(&*pair, &node_handle(), "r-1").await.unwrap();
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
    // Agents of both runs, which have removed their files.
    let running = ["r-1-00000000000000aa", "r-2-00000000000000aa"].map(|name| {
        let file = folder.path().join(format!(".outage-agent-{name}"));
        std::fs::copy("/bin/sleep", &file).unwrap();
        // Another test's fork may hold the file open for writing for a moment.
        let process = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            std::process::Command::new(&file).arg("60").spawn().ok()
        });
        let process = process.expect("it starts");
        std::fs::remove_file(file).unwrap();
        process
    });
    let script = script.replace("/usr/local/bin", &folder.path().display().to_string());
    assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let left = names.map(|name| folder.path().join(format!(".outage-agent-{name}")).exists());
    assert_eq!(left, [false, false, true, true, true]);
    let [mut own, mut other] = running;
    if cfg!(target_os = "linux") {
        assert!(!own.wait().unwrap().success(), "it was killed");
    }
    assert!(other.try_wait().unwrap().is_none());
    other.kill().unwrap();
    other.wait().unwrap();
    for run in ["", "a;b", "../x", "A", "*"] {
        let error = deploy::sweep(&*pair, &node_handle(), run).await.unwrap_err();
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
fn by_hand() -> (StdStream, std::thread::JoinHandle<Result<(), ServeError>>) {
    let (ours, theirs) = StdStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    (ours, std::thread::spawn(move || serve_by(theirs, script)))
}

fn say(stream: &mut StdStream, message: &ToAgent) {
    io::Write::write_all(stream, &message.encode()).unwrap();
}

fn start(grace_ms: u64, attach: Option<AttachPoint>) -> ToAgent {
    let start = Start::of_control(header("control", "worker", None), grace_ms);
    ToAgent::Start(Box::new(Start { attach, ..start }))
}

/// A name of its own, for this process and test.
fn point(test: &str) -> AttachPoint {
    let name = format!("outage-test-{test}-{}", std::process::id());
    AttachPoint { name, token: "secret".into() }
}

fn attach(point: &AttachPoint, token: &str, received: u64) -> (StdStream, Frames) {
    let mut stream = (0..200)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            socket::connect(&point.name).ok()
        })
        .expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    say(&mut stream, &ToAgent::Attach { token: token.into(), received });
    (stream, Frames::default())
}

/// The next message; `None` at the end of the stream.
fn hear(stream: &mut StdStream, frames: &mut Frames) -> Option<FromAgent> {
    loop {
        if let Some(message) = frames.message().unwrap() {
            return Some(message);
        }
        let mut buffer = [0; 4096];
        match io::Read::read(stream, &mut buffer).unwrap() {
            0 => return None,
            length => frames.push(&buffer[..length]),
        }
    }
}

/// The numbers of the kept messages up to this one.
fn numbers_until(stream: &mut StdStream, frames: &mut Frames, last: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        match hear(stream, frames).expect("there is more") {
            FromAgent::Kept(number, _) => numbers.push(number),
            FromAgent::Hello(hello) => assert_eq!(hello.pid, std::process::id()),
            other => panic!("{other:?}"),
        }
    }
    numbers
}

const SCRIPTED: u64 = 120;

/// The attempts that an agent finds in a piece of its script.
fn piece(number: u64, encoder: &mut AttemptEncoder) -> Vec<u8> {
    let mut records = Vec::new();
    for slot in number * 5..number * 5 + 5 {
        encoder.attempt(&Attempt { slot, late_us: slot % 7, ..Attempt::default() }, &mut records);
    }
    records
}

fn span() -> ProbeSpan {
    let start = Moment::now();
    ProbeSpan {
        format: ProbeSpan::FORMAT.into(),
        probe: header("control", "worker", None),
        start,
        interval_ns: 1_000_000,
        timeout_ns: 1_000_000,
        clock_uncertainty_ns: 0,
    }
}

fn script(_: Start, stop: &AtomicBool, findings: &Findings) -> Result<(), String> {
    let (mut sink, mut encoder) = (findings.clone(), AttemptEncoder::default());
    sink.started(&span());
    for number in 0..SCRIPTED {
        sink.attempts("control", piece(number, &mut encoder));
        std::thread::sleep(Duration::from_millis(1));
    }
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn scripted() -> Vec<u8> {
    let mut encoder = AttemptEncoder::default();
    (0..SCRIPTED).flat_map(|number| piece(number, &mut encoder)).collect()
}

/// What came of a probe, and how often it began.
fn records_of(messages: &[AgentMessage]) -> (Vec<u8>, usize) {
    let started = messages.iter().filter(|message| matches!(message, AgentMessage::Started(_)));
    let records = messages.iter().filter_map(|message| match message {
        AgentMessage::Attempts { records, .. } => Some(records.clone()),
        _ => None,
    });
    (records.flatten().collect(), started.count())
}

fn notes(messages: &[AgentMessage]) -> Vec<&str> {
    let notes = messages.iter().filter_map(|message| match message {
        AgentMessage::Note { warning: false, text } => Some(&**text),
        _ => None,
    });
    notes.collect()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// What a scripted agent reported over streams that break so.
fn report_over(cuts: Vec<Cut>) -> Vec<AgentMessage> {
    block_on(async {
        let (pair, (messages, mut inbox)) = (pair(Manner::Script), unbounded_channel());
        *pair.cuts.lock().unwrap() = cuts.into();
        let handle = deploy_to(&pair, placement(Vec::new()), messages).await.unwrap();
        let (mut all, mut length) = (Vec::new(), 0);
        while length < scripted().len() {
            let message = inbox.recv().await.expect("it lives");
            if let AgentMessage::Attempts { records, .. } = &message {
                length += records.len();
            }
            all.push(message);
        }
        handle.stop().await.unwrap();
        all.extend(drain(inbox).await);
        all
    })
}

/// The first stream breaks when the probes have begun, others anywhere.
fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let first = (2000u64..6000).prop_map(|output| Cut { input: u64::MAX, output });
    let later = (0u64..900, 0u64..4000).prop_map(|(input, output)| Cut { input, output });
    (first, proptest::collection::vec(later, 0..4))
        .prop_map(|(first, later)| [first].into_iter().chain(later).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn nothing_is_lost_or_comes_twice_wherever_the_stream_breaks(cuts in cuts()) {
        let all = report_over(cuts);
        prop_assert_eq!(records_of(&all), (scripted(), 1));
        let probes = vec!["control".to_owned()];
        prop_assert_eq!(all.last(), Some(&AgentMessage::Ended { probes, error: None }));
        prop_assert!(notes(&all).iter().all(|note| note.ends_with("nothing was lost")));
    }
}

#[test]
fn a_break_is_noted_once() {
    let all = report_over(vec![Cut { input: u64::MAX, output: 3000 }]);
    let [note] = notes(&all)[..] else { panic!("{:?}", notes(&all)) };
    assert!(note.starts_with("lost the connection to the prober on worker for "), "{note}");
    assert!(notes(&report_over(Vec::new())).is_empty());
}

/// A handle on a scripted agent of which the first stream breaks, and then this is in the way.
async fn broken(obstacle: Obstacle, lasts: Duration, grace: Duration) -> Vec<AgentMessage> {
    let (pair, (messages, inbox)) = (pair(Manner::Script), unbounded_channel());
    *pair.cuts.lock().unwrap() = [Cut { input: u64::MAX, output: 3000 }].into();
    *pair.obstacle.lock().unwrap() = Some((obstacle, Instant::now() + lasts));
    let placement = Placement { grace, ..placement(Vec::new()) };
    let handle = deploy_to(&pair, placement, messages).await.unwrap();
    // Also while the agent can't be reached.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopped = handle.stop().await;
    let all = drain(inbox).await;
    let Some(AgentMessage::Ended { error, .. }) = all.last() else { panic!("no end") };
    assert_eq!(stopped.is_ok(), error.is_none());
    all
}

fn error_of(messages: &[AgentMessage]) -> Option<&str> {
    match messages.last() {
        Some(AgentMessage::Ended { error, .. }) => error.as_deref(),
        _ => None,
    }
}

#[tokio::test]
async fn an_agent_stops_as_soon_as_it_is_reached_again() {
    let all = broken(Obstacle::Away, Duration::from_secs(1), GRACE).await;
    assert_eq!((records_of(&all), error_of(&all)), ((scripted(), 1), None));
}

#[tokio::test]
async fn an_agent_that_is_no_more_is_given_up_immediately() {
    let began = Instant::now();
    let all = broken(Obstacle::Gone, Duration::from_secs(60), GRACE).await;
    assert_eq!(error_of(&all), Some("its output has ended: the prober is not running"));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_agent_that_is_out_of_reach_for_its_grace_is_given_up() {
    let all = broken(Obstacle::Away, Duration::from_secs(60), Duration::from_secs(2)).await;
    assert_eq!(
        error_of(&all),
        Some("its output has ended, and it was not reached again within 2s: the way is closed")
    );
}

#[tokio::test]
async fn another_version_is_refused() {
    let hello = Hello { program: "0.0.0-other".into(), ..Hello::here("", 0) };
    let (error, _) = fails(Manner::Say(FromAgent::Hello(hello).encode().leak()), |_| ()).await;
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(
        error.to_string(),
        format!("probe from worker: it is version 0.0.0-other of this program, not {own}")
    );
}

#[test]
fn of_two_connections_the_newer_is_served() {
    let ((mut first, agent), point) = (by_hand(), point("newer"));
    say(&mut first, &start(5000, Some(point.clone())));
    let mut frames = Frames::default();
    assert_eq!(numbers_until(&mut first, &mut frames, 9), (0..10).collect::<Vec<_>>());
    let (mut second, mut frames) = attach(&point, "secret", 4);
    assert_eq!(numbers_until(&mut second, &mut frames, 20), (4..21).collect::<Vec<_>>());
    let (mut third, mut frames) = attach(&point, "secret", 20);
    assert_eq!(
        numbers_until(&mut third, &mut frames, SCRIPTED),
        (20..=SCRIPTED).collect::<Vec<_>>()
    );
    // The end of the older ones.
    for mut old in [first, second] {
        assert!(io::Read::read_to_end(&mut old, &mut Vec::new()).is_ok());
    }
    say(&mut third, &ToAgent::Stop);
    let bye = hear(&mut third, &mut frames);
    assert!(matches!(bye, Some(FromAgent::Kept(number, _)) if number == SCRIPTED + 1), "{bye:?}");
    assert!(!agent.is_finished(), "it waits to hear that all has arrived");
    say(&mut third, &ToAgent::Ping { at: Moment::now(), received: SCRIPTED + 2 });
    agent.join().unwrap().unwrap();
}

#[test]
fn who_does_not_know_the_token_or_wants_what_is_gone_is_refused() {
    let ((mut first, agent), point) = (by_hand(), point("token"));
    say(&mut first, &start(5000, Some(point.clone())));
    let mut frames = Frames::default();
    numbers_until(&mut first, &mut frames, 9);
    say(&mut first, &ToAgent::Ping { at: Moment::now(), received: 8 });
    while !matches!(hear(&mut first, &mut frames), Some(FromAgent::Pong { .. })) {}
    for (token, received, why) in [
        ("guessed", 9, "it belongs to another run"),
        ("secret", 7, "it no longer has what comes next"),
        ("secret", 9999, "it no longer has what comes next"),
    ] {
        let (mut stream, mut frames) = attach(&point, token, received);
        assert!(matches!(hear(&mut stream, &mut frames), Some(FromAgent::Hello(_))));
        assert_eq!(hear(&mut stream, &mut frames), Some(FromAgent::Refused(why.into())));
        assert_eq!(hear(&mut stream, &mut frames), None);
    }
    say(&mut first, &ToAgent::Stop);
    say(&mut first, &ToAgent::Ping { at: Moment::now(), received: 9 });
    let last = std::iter::from_fn(|| hear(&mut first, &mut frames))
        .find(|message| matches!(message, FromAgent::Kept(_, bye) if matches!(**bye, FromAgent::Bye { .. })));
    let Some(FromAgent::Kept(number, _)) = last else { panic!("no bye") };
    say(&mut first, &ToAgent::Ping { at: Moment::now(), received: number + 1 });
    agent.join().unwrap().unwrap();
}

#[test]
fn an_agent_ends_without_heartbeat() {
    for (test, attached) in [("silent", true), ("deserted", false)] {
        let (mut stream, agent) = by_hand();
        say(&mut stream, &start(300, Some(point(test))));
        let mut frames = Frames::default();
        numbers_until(&mut stream, &mut frames, 0);
        let began = Instant::now();
        let kept = attached.then_some(stream);
        let ended = agent.join().unwrap().unwrap_err().to_string();
        assert_eq!(ended, "no message from the runner for 300ms");
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(kept);
    }
}

#[test]
fn an_agent_that_nobody_can_attach_to_ends_with_its_stream_even_when_nobody_reads() {
    let (mut stream, agent) = by_hand();
    say(&mut stream, &start(60_000, None));
    std::thread::sleep(Duration::from_millis(50));
    drop(stream);
    assert!(matches!(agent.join().unwrap(), Err(ServeError::StreamEnded)));
}

#[test]
fn nonsense_ends_an_agent_with_an_explanation() {
    let (mut stream, agent) = by_hand();
    io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(matches!(agent.join().unwrap(), Err(ServeError::Protocol(_))));
    let mut frames = Frames::default();
    assert!(matches!(hear(&mut stream, &mut frames), Some(FromAgent::Hello(_))));
    let Some(FromAgent::Kept(0, bye)) = hear(&mut stream, &mut frames) else { panic!("no bye") };
    let FromAgent::Bye { error: Some(error) } = *bye else { panic!("no error") };
    assert!(error.starts_with("invalid message from the runner"), "{error}");
}

#[tokio::test]
async fn an_observer_looks_until_it_is_stopped() {
    let (pair, (messages, mut inbox)) = (pair(Manner::Serve), unbounded_channel());
    let placement = Placement { observe: true, control: None, ..placement(Vec::new()) };
    let handle = deploy_to(&pair, placement, messages).await.unwrap();
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
