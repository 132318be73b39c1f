//! Labels and annotations that several questions look at, and a run's mark on what it changes.

use kube::core::ObjectMeta;
use serde_json::{Value, json};

/// The label whose value is the run's id.
pub(super) const RUN_LABEL: &str = "outage.run";
/// The annotation of a pod that a kubelet runs by itself; it can't be evicted.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// The metadata of a patch that sets a run's mark, or takes it away (`None`), if the object still
/// is as it was read.
pub(super) fn marked(uid: &str, version: &str, mark: Option<&str>) -> Value {
    json!({"uid": uid, "resourceVersion": version, "labels": {RUN_LABEL: mark}})
}

/// What a run marks when it changes it.
pub(crate) trait Marked {
    /// Which run has marked it.
    fn mark(&self) -> Option<&str>;
}

pub(super) fn mark_of(metadata: &ObjectMeta) -> Option<String> {
    metadata.labels.as_ref()?.get(RUN_LABEL).cloned()
}
