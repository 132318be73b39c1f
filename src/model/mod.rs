//! Pure: how Kubernetes notices a dead node, over given time.
