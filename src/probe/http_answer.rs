//! An HTTP/1.1 answer as a client needs it to time one: a reader that is fed whatever has arrived.

use std::sync::Arc;

use super::chunked::Chunked;
use super::expected::Expected;
use super::protocol::{Answer, Broken, Malformed};
use crate::timeline::Outcome;

/// A head longer than this is not an answer.
const MAX_HEAD: usize = 64 * 1024;
/// More headers than this are not an answer.
const MAX_HEADERS: usize = 96;
/// Of a body that decides, so much is looked at.
const MAX_BODY: usize = 256 * 1024;
/// More interim answers (1xx) than this are not an answer.
const MAX_INTERIM: u32 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    More,
    Done,
}

/// Reads one answer. A body that does not decide is discarded as it comes.
#[derive(Debug)]
pub(super) struct HttpAnswer {
    expected: Arc<Expected>,
    /// The part of a head that came without its end.
    head: Vec<u8>,
    /// A head of that length is parsed again although it has no end yet.
    parse_at: usize,
    interim: u32,
    body: Body,
    /// What came of a body that decides.
    content: Vec<u8>,
    /// Known once the head was read.
    status: Option<u16>,
    backend: Option<String>,
    keep_alive: bool,
}

#[derive(Debug)]
enum Body {
    Unknown,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

impl Answer for HttpAnswer {
    fn next(&mut self) {
        *self = Self::new(Arc::clone(&self.expected));
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, Broken> {
        Ok(match self.read(bytes)? {
            Progress::More => None,
            Progress::Done => self.outcome(),
        })
    }

    /// The end of an answer that says no length, too early for any other.
    fn close(&self) -> Option<Outcome> {
        matches!(self.body, Body::UntilClose).then(|| self.outcome()).flatten()
    }

    fn backend(&self) -> Option<&str> {
        self.backend.as_deref()
    }

    fn keeps_connection(&self) -> bool {
        self.keep_alive
    }
}

impl HttpAnswer {
    pub(super) fn new(expected: Arc<Expected>) -> Self {
        Self {
            expected,
            head: Vec::new(),
            parse_at: 0,
            interim: 0,
            body: Body::Unknown,
            content: Vec::new(),
            status: None,
            backend: None,
            keep_alive: false,
        }
    }

    fn outcome(&self) -> Option<Outcome> {
        self.status.map(|status| self.expected.outcome(status, &self.content))
    }

    fn read(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        if self.status.is_some() {
            return self.read_body(bytes);
        }
        // Nearly always the head comes in one piece and needs no copy.
        if self.head.is_empty() {
            return self.read_head(bytes);
        }
        let seen = self.head.len().saturating_sub(2);
        self.head.extend_from_slice(bytes);
        // One that comes byte by byte is not parsed with each of them.
        if self.head.len() < self.parse_at && !has_blank_line(&self.head[seen..]) {
            return Ok(Progress::More);
        }
        let head = std::mem::take(&mut self.head);
        self.read_head(&head)
    }

    fn read_head(&mut self, mut bytes: &[u8]) -> Result<Progress, Malformed> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut answer = httparse::Response::new(&mut headers);
            let length = match answer.parse(bytes).map_err(|_| Malformed)? {
                httparse::Status::Complete(length) => length,
                httparse::Status::Partial => return self.keep_head(bytes),
            };
            let status = answer.code.filter(|code| (100..1000).contains(code)).ok_or(Malformed)?;
            bytes = &bytes[length..];
            if (100..200).contains(&status) && status != 101 {
                self.interim += 1;
                if self.interim > MAX_INTERIM {
                    return Err(Malformed);
                }
                continue;
            }
            self.status = Some(status);
            let version = answer.version;
            self.take_headers(version == Some(1), status, answer.headers)?;
            return self.read_body(bytes);
        }
    }

    fn keep_head(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        if bytes.len() > MAX_HEAD {
            return Err(Malformed);
        }
        self.head = bytes.to_vec();
        self.parse_at = (2 * bytes.len()).min(MAX_HEAD + 1);
        Ok(Progress::More)
    }

    fn take_headers(
        &mut self,
        one_point_one: bool,
        status: u16,
        headers: &[httparse::Header<'_>],
    ) -> Result<(), Malformed> {
        let (mut length, mut encoded, mut chunked) = (None, false, false);
        self.keep_alive = one_point_one;
        for header in headers {
            if header.name.eq_ignore_ascii_case("content-length") {
                let value = number(header.value).ok_or(Malformed)?;
                if length.replace(value).is_some_and(|other| other != value) {
                    return Err(Malformed);
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                encoded = true;
                chunked = last_token(header.value).eq_ignore_ascii_case(b"chunked");
            } else if header.name.eq_ignore_ascii_case("connection") {
                let says = |word: &[u8]| {
                    tokens(header.value).any(|token| token.eq_ignore_ascii_case(word))
                };
                self.keep_alive = !says(b"close") && (self.keep_alive || says(b"keep-alive"));
            } else if header.name.eq_ignore_ascii_case(&self.expected.backend_header) {
                self.backend = Some(String::from_utf8_lossy(header.value).trim().to_owned())
                    .filter(|name| !name.is_empty());
            }
        }
        self.body = match length {
            _ if self.expected.is_head || matches!(status, 101 | 204 | 304) => Body::Length(0),
            _ if chunked => Body::Chunked(Chunked::default()),
            Some(length) if !encoded => Body::Length(length),
            _ => Body::UntilClose,
        };
        self.keep_alive &= status != 101 && !matches!(self.body, Body::UntilClose);
        Ok(())
    }

    fn read_body(&mut self, bytes: &[u8]) -> Result<Progress, Malformed> {
        let Self { body, content, .. } = self;
        let decides = self.status.is_some_and(|status| self.expected.needs_body(status));
        let mut keep = |data: &[u8]| {
            if decides {
                let room = MAX_BODY - content.len();
                content.extend_from_slice(&data[..data.len().min(room)]);
            }
        };
        let unread = match body {
            Body::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                keep(&bytes[..taken as usize]);
                (*left == 0).then_some(bytes.len() - taken as usize)
            }
            Body::Chunked(chunked) => chunked.push(bytes, keep).map_err(|()| Malformed)?,
            Body::UntilClose | Body::Unknown => {
                keep(bytes);
                None
            }
        };
        match unread {
            None => Ok(Progress::More),
            Some(unread) => {
                // Bytes that nobody asked for: the next answer on this connection could not be told
                // from them.
                self.keep_alive &= unread == 0;
                Ok(Progress::Done)
            }
        }
    }
}

/// Whether a head may end there.
fn has_blank_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii)
}

fn last_token(value: &[u8]) -> &[u8] {
    tokens(value).last().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::expected::{BodyCheck, BodyExpectation};
    use super::*;
    use proptest::prelude::*;

    fn reader() -> HttpAnswer {
        HttpAnswer::new(Arc::new(expected()))
    }

    fn expected() -> Expected {
        let body = BodyCheck::default();
        Expected { backend_header: "X-Backend".into(), success: (200, 399), is_head: false, body }
    }

    /// Feeds an answer in pieces of one size, and gives what came of it.
    fn read(bytes: &[u8], piece: usize) -> (Result<Progress, Malformed>, HttpAnswer) {
        let mut reader = reader();
        let mut last = Ok(Progress::More);
        for piece in bytes.chunks(piece.max(1)) {
            last = reader.read(piece);
            if last != Ok(Progress::More) {
                break;
            }
        }
        (last, reader)
    }

    /// An answer is read alike whether it comes byte by byte or in one piece.
    fn both(text: &str) -> (Result<Progress, Malformed>, HttpAnswer) {
        let whole = read(text.as_bytes(), usize::MAX);
        let split = read(text.as_bytes(), 1);
        assert_eq!(
            (whole.0, whole.1.status, &whole.1.backend),
            (split.0, split.1.status, &split.1.backend),
            "{text:?}"
        );
        whole
    }

    #[test]
    fn ends_where_its_length_says() {
        let (progress, reader) =
            both("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx-backend: web-1\r\n\r\nok");
        assert_eq!(progress, Ok(Progress::Done));
        assert_eq!(
            (reader.status, reader.backend.as_deref(), reader.keep_alive),
            (Some(200), Some("web-1"), true)
        );
        assert_eq!(both("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok").0, Ok(Progress::More));
        assert_eq!(
            both("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n").0,
            Ok(Progress::Done)
        );
        assert_eq!(both("HTTP/1.1 304 Not Modified\r\n\r\n").0, Ok(Progress::Done));
    }

    #[test]
    fn ends_with_the_last_chunk() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let (progress, reader) =
            both(&format!("{head}3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"));
        assert_eq!((progress, reader.keep_alive), (Ok(Progress::Done), true));
        assert_eq!(both(&format!("{head}3\r\nabc\r\n0\r\n")).0, Ok(Progress::More));
        assert_eq!(both(&format!("{head}x\r\n")).0, Err(Malformed));
        assert_eq!(both(&format!("{head}1\r\nabc\r\n")).0, Err(Malformed));
        assert_eq!(both(&format!("{head}{}\r\n", "f".repeat(17))).0, Err(Malformed));
    }

    #[test]
    fn without_a_length_it_ends_with_the_connection() {
        let (progress, reader) = both("HTTP/1.0 200 OK\r\n\r\nabc");
        assert_eq!(
            (progress, reader.close(), reader.keep_alive),
            (Ok(Progress::More), Some(Outcome::Ok), false)
        );
        let (_, cut) = both("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        assert_eq!(cut.close(), None);
        assert_eq!(both("HTTP/1.1 200 OK\r\n").1.close(), None);
    }

    #[test]
    fn interim_answers_are_passed_over_but_not_for_ever() {
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        let end = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(both(&format!("{interim}{interim}{end}")).1.status, Some(503));
        assert_eq!(read(interim.repeat(100).as_bytes(), usize::MAX).0, Err(Malformed));
        assert_eq!(read(interim.repeat(100).as_bytes(), interim.len()).0, Err(Malformed));
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        assert_eq!(both("SSH-2.0-OpenSSH_9.6\r\n").0, Err(Malformed));
        assert_eq!(both("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").0, Err(Malformed));
        assert_eq!(
            both("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx").0,
            Err(Malformed)
        );
        assert_eq!(both("HTTP/1.1 000 OK\r\n\r\n").0, Err(Malformed));
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let mut answer = HttpAnswer::new(Arc::new(Expected { is_head: true, ..expected() }));
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 612\r\n\r\n";
        assert_eq!(answer.push(text), Ok(Some(Outcome::Ok)));
        assert!(answer.keeps_connection());
    }

    #[test]
    fn a_body_that_decides_is_put_together_and_bounded() {
        let contains = Some("hello world".into());
        let body = BodyCheck::new(BodyExpectation { contains, json: None }).unwrap();
        let expected = Arc::new(Expected { body, ..expected() });
        let outcome = |text: &[u8], piece: usize| {
            let mut answer = HttpAnswer::new(Arc::clone(&expected));
            let ends = text.chunks(piece).find_map(|piece| answer.push(piece).unwrap());
            let outcome = ends.or_else(|| answer.close());
            assert!(answer.content.len() <= MAX_BODY);
            outcome
        };
        let of = |text: &str| {
            assert_eq!(outcome(text.as_bytes(), 1), outcome(text.as_bytes(), usize::MAX));
            outcome(text.as_bytes(), 1)
        };
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let hello = format!("{chunked}6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n");
        assert_eq!(of(&hello), Some(Outcome::Ok));
        assert_eq!(of(&hello.replace("world", "earth")), Some(Outcome::WrongBody));
        assert_eq!(of("HTTP/1.0 200 OK\r\n\r\nhello world"), Some(Outcome::Ok));
        assert_eq!(of("HTTP/1.0 500 Oh\r\n\r\nhello world"), Some(Outcome::Status(500)));
        assert_eq!(of("HTTP/1.1 204 No\r\n\r\n"), Some(Outcome::WrongBody));
        let endless = format!("HTTP/1.0 200 OK\r\n\r\n{}hello world", " ".repeat(MAX_BODY));
        assert_eq!(outcome(endless.as_bytes(), 4096), Some(Outcome::WrongBody));
    }

    #[test]
    fn an_endless_head_is_bounded() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(200_000));
        assert_eq!(read(long.as_bytes(), 16 * 1024).0, Err(Malformed));
        let many = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(read(many.as_bytes(), usize::MAX).0, Err(Malformed));
    }

    #[test]
    fn connections_are_kept_only_where_both_sides_can() {
        let keep = |head: &str| both(&format!("{head}\r\n\r\n")).1.keep_alive;
        assert!(keep("HTTP/1.1 200 OK\r\nContent-Length: 0"));
        assert!(!keep("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close"));
        assert!(!keep("HTTP/1.0 200 OK\r\nContent-Length: 0"));
        assert!(keep("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive"));
        assert!(!keep("HTTP/1.1 200 OK"));
        let (progress, surplus) =
            read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1", usize::MAX);
        assert_eq!((progress, surplus.keep_alive), (Ok(Progress::Done), false));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in any::<Vec<u8>>(), piece in 1usize..9) {
            let _ = read(&bytes, piece);
            let _ = read(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &bytes].concat(), piece);
        }
    }
}
