//! What a fault on a node has to say and to do: one type a fault, in a file of its own.

use std::time::Duration;

use super::component::Part;
use super::context::{FaultContext, Look};
use super::error::FaultError;
use super::modelled::{ModelNode, Modelled};
use super::node_plan::Plan;
use super::record::Machine;
use super::undo_timer::UndoTimer;
use crate::experiment::Fault;
use crate::timeline::CommandEffect;

/// A fault on a node. Its value is its record: plain data with all that the undo needs.
///
/// `inject` may be dropped at any await and `undo` may follow immediately: what is still on its way
/// then must be waited for, or refused when it arrives. `undo` may be called any number of times,
/// also for a fault that was never injected, and by another process.
pub(crate) trait NodeFault: Sized {
    /// How long the undo may take beyond one command.
    const UNDO_TIMEOUT: Duration;

    /// The same of one fault.
    fn undo_timeout(_: &Fault) -> Duration {
        Self::UNDO_TIMEOUT
    }

    /// How it would be undone, where the undo names no node.
    const PREVIEW_WITHOUT_NODE: Option<&'static str> = None;

    /// How long the injection may take beyond one command.
    fn injection_timeout(fault: &Fault) -> Duration;

    /// Works out the record. Calls nothing. Errors when the fault is impossible here.
    fn plan(plan: &Plan<'_>) -> Result<Self, FaultError>;

    /// Refuses a node that is not as the fault needs it: what is down or frozen was so by somebody
    /// else, and an undo would change that. Looks before the undo is recorded, so that a run that
    /// ends then has nothing to undo, and again right before the injection.
    async fn check(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
        match self.part() {
            Some(part) => part.must_run(context).await,
            None => context.must_be_up().await,
        }
    }

    /// Injects the fault, if [`Self::check`] has not refused it, and ends when its effect was seen.
    /// Reports `Requested` right before the call that injects, `Returned` when it comes back,
    /// `Confirmed` when the effect was seen. It is undone after every error but
    /// [`FaultError::Refused`], which is only for a fault that has not been requested and has left
    /// nothing: an undo would change what somebody else has done.
    async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError>;

    /// Undoes it, and ends when the effect was seen to be gone. Whether what it hit works again is
    /// verified afterwards, for every fault in the same way (`works.rs`).
    async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError>;

    /// What the undo does, for people: `start container kind-worker (docker start)`.
    fn describe(&self, machine: Machine<'_>) -> String;

    /// The command that does the same by hand.
    fn by_hand(&self, machine: Machine<'_>) -> String;

    /// The part of the control plane that it hits; `None`: the node itself.
    fn part(&self) -> Option<Part> {
        None
    }

    /// Looks for its effect, for an injection whose answer was lost; `None`: a look does not show
    /// it.
    async fn look(&self, _: &FaultContext<'_, '_>) -> Result<Option<Look>, FaultError> {
        Ok(None)
    }

    /// What undoes it inside the node if nothing else does; `None`: it is not inside the node.
    fn undo_timer(&self) -> Option<&UndoTimer> {
        None
    }

    /// Whether its effect may come long after its injection.
    const IS_SLOW: bool = false;

    fn pod(&self) -> Option<&str> {
        None
    }

    /// The commands of the user's that it runs beside its undo, for people.
    fn commands(&self) -> Vec<String> {
        Vec::new()
    }

    /// What commands of the user's do to the node, where it is they that inject the fault.
    fn effect(&self) -> Option<CommandEffect> {
        None
    }

    /// What it is to the model behind an embedded cluster; `None`: it is not modelled.
    fn modelled(_fault: &Fault, _node: ModelNode<'_>) -> Option<Modelled> {
        None
    }
}

/// What an undo has seen at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    pub seen: String,
    /// Whether the effect was over before.
    pub wore_off: bool,
}

impl From<String> for Undone {
    fn from(seen: String) -> Self {
        Self { seen, wore_off: false }
    }
}

impl From<&str> for Undone {
    fn from(seen: &str) -> Self {
        seen.to_owned().into()
    }
}
