//! Carries an experiment out: preflight, targets, steady state, faults, the undo ledger, abort.
//!
//! ```text
//! session.rs -> handle/ (the cluster that it runs on, found or made; its lock)
//!    '-> run.rs (the order of things) -> backend/ (all that may be done to the backend: kind, embedded, a fake one)
//!           |-> plan/ (the method on the nodes, before any fault), method.rs (step by step)
//!           |-> undo/ (the undo ledger, and the undo)
//!           '-> recorder.rs (the one task that writes the timeline) -> live.rs -> steady_state.rs -> diagnosis.rs
//! ```

pub(crate) mod abort;
pub(crate) mod backend;
pub(crate) mod clock;
mod component_logs;
mod diagnosis;
pub(crate) mod environment;
pub(crate) mod error;
#[cfg(test)]
mod existing_tests;
pub(crate) mod fault_reporter;
pub(crate) mod follower;
mod full_preflight;
pub(crate) mod granted;
mod job;
pub(crate) mod leaders;
pub(crate) mod live;
mod method;
mod node_entry;
pub(crate) mod node_preflight;
mod node_tools;
pub(crate) mod observers;
pub(crate) mod plan;
pub(crate) mod preflight;
pub(crate) mod recorder;
#[cfg(test)]
mod rights_tests;
pub(crate) mod run;
pub(crate) mod seed;
pub(crate) mod session;
pub(crate) mod shared_workload;
#[cfg(test)]
mod simulation;
pub(crate) mod steady_state;
pub(crate) mod undo;
