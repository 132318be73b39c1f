//! What Kubernetes says, as records: nodes, leases, endpoint slices, pods, events, and the gaps.
