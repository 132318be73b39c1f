//! One name being resolved: candidates, address families and servers in turn, over a non-blocking
//! socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use hickory_proto::rr::RecordType;

use super::message::{self, Answer};
use super::names::NameService;
use crate::timeline::{Moment, Outcome, Phase};

/// A lookup in progress.
///
/// For each candidate name A is asked for, and AAAA where there is none. A server that fails or
/// stays silent is followed by the next. Nothing is cached: a client that is a new process each
/// time has no cache either.
#[derive(Debug)]
pub(crate) struct Lookup {
    /// What to wait on; another one after each change of server.
    pub socket: UdpSocket,
    candidates: Vec<String>,
    candidate: usize,
    record_type: RecordType,
    query: Vec<u8>,
    /// How many servers have been asked for this candidate; every server once is one attempt.
    asked: u32,
    asked_at: Moment,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    /// Wait for the socket, which is a new one.
    Renewed,
    /// Resolved, by an answer that has at least one address and holds for so many seconds.
    Found {
        addresses: Vec<IpAddr>,
        ttl: u32,
    },
    Failed(Outcome),
}

impl Lookup {
    /// Sends the first query. The id should not be easy to guess. Errors when there is no socket to
    /// be had.
    pub(crate) fn start(names: &NameService, name: &str, id: u16) -> io::Result<Self> {
        let mut lookup = Self {
            socket: open(names.servers[0])?,
            candidates: names.candidates(name),
            candidate: 0,
            record_type: RecordType::A,
            query: Vec::new(),
            asked: 0,
            asked_at: Moment::now(),
        };
        lookup.candidates.retain(|name| message::encode(0, name, RecordType::A).is_some());
        lookup.prepare(id);
        lookup.send();
        Ok(lookup)
    }

    pub(crate) fn ready(&mut self, names: &NameService) -> Step {
        if self.candidates.is_empty() {
            return Step::Failed(Outcome::Dns);
        }
        let mut packet = [0; 4096];
        loop {
            let answer = match self.socket.recv(&mut packet) {
                Ok(length) => message::decode(&packet[..length], &self.query, self.record_type),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Step::Wait,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nobody listens there.
                Err(_) => Some(Answer::Failure),
            };
            match answer {
                None => continue,
                Some(Answer::Addresses(addresses, ttl)) => return Step::Found { addresses, ttl },
                Some(Answer::Failure) => return self.next_server(names, Outcome::Dns),
                Some(Answer::NoData) if self.record_type == RecordType::A => {
                    self.record_type = RecordType::AAAA
                }
                Some(Answer::NoData | Answer::NoName) => {
                    self.record_type = RecordType::A;
                    self.candidate += 1;
                }
            }
            if self.candidate >= self.candidates.len() {
                return Step::Failed(Outcome::Dns);
            }
            self.asked = 0;
            self.prepare(self.id().wrapping_add(0x9e37));
            self.send();
        }
    }

    /// Looks whether the server has taken too long.
    pub(crate) fn tick(&mut self, names: &NameService, now: Moment) -> Step {
        if now.since(self.asked_at) < names.timeout {
            Step::Wait
        } else {
            self.next_server(names, Outcome::Timeout(Phase::Dns))
        }
    }

    fn next_server(&mut self, names: &NameService, otherwise: Outcome) -> Step {
        self.asked += 1;
        let servers = names.servers.len() as u32;
        if self.asked >= servers * names.attempts {
            return Step::Failed(otherwise);
        }
        match open(names.servers[(self.asked % servers) as usize]) {
            Ok(socket) => self.socket = socket,
            Err(_) => return Step::Failed(Outcome::Prober),
        }
        self.send();
        Step::Renewed
    }

    fn id(&self) -> u16 {
        self.query.get(..2).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]))
    }

    fn prepare(&mut self, id: u16) {
        let name = self.candidates.get(self.candidate);
        self.query =
            name.and_then(|name| message::encode(id, name, self.record_type)).unwrap_or_default();
    }

    /// A query that can't be sent is one that gets no answer.
    fn send(&mut self) {
        self.asked_at = Moment::now();
        let _ = self.socket.send(&self.query);
    }
}

fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolver::answer;
    use std::time::Duration;

    /// A server that answers with what `reply` makes of the name that is asked for; `None` is
    /// silence.
    fn server(
        reply: impl Fn(&str, bool) -> Option<(u8, Vec<IpAddr>)> + Send + 'static,
    ) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let (name, v6) = asked(&packet[12..length]);
                if let Some((code, addresses)) = reply(&name, v6) {
                    socket.send_to(&answer(&packet[..length], code, &addresses), from).unwrap();
                }
            }
        });
        address
    }

    fn asked(question: &[u8]) -> (String, bool) {
        let (mut name, mut at) = (Vec::new(), 0);
        while question[at] != 0 {
            let end = at + 1 + question[at] as usize;
            name.push(String::from_utf8(question[at + 1..end].to_vec()).unwrap());
            at = end;
        }
        (name.join("."), question[at + 2] == 28)
    }

    fn resolve(servers: &[SocketAddr], conf: &str, name: &str) -> Found {
        let mut names = NameService::parse(conf, "");
        names.servers = servers.to_vec();
        names.timeout = Duration::from_millis(50);
        let mut lookup = Lookup::start(&names, name, 77).unwrap();
        for _ in 0..2000 {
            let step = match lookup.ready(&names) {
                Step::Wait => lookup.tick(&names, Moment::now()),
                other => other,
            };
            match step {
                Step::Found { addresses, .. } => return Ok(addresses[0]),
                Step::Failed(outcome) => return Err(outcome),
                Step::Wait | Step::Renewed => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        panic!("no end");
    }

    type Found = Result<IpAddr, Outcome>;

    #[test]
    fn search_domains_are_tried_in_turn() {
        let web: IpAddr = "10.0.0.1".parse().unwrap();
        let server =
            server(move |name, _| Some(if name == "web.b" { (0, vec![web]) } else { (3, vec![]) }));
        assert_eq!(resolve(&[server], "search a b\noptions ndots:5\n", "web"), Ok(web));
        assert_eq!(resolve(&[server], "search a\n", "web"), Err(Outcome::Dns));
    }

    #[test]
    fn a_name_with_only_an_ipv6_address_is_found() {
        let web: IpAddr = "fd00::7".parse().unwrap();
        let server = server(move |_, v6| Some((0, if v6 { vec![web] } else { vec![] })));
        assert_eq!(resolve(&[server], "", "web"), Ok(web));
    }

    #[test]
    fn a_failing_or_silent_server_is_followed_by_the_next() {
        let web: IpAddr = "10.0.0.1".parse().unwrap();
        let silent = server(|_, _| None);
        let failing = server(|_, _| Some((2, vec![])));
        let good = server(move |_, _| Some((0, vec![web])));
        assert_eq!(resolve(&[silent, failing, good], "", "web"), Ok(web));
        assert_eq!(resolve(&[silent], "", "web"), Err(Outcome::Timeout(Phase::Dns)));
        assert_eq!(resolve(&[failing], "", "web"), Err(Outcome::Dns));
    }

    #[test]
    fn nobody_there_and_no_name_are_failures() {
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(resolve(&[gone], "", "web"), Err(Outcome::Dns));
        assert_eq!(resolve(&[gone], "", "a..b"), Err(Outcome::Dns));
    }
}
