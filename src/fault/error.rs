//! Why a fault could not be done, or not be taken back.

use std::net::IpAddr;
use std::time::Duration;

use crate::docker::DockerError;

/// Why a fault could not be done, or not be taken back. Fits after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FaultError {
    /// The container engine.
    #[error(transparent)]
    Docker(DockerError),
    /// The container no longer exists, so that nothing is left to be undone.
    #[error("find container {container}: it no longer exists")]
    Gone {
        /// The container's name.
        container: String,
    },
    /// The node is not as it must be before the harm; no harm was done.
    #[error("harm node {node}: {why}")]
    NotFit {
        /// The node.
        node: String,
        /// Why not.
        why: String,
    },
    /// The call came back, and its effect is not there.
    #[error("confirm the fault on node {node}: {seen} {}s after the call", .after.as_secs())]
    NotConfirmed {
        /// The node.
        node: String,
        /// What was seen instead.
        seen: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The container is paused, by somebody else or by another fault that must be undone first.
    #[error("reach into node {node}: container {container} is paused")]
    Frozen {
        /// The node.
        node: String,
        /// The container.
        container: String,
    },
    /// A command in the node failed.
    #[error("{what} in node {node}: {output}")]
    Inside {
        /// The node.
        node: String,
        /// What it should have done.
        what: &'static str,
        /// What it said.
        output: String,
    },
    /// The node is back with other addresses than before.
    #[error("give node {node} its address back: it was {} and is {}", list(.before), list(.after))]
    AddressChanged {
        /// The node.
        node: String,
        /// Before the harm.
        before: Vec<IpAddr>,
        /// Now.
        after: Vec<IpAddr>,
    },
    /// An object of the cluster is not as it must be.
    #[error("{what}: {why}")]
    Object {
        /// What should have been done, to what.
        what: String,
        /// What was seen.
        why: String,
    },
    /// The cluster's API server.
    #[error("{why}")]
    Api {
        /// What it said, or what kept it from being asked.
        why: String,
        /// What a person can do.
        hint: Option<String>,
        /// Whether it may be over in a moment.
        passes: bool,
    },
    /// The effect is still there.
    #[error("undo the fault on node {node}: {seen} after {}s", .after.as_secs())]
    NotUndone {
        /// The node.
        node: String,
        /// What was seen.
        seen: String,
        /// How long was tried.
        after: Duration,
    },
}

fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "none".into();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

impl FaultError {
    /// Whether the target no longer exists, so that nothing is left to be undone.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// What a person can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Docker(error) => error.hint().map(str::to_owned),
            Self::Frozen { container, .. } => Some(format!("`docker unpause {container}`, then try again")),
            Self::AddressChanged { .. } => Some(
                "the engine gave its address to another container: stop the nodes and start them in their old order, or make the \
                 cluster anew (a cluster with several control planes does not survive this: kind#1689)"
                    .into(),
            ),
            Self::Api { hint, .. } => hint.clone(),
            Self::Object { .. }
            | Self::Gone { .. }
            | Self::NotFit { .. }
            | Self::NotConfirmed { .. }
            | Self::Inside { .. }
            | Self::NotUndone { .. } => None,
        }
    }
}
