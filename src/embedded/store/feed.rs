//! Everything that is written, in order, without a queue: whoever follows reads the store's history
//! at his own pace.

use tokio::sync::watch;

use super::handle::Store;
use super::state::Change;
use super::{Kind, StoreError};

/// All writes after a revision (to one kind of objects), as they come.
#[derive(Debug)]
pub(crate) struct Feed {
    store: Store,
    kind: Option<&'static Kind>,
    after: u64,
    newest: watch::Receiver<u64>,
}

impl Feed {
    pub(super) fn new(
        store: Store,
        kind: Option<&'static Kind>,
        after: u64,
        newest: watch::Receiver<u64>,
    ) -> Self {
        Self { store, kind, after, newest }
    }

    /// The next writes: at least one, and all that are known. May be dropped and called again:
    /// nothing is lost. Errors with [`StoreError::Expired`] when it is too far behind: list again,
    /// and follow from there.
    pub(crate) async fn next(&mut self) -> Result<Vec<Change>, StoreError> {
        loop {
            self.newest.mark_unchanged();
            let (changes, newest) = self.store.changes(self.kind, self.after)?;
            // A client may name a revision that is still to come.
            self.after = self.after.max(newest);
            if !changes.is_empty() {
                return Ok(changes);
            }
            // The sender lives as long as the store that is held here.
            let _ = self.newest.changed().await;
        }
    }

    /// The revision up to which everything was given.
    pub(crate) fn at(&self) -> u64 {
        self.after
    }
}
