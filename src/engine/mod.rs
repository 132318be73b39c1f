//! Carries an experiment out: preflight, targets, steady state, faults, the undo ledger, abort.
//!
//! ```text
//! run.rs (the order of things) -> world.rs (what may be done to the world) -> kind_world.rs, embedded_world.rs
//!    |-> plan.rs (the method on the nodes, before any harm), method.rs (step by step)
//!    |-> ledger.rs, rollback.rs (what is owed, and taking it back)
//!    '-> recorder.rs (the one task that writes the timeline) -> live.rs -> steady_state.rs
//! ```

pub mod abort;
mod asking;
mod back_off;
pub mod blast_radius;
pub mod canaries;
pub mod clock;
mod dead_man;
pub mod each_server;
pub mod embedded_folder;
pub mod embedded_ground;
pub mod embedded_world;
#[cfg(test)]
mod fake_world;
mod inotify;
mod kind_addresses;
pub mod kind_ground;
pub mod kind_world;
pub mod leaders;
pub mod ledger;
pub mod live;
mod method;
mod needs;
mod object_fault;
pub mod observers;
mod placement;
pub mod plan;
pub mod provision;
pub mod recorder;
pub mod recover;
pub mod restore;
pub mod rollback;
pub mod run;
pub mod seed;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod state_dir;
pub mod steady_state;
pub mod target;
pub mod tenant;
pub mod trouble;
pub mod voice;
pub mod watchdog;
pub mod world;
