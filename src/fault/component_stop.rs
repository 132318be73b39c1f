//! A part of the control plane ends and is held down: its static pod's manifest is moved out of the
//! kubelet's sight, and back.
//!
//! It is kept beside the directory of manifests, on the same file system: it moves in one step, and
//! a restart of the node loses nothing.

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

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const EFFECT: Effect = (Seen::gone, "no {} runs");

/// A static pod's manifest is moved away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ComponentStop(Part);

impl NodeFault for ComponentStop {
    const IS_SLOW: bool = true;

    component::on_part!(EFFECT);

    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
        let Part { timer, .. } = &self.0;
        timer.arm(context, &[], &self.undo_script()).await?;
        context.report(FaultPhase::Requested, format!("move {} away", self.manifest()));
        // A process may take 30 s to end. A command that waits for that in the node ends with the
        // process, also where it is the API server through which the command was sent.
        let gone = self.0.until_gone(&self.manifest());
        let effect = (gone.as_str(), component::END);
        timer.inject_slowly(effect, context, "move the manifest away", &self.script()).await?;
        context.report(FaultPhase::Returned, "its manifest is moved away");
        // A process that another has put in its place meanwhile was started by the kubelet before
        // it looked.
        self.0.confirm(context, component::LOOK, EFFECT).await
    }

    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
        let script = self.undo_script();
        match self.0.timer.undo(SHORT, context, "move the manifest back", &script).await? {
            Some(_) => Ok(self.0.until_well(context, Seen::replaced).await?.into()),
            None => {
                // What was moved stays moved while the node is down: this undo has to come again.
                let seen = "the node is not running, so its manifest could not be moved back,";
                Err(context.not_undone(seen, Duration::ZERO))
            }
        }
    }

    fn describe(&self, machine: Machine<'_>) -> String {
        format!("put the manifest of {} back {}", self.0.name(), machine.place())
    }

    fn by_hand(&self, machine: Machine<'_>) -> String {
        machine.typed(&format!("mv {} {MANIFESTS}/", self.kept()))
    }

    fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
        modelled(fault, node, "held down", "started again", "start {component} of {node} again")
    }
}

impl ComponentStop {
    fn manifest(&self) -> String {
        format!("{MANIFESTS}/{}.yaml", self.0.name())
    }

    /// The run's own directory.
    fn keep(&self) -> String {
        format!("/etc/kubernetes/{}", self.0.timer.mark)
    }

    fn kept(&self) -> String {
        format!("{}/{}.yaml", self.keep(), self.0.name())
    }

    fn script(&self) -> String {
        let (manifest, keep) = (self.manifest(), self.keep());
        format!(
            "{finding}\n\
             [ -e {manifest} ] || {{ echo '{manifest} is not there'; exit 1; }}\n\
             found >{witness}; mkdir -p {keep} && mv {manifest} {keep}/ || exit 1",
            finding = self.0.find_processes(),
            witness = self.0.witness(),
        )
    }

    /// A manifest that somebody has put in its place meanwhile is not overwritten.
    fn undo_script(&self) -> String {
        let (manifest, keep, kept) = (self.manifest(), self.keep(), self.kept());
        let script = format!(
            "if [ -e {kept} ]; then\n\
             [ ! -e {manifest} ] || {{ echo 'another manifest is in the place of {kept}'; exit 1; }}\n\
             mv {kept} {manifest} || exit 1\n\
             fi\n\
             rmdir {keep} 2>/dev/null\n\
             [ -e {manifest} ] || {{ echo '{manifest} is lost'; exit 1; }}"
        );
        self.0.timer.undo_script(SHORT, &script)
    }
}
