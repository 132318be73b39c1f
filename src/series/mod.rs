//! Several runs: their order, and which is next, by how those before have ended.

pub(crate) mod order;
pub(crate) mod schedule;
pub(crate) mod shard;
