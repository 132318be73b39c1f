//! An experiment: from the text of a file to a validated, typed [`Experiment`], with all problems
//! together.
//!
//! ```text
//! where it lies (source.rs) -> text -> located tree (crate::yaml) -> one for each setting (matrix.rs) -> typed draft (decode/)
//!                           -> the files that it names (files.rs) -> checks across fields (check/) -> Parsed
//! ```

mod builtin;
pub(crate) mod certificate;
mod check;
mod claim;
mod decode;
pub(crate) mod feasibility;
mod files;
mod image;
mod matrix;
mod method;
mod parsed;
mod resolve;

pub(crate) mod schema;
pub(crate) mod source;
mod study;

pub(crate) use crate::yaml::{self, diagnostic, suggest, tree};
pub(crate) use crate::yaml::{Diagnostic, Diagnostics, Location, Severity, SourceFile};
pub(crate) use claim::{Claim, FailMeans, PassMeans};
pub(crate) use decode::json_schema;
pub(crate) use decode::reference::typed_service;
pub(crate) use decode::scalar::typed_namespace;
pub(crate) use decode::study::json_schema as study_json_schema;
pub(crate) use files::{Place, Setting};
pub(crate) use image::{full_image, typed_image};
pub(crate) use method::Numbered;
#[cfg(test)]
pub(crate) use parsed::read;
pub(crate) use parsed::{Parsed, parse, read_for};
pub(crate) use schema::*;
pub(crate) use source::{
    Source, as_study, built_in_names, built_in_studies, is_study, load, load_all, load_file,
    load_files, load_study,
};
pub(crate) use study::Choice;
pub(crate) use study::{Cell, Study, read_study};
