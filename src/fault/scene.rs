//! What every fault has at hand: the engine, the record, and whom to tell.

use std::time::Duration;

use super::Progress;
use super::error::FaultError;
use super::record::Undo;
use crate::docker::{ContainerState, Docker, DockerError, ExecOutput};
use crate::timeline::FaultPhase;

/// The bound on one command in the node.
pub(super) const COMMAND: Duration = Duration::from_secs(30);

pub(super) struct Scene<'a, 'p> {
    pub docker: &'a Docker,
    pub undo: &'a Undo,
    pub progress: &'a mut Progress<'p>,
}

impl<'a> Scene<'a, '_> {
    pub(super) fn say(&mut self, phase: FaultPhase, seen: impl Into<String>) {
        (self.progress)(phase, seen.into());
    }

    pub(super) fn node(&self) -> String {
        self.undo.target.node.clone()
    }

    /// Containers are addressed by id: one of the same name that was made later is another.
    pub(super) fn container(&self) -> &'a str {
        &self.undo.target.container_id
    }

    pub(super) async fn state(&self) -> Result<ContainerState, FaultError> {
        let state =
            self.docker.inspect(self.container()).await.map_err(|error| self.error(error))?;
        if state.dead { Err(self.gone()) } else { Ok(state) }
    }

    /// Harm is done to a node only that is up: what is down or frozen was so by somebody else's will.
    pub(super) async fn must_be_up(&self) -> Result<(), FaultError> {
        let state = self.state().await?;
        match (state.running, state.paused) {
            (true, false) => Ok(()),
            (true, true) => Err(self.not_fit("its container is paused already")),
            (false, _) => Err(self.not_fit("its container is not running")),
        }
    }

    pub(super) async fn run(&self, argv: &[&str]) -> Result<ExecOutput, FaultError> {
        self.run_within(COMMAND, argv).await
    }

    pub(super) async fn run_within(
        &self,
        limit: Duration,
        argv: &[&str],
    ) -> Result<ExecOutput, FaultError> {
        self.docker
            .exec_within(limit, self.container(), argv, None)
            .await
            .map_err(|error| self.error(error))
    }

    pub(super) fn error(&self, error: DockerError) -> FaultError {
        match error {
            DockerError::NoSuchContainer { .. } => self.gone(),
            DockerError::Paused { .. } => self.frozen(),
            other => FaultError::Docker(other),
        }
    }

    pub(super) fn frozen(&self) -> FaultError {
        FaultError::Frozen { node: self.node(), container: self.undo.target.container_name.clone() }
    }

    fn gone(&self) -> FaultError {
        FaultError::Gone { container: self.undo.target.container_name.clone() }
    }

    pub(super) fn not_fit(&self, why: impl Into<String>) -> FaultError {
        FaultError::NotFit { node: self.node(), why: why.into() }
    }
}
