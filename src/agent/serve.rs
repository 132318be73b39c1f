//! What `kubectl-outage agent` does inside a node: asks for its runner, and ends soon after it.
//!
//! One thread asks; each connection has one that reads the runner's frames and one that writes ours;
//! the calling one decides. The runner's connection may break, and come again: what is found in the
//! meantime is kept. Nothing that a connection does can delay a probe.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::connection::{Channels, Event, thread};
use super::netns;
use super::outbox::Outbox;
use super::protocol::{FromAgent, Start, ToAgent};
use crate::observe::{Observation, Observer};
use crate::probe::control::Responder;
use crate::probe::{Prober, Sink};
use crate::resolver::NameService;
use crate::timeline::ProbeSpan;

/// How long an agent waits for its first orders.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(30);
/// At its end, what is on its way has this long to be read.
const CLOSE: Duration = Duration::from_secs(3);
/// A wait that took longer than this took no longer for the runner's silence: the node was frozen,
/// and what the runner said meanwhile has yet to be read.
const SLICE: Duration = Duration::from_secs(1);

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
    #[error("its memory is full: the runner has not read what was observed")]
    Full,
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

/// Serves one runner, until it says so and has all, or has been silent for too long. `first` is
/// the connection over which it is started.
pub(crate) fn serve(first: UnixStream) -> Result<(), ServeError> {
    serve_by(first, find)
}

/// What finds something out, and reports it, until it is asked to stop.
pub(super) type Finder = fn(Start, &AtomicBool, &Findings) -> Result<(), String>;

/// [`serve`], with something else that finds.
pub(super) fn serve_by(first: UnixStream, find: Finder) -> Result<(), ServeError> {
    // Unbounded: neither the input nor a probe may wait. What comes in is moved to the outbox
    // immediately, which has a bound.
    let (events, inbox) = channel();
    let channels = Channels { outbox: Arc::<Outbox>::default(), events };
    channels.first(first)?;
    let mut agent = Agent {
        channels,
        inbox,
        find,
        stop: Arc::default(),
        probes: None,
        patience: FIRST_HEARTBEAT,
        silent: Duration::ZERO,
        attachable: false,
    };
    let ended = agent.run();
    agent.end(&ended);
    ended
}

struct Agent {
    channels: Channels,
    inbox: Receiver<Event>,
    find: Finder,
    stop: Arc<AtomicBool>,
    probes: Option<JoinHandle<()>>,
    patience: Duration,
    /// For how long the runner has not been heard of.
    silent: Duration,
    attachable: bool,
}

impl Agent {
    fn run(&mut self) -> Result<(), ServeError> {
        loop {
            match self.next()? {
                Some(Event::Frame(ToAgent::Start(start))) => self.start(*start)?,
                Some(Event::Frame(ToAgent::Stop)) => return Ok(()),
                Some(Event::ProbesEnded(result)) => return result.map_err(ServeError::Probes),
                Some(event) => self.take(event)?,
                None => {}
            }
        }
    }

    /// What happens next; `None`: nothing has, for a while.
    fn next(&mut self) -> Result<Option<Event>, ServeError> {
        let rest = self.patience.saturating_sub(self.silent);
        if rest.is_zero() {
            return Err(ServeError::Silence(self.patience));
        }
        let began = Instant::now();
        let event = self.inbox.recv_timeout(rest.min(SLICE)).ok();
        self.silent = match event {
            Some(Event::Frame(_)) => Duration::ZERO,
            _ => self.silent + began.elapsed().min(SLICE),
        };
        Ok(event)
    }

    /// What happens while it works, and while it waits for its runner to have all.
    fn take(&mut self, event: Event) -> Result<(), ServeError> {
        match event {
            Event::Found(message) => {
                self.channels.outbox.push(*message).map_err(|_| ServeError::Full)
            }
            Event::InputEnded(Some(why)) => Err(ServeError::Protocol(why)),
            Event::InputEnded(None) if !self.attachable => Err(ServeError::StreamEnded),
            _ => Ok(()),
        }
    }

    fn start(&mut self, start: Start) -> Result<(), ServeError> {
        if self.probes.is_some() {
            return Err(ServeError::Protocol("start was sent twice".into()));
        }
        self.patience = Duration::from_millis(start.grace_ms.max(1));
        self.channels.outbox.set_limit(start.memory_bytes);
        if let Some(point) = start.attach.clone() {
            self.channels.listen(point)?;
            self.attachable = true;
        }
        let (stop, events, find) =
            (Arc::clone(&self.stop), self.channels.events.clone(), self.find);
        self.probes = Some(thread("probes", move || {
            let ended = find(start, &stop, &Findings(events.clone()));
            let _ = events.send(Event::ProbesEnded(ended));
        })?);
        Ok(())
    }

    /// Ends the probes, and waits until the runner has what they found. One that is not heard of
    /// would hold us here for nothing, as would one that speaks another language.
    fn end(&mut self, ended: &Result<(), ServeError>) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(probes) = self.probes.take() {
            let _ = probes.join();
        }
        for event in self.inbox.try_iter() {
            if let Event::Found(message) = event {
                let _ = self.channels.outbox.push(*message);
            }
        }
        let error = ended.as_ref().err().map(ToString::to_string);
        self.channels.outbox.push_last(FromAgent::Bye { error });
        if matches!(ended, Ok(()) | Err(ServeError::Probes(_) | ServeError::Full)) {
            while !self.channels.outbox.is_delivered() {
                let Ok(event) = self.next() else { break };
                if event.is_some_and(|event| self.take(event).is_err()) {
                    break;
                }
            }
        }
        self.channels.outbox.close(CLOSE);
    }
}

/// Observes, or asks in the network that was named, until it is asked to stop. Of this thread
/// alone.
fn find(start: Start, stop: &AtomicBool, findings: &Findings) -> Result<(), String> {
    if let Some(node) = &start.observe {
        Observer::of(node).run(stop, &|seen| {
            findings.send(match seen {
                Observation::Record(record) => FromAgent::Record(record),
                Observation::ObservedUntil(at) => FromAgent::ObservedUntil(at),
            });
        });
        return Ok(());
    }
    let names = match &start.pod_uid {
        Some(uid) => netns::enter_pod(uid).map_err(|error| error.to_string())?,
        None => NameService::of_system(),
    };
    ask(start, names, stop, &mut findings.clone())
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

/// Where what was found goes.
#[derive(Clone)]
pub(super) struct Findings(Sender<Event>);

impl Findings {
    pub(super) fn send(&self, message: FromAgent) {
        let _ = self.0.send(Event::Found(Box::new(message)));
    }
}

impl Sink for Findings {
    fn started(&mut self, span: &ProbeSpan) {
        self.send(FromAgent::Span(span.clone()));
    }

    fn attempts(&mut self, probe: &str, records: Vec<u8>) {
        self.send(FromAgent::Attempts { probe: probe.into(), records });
    }
}
