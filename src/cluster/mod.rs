//! The Kubernetes adapter and kind's life cycle: the only place that names kube's client.
