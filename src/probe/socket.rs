//! One TCP connection, with or without TLS, that never blocks and leaves nothing behind when it is
//! dropped.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::ports::Ports;
use super::tls::{self, Tls};
use crate::timeline::attempts::ConnectionEnd;
use crate::timeline::{Outcome, Phase};

/// A connection.
///
/// It is closed with a reset (linger 0): a port that waits out TIME_WAIT for a minute would be
/// missed at 1000 connections a second, and an answer that nobody waits for any more is not sent
/// again and again.
#[derive(Debug)]
pub(super) struct TcpSocket {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl TcpSocket {
    /// Makes a socket for an address, with a port of its own. Nothing is sent yet.
    pub(super) fn new(address: SocketAddr, ports: &Ports) -> io::Result<Self> {
        let socket = nonblocking(Domain::for_address(address))?;
        socket.set_linger(Some(Duration::ZERO))?;
        ports.bind(&socket, address);
        Ok(Self { stream: socket.into(), tls: None })
    }

    /// Sends the first packet.
    pub(super) fn connect(&mut self, address: SocketAddr) -> io::Result<()> {
        match socket2::SockRef::from(&self.stream).connect(&address.into()) {
            Err(error) if !in_progress(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// For a connection that is kept: small packets go immediately, and a dead peer is noticed by
    /// the kernel in seconds.
    pub(super) fn prepare_to_keep(&self, patience: Duration) {
        let _ = self.stream.set_nodelay(true);
        let second = Duration::from_secs(1);
        let keepalive = TcpKeepalive::new().with_time(second).with_interval(second);
        let _ = socket2::SockRef::from(&self.stream).set_tcp_keepalive(&keepalive);
        #[cfg(target_os = "linux")]
        let _ =
            socket2::SockRef::from(&self.stream).set_tcp_user_timeout(Some(patience.max(second)));
        #[cfg(not(target_os = "linux"))]
        let _ = patience;
    }

    /// Whether the connection is open. An error is why it can't be.
    pub(super) fn connected(&self) -> io::Result<bool> {
        match self.stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(_) => self.stream.take_error()?.map_or(Ok(false), Err),
        }
    }

    pub(super) fn start_tls(&mut self, tls: &Tls) -> io::Result<()> {
        let _ = self.stream.set_nodelay(true);
        self.tls = Some(Box::new(tls.connect().map_err(invalid)?));
        Ok(())
    }

    /// Goes on with the handshake: true when it is done, `WouldBlock` when the peer must say more.
    pub(super) fn handshake(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(true) };
        loop {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
            if !tls.is_handshaking() {
                return Ok(true);
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Err(error) = tls.process_new_packets() {
                // The peer learns why.
                let _ = tls.write_tls(&mut self.stream);
                return Err(invalid(error));
            }
        }
    }

    /// Hands bytes to the kernel (or to TLS, which may keep some: see [`Self::flush`]).
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.stream.write(bytes),
            Some(tls) => tls.writer().write(bytes),
        }
    }

    /// Hands the kernel what TLS has kept; `WouldBlock` when it can't take all of it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.stream)?;
            }
        }
        Ok(())
    }

    /// Reads what has arrived; 0 at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            tls.read_tls(&mut self.stream)?;
            tls.process_new_packets().map_err(invalid)?;
        }
    }

    /// Whether an idle connection can take a request: open, and the peer has sent nothing.
    pub(super) fn check(&mut self) -> io::Result<()> {
        let mut byte = [0];
        let seen =
            if self.tls.is_some() { self.read(&mut byte) } else { self.stream.peek(&mut byte) };
        match seen {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn nonblocking(domain: Domain) -> io::Result<Socket> {
    #[cfg(target_os = "linux")]
    return Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP));
    #[cfg(not(target_os = "linux"))]
    {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

fn in_progress(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::INPROGRESS | Errno::AGAIN | Errno::INTR))
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

pub(super) fn outcome_of(error: &io::Error, phase: Phase) -> Outcome {
    match Errno::from_io_error(error) {
        Some(Errno::CONNREFUSED) => Outcome::Refused,
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE | Errno::NOTCONN) => {
            Outcome::Reset(phase)
        }
        // A packet filter's REJECT comes as one of these; PERM is one on the prober's own side of
        // the network.
        Some(
            Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::ACCESS
            | Errno::PERM,
        ) => Outcome::Unreachable,
        Some(Errno::TIMEDOUT) => Outcome::Timeout(phase),
        Some(_) => Outcome::Prober,
        None if error.kind() == io::ErrorKind::InvalidData && phase == Phase::Tls => {
            Outcome::Tls(tls::cause_of(error))
        }
        None if error.kind() == io::ErrorKind::InvalidData => Outcome::Protocol,
        None => Outcome::Reset(phase),
    }
}

/// How the peer ended the connection, if this error says that it did.
pub(super) fn end_of(error: &io::Error) -> Option<ConnectionEnd> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => Some(ConnectionEnd::Closed),
        BrokenPipe | ConnectionAborted | ConnectionReset => Some(ConnectionEnd::Reset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_classes() {
        let class = |errno: Errno| outcome_of(&errno.into(), Phase::Connect);
        assert_eq!(class(Errno::CONNREFUSED), Outcome::Refused);
        assert_eq!(class(Errno::PIPE), Outcome::Reset(Phase::Connect));
        assert_eq!(class(Errno::NETUNREACH), Outcome::Unreachable);
        assert_eq!(class(Errno::TIMEDOUT), Outcome::Timeout(Phase::Connect));
        assert_eq!(class(Errno::MFILE), Outcome::Prober);
        assert_eq!(class(Errno::ADDRNOTAVAIL), Outcome::Prober);
        let eof = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert_eq!(outcome_of(&eof, Phase::Body), Outcome::Reset(Phase::Body));
        assert_eq!(end_of(&eof), Some(ConnectionEnd::Closed));
        assert_eq!(end_of(&Errno::CONNRESET.into()), Some(ConnectionEnd::Reset));
        assert_eq!(end_of(&Errno::TIMEDOUT.into()), None);
        assert_eq!(end_of(&io::ErrorKind::WouldBlock.into()), None);
    }
}
