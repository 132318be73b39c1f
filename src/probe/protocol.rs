//! What a kind of probe does, step by step.

use std::borrow::Cow;
use std::fmt::Debug;

use super::tls::Tls;
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
    /// The bytes that the attempt of this slot sends.
    fn request(&self, slot: u64) -> Cow<'_, [u8]>;

    fn answer(&self) -> Box<dyn Answer>;
}

/// An answer, as far as it has arrived.
pub(super) trait Answer: Debug + Send {
    /// Takes what has arrived. Gives the outcome when the answer is complete.
    fn push(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, Malformed>;

    /// The peer closed its side: the outcome, if the answer is complete with that.
    fn close(&self) -> Option<Outcome>;

    fn backend(&self) -> Option<&str>;

    /// Whether the connection can take another request.
    fn keeps_connection(&self) -> bool;
}

/// What was read is not an answer of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;
