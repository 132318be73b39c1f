//! Taking back what is owed: at the end of every run, however it ends.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;

use crate::engine::backend::Backend;
use crate::engine::error::RunError;
use crate::engine::recorder::Recorder;
use crate::engine::undo::ledger::{Entry, FaultRef, Ledger, UndoEntry};
use crate::engine::voice::Voice;
use crate::timeline::Event;

/// Something that could not be taken back. It stays in the ledger.
#[derive(Clone, Debug)]
pub(crate) struct NotUndone {
    /// What it is, and how it would be undone.
    pub what: String,
    /// The command by which a person can do it, where there is one.
    pub by_hand: Option<String>,
    /// Why not.
    pub why: RunError,
}

impl NotUndone {
    pub(in crate::engine) fn new(entry: &Entry, why: RunError) -> Self {
        Self { what: entry.undo.describe(), by_hand: entry.undo.by_hand(), why }
    }
}

/// Undoes a run's faults, the last one first.
pub(crate) async fn faults(
    run: &str,
    backend: &impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let owed = pending(run, ledger, |undo| undo.fault().is_some());
    if !owed.is_empty() {
        recorder.event(Event::Stage { name: Event::UNDO.into() });
    }
    all(owed, backend, recorder, ledger).await
}

/// Takes back all else that a run owes, the last first.
pub(crate) async fn rest(
    run: &str,
    backend: &impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let owed = pending(run, ledger, |undo| undo.fault().is_none());
    all(owed, backend, recorder, ledger).await
}

fn pending(run: &str, ledger: &Ledger, which: impl Fn(&UndoEntry) -> bool) -> Vec<Entry> {
    ledger
        .pending()
        .iter()
        .rev()
        .filter(|entry| entry.run == run && which(&entry.undo))
        .cloned()
        .collect()
}

async fn all(
    owed: Vec<Entry>,
    backend: &impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let left = in_passes(owed, async |entry: &Entry| {
        take_back(&entry.undo, &voice(&entry.undo, recorder), backend).await?;
        ledger.settle(entry.id)
    });
    left.await.into_iter().map(|(entry, why)| NotUndone::new(&entry, why)).collect()
}

/// Takes back one after the other, each whatever becomes of those before it, and then once more what failed, as long as a pass has taken
/// something back: one may have been in another's way (a drained node is uncordoned through an API that a later undo brings back). What is
/// left, with why.
pub(crate) async fn in_passes(
    mut owed: Vec<Entry>,
    mut take_back: impl AsyncFnMut(&Entry) -> Result<(), RunError>,
) -> Vec<(Entry, RunError)> {
    loop {
        let before = owed.len();
        let mut failed = Vec::new();
        for entry in owed {
            // A fault of our own in one undo must not keep the others from being done.
            let taken_back = AssertUnwindSafe(take_back(&entry)).catch_unwind().await;
            if let Err(why) =
                taken_back.unwrap_or_else(|panic| Err(RunError::panicked(panic.as_ref())))
            {
                failed.push((entry, why));
            }
        }
        if failed.is_empty() || failed.len() == before {
            return failed;
        }
        owed = failed.into_iter().map(|(entry, _)| entry).collect();
    }
}

/// Who tells of an undo's progress.
pub(crate) fn voice<'a>(undo: &'a UndoEntry, recorder: &'a Recorder) -> Voice<'a> {
    match undo.fault() {
        Some(FaultRef { step, kind, component, node }) => {
            Voice { step, name: None, kind: Some(kind), component, target: node, recorder }
        }
        None => Voice { step: 0, name: None, kind: None, component: None, target: "", recorder },
    }
}

/// Takes one undo back; only then may it be struck from the ledger.
pub(crate) async fn take_back(
    undo: &UndoEntry,
    voice: &Voice<'_>,
    backend: &impl Backend,
) -> Result<(), RunError> {
    let mut progress = |phase, detail| voice.say(phase, detail);
    match backend.undo(undo, &mut progress).await {
        Ok(()) => Ok(()),
        // A fault's undo has said so itself.
        Err(error) if voice.kind.is_some() => Err(error),
        Err(error) => {
            voice.recorder.event(Event::Note {
                warning: false,
                text: format!("not undone: {}: {}", undo.describe(), error.line()),
            });
            Err(error)
        }
    }
}
