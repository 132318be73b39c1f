//! The undo at the end of every run, however it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::engine::backend::Backend;
use crate::engine::clock;
use crate::engine::error::RunError;
use crate::engine::fault_reporter::FaultReporter;
use crate::engine::recorder::Recorder;
use crate::engine::undo::ledger::{Entry, FaultRef, Ledger, UndoEntry};
use crate::engine::undo::passes::{NotUndone, UndoPhase, in_passes};
use crate::fault::CLOSED_WITHIN;
use crate::timeline::{Event, FaultPhase, Moment, format_seconds};

/// How long a run may try to undo its faults, and how long the rest of its clean-up may take: the
/// lock must come free for `recover` and the watchdog, who go on from the ledger.
const FAULTS: Duration = Duration::from_secs(600);
const REST: Duration = Duration::from_secs(150);
/// The same while a fault is not undone, which may be why the rest can't be done.
const REST_UNDER_FAULT: Duration = Duration::from_secs(20);

/// Undoes a run's faults, the last one first.
pub(crate) async fn faults(
    run: &str,
    backend: &impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let pending_entries = pending(run, ledger, |undo| undo.fault().is_some());
    if !pending_entries.is_empty() {
        recorder.event(Event::Stage { name: Event::UNDO.into() });
    }
    all(pending_entries, FAULTS, backend, recorder, ledger).await
}

/// What is undone of a run beside its faults.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    All,
    /// The workload stays for the next run.
    AllButWorkload,
}

/// Undoes all else of a run, the last first; a short try while a fault of it is not undone.
pub(crate) async fn rest(
    run: &str,
    what: Rest,
    backend: &impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let under_fault = ledger.faults_of(run).next().is_some();
    let limit = if under_fault { REST_UNDER_FAULT } else { REST };
    let stays = |undo: &UndoEntry| {
        what == Rest::AllButWorkload && matches!(undo, UndoEntry::Namespace { .. })
    };
    let pending_entries = pending(run, ledger, |undo| undo.fault().is_none() && !stays(undo));
    all(pending_entries, limit, backend, recorder, ledger).await
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
    pending_entries: Vec<Entry>,
    limit: Duration,
    backend: &impl Backend,
    recorder: &Recorder,
    ledger: &mut Ledger,
) -> Vec<NotUndone> {
    let end = Instant::now() + limit;
    let mut reasons: BTreeMap<u64, RunError> = BTreeMap::new();
    let left = in_passes(pending_entries, async |entry: &Entry, phase: UndoPhase| {
        let reporter = reporter(&entry.undo, recorder);
        let attempt = async {
            match phase {
                UndoPhase::Undo => undo_entry(&entry.undo, &reporter, backend).await,
                UndoPhase::Verify => verify_entry(&entry.undo, &reporter, backend).await,
            }
        };
        let result = timeout_at(end, attempt).await.unwrap_or_else(|_| {
            // The reason of an earlier pass says more.
            Err(reasons.get(&entry.id).cloned().unwrap_or_else(|| {
                let text = format!("the run stopped trying after {}", format_seconds(limit));
                reporter.report(FaultPhase::NotUndone, text.clone());
                RunError::failed(text)
            }))
        });
        if let Err(why) = &result {
            reasons.insert(entry.id, why.clone());
        }
        result?;
        if phase == UndoPhase::Verify { ledger.settle(entry.id) } else { Ok(()) }
    });
    left.await.into_iter().map(|(entry, why)| NotUndone::new(&entry, why)).collect()
}

pub(crate) fn reporter<'a>(undo: &'a UndoEntry, recorder: &'a Recorder) -> FaultReporter<'a> {
    match undo.fault() {
        Some(FaultRef { step, kind, component, node }) => {
            FaultReporter { step, name: None, kind: Some(kind), component, target: node, recorder }
        }
        None => {
            FaultReporter { step: 0, name: None, kind: None, component: None, target: "", recorder }
        }
    }
}

/// Undoes one entry. It may be struck from the ledger when it is verified, too.
pub(crate) async fn undo_entry(
    undo: &UndoEntry,
    reporter: &FaultReporter<'_>,
    backend: &impl Backend,
) -> Result<(), RunError> {
    let mut progress = |phase: FaultPhase, detail: String| {
        let gone = phase == FaultPhase::Reverted;
        reporter.report_since(gone.then(|| since(undo, reporter)).flatten(), phase, detail)
    };
    backend.undo(undo, &mut progress).await.inspect_err(|error| {
        // A fault's undo has reported it itself.
        if reporter.kind.is_none() {
            let text = format!("not undone: {}: {}", undo.describe(), error.line());
            reporter.recorder.event(Event::Note { warning: false, text });
        }
    })
}

/// Since when a fault may have been gone that is seen to be now: where nobody could get into the
/// node, its own timer has undone it.
fn since(undo: &UndoEntry, reporter: &FaultReporter<'_>) -> Option<Moment> {
    let after = undo.undoes_itself_after()?;
    let fault = (reporter.step, reporter.target, reporter.component);
    let (requested, confirmed) = reporter.recorder.live().injected_and_waits(fault)?;
    // The timer counts from the effect, which was confirmed soon after.
    let from_effect = confirmed.map(|it| it.plus(after.saturating_sub(CLOSED_WITHIN)));
    let due = from_effect.map_or(requested.plus(after), |due| due.max(requested.plus(after)));
    (due < clock::now()).then_some(due)
}

/// Ends when what was undone works again; only then may it be struck from the ledger.
pub(crate) async fn verify_entry(
    undo: &UndoEntry,
    reporter: &FaultReporter<'_>,
    backend: &impl Backend,
) -> Result<(), RunError> {
    backend.verify(undo, &mut |phase, detail| reporter.report(phase, detail)).await
}
