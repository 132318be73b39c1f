//! A freeze: `docker pause`. The node's processes stand still, its connections stay open and
//! silent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::FaultContext;
use super::error::FaultError;
use super::node_fault::{ModelNode, Modelled, NodeFault, Plan, Undone, modelled};
use super::power_off::{CONFIRM_TIMEOUT, until_seen};
use super::power_on::{self, Cause};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodePause;

impl NodeFault for NodePause {
    const UNDO_TIMEOUT: Duration = power_on::TIMEOUT;

    fn injection_timeout(_: &Fault) -> Duration {
        CONFIRM_TIMEOUT
    }

    fn plan(_: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self)
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        context.must_be_up().await?;
        context.report(FaultPhase::Requested, "docker pause");
        let call = context.docker.pause(context.container());
        until_seen(context, call, |state| state.paused.then(|| "container paused".into())).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        power_on::undo(context, Cause::Pause).await
    }

    fn describe(&self, container: &str) -> String {
        format!("unpause container {container} (docker unpause)")
    }

    fn by_hand(&self, container: &str) -> String {
        format!("docker unpause {container}")
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "node frozen", "node unpaused", "unpause")
    }
}
