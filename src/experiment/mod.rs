//! An experiment: from the text of a file to a validated, typed [`Experiment`], with all problems at once.
//!
//! ```text
//! where it lies (source.rs) -> text -> located tree (yaml.rs, tree.rs) -> one for each setting (matrix.rs) -> typed draft (decode/)
//!                           -> the files that it names (files.rs) -> checks across fields (check/) -> Parsed
//! ```

mod asking;
mod builtin;
mod check;
mod claim;
mod decode;
mod files;
mod matrix;
mod method;
mod parsed;
pub(crate) mod suggest;
pub(crate) mod tree;
pub(crate) mod yaml;

pub mod diagnostic;
pub mod schema;
pub mod source;

pub use asking::{ApiServer, ApiVerb, DnsName};
pub use claim::{Claim, FailMeans, PassMeans};
pub use decode::duration::{
    Misread, duration as parse_duration, rate as parse_rate, written as written_duration,
};
pub use diagnostic::{Diagnostic, Diagnostics, Location, Related, Severity, SourceFile, Span};
pub use method::Numbered;
pub use parsed::{KindConfigFile, More, Parsed, WorkloadFile, parse, parse_all, parse_all_with};
pub use schema::*;
pub use source::{Source, built_in_names, load, load_all};
pub use suggest::closest;
