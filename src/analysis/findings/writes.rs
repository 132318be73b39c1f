//! The writes of the quiet time before the first fault.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{Between, Seconds};

/// What was written in the quiet time before the first fault, by the counters of the API servers and
/// of etcd: a reading when the steady state began to be waited for, and one right before the fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WritesFinding {
    /// The time between the readings: at least, because each took some time, and at most.
    pub seconds: Between,
    /// The number of nodes.
    pub nodes: u32,
    /// The number of API servers whose counters are added up.
    pub api_servers: u32,
    /// The number of control-plane nodes, each with an API server; 0: not known.
    pub control_planes: u32,
    /// The write requests that succeeded, by kind: `PATCH nodes/status`.
    pub requests: BTreeMap<String, u64>,
    /// Of these, the nodes' status.
    pub node_status: u64,
    /// Of these, renewals of the nodes' leases, as the watch saw them: API servers do not count leases by
    /// namespace.
    pub node_leases: u64,
    /// Of these, renewals of this program's own Lease.
    pub own: u64,
    /// The puts and deletes of etcd; `None`: not read.
    pub etcd: Option<Counted>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// A count of some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// The number.
    pub count: u64,
    /// In which time: at least and at most.
    pub seconds: Between,
}

impl Default for WritesFinding {
    fn default() -> Self {
        Self {
            seconds: Between::new(Seconds::ZERO, Seconds::ZERO),
            nodes: 0,
            api_servers: 0,
            control_planes: 0,
            requests: BTreeMap::new(),
            node_status: 0,
            node_leases: 0,
            own: 0,
            etcd: None,
            unread: Vec::new(),
        }
    }
}

impl WritesFinding {
    /// All write requests.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Those that are neither a node's heartbeat nor this program's own.
    pub fn other(&self) -> u64 {
        self.total() - self.node_status - self.node_leases - self.own
    }
}
