//! `agent`: the prober inside a node, started by a run through the container engine.

use super::args::Agent;
use super::{exit, failure::Failure};
use crate::engine::error::RunError;

/// Serves until its parent's stream ends.
pub(super) fn agent(args: &Agent) -> Result<u8, Failure> {
    crate::agent::serve(std::io::stdin(), std::io::stdout(), args.unlink.as_deref())
        .map(|()| exit::PASS)
        .map_err(|error| RunError::failed("the agent stopped early").because(&error).into())
}
