//! Names to addresses: what glibc's resolver does, without it. In a static binary that loads the
//! system's libraries at run time, and fails where they differ; and the prober times each step.

mod lookup;
mod message;
mod names;
mod system;

pub(crate) use lookup::{Lookup, Step};
#[cfg(test)]
pub(crate) use message::tests::answer;
pub use names::NameService;
pub(crate) use system::resolve;

/// Reads a packet as the answer to a query for an IPv4 address (for `cli::fuzz`).
pub(crate) fn read_answer(packet: &[u8], query: &[u8]) {
    message::decode(packet, query, hickory_proto::rr::RecordType::A);
}
