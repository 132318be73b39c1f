//! The local ports of new connections: each is used again as late as possible.
//!
//! Linux tracks a connection to a Service's address for two minutes after a first packet that was
//! never answered (`nf_conntrack_tcp_timeout_syn_sent`), together with the backend that kube-proxy
//! chose for it. A later connection from the same port is sent to that same backend, dead or not,
//! long after it has left the Service. The kernel, left to choose, comes back to a port within
//! hundreds of connections (seen on 6.18: ten seconds at 50/s), and one prober that stands for many
//! clients would measure its own past. So the prober walks through all ephemeral ports: at 200
//! connections a second it is back after more than two minutes.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use socket2::Socket;

/// Where the system keeps its range; each network namespace has its own.
const RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// IANA's range of ephemeral ports, where the system tells none.
const IANA: RangeInclusive<u16> = 49_152..=65_535;
/// Ports in use by others are passed over, this many at most; then the kernel chooses.
const TRIES: usize = 16;

/// Walks through the ephemeral ports.
#[derive(Debug)]
pub(super) struct Ports {
    range: RangeInclusive<u16>,
    next: Cell<u16>,
    source: Option<IpAddr>,
}

impl Ports {
    /// Those of the calling thread's network, from a place that `seed` decides: two probers on one
    /// node don't keep step.
    pub(super) fn of_this_network(seed: u64) -> Self {
        let text = std::fs::read_to_string(RANGE_FILE).unwrap_or_default();
        Self::new(range_of(&text).unwrap_or(IANA), seed)
    }

    fn new(range: RangeInclusive<u16>, seed: u64) -> Self {
        let count = u64::from(range.end() - range.start()) + 1;
        let first = range.start() + (seed % count) as u16;
        Self { range, next: Cell::new(first), source: None }
    }

    /// What is asked on loopback is asked from this address of loopback: the embedded cluster tells
    /// its nodes apart by it.
    pub(super) fn from(self, source: Option<IpAddr>) -> Self {
        Self { source, ..self }
    }

    /// Gives a socket the next free port for a connection to `peer`. Where none is to be had the
    /// kernel will choose.
    pub(super) fn bind(&self, socket: &Socket, peer: SocketAddr) {
        for _ in 0..TRIES {
            let port = self.take();
            // From and to the same port of one machine a socket would connect to itself.
            if port != peer.port()
                && socket.bind(&SocketAddr::new(self.source_for(peer), port).into()).is_ok()
            {
                return;
            }
        }
    }

    fn source_for(&self, peer: SocketAddr) -> IpAddr {
        let same_kind =
            |source: &IpAddr| peer.ip().is_loopback() && source.is_ipv4() == peer.is_ipv4();
        self.source.filter(same_kind).unwrap_or_else(|| unspecified(peer))
    }

    fn take(&self) -> u16 {
        let port = self.next.get();
        self.next.set(if port >= *self.range.end() { *self.range.start() } else { port + 1 });
        port
    }
}

fn range_of(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (Some(Ok(low)), Some(Ok(high))) = (numbers.next(), numbers.next()) else { return None };
    (low <= high).then_some(low..=high)
}

fn unspecified(peer: SocketAddr) -> IpAddr {
    match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    #[test]
    fn every_port_comes_once_before_one_comes_twice() {
        let ports = Ports::new(40_000..=40_099, 77);
        let round: BTreeSet<u16> = (0..100).map(|_| ports.take()).collect();
        assert_eq!(round.len(), 100);
        assert_eq!((round.first(), round.last()), (Some(&40_000), Some(&40_099)));
        assert_eq!(ports.take(), 40_077, "then from the beginning");
    }

    #[test]
    fn the_whole_range_of_ports_is_one() {
        let ports = Ports::new(0..=65_535, 65_535);
        assert_eq!([ports.take(), ports.take()], [65_535, 0]);
    }

    #[test]
    fn the_systems_range_is_read() {
        assert_eq!(range_of("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(range_of(""), None);
        assert_eq!(range_of("9 1"), None);
    }

    #[test]
    fn an_address_of_loopback_is_the_source_on_loopback_alone() {
        let ports = Ports::new(40_000..=40_099, 0).from(Some([127, 64, 0, 2].into()));
        assert_eq!(ports.source_for(([127, 64, 1, 2], 80).into()), IpAddr::from([127, 64, 0, 2]));
        assert_eq!(ports.source_for(([192, 0, 2, 1], 80).into()), IpAddr::from([0, 0, 0, 0]));
        assert!(ports.source_for("[::1]:80".parse().unwrap()).is_ipv6());
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let taken = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let Some(after) = port.checked_add(20) else { return };
        let ports = Ports::new(port..=after, 0);
        let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        ports.bind(&socket, ([127, 0, 0, 1], 1).into());
        let chosen = socket.local_addr().unwrap().as_socket().unwrap().port();
        assert!(chosen > port && chosen <= after, "{chosen} for {port}");
    }
}
