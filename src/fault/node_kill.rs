//! Power loss: `docker kill`. (It does not trigger the container's restart policy.)

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::FaultContext;
use super::error::FaultError;
use super::node_fault::{ModelNode, Modelled, NodeFault, Plan, Undone};
use super::power_off::{CONFIRM_TIMEOUT, ended, until_seen};
use super::power_on::{self, Cause};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

/// Power loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeKill;

impl NodeFault for NodeKill {
    const UNDO_TIMEOUT: Duration = power_on::TIMEOUT;

    fn injection_timeout(_: &Fault) -> Duration {
        CONFIRM_TIMEOUT
    }

    fn plan(_: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self)
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        context.must_be_up().await?;
        context.report(FaultPhase::Requested, "docker kill");
        let call = context.docker.kill(context.container());
        until_seen(context, call, ended).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        power_on::undo(context, Cause::Kill).await
    }

    fn describe(&self, container: &str) -> String {
        power_on::describe(container)
    }

    fn by_hand(&self, container: &str) -> String {
        power_on::by_hand(container)
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        power_on::modelled(node.action(fault)?, node)
    }
}
