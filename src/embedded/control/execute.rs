//! Actions on nodes: one after the other on each node, and answered when their effect is there.

use std::time::{Duration, Instant};

use super::actions::{Command, KUBELET_STARTED, NODE_STARTED};
use super::driver::Driver;
use crate::embedded::EmbeddedError;
use crate::model::{Action, Effect, NodeState, Power};

impl Driver {
    /// Does what is wanted, after what is still on its way on that node.
    pub(super) fn execute(&mut self, command: Command) {
        let node = command.action.node();
        let boots = node.is_some_and(|node| self.model.node(node).power == Power::Booting);
        for undone in self.actions.undone_by(command.action, boots) {
            undone.tell(Err(EmbeddedError::Undone));
        }
        if !self.actions.is_busy(node) {
            return self.begin(command);
        }
        // Who wants a node back does not wait for the end of its shutdown.
        if let (Action::Start { node }, true) = (command.action, self.actions.is_stopping(node)) {
            self.act(Action::Kill { node });
        }
        self.actions.queued.push(command);
    }

    fn begin(&mut self, command: Command) {
        self.act(command.action);
        // A part that served nobody may go without any change of who serves.
        self.machine_changed();
        self.actions.begun.push((command, Instant::now()));
    }

    /// Tells whose effect is there, and begins what waited for it. Whether something was begun.
    pub(super) fn answer_done(&mut self) -> bool {
        let model = &self.model;
        let mut begun = Vec::new();
        for (command, since) in std::mem::take(&mut self.actions.begun) {
            let node = command.action.node().map(|node| model.node(node));
            match node.map_or(Effect::There, |node| effect(command.action, &node, since.elapsed()))
            {
                Effect::There => command.tell(Ok(())),
                Effect::Never => command.tell(Err(EmbeddedError::Off)),
                Effect::Coming => begun.push((command, since)),
            }
        }
        self.actions.begun = begun;
        let begun = self.actions.begun.len();
        // What nobody waits for any more was not begun, and is not.
        let queued = std::mem::take(&mut self.actions.queued)
            .into_iter()
            .filter(|command| !command.done.is_closed());
        queued.for_each(|command| self.execute(command));
        self.actions.begun.len() > begun
    }
}

/// What became of an action; a start is answered before all is up, as on kind.
fn effect(action: Action, node: &NodeState, after: Duration) -> Effect {
    let is_answered = match action {
        Action::Start { .. } => node.power == Power::Booting && after >= NODE_STARTED,
        Action::StartKubelet { .. } => after >= KUBELET_STARTED,
        _ => false,
    };
    if is_answered { Effect::There } else { node.effect(action) }
}
