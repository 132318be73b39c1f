//! The process of a part of the control plane freezes (SIGSTOP), and goes on (SIGCONT).
//!
//! When the freeze lasts longer than the liveness probe is patient (about 80 s in kubeadm's
//! manifests), the kubelet kills the process and starts another: then that one must run, and the
//! undo finds nothing to do.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::component::{self, Effect, Part, Seen};
use super::context::{FaultContext, Look};
use super::error::FaultError;
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::{SHORT, UndoTimer};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

const EFFECT: Effect = (Seen::frozen, "the process of {} is frozen");

/// The process of a part of the control plane is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ComponentPause(Part);

impl NodeFault for ComponentPause {
    component::on_part!(EFFECT);

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        self.0.timer.arm(context, &[], &self.undo_script()).await?;
        context.report(FaultPhase::Requested, format!("kill -STOP {}", self.0.name()));
        let script = freeze_script(&self.0);
        self.0.timer.inject(SHORT, context, "freeze the process", &script).await?;
        context.report(FaultPhase::Returned, "the signal was sent");
        self.0.confirm(context, component::END, EFFECT).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        let script = self.undo_script();
        match self.0.timer.undo(SHORT, context, "unfreeze the process", &script).await? {
            None => Ok(self.0.node_is_down().into()),
            Some(_) => Ok(self.0.until_well(context, |_| true).await?.into()),
        }
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("unfreeze {} {}", self.0.name(), machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        self.0.timer.by_hand(machine)
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(
            fault,
            node,
            "process frozen",
            "process unfrozen",
            "unfreeze {component} of {node}",
        )
    }
}

impl ComponentPause {
    /// A process that ends at this moment can't be unfrozen, and need not be.
    fn undo_script(&self) -> String {
        let finding = self.0.find_processes();
        let script = format!(
            "{finding}\nfound | while read -r pid rest; do kill -CONT $pid 2>/dev/null; done"
        );
        self.0.timer.undo_script(SHORT, &script)
    }
}

fn freeze_script(part: &Part) -> String {
    format!(
        "{finding}\n\
         processes=$(found); [ -n \"$processes\" ] || {{ echo 'no process is there'; exit 1; }}\n\
         echo \"$processes\" | while read -r pid rest; do kill -STOP $pid || exit 1; done || exit 1",
        finding = part.find_processes(),
    )
}
