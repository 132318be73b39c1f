//! A study under way: in which order its cells are run, what a budget buys, and its record on disk,
//! from which it goes on after any interruption.
//!
//! ```text
//! cells, seed -> plan.rs (order) -> a run each, with its record before and after (journal.rs) -> report/study
//!                    \-> budget.rs: which cell is next, with a budget
//! ```

pub(crate) mod budget;
pub(crate) mod journal;
pub(crate) mod plan;
