//! What a person types: one file a command; diagnostics, progress, exit codes.

pub mod diagnostics;
