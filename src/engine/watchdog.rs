//! The dead man's switch for nodes that can't carry one: a detached process that undoes what is owed when the run has died.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::ledger::{Ledger, Obligation};
use super::state_dir::StateDir;
use super::trouble::Trouble;

const LOOK: Duration = Duration::from_secs(1);

/// Starts the watchdog of a cluster's ledger: `program watchdog <arguments>`, with nothing of ours open.
pub fn start(program: &Path, arguments: &[String]) -> Result<(), Trouble> {
    Command::new(program)
        .arg("watchdog")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
        .map_err(|e| {
            Trouble::refused("cannot start the watchdog process, which undoes faults if this program is killed").because(&e)
        })
}

/// Waits, in the watchdog's process, until the ledger owes no fault (`false`), or until `deadline` has passed and no run holds the lock (`true`:
/// someone must undo). A run that is slow is left alone for as long as it lives.
pub fn wait(state: &StateDir, run: &str, deadline: Duration) -> bool {
    let began = Instant::now();
    loop {
        std::thread::sleep(LOOK);
        if !owes_fault(state, run) {
            return false;
        }
        if began.elapsed() >= deadline && state.lock().is_ok() {
            return true;
        }
    }
}

fn owes_fault(state: &StateDir, run: &str) -> bool {
    // A ledger that can't be read now may be readable at the next look.
    let Ok(ledger) = Ledger::open(&state.ledger()) else { return true };
    ledger.owed().iter().any(|entry| entry.run == run && matches!(entry.obligation, Obligation::Fault(_)))
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Entry;
    use super::*;
    use crate::experiment::{Fault, NodeSelector};
    use crate::fault::{self, NodeTarget};
    use crate::timeline::NodeRole;

    fn owing(root: &Path) -> (StateDir, Ledger, u64) {
        let state = StateDir::open(root, "a").unwrap();
        let mut ledger = Ledger::open(&state.ledger()).unwrap();
        let target = NodeTarget {
            node: "w".into(),
            container_id: "id".into(),
            container_name: "w".into(),
            role: NodeRole::Worker,
            addresses: Default::default(),
            cluster: "a".into(),
        };
        let undo = fault::plan(&Fault::NodeKill { target: NodeSelector::default() }, &target, "r", 0, Duration::ZERO);
        let id = ledger.owe("r", Obligation::Fault(undo)).unwrap();
        (state, ledger, id)
    }

    #[test]
    fn a_dead_run_is_undone_after_the_deadline_and_a_living_one_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (state, ledger, _) = owing(root.path());
        assert_eq!(ledger.owed().iter().map(|entry: &Entry| entry.run.as_str()).collect::<Vec<_>>(), ["r"]);
        let lock = state.lock().unwrap();
        let living = std::thread::spawn(move || {
            std::thread::sleep(LOOK * 3);
            drop(lock);
        });
        let began = Instant::now();
        assert!(wait(&state, "r", LOOK));
        assert!(began.elapsed() >= LOOK * 3, "the lock was held until then");
        living.join().unwrap();
    }

    #[test]
    fn nothing_owed_nothing_to_watch() {
        let root = tempfile::tempdir().unwrap();
        let (state, mut ledger, id) = owing(root.path());
        ledger.settle(id).unwrap();
        assert!(!wait(&state, "r", Duration::from_secs(3600)));
        let (state, ..) = owing(&root.path().join("other"));
        assert!(!wait(&state, "another run", Duration::from_secs(3600)));
    }
}
