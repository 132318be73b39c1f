//! A proxy before the container engine's socket or the API server, which can be cut, frozen or made
//! slow while a run goes on.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// How long a slow proxy keeps what it is sent.
pub(super) const SLOW: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    Open,
    /// All connections are closed, and new ones at once.
    Cut,
    /// Connections are accepted and kept, and nothing is passed on.
    Frozen,
    /// What is sent to the server is passed on later.
    Slow,
}

pub(super) struct Proxy {
    shared: Arc<Shared>,
    accepts: Option<JoinHandle<()>>,
}

struct Shared {
    way: Mutex<Way>,
    open: Mutex<Vec<Socket>>,
    over: AtomicBool,
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

enum Server {
    Unix(PathBuf),
    Tcp(String),
}

impl Proxy {
    /// At a path, before the socket of a container engine.
    pub(super) fn before_engine(at: &Path, engine: &Path) -> Self {
        let listener = UnixListener::bind(at).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self::start(Listener::Unix(listener), Server::Unix(engine.to_owned()))
    }

    /// At a port of its own on loopback, which it returns, before `HOST:PORT`.
    pub(super) fn before_api(server: &str) -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        (Self::start(Listener::Tcp(listener), Server::Tcp(server.to_owned())), port)
    }

    fn start(listener: Listener, server: Server) -> Self {
        let shared = Arc::new(Shared {
            way: Mutex::new(Way::Open),
            open: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let of = shared.clone();
        let accepts = std::thread::spawn(move || {
            while !of.over.load(Ordering::Relaxed) {
                match listener.accept() {
                    // One that cannot be passed on is closed.
                    Ok(client) => _ = of.connect(client, &server),
                    Err(_) => sleep(LOOK),
                }
            }
        });
        Self { shared, accepts: Some(accepts) }
    }

    /// From now on.
    pub(super) fn becomes(&self, way: Way) {
        *locked(&self.shared.way) = way;
        if way == Way::Cut {
            self.shared.close_all();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.shared.close_all();
        let _ = self.accepts.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn way(&self) -> Way {
        *locked(&self.way)
    }

    fn close_all(&self) {
        locked(&self.open).drain(..).for_each(|socket| socket.close());
    }

    fn connect(self: &Arc<Self>, client: Socket, server: &Server) -> io::Result<()> {
        if self.way() == Way::Cut {
            return Ok(());
        }
        let server = server.connect()?;
        locked(&self.open).extend([client.again()?, server.again()?]);
        self.copy(client.again()?, server.again()?, true);
        self.copy(server, client, false);
        Ok(())
    }

    /// Passes on what one side says, and its end.
    fn copy(self: &Arc<Self>, mut from: Socket, mut to: Socket, to_server: bool) {
        let shared = self.clone();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                if to_server && shared.way() == Way::Slow {
                    sleep(SLOW);
                }
                while shared.way() == Way::Frozen && !shared.over.load(Ordering::Relaxed) {
                    sleep(LOOK);
                }
                if to.write_all(&bytes[..length]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listener {
    fn accept(&self) -> io::Result<Socket> {
        let socket = match self {
            Self::Unix(listener) => Socket::Unix(listener.accept()?.0),
            Self::Tcp(listener) => Socket::Tcp(listener.accept()?.0),
        };
        match &socket {
            Socket::Unix(stream) => stream.set_nonblocking(false)?,
            Socket::Tcp(stream) => stream.set_nonblocking(false)?,
        }
        Ok(socket)
    }
}

impl Server {
    fn connect(&self) -> io::Result<Socket> {
        Ok(match self {
            Self::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
            Self::Tcp(address) => Socket::Tcp(TcpStream::connect(address)?),
        })
    }
}

impl Socket {
    fn again(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(how),
            Self::Tcp(stream) => stream.shutdown(how),
        }
    }

    fn close(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
