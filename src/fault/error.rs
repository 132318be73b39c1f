//! Why a fault could not be injected, or not be undone.

use std::net::IpAddr;
use std::time::Duration;

use crate::cluster::ClusterError;
use crate::node::AccessError;
use crate::timeline::{format_seconds, readable};

/// So much of a line of a log is quoted.
const LINE: usize = 240;

/// Why a fault could not be injected, or not be undone. Fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub(crate) enum FaultError {
    /// The way into the node, or its machine's power switch.
    #[error(transparent)]
    Access(AccessError),
    /// It can't be injected in this cluster.
    #[error("{why}")]
    Impossible {
        why: String,
        /// What a person can do.
        hint: Option<&'static str>,
    },
    /// The container no longer exists, so that nothing is left to be undone.
    #[error("find {machine}: it no longer exists")]
    Gone { machine: String },
    /// The node is not as it must be before the fault; nothing was changed, and nothing is to be
    /// undone.
    #[error("inject the fault on node {node}: {why}")]
    Refused { node: String, why: String },
    /// The call came back, and its effect is not there.
    #[error("confirm the fault on node {node}: {seen} {} after the call", format_seconds(*.after))]
    NotConfirmed {
        node: String,
        seen: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The container is paused, by somebody else or by another fault that must be undone first.
    #[error("reach into node {node}: container {container} is paused")]
    Frozen { node: String, container: String },
    /// A command in the node failed.
    #[error("{what} in node {node}: {output}")]
    Command {
        node: String,
        /// What it should have done.
        what: &'static str,
        output: String,
    },
    /// The node is back with other addresses than before.
    #[error("restore the address of node {node}: it was {} and is {}", list(.before), list(.after))]
    AddressChanged { node: String, before: Vec<IpAddr>, after: Vec<IpAddr> },
    /// An object of the cluster is not as it must be.
    #[error("{what}: {why}")]
    Object {
        /// What should have been done, to what.
        what: String,
        why: String,
    },
    /// A program of the user's, on this machine.
    #[error("run `{command}`: {why}")]
    Program { command: String, why: String },
    #[error(transparent)]
    Api(#[from] ClusterError),
    /// The effect is still there.
    #[error("undo the fault on node {node}: {seen} after {}{}", format_seconds(*.after), end_of(.log))]
    NotUndone {
        node: String,
        seen: String,
        /// How long was tried.
        after: Duration,
        /// The end of the log of what does not work.
        log: Vec<String>,
    },
}

pub(super) fn list(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() {
        return "none".into();
    }
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn end_of(log: &[String]) -> String {
    if log.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = log.iter().map(|line| quoted(line)).collect();
    format!("; the end of its log: {}", lines.join(" / "))
}

/// A line of a log, as an error quotes it.
fn quoted(line: &str) -> String {
    let plain = readable(line);
    match plain.char_indices().nth(LINE) {
        Some((end, _)) => format!("{} ...", &plain[..end]),
        None => plain,
    }
}

impl FaultError {
    /// The same with the end of a log.
    pub(super) fn quoting(mut self, lines: Vec<String>) -> Self {
        if let Self::NotUndone { log, .. } = &mut self {
            *log = lines;
        }
        self
    }

    /// Whether an injection ended before it had changed anything.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether the target no longer exists, so that nothing is left to be undone.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }

    /// What a person can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Access(AccessError { hint, .. }) | Self::Impossible { hint, .. } => {
                hint.map(str::to_owned)
            }
            Self::Frozen { container, .. } => {
                Some(format!("`docker unpause {container}`, then try again"))
            }
            Self::AddressChanged { .. } => Some(
                "the container engine gave it another address when it started: stop the nodes and \
                 start them in their old order (Docker gives the lowest free address), or recreate \
                 the cluster (one with several control planes does not survive this: kind#1689)"
                    .into(),
            ),
            Self::Api(error) => error.hint(),
            Self::Object { .. }
            | Self::Program { .. }
            | Self::Gone { .. }
            | Self::Refused { .. }
            | Self::NotConfirmed { .. }
            | Self::Command { .. }
            | Self::NotUndone { .. } => None,
        }
    }
}
