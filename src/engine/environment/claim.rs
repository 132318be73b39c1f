//! A cluster's lock, and the refusal to take it while something is left to undo.

use std::time::Duration;

use crate::docker::Endpoint;
use crate::engine::environment::handle::Environment;
use crate::engine::environment::state_dir::{Claim, StateDir};
use crate::engine::error::RunError;
use crate::engine::undo::ledger::{Entry, Ledger};
use crate::engine::undo::watchdog;
use crate::timeline::format_seconds;

/// Takes the lock of a kind cluster. Refused while another run has it.
pub(in crate::engine) fn claim(
    environment: &Environment<'_>,
    cluster: &str,
) -> Result<Claim, RunError> {
    let engine = environment.engine()?.docker_host();
    let state = StateDir::of_kind(environment.state_dir, cluster, engine);
    let claimed = lock(environment, state)?;
    if let Some(earlier) = StateDir::of_earlier_versions(environment.state_dir, cluster) {
        earlier.look()?;
        let here = Endpoint::identity(engine);
        refuse(&earlier, |entry| Endpoint::identity(&entry.engine) == here)?;
    }
    Ok(claimed)
}

/// Takes the lock of a state directory. Refused while another run has it.
pub(in crate::engine) fn lock(
    environment: &Environment<'_>,
    state: StateDir,
) -> Result<Claim, RunError> {
    let lock = match environment.only_look {
        true => state.look()?,
        false => state.clone().make()?.lock()?,
    };
    Ok(Claim { state, lock })
}

/// Refuses while something is not undone.
pub(in crate::engine) fn refuse_pending(state: &StateDir) -> Result<(), RunError> {
    refuse_pending_but(state, &[])
}

/// The same, but for what stays in the ledger between runs.
pub(in crate::engine) fn refuse_pending_but(
    state: &StateDir,
    kept: &[u64],
) -> Result<(), RunError> {
    refuse(state, |entry| !kept.contains(&entry.id))
}

fn refuse(state: &StateDir, which: impl Fn(&Entry) -> bool) -> Result<(), RunError> {
    let ledger = Ledger::open(&state.ledger())?;
    let pending: Vec<&Entry> = ledger.pending().iter().filter(|entry| which(entry)).collect();
    if pending.is_empty() {
        return Ok(());
    }
    // Each fault has its own watchdog, and the first whose time has come undoes everything.
    let watched = pending.iter().filter_map(|entry| entry.watched_until).min();
    let what: Vec<String> = pending.iter().map(|entry| entry.undo.describe()).collect();
    let (cluster, what) = (state.cluster(), what.join("; "));
    Err(RunError::refused(format!(
        "an earlier run in cluster {cluster} died and left something to undo: {what}"
    ))
    .hint(what_undoes(watched, jiff::Timestamp::now())))
}

/// What undoes what a dead run has left: its watchdog, if that lives, at `watched` (or before that: the
/// one of a fault that was undone waits for the others' faults, too); or a person, immediately.
fn what_undoes(watched: Option<jiff::Timestamp>, now: jiff::Timestamp) -> String {
    match watched.map(|until| until.duration_since(now).as_secs()) {
        None => "run `kubectl outage recover` first".into(),
        Some(left @ 1..) => format!(
            "its watchdog will undo that within {}; run `kubectl outage recover` to undo it now",
            format_seconds(Duration::from_secs(left.unsigned_abs()))
        ),
        Some(_) => format!(
            "its watchdog is retrying every {}; run `kubectl outage recover` to undo it now and to see what prevents it",
            format_seconds(watchdog::RETRY)
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::PathBuf;

    use super::*;
    use crate::engine::undo::ledger::{Access, RunRef, UndoEntry};

    /// A step and the one inside it: the first whose time has come undoes both.
    #[test]
    fn the_first_watchdog_undoes_what_all_watch() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::nameless(root.path(), "c").make().unwrap();
        let mut ledger = Ledger::open(&state.ledger()).unwrap();
        for seconds in [3600, 100, 900] {
            let (name, access) = (format!("n{seconds}"), Access::Kind { cluster: "c".into() });
            let run_ref = RunRef { run: "r", engine: "e", access: None };
            ledger
                .record_watched(
                    run_ref,
                    UndoEntry::Namespace { name, access },
                    Duration::from_secs(seconds),
                )
                .unwrap();
        }
        let hint = refuse_pending(&state).unwrap_err().hint.unwrap();
        let left = hint
            .strip_prefix("its watchdog will undo that within ")
            .and_then(|rest| rest.split(';').next())
            .unwrap();
        assert!(
            (1..=100).contains(&crate::timeline::parse_duration(left).unwrap().as_secs()),
            "{hint}"
        );
    }

    /// A ledger as earlier versions kept it: one a name, whatever the engine.
    #[test]
    fn an_earlier_versions_ledger_refuses_on_its_own_engine() {
        let root = tempfile::tempdir().unwrap();
        let earlier = StateDir::nameless(root.path(), "c").make().unwrap();
        let mut ledger = Ledger::open(&earlier.ledger()).unwrap();
        let run_ref = RunRef { run: "r", engine: "unix:///docker.sock", access: None };
        ledger.record(run_ref, UndoEntry::KindCluster { name: "c".into() }).unwrap();
        let claimed = |engine: &str| {
            let engine = Endpoint { address: engine.into(), origin: "a test".into() };
            let environment = Environment {
                engine: Ok(engine),
                path: OsStr::new(""),
                program: PathBuf::new(),
                agent_binary: None,
                state_dir: root.path(),
                node_image: None,
                allow_context: None,
                helper_image: None,
                connected: None,
                only_look: false,
                undo_timer_margin: Duration::ZERO,
                granted: Default::default(),
            };
            claim(&environment, "c").map(drop)
        };
        assert!(claimed("unix:///docker.sock").unwrap_err().message.contains("left something"));
        assert_eq!(claimed("unix:///podman.sock"), Ok(()));
    }

    #[test]
    fn the_hint_says_how_long_to_wait() {
        let now: jiff::Timestamp = "2026-11-22T06:23:41Z".parse().unwrap();
        let hint =
            |seconds: i64| what_undoes(Some(now + jiff::SignedDuration::from_secs(seconds)), now);
        assert!(hint(95).starts_with("its watchdog will undo that within 1m35s;"), "{}", hint(95));
        assert!(hint(-5).starts_with("its watchdog is retrying"), "{}", hint(-5));
        assert!(what_undoes(None, now).starts_with("run `kubectl outage recover`"));
    }
}
