//! A DNS probe: the address of a name.

use serde::{Deserialize, Serialize};

use super::protocol::{NameLookup, Protocol};

/// The address of a name: A, or AAAA where there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsQuestion {
    /// The name in full: no search domain is tried.
    pub name: String,
    /// Whether an answer is used again until it expires, as a client with a cache does.
    pub cached: bool,
}

#[derive(Debug)]
pub(super) struct Dns(NameLookup);

impl Dns {
    pub(super) fn new(question: &DnsQuestion) -> Self {
        let name = format!("{}.", question.name.trim_end_matches('.'));
        Self(NameLookup { name, cached: question.cached })
    }
}

impl Protocol for Dns {
    fn lookup(&self) -> Option<&NameLookup> {
        Some(&self.0)
    }
}
