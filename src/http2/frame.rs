//! Frames (RFC 9113, section 4): a head of nine bytes, and a payload.

use super::Malformed;

/// What a client's connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame may have so many bytes, of both sides.
pub(crate) const MAX_FRAME: usize = 16 * 1024;
const HEAD: usize = 9;
const STREAM: u32 = i32::MAX as u32;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

pub(crate) struct Frame<'a> {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the next one off; `None`: not all of it has come.
    pub(crate) fn next(bytes: &mut &'a [u8]) -> Result<Option<Self>, Malformed> {
        let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if length > MAX_FRAME {
            return Err(Malformed);
        }
        let Some((payload, after)) = rest.split_at_checked(length) else { return Ok(None) };
        *bytes = after;
        let stream = number(&head[5..]) & STREAM;
        Ok(Some(Self { kind: head[3], flags: head[4], stream, payload }))
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// What is in it besides padding.
    pub(crate) fn content(&self) -> Result<&'a [u8], Malformed> {
        let mut content = self.payload;
        if self.has(PADDED) {
            let (&padding, rest) = content.split_first().ok_or(Malformed)?;
            let length = rest.len().checked_sub(padding.into()).ok_or(Malformed)?;
            content = &rest[..length];
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            content = content.get(5..).ok_or(Malformed)?;
        }
        Ok(content)
    }
}

/// Appends one.
pub(crate) fn write(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// Appends the settings of a side that keeps no table of header fields, wants no pushes, and may be
/// sent `window` bytes of each body.
pub(crate) fn write_settings(bytes: &mut Vec<u8>, window: u32) {
    let settings = [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, window)];
    let setting = |(id, value): (u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    write(bytes, SETTINGS, 0, 0, &settings.map(setting).concat());
}

/// Of four bytes.
pub(crate) fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte))
}
