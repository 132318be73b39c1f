//! For tests: a server that knows when it was open, and a prober whose attempts are kept.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::control::header;
use super::expected::{BodyCheck, Expected};
use super::http_answer::HttpAnswer;
use super::http2::Http2Answer;
use super::protocol::Answer;
use super::{Destination, HttpQuestion, NameService, ProbeSpec, Prober, Question, Sink};
use crate::timeline::{Attempt, AttemptReader, Moment, ProbeSpan};

/// Reads bytes as HTTP/1.1 answers of one connection.
pub fn read_answers(bytes: &[u8]) {
    read_all(HttpAnswer::new(Arc::new(expected())), bytes);
}

/// The same of HTTP/2.
pub fn read_http2_answers(bytes: &[u8]) {
    read_all(Http2Answer::new(Arc::new(expected()), true, 0), bytes);
}

fn expected() -> Expected {
    let body = BodyCheck::default();
    Expected { backend_header: "x-backend".into(), success: (200, 399), is_head: false, body }
}

fn read_all(mut answer: impl Answer, bytes: &[u8]) {
    for piece in bytes.chunks(13) {
        match answer.push(piece) {
            Ok(None) => {}
            Ok(Some(_)) if answer.keeps_connection() => answer.next(),
            Ok(Some(_)) | Err(_) => break,
        }
        if let Some(reply) = answer.reply() {
            reply.clear();
        }
    }
    answer.close();
    answer.backend();
}

/// What a client of a closed backend sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    Hang,
    /// The connection is closed without an answer.
    Drop,
}

/// An HTTP server with several backends behind one address, each with a gate. Which of them
/// answers is random for each connection.
///
/// Whether a request is answered is decided under the same lock under which a gate's opening and
/// closing is stamped: the stamp is the truth, exactly.
#[derive(Debug)]
pub struct GatedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    gates: Mutex<Vec<Gate>>,
    stop: AtomicBool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    closed: Option<Closed>,
    first_unanswered: Option<Moment>,
}

impl Shared {
    fn gates(&self) -> MutexGuard<'_, Vec<Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GatedServer {
    /// Begins to serve, all gates open. Back ends are called `backend-0`, `backend-1`, ...
    pub fn start(backends: usize) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            gates: Mutex::new(vec![Gate::default(); backends]),
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("gated".into())
            .spawn(move || serve(&listener, &theirs))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes a backend's gate: no request is answered from the returned moment on.
    pub fn close(&self, backend: usize, manner: Closed) -> Moment {
        let mut gates = self.shared.gates();
        gates[backend] = Gate { closed: Some(manner), first_unanswered: None };
        Moment::now()
    }

    /// Opens a backend's gate: every request is answered from the returned moment on.
    pub fn open(&self, backend: usize) -> Moment {
        let mut gates = self.shared.gates();
        gates[backend].closed = None;
        Moment::now()
    }

    /// When the first request since the last closing was left unanswered. A client can't see how
    /// long that request had been on its way; where it is long after the request was sent, this
    /// machine is too busy to tell an edge that exactly.
    pub fn first_unanswered(&self, backend: usize) -> Option<Moment> {
        self.shared.gates()[backend].first_unanswered
    }
}

impl Drop for GatedServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Clients that get no answer have gone after this many more of their kind.
const MAX_HANGING: usize = 512;

fn serve(listener: &TcpListener, shared: &Shared) {
    // Each server draws its own numbers: the port is what tells two of them apart.
    let port = listener.local_addr().map_or(0, |address| u64::from(address.port()));
    let mut hanging = VecDeque::new();
    let mut random = (port + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for stream in listener.incoming() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if let Some(unanswered) = stream.ok().and_then(|stream| serve_one(stream, shared, random)) {
            if hanging.len() == MAX_HANGING {
                hanging.pop_front();
            }
            hanging.push_back(unanswered);
        }
    }
}

fn serve_one(mut stream: TcpStream, shared: &Shared, random: u64) -> Option<TcpStream> {
    stream.set_read_timeout(Some(Duration::from_millis(100))).ok()?;
    let mut request = [0; 2048];
    stream.read(&mut request).ok().filter(|&length| length > 0)?;
    let mut gates = shared.gates();
    let backend = (random >> 32) as usize % gates.len();
    let closed = gates[backend].closed;
    if closed.is_some() {
        gates[backend].first_unanswered.get_or_insert_with(Moment::now);
    }
    drop(gates);
    match closed {
        Some(Closed::Hang) => return Some(stream),
        Some(Closed::Drop) => return None,
        None => {}
    }
    let answer = format!(
        "HTTP/1.1 200 OK\r\nX-Backend: backend-{backend}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    );
    stream.write_all(answer.as_bytes()).ok()?;
    None
}

pub fn http_probe(name: &str, address: SocketAddr, rate: f64, timeout: Duration) -> ProbeSpec {
    let mut header = header(name, "host", None);
    header.control = false;
    header.target = format!("http://{address}/");
    ProbeSpec {
        header,
        destination: Destination::Address(address),
        question: Question::Http(Box::new(HttpQuestion::get(address.to_string(), "/"))),
        interval_ns: ProbeSpec::interval_of(rate),
        timeout_ns: timeout.as_nanos() as u64,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub span: ProbeSpan,
    /// All attempts, in the order in which they ended.
    pub attempts: Vec<Attempt>,
    pub backends: Vec<String>,
}

#[derive(Debug, Default)]
struct Keep(Vec<(ProbeSpan, Vec<u8>)>);

impl Sink for Keep {
    fn started(&mut self, span: &ProbeSpan) {
        self.0.push((span.clone(), Vec::new()));
    }

    fn attempts(&mut self, probe: &str, records: Vec<u8>) {
        if let Some((_, all)) = self.0.iter_mut().find(|(span, _)| span.probe.name == probe) {
            all.extend(records);
        }
    }
}

/// Runs probes for as long as `meanwhile` takes. Panics where they can't be run.
pub fn probe_while(
    specs: Vec<ProbeSpec>,
    names: NameService,
    meanwhile: impl FnOnce(),
) -> Vec<Found> {
    let stop = AtomicBool::new(false);
    let mut keep = Keep::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let prober = Prober::new(specs, names).expect("probes that can be carried out");
            prober.run(&stop, &mut keep).expect("sockets that can be waited for");
        });
        meanwhile();
        stop.store(true, Ordering::Relaxed);
    });
    keep.0.into_iter().map(|(span, records)| found(span, &records)).collect()
}

fn found(span: ProbeSpan, records: &[u8]) -> Found {
    let mut reader = AttemptReader::records(records);
    let attempts = reader.by_ref().collect();
    assert!(!reader.truncated(), "records that can be read");
    Found {
        span,
        attempts,
        backends: reader.backends().iter().map(|&name| name.to_owned()).collect(),
    }
}
