//! What probes of the control plane and of DNS ask.

use serde::{Deserialize, Serialize};

/// What is asked of an API server: always of the same small object, in the run's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiVerb {
    /// To read the object as it is now: goes through etcd.
    Read,
    /// To read it as it may have been (`resourceVersion=0`): is answered from the API server's cache.
    ReadCached,
    /// To change it, each time to something else: goes through etcd.
    Write,
}

impl ApiVerb {
    /// As experiments write it.
    pub fn name(self) -> &'static str {
        match self {
            ApiVerb::Read => "read",
            ApiVerb::ReadCached => "readCached",
            ApiVerb::Write => "write",
        }
    }
}

/// Which API server is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApiServer {
    /// The kubeconfig's: with several control planes that is the load balancer before them.
    Balancer,
    /// Each of them at its own address: one probe for each, called `PROBE@NODE`.
    Each,
    /// The one on this node: what became of `Each`.
    On {
        /// The node.
        node: String,
        /// Its address.
        address: String,
    },
}

/// Whose address is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DnsName {
    /// A Service's of the run's namespace.
    Service(String),
    /// Any name's, in full: no search domain is tried.
    Full(String),
}
