//! The workload that stands in a cluster between two runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cluster::Cluster;

/// `None`: each run makes its own.
#[derive(Default)]
pub(crate) struct KeptWorkload(Mutex<Option<Kept>>);

/// The workload of a run that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct Kept {
    pub namespace: String,
    /// The run whose it was.
    pub run: String,
    /// Its undo in the ledger.
    pub entry: u64,
    /// What was asked for.
    pub objects: Vec<serde_json::Value>,
    /// Its pods when it was first ready, and where they were.
    pub pods: BTreeSet<String>,
}

impl KeptWorkload {
    pub(in crate::engine) fn set(&self, kept: Option<Kept>) {
        *self.lock() = kept;
    }

    pub(in crate::engine) fn get(&self) -> Option<Kept> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pods of a namespace and their nodes; `None` where there are none, or they can't be listed.
pub(in crate::engine) async fn pods(
    cluster: &Cluster,
    namespace: &str,
) -> Option<BTreeSet<String>> {
    let pods = cluster.pods(namespace, &BTreeMap::new()).await.ok()?;
    let pods = pods.into_iter().map(|pod| format!("{} {:?}", pod.uid, pod.node));
    Some(pods.collect()).filter(|pods: &BTreeSet<_>| !pods.is_empty())
}
