//! An orderly shutdown: `docker stop` is systemd's own, cut short by a kill when the grace is over.

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
use crate::timeline::format_duration;

/// How long the node may take before it is killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeStop {
    grace: Duration,
}

impl NodeFault for NodeStop {
    power_on::undone_by!("start", Cause::Stop);

    fn injection_timeout(fault: &Fault) -> Duration {
        fault.grace().unwrap_or_default() + CONFIRM_TIMEOUT
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self { grace: plan.fault.grace().ok_or_else(|| plan.another_fault())? })
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let grace = format!("docker stop, {} of grace", format_duration(self.grace));
        let call = context.switch()?.stop(context.container(), self.grace);
        take_down(context, grace, call, ended).await
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "node off", "node started", "start {node}")
    }
}
