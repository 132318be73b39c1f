//! Turns an agent's frames into messages for as long as it lives, however often the stream to it
//! breaks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::AgentMessage;
use super::clock::{Clock, EXCHANGES, Offset};
use super::link::Link;
use super::protocol::{AttachPoint, FromAgent, Hello, ToAgent};
use crate::node::{AccessErrorKind, NodeAccess, NodeHandle};
use crate::timeline::{Event, Moment, Record, counted};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// An agent that answers no ping for so long, or for half of its grace, is behind a dead stream.
const MOST_SILENCE: Duration = Duration::from_secs(10);
/// One try to reach an agent again.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(2);
/// What the script below says of an agent that is no more.
const NOT_RUNNING: &str = "the prober is not running";

/// How an agent is reached again. Its file is gone, but its process still has it.
pub(super) struct WayBack {
    pub access: Arc<dyn NodeAccess>,
    pub node: NodeHandle,
    pub pid: u32,
    pub point: AttachPoint,
    /// How long it goes on without hearing from us.
    pub grace: Duration,
}

/// Why an agent could not be reached.
enum Unreached {
    /// It is no more.
    Dead(String),
    /// Its node is frozen, and so is its patience.
    Frozen(String),
    /// It may be reached yet.
    Failed(String),
}

impl WayBack {
    async fn attach(&self, link: &mut Link) -> Result<Hello, Unreached> {
        // Another process may have its number by now.
        let script = format!(
            "case \"$(readlink \"/proc/$1/exe\")\" in *\"$2\"*) exec \"/proc/$1/exe\" agent --attach \"$2\";; esac; \
             echo {NOT_RUNNING}"
        );
        let pid = self.pid.to_string();
        let argv = ["sh", "-c", &script, "sh", &pid, &self.point.name];
        let stream = self.access.open(&self.node, &argv).await.map_err(|error| {
            let unreached = match error.kind {
                AccessErrorKind::Gone | AccessErrorKind::Down => Unreached::Dead,
                AccessErrorKind::Frozen => Unreached::Frozen,
                _ => Unreached::Failed,
            };
            unreached(error.message)
        })?;
        link.attach(stream, &self.point).await.map_err(|why| match why.contains(NOT_RUNNING) {
            true => Unreached::Dead(NOT_RUNNING.into()),
            false => Unreached::Failed(why),
        })
    }
}

/// What one turn of the pump came to.
enum Turn {
    Message(Box<FromAgent>),
    Stop,
    Heartbeat,
}

/// A stream that broke, and how many attempts the agent had no room for until now.
struct Break {
    began: Instant,
    lost: u64,
}

pub(super) struct Pump {
    link: Link,
    clock: Clock,
    way: WayBack,
    probes: Vec<String>,
    messages: UnboundedSender<AgentMessage>,
    stop: CancellationToken,
    stopping: bool,
    /// When the agent was last known to live, and when this stream was last known to work.
    alive: Instant,
    heard: Instant,
    /// While the agent has not answered over another stream.
    broken: Option<Break>,
    /// Before the next try to reach it.
    pause: Duration,
    /// Pings that are yet to be sent, each when the one before was answered.
    burst: usize,
    /// How many attempts the agent had no room for at earlier breaks.
    lost: u64,
}

impl Pump {
    pub(super) fn new(
        link: Link,
        clock: Clock,
        way: WayBack,
        probes: Vec<String>,
        messages: UnboundedSender<AgentMessage>,
        stop: CancellationToken,
    ) -> Self {
        let now = Instant::now();
        let (stopping, broken, pause, burst) = (false, None, PAUSE, 0);
        let (alive, heard) = (now, now);
        Self {
            link,
            clock,
            way,
            probes,
            messages,
            stop,
            stopping,
            alive,
            heard,
            broken,
            pause,
            burst,
            lost: 0,
        }
    }

    /// Until bye. Errors when it was not asked to end.
    pub(super) async fn run(&mut self, first: FromAgent) -> Result<(), String> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Some(first);
        loop {
            if let Some(message) = next.take()
                && let Some(ended) = self.take(message).await
            {
                return ended;
            }
            let turn = tokio::select! {
                biased;
                message = self.link.receive() => message.map(Box::new).map(Turn::Message),
                () = self.stop.cancelled(), if !self.stopping => Ok(Turn::Stop),
                _ = heartbeat.tick() => Ok(Turn::Heartbeat),
            };
            let done = match turn {
                Ok(Turn::Message(message)) => {
                    (self.alive, self.heard) = (Instant::now(), Instant::now());
                    next = Some(*message);
                    Ok(())
                }
                Ok(Turn::Stop) => self.ask_to_stop().await,
                Ok(Turn::Heartbeat) => self.beat().await,
                Err(why) => Err(why),
            };
            if let Err(why) = done {
                self.reattach(why).await?;
            }
        }
    }

    /// The last message, after what is known of the clock.
    pub(super) fn end(&mut self, probes: Vec<String>, error: Option<String>) {
        if let Some(uncertainty_ns) = self.clock.widened().filter(|_| !self.probes.is_empty()) {
            let event = Event::ClockDrift { probes: self.probes.clone(), uncertainty_ns };
            self.send(AgentMessage::Record(Record::now(event)));
        }
        self.send(AgentMessage::Ended { probes, error });
    }

    fn send(&self, message: AgentMessage) {
        let _ = self.messages.send(message);
    }

    async fn beat(&mut self) -> Result<(), String> {
        let silence = MOST_SILENCE.min(self.way.grace / 2);
        if self.heard.elapsed() > silence {
            return Err(format!("it has not answered for {silence:?}"));
        }
        self.link.ping().await
    }

    /// Its clock is measured once more, while it comes to its end.
    async fn ask_to_stop(&mut self) -> Result<(), String> {
        self.stopping = true;
        self.burst = EXCHANGES;
        self.link.send(&ToAgent::Stop).await?;
        self.link.ping().await
    }

    /// Passes one on; the result, when it was the last.
    async fn take(&mut self, message: FromAgent) -> Option<Result<(), String>> {
        let message = match message {
            FromAgent::Span(span) => AgentMessage::Started(self.clock.offset().convert(span)),
            FromAgent::Attempts { probe, records } => AgentMessage::Attempts { probe, records },
            FromAgent::Record(record) => {
                AgentMessage::Record(self.clock.offset().convert_record(record))
            }
            FromAgent::ObservedUntil(at) => {
                AgentMessage::ObservedUntil(self.clock.offset().to_runner(at))
            }
            FromAgent::Note { warning, text } => AgentMessage::Note { warning, text },
            FromAgent::Pong { ping, agent, .. } => {
                self.clock.exchanged(Offset::of_exchange(ping, agent, Moment::now()));
                self.note_break();
                if self.burst > 0 {
                    self.burst -= 1;
                    // One that fails is noticed by who reads next.
                    let _ = self.link.ping().await;
                }
                return None;
            }
            FromAgent::Bye { error } => {
                // It waits to hear that this has arrived.
                let _ = self.link.ping().await;
                self.note_break();
                return Some(match error {
                    Some(error) => Err(error),
                    None if self.stopping => Ok(()),
                    None => Err("it exited unexpectedly".into()),
                });
            }
            FromAgent::Hello(_) | FromAgent::Refused(_) | FromAgent::Kept(..) => {
                return Some(Err("it sent hello twice".into()));
            }
        };
        self.send(message);
        None
    }

    /// Reaches the agent again over another stream. Errors when it is no more, or must have ended by
    /// itself.
    async fn reattach(&mut self, why: String) -> Result<(), String> {
        let (mut reason, grace) = ("its connections do not last".to_owned(), self.way.grace);
        // Where the last stream never came to work, a while passes before the next.
        let mut first = self.broken.is_none();
        self.broken.get_or_insert(Break { began: Instant::now(), lost: 0 });
        loop {
            if !std::mem::take(&mut first) {
                sleep(self.pause).await;
                self.pause = (self.pause * 2).min(MOST_PAUSE);
            }
            if self.alive.elapsed() > grace {
                return Err(format!(
                    "{why}, and it was not reached again within {grace:?}: {reason}"
                ));
            }
            let began = Instant::now();
            let tried = timeout(ATTACH_TIMEOUT, self.way.attach(&mut self.link)).await;
            let silent = || Unreached::Failed(format!("no answer within {ATTACH_TIMEOUT:?}"));
            match tried.unwrap_or_else(|_| Err(silent())) {
                Ok(hello) => {
                    self.attached(&hello).await;
                    return Ok(());
                }
                Err(Unreached::Dead(reason)) => return Err(format!("{why}: {reason}")),
                Err(Unreached::Failed(failed)) => reason = failed,
                Err(Unreached::Frozen(frozen)) => {
                    self.alive += began.elapsed() + self.pause;
                    reason = frozen;
                }
            }
        }
    }

    /// Goes on over a new stream. What breaks now is found by who reads next.
    async fn attached(&mut self, hello: &Hello) {
        if let Some(broken) = &mut self.broken {
            broken.lost = hello.lost;
        }
        self.heard = Instant::now();
        if self.stopping {
            let _ = self.ask_to_stop().await;
        } else {
            self.burst = EXCHANGES;
            let _ = self.link.ping().await;
        }
    }

    /// A break is over when the agent has answered.
    fn note_break(&mut self) {
        let Some(Break { began, lost: total }) = self.broken.take() else { return };
        let lost = total.saturating_sub(self.lost);
        self.lost = self.lost.max(total);
        self.pause = PAUSE;
        let missing = match lost {
            0 => "nothing was lost".to_owned(),
            lost => format!("{} lost", counted(lost, "attempt")),
        };
        let text = format!(
            "lost the connection to the prober on {} for {:.1}s: reconnected, {missing}",
            self.way.node.name,
            began.elapsed().as_secs_f64()
        );
        self.send(AgentMessage::Note { warning: false, text });
    }
}
