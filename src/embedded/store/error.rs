//! Why the store refuses.

/// A field of an object, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub field: String,
    pub message: String,
}

impl Cause {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Why an object was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("not found")]
    NotFound,
    #[error("already exists")]
    AlreadyExists,
    /// The object has another uid or another resourceVersion than the writer believes.
    #[error("{why}")]
    Conflict { why: String },
    /// The revision is too old to be known.
    #[error("too old resource version: {asked} ({oldest})")]
    Expired {
        asked: u64,
        /// The oldest after which everything is known.
        oldest: u64,
    },
}
