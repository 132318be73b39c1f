//! A port with a listener: open it is listened on, shut the kernel refuses.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// As many connections may wait for us: a burst must not overflow while a tick goes on.
const BACKLOG: u32 = 4096;
/// After an error of the system (no descriptors, an address that is not free again yet).
const RETRY: Duration = Duration::from_millis(20);

/// Listens while `open` says so, and hands on every connection; ends when `open` does.
pub(super) async fn listen(
    address: SocketAddr,
    mut open: watch::Receiver<bool>,
    mut take: impl FnMut(TcpStream),
) {
    while open.wait_for(|open| *open).await.is_ok() {
        match bind(address) {
            Ok(listener) => {
                tokio::select! {
                    _ = open.wait_for(|open| !*open) => {}
                    () = accept(&listener, &mut take) => {}
                }
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

async fn accept(listener: &TcpListener, take: &mut impl FnMut(TcpStream)) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => take(stream),
            // The client was faster.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Connections of the listener's former opening may still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
