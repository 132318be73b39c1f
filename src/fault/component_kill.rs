//! The process of a part of the control plane is killed; its kubelet starts it again by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::{self, Effect, Part, Seen};
use super::context::{FaultContext, Look};
use super::error::FaultError;
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::{NOTHING, SHORT, UndoTimer};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

const EFFECT: Effect = (Seen::killed, "the process of {} is gone");

/// The process of a part of the control plane is killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ComponentKill(Part);

impl NodeFault for ComponentKill {
    component::on_part!(EFFECT);

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let Part { timer, .. } = &self.0;
        timer.arm(context, &[], &timer.undo_script(SHORT, NOTHING)).await?;
        context.report(FaultPhase::Requested, format!("kill -KILL {}", self.0.name()));
        timer.inject(SHORT, context, "kill the process", &kill_script(&self.0)).await?;
        context.report(FaultPhase::Returned, "the signal was sent");
        self.0.confirm(context, component::END, EFFECT).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        match self.0.timer.take_ticket(context).await? {
            None => Ok(self.0.node_is_down().into()),
            Some(_) => Ok(self.0.until_well(context, Seen::replaced).await?.into()),
        }
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("wait for {} {}", self.0.name(), machine.place())
    }

    /// It is the kubelet that starts it.
    fn by_hand(&self, machine: Machine<'_>) -> String {
        machine.typed("systemctl restart kubelet")
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "process gone", "started again", "wait for {component} of {node}")
    }
}

fn kill_script(part: &Part) -> String {
    format!(
        "{finding}\n\
         found >{witness}; [ -s {witness} ] || {{ echo 'no process is there'; exit 1; }}\n\
         while read -r pid rest; do kill -KILL $pid || exit 1; done <{witness}",
        finding = part.find_processes(),
        witness = part.witness(),
    )
}
