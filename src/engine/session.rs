//! One run on a prepared handle: its id, its folder, its backend.

use std::collections::BTreeSet;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::cluster::{Cluster, ClusterError, Workload};
use crate::engine::abort::Abort;
use crate::engine::backend::Backend;
use crate::engine::backend::embedded::{self, EmbeddedBackend};
use crate::engine::backend::real::{self, RealBackend};
use crate::engine::backend::run_scope::{self, RunScope, Running};
use crate::engine::environment::handle::{
    ApiNodes, ClusterHandle, EmbeddedNodes, Environment, KindNodes, Nodes,
};
use crate::engine::environment::kept_workload::Kept;
use crate::engine::error::RunError;
use crate::engine::follower::Follower;
use crate::engine::job::{Arm, Job, WorkloadOf};
use crate::engine::node_tools::NodeTools;
use crate::engine::plan::behind;
use crate::engine::preflight::Preflight;
use crate::engine::recorder::Recorder;
use crate::engine::run::{self, RunEnd};
use crate::engine::seed;
use crate::engine::shared_workload::{self, leaves_workload};
use crate::engine::undo::ledger::{Access, Entry, Ledger, RunRef, UndoEntry, namespace_of};
use crate::engine::undo::watchdog;
use crate::experiment::{ApiServer, Ask, Diagnostic, Experiment, Parsed};
use crate::plan::{Node, each};
use crate::preflight::{Finding, Level};
use crate::timeline::{Anchor, Event, Header, Retry, RunFolder, Shard, StoreError};

/// What all runs of an experiment share.
pub(crate) struct Session<'a> {
    /// The experiment, with everything that belongs to it.
    pub parsed: &'a Parsed,
    pub runs_dir: &'a Path,
    /// What the command line and the environment say.
    pub environment: &'a Environment<'a>,
}

/// A run that is about to begin.
#[derive(Debug)]
pub(crate) struct Start {
    /// Its id, which sorts by time and is the name of its folder.
    pub id: String,
    anchor: Anchor,
    pub seed: u64,
    pub repetition: Option<(u32, u32)>,
    /// The run that it makes again.
    pub retry: Option<Retry>,
    pub shard: Option<Shard>,
    pub workload: AfterRun,
}

/// What becomes of the workload of a run that comes to its planned end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterRun {
    Deleted,
    /// Another run of the series follows, which may take it over.
    MayBeTakenOver,
    /// It stays for the little while until its cluster is deleted.
    GoesWithCluster,
}

impl Start {
    pub(crate) fn now(seed: u64, repetition: Option<(u32, u32)>) -> Self {
        let anchor = Anchor::take();
        let time = anchor.wall.strftime("%Y%m%d-%H%M%S");
        Self {
            id: format!("{time}-{:04x}", seed::fresh() & 0xffff),
            anchor,
            seed,
            repetition,
            retry: None,
            shard: None,
            workload: AfterRun::Deleted,
        }
    }
}

pub(crate) struct Ended {
    pub folder: PathBuf,
    pub end: RunEnd,
}

/// Holds the workload's files against what the cluster can make: all problems together, nothing
/// made.
async fn workload(handle: &ClusterHandle, parsed: &Parsed) -> Result<Workload, RunError> {
    let checked =
        handle.cluster.check_workload(&parsed.workload).await.map_err(RunError::refused_by)?;
    checked.map_err(|problems| refused(&problems))
}

/// The experiment with what its probes mean in this cluster (see [`behind::resolved`]). Refuses what
/// can't be done in it before anything is looked for.
pub(crate) async fn resolved(handle: &ClusterHandle, parsed: &Parsed) -> Result<Parsed, RunError> {
    refuse_impossible(handle, &parsed.experiment)?;
    behind::resolved(&handle.cluster, parsed).await
}

/// The workload as this handle can have it. Refuses what it does not have: in the model that is
/// much.
pub(crate) async fn fits(handle: &ClusterHandle, parsed: &Parsed) -> Result<Workload, RunError> {
    refuse_impossible(handle, &parsed.experiment)?;
    workload(handle, parsed).await
}

/// Refuses what can't be done on nodes as this cluster has them.
fn refuse_impossible(handle: &ClusterHandle, experiment: &Experiment) -> Result<(), RunError> {
    match handle.nodes {
        Nodes::Kind(_) => Ok(()),
        Nodes::Api(_) => real::refuse_without_engine(experiment),
        Nodes::Embedded(_) => embedded::refuse_unmodelled(experiment),
    }
}

/// The same for what exists already and is named.
pub(crate) async fn look_up(
    handle: &ClusterHandle,
    parsed: &Parsed,
    nodes: &[Node],
) -> Result<(), RunError> {
    run_scope::look_up(&handle.cluster, &parsed.experiment, nodes).await
}

fn refused(problems: &[Diagnostic]) -> RunError {
    RunError::refused("the workload cannot be used")
        .caused_by_all(problems.iter().map(ToString::to_string))
}

/// Refuses when no run can be recorded in this directory.
pub(crate) fn refuse_unwritable(runs_dir: &Path) -> Result<(), RunError> {
    RunFolder::check(runs_dir).map_err(cannot_record)
}

fn cannot_record(error: StoreError) -> RunError {
    let hint = error.hint().unwrap_or("choose another directory with --runs-dir");
    RunError::refused("cannot record the run").because(&error).hint(hint)
}

/// How long an API server of a new cluster may take to listen, on a busy machine.
const API_STARTS: Duration = Duration::from_secs(60);

/// Errors when an API server that the (spelled out) experiment asks at its own address can't be
/// reached from here.
async fn refuse_unreachable(experiment: &Experiment, cluster: &Cluster) -> Result<(), RunError> {
    for probe in &experiment.probes {
        let Ask::Api { server: ApiServer::On { address, .. }, .. } = &probe.ask else { continue };
        let Err(error) = cluster.directly_within(address, API_STARTS).await else { continue };
        let refused = RunError::refused(format!(
            "probe {} cannot reach its API server from this machine",
            probe.name
        ))
        .because(&error);
        return Err(refused.hint(match error {
            ClusterError::Refused { .. } => {
                "the node can be reached, but no API server listens there: `kubectl -n \
                 kube-system get pods -o wide` shows whether it runs"
            }
            _ => {
                "a container engine in a virtual machine (as on a Mac) or without root has nodes \
                 that cannot be reached from here: use `server: balancer`, which goes through \
                 the published port"
            }
        }));
    }
    Ok(())
}

/// One run of a session.
struct Once<'a> {
    session: &'a Session<'a>,
    handle: &'a ClusterHandle,
    id: String,
    namespace: String,
    anchor: Anchor,
    seed: u64,
    repetition: Option<(u32, u32)>,
    retry: Option<Retry>,
    shard: Option<Shard>,
    taken_over: Option<Kept>,
    after: AfterRun,
    follower: Follower,
    abort: &'a Abort,
    /// What was found before it.
    findings: Vec<Finding>,
}

impl Session<'_> {
    /// Carries the experiment out once. An error means that nothing was done.
    pub(crate) async fn run(
        &self,
        handle: &ClusterHandle,
        start: Start,
        follower: Follower,
        abort: &Abort,
    ) -> Result<Ended, RunError> {
        let (runs_dir, granted) = (self.runs_dir, &self.environment.granted);
        let preflight = Preflight { handle, parsed: Some(self.parsed), runs_dir, granted };
        let parsed = &match resolved(handle, self.parsed).await {
            Ok(parsed) => parsed,
            Err(error) => return Err(preflight.explain(error).await),
        };
        let findings = Preflight { parsed: Some(parsed), ..preflight }.of_run().await?;
        let workload = workload(handle, parsed).await?;
        let Start { id, anchor, seed, repetition, retry, shard, workload: after } = start;
        let taken_over = shared_workload::take_over(handle, parsed).await?;
        let namespace =
            taken_over.as_ref().map_or_else(|| namespace_of(&id), |kept| kept.namespace.clone());
        let once = Once {
            session: &Session { parsed, ..*self },
            handle,
            id,
            namespace,
            anchor,
            seed,
            repetition,
            retry,
            shard,
            taken_over,
            after,
            follower,
            abort,
            findings,
        };
        match &handle.nodes {
            Nodes::Kind(nodes) => once.on_kind(nodes, workload).await,
            Nodes::Api(nodes) => once.through_the_api(nodes, workload).await,
            Nodes::Embedded(nodes) => once.on_embedded(nodes, workload).await,
        }
    }
}

impl<'o> Once<'o> {
    async fn on_kind(self, nodes: &KindNodes, workload: Workload) -> Result<Ended, RunError> {
        let reached = NodeTools::of_kind(self.handle, nodes);
        let hit = reached.tools.hit.clone();
        let ended = self.on_real(reached, workload).await;
        nodes.hit.add(&hit);
        ended
    }

    async fn through_the_api(
        self,
        nodes: &ApiNodes,
        workload: Workload,
    ) -> Result<Ended, RunError> {
        let (experiment, run) = (&self.session.parsed.experiment, (&*self.id, &*self.namespace));
        let reached = NodeTools::through_the_api(self.handle, nodes, experiment, run).await?;
        self.on_real(reached, workload).await
    }

    async fn on_real(self, reached: NodeTools, workload: Workload) -> Result<Ended, RunError> {
        let NodeTools { tools, machines, binary, access, engine } = reached;
        let experiment =
            &each::spelled_out(&self.session.parsed.experiment, &self.handle.facts.nodes);
        refuse_unreachable(experiment, &self.handle.cluster).await?;
        let id = self.id.clone();
        let backend = RealBackend {
            scope: self.scope(experiment, &id, workload, access),
            machines,
            binary,
            tools,
            uploads: self.handle.state.uploads(&id),
            engine_events: None,
            observers: None,
            records: None,
        };
        let arm = |after| arm(self.session.environment, self.handle, &id, &engine, after);
        self.carry_out(backend, experiment, &engine, &arm).await
    }

    async fn on_embedded(
        self,
        nodes: &EmbeddedNodes,
        workload: Workload,
    ) -> Result<Ended, RunError> {
        let parsed = &self.session.parsed;
        let asked = each::spelled_out(&parsed.experiment, &self.handle.facts.nodes);
        let experiment = embedded::with_reachable_ports(asked, &parsed.workload, &nodes.embedded);
        let id = self.id.clone();
        let backend = EmbeddedBackend {
            scope: self.scope(&experiment, &id, workload, Access::Embedded),
            embedded: &nodes.embedded,
        };
        // Whatever ends this process ends the fault.
        self.carry_out(backend, &experiment, embedded::ENGINE, &|_| ready(Ok(())).boxed_local())
            .await
    }

    fn scope<'a>(
        &self,
        experiment: &'a Experiment,
        run: &'a str,
        workload: Workload,
        access: Access,
    ) -> RunScope<'a>
    where
        'o: 'a,
    {
        let (namespace, cluster) = (self.namespace.clone(), self.handle.cluster.clone());
        RunScope {
            experiment,
            elsewhere: experiment.elsewhere(),
            run,
            namespace,
            taken_over: self.taken_over.as_ref().map(|kept| kept.run.clone()),
            cluster,
            facts: &self.handle.facts,
            workload,
            helpers: matches!(access, Access::Api { .. }) && experiment.works_in_nodes(),
            access,
            pods: OnceLock::new(),
            running: Running::default(),
        }
    }

    async fn carry_out(
        self,
        mut backend: impl Backend,
        experiment: &Experiment,
        engine: &str,
        arm: Arm<'_>,
    ) -> Result<Ended, RunError> {
        let handle = self.handle;
        let mut ledger = Ledger::open(&handle.state.ledger())?;
        let folder = RunFolder::create(self.session.runs_dir, &self.header());
        let folder = folder.map_err(cannot_record)?;
        let path = folder.path().to_owned();
        let (recorder, recording) = Recorder::start(folder, self.follower.clone());
        let found = self.findings.iter().filter(|finding| finding.level == Level::Warning);
        let found = found.map(|finding| format!("{}: {}", finding.check.words(), finding.message));
        for text in handle.warnings.iter().cloned().chain(found) {
            recorder.event(Event::Note { warning: true, text });
        }
        let access = backend.scope().access.clone();
        let through_api = matches!(access, Access::Api { .. });
        let run_ref = RunRef { run: &self.id, engine, access: through_api.then_some(&access) };
        let (tuning, seed, undo_timer_margin) =
            (&handle.facts.tuning, self.seed, self.session.environment.undo_timer_margin);
        let undo_timer_margin = handle.undo_timer_margin(undo_timer_margin);
        let workload = WorkloadOf {
            taken_over: self.taken_over.as_ref().map(|kept| kept.entry),
            stays: match self.after {
                AfterRun::Deleted => false,
                AfterRun::MayBeTakenOver => leaves_workload(handle, experiment),
                AfterRun::GoesWithCluster => true,
            },
        };
        let artifacts = self.session.environment.artifacts;
        let logs = artifacts.map(|folder| folder.join(&self.id).join("logs"));
        let job = Job { run_ref, experiment, tuning, seed, workload, undo_timer_margin, logs, arm };
        let carried_out = run::carry_out(&job, &mut backend, &recorder, &mut ledger, self.abort);
        let end = watchdog::beating(&handle.state, carried_out).await;
        let pods = backend.scope().pods.get().cloned();
        drop((backend, recorder));
        recording.finish().await;
        self.keep_workload(&ledger, &end, pods);
        Ok(Ended { folder: path, end })
    }

    /// What has stayed of the workload is for the next run; `pods`: its pods when it was ready.
    fn keep_workload(self, ledger: &Ledger, end: &RunEnd, pods: Option<BTreeSet<String>>) {
        let (handle, earlier) = (self.handle, self.taken_over);
        let is_pending = |id: u64| ledger.pending().iter().any(|entry| entry.id == id);
        if earlier.as_ref().is_some_and(|earlier| is_pending(earlier.entry)) {
            // It could not be taken over, and still stands there.
            return;
        }
        let is_its = |entry: &&Entry| matches!(&entry.undo, UndoEntry::Namespace { name, .. } if *name == self.namespace);
        let stayed = ledger.pending().iter().find(is_its).filter(|_| end.not_undone.is_empty());
        handle.workload.set(stayed.map(|entry| Kept {
            namespace: self.namespace.clone(),
            run: self.id,
            entry: entry.id,
            objects: shared_workload::objects(&self.session.parsed.workload),
            pods: earlier.map(|earlier| earlier.pods).or(pods).unwrap_or_default(),
        }));
    }

    fn header(&self) -> Header {
        let parsed = self.session.parsed;
        Header {
            format: Header::FORMAT.into(),
            program: env!("CARGO_PKG_VERSION").into(),
            run: self.id.clone(),
            anchor: self.anchor.clone(),
            name: parsed.experiment.name.clone(),
            experiment: serde_json::to_value(&parsed.experiment).expect("is plain data"),
            source: parsed.recorded_text(),
            seed: self.seed,
            places: parsed.places(),
            repetition: self.repetition,
            retry: self.retry.clone(),
            shard: self.shard,
            cluster: self.handle.facts.clone(),
            claimed_tuning: parsed.claimed_tuning(),
            workload: parsed.workload.for_prediction(),
        }
    }
}

/// Starts the process that undoes the run's faults when the run has died.
fn arm(
    environment: &Environment<'_>,
    handle: &ClusterHandle,
    run: &str,
    engine: &str,
    after: Duration,
) -> LocalBoxFuture<'static, Result<(), RunError>> {
    let arguments = [
        ("--run", run.to_owned()),
        ("--state-dir", handle.state.path().display().to_string()),
        ("--deadline-secs", after.as_secs().to_string()),
        ("--docker-host", engine.to_owned()),
    ];
    let (program, arguments) =
        (environment.program.clone(), arguments.map(|(flag, value)| format!("{flag}={value}")));
    async move { watchdog::start(&program, &arguments).await }.boxed_local()
}
