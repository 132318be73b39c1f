//! An address that stays ours while nobody listens on it.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::embedded::EmbeddedError;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// A port on loopback, kept by a socket that is bound and does not listen: connections are refused,
/// nobody else gets it, and a listener can be had again and again.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    _kept: Socket,
}

impl Port {
    /// Takes an address; port 0 is one of the system's choice. Errors when it is taken or is not on
    /// loopback.
    pub(super) fn take(address: SocketAddr) -> Result<Self, EmbeddedError> {
        if !address.ip().is_loopback() {
            return Err(EmbeddedError::NotLoopback { address });
        }
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => EmbeddedError::PortTaken { address },
            _ => EmbeddedError::Listen { address, why: error.to_string() },
        };
        // Two that share a port share its connections: whether another cluster of ours is there,
        // only a socket that does not share sees.
        let alone = bound(address, Use::Test).and_then(|socket| socket.local_addr());
        let alone = alone.map_err(refused)?;
        let address = alone.as_socket().unwrap_or(address);
        let kept = bound(address, Use::Keep).map_err(refused)?;
        Ok(Self { address, _kept: kept })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Listens. Connections are refused again as soon as the listener is dropped.
    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        let socket = bound(self.address, Use::Listen)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }
}

/// What a socket is bound for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// To see whether the port is free: shared with nobody.
    Test,
    Keep,
    Listen,
}

/// A socket at an address. `SO_REUSEADDR` looks past connections of before that the kernel has not
/// forgotten yet, and past sockets that have it, too, and do not listen (the one that keeps the
/// port has not, so as to be seen).
fn bound(address: SocketAddr, to: Use) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(to != Use::Keep)?;
    socket.set_reuse_port(to != Use::Test)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    #[tokio::test]
    async fn it_refuses_while_nobody_listens_and_stays_ours() {
        let port = Port::take(any()).unwrap();
        for _ in 0..3 {
            assert_eq!(
                TcpStream::connect(port.address()).unwrap_err().kind(),
                io::ErrorKind::ConnectionRefused
            );
            assert!(matches!(Port::take(port.address()), Err(EmbeddedError::PortTaken { .. })));
            let listener = port.listen().unwrap();
            assert!(TcpStream::connect(port.address()).is_ok());
            assert!(matches!(Port::take(port.address()), Err(EmbeddedError::PortTaken { .. })));
            drop(listener);
        }
    }

    #[tokio::test]
    async fn a_port_of_another_program_is_taken() {
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = Port::take(other.local_addr().unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("the port is taken"), "{error}");
        let error = Port::take("192.0.2.1:80".parse().unwrap()).unwrap_err();
        assert_eq!(error.hint().unwrap(), "use 127.0.0.1:80");
    }
}
