//! HTTP/2 as a client needs it that asks one thing at a time: the frames of a request, and a reader
//! of what comes back.
//!
//! It is not the `h2` crate's: that one is driven by a runtime, and the prober has none.

use std::fmt::Debug;
use std::sync::Arc;

use super::expected::Expected;
use super::protocol::{Answer, Broken, Malformed};
use super::request::{Request, Series, stream};
use crate::http2::frame::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS,
    INITIAL_WINDOW_SIZE, MAX_FRAME, PING, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
    number,
};
use crate::http2::hpack;
use crate::timeline::{MAX_HTTP2_BODY, Outcome};

/// What may be sent before the server has allowed more.
const SEND_WINDOW: i64 = MAX_HTTP2_BODY as i64;
/// A server may send us so much; the window is renewed when the half has come.
const RECEIVE_WINDOW: u32 = i32::MAX as u32;
/// More bytes of headers than this are not an answer.
const MAX_HEAD: usize = 64 * 1024;
/// Of a body that decides, so much is looked at.
const MAX_BODY: usize = 256 * 1024;
/// A server that does not read this much of replies has asked for too many.
const MAX_REPLY: usize = 16 * 1024;

/// The protocol's name in a TLS handshake.
pub(super) const ALPN: &[u8] = b"h2";

/// A request of these fields, their names in lower case, and this body. Errors when it is too long.
pub(super) fn request(
    fields: &[(String, String)],
    body: &[u8],
    series: Series,
) -> Result<Request, String> {
    let mut block = Vec::new();
    fields.iter().for_each(|(name, value)| hpack::write(&mut block, name, value));
    if block.len() > MAX_FRAME || body.len() as i64 > SEND_WINDOW {
        return Err(
            "an HTTP/2 request can have at most 16 KiB of headers and 64 KiB of body".into()
        );
    }
    let mut bytes = frame::PREFACE.to_vec();
    frame::write_settings(&mut bytes, RECEIVE_WINDOW);
    let more = RECEIVE_WINDOW - SEND_WINDOW as u32;
    frame::write(&mut bytes, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
    let preface = bytes.len();
    let chunks: Vec<&[u8]> = body.chunks(MAX_FRAME).collect();
    let mut streams = Vec::new();
    let mut part = |kind, flags, left: usize, payload| {
        streams.push(bytes.len() + 5);
        let end = if left == 0 { END_STREAM } else { 0 };
        frame::write(&mut bytes, kind, flags | end, stream(0), payload);
    };
    part(HEADERS, END_HEADERS, chunks.len(), &block);
    for (index, chunk) in chunks.iter().enumerate() {
        part(DATA, 0, chunks.len() - 1 - index, chunk);
    }
    Ok(Request::new(bytes, series).with_streams(preface, streams))
}

/// Says what a complete answer is.
pub(super) trait Judge: Debug + Send + Sync {
    /// The response header that names the backend, in any case.
    fn backend_header(&self) -> &str;

    fn needs_body(&self, status: u16) -> bool;

    fn outcome(&self, reply: Reply<'_>) -> Result<Outcome, Malformed>;
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    pub status: u16,
    /// The field `grpc-status`, of the trailers or of an answer that is nothing else.
    pub grpc_status: Option<&'a str>,
    /// Empty where it does not decide.
    pub body: &'a [u8],
}

impl Judge for Expected {
    fn backend_header(&self) -> &str {
        &self.backend_header
    }

    fn needs_body(&self, status: u16) -> bool {
        Expected::needs_body(self, status)
    }

    fn outcome(&self, reply: Reply<'_>) -> Result<Outcome, Malformed> {
        Ok(Expected::outcome(self, reply.status, reply.body))
    }
}

/// Reads the answers of one connection, one after the other.
#[derive(Debug)]
pub(super) struct Http2Answer {
    judge: Arc<dyn Judge>,
    /// Whether the connection is for other requests, too.
    keeps: bool,
    /// The length of each request's body.
    body: i64,
    /// What came of a frame.
    frame: Vec<u8>,
    /// What is to be sent back.
    reply: Vec<u8>,
    received: u32,
    /// How much of a body the server allows: on the connection, and on each stream.
    window: i64,
    stream_window: i64,
    before: u32,
    stream: Stream,
}

#[derive(Debug, Default)]
struct Stream {
    /// A head without its end, and whether the stream ends with it.
    block: Option<Block>,
    status: Option<u16>,
    grpc_status: Option<String>,
    backend: Option<String>,
    content: Vec<u8>,
    has_ended: bool,
}

#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    ends_stream: bool,
}

impl Answer for Http2Answer {
    fn next(&mut self) {
        self.before += 1;
        self.window -= self.body;
        self.stream = Stream::default();
    }

    fn push(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, Broken> {
        let had_ended = self.stream.has_ended;
        self.frame.extend_from_slice(bytes);
        let all = std::mem::take(&mut self.frame);
        let mut rest = &all[..];
        while let Some(frame) = Frame::next(&mut rest)? {
            self.take(frame)?;
        }
        self.frame = rest.to_vec();
        if self.reply.len() > MAX_REPLY {
            return Err(Broken::Malformed);
        }
        let Stream { status: Some(status), has_ended: true, .. } = self.stream else {
            return if self.stream.has_ended { Err(Broken::Malformed) } else { Ok(None) };
        };
        if had_ended {
            return Ok(None);
        }
        let Stream { grpc_status, content, .. } = &self.stream;
        let reply = Reply { status, grpc_status: grpc_status.as_deref(), body: content };
        Ok(Some(self.judge.outcome(reply)?))
    }

    fn close(&self) -> Option<Outcome> {
        None
    }

    fn backend(&self) -> Option<&str> {
        self.stream.backend.as_deref()
    }

    fn keeps_connection(&self) -> bool {
        let has_room = self.body <= self.window.min(self.stream_window);
        self.keeps && self.stream.has_ended && has_room
    }

    fn has_begun(&self) -> bool {
        self.stream.status.is_some() || self.stream.block.is_some()
    }

    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.reply).filter(|reply| !reply.is_empty())
    }

    /// Servers ping, and say goodbye.
    fn idle(&mut self, bytes: &[u8]) -> bool {
        self.push(bytes).is_ok() && self.keeps_connection()
    }
}

impl Http2Answer {
    /// Of requests with so many bytes of body, the first of which was sent.
    pub(super) fn new(judge: Arc<dyn Judge>, keeps: bool, body: usize) -> Self {
        Self {
            judge,
            keeps,
            body: body as i64,
            frame: Vec::new(),
            reply: Vec::new(),
            received: 0,
            window: SEND_WINDOW - body as i64,
            stream_window: SEND_WINDOW,
            before: 0,
            stream: Stream::default(),
        }
    }

    fn take(&mut self, frame: Frame<'_>) -> Result<(), Broken> {
        let is_ours = frame.stream == stream(self.before);
        let is_open = is_ours && !self.stream.has_ended;
        if self.stream.block.is_some() && frame.kind != CONTINUATION {
            return Err(Broken::Malformed);
        }
        let Frame { kind, payload, .. } = frame;
        match kind {
            DATA => {
                self.count(payload.len() as u32);
                let content = frame.content()?;
                if is_open {
                    let status = self.stream.status.ok_or(Malformed)?;
                    if self.judge.needs_body(status) {
                        let room = MAX_BODY - self.stream.content.len();
                        self.stream.content.extend_from_slice(&content[..content.len().min(room)]);
                    }
                    self.stream.has_ended = frame.has(END_STREAM);
                }
            }
            HEADERS if is_open => {
                let bytes = frame.content()?.to_vec();
                self.stream.block = Some(Block { bytes, ends_stream: frame.has(END_STREAM) });
                self.head(frame.has(END_HEADERS))?;
            }
            CONTINUATION if is_open => {
                let block = self.stream.block.as_mut().ok_or(Malformed)?;
                block.bytes.extend_from_slice(payload);
                self.head(frame.has(END_HEADERS))?;
            }
            HEADERS | CONTINUATION | PUSH_PROMISE => return Err(Broken::Malformed),
            // After a complete answer it says that the rest of the request was not needed.
            RST_STREAM if is_open => return Err(Broken::Reset),
            SETTINGS if !frame.has(ACK) => {
                for setting in payload.chunks_exact(6) {
                    if setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                        self.stream_window = number(&setting[2..]).into();
                    }
                }
                frame::write(&mut self.reply, SETTINGS, ACK, 0, &[]);
            }
            PING if !frame.has(ACK) => frame::write(&mut self.reply, PING, ACK, 0, payload),
            GOAWAY => {
                self.keeps = false;
                let last = number(payload.get(..4).ok_or(Malformed)?) & RECEIVE_WINDOW;
                if !self.stream.has_ended && last < stream(self.before) {
                    return Err(Broken::Closed);
                }
            }
            WINDOW_UPDATE if frame.stream == 0 => {
                self.window += i64::from(number(payload.get(..4).ok_or(Malformed)?));
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts what the server has sent of bodies, and allows as much again.
    fn count(&mut self, bytes: u32) {
        self.received += bytes;
        if self.received > RECEIVE_WINDOW / 2 {
            let more = std::mem::take(&mut self.received).to_be_bytes();
            frame::write(&mut self.reply, WINDOW_UPDATE, 0, 0, &more);
        }
    }

    /// Reads the head, or the trailers, once all of it is there.
    fn head(&mut self, is_complete: bool) -> Result<(), Malformed> {
        let stream = &mut self.stream;
        if stream.block.as_ref().is_some_and(|block| block.bytes.len() > MAX_HEAD) {
            return Err(Malformed);
        }
        let Some(Block { bytes, ends_stream }) = stream.block.take_if(|_| is_complete) else {
            return Ok(());
        };
        let (mut status, backend_header) = (None, self.judge.backend_header());
        hpack::read(&bytes, |name, value| {
            let text = || String::from_utf8_lossy(value).trim().to_owned();
            match name {
                b":status" => {
                    status = text().parse().ok().filter(|code| (100..1000).contains(code))
                }
                b"grpc-status" => stream.grpc_status = Some(text()),
                _ if name.eq_ignore_ascii_case(backend_header.as_bytes()) => {
                    stream.backend = Some(text()).filter(|name| !name.is_empty());
                }
                _ => {}
            }
        })?;
        // Trailers have none, and an interim answer is passed over.
        if stream.status.is_none() {
            let status: u16 = status.ok_or(Malformed)?;
            stream.status = (status >= 200).then_some(status);
        }
        stream.has_ended = ends_stream;
        Ok(())
    }
}
