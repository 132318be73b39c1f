//! The prober, or the observer, inside a node: its protocol, how it gets there, and its clock.
//!
//! ```text
//! runner                                         node
//! deploy: upload, exec, handshake  --input-->    serve: threads for input, output and probes
//!         AgentMessage             <--output--   (netns: in a pod's network)
//! ```
//!
//! [`local`] gives the same handle and the same messages for probes from the runner's own machine.

pub mod binary;
pub mod clock;
pub mod deploy;
pub mod local;
pub mod netns;
pub mod protocol;
pub mod serve;
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

pub use binary::check_binary;
pub use deploy::{Placement, deploy, sweep};
pub use serve::serve;

/// An agent that was told to stop has this long to hand over what it found.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What an agent reports. All moments are on the runner's clock.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentMessage {
    /// A probe has begun. Comes before its attempts.
    Started(ProbeSpan),
    /// Attempts of a probe: whole encoded records, to be appended to its file in the order in which
    /// they come.
    Attempts {
        /// The probe's name.
        probe: String,
        /// The records.
        records: Vec<u8>,
    },
    /// What an observer has seen.
    Record(Record),
    /// Everything that an observer saw up to this moment was reported.
    ObservedUntil(Moment),
    /// Something to know; `warning` when it weakens a number.
    Note {
        /// Whether it weakens a number.
        warning: bool,
        /// What it is.
        text: String,
    },
    /// The last message of an agent.
    Ended {
        /// The names of its probes, its control probe's among them. One that never began is named,
        /// too.
        probes: Vec<String>,
        /// What ended it, if it was not told to.
        error: Option<String>,
    },
}

/// The names of an agent's probes.
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
pub enum AgentError {
    /// The program can't run on the node.
    #[error("run the prober on {node}: {why}")]
    Binary {
        /// The node.
        node: String,
        /// Why not.
        why: String,
    },
    /// Uploading or executing it failed.
    #[error("{what} the prober on {node}: {source}")]
    Access {
        /// What was tried: `upload`, `start`.
        what: &'static str,
        /// The node.
        node: String,
        /// Why not.
        source: AccessError,
    },
    /// It did not come to work, or ended by itself.
    #[error("probe from {node}: {why}")]
    Agent {
        /// The node.
        node: String,
        /// What it said.
        why: String,
    },
    /// It did not do something in time.
    #[error("{what} the prober on {node}: no answer within {within:?}")]
    Silent {
        /// What was tried.
        what: &'static str,
        /// The node.
        node: String,
        /// How long was waited.
        within: Duration,
    },
}

impl AgentError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Binary { .. } => Some(
                "pass a Linux build of this program for the node's architecture with \
                 --agent-binary FILE",
            ),
            _ => None,
        }
    }
}

/// A running agent. Dropped without [`Self::stop`], it ends by itself, soon.
#[derive(Debug)]
pub struct AgentHandle {
    node: String,
    stop: StopSignal,
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
    pub async fn stop(mut self) -> Result<(), AgentError> {
        self.signal();
        match tokio::time::timeout(STOP_TIMEOUT, &mut self.ended).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(AgentError::Agent { node: self.node.clone(), why }),
            Ok(Err(_)) => Err(AgentError::Agent {
                node: self.node.clone(),
                why: "it exited without a message".into(),
            }),
            Err(_) => Err(AgentError::Silent {
                what: "stop",
                node: self.node.clone(),
                within: STOP_TIMEOUT,
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
