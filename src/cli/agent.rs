//! `agent`: the prober inside a node, started by a run through the container engine.

use super::args::Agent;
use super::{exit, failure::Failure};

/// Serves until its parent's stream ends.
pub fn agent(args: &Agent) -> Result<u8, Failure> {
    if let Some(path) = &args.unlink {
        // What is running needs no name any more: nothing is left behind, however this ends.
        let _ = std::fs::remove_file(path);
    }
    crate::agent::serve(std::io::stdin(), std::io::stdout())
        .map(|()| exit::PASS)
        .map_err(|e| Failure { code: exit::INCONCLUSIVE, text: format!("error: {e}") })
}
