//! What a kind of probe does, step by step.

use std::borrow::Cow;
use std::fmt::Debug;
use std::io;

use super::tls::Tls;
pub(super) use crate::http2::Malformed;
use crate::timeline::Outcome;

/// How the attempts of one probe go. The prober connects to the destination, speaks TLS and
/// exchanges a request for an answer, as far as the protocol has these steps; an attempt without an
/// exchange succeeds when the connection is ready for one.
pub(super) trait Protocol: Debug + Send {
    /// The name whose lookup is the whole attempt: nothing is connected.
    fn lookup(&self) -> Option<&NameLookup> {
        None
    }

    /// What a new connection begins with.
    fn tls(&self) -> Option<&Tls> {
        None
    }

    fn exchange(&self) -> Option<&dyn Exchange> {
        None
    }
}

/// A name whose address is asked for.
#[derive(Debug)]
pub(super) struct NameLookup {
    /// In full, with the dot at its end: no search domain is tried.
    pub name: String,
    /// Whether an answer is used again until it expires.
    pub cached: bool,
}

pub(super) trait Exchange {
    /// The bytes that the attempt of this slot sends, on a connection that has had so many requests
    /// before.
    fn request(&self, slot: u64, before: u32) -> Cow<'_, [u8]>;

    /// A reader for a new connection.
    fn answer(&self) -> Box<dyn Answer>;
}

/// The answer on a connection, as far as it has arrived.
pub(super) trait Answer: Debug + Send {
    /// The one before is complete, and another request is sent on the same connection.
    fn next(&mut self);

    /// Takes what has arrived. Gives the outcome when the answer is complete.
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, Broken>;

    /// The peer closed its side: the outcome, if the answer is complete with that.
    fn close(&self) -> Option<Outcome>;

    fn backend(&self) -> Option<&str>;

    /// Whether the connection can take another request.
    fn keeps_connection(&self) -> bool;

    /// Whether what has arrived belongs to the answer, not to the connection alone.
    fn has_begun(&self) -> bool {
        true
    }

    /// What is to be sent back, if anything: what was sent of it is removed.
    fn reply(&mut self) -> Option<&mut Vec<u8>> {
        None
    }

    /// Takes what has arrived between two attempts: whether the connection can still be used.
    fn idle(&mut self, _: &[u8]) -> bool {
        false
    }
}

/// Why there will be no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Malformed,
    /// The peer says that it has ended the connection, in order.
    Closed,
    /// The peer says that it gives up this request.
    Reset,
}

impl From<Malformed> for Broken {
    fn from(_: Malformed) -> Self {
        Broken::Malformed
    }
}

/// As the connection itself would tell it.
impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Malformed => io::ErrorKind::InvalidData,
            Broken::Closed => io::ErrorKind::UnexpectedEof,
            Broken::Reset => io::ErrorKind::ConnectionReset,
        }
        .into()
    }
}
