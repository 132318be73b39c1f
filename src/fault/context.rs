//! What every fault on a node has at hand: the way into it, its machine's power switch, and where
//! to report.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Progress;
use super::error::FaultError;
use super::record::NodeTarget;
use crate::docker::{ContainerState, Docker, DockerError};
use crate::node::{AccessError, AccessErrorKind, NodeAccess, NodeHandle, NodeState, Output};
use crate::timeline::FaultPhase;

/// The bound on one command in the node.
pub(super) const COMMAND: Duration = Duration::from_secs(30);

pub(super) struct FaultContext<'a, 'p> {
    pub access: &'a dyn NodeAccess,
    pub docker: &'a Docker,
    pub target: &'a NodeTarget,
    pub handle: NodeHandle,
    pub progress: &'a mut Progress<'p>,
}

/// How often to look for an effect, and for how long.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub every: Duration,
    pub limit: Duration,
}

/// What a look for an effect has found.
pub(super) enum Look {
    Seen(String),
    NotYet(String),
}

impl<'a, 'p> FaultContext<'a, 'p> {
    pub(super) fn new(
        docker: &'a Docker,
        target: &'a NodeTarget,
        progress: &'a mut Progress<'p>,
    ) -> Self {
        Self { access: docker, docker, target, handle: target.handle(), progress }
    }

    pub(super) fn report(&mut self, phase: FaultPhase, seen: impl Into<String>) {
        (self.progress)(phase, seen.into());
    }

    pub(super) fn node(&self) -> String {
        self.target.node.clone()
    }

    /// Containers are addressed by id: one of the same name that was made later is another.
    pub(super) fn container(&self) -> &'a str {
        &self.target.container_id
    }

    pub(super) async fn machine(&self) -> Result<ContainerState, FaultError> {
        let state =
            self.docker.inspect(self.container()).await.map_err(|error| self.failed(error))?;
        if state.dead { Err(self.gone()) } else { Ok(state) }
    }

    pub(super) async fn state(&self) -> Result<NodeState, FaultError> {
        self.access.state(&self.handle).await.map_err(|error| self.failed(error))
    }

    /// A fault is injected only into a node that is up: what is down or frozen was so by somebody
    /// else.
    pub(super) async fn must_be_up(&self) -> Result<(), FaultError> {
        match self.state().await? {
            NodeState::Up => Ok(()),
            NodeState::Frozen => Err(self.refused("it is already paused")),
            NodeState::Down => Err(self.refused("it is not running")),
        }
    }

    pub(super) async fn run(&self, argv: &[&str]) -> Result<Output, FaultError> {
        self.run_within(COMMAND, argv).await
    }

    pub(super) async fn run_within(
        &self,
        limit: Duration,
        argv: &[&str],
    ) -> Result<Output, FaultError> {
        self.access.run(&self.handle, limit, argv).await.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: impl Into<AccessError>) -> FaultError {
        let error = error.into();
        match error.kind {
            AccessErrorKind::Gone => self.gone(),
            AccessErrorKind::Frozen => self.frozen(),
            _ => FaultError::Access(error),
        }
    }

    /// A call to the machine's power switch.
    pub(super) fn switched(&self, result: Result<(), DockerError>) -> Result<(), FaultError> {
        result.map_err(|error| self.failed(error))
    }

    pub(super) fn frozen(&self) -> FaultError {
        FaultError::Frozen { node: self.node(), container: self.target.container_name.clone() }
    }

    fn gone(&self) -> FaultError {
        FaultError::Gone { container: self.target.container_name.clone() }
    }

    pub(super) fn refused(&self, why: impl Into<String>) -> FaultError {
        FaultError::Refused { node: self.node(), why: why.into() }
    }

    pub(super) fn not_undone(&self, seen: impl Into<String>, after: Duration) -> FaultError {
        let (node, seen, log) = (self.node(), seen.into(), Vec::new());
        FaultError::NotUndone { node, seen, after, log }
    }

    pub(super) fn not_confirmed(&self, seen: impl Into<String>, after: Duration) -> FaultError {
        FaultError::NotConfirmed { node: self.node(), seen: seen.into(), after }
    }

    pub(super) fn command_failed(&self, what: &'static str, output: &Output) -> FaultError {
        FaultError::Command { node: self.node(), what, output: output.error_text() }
    }

    /// Looks until the effect is there, and reports it as confirmed.
    pub(super) async fn confirm(
        &mut self,
        wait: Wait,
        look: impl AsyncFnMut(&Self) -> Result<Look, FaultError>,
    ) -> Result<(), FaultError> {
        match self.look_until_seen(wait, look).await? {
            Look::Seen(effect) => {
                self.report(FaultPhase::Confirmed, effect);
                Ok(())
            }
            Look::NotYet(seen) => Err(self.not_confirmed(seen, wait.limit)),
        }
    }

    /// Looks until the effect of an undo is there. What was seen at last.
    pub(super) async fn look_until_seen(
        &self,
        wait: Wait,
        mut look: impl AsyncFnMut(&Self) -> Result<Look, FaultError>,
    ) -> Result<Look, FaultError> {
        let end = Instant::now() + wait.limit;
        loop {
            match look(self).await? {
                Look::NotYet(_) if Instant::now() <= end => sleep(wait.every).await,
                last => return Ok(last),
            }
        }
    }
}
