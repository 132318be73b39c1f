//! What every fault on a node has at hand: the way into it, its machine's power switch, and where
//! to report.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Progress;
use super::error::FaultError;
use super::record::NodeTarget;
use crate::docker::{ContainerState, Docker, DockerError};
use crate::node::{
    Access, AccessError, AccessErrorKind, NodeAccess, NodeFile, NodeHandle, NodeState, Output,
    ProcessStream,
};
use crate::timeline::FaultPhase;

/// The bound on one command in the node.
pub(super) const COMMAND: Duration = Duration::from_secs(30);
/// The same while a fault closes the way in which the command came.
pub(super) const CLOSING: Duration = Duration::from_secs(5);
/// Why a fault at the machine can't be injected.
const NO_SWITCH: &str = "its machine can't be switched off through the API";

/// The way to a node.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    /// Into the node.
    pub access: &'a dyn NodeAccess,
    /// Its machine's power switch; `None`: nobody here has it, and the way in leads through the
    /// node's own kubelet.
    pub docker: Option<&'a Docker>,
}

impl Way<'_> {
    /// For what needs none.
    pub(crate) const NOWHERE: Way<'static> = Way { access: &Nowhere, docker: None };
}

struct Nowhere;

impl Nowhere {
    fn away<'a, T>() -> Access<'a, T> {
        let message =
            "reach the node: neither its container engine nor its cluster can be reached".into();
        Box::pin(async { Err(AccessError { kind: AccessErrorKind::Down, message, hint: None }) })
    }
}

impl NodeAccess for Nowhere {
    fn state<'a>(&'a self, _: &'a NodeHandle) -> Access<'a, NodeState> {
        Self::away()
    }

    fn run<'a>(&'a self, _: &'a NodeHandle, _: Duration, _: &'a [&'a str]) -> Access<'a, Output> {
        Self::away()
    }

    fn upload<'a>(&'a self, _: &'a NodeHandle, _: NodeFile<'a>) -> Access<'a, ()> {
        Self::away()
    }

    fn open<'a>(&'a self, _: &'a NodeHandle, _: &'a [&'a str]) -> Access<'a, ProcessStream> {
        Self::away()
    }
}

impl<'a> From<&'a Docker> for Way<'a> {
    fn from(docker: &'a Docker) -> Self {
        Self { access: docker, docker: Some(docker) }
    }
}

pub(super) struct FaultContext<'a, 'p> {
    pub access: &'a dyn NodeAccess,
    pub docker: Option<&'a Docker>,
    /// Whether nothing can be run in the node while the fault is in effect.
    pub closes_way_in: bool,
    /// Whether the call that injects may have been made.
    pub requested: bool,
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
        Way { access, docker }: Way<'a>,
        target: &'a NodeTarget,
        progress: &'a mut Progress<'p>,
    ) -> Self {
        Self {
            access,
            docker,
            closes_way_in: false,
            requested: false,
            target,
            handle: target.handle(),
            progress,
        }
    }

    /// The machine's power switch. Refused where nobody here has it.
    pub(super) fn switch(&self) -> Result<&'a Docker, FaultError> {
        self.docker.ok_or_else(|| self.refused(NO_SWITCH))
    }

    pub(super) fn report(&mut self, phase: FaultPhase, seen: impl Into<String>) {
        self.requested |= phase == FaultPhase::Requested;
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
            self.switch()?.inspect(self.container()).await.map_err(|error| self.failed(error))?;
        if state.dead { Err(self.gone()) } else { Ok(state) }
    }

    pub(super) async fn state(&self) -> Result<NodeState, FaultError> {
        self.access.state(&self.handle).await.map_err(|error| self.failed(error))
    }

    /// Refuses a node that is down or frozen.
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
        let limit = if self.closes_way_in { limit.min(CLOSING) } else { limit };
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
        FaultError::Gone { machine: self.target.machine().to_string() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::samples::ThroughKubelet;
    use crate::fault::{inject, samples};
    use crate::timeline::FaultKind;

    /// The phases of a kubelet's stop after which so many commands are answered, its result, and
    /// what ran in the node.
    async fn stopped(mut left: u32) -> (Vec<FaultPhase>, Result<(), FaultError>, Vec<String>) {
        let (mut ran, mut phases) = (Vec::new(), Vec::new());
        let result = {
            let node = ThroughKubelet::new(|command| {
                left =
                    left.checked_sub(u32::from(command != "true")).ok_or(AccessErrorKind::Away)?;
                match command {
                    "true" if left == 0 => Err(AccessErrorKind::Away),
                    "true" => Ok(""),
                    command => {
                        ran.push(command.to_owned());
                        Ok("active")
                    }
                }
            });
            let plan = samples::plan_of(&samples::fault(FaultKind::KubeletStop)).unwrap();
            inject(&plan, node.way(), &mut |phase, _| phases.push(phase)).await
        };
        (phases, result, ran)
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_closes_the_way_in_is_confirmed_by_that_and_its_timer_runs_from_then_on() {
        let (phases, result, ran) = stopped(3).await;
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Returned, FaultPhase::Confirmed]);
        assert!(result.is_ok() && ran[2].contains("-injected"), "{result:?} {ran:?}");
        let (phases, result, _) = stopped(2).await;
        assert_eq!(phases, [FaultPhase::Requested, FaultPhase::Confirmed], "its answer was lost");
        assert!(result.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_could_not_be_reached_before_is_not_hit() {
        let (phases, result, _) = stopped(1).await;
        assert!(phases.is_empty() && result.is_err(), "{phases:?}");
    }
}
