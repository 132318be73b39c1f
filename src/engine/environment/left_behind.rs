//! What a dead run left in the ledger and is undone by now: a timer in the node has undone its
//! fault, and could not strike it.

use std::collections::BTreeSet;

use crate::engine::environment::handle::{Preparing, Say};
use crate::engine::environment::state_dir::StateDir;
use crate::engine::error::RunError;
use crate::engine::undo::ledger::{Entry, Ledger, UndoEntry};
use crate::engine::undo::recover::{self, Tools, UndoProgress};
use crate::engine::undo::watchdog::beating;
use crate::node::{NodeAccess, NodeState};
use crate::timeline::format_seconds;

/// Strikes the faults whose time is over and that are seen to be undone, and when none is left,
/// removes what else the dead run has made. What is not struck stays in the ledger.
pub(super) async fn strike_undone(
    state: &StateDir,
    tools: impl Fn() -> Tools,
    say: Say<'_>,
) -> Result<(), RunError> {
    let mut ledger = Ledger::open(&state.ledger())?;
    let mut over = BTreeSet::new();
    for entry in ledger.pending() {
        if may_be_undone(entry, &tools()).await {
            over.insert(entry.id);
        }
    }
    let mut report = |entry: &Entry, progress: UndoProgress<'_>| {
        let what = entry.undo.describe();
        let line = match progress {
            UndoProgress::Begins | UndoProgress::Waits(_) => return,
            UndoProgress::GoesOn(long) => {
                format!(
                    "still undoing what run {} left behind, after {}: {what}",
                    entry.run,
                    format_seconds(long)
                )
            }
            UndoProgress::Ended(Ok(())) => {
                format!("done for run {}, which died: {what}", entry.run)
            }
            UndoProgress::Ended(Err(error)) => {
                format!("not done for run {}, which died: {what}: {}", entry.run, error.line())
            }
        };
        say(Preparing::Step(&line));
    };
    beating(state, async {
        let tools_of = async |_: &Entry| Ok(tools());
        recover::matching(&mut ledger, |entry| over.contains(&entry.id), tools_of, &mut report)
            .await;
        if ledger.pending().iter().all(|entry| hits_nothing_else(&entry.undo)) {
            recover::all(&mut ledger, tools_of, &mut report).await;
        }
    })
    .await;
    Ok(())
}

/// Whether a timer in the node may have undone it. A node that is off or frozen can't have: that
/// one waits for its watchdog, or for `recover`.
async fn may_be_undone(entry: &Entry, tools: &Tools) -> bool {
    let UndoEntry::Fault(undo) = &entry.undo else { return false };
    let Ok(docker) = tools.docker() else { return false };
    entry.watched_until.is_some_and(|until| until < jiff::Timestamp::now())
        && docker.state(&undo.target.handle()).await == Ok(NodeState::Up)
}

/// Whether it is ours alone, and its undo hits nothing else.
fn hits_nothing_else(undo: &UndoEntry) -> bool {
    use UndoEntry::{Namespace, Probers, Settings};
    matches!(undo, Probers { .. } | Namespace { .. } | Settings { .. })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::engine::undo::hit_control_planes::HitControlPlanes;
    use crate::engine::undo::ledger::RunRef;
    use crate::fault::samples;
    use crate::timeline::FaultKind;

    /// What is left of a kill and of a prober's file, which were to be undone after so long.
    async fn left(engine: &FakeEngine, after: Duration) -> (usize, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::nameless(root.path(), "c").make().unwrap();
        let mut ledger = Ledger::open(&state.ledger()).unwrap();
        let run_ref = RunRef { run: "r", engine: "e", access: None };
        let kill = samples::plan_of(&samples::fault(FaultKind::NodeKill)).unwrap();
        ledger
            .record(
                run_ref,
                UndoEntry::Probers { containers: vec!["id-c-worker".into()], uploads: None },
            )
            .unwrap();
        ledger.record_watched(run_ref, UndoEntry::Fault(kill), after).unwrap();
        let docker = engine.connect().await;
        let tools = || Tools {
            docker: Some(docker.clone()),
            helpers: None,
            kind: Err(RunError::refused("no kind")),
            cluster: None,
            hit: HitControlPlanes::default(),
        };
        let mut lines = Vec::new();
        let mut say = |step: Preparing<'_>| {
            if let Preparing::Step(line) = step {
                lines.push(line.to_owned());
            }
        };
        strike_undone(&state, tools, &mut say).await.unwrap();
        (Ledger::open(&state.ledger()).unwrap().pending().len(), lines)
    }

    #[tokio::test]
    async fn what_is_seen_to_be_undone_is_struck_with_a_line_and_the_rest_removed() {
        let (pending, lines) = left(&FakeEngine::start(), Duration::ZERO).await;
        assert_eq!(pending, 0);
        assert_eq!(
            lines,
            [
                "done for run r, which died: start container c-worker (docker start)",
                "done for run r, which died: remove the run's probers from the nodes"
            ]
        );
    }

    #[tokio::test]
    async fn what_is_not_undone_or_not_due_stays() {
        let engine = FakeEngine::start();
        assert_eq!(left(&engine, Duration::from_secs(600)).await, (2, Vec::new()), "not due");
        engine.worker(|c| c.running = false);
        assert_eq!(left(&engine, Duration::ZERO).await, (2, Vec::new()), "the node is off");
        assert!(!engine.worker(|c| c.running), "and is left so");
    }
}
