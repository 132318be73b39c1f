//! Located YAML: text -> trees in which every node knows its place, and problems that are drawn at
//! a place.

pub(crate) mod diagnostic;
pub(crate) mod hidden;
pub(crate) mod inner;
pub(crate) mod json;
pub(crate) mod parse;
pub(crate) mod suggest;
pub(crate) mod tree;

pub(crate) use diagnostic::{Diagnostic, Diagnostics, Location, Severity, SourceFile, Span};
pub(crate) use parse::{documents, parse};

#[cfg(test)]
pub(crate) use parse::tests;
