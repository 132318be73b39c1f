//! The runner's end of a stream to an agent: frames, in order and none twice, and the handshakes.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::clock::{Clock, EXCHANGES, Offset, settle, wall_ns};
use super::protocol::{AttachPoint, Frames, FromAgent, Hello, Message, Start, ToAgent, VERSION};
use crate::node::{ProcessInput, ProcessOutput, ProcessStream};
use crate::timeline::Moment;

/// A write that takes longer goes to a node that stands still.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Both directions of an agent's stream.
pub(super) struct Link {
    input: ProcessInput,
    output: ProcessOutput,
    frames: Frames,
    /// How many kept messages have arrived, over this stream and those before.
    received: u64,
}

/// An agent that works.
pub(super) struct Begun {
    pub pid: u32,
    pub clock: Clock,
    pub first: FromAgent,
}

impl Link {
    pub(super) fn new(ProcessStream { input, output }: ProcessStream) -> Self {
        Self { input, output, frames: Frames::default(), received: 0 }
    }

    pub(super) async fn send(&mut self, message: &ToAgent) -> Result<(), String> {
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

    /// Says that this runner lives, how much it has received, and asks for the agent's clock.
    pub(super) async fn ping(&mut self) -> Result<(), String> {
        self.send(&ToAgent::Ping { at: Moment::now(), received: self.received }).await
    }

    /// The next message; cancel-safe. The end of the stream is an error, which quotes what was printed
    /// instead of a frame.
    pub(super) async fn receive(&mut self) -> Result<FromAgent, String> {
        loop {
            match self.frames.message().map_err(|error| error.to_string())? {
                Some(FromAgent::Kept(number, message)) if number == self.received => {
                    self.received += 1;
                    return Ok(*message);
                }
                Some(FromAgent::Kept(number, _)) => {
                    let expected = self.received;
                    return Err(format!("it sent message {number} instead of {expected}"));
                }
                Some(FromAgent::Refused(why)) => return Err(why),
                Some(message) => return Ok(message),
                None => {}
            }
            match self.output.next().await {
                Some(Ok(bytes)) => self.frames.push(&bytes),
                Some(Err(error)) => return Err(format!("cannot read its output: {error}")),
                None => match self.frames.text() {
                    text if text.is_empty() || self.frames.is_cut() => {
                        return Err("its output has ended".into());
                    }
                    text => return Err(format!("its output has ended with {text:?}")),
                },
            }
        }
    }

    async fn hello(&mut self) -> Result<Hello, String> {
        match self.receive().await? {
            FromAgent::Hello(hello) => check_version(&hello).map(|()| hello),
            _ => Err("it sent no hello".into()),
        }
    }

    /// Its hello, and its clocks: that of its moments, and how far its wall clock is ahead.
    pub(super) async fn clocks(&mut self) -> Result<(Hello, Clock, Offset), String> {
        let hello = self.hello().await?;
        let (mut exchanges, mut walls) = (Vec::new(), Vec::new());
        for _ in 0..EXCHANGES {
            let (exchange, wall) = self.exchange().await?;
            exchanges.push(exchange);
            walls.push(wall);
        }
        let clock = Clock::new(&hello.boot_id, &exchanges);
        Ok((hello, clock, settle(false, &walls)))
    }

    /// From hello until the first probe has begun.
    pub(super) async fn start(&mut self, start: Start) -> Result<Begun, String> {
        let (hello, clock, _) = self.clocks().await?;
        self.send(&ToAgent::Start(Box::new(start))).await?;
        match self.receive().await? {
            FromAgent::Bye { error } => {
                // It waits to hear that this has arrived.
                let _ = self.ping().await;
                Err(error.unwrap_or_else(|| "it exited immediately".into()))
            }
            first => Ok(Begun { pid: hello.pid, clock, first }),
        }
    }

    async fn exchange(&mut self) -> Result<(Offset, Offset), String> {
        let before = Moment(wall_ns());
        self.ping().await?;
        match self.receive().await? {
            FromAgent::Pong { ping, agent, wall_ns: there } => {
                let wall = Offset::of_exchange(before, Moment(there), Moment(wall_ns()));
                Ok((Offset::of_exchange(ping, agent, Moment::now()), wall))
            }
            FromAgent::Bye { error } => {
                Err(error.unwrap_or_else(|| "it exited immediately".into()))
            }
            _ => Err("it did not answer a ping".into()),
        }
    }

    /// Goes on over another stream. Nothing of this link has changed when that is an error.
    pub(super) async fn attach(
        &mut self,
        stream: ProcessStream,
        point: &AttachPoint,
    ) -> Result<Hello, String> {
        let mut next = Self { received: self.received, ..Self::new(stream) };
        let hello = next.hello().await?;
        if hello.name != point.name {
            return Err(format!("{} answered in its place", hello.name));
        }
        let (token, received) = (point.token.clone(), next.received);
        next.send(&ToAgent::Attach { token, received }).await?;
        *self = next;
        Ok(hello)
    }
}

fn check_version(hello: &Hello) -> Result<(), String> {
    let own = env!("CARGO_PKG_VERSION");
    if (hello.protocol, hello.program.as_str()) == (VERSION, own) {
        return Ok(());
    }
    Err(format!("it is version {} of this program, not {own}", hello.program))
}
