//! Only the kubelet stops: its node becomes NotReady while its pods go on answering.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look};
use super::error::FaultError;
use super::kubelet::{self, WAIT, must_be_active, unit};
use super::modelled::{ModelNode, Modelled, modelled};
use super::node_fault::{NodeFault, Undone};
use super::node_plan::Plan;
use super::undo_timer::{SHORT, UndoTimer};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

/// The script does not wait for systemd, so that it never holds the lock for long.
const STOP: &str = "systemctl stop --no-block kubelet";
const START: &str = "systemctl start --no-block kubelet || exit 1";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KubeletStop(UndoTimer);

impl NodeFault for KubeletStop {
    kubelet::on_kubelet!();

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        must_be_active(context).await?;
        self.0.arm(context, &[], &self.0.undo_script(SHORT, START)).await?;
        context.report(FaultPhase::Requested, "systemctl stop kubelet");
        self.0.inject(SHORT, context, "stop the kubelet", STOP).await?;
        context.report(FaultPhase::Returned, "systemd accepted the job");
        let stopped = async |context: &FaultContext<'_, '_>| {
            let state = unit(context).await?;
            let stopped = state == "inactive" || state == "failed";
            let seen = format!("the kubelet is {state}");
            Ok(if stopped { Look::Seen(seen) } else { Look::NotYet(seen) })
        };
        context.confirm(WAIT, stopped).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        kubelet::undo(context, &self.0, "start the kubelet", START).await
    }

    fn describe(&self, container: &str) -> String {
        format!("start the kubelet in container {container}")
    }

    fn by_hand(&self, container: &str) -> String {
        format!("docker exec {container} systemctl start kubelet")
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "kubelet stopped", "kubelet started", "start the kubelet of {node}")
    }
}
