//! A name resolved as the system does it, for who does not time it.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::lookup::{Lookup, Step};
use super::names::NameService;
use crate::timeline::{Moment, Outcome};

/// Between two looks whether a server has taken too long.
const TICK: Duration = Duration::from_millis(100);

/// All addresses of a name: by the system's hosts file, or of the first name server that answers.
pub(crate) async fn resolve(names: &NameService, name: &str) -> io::Result<Vec<IpAddr>> {
    if let Some(address) = names.known(name) {
        return Ok(vec![address]);
    }
    let id = RandomState::new().hash_one(name) as u16;
    let mut lookup = Lookup::start(names, name, id)?;
    loop {
        let step = match lookup.ready(names) {
            Step::Wait => {
                let socket = UdpSocket::from_std(lookup.socket.try_clone()?)?;
                let _ = timeout(TICK, socket.readable()).await;
                lookup.tick(names, Moment::now())
            }
            other => other,
        };
        match step {
            Step::Wait | Step::Renewed => {}
            Step::Found { addresses, .. } => return Ok(addresses),
            Step::Failed(outcome) => return Err(failure(outcome)),
        }
    }
}

fn failure(outcome: Outcome) -> io::Error {
    match outcome {
        Outcome::Timeout(_) => io::Error::new(io::ErrorKind::TimedOut, "no name server answered"),
        _ => io::Error::new(io::ErrorKind::NotFound, "the name servers have no address for it"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::super::answer;
    use super::*;

    /// A server that answers one query with these addresses.
    fn server(addresses: &[IpAddr]) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (address, addresses) = (socket.local_addr().unwrap(), addresses.to_vec());
        std::thread::spawn(move || {
            let mut packet = [0; 512];
            let (length, from) = socket.recv_from(&mut packet).unwrap();
            socket.send_to(&answer(&packet[..length], 0, &addresses), from).unwrap();
        });
        address
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_are_found_behind_a_server_that_is_gone() {
        let wanted: Vec<IpAddr> = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap()).into();
        let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut names = NameService::of_server(gone);
        names.servers.push(server(&wanted));
        assert_eq!(resolve(&names, "api.example").await.unwrap(), wanted);
        let mut names = NameService::of_server(gone);
        names.attempts = 1;
        let error = resolve(&names, "api.example").await.unwrap_err();
        assert_eq!(error.to_string(), "the name servers have no address for it");
        let names = NameService::parse("", "192.0.2.7 api.example\n");
        assert_eq!(resolve(&names, "API.example").await.unwrap(), wanted_of("192.0.2.7"));
    }

    fn wanted_of(address: &str) -> Vec<IpAddr> {
        vec![address.parse().unwrap()]
    }
}
