//! `agent`: the prober inside a node, started by a run.

use super::args::Agent;
use super::{exit, failure::Failure};
use crate::agent::daemon;
use crate::engine::error::RunError;

/// Serves until its runner has all, or is gone.
pub(super) fn agent(args: &Agent) -> Result<u8, Failure> {
    let ended: Result<(), Box<dyn std::error::Error>> = match &args.attach {
        Some(name) => daemon::attach(name).map_err(Into::into),
        None if args.serve => daemon::serve_inherited().map_err(Into::into),
        None => daemon::launch(args.unlink.as_deref()).map_err(Into::into),
    };
    ended
        .map(|()| exit::PASS)
        .map_err(|error| RunError::failed("the agent stopped early").because(&*error).into())
}
