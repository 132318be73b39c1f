//! Carries one attempt on as far as it goes without waiting.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::channel::{Channel, Link, Task};
use super::http::{Progress, Request};
use super::lookup::Step;
use super::names::NameService;
use super::ports::Ports;
use super::socket::{TcpSocket, outcome_of};
use super::spec::Question;
use super::tls::Tls;
use crate::timeline::{Outcome, Phase};

/// An endless body must not keep the others waiting.
const READS_PER_TURN: usize = 16;

/// What a probe asks, prepared.
#[derive(Debug)]
pub(super) enum Ask {
    /// A connection.
    Tcp,
    /// A name's address; the name with the dot at its end, so that no search domain is tried.
    Dns(String),
    /// An HTTP request.
    Http {
        /// The request's bytes.
        request: Request,
        /// The response header that names the back end.
        backend_header: String,
        /// The lowest and the highest status that counts as success.
        success: (u16, u16),
        /// Present when TLS is spoken.
        tls: Option<Tls>,
    },
}

impl Ask {
    /// Prepares a question. Errors when it can't be asked.
    pub(super) fn new(question: &Question, reused: bool) -> Result<Self, String> {
        let question = match question {
            Question::Tcp => return Ok(Ask::Tcp),
            Question::Dns(question) => {
                return Ok(Ask::Dns(format!("{}.", question.name.trim_end_matches('.'))));
            }
            Question::Http(question) => question,
        };
        Ok(Ask::Http {
            request: Request::new(question, reused),
            backend_header: question.backend_header.clone(),
            success: question.success,
            tls: question.tls.as_ref().map(Tls::new).transpose()?,
        })
    }
}

/// Why an attempt stopped for now, or for good.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The next phase has begun.
    Next,
    /// It waits for its socket.
    Wait,
    /// It could go on, after the others.
    Again,
    /// It has ended.
    Done(Outcome),
}

/// What is needed to carry attempts of one probe on.
#[derive(Debug)]
pub(super) struct Driver<'a> {
    /// What is asked.
    pub ask: &'a Ask,
    /// The port, for names.
    pub port: u16,
    /// How names are resolved.
    pub names: &'a NameService,
    /// The local ports of new connections.
    pub ports: &'a Ports,
    /// Where answers are read to.
    pub buffer: &'a mut [u8],
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
                Link::TcpSocket(socket) => self
                    .socket(socket, task, *registered)
                    .unwrap_or_else(|error| blocked(&error, task.phase)),
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
            Step::Found(_, ttl) if matches!(self.ask, Ask::Dns(_)) => {
                task.holds = Some(Duration::from_secs(ttl.into()));
                return Turn::Done(Outcome::Ok);
            }
            Step::Found(address, _) => match self.connect(address) {
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
                task.enter(Phase::Send);
                Ok(Turn::Next)
            }
            Phase::Send => self.send(socket, task, registered),
            Phase::FirstByte | Phase::Body => self.receive(socket, task),
            // No prober's.
            Phase::Accepted | Phase::Bound | Phase::Running | Phase::Observed => {
                Ok(Turn::Done(Outcome::Prober))
            }
        }
    }

    fn connecting(&mut self, socket: &mut TcpSocket, task: &mut Task) -> io::Result<Turn> {
        match self.ask {
            // On a near network the connection is open by now. To send is the cheapest way to find out.
            Ask::Http { request, tls: None, .. } => {
                task.written = socket.write(&request.of(task.slot))?;
                task.enter(Phase::Send);
            }
            Ask::Http { tls: Some(tls), .. } if socket.connected()? => {
                task.enter(Phase::Tls);
                socket.start_tls(tls)?;
            }
            Ask::Tcp if socket.connected()? => return Ok(Turn::Done(Outcome::Ok)),
            _ => return Ok(Turn::Wait),
        }
        Ok(Turn::Next)
    }

    fn send(
        &mut self,
        socket: &mut TcpSocket,
        task: &mut Task,
        registered: bool,
    ) -> io::Result<Turn> {
        let Ask::Http { request, .. } = self.ask else {
            socket.check()?;
            return Ok(Turn::Done(Outcome::Ok));
        };
        let request = request.of(task.slot);
        while task.written < request.len() {
            task.written += socket.write(&request[task.written..])?;
        }
        socket.flush()?;
        task.enter(Phase::FirstByte);
        // What has been sent just now is not answered yet. But what a known socket had to tell before may have been told already.
        Ok(if registered { Turn::Next } else { Turn::Wait })
    }

    fn receive(&mut self, socket: &mut TcpSocket, task: &mut Task) -> io::Result<Turn> {
        let Ask::Http { backend_header, success, .. } = self.ask else {
            return Ok(Turn::Done(Outcome::Prober));
        };
        for _ in 0..READS_PER_TURN {
            let length = socket.read(self.buffer)?;
            if task.phase == Phase::FirstByte && length > 0 {
                task.enter(Phase::Body);
            }
            let progress = match length {
                0 => task.answer.close(),
                _ => task
                    .answer
                    .push(backend_header, &self.buffer[..length])
                    .map_err(|_| io::ErrorKind::InvalidData)?,
            };
            match (progress, task.answer.status) {
                (Progress::Done, Some(status)) => return Ok(Turn::Done(class(status, *success))),
                _ if length == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
        Ok(Turn::Again)
    }
}

fn class(status: u16, (from, to): (u16, u16)) -> Outcome {
    if (from..=to).contains(&status) { Outcome::Ok } else { Outcome::Status(status) }
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
