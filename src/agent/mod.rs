//! The prober, or the observer, inside a node: its protocol, how it gets there, and its clock.
//!
//! ```text
//! runner                                     node
//! deploy: upload, exec     --input-->        daemon: detaches the agent, connects streams to it
//! link:   frames, handshake                  connection: threads for each stream
//! pump:   AgentMessage     <--output--       outbox: what the runner does not have yet
//!         (reattaches)                       serve: probes (netns: in a pod's network)
//! ```
//!
//! [`local`] gives the same handle and the same messages for probes from the runner's own machine.

pub(crate) mod binary;
pub(crate) mod clock;
mod connection;
pub(crate) mod daemon;
pub(crate) mod deploy;
mod link;
pub(crate) mod local;
pub(crate) mod netns;
mod outbox;
pub mod protocol;
mod pump;
pub(crate) mod serve;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::node::AccessError;
use crate::probe::ProbeSpec;
use crate::timeline::{Moment, ProbeHeader, ProbeSpan, Record};

pub(crate) use binary::check_binary;
pub(crate) use deploy::{GRACE, NodeClocks, Placement, deploy, measure_clocks, sweep};

/// An agent that was asked to stop has this long to hand over what it found.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// And as long as its grace, but no longer than this, to be reached again.
const MOST_REACHING: Duration = Duration::from_secs(60);

/// What an agent reports. All moments are on the runner's clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum AgentMessage {
    /// A probe has begun. Comes before its attempts.
    Started(ProbeSpan),
    /// Attempts of a probe: whole encoded records, to be appended to its file in the order in which
    /// they come.
    Attempts {
        probe: String,
        records: Vec<u8>,
    },
    Record(Record),
    /// Everything that an observer saw up to this moment was reported.
    ObservedUntil(Moment),
    /// Something to know; `warning` when it weakens a number.
    Note {
        warning: bool,
        text: String,
    },
    Ended {
        /// The names of its probes, its control probe's among them. One that never began is named,
        /// too.
        probes: Vec<String>,
        /// What ended it, if it was not asked to.
        error: Option<String>,
    },
}

fn names(probes: &[ProbeSpec], control: Option<&ProbeHeader>) -> Vec<String> {
    probes
        .iter()
        .map(|probe| &probe.header)
        .chain(control)
        .map(|header| header.name.clone())
        .collect()
}

/// Why an agent can't be brought to work, or did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The program can't run on the node.
    #[error("run the prober on {node}: {why}")]
    Binary { node: String, why: String },
    /// Uploading or executing it failed.
    #[error("{what} the prober on {node}: {source}")]
    Access { what: &'static str, node: String, source: AccessError },
    /// It did not come to work, or ended by itself.
    #[error("probe from {node}: {why}")]
    Agent { node: String, why: String },
    /// It did not do something in time.
    #[error("{what} the prober on {node}: no answer within {within:?}")]
    Silent { what: &'static str, node: String, within: Duration },
}

impl AgentError {
    /// What a person can do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Binary { .. } => Some(
                "pass a Linux build of this program for the node's architecture with \
                 --agent-binary FILE",
            ),
            Self::Access { source, .. } => source.hint,
            _ => None,
        }
    }
}

/// A running agent. Dropped without [`Self::stop`], it ends by itself, soon.
#[derive(Debug)]
pub(crate) struct AgentHandle {
    node: String,
    stop: StopSignal,
    stop_timeout: Duration,
    ended: oneshot::Receiver<Result<(), String>>,
    _task: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
enum StopSignal {
    /// To the task that speaks with an agent elsewhere.
    Task(CancellationToken),
    /// To a prober in this process.
    Flag(Arc<AtomicBool>),
}

impl AgentHandle {
    /// Ends the probes and waits until all that they found was sent on; what is in flight is
    /// recorded as cut. Errors when the agent had ended by itself before, or does not end in time
    /// (it ends by itself then, for want of a heartbeat).
    pub(crate) async fn stop(mut self) -> Result<(), AgentError> {
        self.signal();
        match tokio::time::timeout(self.stop_timeout, &mut self.ended).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(AgentError::Agent { node: self.node.clone(), why }),
            Ok(Err(_)) => Err(AgentError::Agent {
                node: self.node.clone(),
                why: "it exited without a message".into(),
            }),
            Err(_) => Err(AgentError::Silent {
                what: "stop",
                node: self.node.clone(),
                within: self.stop_timeout,
            }),
        }
    }

    fn signal(&self) {
        match &self.stop {
            StopSignal::Task(token) => token.cancel(),
            StopSignal::Flag(flag) => flag.store(true, Ordering::Relaxed),
        }
    }
}

impl Drop for AgentHandle {
    fn drop(&mut self) {
        self.signal();
    }
}
