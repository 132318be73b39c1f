//! What can go wrong with the embedded cluster, in words for people.

use std::net::SocketAddr;
use std::time::Duration;

/// Why the embedded cluster can't be. Fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddedError {
    /// Another program listens there.
    #[error("serve the API on {address}: the port is taken")]
    PortTaken {
        /// Where it should listen.
        address: SocketAddr,
    },
    /// The system does not let us listen there.
    #[error("serve the API on {address}: {why}")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
        /// The system's words.
        why: String,
    },
    /// Anybody on the way could read the token: the API speaks plain HTTP.
    #[error("serve the API on {address}: it speaks plain HTTP and so is served on loopback only")]
    NotLoopback {
        /// Where it should listen.
        address: SocketAddr,
    },
    /// The system gives no addresses.
    #[error("have a network of its own on loopback: {why}")]
    NoAddresses {
        /// Why not.
        why: String,
    },
    /// More nodes than there is room for, or no control plane.
    #[error("model {nodes} nodes: {why}")]
    Nodes {
        /// How many were wished.
        nodes: usize,
        /// Why not.
        why: String,
    },
    /// Settings with which no cluster can be.
    #[error("model a cluster with these settings: {0}")]
    Settings(crate::model::Unpredictable),
    /// The system has no thread for it.
    #[error("start the embedded cluster's thread: {why}")]
    Thread {
        /// Why not.
        why: String,
    },
    /// What was to be done needs a machine that is on.
    #[error("do anything in the node: it is off")]
    Off,
    /// Somebody took a deed back before it had an effect.
    #[error("do it to the node: it was taken back before it could be")]
    TakenBack,
    /// The model is stuck, or something else goes on on the node.
    #[error("see what was done to the node take effect: it did not within {} s", .within.as_secs())]
    NoEffect {
        /// How long was waited.
        within: Duration,
    },
    /// It has ended.
    #[error("reach the embedded cluster: it has ended")]
    Ended,
}

impl EmbeddedError {
    /// What a person can do about it, where there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::PortTaken { .. } => "port 0 lets the system choose a free one".into(),
            Self::NoAddresses { .. } => {
                "it needs addresses in 127.0.0.0/8, which Linux has; elsewhere --cluster kind runs the experiment".into()
            }
            Self::Off => "a step before it may have stopped or killed the node, and not started it again".into(),
            Self::Listen { .. } | Self::Nodes { .. } | Self::Settings(_) | Self::Thread { .. } => return None,
            Self::TakenBack | Self::NoEffect { .. } | Self::Ended => return None,
            Self::NotLoopback { address } => format!("use 127.0.0.1:{}", address.port()),
        })
    }
}
