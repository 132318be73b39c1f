//! Carries one attempt on as far as it goes without waiting.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::channel::{Channel, Link, Task};
use super::ports::Ports;
use super::protocol::{Malformed, Protocol};
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
        let Channel { link, task: Some(task), registered, .. } = channel else { return Turn::Wait };
        loop {
            let turn = match link {
                Link::Lookup(lookup) => {
                    let step = lookup.ready(self.names);
                    self.resolved(step, link, task, registered)
                }
                Link::TcpSocket(socket) => {
                    self.socket(socket, task, *registered).unwrap_or_else(|error| {
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

    fn socket(
        &mut self,
        socket: &mut TcpSocket,
        task: &mut Task,
        registered: bool,
    ) -> io::Result<Turn> {
        match task.phase {
            Phase::Dns | Phase::Connect => self.connecting(socket, task),
            Phase::Tls => {
                socket.handshake()?;
                Ok(self.ready(task))
            }
            Phase::Send => self.send(socket, task, registered),
            Phase::FirstByte | Phase::Body => self.receive(socket, task),
            // Only a canary has these.
            Phase::Accepted | Phase::Bound | Phase::Running | Phase::Observed => {
                Ok(Turn::Done(Outcome::Prober))
            }
        }
    }

    fn connecting(&mut self, socket: &mut TcpSocket, task: &mut Task) -> io::Result<Turn> {
        match (self.protocol.tls(), self.protocol.exchange()) {
            // On a near network the connection is open by now. To send is the cheapest way to find
            // out.
            (None, Some(exchange)) => {
                task.written = socket.write(&exchange.request(task.slot))?;
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

    fn send(
        &mut self,
        socket: &mut TcpSocket,
        task: &mut Task,
        registered: bool,
    ) -> io::Result<Turn> {
        let Some(exchange) = self.protocol.exchange() else {
            socket.check()?;
            return Ok(Turn::Done(Outcome::Ok));
        };
        let request = exchange.request(task.slot);
        while task.written < request.len() {
            task.written += socket.write(&request[task.written..])?;
        }
        socket.flush()?;
        task.enter(Phase::FirstByte);
        // What has been sent just now is not answered yet. But what a known socket had to tell
        // before may have been reported already.
        Ok(if registered { Turn::Next } else { Turn::Wait })
    }

    fn receive(&mut self, socket: &mut TcpSocket, task: &mut Task) -> io::Result<Turn> {
        for _ in 0..READS_PER_TURN {
            let length = socket.read(self.buffer)?;
            if task.phase == Phase::FirstByte && length > 0 {
                task.enter(Phase::Body);
            }
            let answer = match (&mut task.answer, self.protocol.exchange()) {
                (Some(answer), _) => answer,
                (none, Some(exchange)) => none.insert(exchange.answer()),
                (None, None) => return Ok(Turn::Done(Outcome::Prober)),
            };
            let outcome = match length {
                0 => answer.close(),
                _ => answer
                    .push(&self.buffer[..length])
                    .map_err(|Malformed| io::ErrorKind::InvalidData)?,
            };
            match outcome {
                Some(outcome) => return Ok(Turn::Done(outcome)),
                None if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
        Ok(Turn::Again)
    }
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
