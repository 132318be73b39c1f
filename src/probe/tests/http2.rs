//! HTTP/2 and gRPC, against scripted servers.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use proptest::prelude::*;

use super::super::http2;
use super::super::http2::{Http2Answer, Judge, Reply};
use super::super::protocol::{Answer, Malformed};
use super::*;
use crate::http2::frame::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS,
};
use crate::http2::hpack;

const PREFACE: usize = 24;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, kind, flags, stream, payload);
    bytes
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    fields.iter().for_each(|(name, value)| hpack::write(&mut block, name, value));
    block
}

/// What a server has received of a request.
#[derive(Clone, Debug, Default)]
struct Asked {
    connection: usize,
    stream: u32,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(it, _)| it == name).map_or("", |(_, value)| value)
    }
}

/// What a server does: tells what it was asked, and answers with bytes. `None`: it closes.
type Script = fn(&Asked) -> Option<Vec<u8>>;

/// A server that sends its settings and a ping on every connection, and answers each request.
/// It tells which requests and acknowledgements came.
fn server(script: Script) -> (SocketAddr, Receiver<Asked>, Arc<AtomicUsize>) {
    let (tell, received) = channel();
    let tell = Mutex::new(tell);
    let acks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&acks);
    let address = scripted(move |stream, connection| {
        let tell = tell.lock().unwrap().clone();
        serve(stream, connection, script, &tell, &counted);
    });
    (address, received, acks)
}

fn serve(
    mut stream: impl Read + Write,
    connection: usize,
    script: Script,
    tell: &Sender<Asked>,
    acks: &AtomicUsize,
) -> Option<()> {
    let mut preface = [0; PREFACE];
    stream.read_exact(&mut preface).ok()?;
    let ping = frame(PING, 0, 0, b"12345678");
    stream.write_all(&[frame(SETTINGS, 0, 0, &[]), ping].concat()).ok()?;
    let mut asked = Asked::default();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).ok()?;
        let number = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match head[3] {
            HEADERS => {
                asked = Asked { connection, stream: number, ..Asked::default() };
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let fields = &mut asked.fields;
                hpack::read(&payload, |name, value| fields.push((text(name), text(value))))
                    .unwrap();
            }
            DATA => asked.body.extend(payload),
            SETTINGS | PING if head[4] & ACK != 0 => {
                acks.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        if head[3] <= HEADERS && head[4] & END_STREAM != 0 {
            let _ = tell.send(asked.clone());
            stream.write_all(&script(&asked)?).ok()?;
        }
    }
}

/// An answer as gRPC servers send it.
fn health(stream: u32, status: &[u8]) -> Vec<u8> {
    let head =
        block(&[(":status", "200"), ("content-type", "application/grpc"), ("x-backend", "b-1")]);
    let body = [&[0, 0, 0, 0, status.len() as u8], status].concat();
    let trailers = block(&[("grpc-status", "0"), ("grpc-message", "")]);
    [
        frame(HEADERS, END_HEADERS, stream, &head),
        frame(DATA, 0, stream, &body),
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &trailers),
    ]
    .concat()
}

const SERVING: &[u8] = &[8, 1];

fn serving(asked: &Asked) -> Option<Vec<u8>> {
    Some(health(asked.stream, SERVING))
}

fn grpc_probe(address: SocketAddr, reused: bool) -> ProbeSpec {
    let mut spec = http_probe("p", address, 50.0, Duration::from_secs(1));
    spec.header.kind = ProbeKind::Grpc;
    spec.header.reused = reused;
    spec.question = Question::Grpc(Box::new(GrpcQuestion {
        host: "checkout.test:9000".into(),
        health_service: "shop.v1.Checkout".into(),
        backend_header: "x-backend".into(),
        tls: None,
    }));
    spec
}

fn http2_probe(address: SocketAddr, change: impl FnOnce(&mut HttpQuestion)) -> ProbeSpec {
    asking(address, |question| {
        question.http2 = true;
        change(question);
    })
}

#[track_caller]
fn all_are(found: &Found, expected: Outcome) {
    let seen = outcomes(found);
    assert!(!seen.is_empty() && seen.iter().all(|&it| it == expected), "{seen:?} for {expected:?}");
}

#[test]
fn a_server_that_serves_is_healthy() {
    let (address, received, _) = server(serving);
    let found = run(grpc_probe(address, false), 300);
    all_are(&found, Outcome::Ok);
    assert_eq!(found.backends, ["b-1"]);
    let asked = received.recv().unwrap();
    assert_eq!((asked.field(":method"), asked.field(":scheme")), ("POST", "http"));
    assert_eq!(asked.field(":path"), "/grpc.health.v1.Health/Check");
    assert_eq!(asked.field(":authority"), "checkout.test:9000");
    assert_eq!((asked.field("te"), asked.field("content-type")), ("trailers", "application/grpc"));
    assert_eq!(asked.body, b"\0\0\0\0\x12\x0a\x10shop.v1.Checkout");
}

#[test]
fn what_is_not_serving_has_its_class() {
    let scripts: [(Script, Outcome); 10] = [
        (|asked| Some(health(asked.stream, &[8, 2])), Outcome::NotServing(2)),
        (|asked| Some(health(asked.stream, &[])), Outcome::NotServing(0)),
        (|asked| Some(health(asked.stream, &[7, 7])), Outcome::Protocol),
        (|asked| only(asked, &[(":status", "200"), ("grpc-status", "5")]), Outcome::Grpc(5)),
        (|asked| only(asked, &[(":status", "200"), ("grpc-status", "99")]), Outcome::Grpc(2)),
        (|asked| only(asked, &[(":status", "503")]), Outcome::Status(503)),
        (|asked| only(asked, &[(":status", "200")]), Outcome::Protocol),
        (
            |asked| Some(frame(RST_STREAM, 0, asked.stream, &[0, 0, 0, 7])),
            Outcome::Reset(Phase::FirstByte),
        ),
        (|_| Some(frame(GOAWAY, 0, 0, &[0; 8])), Outcome::Reset(Phase::FirstByte)),
        (|_| None, Outcome::Reset(Phase::FirstByte)),
    ];
    for (script, expected) in scripts {
        all_are(&run(grpc_probe(server(script).0, false), 200), expected);
    }
    let http1 = answers(&["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"]);
    all_are(&run(grpc_probe(http1, false), 200), Outcome::Protocol);
    assert_eq!(Outcome::Grpc(14).label(), "gRPC UNAVAILABLE");
    assert_eq!(Outcome::NotServing(2).label(), "health NOT_SERVING");
}

/// An answer that is nothing but a head.
fn only(asked: &Asked, fields: &[(&str, &str)]) -> Option<Vec<u8>> {
    Some(frame(HEADERS, END_HEADERS | END_STREAM, asked.stream, &block(fields)))
}

#[test]
fn a_kept_connection_has_a_stream_for_each_attempt_and_answers_pings() {
    let (address, received, acks) = server(serving);
    let found = run(grpc_probe(address, true), 400);
    all_are(&found, Outcome::Ok);
    let asked: Vec<Asked> = received.try_iter().collect();
    // A slow answer makes a second connection.
    let busiest = asked.iter().max_by_key(|one| one.stream).unwrap().connection;
    let first: Vec<&Asked> = asked.iter().filter(|one| one.connection == busiest).collect();
    assert!(first.len() > 3, "{asked:?}");
    assert!(first.iter().map(|one| one.stream).eq((0..).map(|n| 2 * n + 1).take(first.len())));
    assert!(acks.load(Ordering::Relaxed) >= 2, "settings and a ping");
}

#[test]
fn a_connection_that_the_server_ends_in_order_is_not_used_again() {
    // Goodbye comes while nobody waits, or instead of an answer to a later request.
    let (address, received, _) = server(|asked| {
        let last = asked.stream.to_be_bytes();
        let goodbye = frame(GOAWAY, 0, 0, &[&last[..], &[0; 4]].concat());
        Some([health(asked.stream, SERVING), goodbye].concat())
    });
    let found = run(grpc_probe(address, true), 300);
    all_are(&found, Outcome::Ok);
    assert!(found.attempts.iter().all(|attempt| !attempt.reused), "{found:?}");
    assert!(received.try_iter().all(|asked| asked.stream == 1));
    let (address, ..) = server(|asked| match asked.stream {
        1 => serving(asked),
        _ => Some(frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])),
    });
    let found = run(grpc_probe(address, true), 300);
    let failed: Vec<_> = found.attempts.iter().filter(|one| one.outcome.is_failure()).collect();
    assert!(!failed.is_empty(), "{found:?}");
    for one in failed {
        assert_eq!((one.outcome, one.reused), (Outcome::Reset(Phase::FirstByte), true));
        assert_eq!(one.ended, Some(ConnectionEnd::Closed));
    }
}

#[test]
fn http_is_asked_over_http2_with_all_that_it_has() {
    let (address, received, _) = server(|asked| {
        let early = block(&[(":status", "103"), ("link", "x")]);
        let head = block(&[(":status", "200"), ("x-backend", "h2")]);
        let (first, rest) = head.split_at(7);
        let padded = [&[3][..], b"{\"status\"", &[0; 3]].concat();
        Some(
            [
                frame(HEADERS, END_HEADERS, asked.stream, &early),
                frame(HEADERS, 0, asked.stream, first),
                frame(CONTINUATION, END_HEADERS, asked.stream, rest),
                frame(DATA, 8, asked.stream, &padded),
                frame(DATA, END_STREAM, asked.stream, b":\"up\"}"),
            ]
            .concat(),
        )
    });
    let body = "x".repeat(40_000) + "$(unique)";
    let ask = |equals: &str| {
        http2_probe(address, |question| {
            question.method = "POST".into();
            question.paths = vec!["/a?$(unique)".into(), "/b".into()];
            question.headers = vec![("X-Id".into(), "$(unique)".into())];
            question.body =
                Some(Body { content_type: Some("text/plain".into()), text: body.clone() });
            let json = JsonValue { path: "$.status".into(), equals: equals.into() };
            question.expected_body.json = Some(json);
        })
    };
    let mut spec = ask("up");
    spec.header.reused = true;
    let found = run(spec, 300);
    all_are(&found, Outcome::Ok);
    assert_eq!(found.backends, ["h2"]);
    let asked: Vec<Asked> = received.try_iter().collect();
    let of = |path: &str| asked.iter().find(|one| one.field(":path").starts_with(path)).unwrap();
    let (a, b) = (of("/a?"), of("/b"));
    let number = &a.field(":path")["/a?".len()..];
    assert!(number.len() == 16 && number.bytes().all(|digit| digit.is_ascii_digit()), "{number}");
    assert_eq!((a.field("x-id"), b.field(":path")), (number, "/b"));
    assert_eq!((a.field("content-length"), a.body.len()), ("40016", 40_016));
    assert!(a.body.ends_with(number.as_bytes()) && !b.body.ends_with(number.as_bytes()));
    assert_eq!((a.field("user-agent"), a.field("content-type")), ("kubectl-outage", "text/plain"));
    // The server allows no more than 64 KiB of bodies on a connection.
    assert!(asked.iter().all(|one| one.stream == 1), "{:?}", asked.len());
    all_are(&run(ask("down"), 200), Outcome::WrongBody);
}

#[test]
fn http2_is_agreed_on_in_the_handshake() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let cert = CertificateDer::from(include_bytes!("../testdata/cert.der").as_slice());
    let key = include_bytes!("../testdata/key.der").as_slice();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(vec![cert], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let address = scripted(move |stream, number| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        serve(&mut stream, number, serving, &channel().0, &AtomicUsize::new(0));
    });
    for reused in [false, true] {
        let mut spec = grpc_probe(address, reused);
        let Question::Grpc(question) = &mut spec.question else { panic!("is grpc") };
        question.tls = Some(tls(true, "localhost"));
        let found = run(spec, 400);
        all_are(&found, Outcome::Ok);
        assert_eq!(found.attempts.iter().any(|attempt| attempt.reused), reused, "{found:?}");
    }
    // More than TLS keeps.
    let spec = http2_probe(address, |question| {
        question.method = "POST".into();
        question.body = Some(Body { content_type: None, text: "x".repeat(65_535) });
        question.tls = Some(tls(true, "localhost"));
    });
    all_are(&run(spec, 400), Outcome::Ok);
}

#[derive(Debug)]
struct Any;

impl Judge for Any {
    fn backend_header(&self) -> &str {
        "server"
    }

    fn needs_body(&self, _: u16) -> bool {
        true
    }

    fn outcome(&self, _: Reply<'_>) -> Result<Outcome, Malformed> {
        Ok(Outcome::Ok)
    }
}

fn reader() -> Http2Answer {
    Http2Answer::new(Arc::new(Any), true, 0)
}

#[test]
fn an_endless_head_or_reply_is_refused() {
    let mut endless = reader();
    let begin = frame(HEADERS, 0, 1, &[]);
    let more = frame(CONTINUATION, 0, 1, &[b'x'; 16_000]);
    endless.push(&begin).unwrap();
    assert!((0..5).any(|_| endless.push(&more).is_err()));
    let mut flooded = reader();
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(1000);
    assert!(flooded.push(&pings).is_err());
}

#[test]
fn a_body_too_long_for_a_first_request_is_refused() {
    let request = |length| {
        http2_probe(([127, 0, 0, 1], 1).into(), |question| {
            question.body = Some(Body { content_type: None, text: "x".repeat(length) });
        })
    };
    assert!(Prober::new(vec![request(65_535)], names()).is_ok());
    let why = Prober::new(vec![request(65_536)], names()).map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("64 KiB of body"), "{why}");
    assert_eq!(http2::ALPN, b"h2");
}

proptest! {
    #[test]
    fn garbage_never_panics(
        kinds in proptest::collection::vec((0u8..11, any::<u8>(), 0u32..4, any::<Vec<u8>>()), 0..8),
        rest in any::<Vec<u8>>(),
        piece in 1usize..40,
    ) {
        let frames = kinds.iter().map(|(kind, flags, stream, payload)| {
            frame(*kind, *flags, *stream, payload)
        });
        let bytes = [frames.collect::<Vec<_>>().concat(), rest].concat();
        let mut reader = reader();
        for piece in bytes.chunks(piece) {
            if reader.push(piece).is_err() {
                break;
            }
            let _ = (reader.keeps_connection(), reader.has_begun(), reader.reply().map(|it| it.clear()));
        }
    }
}
