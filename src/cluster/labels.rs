//! Labels and annotations that several questions look at.

/// The label whose value is the run's id.
pub(super) const RUN_LABEL: &str = "outage.run";
/// The annotation of a pod that a kubelet runs by itself; it can't be evicted.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
