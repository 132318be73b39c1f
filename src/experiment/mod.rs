//! An experiment: from the text of a file to a validated, typed [`Experiment`], with all problems at once.
//!
//! ```text
//! where it lies (source.rs) -> text -> located tree (yaml.rs, tree.rs) -> typed draft (decode/) -> checks across fields (check/)
//! ```

mod decode;
mod suggest;
mod yaml;

pub mod diagnostic;
pub mod schema;
pub mod tree;

pub use diagnostic::{Diagnostic, Diagnostics, Location, Related, Severity, SourceFile, Span};
pub use schema::*;
