//! How long attempts took.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Period;
use crate::stats::{Quantile, Seconds};

/// How long a probe's attempts of one period took, from the sending of the request: how late the
/// prober was is not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The period, by the time of sending; what was in flight at a fault's request belongs to the fault.
    pub period: Period,
    /// When it began; `None`: with the data.
    pub from: Option<Seconds>,
    /// When it ended: that of a fault with its confirmed undo. `None`: with the data.
    pub until: Option<Seconds>,
    /// The number of attempts that failed.
    pub failed: u64,
    /// How many of them timed out.
    pub timed_out: u64,
    /// Of those that were answered, until the end of the answer.
    pub answered: Quantiles,
    /// Of all, where one that failed counts as slower than any answer: what `latency` is judged by.
    /// A quantile that lies among them is absent.
    pub all: Quantiles,
    /// Finding the address, where that took place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Quantiles>,
    /// Opening the TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Quantiles>,
    /// The TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Quantiles>,
    /// Sending the request and waiting for the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Quantiles>,
    /// Of those that were answered, by backend, where answers name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendLatency>,
}

impl Latency {
    /// Attempts that say something.
    pub fn judged(&self) -> u64 {
        self.answered.count + self.failed
    }

    /// The phases that took place.
    pub fn phases(&self) -> impl Iterator<Item = (&'static str, &Quantiles)> {
        let Self { dns, connect, tls, first_byte, .. } = self;
        let phases = [("DNS", dns), ("connect", connect), ("TLS", tls), ("first byte", first_byte)];
        phases.into_iter().filter_map(|(name, phase)| Some((name, phase.as_ref()?)))
    }
}

/// How long the answers of one backend took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackendLatency {
    /// Its name.
    pub backend: String,
    /// Until the end of the answer.
    #[serde(flatten)]
    pub answered: Quantiles,
}

/// Quantiles by the nearest rank: upper bounds of a histogram's buckets (HdrHistogram, three significant digits). Absent are
/// those that would take more measurements: two for the median, 10 for p90, 20 for p95, 100 for p99, 1000 for p99.9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    /// The number of measurements.
    pub count: u64,
    /// The median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<Seconds>,
    /// The 90th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<Seconds>,
    /// The 95th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<Seconds>,
    /// The 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<Seconds>,
    /// The 99.9th percentile.
    #[serde(default, rename = "p99.9", skip_serializing_if = "Option::is_none")]
    pub p999: Option<Seconds>,
    /// The longest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Seconds>,
}

impl Quantiles {
    /// Of so many measurements, of which `at` gives the one of a rank, if it has it.
    pub fn of(count: u64, at: impl Fn(u64) -> Option<Seconds>) -> Self {
        let of = |quantile: Quantile| quantile.rank(count).and_then(&at);
        Self {
            count,
            p50: of(Quantile::P50),
            p90: of(Quantile::P90),
            p95: of(Quantile::P95),
            p99: of(Quantile::P99),
            p999: of(Quantile::P999),
            max: of(Quantile::Max),
        }
    }

    pub fn get(&self, quantile: Quantile) -> Option<Seconds> {
        match quantile {
            Quantile::P50 => self.p50,
            Quantile::P90 => self.p90,
            Quantile::P95 => self.p95,
            Quantile::P99 => self.p99,
            Quantile::P999 => self.p999,
            Quantile::Max => self.max,
        }
    }
}
