//! What is looked at before an experiment runs: the rights that it needs, and what was found. Pure:
//! `engine/preflight.rs` asks the cluster.

mod finding;
pub(crate) mod judge;
pub(crate) mod rights;
pub(crate) mod role;

pub(crate) use finding::{Check, Finding, Level};
pub(crate) use rights::Right;
