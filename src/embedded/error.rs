//! What can go wrong with the embedded cluster, in words for people.

use crate::timeline::format_seconds;
use std::net::SocketAddr;
use std::time::Duration;

/// Why the embedded cluster can't be. Fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddedError {
    /// Another program listens there.
    #[error("serve the API on {address}: the port is taken")]
    PortTaken { address: SocketAddr },
    /// The system does not let us listen there.
    #[error("serve the API on {address}: {why}")]
    Listen { address: SocketAddr, why: String },
    /// Anybody on the way could read the token: the API speaks plain HTTP.
    #[error("serve the API on {address}: it speaks plain HTTP and so is served on loopback only")]
    NotLoopback { address: SocketAddr },
    #[error("claim addresses on loopback: {why}")]
    NoAddresses { why: String },
    /// Some program listens there on every address, or there are as many clusters as can be.
    #[error("claim addresses on loopback: ports {} and {} are taken on all of them", .ports[0], .ports[1])]
    AddressesTaken { ports: [u16; 2] },
    /// More nodes than the limit is, or no control plane.
    #[error("model {nodes} nodes: {why}")]
    Nodes { nodes: usize, why: String },
    #[error("model a cluster with these settings: {0}")]
    Settings(crate::model::Unpredictable),
    #[error("start the embedded cluster's thread: {why}")]
    Thread { why: String },
    /// What was to be done needs a machine that is on.
    #[error("act inside the node: it is off")]
    Off,
    #[error("act on the node: the action was undone before it took effect")]
    Undone,
    /// The model is stuck, or something else goes on on the node.
    #[error("change the node: the change did not take effect within {}", format_seconds(*.within))]
    NoEffect { within: Duration },
    #[error("reach the embedded cluster: it has stopped")]
    Ended,
}

impl EmbeddedError {
    /// What a person can do about it, where there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::PortTaken { .. } => {
                "another program has just taken it; run the command again".into()
            }
            Self::NoAddresses { .. } => {
                "it needs addresses in 127.0.0.0/8, as on Linux; elsewhere use --cluster kind"
                    .into()
            }
            Self::AddressesTaken { ports } => {
                format!(
                    "`ss -ltnp` shows the programs that listen on port {} and {}; stop one",
                    ports[0], ports[1]
                )
            }
            Self::Off => {
                "an earlier step may have stopped or killed the node without starting it again"
                    .into()
            }
            Self::Listen { .. } | Self::Nodes { .. } | Self::Settings(_) | Self::Thread { .. } => {
                return None;
            }
            Self::Undone | Self::NoEffect { .. } | Self::Ended => return None,
            Self::NotLoopback { address } => format!("use 127.0.0.1:{}", address.port()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_have_are_not_taken_for_a_system_without_any() {
        let taken = EmbeddedError::AddressesTaken { ports: [26_443, 36_443] };
        assert!(taken.to_string().contains("ports 26443 and 36443 are taken"), "{taken}");
        assert!(taken.hint().unwrap().contains("ss -ltnp"));
        let none = EmbeddedError::NoAddresses { why: "not there".into() };
        assert!(none.hint().unwrap().contains("--cluster kind"));
    }
}
