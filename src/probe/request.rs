//! The bytes of a request: the same for every attempt but for its unique number, and on a kept
//! HTTP/2 connection its stream.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::timeline::{UNIQUE, UNIQUE_DIGITS};

/// The first digits of a prober's unique numbers, which tell it from other runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series(pub u64);

impl Series {
    /// The numbers of one series. All numbers have 16 digits, the first no 0, and are exact where
    /// numbers are floating-point (JavaScript's are up to 9007199254740991).
    const LENGTH: u64 = 100_000_000;
    const SERIES: std::ops::Range<u64> = 10_000_000..90_000_000;

    pub(super) fn random() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self(Self::SERIES.start + random % (Self::SERIES.end - Self::SERIES.start))
    }

    fn number(self, slot: u64) -> u64 {
        self.0 * Self::LENGTH + slot % Self::LENGTH
    }
}

/// Stands for a unique number, and is as long as one. No header may have it.
const PLACE: &str = "\0$(unique)-here\0";
const _: () = assert!(PLACE.len() == UNIQUE_DIGITS);

/// A text with a place for each unique number, so that its length is that of what is sent.
pub(super) fn with_places(text: &str) -> String {
    text.replace(UNIQUE, PLACE)
}

pub(super) struct Request {
    bytes: Vec<u8>,
    /// Where the number's digits begin.
    unique: Vec<usize>,
    series: Series,
    /// So many of the first bytes are for a new connection only.
    preface: usize,
    /// Where the numbers of an HTTP/2 stream begin.
    streams: Vec<usize>,
}

/// Without the bytes: they may hold a password.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("length", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Request {
    /// Of bytes with places for the numbers.
    pub(super) fn new(bytes: Vec<u8>, series: Series) -> Self {
        let windows = bytes.windows(PLACE.len()).enumerate();
        let unique = windows.filter(|(_, bytes)| *bytes == PLACE.as_bytes()).map(|(at, _)| at);
        Self { unique: unique.collect(), bytes, series, preface: 0, streams: Vec::new() }
    }

    /// Of HTTP/2, where the bytes are those of stream 1.
    pub(super) fn with_streams(self, preface: usize, streams: Vec<usize>) -> Self {
        Self { preface, streams, ..self }
    }

    /// For the attempt of a slot, on a connection that has had so many requests before.
    #[inline]
    pub(super) fn of(&self, slot: u64, before: u32) -> Cow<'_, [u8]> {
        let is_first = before == 0 || self.streams.is_empty();
        if self.unique.is_empty() && is_first {
            return Cow::Borrowed(&self.bytes);
        }
        let mut bytes = self.bytes.clone();
        let number = self.series.number(slot).to_string();
        for &place in &self.unique {
            bytes[place..place + PLACE.len()].copy_from_slice(number.as_bytes());
        }
        if !is_first {
            for &place in &self.streams {
                bytes[place..place + 4].copy_from_slice(&stream(before).to_be_bytes());
            }
            bytes.drain(..self.preface);
        }
        Cow::Owned(bytes)
    }
}

/// The stream of a connection's request, after so many others.
pub(super) fn stream(before: u32) -> u32 {
    before * 2 + 1
}
