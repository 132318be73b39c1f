//! The kinds of probe that a prober carries out: each is a file with a [`Protocol`], and a variant
//! of [`Question`].

use serde::{Deserialize, Serialize};

use super::connect::Connect;
use super::dns::{Dns, DnsQuestion};
use super::grpc::{Grpc, GrpcQuestion};
use super::http::{Http, HttpQuestion};
use super::protocol::Protocol;
use super::tls::{Tls, TlsQuestion};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    Http(Box<HttpQuestion>),
    /// The address of a name, asked of the destination.
    Dns(DnsQuestion),
    /// A TCP connection: opened and closed; when it is reused, kept and checked to be still open.
    Tcp,
    /// A TLS handshake on a TCP connection.
    Tls(TlsQuestion),
    /// The health of a gRPC server.
    Grpc(Box<GrpcQuestion>),
}

impl Question {
    /// Errors when it can't be asked.
    pub(super) fn prepare(&self, reused: bool) -> Result<Box<dyn Protocol>, String> {
        Ok(match self {
            Question::Http(question) => Box::new(Http::new(question, reused)?),
            Question::Grpc(question) => Box::new(Grpc::new(question, reused)?),
            Question::Dns(question) => Box::new(Dns::new(question)),
            Question::Tcp => Box::new(Connect { tls: None }),
            Question::Tls(question) => Box::new(Connect { tls: Some(Tls::new(question)?) }),
        })
    }
}
