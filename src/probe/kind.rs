//! The kinds of probe that a prober carries out: each is a file with a [`Protocol`], and a variant
//! of [`Question`].

use std::borrow::Cow;
use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::dns::DnsQuestion;
use super::http::{Http, HttpQuestion};
use super::tcp::Tcp;
use super::tls::{Tls, TlsQuestion};
use crate::timeline::Outcome;

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// An HTTP request.
    Http(Box<HttpQuestion>),
    /// The address of a name, asked of the destination.
    Dns(DnsQuestion),
    /// A TCP connection: opened and closed; when it is reused, kept and checked to be still open.
    Tcp,
    /// A TLS handshake on a TCP connection.
    Tls(TlsQuestion),
}

impl Question {
    /// Errors when it can't be asked.
    pub(super) fn prepare(&self, reused: bool) -> Result<Box<dyn Protocol>, String> {
        Ok(match self {
            Question::Http(question) => Box::new(Http::new(question, reused)?),
            Question::Dns(question) => Box::new(question.clone()),
            Question::Tcp => Box::new(Tcp),
            Question::Tls(question) => Box::new(Tls::new(question)?),
        })
    }
}

/// How the attempts of one probe go. The prober connects to the destination, speaks TLS and
/// exchanges a request for an answer, as far as the protocol has these steps; an attempt without an
/// exchange succeeds when the connection is ready for one.
pub(super) trait Protocol: Debug + Send {
    /// The name whose look-up is the whole attempt: nothing is connected.
    fn lookup(&self) -> Option<&DnsQuestion> {
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

/// A request and its answer.
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

    /// The back end that it names.
    fn backend(&self) -> Option<&str>;

    /// Whether the connection can take another request.
    fn keeps_connection(&self) -> bool;
}

/// What was read is not an answer of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;
