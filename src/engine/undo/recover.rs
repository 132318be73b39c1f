//! The undo of what a run has left, with the real tools: at the end of a run, in `recover`, and in
//! the watchdog.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::agent;
use crate::cluster::{Cluster, ClusterError, Kind};
use crate::docker::Docker;
use crate::engine::error::RunError;
use crate::engine::fault_reporter::Progress;
use crate::engine::undo::back_off::BackOff;
use crate::engine::undo::hit_control_planes::HitControlPlanes;
use crate::engine::undo::ledger::{Access, Entry, Ledger, UndoEntry, namespace_of};
use crate::engine::undo::passes::{NotUndone, UndoPhase, in_passes};
use crate::engine::undo::{settings, uploads};
use crate::fault::{self, ObjectUndo, Way};
use crate::helper::{HelperPods, HelperSpec};
use crate::node::{AccessError, AccessErrorKind, NodeAccess, NodeHandle, NodeState};
use crate::timeline::leader::LEADER_LEASES;
use crate::timeline::{
    ClusterKind, Component, FaultPhase, NodeRole, Ready, Tuning, TuningSource, few,
};

/// How long the removal of a namespace may take: pods on a node that has just come back end slowly.
pub(in crate::engine) const NAMESPACE_REMOVAL: Duration = Duration::from_secs(120);
/// How long an API server may take to answer again: one that has just come back from a fault
/// refuses at first.
const API_PATIENCE: Duration = Duration::from_secs(30);
/// How long the API may take to show restored settings.
const SETTINGS_SHOWN: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(500);
/// How often to report what is still waited for.
const TELL: Duration = Duration::from_secs(10);
/// What an undo finds where somebody has deleted the cluster.
const GONE: &str = "it no longer exists: nothing is left to undo";
/// What a verification finds where somebody has switched off a node that the fault left on.
const OFF: &str = "the node is not running: there is nothing to verify";
/// How long a helper pod may run that undoes what a dead run has left.
const LATE_HELPER: Duration = Duration::from_secs(3600);
/// Between two looks whether a cluster is still there.
const GONE_LOOK: Duration = Duration::from_secs(2);

/// The tools that undoing needs. What is absent is only missed when it is needed.
pub(crate) struct Tools {
    /// The container engine; `None` where the cluster is reached through its API alone.
    pub docker: Option<Docker>,
    /// The pods that lead into its nodes then.
    pub helpers: Option<HelperPods>,
    /// The kind program.
    pub kind: Result<Kind, RunError>,
    /// The cluster, where it is connected already.
    pub cluster: Option<Cluster>,
    /// What the run has hit. Nobody knows it of another process's run.
    pub hit: HitControlPlanes,
}

impl Tools {
    /// Undoes one entry; ends when its effect is gone.
    pub(crate) async fn undo(
        &self,
        run: &str,
        undo: &UndoEntry,
        progress: Progress<'_>,
    ) -> Result<(), RunError> {
        match undo {
            UndoEntry::Fault(undo) => self.fault(undo, progress).await,
            UndoEntry::Object { undo, access } => self.object(undo, access, progress).await,
            UndoEntry::Probers { containers, uploads } => {
                self.probers(run, containers, uploads.as_deref()).await
            }
            UndoEntry::Namespace { name, access } => {
                self.namespace(run, name, access, progress).await
            }
            UndoEntry::KindCluster { name } => self.kind_cluster(name).await,
            UndoEntry::Settings { nodes, .. } => settings::write(self.docker()?, nodes).await,
            // Its cluster was a part of the process that is gone.
            UndoEntry::Modelled { .. } => Ok(()),
        }
    }

    /// Ends when what was undone works again: its process stays up, and the node sends heartbeats
    /// where the fault took them. An undo through the API has read back what it asked for.
    pub(crate) async fn verify(
        &self,
        undo: &UndoEntry,
        progress: Progress<'_>,
    ) -> Result<(), RunError> {
        let undo = match undo {
            UndoEntry::Fault(undo) => undo,
            UndoEntry::Settings { cluster, nodes, tuning } => {
                if settings::are_gone(self.docker()?, nodes).await {
                    return Ok(());
                }
                return self.has_settings(cluster, tuning).await;
            }
            _ => return Ok(()),
        };
        match self.works(undo).await {
            Ok(seen) => {
                progress(FaultPhase::Undone, seen);
                Ok(())
            }
            Err(why) => {
                progress(FaultPhase::NotUndone, why.line());
                Err(why)
            }
        }
    }

    /// Ends when the running components say that they have these settings.
    async fn has_settings(&self, cluster: &str, tuning: &Tuning) -> Result<(), RunError> {
        let access = Access::Kind { cluster: cluster.to_owned() };
        let api = self.connected(&access).await?;
        let renewed = async || {
            let mut versions = api.lease_versions(LEADER_LEASES).await.ok()?;
            versions.remove(Component::ControllerManager.name())
        };
        let (until, mut before) = (Instant::now() + SETTINGS_SHOWN, None);
        loop {
            let facts = api.facts(ClusterKind::Kind, cluster, None, &[]).await;
            let has = facts.map(|(facts, _)| facts.tuning);
            // Until the new controller manager has the lease, no node is watched.
            let now = renewed().await;
            let leads = before.is_some() && now.is_some() && now != before;
            before = before.or(now);
            // The slowest of the kubelets says nothing of the others.
            let others = api.kubelets_without(tuning).await.unwrap_or_default();
            match has.map(|has| (has.source == TuningSource::Cluster, tuning.unequal(&has))) {
                Ok((true, wrong)) if wrong.is_empty() && leads && others.is_empty() => {
                    return Ok(());
                }
                _ if Instant::now() < until => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(RunError::failed_by(error)),
                Ok((is_read, wrong)) => {
                    let unread = "the nodes' settings cannot be read".to_owned();
                    let wrong = wrong
                        .iter()
                        .map(|it| format!("{} is {} instead of {}", it.name, it.has, it.wanted))
                        .filter(|_| is_read)
                        .chain((!is_read).then_some(unread));
                    let error =
                        RunError::failed("the nodes are not back on their original settings");
                    let idle = "the controller manager has not renewed its lease".to_owned();
                    let kubelets = (!others.is_empty())
                        .then(|| format!("kubelets with other settings: {}", few(&others)));
                    let idle = (!leads).then_some(idle);
                    return Err(error.caused_by_all(wrong.chain(kubelets).chain(idle)));
                }
            }
        }
    }

    async fn works(&self, undo: &fault::Undo) -> Result<String, RunError> {
        if self.is_outside(undo) {
            return self.works_outside(undo).await;
        }
        let runs = match fault::stays_up(undo, self.way()?).await {
            Ok(fault::Found::Runs(runs)) => runs,
            Ok(fault::Found::NodeOff) => return Ok(OFF.into()),
            // Somebody deleted the cluster.
            Err(error) if error.is_gone() => return Ok(GONE.into()),
            Err(error) => return Err(RunError::failed_by(error)),
        };
        if !fault::takes_heartbeats(undo) {
            return Ok(runs);
        }
        let access = Access::Kind { cluster: undo.target.cluster.clone() };
        if self.cluster.is_none() && self.kind.is_err() {
            return Ok(format!("{runs}; without kind, its heartbeats cannot be checked"));
        }
        let began = Instant::now();
        let cluster = self.connected_within(&access, fault::WORKS_WITHIN).await?;
        let heard = fault::sends_heartbeat(undo, self.way()?, &cluster, began, true).await;
        Ok(format!("{runs}; {}", heard.map_err(RunError::failed_by)?))
    }

    /// The same of a node that only commands have hit.
    async fn works_outside(&self, undo: &fault::Undo) -> Result<String, RunError> {
        let Some(cluster) = &self.cluster else {
            return Ok(
                "`confirmUndone` succeeded; the node was not checked, because the cluster cannot be reached".into()
            );
        };
        let heard =
            fault::sends_heartbeat(undo, Way::NOWHERE, cluster, Instant::now(), false).await;
        Ok(format!("`confirmUndone` succeeded; {}", heard.map_err(RunError::failed_by)?))
    }

    async fn fault(&self, undo: &fault::Undo, progress: Progress<'_>) -> Result<(), RunError> {
        let mut not_undone = None;
        let mut heard = |phase: FaultPhase, detail: String| match phase {
            FaultPhase::NotUndone => not_undone = Some(detail),
            _ => progress(phase, detail),
        };
        let result = fault::undo(undo, self.way_of(undo)?, &mut heard).await;
        match (result, not_undone) {
            // A container that is gone needs no undo: somebody deleted the cluster.
            (Err(error), _) if error.is_gone() => {
                progress(FaultPhase::Reverted, GONE.into());
                Ok(())
            }
            (Err(error), detail) => {
                progress(FaultPhase::NotUndone, detail.unwrap_or_else(|| error.to_string()));
                Err(RunError::failed_by(error))
            }
            (Ok(()), _) => Ok(()),
        }
    }

    /// Objects went with their cluster, if that is gone.
    async fn object(
        &self,
        undo: &ObjectUndo,
        access: &Access,
        progress: Progress<'_>,
    ) -> Result<(), RunError> {
        // What is over by itself needs no API to be asked for.
        if !undo.fault.kind().traits().lasts() || self.cluster_is_gone(access).await {
            progress(FaultPhase::UndoRequested, undo.describe());
            progress(FaultPhase::Undone, "nothing is left to undo".into());
            return Ok(());
        }
        let cluster = self.connected(access).await?;
        fault::undo_object(undo, &cluster, progress).await.map_err(RunError::failed_by)
    }

    /// Probers end some time after their runner, and immediately here; what can be left besides is the
    /// file of one that was stopped while it was brought there.
    async fn probers(
        &self,
        run: &str,
        containers: &[String],
        uploads: Option<&Path>,
    ) -> Result<(), RunError> {
        let docker = self.docker()?;
        let late = match uploads {
            Some(folder) => uploads::remove_late(docker, folder).await,
            None => Ok(()),
        };
        // One that fails keeps no other node from being looked at.
        let mut failed = late.err();
        for container in containers {
            let node = NodeHandle { name: container.clone(), id: container.clone() };
            match agent::sweep(docker, &node, run).await {
                // In a container that is gone, or that somebody has stopped, nothing runs and
                // nothing can be looked for. One of which nothing is known may be up.
                Err(_) if is_off(docker.state(&node).await) => {}
                Err(error) => {
                    failed.get_or_insert_with(|| {
                        RunError::failed("cannot remove a prober's file from a node")
                            .because(error.as_ref())
                    });
                }
                Ok(()) => {}
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn namespace(
        &self,
        run: &str,
        name: &str,
        access: &Access,
        progress: Progress<'_>,
    ) -> Result<(), RunError> {
        if self.cluster_is_gone(access).await {
            return Ok(());
        }
        let cluster = self.connected(access).await?;
        tokio::select! {
            removed = self.remove(&cluster, (name, run), access, progress) => removed,
            () = self.until_gone(access) => Ok(()),
        }
    }

    async fn remove(
        &self,
        cluster: &Cluster,
        (name, run): (&str, &str),
        access: &Access,
        progress: Progress<'_>,
    ) -> Result<(), RunError> {
        tokio::select! {
            removed = cluster.remove_namespace(name, run, NAMESPACE_REMOVAL) => removed.map_err(|error| run_error(error, access)),
            never = self.end_back_off(access, progress) => match never {},
        }
    }

    /// Somebody deletes the cluster while its API server is asked: nobody need wait for an answer.
    async fn until_gone(&self, access: &Access) {
        while !self.cluster_is_gone(access).await {
            tokio::time::sleep(GONE_LOOK).await;
        }
    }

    /// A namespace that stays waits for a part of the control plane.
    async fn end_back_off(&self, access: &Access, progress: Progress<'_>) -> Infallible {
        let mut back_off = BackOff::new();
        loop {
            tokio::time::sleep(RETRY).await;
            let (Some(cluster), Ok(docker)) = (access.cluster(), self.docker()) else { continue };
            for line in back_off.end(docker, cluster, |container| self.hit.has(container)).await {
                progress(FaultPhase::UndoRequested, line);
            }
        }
    }

    async fn connected(&self, access: &Access) -> Result<Cluster, RunError> {
        self.connected_within(access, API_PATIENCE).await
    }

    async fn connected_within(
        &self,
        access: &Access,
        limit: Duration,
    ) -> Result<Cluster, RunError> {
        match &self.cluster {
            Some(cluster) => Ok(cluster.clone()),
            None => self.reach_patiently(access, limit).await,
        }
    }

    async fn reach_patiently(&self, access: &Access, limit: Duration) -> Result<Cluster, RunError> {
        let until = Instant::now() + limit;
        loop {
            match self.reach(access).await? {
                Err(error) if error.may_pass() && Instant::now() < until => {
                    tokio::time::sleep(RETRY).await
                }
                reached => return reached.map_err(|error| run_error(error, access)),
            }
        }
    }

    /// The outer error says that there is no way to the cluster, the inner one what its API server
    /// answered.
    async fn reach(&self, access: &Access) -> Result<Result<Cluster, ClusterError>, RunError> {
        match access {
            // The user's file may be gone by now, or call its contexts otherwise: it was found to
            // be this cluster of kind's.
            Access::Context { kubeconfig, context, cluster } => {
                match Cluster::from_files(kubeconfig, Some(context), &mut |_| {}).await {
                    Err(gone) if gone.is_of_kubeconfig() && self.kind.is_ok() => {
                        self.kind_access(cluster).await.map_err(|kind| instead_of(gone, &kind))
                    }
                    reached => Ok(reached),
                }
            }
            Access::Kind { cluster } => self.kind_access(cluster).await,
            Access::Api { kubeconfig, context, identity, .. } => {
                let reached = Cluster::from_files(kubeconfig, Some(context), &mut |_| {}).await;
                match &reached {
                    Ok(cluster) => match cluster.is(identity).await {
                        Ok(false) => Err(RunError::failed(format!(
                            "context {context} now points to a different cluster"
                        ))
                        .hint("use the kubeconfig with which the run was started")),
                        Err(error) => Ok(Err(error)),
                        Ok(true) => Ok(reached),
                    },
                    Err(_) => Ok(reached),
                }
            }
            Access::Embedded => Err(RunError::failed("the embedded cluster is gone")),
        }
    }

    async fn kind_access(&self, cluster: &str) -> Result<Result<Cluster, ClusterError>, RunError> {
        let text = self.kind()?.kubeconfig(cluster).await.map_err(RunError::failed_by)?;
        Ok(Cluster::from_kubeconfig(&text).await)
    }

    async fn cluster_is_gone(&self, access: &Access) -> bool {
        match (access, access.cluster(), &self.docker) {
            (Access::Embedded, ..) => true,
            (_, Some(cluster), Some(docker)) => {
                docker.kind_nodes(cluster).await.is_ok_and(|nodes| nodes.is_empty())
            }
            _ => false,
        }
    }

    /// Deletes half a cluster. One that is whole is not what was left behind: somebody has made it
    /// since.
    async fn kind_cluster(&self, name: &str) -> Result<(), RunError> {
        if self.is_whole(name).await {
            return Ok(());
        }
        let nowhere = Path::new("/dev/null");
        self.kind()?.delete(name, nowhere).await.map_err(RunError::failed_by)
    }

    async fn is_whole(&self, name: &str) -> bool {
        let Ok(docker) = self.docker() else { return false };
        let Ok(containers) = docker.kind_nodes(name).await else { return false };
        let nodes = containers
            .iter()
            .filter(|container| container.role != NodeRole::ExternalLoadBalancer)
            .count();
        let Ok(Ok(cluster)) = self.kind_access(name).await else { return false };
        let ready = cluster
            .nodes()
            .await
            .map_or(0, |nodes| nodes.iter().filter(|node| node.ready == Ready::True).count());
        nodes > 0 && ready == nodes
    }

    /// The container engine. Refused where the cluster is reached through its API alone.
    pub(crate) fn docker(&self) -> Result<&Docker, RunError> {
        self.docker.as_ref().ok_or_else(|| {
            RunError::failed(
                "this cluster is reached through its API alone, not through a container engine",
            )
        })
    }

    /// Whether a fault is injected and undone by commands, and nothing else leads to its node: no
    /// helper pod is started for them.
    pub(crate) fn is_outside(&self, undo: &fault::Undo) -> bool {
        undo.is_by_command() && self.docker.is_none()
    }

    /// The way to the node of a fault.
    pub(crate) fn way_of(&self, undo: &fault::Undo) -> Result<Way<'_>, RunError> {
        if self.is_outside(undo) { Ok(Way::NOWHERE) } else { self.way() }
    }

    /// The way to the nodes.
    pub(crate) fn way(&self) -> Result<Way<'_>, RunError> {
        match (&self.docker, &self.helpers) {
            (None, Some(helpers)) => Ok(Way { access: helpers, docker: None }),
            _ => self.docker().map(Way::from),
        }
    }

    /// What undoing takes where there is nothing but the cluster's API.
    pub(crate) fn through_the_api(cluster: Option<Cluster>, helpers: Option<HelperPods>) -> Self {
        let kind = Err(RunError::refused("this cluster is reached through its API alone"));
        Self { docker: None, helpers, kind, cluster, hit: HitControlPlanes::default() }
    }

    /// The same for an entry of a run that has died: a fault in a node takes a pod that leads there.
    pub(crate) async fn of_entry(entry: &Entry) -> Result<Self, RunError> {
        let mut tools = Self::through_the_api(None, None);
        if let (Some(access @ Access::Api { helper_image, .. }), true) =
            (&entry.access, entry.needs_helper())
        {
            let cluster = match &entry.undo {
                // A command needs no cluster: where that is away, only the node is not looked at.
                UndoEntry::Fault(undo) if undo.is_by_command() => {
                    match tools.connected_within(access, Duration::ZERO).await {
                        Ok(cluster) => cluster,
                        Err(_) => return Ok(tools),
                    }
                }
                _ => tools.connected(access).await?,
            };
            tools.helpers = Some(HelperPods::new(HelperSpec {
                cluster: cluster.clone(),
                namespace: namespace_of(&entry.run),
                run: entry.run.clone(),
                image: helper_image.clone(),
                lasts: LATE_HELPER,
            }));
            tools.cluster = Some(cluster);
        }
        Ok(tools)
    }

    fn kind(&self) -> Result<&Kind, RunError> {
        self.kind.as_ref().map_err(Clone::clone)
    }
}

/// Whether nothing can be in a node: it is known to be off, frozen, or gone.
fn is_off(state: Result<NodeState, AccessError>) -> bool {
    match state {
        Ok(state) => state != NodeState::Up,
        Err(error) => error.kind == AccessErrorKind::Gone,
    }
}

/// What a cluster's error is for a person, whose kubectl may ask another one.
fn run_error(error: ClusterError, access: &Access) -> RunError {
    let hint = error.hint_through(&access.kubectl());
    RunError::failed_by(error).maybe_hint(hint)
}

/// Neither way leads to the cluster. It is the user's own kubeconfig that a person can put back.
fn instead_of(gone: ClusterError, kind: &RunError) -> RunError {
    let gone = RunError::failed_by(gone).caused_by(format!("kind failed too: {}", kind.line()));
    RunError { hint: gone.hint.or_else(|| kind.hint.clone()), ..gone }
}

/// How far the undo of one thing has come.
#[derive(Debug)]
pub(crate) enum UndoProgress<'a> {
    Begins,
    /// What it waits for.
    Waits(&'a str),
    /// It still goes on, so long after its begin.
    GoesOn(Duration),
    Ended(Result<(), &'a RunError>),
}

/// Undoes all that a ledger has, the last first, each on the engine for which it was written. `say`
/// hears of each one, how it goes, and in the end how it went.
pub(crate) async fn all(
    ledger: &mut Ledger,
    tools_of: impl AsyncFn(&Entry) -> Result<Tools, RunError>,
    say: &mut dyn FnMut(&Entry, UndoProgress<'_>),
) -> Vec<NotUndone> {
    matching(ledger, |_| true, tools_of, say).await
}

/// The same for some of them: the faults first, since they are verified through what else a run has
/// made.
pub(crate) async fn matching(
    ledger: &mut Ledger,
    which: impl Fn(&Entry) -> bool,
    tools_of: impl AsyncFn(&Entry) -> Result<Tools, RunError>,
    say: &mut dyn FnMut(&Entry, UndoProgress<'_>),
) -> Vec<NotUndone> {
    let (mut left, mut helped) = (Vec::new(), Vec::new());
    let say = RefCell::new(say);
    for faults in [true, false] {
        let entries = ledger.pending().iter().rev().filter(|entry| which(entry));
        let entries: Vec<Entry> =
            entries.filter(|entry| entry.undo.fault().is_some() == faults).cloned().collect();
        helped.extend(entries.iter().filter(|entry| entry.needs_helper()).cloned());
        let passes = in_passes(entries, async |entry: &Entry, phase: UndoPhase| {
            let say = |progress: UndoProgress<'_>| say.borrow_mut()(entry, progress);
            if phase == UndoPhase::Undo {
                say(UndoProgress::Begins);
            }
            let mut heard = |phase: FaultPhase, what: String| {
                if phase == FaultPhase::Waits {
                    say(UndoProgress::Waits(&what));
                }
            };
            let done = one(entry, phase, &tools_of, &mut heard);
            patiently(done, |long| say(UndoProgress::GoesOn(long))).await?;
            if phase == UndoPhase::Verify {
                ledger.settle(entry.id)?;
                say(UndoProgress::Ended(Ok(())));
            }
            Ok(())
        });
        left.extend(passes.await);
    }
    remove_helpers(&helped, ledger, tools_of).await;
    let say = say.into_inner();
    left.iter().for_each(|(entry, why)| say(entry, UndoProgress::Ended(Err(why))));
    left.into_iter().map(|(entry, why)| NotUndone::new(&entry, why)).collect()
}

/// Removes the helper pods that undid faults, where the run's namespace was gone by then: nobody
/// else would.
async fn remove_helpers(
    helped: &[Entry],
    ledger: &Ledger,
    tools_of: impl AsyncFn(&Entry) -> Result<Tools, RunError>,
) {
    let is_pending = |run: &str| {
        let mut pending = ledger.pending().iter().filter(|entry| entry.run == run);
        pending.any(|entry| matches!(entry.undo, UndoEntry::Namespace { .. }))
    };
    for entry in helped.iter().filter(|entry| !is_pending(&entry.run)) {
        if let (Ok(tools), Some(access)) = (tools_of(entry).await, &entry.access)
            && tools.helpers.is_some()
        {
            let name = namespace_of(&entry.run);
            let _ = tools.namespace(&entry.run, &name, access, &mut |_, _| {}).await;
        }
    }
}

/// Undoes all faults that a ledger has, and strikes none: the ledger is that of a run which will
/// undo them itself when it goes on. What could not be undone.
pub(crate) async fn faults_only(
    ledger: &Ledger,
    tools_of: impl AsyncFn(&Entry) -> Result<Tools, RunError>,
) -> Vec<NotUndone> {
    let faults = ledger
        .pending()
        .iter()
        .rev()
        .filter(|entry| entry.undo.fault().is_some())
        .cloned()
        .collect();
    let left = in_passes(faults, async |entry: &Entry, phase: UndoPhase| {
        one(entry, phase, &tools_of, &mut |_, _| {}).await
    });
    left.await.into_iter().map(|(entry, why)| NotUndone::new(&entry, why)).collect()
}

/// Waits for something, and says now and then that it does.
async fn patiently<T>(work: impl Future<Output = T>, mut say: impl FnMut(Duration)) -> T {
    let (began, mut work) = (Instant::now(), std::pin::pin!(work));
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(TELL) => say(began.elapsed()),
        }
    }
}

async fn one(
    entry: &Entry,
    phase: UndoPhase,
    tools_of: &impl AsyncFn(&Entry) -> Result<Tools, RunError>,
    progress: Progress<'_>,
) -> Result<(), RunError> {
    let tools = tools_of(entry).await?;
    match phase {
        UndoPhase::Undo => tools.undo(&entry.run, &entry.undo, progress).await,
        UndoPhase::Verify => tools.verify(&entry.undo, progress).await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::docker::fake::FakeEngine;
    use crate::engine::undo::ledger::RunRef;
    use crate::engine::undo::settings::SettingsFiles;
    use crate::engine::undo::settings::tests::{api, files, tuning};
    use crate::experiment::{Check, Commands, Fault, NodeSelector};
    use crate::fault::NodeTarget;
    use crate::timeline::CommandEffect;

    /// A ledger that has the start of a node which is down on engine `e`, and then one on an
    /// engine that is gone.
    fn pending_kills(root: &Path) -> Ledger {
        let mut ledger = Ledger::open(&root.join("ledger")).unwrap();
        for (step, engine) in ["e", "gone"].into_iter().enumerate() {
            let target = NodeTarget {
                node: "c-worker".into(),
                container_id: "id-c-worker".into(),
                container_name: "c-worker".into(),
                role: NodeRole::Worker,
                addresses: Default::default(),
                cluster: "c".into(),
            };
            let kill = Fault::NodeKill { target: NodeSelector::default() };
            let undo =
                fault::planned(&kill, &target, "r", u32::try_from(step).unwrap(), Duration::ZERO);
            ledger
                .record(RunRef { run: "r", engine, access: None }, UndoEntry::Fault(undo))
                .unwrap();
        }
        ledger
    }

    async fn tools(engine: &FakeEngine, name: &str) -> Result<Tools, RunError> {
        match name {
            "e" => Ok(Tools {
                docker: Some(engine.connect().await),
                helpers: None,
                kind: Err(RunError::refused("no kind")),
                cluster: None,
                hit: HitControlPlanes::default(),
            }),
            _ => Err(RunError::failed("the engine is gone")),
        }
    }

    /// Its API server is what the machine took with it that the command switched off.
    #[tokio::test]
    async fn a_command_is_undone_where_the_cluster_cannot_be_reached() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(root.path().join(name), text).unwrap();
            root.path().join(name)
        };
        let nowhere = "{apiVersion: v1, kind: Config, current-context: x,
            contexts: [{name: x, context: {cluster: x, user: x}}], users: [{name: x, user: {}}],
            clusters: [{name: x, cluster: {server: 'http://127.0.0.1:9'}}]}";
        let access = Access::Api {
            kubeconfig: vec![file("kubeconfig", nowhere)],
            context: "x".into(),
            identity: "uid".into(),
            helper_image: "busybox".into(),
        };
        let machine = root.path().join("on");
        let argv = |words: &[&str]| -> Vec<String> {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .chain([machine.display().to_string()])
                .collect()
        };
        let check = |words| Check { argv: argv(words), prints: None };
        let commands = Commands {
            effect: CommandEffect::NodeDown,
            inject: argv(&["rm"]),
            confirm: check(&["test", "!", "-e"]),
            undo: argv(&["touch"]),
            confirm_undone: check(&["test", "-e"]),
            timeout: Duration::from_secs(10),
        };
        let fault =
            Fault::Command { target: NodeSelector::default(), commands: Box::new(commands) };
        let target = NodeTarget {
            node: "w".into(),
            container_id: "uid-w".into(),
            container_name: "w".into(),
            role: NodeRole::Worker,
            addresses: Default::default(),
            cluster: String::new(),
        };
        let undo = fault::planned(&fault, &target, "r", 0, Duration::ZERO);
        let mut ledger = Ledger::open(&root.path().join("ledger")).unwrap();
        let run_ref = RunRef { run: "r", engine: "api", access: Some(&access) };
        ledger.record(run_ref, UndoEntry::Fault(undo)).unwrap();
        let left = matching(&mut ledger, |_| true, Tools::of_entry, &mut |_, _| {}).await;
        assert!(left.is_empty() && machine.exists(), "{left:?}");
        assert!(ledger.pending().is_empty());
    }

    #[tokio::test]
    async fn one_that_fails_keeps_no_other_from_being_undone() {
        let (root, engine) = (tempfile::tempdir().unwrap(), FakeEngine::start());
        engine.worker(|c| c.running = false);
        let ledger = pending_kills(root.path());
        let left =
            faults_only(&ledger, async |entry: &Entry| tools(&engine, &entry.engine).await).await;
        assert_eq!(
            left.iter().map(|left| left.why.message.as_str()).collect::<Vec<_>>(),
            ["the engine is gone"]
        );
        assert!(engine.worker(|c| c.running), "the one that was recorded first is undone");
        assert_eq!(ledger.pending().len(), 2, "and nothing is struck");
    }

    #[tokio::test]
    async fn undo_entries_of_a_deleted_cluster_are_dropped() {
        let (root, engine) = (tempfile::tempdir().unwrap(), FakeEngine::start());
        engine.with(|state| state.containers.clear());
        let (mut ledger, access) =
            (pending_kills(root.path()), Access::Kind { cluster: "c".into() });
        ledger.settle(1).unwrap();
        let drain = fault::ObjectFaultRecord::NodeDrain(fault::NodeDrain {
            node: "c-worker".into(),
            namespaces: Vec::new(),
            options: Default::default(),
        });
        let undo = ObjectUndo::new("r", 1, drain);
        let run_ref = RunRef { run: "r", engine: "e", access: None };
        let probers = UndoEntry::Probers { containers: vec!["id-c-worker".into()], uploads: None };
        let namespace = UndoEntry::Namespace { name: "outage-r".into(), access: access.clone() };
        for undo in [UndoEntry::Object { undo, access }, probers, namespace] {
            ledger.record(run_ref, undo).unwrap();
        }
        let left = all(
            &mut ledger,
            async |entry: &Entry| tools(&engine, &entry.engine).await,
            &mut |_, _| {},
        )
        .await;
        assert!(left.is_empty() && ledger.pending().is_empty(), "{left:?}");
    }

    #[tokio::test]
    async fn another_cluster_of_that_name_has_settings_of_its_own() {
        let engine = FakeEngine::start();
        let nodes = vec![SettingsFiles { id: "id-earlier".into(), ..files(false) }];
        let undo = UndoEntry::Settings { cluster: "c".into(), nodes, tuning: tuning(1) };
        let tools = tools(&engine, "e").await.unwrap();
        tools.verify(&undo, &mut |_, _| {}).await.unwrap();
    }

    #[tokio::test]
    async fn a_lease_that_could_not_be_read_was_not_renewed() {
        const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
        let (engine, api) = (FakeEngine::start(), api(&tuning(1)));
        let asked = Arc::new(Mutex::new(0));
        let count = asked.clone();
        api.before_each(move |objects, call| {
            if !call.ends_with(LEASES) {
                return None;
            }
            let mut asked = count.lock().unwrap();
            *asked += 1;
            let version = if *asked < 4 { "1" } else { "2" };
            let name = Component::ControllerManager.name();
            let lease = json!({"metadata": {"name": name, "resourceVersion": version}});
            objects.get_mut(LEASES).unwrap()["items"] = json!([lease]);
            (*asked == 1).then_some(403)
        });
        let nodes = vec![files(true), files(false)];
        let undo = UndoEntry::Settings { cluster: "c".into(), nodes, tuning: tuning(1) };
        let mut tools = tools(&engine, "e").await.unwrap();
        tools.cluster = Some(api.cluster());
        tools.verify(&undo, &mut |_, _| {}).await.unwrap();
        assert_eq!(*asked.lock().unwrap(), 4);
    }

    #[tokio::test]
    async fn one_node_that_cannot_be_swept_keeps_no_other_from_it() {
        let engine = FakeEngine::start();
        engine.with(|state| state.script = Box::new(|_, _| (1, "disk full".into())));
        let tools = tools(&engine, "e").await.unwrap();
        let containers = ["id-c-control-plane", "id-c-worker"].map(str::to_owned);
        let error = tools.probers("r", &containers, None).await.unwrap_err();
        assert!(error.line().contains("disk full"), "{error}");
        let calls = engine.calls();
        let swept = |id: &str| calls.iter().any(|call| call.contains(&format!("{id}/exec")));
        assert!(containers.iter().all(|id| swept(id)), "{calls:?}");
    }

    #[test]
    fn a_node_of_which_nothing_is_known_may_be_up() {
        let failed = |kind| Err(AccessError { kind, message: String::new(), hint: None });
        let gone = failed(AccessErrorKind::Gone);
        assert!([Ok(NodeState::Down), Ok(NodeState::Frozen), gone].into_iter().all(is_off));
        let unknown = [failed(AccessErrorKind::Away), failed(AccessErrorKind::Timeout)];
        assert!(!unknown.into_iter().chain([Ok(NodeState::Up)]).any(is_off));
    }

    /// Its container was stopped by a person after the fault, and its API server never answers.
    #[tokio::test]
    async fn what_is_off_and_was_left_on_is_undone_without_a_heartbeat() {
        let (root, engine) = (tempfile::tempdir().unwrap(), FakeEngine::start());
        engine.worker(|c| c.running = false);
        let UndoEntry::Fault(kill) = pending_kills(root.path()).pending()[0].undo.clone() else {
            panic!()
        };
        let stop = Fault::KubeletStop { target: NodeSelector::default() };
        let stop = fault::planned(&stop, &kill.target, "r", 0, Duration::ZERO);
        let mut tools = tools(&engine, "e").await.unwrap();
        tools.kind = Ok(kind(root.path(), &kubeconfig_of("127.0.0.1:1")));
        let mut said = Vec::new();
        let undo = UndoEntry::Fault(stop);
        tools.verify(&undo, &mut |phase, seen| said.push((phase, seen))).await.unwrap();
        assert_eq!(said, [(FaultPhase::Undone, OFF.to_owned())]);
    }

    /// A kind program that is this script.
    fn kind(folder: &Path, script: &str) -> Kind {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("kind");
        // Written by a child, so that no other test's fork holds the file open for writing while it
        // is run.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" >\"$0\"";
        assert!(
            std::process::Command::new("sh")
                .args(["-c", write])
                .arg(&path)
                .arg(script)
                .status()
                .unwrap()
                .success()
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Kind::find(folder.as_os_str(), None).unwrap()
    }

    /// What kind prints of a cluster at this address.
    fn kubeconfig_of(address: &str) -> String {
        format!(
            "echo \"{{clusters: [{{name: k, cluster: {{server: 'http://{address}'}}}}], contexts: [{{name: k, context: {{cluster: k, user: k}}}}], \
             users: [{{name: k}}], current-context: k}}\""
        )
    }

    /// An API server that says its version once. Its address.
    fn server() -> String {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let keys = [
            "major",
            "minor",
            "gitVersion",
            "gitCommit",
            "gitTreeState",
            "buildDate",
            "goVersion",
            "compiler",
            "platform",
        ];
        let version: serde_json::Map<_, _> =
            keys.into_iter().map(|key| (key.to_owned(), "v1.34.4".into())).collect();
        let body = serde_json::to_string(&version).unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        });
        address
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_gone_is_no_end_where_kind_knows_the_cluster() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), FakeEngine::start());
        let kubeconfig = vec![folder.path().join("gone")];
        let access = Access::Context { kubeconfig, context: "home".into(), cluster: "c".into() };
        let mut tools = tools(&engine, "e").await.unwrap();
        let error = tools.reach(&access).await.unwrap().unwrap_err();
        assert!(error.is_of_kubeconfig(), "nobody else knows it: {error}");
        tools.kind = Ok(kind(folder.path(), &kubeconfig_of("127.0.0.1:1")));
        let error = tools.reach(&access).await.unwrap().unwrap_err();
        assert!(error.is_unreachable(), "{error}");
        tools.kind = Ok(kind(folder.path(), &kubeconfig_of(&server())));
        let cluster = tools.reach(&access).await.unwrap().unwrap();
        assert_eq!(cluster.context(), "k", "kind's own way");
    }

    #[test]
    fn a_namespace_that_stays_is_looked_for_in_its_own_cluster() {
        let (namespace, within) = ("outage-r".to_owned(), NAMESPACE_REMOVAL);
        let stays = ClusterError::NamespaceStays {
            namespace,
            within,
            left: crate::cluster::Leftovers::default(),
        };
        let hint = run_error(stays, &Access::Kind { cluster: "c".into() }).hint.unwrap();
        assert!(hint.starts_with("`kind export kubeconfig --name c --kubeconfig c.kubeconfig && kubectl --kubeconfig "), "{hint}");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_gone_is_reported_where_kind_does_not_help() {
        let (folder, engine) = (tempfile::tempdir().unwrap(), FakeEngine::start());
        let kubeconfig = vec![folder.path().join("gone")];
        let access = Access::Context { kubeconfig, context: "home".into(), cluster: "c".into() };
        let mut tools = tools(&engine, "e").await.unwrap();
        tools.kind = Ok(kind(folder.path(), "echo ERROR: no engine >&2; exit 1"));
        let error = tools.reach(&access).await.unwrap_err();
        let (line, gone) = (
            error.line(),
            format!("no kubeconfig: {} not found", folder.path().join("gone").display()),
        );
        assert!(
            line.starts_with(&gone)
                && line.contains("kind failed too: ")
                && line.contains("no engine"),
            "{line}"
        );
        assert!(error.hint.is_some_and(|hint| hint.contains("--kubeconfig")));
    }

    #[test]
    fn only_control_planes_are_noted_as_hit() {
        let (root, noted, all) = (
            tempfile::tempdir().unwrap(),
            HitControlPlanes::default(),
            HitControlPlanes::default(),
        );
        let UndoEntry::Fault(mut hit) = pending_kills(root.path()).pending()[0].undo.clone() else {
            panic!()
        };
        noted.note(&hit);
        assert!(noted.is_empty(), "a worker has no control plane");
        (hit.target.role, hit.target.container_id) =
            (NodeRole::ControlPlane, "id-c-control-plane".into());
        noted.note(&hit);
        all.add(&noted);
        assert!(all.has("id-c-control-plane") && !all.has("id-c-worker"));
    }

    #[tokio::test]
    async fn what_is_left_is_reported_once_at_the_end() {
        let (root, engine) = (tempfile::tempdir().unwrap(), FakeEngine::start());
        engine.worker(|c| c.running = false);
        let (mut ledger, mut ended) = (pending_kills(root.path()), Vec::new());
        let mut say = |entry: &Entry, progress: UndoProgress<'_>| {
            if let UndoProgress::Ended(result) = progress {
                ended.push((entry.id, result.is_ok()));
            }
        };
        let left =
            all(&mut ledger, async |entry: &Entry| tools(&engine, &entry.engine).await, &mut say)
                .await;
        assert_eq!(left.len(), 1);
        assert_eq!(ended, [(0, true), (1, false)]);
        assert_eq!(ledger.pending().iter().map(|entry| entry.id).collect::<Vec<_>>(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_undo_is_reported_as_still_running() {
        let mut reports = Vec::new();
        let slow = async {
            tokio::time::sleep(Duration::from_secs(25)).await;
            7
        };
        assert_eq!(patiently(slow, |long| reports.push(long.as_secs())).await, 7);
        assert_eq!(reports, [10, 20]);
    }
}
