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
