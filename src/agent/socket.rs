//! The socket of a detached agent. Its name is abstract: no file, and gone with its process.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};

#[cfg(target_os = "linux")]
mod named {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    use super::*;

    pub(in super::super) fn listen(name: &str) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
    }

    pub(in super::super) fn connect(name: &str) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)
    }

    /// Whether the other end is a process of this one's user.
    pub(in super::super) fn is_ours(stream: &UnixStream) -> bool {
        let peer = rustix::net::sockopt::socket_peercred(stream);
        peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid())
    }
}

/// Nodes are Linux machines.
#[cfg(not(target_os = "linux"))]
mod named {
    use super::*;

    pub(in super::super) fn listen(_: &str) -> io::Result<UnixListener> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in super::super) fn connect(_: &str) -> io::Result<UnixStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in super::super) fn is_ours(_: &UnixStream) -> bool {
        false
    }
}

pub(super) use named::{connect, is_ours, listen};
