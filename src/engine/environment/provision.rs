//! The handle that a run stands on: the cluster (made when absent), its lock and its ledger. All
//! refusals that need no look at the experiment's method are here. `kind.rs` and `embedded.rs` are
//! siblings: what a cluster's nodes are made of.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::docker::Endpoint;
use crate::engine::abort::Abort;
use crate::engine::environment::embedded::{self, EmbeddedNodes};
use crate::engine::environment::kind::{self, KindNodes};
use crate::engine::environment::state_dir::{Lock, StateDir};
use crate::engine::error::RunError;
use crate::engine::undo::ledger::{Entry, Ledger};
use crate::engine::undo::watchdog;
use crate::kind_config::KindConfig;
use crate::plan::Node;
use crate::timeline::{ClusterFacts, Ready, format_seconds};

/// What the command line and the environment say about the handle.
#[derive(Clone, Debug)]
pub(crate) struct Environment<'a> {
    /// The container engine. What is absent is only missed when it is needed.
    pub engine: Result<Endpoint, RunError>,
    /// Where programs are looked for.
    pub path: &'a OsStr,
    /// This program's own file: the watchdog is started from it, and the prober in a node.
    pub program: PathBuf,
    /// Another build of this program for the nodes.
    pub agent_binary: Option<&'a Path>,
    /// The directory of all state.
    pub state_dir: &'a Path,
    /// The node image for a cluster that is made.
    pub node_image: Option<&'a str>,
    /// The context whose cluster faults may hit although it is not kind's.
    pub allow_context: Option<&'a str>,
    /// Whether nothing may be changed, not even in the state directory.
    pub only_look: bool,
    /// Grace period before the watchdog undoes an overdue fault.
    pub undo_timer_margin: Duration,
}

impl Environment<'_> {
    /// The container engine. Refused where there is none.
    pub(crate) fn engine(&self) -> Result<&Endpoint, RunError> {
        self.engine.as_ref().map_err(Clone::clone)
    }
}

/// The cluster to run in. Equal ones are one cluster, except the embedded one: each run has its
/// own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ClusterSpec {
    /// A kind cluster, made from this config where it does not exist.
    Kind { config: KindConfig },
    /// The cluster of a context.
    Context {
        /// The kubeconfig's files.
        kubeconfig: Vec<PathBuf>,
        /// `None`: the current one.
        context: Option<String>,
    },
    /// The model inside this program, with the nodes and settings of a kind config.
    Embedded { config: KindConfig },
}

/// The handle, ready: the lock is held as long as this lives.
pub(crate) struct ClusterHandle {
    pub cluster: Cluster,
    pub facts: ClusterFacts,
    /// What a reader should know of it.
    pub warnings: Vec<String>,
    /// Where its ledger is.
    pub state: StateDir,
    /// What its nodes are made of.
    pub nodes: Nodes,
    pub(in crate::engine) _lock: Lock,
}

impl ClusterHandle {
    /// Whether it is the model inside this program.
    pub(crate) fn is_model(&self) -> bool {
        matches!(self.nodes, Nodes::Embedded(_))
    }

    /// The kubeconfig context through which it is reached; the model has none that says anything.
    pub(crate) fn context(&self) -> Option<&str> {
        (!self.is_model()).then(|| self.cluster.context())
    }

    /// The nodes as they are now, and the machines beside them that a fault may hit.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, RunError> {
        let nodes = self.cluster.nodes().await.map_err(RunError::refused_by)?;
        let nodes = nodes.into_iter().map(Node::from).collect();
        Ok(match &self.nodes {
            Nodes::Kind(kind) => kind::with_containers(nodes, &kind.containers),
            Nodes::Embedded(_) => nodes,
        })
    }

    /// Whether this program has made the cluster, and not found it.
    pub(crate) fn is_made_here(&self) -> bool {
        matches!(&self.nodes, Nodes::Kind(nodes) if nodes.made)
    }
}

impl From<crate::cluster::Node> for Node {
    fn from(node: crate::cluster::Node) -> Self {
        let ready = node.ready == Ready::True;
        Self {
            address: node.addresses.into_iter().next(),
            name: node.name,
            role: node.role,
            labels: node.labels,
            ready,
            api_only: false,
        }
    }
}

/// What a cluster's nodes are made of.
pub(crate) enum Nodes {
    /// The containers of a kind cluster.
    Kind(Box<KindNodes>),
    /// The model inside this program.
    Embedded(EmbeddedNodes),
}

/// What a dry run finds.
pub(crate) enum Found {
    ClusterHandle(Box<ClusterHandle>),
    /// It would be made, with this name.
    Absent(String),
}

/// Tells how far the making of a cluster has come.
pub(crate) type Say<'a> = &'a mut (dyn FnMut(Preparing<'_>) + Send);

/// How far a cluster has been prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Preparing<'t> {
    /// A step began.
    Step(&'t str),
    /// Something about the step, or a step inside it.
    Detail(&'t str),
}

/// Finds the cluster, or makes it. Refuses what must be refused; nothing of the cluster is changed.
pub(crate) async fn prepare(
    wanted: &ClusterSpec,
    environment: &Environment<'_>,
    abort: &Abort,
    say: Say<'_>,
) -> Result<ClusterHandle, RunError> {
    match (find(wanted, environment, say).await?, wanted) {
        (Found::ClusterHandle(handle), _) => Ok(*handle),
        (Found::Absent(_), ClusterSpec::Kind { config }) => {
            kind::make(config, environment, abort, say).await
        }
        (Found::Absent(_), _) => unreachable!("only a kind cluster can be absent"),
    }
}

/// Finds the cluster and makes nothing (but the embedded one, which is nowhere else).
pub(crate) async fn find(
    wanted: &ClusterSpec,
    environment: &Environment<'_>,
    say: Say<'_>,
) -> Result<Found, RunError> {
    let there = |handle| Found::ClusterHandle(Box::new(handle));
    match wanted {
        ClusterSpec::Kind { config } => kind::find(config, environment, say).await,
        ClusterSpec::Context { kubeconfig, context } => {
            kind::of_context(kubeconfig, context.as_deref(), environment, say).await.map(there)
        }
        ClusterSpec::Embedded { config } => {
            embedded::start(config, environment, say).await.map(there)
        }
    }
}

/// A cluster's state directory, and its lock.
pub(in crate::engine) struct Claim {
    pub state: StateDir,
    pub lock: Lock,
}

/// Takes the lock of a kind cluster. Refused while another run has it.
pub(in crate::engine) fn claim(
    environment: &Environment<'_>,
    cluster: &str,
) -> Result<Claim, RunError> {
    let engine = environment.engine()?.docker_host();
    let state = StateDir::of_kind(environment.state_dir, cluster, engine);
    let lock = match environment.only_look {
        true => state.look()?,
        false => state.clone().make()?.lock()?,
    };
    if let Some(earlier) = StateDir::of_earlier_versions(environment.state_dir, cluster) {
        earlier.look()?;
        refuse_pending_on(&earlier, Some(engine))?;
    }
    Ok(Claim { state, lock })
}

/// Refuses while something is not undone.
pub(in crate::engine) fn refuse_pending(state: &StateDir) -> Result<(), RunError> {
    refuse_pending_on(state, None)
}

/// The same for what is to be undone on one engine.
fn refuse_pending_on(state: &StateDir, engine: Option<&str>) -> Result<(), RunError> {
    let ledger = Ledger::open(&state.ledger())?;
    let is_there = |entry: &&Entry| {
        engine.is_none_or(|one| Endpoint::identity(one) == Endpoint::identity(&entry.engine))
    };
    let pending: Vec<&Entry> = ledger.pending().iter().filter(is_there).collect();
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
            "its watchdog undoes that in {} at the latest; run `kubectl outage recover` to undo it now",
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
            let run_ref = RunRef { run: "r", engine: "e" };
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
            .strip_prefix("its watchdog undoes that in ")
            .and_then(|rest| rest.split(' ').next())
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
        let run_ref = RunRef { run: "r", engine: "unix:///docker.sock" };
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
                only_look: false,
                undo_timer_margin: Duration::ZERO,
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
        assert!(
            hint(95).starts_with("its watchdog undoes that in 1m35s at the latest;"),
            "{}",
            hint(95)
        );
        assert!(hint(-5).starts_with("its watchdog is retrying"), "{}", hint(-5));
        assert!(what_undoes(None, now).starts_with("run `kubectl outage recover`"));
    }
}
