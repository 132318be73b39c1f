//! A DNS probe: the address of a name.

use serde::{Deserialize, Serialize};

use super::kind::Protocol;

/// The address of a name: A, or AAAA where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsQuestion {
    /// The name in full: no search domain is tried.
    pub name: String,
    /// Whether an answer is used again until it expires, as a client with a cache does.
    pub cached: bool,
}

impl DnsQuestion {
    /// The name with the dot at its end, so that no search domain is tried.
    pub(super) fn absolute_name(&self) -> String {
        format!("{}.", self.name.trim_end_matches('.'))
    }
}

impl Protocol for DnsQuestion {
    fn lookup(&self) -> Option<&DnsQuestion> {
        Some(self)
    }
}
