//! Which addresses a cluster has: a block of 127.0.0.0/8 that is its own for as long as it lives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use crate::embedded::EmbeddedError;

/// The second number of the addresses that may be taken: 127.0 is everybody's, and some systems use
/// 127.1 and what is near.
const BLOCKS: std::ops::RangeInclusive<u8> = 64..=250;
/// Where a block's owner listens. The second is for a machine on which somebody listens on the
/// first on every address.
const CLAIM_PORTS: [u16; 2] = [26_443, 36_443];
/// As many nodes as a block has room for.
pub(crate) const MOST_NODES: usize = 100;
/// Pods of a node, one after the other: 127.b.(1+node).2 to 254.
const PODS: std::ops::RangeInclusive<u8> = 2..=254;
const SERVICES: u8 = 128;
/// What is added to a port that can't be listened on: 80 becomes 8080, 443 becomes 8443.
const DETOURS: [u16; 4] = [8_000, 10_000, 20_000, 30_000];
/// Where none of those can be had.
const LAST_RESORT: std::ops::RangeInclusive<u16> = 20_000..=65_535;

/// 127.b.0.0/16. Another cluster on this machine, of whatever process, gets another one.
#[derive(Debug)]
pub(crate) struct Block {
    second: u8,
    /// Held, and never accepted from: that it can't be bound twice is the claim.
    _claim: TcpListener,
}

impl Block {
    /// Takes a free block. Errors where the system has no addresses but 127.0.0.1 (macOS), and when
    /// all are taken.
    pub(crate) fn claim() -> Result<Self, EmbeddedError> {
        for port in CLAIM_PORTS {
            for second in BLOCKS {
                match TcpListener::bind((Ipv4Addr::new(127, second, 255, 254), port)) {
                    Ok(claim) => return Ok(Self { second, _claim: claim }),
                    Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                    Err(error) => {
                        return Err(EmbeddedError::NoAddresses { why: error.to_string() });
                    }
                }
            }
        }
        Err(EmbeddedError::AddressesTaken { ports: CLAIM_PORTS })
    }

    fn at(&self, third: u8, fourth: u8) -> IpAddr {
        Ipv4Addr::new(127, self.second, third, fourth).into()
    }

    pub(crate) fn api_server(&self) -> IpAddr {
        self.at(0, 1)
    }

    /// Where the thread that serves all of this answers whatever fails in the model.
    pub(crate) fn control(&self) -> IpAddr {
        self.at(0, 254)
    }

    /// A node's own address. `number` is below [`MOST_NODES`].
    pub(crate) fn node(&self, number: usize) -> IpAddr {
        self.at(0, 2 + number as u8)
    }

    /// The addresses of a node's pods, as the Node's `podCIDR`.
    pub(crate) fn pod_cidr(&self, node: usize) -> String {
        format!("127.{}.{}.0/24", self.second, 1 + node)
    }

    /// The address for the pod of a node that had `count` before it: the next that is not `taken`.
    /// `None`: all are.
    pub(crate) fn next_pod(
        &self,
        node: usize,
        count: usize,
        taken: &BTreeSet<IpAddr>,
    ) -> Option<IpAddr> {
        (count..count + PODS.len())
            .map(|count| self.pod(node, count))
            .find(|address| !taken.contains(address))
    }

    /// The address of the `count`-th pod of a node. After 253 they come again.
    fn pod(&self, node: usize, count: usize) -> IpAddr {
        self.at(1 + node as u8, PODS.start() + (count % PODS.len()) as u8)
    }

    /// The ClusterIP of the `count`-th Service, from 0 (which is the API server's own).
    pub(crate) fn service(&self, count: usize) -> IpAddr {
        let count = count % (usize::from(254 - SERVICES) * 250);
        self.at(SERVICES + (count / 250) as u8, 1 + (count % 250) as u8)
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports { probe: self.at(255, 253), known: Arc::default() }
    }
}

/// Which port is really listened on where one is asked for: who is not root can't listen below
/// 1024, and another program may listen on a port on every address. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    probe: IpAddr,
    known: Arc<Mutex<BTreeMap<u16, bool>>>,
}

impl Ports {
    /// For a port that is wanted at an address, beside all that are wanted there: the port itself
    /// where it can be had, else one that is easy to recognise: 8080 for 80. The same each time,
    /// and never the same for two.
    pub(crate) fn reachable(&self, wanted: u16, all: &[u16]) -> u16 {
        let (own, others): (BTreeSet<u16>, BTreeSet<u16>) =
            all.iter().partition(|port| self.is_free(**port));
        let mut given: BTreeMap<u16, u16> = own.into_iter().map(|port| (port, port)).collect();
        for port in others.into_iter().chain([wanted]) {
            if !given.contains_key(&port) {
                given.insert(port, self.instead_of(port, &given));
            }
        }
        given[&wanted]
    }

    /// What can be had for a port where some are given away. Where nothing can be had it is the
    /// port itself, which then stays closed.
    fn instead_of(&self, port: u16, given: &BTreeMap<u16, u16>) -> u16 {
        let detours = DETOURS.iter().filter_map(|more| port.checked_add(*more)).chain(LAST_RESORT);
        let mut candidates = std::iter::once(port).chain(detours);
        candidates
            .find(|port| !given.values().any(|taken| taken == port) && self.is_free(*port))
            .unwrap_or(port)
    }

    fn is_free(&self, port: u16) -> bool {
        let free = || port != 0 && TcpListener::bind(SocketAddr::new(self.probe, port)).is_ok();
        *self.known.lock().expect("no holder panics").entry(port).or_insert_with(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clusters_have_two_blocks_and_a_dead_ones_is_free_again() {
        let (one, two) = (Block::claim().unwrap(), Block::claim().unwrap());
        assert_ne!(one.second, two.second);
        let claim = SocketAddr::new(one.at(255, 254), one._claim.local_addr().unwrap().port());
        assert!(TcpListener::bind(claim).is_err(), "it is held");
        drop(one);
        // Others on this machine may take it for a while, as short as a test is.
        let free = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            TcpListener::bind(claim).is_ok()
        });
        assert!(free);
    }

    #[test]
    fn no_two_things_have_one_address() {
        let block = Block::claim().unwrap();
        let mut all = vec![block.api_server(), block.control()];
        all.extend((0..MOST_NODES).map(|node| block.node(node)));
        all.extend(
            (0..MOST_NODES)
                .flat_map(|node| (0..253).map(move |count| (node, count)))
                .map(|(node, count)| block.pod(node, count)),
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
        let reachable = ports.reachable(port, &[port]);
        assert_ne!(reachable, port);
        drop(taken);
        assert_eq!(ports.clone().reachable(port, &[port]), reachable);
    }

    #[test]
    fn no_two_ports_of_an_address_are_given_one() {
        let block = Block::claim().unwrap();
        let taken = TcpListener::bind((block.at(255, 253), 19_080)).unwrap();
        let ports = block.ports();
        assert_eq!(ports.reachable(19_080, &[19_080]), 27_080);
        let all = [19_080, 27_080];
        let given = all.map(|port| ports.reachable(port, &all));
        assert_eq!(given, [29_080, 27_080], "who can have its own has it");
        assert_eq!(all.map(|port| ports.reachable(port, &[27_080, 19_080])), given);
        // One that nobody declared does not get what is another's.
        assert_eq!(ports.reachable(27_080, &[19_080]), 35_080);
        drop(taken);
    }

    #[test]
    fn a_living_pods_address_is_not_given_again() {
        let block = Block::claim().unwrap();
        let mut taken = BTreeSet::new();
        for count in 0..PODS.len() {
            assert!(taken.insert(block.next_pod(0, count, &taken).expect("one is left")));
        }
        assert_eq!(block.next_pod(0, PODS.len(), &taken), None);
        let gone = block.pod(0, 7);
        taken.remove(&gone);
        assert_eq!(block.next_pod(0, PODS.len(), &taken), Some(gone));
        assert_eq!(block.next_pod(1, 0, &taken), Some(block.pod(1, 0)));
    }
}
