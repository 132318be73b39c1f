//! Only the kubelet stops: its node becomes NotReady while its pods go on answering.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::context::{COMMAND, FaultContext, Look, Wait};
use super::error::FaultError;
use super::node_fault::{ModelNode, Modelled, NodeFault, Plan, Undone};
use super::switch::{SHORT, Switch};
use crate::experiment::Fault;
use crate::timeline::FaultPhase;

pub(super) const WAIT: Wait =
    Wait { every: Duration::from_millis(100), limit: Duration::from_secs(30) };
/// What an undo says of a node that is not running.
pub(super) const NODE_DOWN: &str = "the node is not running: its kubelet starts with it";
/// The script does not wait for systemd, so that it never holds the lock for long.
const STOP: &str = "systemctl stop --no-block kubelet";
const START: &str = "systemctl start --no-block kubelet || exit 1";

/// The kubelet is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct KubeletStop(Switch);

impl NodeFault for KubeletStop {
    const UNDO_TIMEOUT: Duration = WAIT.limit;

    fn injection_timeout(_: &Fault) -> Duration {
        COMMAND + WAIT.limit
    }

    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
        Ok(Self(plan.switch()))
    }

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        must_be_active(context).await?;
        self.0.arm(context, &[], &self.0.undo_script(SHORT, START)).await?;
        context.report(FaultPhase::Requested, "systemctl stop kubelet");
        self.0.inject(SHORT, context, "stop the kubelet", STOP).await?;
        context.report(FaultPhase::Returned, "systemd has the job");
        let stopped = async |context: &FaultContext<'_, '_>| {
            let state = kubelet(context).await?;
            let stopped = state == "inactive" || state == "failed";
            let seen = format!("the kubelet is {state}");
            Ok(if stopped { Look::Seen(seen) } else { Look::NotYet(seen) })
        };
        context.confirm(WAIT, stopped).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        let script = self.0.undo_script(SHORT, START);
        if self.0.undo(SHORT, context, "start the kubelet", &script).await?.is_none() {
            return Ok(NODE_DOWN.into());
        }
        Ok(until_active(context).await?.into())
    }

    fn describe(&self, container: &str) -> String {
        format!("start the kubelet in container {container}")
    }

    fn by_hand(&self, container: &str) -> String {
        format!("docker exec {container} systemctl start kubelet")
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        let inject = node.action(fault)?;
        Some(Modelled {
            inject,
            effect: "kubelet stopped",
            undo: inject.undo()?,
            undone: "kubelet started",
            describe: format!("start the kubelet of node {} of the model", node.name),
        })
    }
}

/// Refuses a node that is not up, and one whose kubelet is not active.
pub(super) async fn must_be_active(context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
    context.must_be_up().await?;
    match kubelet(context).await? {
        state if state == "active" => Ok(()),
        state => Err(context.refused(format!("its kubelet is already {state}"))),
    }
}

/// `active`, `inactive`, `activating`, `deactivating`, `failed`.
async fn kubelet(context: &FaultContext<'_, '_>) -> Result<String, FaultError> {
    Ok(context.run(&["systemctl", "is-active", "kubelet"]).await?.text())
}

/// Two looks: a kubelet that crashes at its start is active for a moment.
async fn until_active(context: &FaultContext<'_, '_>) -> Result<String, FaultError> {
    let mut before = String::new();
    let steady = context.look_until_seen(WAIT, async |context| {
        let state = kubelet(context).await?;
        let steady = state == "active" && before == state;
        before.clone_from(&state);
        Ok(if steady { Look::Seen(String::new()) } else { Look::NotYet(state) })
    });
    match steady.await? {
        Look::Seen(_) => Ok("the kubelet is active".into()),
        Look::NotYet(state) => {
            Err(context.not_undone(format!("its kubelet is {state}"), WAIT.limit))
        }
    }
}
