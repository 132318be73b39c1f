//! Actions on nodes that were asked for, and wait for their turn or for their effect.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::embedded::EmbeddedError;
use crate::model::{Action, NodeId};

/// What the cluster's owner wants.
#[derive(Debug)]
pub(crate) struct Command {
    pub action: Action,
    /// Receives when its effect is there, or why it won't be.
    pub done: oneshot::Sender<Result<(), EmbeddedError>>,
}

/// From the start of a node to the word that it is up: systemd inside it answers. Recorded on kind:
/// 1.31 and 1.41 s.
pub(super) const NODE_STARTED: Duration = Duration::from_millis(1350);
/// The same of a kubelet, which runs a while before it is first heard of. Recorded on kind: 0.38 s.
pub(super) const KUBELET_STARTED: Duration = Duration::from_millis(380);

/// What was begun, and what waits for it.
#[derive(Debug, Default)]
pub(super) struct Actions {
    pub(super) begun: Vec<(Command, Instant)>,
    pub(super) queued: Vec<Command>,
}

impl Command {
    /// Who has stopped waiting needs no word.
    pub(super) fn tell(self, became: Result<(), EmbeddedError>) {
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

    pub(super) fn is_busy(&self, node: Option<NodeId>) -> bool {
        node.is_some() && self.begun.iter().any(|(command, _)| command.action.node() == node)
    }

    pub(super) fn is_stopping(&self, node: Option<NodeId>) -> bool {
        let stops = |command: &Command| {
            matches!(command.action, Action::Stop { .. }) && command.action.node() == node
        };
        self.begun.iter().any(|(command, _)| stops(command))
    }

    /// Takes out what this undoes before it could have an effect: what is queued, and what a
    /// node that boots has put off.
    pub(super) fn undone_by(&mut self, undo: Action, boots: bool) -> Vec<Command> {
        let begun = self
            .begun
            .extract_if(.., |(command, _)| boots && command.action.undo() == Some(undo))
            .map(|(command, _)| command);
        let mut undone: Vec<Command> = begun.collect();
        undone.extend(self.queued.extract_if(.., |command| command.action.undo() == Some(undo)));
        undone
    }
}
