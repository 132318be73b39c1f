//! Carries an experiment out: preflight, targets, steady state, faults, the undo ledger, abort.
//!
//! ```text
//! session.rs -> handle/ (the cluster that it runs on, found or made; its lock)
//!    '-> run.rs (the order of things) -> backend/ (all that may be done to the backend: kind, embedded, a fake one)
//!           |-> plan/ (the method on the nodes, before any harm), method.rs (step by step)
//!           |-> undo/ (what is owed, and taking it back)
//!           '-> recorder.rs (the one task that writes the timeline) -> live.rs -> steady_state.rs
//! ```

pub mod abort;
pub mod backend;
pub mod clock;
pub mod environment;
pub mod error;
pub mod leaders;
pub mod live;
mod method;
pub mod observers;
pub mod plan;
pub mod recorder;
pub mod run;
pub mod seed;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod steady_state;
pub mod undo;
pub mod voice;
