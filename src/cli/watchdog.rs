//! `watchdog`: the detached process that undoes a dead run's faults when nobody else did.

use std::time::Duration;

use super::args::Watchdog;
use super::{block_on, exit, failure::Failure};
use crate::cluster::Kind;
use crate::docker::{Docker, Endpoint, EngineEnv};
use crate::engine::ledger::Ledger;
use crate::engine::recover::{self, Tools};
use crate::engine::state_dir::StateDir;
use crate::engine::trouble::Trouble;
use crate::engine::watchdog;

/// Waits, and undoes if it must. There is nobody to tell: the ledger says what is left.
pub fn watchdog(args: &Watchdog) -> Result<u8, Failure> {
    // Away from the terminal: its Ctrl-C and its end are for the run.
    let _ = rustix::process::setsid();
    let state = StateDir::open(&args.state_dir, &args.cluster)?;
    if !watchdog::wait(&state, &args.run, Duration::from_secs(args.deadline_secs)) {
        return Ok(exit::PASS);
    }
    let _lock = state.lock()?;
    let mut ledger = Ledger::open(&state.ledger())?;
    block_on(async {
        let endpoint = Endpoint::resolve(Some(&args.docker_host), &EngineEnv::default()).map_err(Trouble::failed_by)?;
        let docker = Docker::connect(&endpoint).await.map_err(Trouble::failed_by)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let kind = Kind::find(&path, Some(args.docker_host.clone())).map_err(Trouble::failed_by);
        let tools = Tools { docker, kind, cluster: None };
        let not_undone = recover::all(&mut ledger, &tools, &mut |_, _| {}).await;
        Ok(if not_undone.is_empty() { exit::PASS } else { exit::NOT_UNDONE })
    })
}
