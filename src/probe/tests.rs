//! The prober against scripted servers.

mod http2;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::testing::{Closed, Found, GatedServer, http_probe, probe_while};
use super::*;
use crate::timeline::attempts::ConnectionEnd;
use crate::timeline::{Moment, Outcome, Phase, ProbeKind, Secret, TlsCause};

fn tls(insecure: bool, name: &str) -> TlsQuestion {
    TlsQuestion { insecure, server_name: name.into(), roots: None, identity: None }
}

fn names() -> NameService {
    NameService::parse("", "")
}

fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// A server that does `script` with every connection; the number counts connections from 0.
fn scripted(script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let script = Arc::clone(&script);
            std::thread::spawn(move || script(stream.unwrap(), number));
        }
    });
    address
}

fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = [0; 4096];
    stream.read(&mut request).is_ok_and(|length| length > 0)
}

/// A server that answers every request with these pieces, 5 ms apart, and closes.
fn answers(pieces: &'static [&'static str]) -> SocketAddr {
    scripted(move |mut stream, _| {
        if read_request(&mut stream) {
            for piece in pieces {
                let _ = stream.write_all(piece.as_bytes());
                sleep(5);
            }
        }
    })
}

/// Runs one probe for some time.
/// For longer where a busy machine sent nothing in this time.
fn run(spec: ProbeSpec, ms: u64) -> Found {
    let found = probe_while(vec![spec.clone()], names(), || sleep(ms)).remove(0);
    if outcomes(&found).is_empty() && ms < 5_000 { run(spec, ms * 4) } else { found }
}

/// What attempts end as. Those that were cut when the probe ended are left out, and those that a
/// busy machine never sent.
fn outcomes(found: &Found) -> Vec<Outcome> {
    let all = found.attempts.iter().map(|attempt| attempt.outcome);
    all.filter(|outcome| !matches!(outcome, Outcome::Cut | Outcome::NotSent)).collect()
}

/// All attempts at this server end alike.
fn all_end(address: SocketAddr, timeout_ms: u64, expected: Outcome) -> Found {
    let found = run(http_probe("p", address, 50.0, Duration::from_millis(timeout_ms)), 300);
    let seen = outcomes(&found);
    assert!(
        !seen.is_empty() && seen.iter().all(|&outcome| outcome == expected),
        "{seen:?} instead of {expected:?}"
    );
    found
}

/// A listener that takes no more connections: SYNs are dropped.
fn full_backlog() -> (TcpListener, SocketAddr, Vec<socket2::Socket>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let fill = (0..8).map(|_| {
        let client =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        let _ = client.connect(&address.into());
        client
    });
    let clients = fill.collect();
    sleep(50);
    (listener, address, clients)
}

#[test]
fn every_slot_is_sent_once_and_never_early() {
    let server = GatedServer::start(1).unwrap();
    let found = run(http_probe("p", server.address(), 500.0, Duration::from_secs(1)), 500);
    let mut slots: Vec<u64> = found.attempts.iter().map(|attempt| attempt.slot).collect();
    slots.sort_unstable();
    assert!(slots.iter().copied().eq(0..slots.len() as u64), "{slots:?}");
    assert!((150..=350).contains(&slots.len()), "{} slots in half a second", slots.len());
    assert!(outcomes(&found).iter().all(|outcome| outcome.is_ok()), "{found:?}");
    assert_eq!(found.backends, ["backend-0"]);
    let ok = &found.attempts[0];
    assert!(
        ok.phases.connect_us > 0
            && ok.phases.first_byte_us > 0
            && ok.phases.dns_us == 0
            && ok.backend == Some(0),
        "{ok:?}"
    );
}

#[test]
fn an_open_loop_does_not_wait_for_answers() {
    let server = GatedServer::start(1).unwrap();
    server.close(0, Closed::Hang);
    let found = run(http_probe("p", server.address(), 200.0, Duration::from_millis(200)), 700);
    let seen = outcomes(&found);
    assert!(seen.len() > 40, "{} attempts ended, closed loops manage 3", seen.len());
    assert!(seen.iter().all(|&outcome| outcome == Outcome::Timeout(Phase::FirstByte)), "{seen:?}");
    for attempt in found.attempts.iter().filter(|attempt| attempt.outcome != Outcome::Cut) {
        assert!(attempt.duration_us() >= 200_000, "{attempt:?}");
    }
    assert!(found.attempts.iter().any(|attempt| attempt.outcome == Outcome::Cut));
}

#[test]
fn whole_answers_of_every_form_are_ok() {
    for pieces in [
        &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"][..],
        &["HTTP/1.1 200", " OK\r\nContent-Le", "ngth: 2\r\n\r\no", "k"],
        &["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r", "\nok\r\n0\r\n", "\r\n"],
        &["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"],
        &["HTTP/1.0 200 OK\r\n\r\n", "until", "the end"],
        &["HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"],
    ] {
        all_end(answers(pieces), 1000, Outcome::Ok);
    }
}

#[test]
fn failures_have_their_class() {
    all_end(
        answers(&["HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]),
        1000,
        Outcome::Status(503),
    );
    all_end(
        answers(&["HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort"]),
        1000,
        Outcome::Reset(Phase::Body),
    );
    all_end(
        answers(&["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"]),
        1000,
        Outcome::Reset(Phase::Body),
    );
    all_end(answers(&[]), 1000, Outcome::Reset(Phase::FirstByte));
    all_end(answers(&["SSH-2.0-OpenSSH\r\n"]), 1000, Outcome::Protocol);
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    all_end(gone, 1000, Outcome::Refused);
    let stuck = scripted(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort");
        sleep(2000);
    });
    all_end(stuck, 100, Outcome::Timeout(Phase::Body));
}

/// A probe of a server, asked otherwise than by a plain GET.
fn asking(address: SocketAddr, change: impl FnOnce(&mut HttpQuestion)) -> ProbeSpec {
    let mut spec = http_probe("p", address, 50.0, Duration::from_secs(1));
    let Question::Http(question) = &mut spec.question else { panic!("is http") };
    change(question);
    spec
}

#[test]
fn a_right_status_with_a_wrong_body_is_a_class_of_its_own() {
    let json = answers(&[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"status\"",
        "\r\n5\r\n:\"up\"\r\n1\r\n}\r\n0\r\n\r\n",
    ]);
    for (equals, expected) in [("up", Outcome::Ok), ("down", Outcome::WrongBody)] {
        let found = run(
            asking(json, |question| {
                let json = JsonValue { path: "$.status".into(), equals: equals.into() };
                question.expected_body.json = Some(json);
            }),
            300,
        );
        let seen = outcomes(&found);
        assert!(!seen.is_empty() && seen.iter().all(|&it| it == expected), "{equals}: {seen:?}");
    }
}

#[test]
fn paths_are_asked_in_turn_and_no_two_requests_are_alike() {
    let (tell, received) = std::sync::mpsc::channel();
    let server = scripted(move |mut stream, _| {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap_or_default();
        let _ = tell.send(String::from_utf8_lossy(&request[..length]).into_owned());
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    });
    let spec = asking(server, |question| {
        question.method = "POST".into();
        question.paths = vec!["/a".into(), "/b?$(unique)".into()];
        question.body = Some(Body { content_type: None, text: "{\"id\": $(unique)}".into() });
    });
    let found = run(spec, 300);
    assert!(outcomes(&found).iter().all(|outcome| outcome.is_ok()), "{found:?}");
    let requests: Vec<String> = received.try_iter().filter(|it| !it.is_empty()).collect();
    let mut ids = std::collections::BTreeSet::new();
    for request in &requests {
        let id: u64 = request.split(&[' ', '}'][..]).rev().nth(1).unwrap().parse().unwrap();
        assert!(request.contains("\r\nContent-Length: 24\r\n\r\n"), "{request}");
        let path = if id.is_multiple_of(2) { "POST /a ".into() } else { format!("POST /b?{id} ") };
        assert!(request.starts_with(&path), "{id}: {request}");
        assert!(ids.insert(id), "{requests:?}");
    }
    assert!(ids.len() > 4, "{requests:?}");
}

#[test]
fn the_answer_to_head_is_not_waited_for() {
    let server = scripted(|mut stream, _| {
        while read_request(&mut stream) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 612\r\n\r\n");
        }
    });
    let mut spec = asking(server, |question| question.method = "HEAD".into());
    spec.header.reused = true;
    let found = run(spec, 300);
    assert!(outcomes(&found).iter().all(|outcome| outcome.is_ok()), "{found:?}");
    assert!(found.attempts.iter().any(|attempt| attempt.reused), "{found:?}");
}

#[test]
fn a_server_that_speaks_first_is_no_http_server() {
    let banner = scripted(|mut stream, _| {
        let _ = stream.write_all(b"220 smtp\r\n");
        sleep(2000);
    });
    all_end(banner, 500, Outcome::Protocol);
}

#[test]
fn heads_and_bodies_without_end_are_bounded() {
    let head = scripted(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X: 0123456789012345678901234567890123456789\r\n").is_ok() {}
    });
    all_end(head, 2000, Outcome::Protocol);
    let body = scripted(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    let found = run(http_probe("p", body, 5.0, Duration::from_millis(100)), 500);
    // On a busy machine an answer may begin too late, or be cut by the end.
    assert!(outcomes(&found).contains(&Outcome::Timeout(Phase::Body)), "{found:?}");
    assert!(!outcomes(&found).iter().any(|outcome| outcome.is_ok()), "{found:?}");
}

#[test]
fn a_full_backlog_is_a_timeout_of_connecting_and_leaves_no_socket() {
    let (_listener, address, _clients) = full_backlog();
    let found = all_end(address, 100, Outcome::Timeout(Phase::Connect));
    assert!(found.attempts.iter().all(|attempt| attempt.phases.first_byte_us == 0));
    let mut tcp = http_probe("tcp", address, 50.0, Duration::from_millis(100));
    tcp.question = Question::Tcp;
    assert!(
        outcomes(&run(tcp, 300)).iter().all(|&outcome| outcome == Outcome::Timeout(Phase::Connect))
    );
    assert_eq!(
        in_state(address.port(), SYN_SENT),
        8 - established(address.port()),
        "only the test's own are left"
    );
}

const SYN_SENT: &str = "02";

/// How many sockets towards a port the kernel has in a state.
fn in_state(port: u16, state: &str) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!("0100007F:{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2] == remote && row[3] == state).count()
}

fn established(port: u16) -> usize {
    in_state(port, "01")
}

#[test]
fn kept_connections_are_used_again_and_replaced_when_closed() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let server = scripted(move |mut stream, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        for _ in 0..5 {
            if !read_request(&mut stream) {
                return;
            }
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-Backend: a\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let mut spec = http_probe("p", server, 50.0, Duration::from_millis(500));
    spec.header.reused = true;
    let found = run(spec, 600);
    let seen = outcomes(&found);
    assert!(seen.iter().all(|outcome| outcome.is_ok()), "{seen:?}");
    let fresh = found.attempts.iter().filter(|attempt| !attempt.reused).count();
    assert_eq!(fresh, connections.load(Ordering::Relaxed));
    assert!(
        fresh > 1 && fresh < seen.len() && seen.len() <= fresh * 5,
        "{fresh} connections for {} attempts",
        seen.len()
    );
    assert!(
        found.attempts.iter().all(|attempt| attempt.reused == (attempt.phases.connect_us == 0)),
        "{found:?}"
    );
}

#[test]
fn a_kept_connection_that_dies_in_flight_is_the_outcome() {
    let server = scripted(|mut stream, number| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // The second request on the first connection is read, and never answered.
        if read_request(&mut stream) && number > 0 {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    let mut spec = http_probe("p", server, 20.0, Duration::from_millis(500));
    spec.header.reused = true;
    let found = run(spec, 600);
    let failed: Vec<_> =
        found.attempts.iter().filter(|attempt| attempt.outcome.is_failure()).collect();
    assert!(
        matches!(failed[..], [one] if one.reused && one.outcome == Outcome::Reset(Phase::FirstByte)),
        "{failed:?}"
    );
    assert_eq!(failed[0].ended, Some(ConnectionEnd::Closed), "without its answer");
    let announced = found.attempts.iter().filter(|attempt| attempt.outcome.is_ok());
    let announced: Vec<_> = announced.filter(|attempt| attempt.ended.is_some()).collect();
    assert!(!announced.is_empty(), "`Connection: close`");
    assert!(announced.iter().all(|one| one.reused && one.ended == Some(ConnectionEnd::Closed)));
    assert!(outcomes(&found).len() > 3);
}

#[test]
fn tcp_probes_connect_and_kept_ones_notice_the_end() {
    let server = scripted(|mut stream, number| {
        stream
            .set_read_timeout(Some(Duration::from_millis(if number == 0 { 150 } else { 5000 })))
            .unwrap();
        let _ = stream.read(&mut [0; 16]);
    });
    let mut spec = http_probe("p", server, 50.0, Duration::from_millis(500));
    spec.question = Question::Tcp;
    spec.header.reused = true;
    let found = run(spec.clone(), 400);
    let seen = outcomes(&found);
    assert_eq!(
        seen.iter().filter(|&&outcome| outcome == Outcome::Reset(Phase::Send)).count(),
        1,
        "{seen:?}"
    );
    assert_eq!(seen.iter().filter(|outcome| outcome.is_ok()).count(), seen.len() - 1, "{seen:?}");
    assert!(found.attempts.iter().filter(|attempt| !attempt.reused).count() >= 2);
    spec.header.reused = false;
    let found = run(spec, 200);
    assert!(
        outcomes(&found).iter().all(|outcome| outcome.is_ok())
            && found.attempts.iter().all(|attempt| !attempt.reused)
    );
}

#[test]
fn names_are_resolved_anew_for_each_connection() {
    let server = GatedServer::start(1).unwrap();
    let dns = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let queries = Arc::new(AtomicUsize::new(0));
    let (counter, at) = (Arc::clone(&queries), dns.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = dns.recv_from(&mut packet) {
            counter.fetch_add(1, Ordering::Relaxed);
            sleep(2);
            let answer =
                crate::resolver::answer(&packet[..length], 0, &[Ipv4Addr::LOCALHOST.into()]);
            dns.send_to(&answer, from).unwrap();
        }
    });
    let mut names = names();
    names.servers = vec![at];
    let mut spec = http_probe("p", server.address(), 50.0, Duration::from_millis(500));
    spec.destination = Destination::Name { host: "web.test".into(), port: server.address().port() };
    let found = probe_while(vec![spec], names, || sleep(300)).remove(0);
    let ok = found.attempts.iter().filter(|attempt| attempt.outcome.is_ok());
    assert!(
        ok.clone().count() > 5 && ok.clone().all(|attempt| attempt.phases.dns_us >= 2000),
        "{found:?}"
    );
    assert!(ok.count() <= queries.load(Ordering::Relaxed));
}

fn dns_probe(name: &str, server: SocketAddr, cached: bool) -> ProbeSpec {
    let mut spec = http_probe(name, server, 50.0, Duration::from_millis(100));
    spec.header.kind = ProbeKind::Dns;
    spec.question = Question::Dns(DnsQuestion { name: "web.test".into(), cached });
    spec
}

/// A name that is known already fails later than a new one: the cache has it for as long as the
/// shortest of the answer's records holds.
#[test]
fn a_cached_name_outlives_its_server() {
    let dns = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = dns.local_addr().unwrap();
    let began = Moment::now();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = dns.recv_from(&mut packet) {
            assert_eq!(&packet[12..22], b"\x03web\x04test\0", "in full, with no search domain");
            let mut answer =
                crate::resolver::answer(&packet[..length], 0, &[Ipv4Addr::LOCALHOST.into()]);
            // Of the alias: one second. Of the address: nine.
            answer[length + 6..length + 10].copy_from_slice(&[0, 0, 0, 1]);
            if Moment::now().since(began) < Duration::from_millis(400) {
                dns.send_to(&answer, from).unwrap();
            }
        }
    });
    let mut elsewhere = names();
    elsewhere.search = vec!["ns.svc".into()];
    let mut found = probe_while(
        vec![dns_probe("new", at, false), dns_probe("known", at, true)],
        elsewhere,
        || sleep(1900),
    );
    let (known, new) = (found.remove(1), found.remove(0));
    let first_failure = |found: &Found| {
        let failed = found.attempts.iter().filter(|attempt| attempt.outcome.is_failure());
        failed.map(|attempt| attempt.slot).min().expect("some fail") * 20
    };
    assert!(
        first_failure(&known) >= first_failure(&new) + 400,
        "{} ms, {} ms",
        first_failure(&known),
        first_failure(&new)
    );
    let from_cache = known.attempts.iter().filter(|attempt| attempt.reused);
    assert!(
        from_cache.clone().count() > 20
            && from_cache.clone().all(|a| a.outcome.is_ok() && a.duration_us() == 0),
        "{known:?}"
    );
    assert!(new.attempts.iter().all(|attempt| !attempt.reused));
    let silent = |found: &Found| outcomes(found).contains(&Outcome::Timeout(Phase::Dns));
    assert!(silent(&new) && silent(&known));
}

#[test]
fn a_name_that_is_not_there_and_nobody_to_ask_are_failures_of_dns() {
    let dns = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = dns.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        while let Ok((length, from)) = dns.recv_from(&mut packet) {
            dns.send_to(&crate::resolver::answer(&packet[..length], 3, &[]), from).unwrap();
        }
    });
    let gone = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for server in [at, gone] {
        let seen = outcomes(&run(dns_probe("p", server, true), 300));
        assert!(seen.len() > 3 && seen.iter().all(|&outcome| outcome == Outcome::Dns), "{seen:?}");
    }
}

#[test]
fn a_silent_name_server_is_a_timeout_of_dns() {
    let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut names = names();
    names.servers = vec![silent.local_addr().unwrap()];
    let mut spec = http_probe("p", silent.local_addr().unwrap(), 50.0, Duration::from_millis(100));
    spec.destination = Destination::Name { host: "web".into(), port: 80 };
    let found = probe_while(vec![spec.clone()], names.clone(), || sleep(300)).remove(0);
    let seen = outcomes(&found);
    assert!(
        seen.len() > 3 && seen.iter().all(|&outcome| outcome == Outcome::Timeout(Phase::Dns)),
        "{seen:?}"
    );
    spec.destination = Destination::Name { host: "no..name".into(), port: 80 };
    let seen = outcomes(&probe_while(vec![spec], names, || sleep(400)).remove(0));
    assert!(!seen.is_empty() && seen.iter().all(|&outcome| outcome == Outcome::Dns), "{seen:?}");
}

#[test]
fn a_thing_that_is_no_tls_server_fails_the_handshake() {
    let plain = answers(&["HTTP/1.1 400 Bad Request\r\n\r\n"]);
    let mut spec = http_probe("p", plain, 50.0, Duration::from_millis(500));
    if let Question::Http(question) = &mut spec.question {
        question.tls = Some(tls(true, "localhost"));
    }
    let found = run(spec.clone(), 300);
    let seen = outcomes(&found);
    assert!(
        !seen.is_empty() && seen.iter().all(|&outcome| outcome == Outcome::Tls(TlsCause::NoTls)),
        "{seen:?}"
    );
    if let Question::Http(question) = &mut spec.question {
        question.tls = Some(tls(true, "not a name"));
    }
    let error = Prober::new(vec![spec], names()).err().unwrap().to_string();
    assert_eq!(error, "start probe p: \"not a name\" is not a valid server name");
}

#[test]
fn the_control_probe_is_answered() {
    let responder = control::Responder::start().unwrap();
    let mut spec = responder.probe(control::header("control", "host", None), &[]);
    spec.interval_ns /= 10;
    let found = run(spec, 300);
    assert!(found.span.probe.control);
    assert!(
        outcomes(&found).len() > 2 && outcomes(&found).iter().all(|outcome| outcome.is_ok()),
        "{found:?}"
    );
}

#[test]
fn many_probes_share_one_loop() {
    let servers: Vec<GatedServer> = (0..4).map(|_| GatedServer::start(1).unwrap()).collect();
    let probes = (0..12).map(|n| {
        http_probe(&format!("p{n}"), servers[n % 4].address(), 50.0, Duration::from_millis(500))
    });
    let all = probe_while(probes.collect(), names(), || sleep(500));
    assert_eq!(all.len(), 12);
    for found in all {
        assert!(
            outcomes(&found).len() > 2 && outcomes(&found).iter().all(|outcome| outcome.is_ok()),
            "{found:?}"
        );
    }
}

#[test]
fn moments_of_records_lie_within_the_run() {
    let server = GatedServer::start(1).unwrap();
    let before = Moment::now();
    let found = run(http_probe("p", server.address(), 100.0, Duration::from_secs(1)), 200);
    let after = Moment::now();
    for attempt in &found.attempts {
        let (sent, done) = (found.span.sent(attempt), found.span.done(attempt));
        assert!(before <= sent && sent <= done && done <= after, "{attempt:?}");
        assert!(found.span.due(attempt.slot) <= sent);
    }
}

/// A TLS server with a certificate that nobody vouches for; answers each request and keeps the
/// connection.
fn tls_server() -> SocketAddr {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let cert = CertificateDer::from(include_bytes!("testdata/cert.der").as_slice());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(
        include_bytes!("testdata/key.der").as_slice(),
    ));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = Arc::new(builder.with_no_client_auth().with_single_cert(vec![cert], key).unwrap());
    tls_server_of(config)
}

fn tls_server_of(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    scripted(move |stream, _| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut request = [0; 4096];
        while stream.read(&mut request).is_ok_and(|length| length > 0) {
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nX-Backend: tls\r\nContent-Length: 2\r\n\r\nok");
        }
    })
}

fn https_probe(insecure: bool, reused: bool) -> ProbeSpec {
    let mut spec = http_probe("p", tls_server(), 50.0, Duration::from_secs(1));
    spec.header.reused = reused;
    if let Question::Http(question) = &mut spec.question {
        question.tls = Some(tls(insecure, "localhost"));
    }
    spec
}

#[test]
fn a_tls_probe_succeeds_with_the_handshake() {
    let mut spec = https_probe(true, false);
    spec.question = Question::Tls(tls(true, "localhost"));
    let found = run(spec.clone(), 400);
    let seen = outcomes(&found);
    assert!(seen.len() > 2 && seen.iter().all(|outcome| outcome.is_ok()), "{seen:?}");
    let whole = found.attempts.iter().filter(|attempt| attempt.outcome.is_ok());
    assert!(whole.clone().all(|a| a.phases.tls_us > 0 && a.phases.first_byte_us == 0), "{found:?}");
    spec.header.reused = true;
    let kept = run(spec.clone(), 400);
    assert!(outcomes(&kept).iter().all(|outcome| outcome.is_ok()), "{kept:?}");
    // Another one is opened where the first is still busy on a loaded machine.
    let opened = kept.attempts.iter().filter(|attempt| !attempt.reused).count();
    assert!(opened * 2 < kept.attempts.len(), "{kept:?}");
    spec.question = Question::Tls(tls(false, "localhost"));
    let seen = outcomes(&run(spec, 300));
    assert!(
        !seen.is_empty()
            && seen.iter().all(|&outcome| outcome == Outcome::Tls(TlsCause::BadCertificate)),
        "{seen:?}"
    );
}

#[test]
fn https_is_asked_and_timed_apart() {
    let found = run(https_probe(true, false), 400);
    let seen = outcomes(&found);
    assert!(seen.len() > 2 && seen.iter().all(|outcome| outcome.is_ok()), "{seen:?}");
    assert_eq!(found.backends, ["tls"]);
    let whole = found.attempts.iter().filter(|attempt| attempt.outcome.is_ok());
    assert!(whole.clone().all(|a| a.phases.tls_us > 0 && a.phases.first_byte_us > 0), "{found:?}");
}

#[test]
fn https_connections_are_kept() {
    let found = run(https_probe(true, true), 400);
    let seen = outcomes(&found);
    assert!(seen.len() > 2 && seen.iter().all(|outcome| outcome.is_ok()), "{seen:?}");
    assert!(
        found.attempts.iter().any(|attempt| attempt.reused && attempt.phases.tls_us == 0),
        "{found:?}"
    );
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_a_failure() {
    let seen = outcomes(&run(https_probe(false, false), 300));
    assert!(
        !seen.is_empty()
            && seen.iter().all(|&outcome| outcome == Outcome::Tls(TlsCause::BadCertificate)),
        "{seen:?}"
    );
}

#[test]
fn both_sides_show_their_certificates() {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    let ca = include_bytes!("testdata/mutual-ca.der");
    let cert = CertificateDer::from(include_bytes!("testdata/mutual-server.der").as_slice());
    let key = include_bytes!("testdata/mutual-server-key.der").as_slice();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(ca.as_slice())).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![cert], key);
    let server = tls_server_of(Arc::new(config.unwrap()));
    let identity = Identity {
        chain: vec![include_bytes!("testdata/mutual-client.der").to_vec()],
        key: include_bytes!("testdata/mutual-client-key.der").to_vec(),
        scope: Scope::Prober,
    };
    let asked_with = |identity: Option<Identity>| {
        let spec = asking(server, |question| {
            question.tls = Some(TlsQuestion {
                roots: Some(vec![ca.to_vec()]),
                identity: identity.map(Secret),
                ..tls(false, "localhost")
            });
        });
        // As an agent receives it.
        let json = serde_json::to_string(&spec).unwrap();
        outcomes(&run(serde_json::from_str(&json).unwrap(), 400))
    };
    let seen = asked_with(Some(identity));
    assert!(!seen.is_empty() && seen.iter().all(|outcome| outcome.is_ok()), "{seen:?}");
    let seen = asked_with(None);
    assert!(!seen.is_empty() && !seen.iter().any(|outcome| outcome.is_ok()), "{seen:?}");
}
