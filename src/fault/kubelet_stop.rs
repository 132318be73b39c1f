//! Only the kubelet stops: its node becomes NotReady while its pods go on answering.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look};
use super::error::FaultError;
use super::kubelet::{self, Scripts, WAIT, must_be_active, unit};
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::UndoTimer;
use crate::experiment::Fault;

/// The script does not wait for systemd, so that it never holds the lock for long.
const STOP: &str = "systemctl stop --no-block kubelet";
const START: &str = "systemctl start --no-block kubelet || exit 1";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KubeletStop(UndoTimer);

impl NodeFault for KubeletStop {
    kubelet::on_kubelet!();

    async fn check(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        must_be_active(context).await
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let scripts = Scripts {
            what: "stop the kubelet",
            inject: STOP,
            undo: START,
            tools: &[],
            request: "systemctl stop kubelet".into(),
            returned: "systemd accepted the job",
        };
        let stopped = async |context: &FaultContext<'_, '_>| {
            let state = unit(context).await?;
            let stopped = state == "inactive" || state == "failed";
            let seen = format!("the kubelet is {state}");
            Ok(if stopped { Look::Seen(seen) } else { Look::NotYet(seen) })
        };
        kubelet::inject(context, &self.0, scripts, stopped).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        kubelet::undo(context, &self.0, "start the kubelet", START).await
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("start the kubelet {}", machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        machine.typed("systemctl start kubelet")
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "kubelet stopped", "kubelet started", "start the kubelet of {node}")
    }
}
