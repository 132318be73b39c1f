//! The command `run` and the cluster of an experiment: named, found or made, made whole, deleted.

use std::time::Duration;

use super::args::{ClusterChoice, Execution};
use super::cluster::default_config;
use super::env::Env;
use super::events::Events;
use super::exit::{self, FailOn};
use super::failure::Failure;
use super::outputs::Outputs;
use super::progress::{Progress, Warned};
use super::series::turns::Turns;
use crate::cluster::kubeconfig_paths;
use crate::engine::abort::Abort;
use crate::engine::environment::handle::{ClusterHandle, Environment, Nodes, Preparing};
use crate::engine::environment::provision::{self, ClusterSpec};
use crate::engine::environment::{restore, retune};
use crate::engine::error::RunError;
use crate::engine::preflight::Preflight;
use crate::engine::shared_workload;
use crate::experiment::{Cluster, Parsed};
use crate::kind_config::{KindConfig, Kubernetes};
use crate::report::view;
use crate::timeline::Shard;

pub(super) struct Command<'a> {
    pub execution: &'a Execution,
    pub env: &'a Env,
    pub outputs: &'a Outputs,
    pub abort: &'a Abort,
    pub environment: Environment<'a>,
    pub warned: Warned,
    /// Where it is written what happens.
    pub events: Events,
    /// For which outcomes the exit code is not 0.
    pub fail_on: FailOn,
    /// The part of the experiments that is carried out; `None`: all of them.
    pub shard: Option<Shard>,
    /// Whether lanes are drawn while a run goes on.
    pub watch: bool,
    /// Whose turn it is, of those that run at the same time.
    pub turns: Turns,
}

impl<'a> Command<'a> {
    /// One without lanes.
    pub(super) fn new(
        execution: &'a Execution,
        env: &'a Env,
        outputs: &'a Outputs,
        abort: &'a Abort,
        environment: Environment<'a>,
    ) -> Self {
        Self {
            execution,
            env,
            outputs,
            abort,
            environment,
            warned: Warned::default(),
            events: Events::default(),
            fail_on: FailOn::default(),
            shard: None,
            watch: false,
            turns: Turns::default(),
        }
    }

    pub(super) fn wanted(&self, parsed: &Parsed) -> Result<ClusterSpec, RunError> {
        let access = &self.execution.access;
        if self.execution.is_embedded() {
            return Ok(embedded(parsed));
        }
        match (&parsed.experiment.cluster, &parsed.kind_config, &access.context) {
            (Cluster::Context | Cluster::NamedContext { .. }, ..) if self.execution.cluster == Some(ClusterChoice::Kind) => Err(RunError::refused(
                "--cluster kind: the experiment does not name a kind config",
            )
            .hint(
                "set `cluster: {kind: {config: FILE}}` in the experiment, or use --context NAME \
                 to run it in an existing cluster",
            )),
            (Cluster::Kind { .. }, Some(config), None) => Ok(ClusterSpec::Kind { config: config.clone() }),
            (cluster, _, flag) => {
                let kubeconfig =
                    kubeconfig_paths(access.kubeconfig.as_deref(), self.env.kubeconfig.as_deref(), self.env.home.as_deref());
                let named = match cluster {
                    Cluster::NamedContext { name, .. } => Some(name),
                    _ => None,
                };
                let given = self.execution.given_settings(Some(cluster));
                let context = flag.as_ref().or(named).cloned();
                Ok(ClusterSpec::Context { kubeconfig, context, given })
            }
        }
    }

    /// A fault needs a cluster that somebody named: the current context may be any. One that is not
    /// kind's, and so may be anybody's, must also be allowed.
    pub(super) fn refuse_unnamed(
        &self,
        parsed: &Parsed,
        handle: &ClusterHandle,
    ) -> Result<(), RunError> {
        let (named, allowed) = match &parsed.experiment.cluster {
            Cluster::NamedContext { allow_context, .. } => (true, allow_context.as_deref()),
            _ => (self.execution.access.context.is_some(), None),
        };
        let has_fault = parsed.experiment.steps().iter().any(|step| step.fault().is_some());
        let Some(context) = handle.facts.context.as_ref().filter(|_| has_fault) else {
            return Ok(());
        };
        let name = context.name.as_str();
        let is_allowed = allowed == Some(name) || self.environment.allow_context == Some(name);
        if named && (is_allowed || !matches!(handle.nodes, Nodes::Api(_))) {
            return Ok(());
        }
        if named {
            return Err(RunError::refused(format!(
                "{} injects faults in {context}, which is not a kind cluster of this machine: that \
                 must be allowed",
                parsed.experiment.name
            ))
            .hint(format!(
                "if this is the right cluster, add `--allow-context {name}`, or write `cluster: \
                 {{context: {name}, allowContext: {name}}}` in the experiment"
            )));
        }
        Err(RunError::refused(format!(
            "{} injects faults but names no cluster: it would run in {context}",
            parsed.experiment.name
        ))
        .hint(format!(
            "if this is the right cluster, add `--context {name}`, or write `cluster: {{context: \
             {name}}}` in the experiment"
        )))
    }

    /// A look at a cluster and at this machine before a run.
    pub(super) fn preflight<'p>(
        &'p self,
        handle: &'p ClusterHandle,
        parsed: Option<&'p Parsed>,
    ) -> Preflight<'p> {
        let (runs_dir, granted) = (self.env.runs_dir.as_path(), &self.environment.granted);
        Preflight { handle, parsed, runs_dir, granted }
    }

    async fn prepare(&self, wanted: &ClusterSpec) -> Result<ClusterHandle, Failure> {
        let mut progress = Progress::new(self.env.stderr);
        let prepared = provision::prepare(wanted, &self.environment, self.abort, &mut |news| {
            progress.news(news)
        })
        .await;
        let handle = self.shown(progress, prepared)?;
        complain!("   {}", on(&handle));
        self.execution.warn_of_margin(&handle);
        Ok(handle)
    }

    /// The cluster: found or made for the first experiment, the same and whole again for those that
    /// follow. One that does not come back is made anew when it was made by this command.
    pub(super) async fn ready<'g>(
        &self,
        handle: &'g mut Option<ClusterHandle>,
        wanted: &ClusterSpec,
    ) -> Result<&'g ClusterHandle, Failure> {
        if let Some(used) = handle.as_mut().filter(|handle| matches!(handle.nodes, Nodes::Kind(_)))
        {
            match self.restore(used).await {
                Err(failure) if used.is_made_here() && self.abort.signal().is_none() => {
                    failure.report();
                    complain!("   deleting and recreating the cluster");
                    self.delete(used).await?;
                    *handle = None;
                }
                restored => restored?,
            }
        } else {
            *handle = None;
        }
        if handle.is_none() {
            *handle = Some(self.prepare(wanted).await?);
        }
        Ok(handle.as_ref().expect("is there now"))
    }

    /// The same cluster for the next experiment, when it is whole again.
    async fn restore(&self, handle: &mut ClusterHandle) -> Result<(), Failure> {
        let mut progress = Progress::new(self.env.stderr);
        let restored = restore::restore(handle, self.abort, &mut |news| progress.news(news)).await;
        self.shown(progress, restored)
    }

    /// Gives the nodes of a kind cluster the settings of another config, and says how long that took;
    /// `None`: they have them. What is changed is in the ledger, under `run`.
    pub(super) async fn retune(
        &self,
        handle: &mut ClusterHandle,
        config: &KindConfig,
        run: &str,
    ) -> Result<Option<Duration>, Failure> {
        let mut progress = Progress::new(self.env.stderr);
        let version = Kubernetes::Exactly(&handle.facts.kubernetes);
        let tuning = config.for_kubernetes(version).tuning();
        let mut say = |news: Preparing<'_>| progress.news(news);
        let retuned = retune::retune(handle, &tuning, run, self.abort, &mut say).await;
        self.shown(progress, retuned)
    }

    /// Removes the workload that was kept for another run.
    pub(super) async fn release(&self, handle: &ClusterHandle) -> Result<(), Failure> {
        let mut progress = Progress::new(self.env.stderr);
        let released = shared_workload::release(handle, &mut |news| progress.news(news)).await;
        self.shown(progress, released)
    }

    /// Gives the nodes the settings back that they had, and removes what was kept for another run.
    pub(super) async fn give_back(&self, handle: &mut ClusterHandle) -> Result<(), Failure> {
        let released = self.release(handle).await;
        let mut progress = Progress::new(self.env.stderr);
        let given = retune::give_back(handle, &mut |news| progress.news(news)).await;
        self.shown(progress, given).and(released)
    }

    /// Ends a step's progress; an interruption is reported as such.
    fn shown<T>(&self, mut progress: Progress, result: Result<T, RunError>) -> Result<T, Failure> {
        match &result {
            Ok(_) => progress.done(),
            Err(_) => progress.failed(),
        }
        result.map_err(|error| {
            let failure = Failure::from(error);
            // What was half made is deleted again by now, unless it says otherwise.
            let interrupted = self.abort.signal().is_some() && failure.code != exit::NOT_UNDONE;
            Failure { code: if interrupted { exit::INTERRUPTED } else { failure.code }, ..failure }
        })
    }

    /// Deletes a kind cluster, and with it its pending undo entries; any other stays.
    pub(super) async fn delete(&self, handle: &ClusterHandle) -> Result<(), Failure> {
        let Nodes::Kind(nodes) = &handle.nodes else { return Ok(()) };
        let name = handle.state.cluster();
        let failed = |e: crate::cluster::KindError| {
            RunError::failed(format!("cannot delete the kind cluster {name}"))
                .because(&e)
                .maybe_hint(e.hint())
        };
        let kind = nodes.kind.as_ref().map_err(Clone::clone)?;
        kind.delete(name, &handle.state.scratch("kubeconfig")).await.map_err(failed)?;
        shared_workload::is_gone(handle)?;
        let mut progress = Progress::new(self.env.stderr);
        let settled = restore::settle(handle, &[], &mut |news| progress.news(news)).await;
        self.shown(progress, settled)
    }
}

/// What the experiments run on: whoever watches must see it before anything is broken.
fn on(handle: &ClusterHandle) -> String {
    let cluster = view::cluster(&handle.facts);
    let context = handle.context().filter(|_| handle.facts.context.is_none());
    let context = context.map_or(String::new(), |context| format!(", context {context}"));
    let engine = handle.facts.engine.as_ref().map_or(String::new(), |engine| format!(", {engine}"));
    format!("on {cluster}{context}{engine}")
}

/// The model of the experiment's own kind cluster; of one with kind's own defaults where it names
/// none.
fn embedded(parsed: &Parsed) -> ClusterSpec {
    ClusterSpec::Embedded { config: parsed.kind_config.clone().unwrap_or_else(default_config) }
}
