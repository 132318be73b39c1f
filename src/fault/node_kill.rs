//! Power loss: `docker kill`. (It does not trigger the container's restart policy.)

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::FaultContext;
use super::error::FaultError;
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::power_off::{CONFIRM_TIMEOUT, ended, take_down};
use super::power_on::{self, Cause};
use crate::experiment::Fault;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeKill;

impl NodeFault for NodeKill {
    power_on::undone_by!("start", Cause::Kill);

    fn injection_timeout(_: &Fault) -> Duration {
        CONFIRM_TIMEOUT
    }

    fn plan(_: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self)
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let call = context.switch()?.kill(context.container());
        take_down(context, "docker kill", call, ended).await
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "node off", "node started", "start {node}")
    }
}
