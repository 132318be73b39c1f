//! Several undos, where one may be in the way of another.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::engine::error::RunError;
use crate::engine::undo::ledger::Entry;

/// Something that could not be undone. It stays in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct NotUndone {
    pub what: String,
    /// The command by which a person can do it, where there is one.
    pub by_hand: Option<String>,
    pub why: RunError,
}

impl NotUndone {
    pub(in crate::engine) fn new(entry: &Entry, why: RunError) -> Self {
        Self { what: entry.undo.describe(), by_hand: entry.undo.by_hand(), why }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UndoPhase {
    Undo,
    /// Whether it works again. A node's heartbeats need the control plane, which another entry may
    /// bring back: so this comes after all undos.
    Verify,
}

/// Undoes one after the other, each whatever becomes of those before it, then verifies them, and
/// then once more what failed, as long as a pass has undone something: one may have been in
/// another's way (a drained node is uncordoned through an API that a later undo brings back). What
/// is left, with why.
pub(crate) async fn in_passes(
    mut pending_entries: Vec<Entry>,
    mut run: impl AsyncFnMut(&Entry, UndoPhase) -> Result<(), RunError>,
) -> Vec<(Entry, RunError)> {
    loop {
        let before = pending_entries.len();
        let mut failed = Vec::new();
        for phase in [UndoPhase::Undo, UndoPhase::Verify] {
            for entry in std::mem::take(&mut pending_entries) {
                // A bug of ours in one undo must not keep the others from being done.
                let result = AssertUnwindSafe(run(&entry, phase)).catch_unwind().await;
                match result.unwrap_or_else(|panic| Err(RunError::panicked(panic.as_ref()))) {
                    Err(why) => failed.push((entry, why)),
                    Ok(()) => pending_entries.push(entry),
                }
            }
        }
        if failed.is_empty() || failed.len() == before {
            return failed;
        }
        pending_entries = failed.into_iter().map(|(entry, _)| entry).collect();
    }
}
