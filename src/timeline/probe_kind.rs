//! The kinds of probe: what experiments and timelines call them, and what the rest must know of
//! each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In a path, a header or a body: stands for a number of 16 digits that no other attempt has, in
/// this run or another.
pub(crate) const UNIQUE: &str = "$(unique)";
pub(crate) const UNIQUE_DIGITS: usize = 16;

/// The longest body over HTTP/2: what a server allows before it says that it takes more.
pub(crate) const MAX_HTTP2_BODY: usize = 65_535;

/// The path of a gRPC health check, as gRPC forms it from the method's name.
pub(crate) const GRPC_HEALTH_PATH: &str = "/grpc.health.v1.Health/Check";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ProbeKind {
    Http,
    Tcp,
    Tls,
    /// A gRPC server's health.
    Grpc,
    Api,
    /// The address of a name.
    Dns,
    /// An operation of the control plane.
    Canary,
    /// One that a newer program wrote into a timeline.
    Unknown(String),
}

impl ProbeKind {
    /// All that an experiment can name.
    pub const ALL: [ProbeKind; 7] = [
        ProbeKind::Http,
        ProbeKind::Tcp,
        ProbeKind::Tls,
        ProbeKind::Grpc,
        ProbeKind::Api,
        ProbeKind::Dns,
        ProbeKind::Canary,
    ];

    pub fn name(&self) -> &str {
        match self {
            ProbeKind::Http => "http",
            ProbeKind::Tcp => "tcp",
            ProbeKind::Tls => "tls",
            ProbeKind::Grpc => "grpc",
            ProbeKind::Api => "api",
            ProbeKind::Dns => "dns",
            ProbeKind::Canary => "canary",
            ProbeKind::Unknown(name) => name,
        }
    }

    /// Whether the control plane is asked to do something, by this program instead of a prober.
    pub fn is_canary(&self) -> bool {
        *self == ProbeKind::Canary
    }

    /// Whether it needs credentials, which never leave this machine: it asks from here alone.
    pub fn needs_credentials(&self) -> bool {
        matches!(self, ProbeKind::Api | ProbeKind::Canary)
    }

    /// Whether success on a kept connection proves that the peer answers. A kept connection to a
    /// dead peer looks open.
    pub fn proves_peer_when_reused(&self) -> bool {
        !matches!(self, ProbeKind::Tcp | ProbeKind::Tls)
    }

    /// What it asks for that the embedded cluster does not have.
    pub fn not_embedded(&self) -> Option<&'static str> {
        match self {
            ProbeKind::Dns => Some("DNS"),
            ProbeKind::Tls => Some("TLS"),
            _ => None,
        }
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<String> for ProbeKind {
    fn from(name: String) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.unwrap_or(ProbeKind::Unknown(name))
    }
}

impl From<ProbeKind> for String {
    fn from(kind: ProbeKind) -> Self {
        kind.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_as_they_are_written_and_unknown_ones_are_kept() {
        for kind in ProbeKind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<ProbeKind>(&json).unwrap(), kind);
        }
        let newer: ProbeKind = serde_json::from_str("\"quic\"").unwrap();
        assert_eq!(newer, ProbeKind::Unknown("quic".into()));
        assert_eq!(serde_json::to_string(&newer).unwrap(), "\"quic\"");
    }
}
