//! Carries one attempt on as far as it goes without waiting.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::channel::{Channel, Link, Task};
use super::ports::Ports;
use super::protocol::{Answer, Protocol};
use super::socket::{TcpSocket, end_of, outcome_of};
use super::state::ProbeState;
use crate::resolver::{NameService, Step};
use crate::timeline::{Outcome, Phase};

/// An endless body must not keep the others waiting.
const READS_PER_TURN: usize = 16;

/// Why an attempt stopped for now, or for good.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Next,
    Wait,
    /// It could go on, after the others.
    Again,
    Done(Outcome),
}

/// What is needed to carry attempts of one probe on.
#[derive(Debug)]
pub(super) struct Driver<'a> {
    protocol: &'a dyn Protocol,
    /// The port to connect to, for names.
    port: u16,
    names: &'a NameService,
    ports: &'a Ports,
    buffer: &'a mut [u8],
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        probe: &'a ProbeState,
        names: &'a NameService,
        ports: &'a Ports,
        buffer: &'a mut [u8],
    ) -> Self {
        let names = probe.names.as_ref().unwrap_or(names);
        Self { protocol: &*probe.protocol, port: probe.port(), names, ports, buffer }
    }
}

impl Driver<'_> {
    /// Carries the channel's attempt on until it waits or ends. A channel without one waits.
    pub(super) fn drive(&mut self, channel: &mut Channel) -> Turn {
        let Channel { link, task: Some(task), registered, answer, before, .. } = channel else {
            return Turn::Wait;
        };
        loop {
            let turn = match link {
                Link::Lookup(lookup) => {
                    let step = lookup.ready(self.names);
                    self.resolved(step, link, task, registered)
                }
                Link::TcpSocket(socket) => {
                    let mut on = On { socket, task, answer, before: *before };
                    self.socket(&mut on, *registered).unwrap_or_else(|error| {
                        task.ended = end_of(&error);
                        blocked(&error, task.phase)
                    })
                }
            };
            if turn != Turn::Next {
                return turn;
            }
        }
    }

    /// Looks whether a name server has taken too long.
    pub(super) fn tick(&mut self, channel: &mut Channel, now: crate::timeline::Moment) -> Turn {
        let Channel { link, task: Some(task), registered, .. } = &mut *channel else {
            return Turn::Wait;
        };
        let Link::Lookup(lookup) = link else { return Turn::Wait };
        let step = lookup.tick(self.names, now);
        match self.resolved(step, link, task, registered) {
            Turn::Next => self.drive(channel),
            turn => turn,
        }
    }

    fn resolved(
        &mut self,
        step: Step,
        link: &mut Link,
        task: &mut Task,
        registered: &mut bool,
    ) -> Turn {
        match step {
            Step::Wait => return Turn::Wait,
            Step::Failed(outcome) => return Turn::Done(outcome),
            Step::Renewed => {
                *registered = false;
                return Turn::Wait;
            }
            Step::Found { ttl, .. } if self.protocol.lookup().is_some() => {
                task.valid_for = Some(Duration::from_secs(ttl.into()));
                return Turn::Done(Outcome::Ok);
            }
            Step::Found { addresses, .. } => match self.connect(addresses[0]) {
                Ok(socket) => *link = Link::TcpSocket(socket),
                Err(error) => {
                    task.enter(Phase::Connect);
                    return Turn::Done(outcome_of(&error, Phase::Connect));
                }
            },
        }
        *registered = false;
        task.enter(Phase::Connect);
        Turn::Next
    }

    fn connect(&self, address: IpAddr) -> io::Result<TcpSocket> {
        let address = SocketAddr::new(address, self.port);
        let mut socket = TcpSocket::new(address, self.ports)?;
        socket.connect(address)?;
        Ok(socket)
    }

    fn socket(&mut self, on: &mut On<'_>, registered: bool) -> io::Result<Turn> {
        match on.task.phase {
            Phase::Dns | Phase::Connect => self.connecting(on),
            Phase::Tls => {
                on.socket.handshake()?;
                Ok(self.ready(on.task))
            }
            Phase::Send => self.send(on, registered),
            Phase::FirstByte | Phase::Body => self.receive(on),
            // Only a canary has these.
            Phase::Accepted | Phase::Bound | Phase::Running | Phase::Observed => {
                Ok(Turn::Done(Outcome::Prober))
            }
        }
    }

    fn connecting(&mut self, on: &mut On<'_>) -> io::Result<Turn> {
        let On { socket, task, before, .. } = on;
        match (self.protocol.tls(), self.protocol.exchange()) {
            // On a near network the connection is open by now. To send is the cheapest way to find
            // out.
            (None, Some(exchange)) => {
                task.written = socket.write(&exchange.request(task.slot, *before))?;
                task.enter(Phase::Send);
                Ok(Turn::Next)
            }
            _ if !socket.connected()? => Ok(Turn::Wait),
            (Some(tls), _) => {
                task.enter(Phase::Tls);
                socket.start_tls(tls)?;
                Ok(Turn::Next)
            }
            (None, None) => Ok(Turn::Done(Outcome::Ok)),
        }
    }

    /// The connection is ready for an exchange; without one that is success.
    fn ready(&self, task: &mut Task) -> Turn {
        if self.protocol.exchange().is_none() {
            return Turn::Done(Outcome::Ok);
        }
        task.enter(Phase::Send);
        Turn::Next
    }

    fn send(&mut self, on: &mut On<'_>, registered: bool) -> io::Result<Turn> {
        let On { socket, task, before, .. } = on;
        let Some(exchange) = self.protocol.exchange() else {
            socket.check()?;
            return Ok(Turn::Done(Outcome::Ok));
        };
        let request = exchange.request(task.slot, *before);
        // TLS keeps 64 KiB, and takes no more before that is handed on.
        while task.written < request.len() {
            task.written += socket.write(&request[task.written..])?;
            socket.flush()?;
        }
        socket.flush()?;
        task.enter(Phase::FirstByte);
        // What has been sent just now is not answered yet. But what a known socket had to tell
        // before may have been reported already.
        Ok(if registered { Turn::Next } else { Turn::Wait })
    }

    fn receive(&mut self, on: &mut On<'_>) -> io::Result<Turn> {
        let On { socket, task, answer, .. } = on;
        for _ in 0..READS_PER_TURN {
            let length = socket.read(self.buffer)?;
            let answer = match (&mut **answer, self.protocol.exchange()) {
                (Some(answer), _) => answer,
                (none, Some(exchange)) => none.insert(exchange.answer()),
                (None, None) => return Ok(Turn::Done(Outcome::Prober)),
            };
            if length == 0 {
                let outcome = answer.close().ok_or(io::ErrorKind::UnexpectedEof)?;
                return Ok(Turn::Done(outcome));
            }
            let outcome = answer.push(&self.buffer[..length]);
            if task.phase == Phase::FirstByte && answer.has_begun() {
                task.enter(Phase::Body);
            }
            let Some(outcome) = outcome? else {
                reply(socket, answer)?;
                continue;
            };
            // The answer is complete, whatever happens to its connection.
            if answer.keeps_connection() {
                let _ = reply(socket, answer);
            }
            return Ok(Turn::Done(outcome));
        }
        Ok(Turn::Again)
    }
}

/// What an attempt on a connection has to do with.
struct On<'a> {
    socket: &'a mut TcpSocket,
    task: &'a mut Task,
    answer: &'a mut Option<Box<dyn Answer>>,
    before: u32,
}

/// Sends what an answer wants to be sent back, as far as that goes now.
fn reply(socket: &mut TcpSocket, answer: &mut Box<dyn Answer>) -> io::Result<()> {
    let Some(bytes) = answer.reply() else { return Ok(()) };
    match socket.write(bytes).and_then(|length| {
        bytes.drain(..length);
        socket.flush()
    }) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// Whether an idle connection can take a request: it is open, and the peer has said nothing that
/// ends it.
pub(super) fn is_usable(channel: &mut Channel, buffer: &mut [u8]) -> bool {
    let (Link::TcpSocket(socket), Some(answer)) = (&mut channel.link, &mut channel.answer) else {
        return false;
    };
    for _ in 0..READS_PER_TURN {
        match socket.read(buffer) {
            Ok(length @ 1..) if answer.idle(&buffer[..length]) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return reply(socket, answer).is_ok();
            }
            _ => return false,
        }
    }
    // It does not stop talking: the others must not wait for it.
    false
}

fn blocked(error: &io::Error, phase: Phase) -> Turn {
    match error.kind() {
        io::ErrorKind::WouldBlock => Turn::Wait,
        io::ErrorKind::Interrupted => Turn::Again,
        // macOS says this of a connection that is not open yet.
        io::ErrorKind::NotConnected if phase == Phase::Connect => Turn::Wait,
        _ => Turn::Done(outcome_of(error, phase)),
    }
}
