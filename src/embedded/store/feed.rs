//! Everything that is written, in order, without a queue: whoever follows reads the store's history at his own pace.

use tokio::sync::watch;

use super::StoreError;
use super::handle::Store;
use super::state::Change;

/// All writes after a revision, as they come.
#[derive(Debug)]
pub struct Feed {
    store: Store,
    after: u64,
    newest: watch::Receiver<u64>,
}

impl Feed {
    pub(super) fn new(store: Store, after: u64, newest: watch::Receiver<u64>) -> Self {
        Self { store, after, newest }
    }

    /// The next writes: at least one, and all that are known. May be dropped and called again: nothing is lost. Errors with
    /// [`StoreError::Expired`] when it is too far behind: list again, and follow from there.
    pub async fn next(&mut self) -> Result<Vec<Change>, StoreError> {
        loop {
            self.newest.mark_unchanged();
            let changes = self.store.changes(self.after)?;
            if let Some(last) = changes.last() {
                self.after = last.revision;
                return Ok(changes);
            }
            // The sender lives as long as the store that is held here.
            let _ = self.newest.changed().await;
        }
    }

    /// The revision up to which everything was given.
    pub fn at(&self) -> u64 {
        self.after
    }
}
