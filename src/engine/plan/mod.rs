//! What a plan needs from the API: which pods a fault hits, where probes run, what they ask.

pub(in crate::engine) mod asking;
pub(crate) mod behind;
pub(crate) mod canaries;
pub(crate) mod known;
mod look_up;
mod object_fault;
pub(in crate::engine) mod placement;
pub(crate) mod pods;
mod secrets;
pub(crate) mod strangers;

pub(crate) use placement::found;
