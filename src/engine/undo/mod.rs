//! What must be undone in a cluster, and the undo: at a run's end, by `recover`, and by the
//! watchdog of a dead run.
//!
//! ```text
//! ledger.rs (undo entries, on disk) <- rollback.rs (a run's end) -> recover.rs (with the real tools) -> back_off.rs
//!                  passes.rs (several undos, in any order) ----^
//!                  uploads.rs (files that may still arrive in a node) ----^
//!           settings.rs (a study's settings in the nodes) ----^
//!                                      watchdog.rs (where the run itself is gone)
//! ```

pub(in crate::engine) mod back_off;
pub(crate) mod hit_control_planes;
pub(crate) mod ledger;
pub(crate) mod passes;
pub(crate) mod recover;
pub(crate) mod rollback;
pub(crate) mod settings;
pub(crate) mod uploads;
pub(crate) mod watchdog;
