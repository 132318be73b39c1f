//! The workload that stands in a cluster between two runs.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `None`: each run makes its own.
#[derive(Default)]
pub(crate) struct KeptWorkload(Mutex<Option<Kept>>);

/// The workload of a run that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Kept {
    pub namespace: String,
    /// The run whose it was.
    pub run: String,
    /// Its undo in the ledger.
    pub entry: u64,
    /// What was asked for.
    pub objects: Vec<serde_json::Value>,
    /// Its pods when it was first ready, and where they were.
    pub pods: BTreeSet<String>,
}

impl KeptWorkload {
    pub(in crate::engine) fn set(&self, kept: Option<Kept>) {
        *self.lock() = kept;
    }

    pub(in crate::engine) fn get(&self) -> Option<Kept> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
