//! What `kubectl-outage agent` does inside a node: asks for its runner, and ends with it.
//!
//! One thread reads the runner's frames, one writes ours, one asks; the calling one decides. A
//! runner that stalls stops the writer only: nothing that it does can delay a probe.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::netns;
use super::protocol::{Frames, FromAgent, Hello, Message, Start, ToAgent};
use crate::observe::{Observation, Observer};
use crate::probe::control::Responder;
use crate::probe::{Prober, Sink};
use crate::resolver::NameService;
use crate::timeline::{Moment, ProbeSpan};

/// How long an agent waits for its first orders.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(30);

/// Why an agent ended, when it was not asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The runner has not been heard of for too long.
    #[error("no message from the runner for {0:?}")]
    Silence(Duration),
    #[error("the runner closed the connection")]
    StreamEnded,
    #[error("invalid message from the runner: {0}")]
    Protocol(String),
    /// The probes can't be carried out, or go on.
    #[error("{0}")]
    Probes(String),
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

enum Event {
    Frame(ToAgent),
    InputEnded(Option<String>),
    ProbesEnded(Result<(), String>),
}

/// Serves one runner, until it says so, its stream ends, or it has been silent for too long.
/// `unlink` is this program's own file, removed immediately: nothing is left behind, however the
/// agent ends.
pub(crate) fn serve(
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    unlink: Option<&Path>,
) -> Result<(), ServeError> {
    if let Some(path) = unlink {
        let _ = fs::remove_file(path);
    }
    // Both unbounded: neither the input nor a probe may wait. A runner that stops reading stops its
    // heartbeats, too, which ends this process within the heartbeat timeout.
    let (events, inbox) = channel();
    let (outbox, frames) = channel();
    let writer = thread("agent-output", move || write_frames(output, &frames))?;
    let replies = outbox.clone();
    let heard = events.clone();
    thread("agent-input", move || read_frames(input, &heard, &replies))?;
    let _ = outbox.send(Some(FromAgent::Hello(Hello::here()).encode()));
    let mut agent =
        Agent { events, outbox, stop: Arc::default(), probes: None, patience: FIRST_HEARTBEAT };
    let ended = agent.run(&inbox);
    agent.end();
    let bye = FromAgent::Bye { error: ended.as_ref().err().map(ToString::to_string) };
    let _ = agent.outbox.send(Some(bye.encode()));
    let _ = agent.outbox.send(None);
    // A runner that does not read would hold us here; this process is about to end anyway.
    if matches!(ended, Ok(()) | Err(ServeError::Probes(_))) {
        let deadline = Instant::now() + Duration::from_secs(3);
        while !writer.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    ended
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

/// Ends with its input. Pings are answered here: their time is the clock's measure.
fn read_frames(mut input: impl Read, events: &Sender<Event>, replies: &Sender<Option<Vec<u8>>>) {
    let (mut frames, mut buffer) = (Frames::default(), [0; 4096]);
    loop {
        let ended = match input.read(&mut buffer) {
            Ok(0) => Some(None),
            Ok(length) => {
                let now = Moment::now();
                frames.push(&buffer[..length]);
                hand_on(&mut frames, now, events, replies).err().map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => None,
            Err(_) => Some(None),
        };
        if let Some(why) = ended {
            let _ = events.send(Event::InputEnded(why));
            return;
        }
    }
}

fn hand_on(
    frames: &mut Frames,
    now: Moment,
    events: &Sender<Event>,
    replies: &Sender<Option<Vec<u8>>>,
) -> Result<(), String> {
    while let Some(message) = frames.message::<ToAgent>().map_err(|error| error.to_string())? {
        if let ToAgent::Ping(ping) = message {
            let _ = replies.send(Some(FromAgent::Pong { ping, agent: now }.encode()));
        }
        let _ = events.send(Event::Frame(message));
    }
    Ok(())
}

/// Ends after the last frame (`None`), or when the runner's end is closed (which ends our input,
/// too).
fn write_frames(mut output: impl Write, frames: &Receiver<Option<Vec<u8>>>) {
    while let Ok(Some(frame)) = frames.recv() {
        if output.write_all(&frame).and_then(|()| output.flush()).is_err() {
            return;
        }
    }
}

struct Agent {
    events: Sender<Event>,
    outbox: Sender<Option<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    probes: Option<JoinHandle<()>>,
    patience: Duration,
}

impl Agent {
    fn run(&mut self, inbox: &Receiver<Event>) -> Result<(), ServeError> {
        loop {
            match inbox.recv_timeout(self.patience) {
                Ok(Event::Frame(ToAgent::Start(start))) => self.start(*start)?,
                Ok(Event::Frame(ToAgent::Ping(_))) => {}
                Ok(Event::Frame(ToAgent::Stop)) => return Ok(()),
                Ok(Event::InputEnded(None)) => return Err(ServeError::StreamEnded),
                Ok(Event::InputEnded(Some(why))) => return Err(ServeError::Protocol(why)),
                Ok(Event::ProbesEnded(result)) => return result.map_err(ServeError::Probes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(ServeError::Silence(self.patience));
                }
            }
        }
    }

    fn start(&mut self, start: Start) -> Result<(), ServeError> {
        if self.probes.is_some() {
            return Err(ServeError::Protocol("start was sent twice".into()));
        }
        self.patience = Duration::from_millis(start.heartbeat_timeout_ms.max(1));
        let (stop, events, mut sink) =
            (Arc::clone(&self.stop), self.events.clone(), Outgoing(self.outbox.clone()));
        self.probes = Some(thread("probes", move || {
            let ended = match &start.observe {
                Some(node) => observe(node, &stop, &sink),
                None => probe(start, &stop, &mut sink),
            };
            let _ = events.send(Event::ProbesEnded(ended));
        })?);
        Ok(())
    }

    /// Ends the probes, and waits until what they found is on its way.
    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(probes) = self.probes.take() {
            let _ = probes.join();
        }
    }
}

/// Looks at the node until it is asked to stop.
fn observe(node: &str, stop: &AtomicBool, Outgoing(outbox): &Outgoing) -> Result<(), String> {
    Observer::of(node).run(stop, &|seen| {
        let message = match seen {
            Observation::Record(record) => FromAgent::Record(record),
            Observation::ObservedUntil(at) => FromAgent::ObservedUntil(at),
        };
        let _ = outbox.send(Some(message.encode()));
    });
    Ok(())
}

/// Asks, in the network that was named, until it is asked to stop. Of this thread alone.
fn probe(start: Start, stop: &AtomicBool, sink: &mut dyn Sink) -> Result<(), String> {
    let names = match &start.pod_uid {
        Some(uid) => netns::enter_pod(uid).map_err(|error| error.to_string())?,
        None => NameService::of_system(),
    };
    ask(start, names, stop, sink)
}

/// Asks in the thread's own network, with a control probe if there is to be one.
pub(super) fn ask(
    Start { mut probes, control, source, .. }: Start,
    names: NameService,
    stop: &AtomicBool,
    sink: &mut dyn Sink,
) -> Result<(), String> {
    let responder =
        control.map(|header| Ok::<_, io::Error>((Responder::start()?, header))).transpose();
    let responder = responder.map_err(|error| format!("listen for the control probe: {error}"))?;
    let control =
        responder.as_ref().map(|(responder, header)| responder.probe(header.clone(), &probes));
    probes.extend(control);
    let prober = Prober::new(probes, names).map_err(|error| error.to_string())?;
    prober.from(source).run(stop, sink).map_err(|error| error.to_string())
}

struct Outgoing(Sender<Option<Vec<u8>>>);

impl Sink for Outgoing {
    fn started(&mut self, span: &ProbeSpan) {
        let _ = self.0.send(Some(FromAgent::Span(span.clone()).encode()));
    }

    fn attempts(&mut self, probe: &str, records: Vec<u8>) {
        let _ = self.0.send(Some(FromAgent::Attempts { probe: probe.into(), records }.encode()));
    }
}
