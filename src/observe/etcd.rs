//! An etcd member's own word: its metrics, which it tells without TLS on the node's loopback.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::timeline::Event;

/// An answer that takes longer is none.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// All metrics are some 100 KB.
const MOST: usize = 4 << 20;

/// What a member says; nothing where it does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) answers: bool,
    has_leader: bool,
    is_leader: bool,
    leader_changes: u64,
}

impl Member {
    pub(super) fn event(&self, node: &str) -> Event {
        let Self { answers, has_leader, is_leader, leader_changes } = *self;
        Event::EtcdMember { node: node.to_owned(), answers, has_leader, is_leader, leader_changes }
    }

    /// Whether it answers, and knows a leader.
    pub(super) fn is_well(&self) -> bool {
        self.answers && self.has_leader
    }

    /// From the text of its metrics; `None` when they are not an etcd's.
    fn read(text: &str) -> Option<Self> {
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
            line.trim().parse::<f64>().ok()
        };
        Some(Self {
            answers: true,
            has_leader: number("etcd_server_has_leader")? > 0.0,
            is_leader: number("etcd_server_is_leader")? > 0.0,
            leader_changes: number("etcd_server_leader_changes_seen_total")? as u64,
        })
    }
}

pub(super) fn ask(address: SocketAddr) -> Member {
    get(address).ok().and_then(|text| Member::read(&text)).unwrap_or_default()
}

fn get(address: SocketAddr) -> std::io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0: the answer ends with its connection, and comes in one piece.
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
    while bytes.len() < MOST {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => break,
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const METRICS: &str = "HTTP/1.0 200 OK\r\n\r\n# TYPE etcd_server_has_leader gauge\netcd_server_has_leader 1\n\
        etcd_server_is_leader 0\netcd_server_leader_changes_seen_total 3\netcd_server_leader_changes_seen_total_x 9\n";

    fn answered(answer: &'static str) -> Member {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        });
        ask(address)
    }

    #[test]
    fn a_member_says_whether_it_leads() {
        assert_eq!(
            answered(METRICS),
            Member { answers: true, has_leader: true, is_leader: false, leader_changes: 3 }
        );
    }

    #[test]
    fn what_is_no_etcd_does_not_answer() {
        assert_eq!(answered("HTTP/1.0 404 Not Found\r\n\r\n"), Member::default());
        assert_eq!(answered(""), Member::default());
    }

    #[test]
    fn one_that_hangs_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let began = Instant::now();
        assert_eq!(ask(listener.local_addr().unwrap()), Member::default());
        let took = began.elapsed();
        assert!((PATIENCE / 2..PATIENCE * 4).contains(&took), "{took:?}");
    }
}
