//! Which addresses a cluster has: a block of 127.0.0.0/8 that is its own for as long as it lives.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use crate::embedded::EmbeddedError;

/// The second number of the addresses that may be taken: 127.0 is everybody's, and some systems use 127.1 and what is near.
const BLOCKS: std::ops::RangeInclusive<u8> = 64..=250;
/// Where a block's owner listens. The second is for a machine on which somebody listens on the first on every address.
const CLAIM_PORTS: [u16; 2] = [26_443, 36_443];
/// As many nodes as a block has room for.
pub const MOST_NODES: usize = 100;
/// Pods of a node, one after the other: 127.b.(1+node).2 to 254.
const PODS: std::ops::RangeInclusive<u8> = 2..=254;
/// The first of the subnets of Services.
const SERVICES: u8 = 128;
/// What is added to a port that can't be listened on: 80 becomes 8080, 443 becomes 8443.
const DETOURS: [u16; 4] = [8_000, 10_000, 20_000, 30_000];

/// 127.b.0.0/16. Another cluster on this machine, of whatever process, gets another one.
#[derive(Debug)]
pub struct Block {
    second: u8,
    /// Held, and never accepted from: that it can't be bound twice is the claim.
    _claim: TcpListener,
}

impl Block {
    /// Takes a free block. Errors where the system has no addresses but 127.0.0.1 (macOS), and when all are taken.
    pub fn claim() -> Result<Self, EmbeddedError> {
        for port in CLAIM_PORTS {
            for second in BLOCKS {
                match TcpListener::bind((Ipv4Addr::new(127, second, 255, 254), port)) {
                    Ok(claim) => return Ok(Self { second, _claim: claim }),
                    Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                    Err(error) => return Err(EmbeddedError::NoAddresses { why: error.to_string() }),
                }
            }
        }
        Err(EmbeddedError::NoAddresses { why: "all of them are in use".into() })
    }

    fn at(&self, third: u8, fourth: u8) -> IpAddr {
        Ipv4Addr::new(127, self.second, third, fourth).into()
    }

    /// Where the API server listens.
    pub fn api_server(&self) -> IpAddr {
        self.at(0, 1)
    }

    /// A node's own address. `number` is below [`MOST_NODES`].
    pub fn node(&self, number: usize) -> IpAddr {
        self.at(0, 2 + number as u8)
    }

    /// The addresses of a node's pods, as the Node's `podCIDR`.
    pub fn pod_cidr(&self, node: usize) -> String {
        format!("127.{}.{}.0/24", self.second, 1 + node)
    }

    /// The address of the `count`-th pod of a node. After 253 they come again.
    pub fn pod(&self, node: usize, count: usize) -> IpAddr {
        self.at(1 + node as u8, PODS.start() + (count % PODS.len()) as u8)
    }

    /// The ClusterIP of the `count`-th Service, from 0 (which is the API server's own).
    pub fn service(&self, count: usize) -> IpAddr {
        let count = count % (usize::from(254 - SERVICES) * 250);
        self.at(SERVICES + (count / 250) as u8, 1 + (count % 250) as u8)
    }

    /// The ports of this block.
    pub fn ports(&self) -> Ports {
        Ports { probe: self.at(255, 253), known: Arc::default() }
    }
}

/// Which port is really listened on where one is asked for: who is not root can't listen below 1024, and another program may listen on
/// a port on every address. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ports {
    probe: IpAddr,
    known: Arc<Mutex<BTreeMap<u16, u16>>>,
}

impl Ports {
    /// The port itself where it can be had, else one that is easily told from it: 8080 for 80. The same each time.
    pub fn reachable(&self, wanted: u16) -> u16 {
        let mut known = self.known.lock().expect("no holder panics");
        *known.entry(wanted).or_insert_with(|| {
            let detours = DETOURS.iter().filter_map(|more| wanted.checked_add(*more));
            let mut candidates = std::iter::once(wanted).chain(detours);
            candidates.find(|port| *port != 0 && self.is_free(*port)).unwrap_or(wanted)
        })
    }

    fn is_free(&self, port: u16) -> bool {
        TcpListener::bind(SocketAddr::new(self.probe, port)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_have_two_blocks_and_a_dead_ones_is_free_again() {
        let (one, two) = (Block::claim().unwrap(), Block::claim().unwrap());
        assert_ne!(one.second, two.second);
        let second = one.second;
        drop(one);
        let third = Block::claim().unwrap();
        // Tests beside this one may have taken it.
        assert!(third.second <= second || third.second != two.second);
    }

    #[test]
    fn no_two_things_have_one_address() {
        let block = Block::claim().unwrap();
        let mut all = vec![block.api_server()];
        all.extend((0..MOST_NODES).map(|node| block.node(node)));
        all.extend(
            (0..MOST_NODES).flat_map(|node| (0..253).map(move |count| (node, count))).map(|(node, count)| block.pod(node, count)),
        );
        all.extend((0..1000).map(|count| block.service(count)));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(!all.contains(&block.at(255, 253)) && !all.contains(&block.at(255, 254)));
    }

    #[test]
    fn a_port_in_use_is_gone_around_and_the_way_stays_the_same() {
        let block = Block::claim().unwrap();
        let taken = TcpListener::bind((block.at(255, 253), 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let ports = block.ports();
        let reachable = ports.reachable(port);
        assert_ne!(reachable, port);
        drop(taken);
        assert_eq!(ports.clone().reachable(port), reachable);
    }
}
