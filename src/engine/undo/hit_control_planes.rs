//! The control planes that the faults of a run have hit.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fault;
use crate::timeline::NodeRole;

/// The control planes that faults have hit, by their containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct HitControlPlanes(Arc<Mutex<BTreeSet<String>>>);

impl HitControlPlanes {
    /// A fault hits a node: it counts where that is a control plane.
    pub(crate) fn note(&self, fault: &fault::Undo) {
        if fault.target.role == NodeRole::ControlPlane {
            self.lock().insert(fault.target.container_id.clone());
        }
    }

    /// Those of another, too.
    pub(crate) fn add(&self, other: &Self) {
        let others = other.lock().clone();
        self.lock().extend(others);
    }

    pub(crate) fn has(&self, container: &str) -> bool {
        self.lock().contains(container)
    }

    /// Whether no control plane was hit.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
