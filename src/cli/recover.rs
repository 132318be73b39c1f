//! `recover`: undoes what a run that died has left behind.

use std::ffi::OsStr;

use super::args::Recover;
use super::env::Env;
use super::failure::{self, Failure};
use super::{block_on, exit, print};
use crate::docker::{Docker, Endpoint, EngineEnv};
use crate::engine::abort::Abort;
use crate::engine::environment::embedded_folder;
use crate::engine::environment::kind::find_kind_program;
use crate::engine::environment::state_dir::StateDir;
use crate::engine::error::{RunError, RunErrorKind};
use crate::engine::undo::hit_control_planes::HitControlPlanes;
use crate::engine::undo::ledger::{Access, Entry, Ledger, UndoEntry};
use crate::engine::undo::recover::{self, Tools, UndoProgress};
use crate::engine::undo::{uploads, watchdog};
use crate::timeline::format_seconds;

/// Undoes, or lists, what was left behind in every cluster. One that can't be recovered does not keep the
/// others from it.
pub(super) fn recover(args: &Recover, env: &Env) -> Result<u8, Failure> {
    let mut codes = Vec::new();
    if embedded(args, env) {
        codes.push(exit::PASS);
    }
    for state in StateDir::all(&env.state_dir)? {
        match of_cluster(&state, args, env) {
            Ok(code) => codes.extend(code),
            Err(failure) => codes.push(failure.report()),
        }
    }
    if codes.is_empty() {
        print("nothing to undo");
    }
    Ok(exit::gravest(codes))
}

/// Removes, or lists, what embedded clusters left that were killed: files, and nothing that was
/// hit. Whether there was something.
fn embedded(args: &Recover, env: &Env) -> bool {
    let (found, word) = match args.dry_run {
        true => (embedded_folder::left(&env.state_dir), "to remove"),
        false => (embedded_folder::sweep(&env.state_dir), "removed"),
    };
    found.iter().for_each(|path| {
        print(&format!(
            "{word}: {}, left behind by an embedded cluster that was killed",
            path.display()
        ))
    });
    !found.is_empty()
}

/// The exit code of one cluster; `None` when there is nothing to undo in it.
fn of_cluster(state: &StateDir, args: &Recover, env: &Env) -> Result<Option<u8>, Failure> {
    // What can't be read can't be undone.
    let unreadable = |error| RunError { kind: RunErrorKind::NotUndone, ..error };
    let ledger = Ledger::open(&state.ledger()).map_err(unreadable)?;
    let state = &state.called(ledger.pending().first().and_then(Entry::context));
    if ledger.pending().is_empty() {
        if !args.dry_run && state.all_uploads().exists() {
            sweep_uploads(state, args.docker_host.as_deref(), env);
        }
        return Ok(None);
    }
    if args.dry_run {
        listing(state, &ledger).iter().for_each(|line| print(line));
        return Ok(Some(exit::PASS));
    }
    undo(state, args.docker_host.as_deref(), env).map(Some)
}

/// Removes files that came late into the nodes of a cluster in which nothing is left to undo. They
/// hit nothing: those that can't be removed now are left for the next time.
fn sweep_uploads(state: &StateDir, docker_host: Option<&str>, env: &Env) {
    let Ok(endpoint) = Endpoint::resolve(docker_host, &env.engine) else { return };
    // Another engine knows none of the containers, and would count them as gone.
    let ours = StateDir::of_kind(&env.state_dir, state.cluster(), &endpoint.address);
    let (true, Ok(_lock)) = (ours.path() == state.path(), state.lock()) else { return };
    block_on(async {
        if let Ok(docker) = Docker::connect(&endpoint).await {
            uploads::sweep(&docker, &state.all_uploads()).await;
        }
    });
}

/// What is left in a cluster, the last first; of one that a run is using, that it is that run's.
fn listing(state: &StateDir, ledger: &Ledger) -> Vec<String> {
    let first = ledger.pending().first();
    let place = first.map_or_else(String::new, |entry| entry.place(state.cluster()));
    let in_use = match state.look() {
        Ok(_) => String::new(),
        Err(busy) => format!(", not left behind ({})", busy.message),
    };
    let mut lines = vec![format!("{place}{in_use}:")];
    lines.extend(ledger.pending().iter().rev().map(|entry| {
        let at = entry.at.strftime("%Y-%m-%d %H:%M:%S UTC");
        format!("  {} (run {}, {at})", entry.undo.describe(), entry.run)
    }));
    lines
}

/// Undoes all that is left in one cluster. A run that is going on undoes for itself: its lock
/// refuses us.
fn undo(state: &StateDir, docker_host: Option<&str>, env: &Env) -> Result<u8, Failure> {
    let _lock = state.lock()?;
    let mut ledger = Ledger::open(&state.ledger())?;
    let tools_of = async |entry: &Entry| match docker_host {
        Some(other) if entry.access.is_none() && other != entry.engine => {
            let tools = async {
                let tools = on_engine(other, &env.engine, &env.path).await?;
                knowing(tools, state.cluster(), other, &entry.engine).await
            };
            or_none(entry, tools.await)
        }
        _ => tools(entry, &env.path).await,
    };
    let mut report = |entry: &Entry, progress: UndoProgress<'_>| match progress {
        UndoProgress::Begins => {
            complain!("undoing: {}", entry.undo.describe())
        }
        UndoProgress::Waits(what) => complain!("   waiting: {what}"),
        UndoProgress::GoesOn(long) => {
            complain!("   still waiting after {}: {}", format_seconds(long), entry.undo.describe())
        }
        UndoProgress::Ended(Ok(())) => print(&format!("done: {}", entry.undo.describe())),
        UndoProgress::Ended(Err(error)) => {
            let by_hand = entry
                .undo
                .by_hand()
                .map_or(String::new(), |command| format!("\nhint: by hand: {command}"));
            // Nobody can tell a cluster that is gone from one that cannot be reached.
            let forget = match &entry.access {
                Some(Access::Api { .. }) => format!(
                    "\nhint: if this cluster no longer exists, delete {}",
                    state.path().display()
                ),
                _ => String::new(),
            };
            complain!(
                "not undone: {}\n{}{by_hand}{forget}",
                entry.undo.describe(),
                failure::text_of(error)
            );
        }
    };
    block_on(async {
        // Half an undo is the worst of all.
        let still = |signal: &'static str, _| {
            complain!("   {signal}: still undoing, please wait (this cannot be skipped)")
        };
        let _signals = Abort::listen(still)
            .map_err(|e| RunError::refused("cannot listen for signals").because(&e))?;
        let not_undone =
            watchdog::beating(state, recover::all(&mut ledger, tools_of, &mut report)).await;
        Ok(if not_undone.is_empty() { exit::PASS } else { exit::NOT_UNDONE })
    })
}

/// Where another engine is named than the one of the entry: an error unless it has the cluster, for
/// what is gone counts as undone.
async fn knowing(
    tools: Tools,
    cluster: &str,
    other: &str,
    engine: &str,
) -> Result<Tools, RunError> {
    match tools.docker()?.kind_nodes(cluster).await.map_err(RunError::failed_by)? {
        containers if containers.is_empty() => Err(RunError::failed(format!(
            "the container engine {other} has no containers of cluster {cluster}"
        ))
        .hint(format!("the faults to undo are on {engine}; leave out --docker-host to use it"))),
        _ => Ok(tools),
    }
}

/// The tools that undoing an entry needs.
pub(super) async fn tools(entry: &Entry, path: &OsStr) -> Result<Tools, RunError> {
    match &entry.access {
        Some(_) => Tools::of_entry(entry).await,
        // Its address is complete: today's environment may be for another engine.
        None => or_none(entry, on_engine(&entry.engine, &EngineEnv::default(), path).await),
    }
}

/// A command needs no engine: where that is away, only the node is not looked at.
fn or_none(entry: &Entry, tools: Result<Tools, RunError>) -> Result<Tools, RunError> {
    match (tools, &entry.undo) {
        (Err(_), UndoEntry::Fault(undo)) if undo.is_by_command() => {
            Ok(Tools::through_the_api(None, None))
        }
        (tools, _) => tools,
    }
}

async fn on_engine(engine: &str, env: &EngineEnv, path: &OsStr) -> Result<Tools, RunError> {
    let endpoint = Endpoint::resolve(Some(engine), env).map_err(RunError::failed_by)?;
    let docker = Docker::connect(&endpoint).await.map_err(RunError::failed_by)?;
    let kind = find_kind_program(path, &endpoint, &docker);
    Ok(Tools {
        docker: Some(docker),
        helpers: None,
        kind,
        cluster: None,
        hit: HitControlPlanes::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::engine::undo::ledger::RunRef;
    use crate::fault::samples;
    use crate::timeline::FaultKind;

    #[test]
    fn what_a_living_run_has_recorded_is_not_left_behind() {
        let root = tempfile::tempdir().unwrap();
        let state = StateDir::of_kind(root.path(), "c", "unix:///d.sock").make().unwrap();
        let mut ledger = Ledger::open(&state.ledger()).unwrap();
        let run_ref = RunRef { run: "r", engine: "unix:///d.sock", access: None };
        ledger.record(run_ref, UndoEntry::KindCluster { name: "c".into() }).unwrap();
        let lock = state.lock().unwrap();
        let lines = listing(&state, &ledger);
        assert!(lines[0].contains("not left behind (another run"), "{lines:?}");
        drop(lock);
        let lines = listing(&state, &ledger);
        assert_eq!(lines[0], "cluster c on unix:///d.sock:");
        assert!(lines[1].starts_with("  delete the partially created kind cluster c (run r, "));
    }

    #[tokio::test]
    async fn a_command_is_undone_without_the_engine() {
        let root = tempfile::tempdir().unwrap();
        let engine = format!("unix://{}/away.sock", root.path().display());
        let mut ledger = Ledger::open(&root.path().join("ledger")).unwrap();
        let run_ref = RunRef { run: "r", engine: &engine, access: None };
        for kind in [FaultKind::Command, FaultKind::KubeletStop] {
            let undo = samples::plan_of(&samples::fault(kind)).unwrap();
            ledger.record(run_ref, UndoEntry::Fault(undo)).unwrap();
        }
        let path = OsStr::new("");
        let [command, kubelet] = ledger.pending() else { panic!("{:?}", ledger.pending()) };
        assert!(tools(command, path).await.is_ok_and(|tools| tools.docker.is_none()));
        assert!(tools(kubelet, path).await.is_err());
    }

    #[tokio::test]
    async fn another_engine_must_know_the_cluster() {
        let engine = FakeEngine::start();
        let tools = async || {
            let (docker, kind) = (Some(engine.connect().await), Err(RunError::refused("no kind")));
            Tools { docker, helpers: None, kind, cluster: None, hit: HitControlPlanes::default() }
        };
        assert!(knowing(tools().await, "c", "unix:///moved", "unix:///first").await.is_ok());
        let error =
            knowing(tools().await, "d", "unix:///wrong", "unix:///first").await.err().unwrap();
        assert!(error.to_string().contains("no containers of cluster d"), "{error}");
    }
}
