//! What a prober is asked to do: fully resolved questions, which travel to agents as JSON.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::timeline::ProbeHeader;

/// One question, asked at a fixed rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSpec {
    /// How reports name it. Its `reused` is what the prober goes by.
    pub header: ProbeHeader,
    /// Whom it asks.
    pub destination: Destination,
    /// What it asks.
    pub question: Question,
    /// Nanoseconds between two attempts; at least 1.
    pub interval_ns: u64,
    /// The time that the whole of an attempt may take, in nanoseconds.
    pub timeout_ns: u64,
}

impl ProbeSpec {
    /// The time that the whole of an attempt may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout_ns)
    }

    /// The interval of a rate in attempts a second.
    pub fn interval_of(rate: f64) -> u64 {
        ((1e9 / rate).round() as u64).max(1)
    }
}

/// Whom a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Destination {
    /// An address.
    Address(SocketAddr),
    /// The name servers of the prober's network, as its `resolv.conf` names them.
    Resolver,
    /// A name, resolved anew for every new connection, through the `resolv.conf` of the prober's network.
    Name {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Question {
    /// An HTTP request.
    Http(Box<HttpQuestion>),
    /// The address of a name, asked of the destination.
    Dns(DnsQuestion),
    /// A TCP connection: opened, and closed at once; or, when it is reused, kept and checked to be still open.
    Tcp,
}

/// The address of a name: A, or AAAA where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsQuestion {
    /// The name in full: no search domain is tried.
    pub name: String,
    /// Whether an answer is used again for as long as it says that it holds, as a client with a cache does.
    pub cached: bool,
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpQuestion {
    /// `GET`, `PATCH`, ...
    pub method: String,
    /// The Host header.
    pub host: String,
    /// The path and query.
    pub path: String,
    /// Headers to send besides Host.
    pub headers: Vec<(String, String)>,
    /// The lowest and the highest status that counts as success.
    pub success: (u16, u16),
    /// The response header that names the back end, in any case.
    pub backend_header: String,
    /// What is sent behind the headers.
    pub body: Option<Body>,
    /// The value of the Authorization header. It never travels: a prober elsewhere asks without it.
    #[serde(skip)]
    pub authorization: Option<Secret<String>>,
    /// Present when TLS is spoken.
    pub tls: Option<TlsQuestion>,
}

impl HttpQuestion {
    /// A GET over plain HTTP, with nothing but defaults.
    pub fn get(host: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: "GET".into(),
            host: host.into(),
            path: path.into(),
            headers: Vec::new(),
            success: (200, 399),
            backend_header: "x-backend".into(),
            body: None,
            authorization: None,
            tls: None,
        }
    }
}

/// What is sent behind a request's headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    /// The Content-Type.
    pub content_type: String,
    /// The text. Where it has [`Body::SLOT`], each attempt sends its own number there, so that no two are alike.
    pub text: String,
}

impl Body {
    /// Stands for the attempt's number, as twelve digits.
    pub const SLOT: &str = "<<<<slot>>>>";
}

/// Something that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(pub T);

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsQuestion {
    /// Accept any certificate.
    pub insecure: bool,
    /// The name that the certificate must carry.
    pub server_name: String,
    /// Who may vouch for the certificate, as DER. Default: who vouches for the web's.
    #[serde(default)]
    pub roots: Option<Vec<Vec<u8>>>,
    /// How the client shows who it is. It never travels.
    #[serde(skip)]
    pub identity: Option<Secret<Identity>>,
}

/// A client's certificate and key, as DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificates, the client's own first.
    pub chain: Vec<Vec<u8>>,
    /// The private key: PKCS#1, PKCS#8 or SEC1.
    pub key: Vec<u8>,
}
