//! What a prober is asked to do: fully resolved questions, which travel to agents as JSON.

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
    /// An HTTP GET.
    Http(HttpQuestion),
    /// A TCP connection: opened, and closed at once; or, when it is reused, kept and checked to be still open.
    Tcp,
}

/// An HTTP GET.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpQuestion {
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
    /// Present when TLS is spoken.
    pub tls: Option<TlsQuestion>,
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsQuestion {
    /// Accept any certificate.
    pub insecure: bool,
    /// The name that the certificate must carry.
    pub server_name: String,
}
