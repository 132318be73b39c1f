//! One connection to a pod: HTTP/1.1, or HTTP/2 where the client begins with it. Every answer
//! names the pod.
//!
//! What is read while the pod hangs waits, as it would in the buffers of a frozen node, and is
//! answered if the pod comes back to life; a pod that was started anew knows nothing of it and
//! resets.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::http2::Http2;
use crate::http2::frame::PREFACE;
use crate::model::Backend;

/// The longest request, or frame of one, and the most that waits while a pod hangs.
const LONGEST: usize = 64 * 1024;
const MOST_HEADERS: usize = 64;

/// A pod's behavior, and which life of its container this is: a connection does not outlive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub behavior: Backend,
    pub number: u32,
}

impl Life {
    pub(super) fn new(behavior: Backend) -> watch::Sender<Self> {
        watch::Sender::new(Self { behavior, number: 0 })
    }
}

/// Serves a connection until either side ends it. `entry`: the node through whose port it came.
pub(super) async fn serve(
    mut stream: TcpStream,
    pod: &str,
    mut life: watch::Receiver<Life>,
    mut entry: watch::Receiver<Life>,
) {
    let begun = [life.borrow_and_update().number, entry.borrow_and_update().number];
    let (mut unread, mut http2) = (Vec::new(), None);
    let mut chunk = [0; 2048];
    loop {
        let (mut now, through) = (*life.borrow_and_update(), *entry.borrow_and_update());
        if [now.number, through.number] != begun {
            return reset(&stream);
        }
        // What the pod does is not seen through a node that is away.
        if through.behavior == Backend::Hangs {
            now.behavior = Backend::Hangs;
        }
        if now.behavior == Backend::Refuses {
            return reset(&stream);
        }
        if now.behavior == Backend::Answers
            && !answer(&mut stream, pod, &mut unread, &mut http2).await
        {
            return;
        }
        tokio::select! {
            changed = life.changed() => if changed.is_err() { return reset(&stream) },
            changed = entry.changed() => if changed.is_err() { return reset(&stream) },
            read = stream.read(&mut chunk) => match read {
                Ok(length) if length > 0 && unread.len() < LONGEST => unread.extend_from_slice(&chunk[..length]),
                _ => return,
            },
        }
    }
}

/// Closes with a reset, as the kernel of a pod that is gone does.
fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Answers every whole request that has come. Whether the connection stays.
async fn answer(
    stream: &mut TcpStream,
    pod: &str,
    unread: &mut Vec<u8>,
    http2: &mut Option<Http2>,
) -> bool {
    if unread.starts_with(PREFACE) {
        http2.get_or_insert_default();
    }
    if let Some(http2) = http2 {
        let Ok(bytes) = http2.answer(pod, unread) else { return false };
        return stream.write_all(&bytes).await.is_ok();
    }
    // Also while nothing has come.
    if PREFACE.starts_with(unread) {
        return true;
    }
    loop {
        let (bytes, stays) = match request(unread) {
            Request::Half => return true,
            Request::Broken => {
                (response(pod, "400 Bad Request", "bad request\n", false, false), false)
            }
            Request::Whole { length, keep, head } => {
                unread.drain(..length);
                (response(pod, "200 OK", &format!("{pod}\n"), keep, head), keep)
            }
        };
        if stream.write_all(&bytes).await.is_err() || !stays {
            return false;
        }
    }
}

#[derive(Debug, PartialEq)]
enum Request {
    /// More of it has to come.
    Half,
    Broken,
    Whole {
        /// With its body.
        length: usize,
        keep: bool,
        /// Whether only the head of an answer is asked for.
        head: bool,
    },
}

fn request(bytes: &[u8]) -> Request {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let head_length = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Request::Half,
        Err(_) => return Request::Broken,
    };
    let head = parsed.method == Some("HEAD");
    let value = |name: &str| {
        let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.and_then(|header| std::str::from_utf8(header.value).ok())
    };
    let body: usize =
        value("content-length").and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let Some(length) = head_length.checked_add(body) else { return Request::Broken };
    let close = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let keep = !close && parsed.version == Some(1);
    if length > bytes.len() { Request::Half } else { Request::Whole { length, keep, head } }
}

fn response(pod: &str, status: &str, body: &str, keep: bool, head: bool) -> Vec<u8> {
    let connection = if keep { "keep-alive" } else { "close" };
    let body_sent = if head { "" } else { body };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nServer: outage-embedded\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: {connection}\r\nX-Backend: {pod}\r\n\r\n{body_sent}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_when_it_is_whole() {
        let whole = b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 3\r\n\r\nabc";
        for cut in 0..whole.len() {
            assert_eq!(request(&whole[..cut]), Request::Half, "{cut}");
        }
        assert_eq!(request(whole), Request::Whole { length: whole.len(), keep: true, head: false });
        assert_eq!(request(b"\x16\x03\x01 no http\r\n\r\n"), Request::Broken);
    }

    #[test]
    fn who_asks_to_close_is_not_kept() {
        let keeps =
            |text: &str| matches!(request(text.as_bytes()), Request::Whole { keep: true, .. });
        assert!(keeps("GET / HTTP/1.1\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n"));
        assert!(!keeps("GET / HTTP/1.0\r\n\r\n"));
    }
}
