//! The control probe: asks the prober's own machine, over loopback. Where it fails or is late, the
//! machine is sick, not the cluster.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::http::HttpQuestion;
use super::kind::Question;
use super::spec::{Destination, ProbeSpec};
use crate::timeline::{ProbeHeader, ProbeKind};

/// 20 attempts a second.
const INTERVAL_NS: u64 = 50_000_000;
const DEFAULT_TIMEOUT_NS: u64 = 1_000_000_000;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// How often the responder looks whether it is to end.
const LOOK: rustix::time::Timespec = rustix::time::Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// A header for a control probe. Where several probers run at the same time, each needs a name of
/// its own (see [`ProbeHeader::control_name`]).
pub fn header(name: &str, from: &str, from_node: Option<&str>) -> ProbeHeader {
    ProbeHeader {
        name: name.into(),
        kind: ProbeKind::Http,
        target: "the prober's own machine".into(),
        service: None,
        from: from.into(),
        from_node: from_node.map(Into::into),
        reused: false,
        control: true,
        paths: Vec::new(),
        needs: None,
    }
}

/// A small server on 127.0.0.1, in the network of the thread that made it. It ends when it is
/// dropped.
#[derive(Debug)]
pub struct Responder {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// Begins to answer. Errors when there is no port to be had.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || serve(&listener, &flag))?;
        Ok(Self { port, stop, thread: Some(thread) })
    }

    pub fn probe(&self, header: ProbeHeader, others: &[ProbeSpec]) -> ProbeSpec {
        probe(header, (Ipv4Addr::LOCALHOST, self.port).into(), others)
    }
}

/// A control probe that asks a responder. It has the least time of `others` to do so: what keeps it
/// from that keeps them, too.
pub fn probe(header: ProbeHeader, responder: SocketAddr, others: &[ProbeSpec]) -> ProbeSpec {
    ProbeSpec {
        header,
        destination: Destination::Address(responder),
        question: Question::Http(Box::new(HttpQuestion {
            success: (200, 200),
            ..HttpQuestion::get("localhost", "/")
        })),
        interval_ns: INTERVAL_NS,
        timeout_ns: others.iter().map(|probe| probe.timeout_ns).min().unwrap_or(DEFAULT_TIMEOUT_NS),
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        let _ = rustix::event::poll(&mut fds, Some(&LOOK));
        while let Ok((stream, _)) = listener.accept() {
            let _ = answer(stream);
        }
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut request = [0; 1024];
    let length = stream.read(&mut request)?;
    if request[..length].starts_with(b"GET ") { stream.write_all(ANSWER) } else { Ok(()) }
}
