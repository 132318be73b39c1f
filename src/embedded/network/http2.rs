//! A pod's side of HTTP/2 without TLS: gRPC health checks are answered `SERVING`, and everything
//! else as over HTTP/1.1.

use std::collections::BTreeMap;

use crate::http2::frame::{
    self, ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, PING, PREFACE,
    RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use crate::http2::{Malformed, hpack};
use crate::timeline::GRPC_HEALTH_PATH;

/// What a client may send of a body before the next WINDOW_UPDATE, which is sent immediately.
const WINDOW: u32 = 65_535;
/// More bytes of headers than this are not a request.
const MAX_HEAD: usize = 64 * 1024;
const UNIMPLEMENTED: &str = "12";
/// A `HealthCheckResponse` with the status `SERVING`, as gRPC sends it.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];

#[derive(Debug, Default)]
pub(super) struct Http2 {
    /// The header fields of a stream, as far as they have come.
    block: Vec<u8>,
    asked: BTreeMap<u32, Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// Whether nothing of it is to come.
    has_ended: bool,
    is_grpc: bool,
    is_health_check: bool,
    /// Whether only the head of an answer is asked for.
    head: bool,
}

impl Http2 {
    /// Takes the whole frames off what was read, and gives what `pod` sends for them.
    pub(super) fn answer(&mut self, pod: &str, unread: &mut Vec<u8>) -> Result<Vec<u8>, Malformed> {
        let mut sent = Vec::new();
        let mut rest = &unread[..];
        if let Some(frames) = rest.strip_prefix(PREFACE) {
            rest = frames;
            frame::write_settings(&mut sent, WINDOW);
        }
        while let Some(frame) = Frame::next(&mut rest)? {
            self.take(pod, &frame, &mut sent)?;
        }
        let left = rest.len();
        unread.drain(..unread.len() - left);
        Ok(sent)
    }

    fn take(&mut self, pod: &str, frame: &Frame<'_>, sent: &mut Vec<u8>) -> Result<(), Malformed> {
        let Frame { kind, stream, payload, .. } = *frame;
        match kind {
            HEADERS | CONTINUATION => {
                self.block.extend_from_slice(frame.content()?);
                if self.block.len() > MAX_HEAD {
                    return Err(Malformed);
                }
                // Of one that continues, only the first says whether the stream ends.
                let asked = self.asked.entry(stream).or_default();
                asked.has_ended |= kind == HEADERS && frame.has(END_STREAM);
                if !frame.has(END_HEADERS) {
                    return Ok(());
                }
                asked.read(&std::mem::take(&mut self.block))?;
            }
            DATA => {
                if !payload.is_empty() {
                    let more = (payload.len() as u32).to_be_bytes();
                    frame::write(sent, WINDOW_UPDATE, 0, 0, &more);
                    frame::write(sent, WINDOW_UPDATE, 0, stream, &more);
                }
                let Some(asked) = self.asked.get_mut(&stream) else { return Ok(()) };
                asked.has_ended |= frame.has(END_STREAM);
            }
            RST_STREAM => drop(self.asked.remove(&stream)),
            SETTINGS | PING if !frame.has(ACK) => {
                frame::write(sent, kind, ACK, 0, if kind == PING { payload } else { &[] });
            }
            _ => {}
        }
        if let Some(asked) = self.asked.remove(&stream) {
            match asked.has_ended {
                true => asked.answer(pod, stream, sent),
                false => drop(self.asked.insert(stream, asked)),
            }
        }
        Ok(())
    }
}

impl Asked {
    fn read(&mut self, block: &[u8]) -> Result<(), Malformed> {
        hpack::read(block, |name, value| match name {
            b":path" => self.is_health_check = value == GRPC_HEALTH_PATH.as_bytes(),
            b":method" => self.head = value == b"HEAD",
            b"content-type" => self.is_grpc = value.starts_with(b"application/grpc"),
            _ => {}
        })
    }

    fn answer(&self, pod: &str, stream: u32, sent: &mut Vec<u8>) {
        let text = format!("{pod}\n");
        let (kind, last, body) = match (self.is_grpc, self.is_health_check) {
            (true, true) => ("application/grpc", None, SERVING),
            (true, false) => ("application/grpc", Some(("grpc-status", UNIMPLEMENTED)), &[][..]),
            (false, _) => ("text/plain", None, text.as_bytes()),
        };
        let head = [(":status", "200"), ("content-type", kind), ("x-backend", pod)];
        let fields = |fields: &[(&str, &str)]| {
            let mut block = Vec::new();
            fields.iter().for_each(|(name, value)| hpack::write(&mut block, name, value));
            block
        };
        let head = fields(&head.into_iter().chain(last).collect::<Vec<_>>());
        if body.is_empty() || self.head {
            return frame::write(sent, HEADERS, END_HEADERS | END_STREAM, stream, &head);
        }
        frame::write(sent, HEADERS, END_HEADERS, stream, &head);
        frame::write(sent, DATA, if self.is_grpc { 0 } else { END_STREAM }, stream, body);
        if self.is_grpc {
            let trailers = fields(&[("grpc-status", "0")]);
            frame::write(sent, HEADERS, END_HEADERS | END_STREAM, stream, &trailers);
        }
    }
}
