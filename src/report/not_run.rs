//! Experiments that were not run.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an experiment was not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum NotRun {
    /// It was refused before any fault was injected, or is invalid.
    Refused,
    /// The cluster does not have what it needs.
    Skipped,
    /// The suite ended before it was run.
    #[serde(alias = "notBegun")]
    NotStarted,
}

/// An error in a file that keeps an experiment from being run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Its path as it was typed.
    pub file: String,
    /// From 1.
    pub line: u32,
    pub message: String,
}

impl NotRun {
    /// As reports print it.
    pub fn word(self) -> &'static str {
        match self {
            NotRun::Refused => "REFUSED",
            NotRun::Skipped => "SKIPPED",
            NotRun::NotStarted => "NOT STARTED",
        }
    }
}
