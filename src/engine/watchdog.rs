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
    // Away from the terminal: its Ctrl-C and its end are for the run.
    let _ = rustix::process::setsid();
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
