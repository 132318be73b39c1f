//! `watchdog`: the detached process that undoes a dead run's faults when nobody else did.

use std::io::Write;
use std::time::Duration;

use super::args::Watchdog;
use super::{block_on, exit, failure::Failure, recover};
use crate::engine::environment::state_dir::StateDir;
use crate::engine::error::RunError;
use crate::engine::undo::ledger::{Entry, Ledger};
use crate::engine::undo::recover as undo;
use crate::engine::undo::watchdog::{self, Found, Wait};

/// Waits, and undoes if it must, until it is done. There is nobody to tell: the ledger says what is
/// left.
pub(super) fn watchdog(args: &Watchdog) -> Result<u8, Failure> {
    // Away from the terminal: its Ctrl-C and its end are for the run.
    let _ = rustix::process::setsid();
    let state = StateDir::at(args.state_dir.clone()).make()?;
    // Who has started us waits for this word, and may be dead by now: then the more is watched.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{}", watchdog::WATCHES).and_then(|()| out.flush());
    let mut wait = Wait::ForRun(Duration::from_secs(args.deadline_secs));
    loop {
        let done = match watchdog::wait(&state, &args.run, wait) {
            Found::Clean => return Ok(exit::PASS),
            Found::Dead(_lock) => block_on(settle(&state)),
            Found::Stuck => block_on(undo_only(&state)),
        };
        // What failed, or is the run's own to settle, is looked at again.
        let _ = done;
        wait = Wait::ToRetry;
    }
}

/// Undoes what a dead run has left, and strikes it.
async fn settle(state: &StateDir) -> Result<(), RunError> {
    let mut ledger = Ledger::open(&state.ledger())?;
    watchdog::beating(state, undo::all(&mut ledger, tools_of, &mut |_, _| {})).await;
    Ok(())
}

/// Undoes the faults of a run that stands still. It will do so again when it goes on, and strike
/// them then.
async fn undo_only(state: &StateDir) -> Result<(), RunError> {
    let ledger = Ledger::open(&state.ledger())?;
    undo::faults_only(&ledger, tools_of).await;
    Ok(())
}

async fn tools_of(entry: &Entry) -> Result<undo::Tools, RunError> {
    recover::tools(entry, &std::env::var_os("PATH").unwrap_or_default()).await
}
