//! A freeze: `docker pause`. The node's processes stand still, its connections stay open and
//! silent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::FaultContext;
use super::error::FaultError;
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::power_off::{CONFIRM_TIMEOUT, take_down};
use super::power_on::{self, Cause};
use crate::docker::ContainerState;
use crate::experiment::Fault;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodePause;

impl NodeFault for NodePause {
    power_on::undone_by!("unpause", Cause::Pause);

    fn injection_timeout(_: &Fault) -> Duration {
        CONFIRM_TIMEOUT
    }

    fn plan(_: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self)
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let call = context.switch()?.pause(context.container());
        let paused = |state: &ContainerState| state.paused.then(|| "container paused".into());
        take_down(context, "docker pause", call, paused).await
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "node frozen", "node unpaused", "unpause {node}")
    }
}
