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
    let engine = &environment.engine()?.address;
    let state = StateDir::of_kind(environment.state_dir, cluster, engine);
    let claimed = lock(environment, state)?;
    if let Some(earlier) = StateDir::of_earlier_versions(environment.state_dir, cluster) {
        earlier.look()?;
        let here = Endpoint::identity(engine);
        refuse(&earlier, |entry| Endpoint::identity(&entry.engine) == here)?;
    }
    Ok(claimed)
}

/// Takes the lock of a cluster with this identity, whichever way leads to it. Refused while another
/// run has it, or something is not undone. `by_name`: what was claimed of it before its identity was
/// known; there its ledger stays.
pub(in crate::engine) fn claim_identity(
    environment: &Environment<'_>,
    (name, identity): (&str, &str),
    by_name: Option<Claim>,
) -> Result<Claim, RunError> {
    let claimed = lock(environment, StateDir::of_identity(environment.state_dir, name, identity))?;
    // A cluster that is being made has an entry in its own ledger.
    let held = by_name.as_ref().map(|held| held.state.path().file_name());
    let linked = claimed.state.linked()?.into_iter();
    let others = linked.filter(|other| held != Some(other.path().file_name()));
    others.chain([claimed.state.clone()]).try_for_each(|state| refuse_pending(&state))?;
    let Some(Claim { state, lock }) = by_name else { return Ok(claimed) };
    if !environment.only_look {
        claimed.state.link(&state)?;
    }
    Ok(Claim { state, lock: lock.and(claimed.lock) })
}

/// Takes the lock of a state directory. Refused while another run has it.
fn lock(environment: &Environment<'_>, state: StateDir) -> Result<Claim, RunError> {
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
    use std::path::Path;

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

    fn environment<'a>(root: &'a Path, engine: &str) -> Environment<'a> {
        Environment {
            engine: Ok(Endpoint { address: engine.into(), origin: "a test".into() }),
            ..crate::engine::existing_tests::environment(root)
        }
    }

    /// A kind cluster called c, claimed through its container engine, or through its API alone.
    fn claimed(root: &Path, way: Way, identity: &str) -> Result<Claim, RunError> {
        let environment = environment(root, "unix:///docker.sock");
        match way {
            Way::Engine => {
                let by_name = claim(&environment, "c")?;
                claim_identity(&environment, ("c", identity), Some(by_name))
            }
            Way::Api => claim_identity(&environment, ("prod-eu", identity), None),
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Way {
        Engine,
        Api,
    }

    const BOTH_ORDERS: [(Way, Way); 2] = [(Way::Engine, Way::Api), (Way::Api, Way::Engine)];

    /// Leaves something to undo, as a run that dies.
    fn dies(claimed: Claim) -> Ledger {
        let mut ledger = Ledger::open(&claimed.state.ledger()).unwrap();
        let run_ref = RunRef { run: "r", engine: "unix:///docker.sock", access: None };
        ledger.record(run_ref, UndoEntry::KindCluster { name: "c".into() }).unwrap();
        ledger
    }

    #[test]
    fn a_cluster_that_is_used_one_way_is_in_use_the_other_way_too() {
        for (first, second) in BOTH_ORDERS {
            let root = tempfile::tempdir().unwrap();
            let held = claimed(root.path(), first, "uid").unwrap();
            let refused = claimed(root.path(), second, "uid").map(drop).unwrap_err();
            assert!(refused.message.starts_with("another run"), "{first:?}: {refused}");
            drop(held);
            claimed(root.path(), second, "uid").unwrap();
        }
    }

    #[test]
    fn what_one_way_has_left_to_undo_refuses_the_other_and_is_found_by_recover() {
        for (first, second) in BOTH_ORDERS {
            let root = tempfile::tempdir().unwrap();
            dies(claimed(root.path(), first, "uid").unwrap());
            let refused = claimed(root.path(), second, "uid").map(drop).unwrap_err();
            assert!(refused.message.contains("left something to undo"), "{first:?}: {refused}");
            let all = StateDir::all(root.path()).unwrap();
            let mut ledgers = all.iter().map(|state| Ledger::open(&state.ledger()).unwrap());
            let mut ledger = ledgers.find(|ledger| !ledger.pending().is_empty()).unwrap();
            ledger.settle(0).unwrap();
            claimed(root.path(), second, "uid").unwrap();
        }
    }

    #[test]
    fn a_kind_cluster_that_was_recreated_is_another_one() {
        for (first, second) in BOTH_ORDERS {
            let root = tempfile::tempdir().unwrap();
            dies(claimed(root.path(), first, "uid").unwrap());
            claimed(root.path(), second, "uid of the new one").unwrap();
        }
    }

    #[test]
    fn two_engines_of_one_cluster_and_a_look_that_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        dies(claimed(root.path(), Way::Engine, "uid").unwrap());
        let by_other = |only_look| {
            let environment = Environment { only_look, ..environment(root.path(), "tcp://here:1") };
            claim_identity(&environment, ("c", "uid"), Some(claim(&environment, "c")?))
        };
        for only_look in [true, false] {
            let refused = by_other(only_look).map(drop).unwrap_err();
            assert!(refused.message.contains("left something to undo"), "{refused}");
        }
        let environment =
            Environment { only_look: true, ..environment(root.path(), "unix:///docker.sock") };
        let before = StateDir::all(root.path()).unwrap().len();
        claim_identity(&environment, ("prod-eu", "another"), None).unwrap();
        assert_eq!(StateDir::all(root.path()).unwrap().len(), before);
    }

    #[test]
    fn of_many_that_begin_together_one_has_the_cluster() {
        let root = tempfile::tempdir().unwrap();
        let all = std::sync::Barrier::new(8);
        let claims: Vec<_> = std::thread::scope(|scope| {
            let start = |number: usize| {
                let (root, all) = (root.path(), &all);
                scope.spawn(move || {
                    all.wait();
                    let way = if number.is_multiple_of(2) { Way::Engine } else { Way::Api };
                    claimed(root, way, "uid")
                })
            };
            let threads: Vec<_> = (0..8).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let refused: Vec<&RunError> = claims.iter().filter_map(|it| it.as_ref().err()).collect();
        assert_eq!(refused.len(), 7, "{refused:?}");
    }

    /// A ledger as earlier versions kept it: one a name, whatever the engine.
    #[test]
    fn an_earlier_versions_ledger_refuses_on_its_own_engine() {
        let root = tempfile::tempdir().unwrap();
        let earlier = StateDir::nameless(root.path(), "c").make().unwrap();
        let mut ledger = Ledger::open(&earlier.ledger()).unwrap();
        let run_ref = RunRef { run: "r", engine: "unix:///docker.sock", access: None };
        ledger.record(run_ref, UndoEntry::KindCluster { name: "c".into() }).unwrap();
        let claimed = |engine: &str| claim(&environment(root.path(), engine), "c").map(drop);
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
