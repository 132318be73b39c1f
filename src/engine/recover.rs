//! Taking back what a run owes, with the real tools: at the end of a run, in `recover`, and in the watchdog.

use std::path::Path;
use std::time::Duration;

use super::ledger::{Access, Entry, Ledger, Obligation};
use super::rollback::NotUndone;
use super::trouble::Trouble;
use super::world::Progress;
use crate::cluster::{Cluster, Kind, KindError};
use crate::docker::Docker;
use crate::fault;
use crate::timeline::FaultPhase;

/// How long the removal of a namespace may take: pods on a node that has just come back end slowly.
const NAMESPACE_REMOVAL: Duration = Duration::from_secs(120);

/// The tools that undoing needs. What is absent is only missed when it is needed.
pub struct Tools {
    /// The container engine.
    pub docker: Docker,
    /// The kind program.
    pub kind: Result<Kind, Trouble>,
    /// The cluster, where it is connected already.
    pub cluster: Option<Cluster>,
}

impl Tools {
    /// Takes one obligation back; ends when that is verified.
    pub async fn fulfil(&self, run: &str, obligation: &Obligation, progress: Progress<'_>) -> Result<(), Trouble> {
        match obligation {
            Obligation::Fault(undo) => self.fault(undo, progress).await,
            Obligation::Namespace { name, access } => self.namespace(run, name, access).await,
            Obligation::KindCluster { name } => self.kind_cluster(name).await,
        }
    }

    async fn fault(&self, undo: &fault::Undo, progress: Progress<'_>) -> Result<(), Trouble> {
        let mut not_undone = None;
        let mut heard = |phase: FaultPhase, detail: String| match phase {
            FaultPhase::NotUndone => not_undone = Some(detail),
            _ => progress(phase, detail),
        };
        let result = fault::undo(undo, &self.docker, &mut heard).await;
        match (result, not_undone) {
            // A container that is gone needs no undo: somebody deleted the cluster.
            (Err(error), _) if error.is_gone() => {
                progress(FaultPhase::Undone, "its container is gone: nothing is left to undo".into());
                Ok(())
            }
            (Err(error), detail) => {
                progress(FaultPhase::NotUndone, detail.unwrap_or_else(|| error.to_string()));
                Err(Trouble::failed_by(error))
            }
            (Ok(()), _) => Ok(()),
        }
    }

    async fn namespace(&self, run: &str, name: &str, access: &Access) -> Result<(), Trouble> {
        let cluster = match &self.cluster {
            Some(cluster) => cluster.clone(),
            None => match self.reach(access).await? {
                Some(cluster) => cluster,
                None => return Ok(()),
            },
        };
        match cluster.remove_namespace(name, run, NAMESPACE_REMOVAL).await {
            Err(error) if error.is_unreachable() && self.cluster_is_gone(access).await => Ok(()),
            other => other.map_err(Trouble::failed_by),
        }
    }

    /// The cluster; `None` when it does not exist any more.
    async fn reach(&self, access: &Access) -> Result<Option<Cluster>, Trouble> {
        match access {
            Access::Context { kubeconfig, context } => {
                Cluster::from_files(kubeconfig, Some(context)).await.map(Some).map_err(Trouble::failed_by)
            }
            Access::Kind { cluster } => match self.kind()?.kubeconfig(cluster).await {
                Err(KindError::NoSuchCluster { .. }) => Ok(None),
                Err(error) => Err(Trouble::failed_by(error)),
                Ok(text) => Cluster::from_kubeconfig(&text).await.map(Some).map_err(Trouble::failed_by),
            },
        }
    }

    async fn cluster_is_gone(&self, access: &Access) -> bool {
        match access {
            Access::Kind { cluster } => self.docker.kind_nodes(cluster).await.is_ok_and(|nodes| nodes.is_empty()),
            Access::Context { .. } => false,
        }
    }

    async fn kind_cluster(&self, name: &str) -> Result<(), Trouble> {
        let nowhere = Path::new("/dev/null");
        self.kind()?.delete(name, nowhere).await.map_err(Trouble::failed_by)
    }

    fn kind(&self) -> Result<&Kind, Trouble> {
        self.kind.as_ref().map_err(Clone::clone)
    }
}

/// Takes back all that a ledger has, the last first. `say` is told each one and how it went.
pub async fn all(ledger: &mut Ledger, tools: &Tools, say: &mut dyn FnMut(&Entry, Result<(), &Trouble>)) -> Vec<NotUndone> {
    let owed: Vec<Entry> = ledger.owed().iter().rev().cloned().collect();
    let mut not_undone = Vec::new();
    for entry in owed {
        let result = match tools.fulfil(&entry.run, &entry.obligation, &mut |_, _| {}).await {
            Ok(()) => ledger.settle(entry.id),
            Err(trouble) => Err(trouble),
        };
        say(&entry, result.as_ref().copied());
        if let Err(why) = result {
            not_undone.push(NotUndone { what: entry.obligation.describe(), why });
        }
    }
    not_undone
}
