//! Why the store refuses.

/// Why an object was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// No such object.
    #[error("not found")]
    NotFound,
    /// One of that name is there.
    #[error("already exists")]
    AlreadyExists,
    /// The object has another uid or another resourceVersion than the writer believes.
    #[error("{why}")]
    Conflict {
        /// What differs.
        why: String,
    },
    /// So old a revision is no longer known.
    #[error("too old resource version: {asked} ({oldest})")]
    Expired {
        /// The revision that was asked for.
        asked: u64,
        /// The oldest after which everything is known.
        oldest: u64,
    },
}
