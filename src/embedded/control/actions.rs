//! Actions on nodes: one after the other on each node, and told when their effect is there.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::driver::Driver;
use crate::embedded::EmbeddedError;
use crate::model::{Action, Effect, NodeId, NodeState, Power};

/// What the cluster's owner wants.
#[derive(Debug)]
pub(crate) struct Command {
    /// What is to be done.
    pub action: Action,
    /// Told when its effect is there, or why it won't be.
    pub done: oneshot::Sender<Result<(), EmbeddedError>>,
}

/// From the start of a node to the word that it is up: systemd inside it answers. Recorded on kind:
/// 1.31 and 1.41 s.
const NODE_STARTED: Duration = Duration::from_millis(1350);
/// The same of a kubelet, which runs a while before it is first heard of. Recorded on kind: 0.38 s.
const KUBELET_STARTED: Duration = Duration::from_millis(380);

/// What was begun, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Actions {
    begun: Vec<(Command, Instant)>,
    queued: Vec<Command>,
}

impl Command {
    /// Who has stopped waiting needs no word.
    fn tell(self, became: Result<(), EmbeddedError>) {
        let _ = self.done.send(became);
    }
}

impl Actions {
    /// When there may be something to tell that the model does not know.
    pub(super) fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        let ends = |since: &Instant| [*since + NODE_STARTED, *since + KUBELET_STARTED];
        self.begun.iter().flat_map(|(_, since)| ends(since)).filter(|due| *due > now).min()
    }

    fn is_busy(&self, node: Option<NodeId>) -> bool {
        node.is_some() && self.begun.iter().any(|(command, _)| command.action.node() == node)
    }

    fn is_stopping(&self, node: Option<NodeId>) -> bool {
        let stops = |command: &Command| {
            matches!(command.action, Action::Stop { .. }) && command.action.node() == node
        };
        self.begun.iter().any(|(command, _)| stops(command))
    }

    /// Takes out what this takes back before it could have an effect: what is queued, and what a
    /// node that boots has put off.
    fn undone_by(&mut self, undo: Action, boots: bool) -> Vec<Command> {
        let begun = self
            .begun
            .extract_if(.., |(command, _)| boots && command.action.undo() == Some(undo))
            .map(|(command, _)| command);
        let mut undone: Vec<Command> = begun.collect();
        undone.extend(self.queued.extract_if(.., |command| command.action.undo() == Some(undo)));
        undone
    }
}

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
            let now = self.now();
            self.with_model(|model, changed| model.act(now, Action::Kill { node }, changed));
        }
        self.actions.queued.push(command);
    }

    fn begin(&mut self, command: Command) {
        let now = self.now();
        self.with_model(|model, changed| model.act(now, command.action, changed));
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

/// What became of an action; a start is told before all is up, as on kind.
fn effect(action: Action, node: &NodeState, after: Duration) -> Effect {
    let told = match action {
        Action::Start { .. } => node.power == Power::Booting && after >= NODE_STARTED,
        Action::StartKubelet { .. } => after >= KUBELET_STARTED,
        _ => false,
    };
    if told { Effect::There } else { node.effect(action) }
}
