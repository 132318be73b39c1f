//! What a prober is asked to do: fully resolved questions, which travel to agents as JSON.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kind::Question;
use crate::timeline::ProbeHeader;

/// One question, asked at a fixed rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeSpec {
    /// How reports name it. Its `reused` is what the prober goes by.
    pub header: ProbeHeader,
    pub destination: Destination,
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Destination {
    Address(SocketAddr),
    /// The name servers of the prober's network, as its `resolv.conf` names them.
    Resolver,
    /// A name, resolved anew for every new connection, through the `resolv.conf` of the prober's
    /// network.
    Name {
        host: String,
        port: u16,
    },
}
