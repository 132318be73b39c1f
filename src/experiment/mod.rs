//! An experiment: from the text of a file to a validated, typed [`Experiment`], with all problems at once.
//!
//! ```text
//! text -> located tree (tree.rs) -> typed experiment (decode.rs) -> checks across fields (check.rs)
//! ```

pub mod schema;

pub use schema::*;
