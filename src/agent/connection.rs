//! An agent's side of a connection: two threads for each, and one that waits for the next.
//!
//! Whatever a connection does, or its runner does not, no probe waits for it.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use super::clock::wall_ns;
use super::outbox::Outbox;
use super::protocol::{AttachPoint, Frames, FromAgent, Hello, Message, ToAgent};
use super::socket;
use crate::timeline::Moment;

/// How long one that connects may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to accept a connection.
const RETRY: Duration = Duration::from_millis(100);

/// What its threads tell the one that decides.
pub(super) enum Event {
    Frame(ToAgent),
    /// The connection has ended; with the reason when it brought what is not understood.
    InputEnded(Option<String>),
    Found(Box<FromAgent>),
    ProbesEnded(Result<(), String>),
}

pub(super) fn thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

/// What the threads of a connection need.
#[derive(Clone)]
pub(super) struct Channels {
    pub outbox: Arc<Outbox>,
    pub events: Sender<Event>,
}

impl Channels {
    /// Serves the connection over which an agent is started.
    pub(super) fn first(&self, stream: UnixStream) -> io::Result<()> {
        (&stream).write_all(&FromAgent::Hello(Hello::here("", 0)).encode())?;
        self.serve(stream, 0, Frames::default())
    }

    /// Serves whoever connects and knows the token; the newer connection takes the place of the
    /// older one.
    pub(super) fn listen(&self, point: AttachPoint) -> io::Result<()> {
        let (listener, channels) = (socket::listen(&point.name)?, self.clone());
        thread("agent-attach", move || channels.accept(&listener, &point)).map(drop)
    }

    fn accept(&self, listener: &UnixListener, point: &AttachPoint) {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Where no descriptor is free the next try fails, too.
                std::thread::sleep(RETRY);
                continue;
            };
            if !socket::is_ours(&stream) {
                continue;
            }
            let begun = self
                .greet(&stream, point)
                .and_then(|(received, frames)| self.serve(stream.try_clone()?, received, frames));
            if let Err(error) = begun {
                let _ = (&stream).write_all(&FromAgent::Refused(error.to_string()).encode());
            }
        }
    }

    /// What a connection says first: how much has arrived; and the frames that follow.
    fn greet(&self, mut stream: &UnixStream, point: &AttachPoint) -> io::Result<(u64, Frames)> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let hello = FromAgent::Hello(Hello::here(&point.name, self.outbox.lost()));
        stream.write_all(&hello.encode())?;
        let (mut frames, mut buffer) = (Frames::default(), [0; 4096]);
        let first = loop {
            if let Some(first) = frames.message::<ToAgent>().map_err(io::Error::other)? {
                break first;
            }
            match stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => frames.push(&buffer[..length]),
            }
        };
        stream.set_read_timeout(None)?;
        match first {
            ToAgent::Attach { token, received } if token == point.token => Ok((received, frames)),
            ToAgent::Attach { .. } => Err(io::Error::other("it belongs to another run")),
            _ => Err(io::Error::other("the first message is not attach")),
        }
    }

    fn serve(&self, stream: UnixStream, received: u64, frames: Frames) -> io::Result<()> {
        let (input, output) = (stream.try_clone()?, stream.try_clone()?);
        let Some(id) = self.outbox.attach(stream, received) else {
            return Err(io::Error::other("it no longer has what comes next"));
        };
        let outbox = self.outbox.clone();
        thread("agent-output", move || write(output, id, &outbox))?;
        let channels = self.clone();
        thread("agent-input", move || channels.read(input, id, frames)).map(drop)
    }

    /// Ends with its input. Pings are answered here: their time is the clock's measure.
    fn read(&self, mut input: UnixStream, id: u64, mut frames: Frames) {
        let mut buffer = [0; 4096];
        let why = loop {
            if let Err(why) = self.hand_on(&mut frames, id) {
                break Some(why);
            }
            match input.read(&mut buffer) {
                Ok(0) => break None,
                Ok(length) => frames.push(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break None,
            }
        };
        // One that was replaced has nothing more to say.
        if self.outbox.is_current(id) {
            if why.is_none() {
                self.outbox.detach(id);
            }
            let _ = self.events.send(Event::InputEnded(why));
        }
    }

    fn hand_on(&self, frames: &mut Frames, id: u64) -> Result<(), String> {
        let now = Moment::now();
        while let Some(message) = frames.message::<ToAgent>().map_err(|error| error.to_string())? {
            if let ToAgent::Ping { at, received } = message {
                let wall_ns = wall_ns();
                self.outbox.reply(id, &FromAgent::Pong { ping: at, agent: now, wall_ns });
                self.outbox.acknowledge(id, received);
            }
            if self.outbox.is_current(id) {
                let _ = self.events.send(Event::Frame(message));
            }
        }
        Ok(())
    }
}

/// Ends when the connection has been replaced, or can't be written to.
fn write(mut output: UnixStream, id: u64, outbox: &Outbox) {
    while let Some(frame) = outbox.next(id) {
        if output.write_all(&frame).is_err() {
            return outbox.detach(id);
        }
    }
}
