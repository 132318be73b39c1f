//! What can go wrong with the embedded cluster, in words for people.

use std::net::SocketAddr;

/// Why the embedded cluster can't be. Fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
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
    /// Anybody could command the cluster: its API asks for no credentials.
    #[error("serve the API on {address}: it asks for no credentials and so is served on loopback only")]
    NotLoopback {
        /// Where it should listen.
        address: SocketAddr,
    },
}

impl EmbeddedError {
    /// What a person can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::PortTaken { .. } => "port 0 lets the system choose a free one".into(),
            Self::Listen { .. } => return None,
            Self::NotLoopback { address } => format!("use 127.0.0.1:{}", address.port()),
        })
    }
}
