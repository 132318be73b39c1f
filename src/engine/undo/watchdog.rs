//! The watchdog for faults that no timer in a node undoes: a detached process that undoes them when
//! the run has died.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::environment::state_dir::{Holder, Lock, StateDir};
use crate::engine::error::RunError;
use crate::engine::undo::ledger::{Entry, Ledger};
use crate::timeline::format_seconds;

const LOOK: Duration = Duration::from_secs(1);
/// So long a watchdog may take until it watches.
const START: Duration = Duration::from_secs(20);
/// A run that has not beaten for so long stands still.
const STANDSTILL: Duration = Duration::from_secs(30);
/// From one attempt of a watchdog to the next: the engine may be on its way up.
pub(crate) const RETRY: Duration = Duration::from_secs(10);

/// What a watchdog says when it is in a session of its own and has begun to watch.
pub(crate) const WATCHES: &str = "watching";

/// Starts the watchdog of a cluster's ledger, `program watchdog <arguments>`, with nothing of ours
/// open, and waits until it watches. It outlives us; one that ends before us is reaped by the
/// runtime.
pub(crate) async fn start(program: &Path, arguments: &[String]) -> Result<(), RunError> {
    let mut command = Command::new(program);
    command.arg("watchdog").args(arguments);
    begin(command).await
}

async fn begin(mut command: Command) -> Result<(), RunError> {
    let cannot = || {
        RunError::refused(
            "cannot start the watchdog process, which undoes faults if this program is killed",
        )
    };
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| cannot().because(&e))?;
    let (mut line, mut out) =
        (String::new(), BufReader::new(child.stdout.take().expect("is a pipe")));
    match tokio::time::timeout(START, out.read_line(&mut line)).await {
        Ok(Ok(_)) if line.trim_end() == WATCHES => Ok(()),
        Ok(Err(e)) => Err(cannot().because(&e)),
        Ok(Ok(_)) => Err(cannot().caused_by("it exited immediately")),
        Err(_) => {
            Err(cannot().caused_by(format!("it was not ready within {}", format_seconds(START))))
        }
    }
}

/// What a watchdog finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// No fault is left to undo.
    Clean,
    /// The run is dead: its lock is ours now, and so is the undoing.
    Dead(Lock),
    /// The run has the lock and stands still: it must be undone for it, and the ledger stays the
    /// run's.
    Stuck,
}

/// How long a watchdog waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    /// For so long, or until the run has given up.
    ForRun(Duration),
    /// After an attempt that did not undo everything.
    ToRetry,
}

/// Waits, in the watchdog's process, until the ledger has no fault left, or until the time is over
/// and the run is dead or stands still. A run that is slow and beats is left alone.
pub(crate) fn wait(state: &StateDir, run: &str, wait: Wait) -> Found {
    let began = Instant::now();
    loop {
        std::thread::sleep(LOOK);
        let left = faults_left(state, run);
        if left == FaultsLeft::None {
            return Found::Clean;
        }
        let is_over = match wait {
            Wait::ForRun(limit) => left == FaultsLeft::GivenUp || began.elapsed() >= limit,
            Wait::ToRetry => began.elapsed() >= RETRY,
        };
        if !is_over {
            continue;
        }
        if let Ok(lock) = state.lock_as(Holder::Watchdog) {
            return Found::Dead(lock);
        }
        if state.last_beat().is_some_and(|beat| beat >= STANDSTILL) {
            return Found::Stuck;
        }
    }
}

/// Does what is only done with the lock, and beats meanwhile, as long as the process's one thread
/// goes on: one that is stopped (Ctrl-Z) or blocked does not. Whoever holds the lock and does not
/// beat has its faults undone by a watchdog beside it.
pub(crate) async fn beating<T>(state: &StateDir, work: impl Future<Output = T>) -> T {
    let state = state.clone();
    let _beating = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            state.beat();
            tokio::time::sleep(LOOK).await;
        }
    }));
    work.await
}

/// The faults of a run that are not undone.
#[derive(PartialEq)]
enum FaultsLeft {
    None,
    Some,
    /// The run has ended without them.
    GivenUp,
}

fn faults_left(state: &StateDir, run: &str) -> FaultsLeft {
    // A ledger that can't be read now may be readable at the next look.
    let Ok(ledger) = Ledger::open(&state.ledger()) else { return FaultsLeft::Some };
    let (left, now) = (ledger.faults_of(run), jiff::Timestamp::now());
    let is_over = |entry: &Entry| entry.watched_until.is_some_and(|until| until <= now);
    match left.map(is_over).reduce(|all, one| all && one) {
        None => FaultsLeft::None,
        Some(true) => FaultsLeft::GivenUp,
        Some(false) => FaultsLeft::Some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::undo::ledger::{RunRef, UndoEntry};
    use crate::experiment::{Fault, NodeSelector};
    use crate::fault::{self, NodeTarget};
    use crate::timeline::NodeRole;

    fn with_a_fault(root: &Path) -> (StateDir, Ledger, u64) {
        let state = StateDir::nameless(root, "a").make().unwrap();
        let mut ledger = Ledger::open(&state.ledger()).unwrap();
        let target = NodeTarget {
            node: "w".into(),
            container_id: "id".into(),
            container_name: "w".into(),
            role: NodeRole::Worker,
            addresses: Default::default(),
            cluster: "a".into(),
        };
        let undo = fault::planned(
            &Fault::NodeKill { target: NodeSelector::default() },
            &target,
            "r",
            0,
            Duration::ZERO,
        );
        let id = ledger
            .record(RunRef { run: "r", engine: "e", access: None }, UndoEntry::Fault(undo))
            .unwrap();
        (state, ledger, id)
    }

    #[test]
    fn a_dead_run_is_undone_after_the_deadline_and_a_living_one_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (state, ledger, _) = with_a_fault(root.path());
        assert_eq!(
            ledger.pending().iter().map(|entry: &Entry| entry.run.as_str()).collect::<Vec<_>>(),
            ["r"]
        );
        let lock = state.lock().unwrap();
        let living = std::thread::spawn(move || {
            std::thread::sleep(LOOK * 3);
            drop(lock);
        });
        let began = Instant::now();
        state.beat();
        assert!(matches!(wait(&state, "r", Wait::ForRun(LOOK)), Found::Dead(_)));
        assert!(began.elapsed() >= LOOK * 3, "the lock was held until then");
        living.join().unwrap();
    }

    /// A watchdog that is a shell's script.
    async fn begun(script: &str) -> Result<(), RunError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        begin(command).await
    }

    #[tokio::test]
    async fn an_injection_waits_for_a_watchdog_that_watches() {
        let began = Instant::now();
        begun("sleep 0.5; echo watching; sleep 5").await.unwrap();
        assert!(
            began.elapsed() >= Duration::from_millis(500)
                && began.elapsed() < Duration::from_secs(4)
        );
        let dead = begun("exit 0").await.unwrap_err();
        assert!(dead.line().ends_with("it exited immediately"), "{dead}");
        let missing = start(Path::new("/nowhere/outage"), &[]).await.unwrap_err();
        assert!(missing.message.contains("cannot start the watchdog"), "{missing}");
    }

    #[tokio::test]
    async fn one_that_has_ended_is_reaped() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("id");
        begun(&format!("echo $$ >{}; echo watching", file.display())).await.unwrap();
        let process = format!("/proc/{}", std::fs::read_to_string(file).unwrap().trim());
        let end = Instant::now() + Duration::from_secs(10);
        while Path::new(&process).exists() {
            assert!(Instant::now() < end, "{process} is left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    const LONG: Wait = Wait::ForRun(Duration::from_secs(3600));

    #[test]
    fn a_run_that_has_given_up_is_not_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let (state, mut ledger, id) = with_a_fault(root.path());
        ledger.watch_until(id, Duration::from_secs(3600)).unwrap();
        let lock = state.lock().unwrap();
        state.beat();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(LOOK * 2);
            ledger.give_up("r").unwrap();
            drop(lock);
            ledger
        });
        let began = Instant::now();
        let Found::Dead(lock) = wait(&state, "r", LONG) else { panic!("the lock is free") };
        assert!(began.elapsed() >= LOOK * 2 && began.elapsed() < LOOK * 8);
        drop(lock);
        // It tries again, and ends as soon as somebody else has undone the rest.
        ends.join().unwrap().settle(id).unwrap();
        let began = Instant::now();
        assert!(matches!(wait(&state, "r", Wait::ToRetry), Found::Clean));
        assert!(began.elapsed() < LOOK * 3);
    }

    #[test]
    fn nothing_pending_nothing_to_watch() {
        let root = tempfile::tempdir().unwrap();
        let (state, mut ledger, id) = with_a_fault(root.path());
        ledger.settle(id).unwrap();
        assert!(matches!(wait(&state, "r", LONG), Found::Clean));
        let (state, ..) = with_a_fault(&root.path().join("other"));
        assert!(matches!(wait(&state, "another run", LONG), Found::Clean));
    }

    #[test]
    fn a_run_that_stands_still_is_undone_although_it_has_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let (state, ..) = with_a_fault(root.path());
        let _lock = state.lock().unwrap();
        state.beat();
        let long_ago = std::time::SystemTime::now() - STANDSTILL * 2;
        std::fs::File::options()
            .write(true)
            .open(state.scratch("beat"))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        assert!(matches!(wait(&state, "r", Wait::ForRun(LOOK)), Found::Stuck));
    }
}
