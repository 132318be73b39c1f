//! HTTP/2's frames and header fields, the same for the prober and for the pods of an embedded
//! cluster. Bytes only: no sockets, no state.

pub(crate) mod frame;
pub(crate) mod hpack;

/// What was read is not what the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;
