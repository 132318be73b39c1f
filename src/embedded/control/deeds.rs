//! Deeds on nodes: one after the other on each node, and told when their effect is there.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::driver::Driver;
use crate::model::{Action, NodeId, NodeState, Power};

/// What the cluster's owner wants.
#[derive(Debug)]
pub struct Command {
    /// What is to be done.
    pub action: Action,
    /// Told when its effect is there.
    pub done: oneshot::Sender<()>,
}

/// From the start of a node to the word that it is up: systemd inside it answers. Recorded on kind: 1.31 and 1.41 s.
const NODE_STARTED: Duration = Duration::from_millis(1350);
/// The same of a kubelet, which runs a while before it is first heard of. Recorded on kind: 0.38 s.
const KUBELET_STARTED: Duration = Duration::from_millis(380);

/// What was begun, and what waits for it.
#[derive(Debug, Default)]
pub struct Deeds {
    begun: Vec<(Command, Instant)>,
    queued: Vec<Command>,
}

impl Deeds {
    /// When there may be something to tell that the model does not know.
    pub fn due(&self) -> Option<Instant> {
        let now = Instant::now();
        let ends = |since: &Instant| [*since + NODE_STARTED, *since + KUBELET_STARTED];
        self.begun.iter().flat_map(|(_, since)| ends(since)).filter(|due| *due > now).min()
    }

    fn is_busy(&self, node: Option<NodeId>) -> bool {
        node.is_some() && self.begun.iter().any(|(command, _)| node_of(command.action) == node)
    }

    fn is_stopping(&self, node: Option<NodeId>) -> bool {
        let stops = |command: &Command| matches!(command.action, Action::Stop { .. }) && node_of(command.action) == node;
        self.begun.iter().any(|(command, _)| stops(command))
    }
}

impl Driver {
    /// Does what is wanted, after what is still on its way on that node.
    pub(super) fn obey(&mut self, command: Command) {
        let node = node_of(command.action);
        if !self.deeds.is_busy(node) {
            return self.begin(command);
        }
        // Who wants a node back does not wait for the end of its shutdown.
        if let (Action::Start { node }, true) = (command.action, self.deeds.is_stopping(node)) {
            let now = self.now();
            self.with_model(|model, changed| model.act(now, Action::Kill { node }, changed));
        }
        self.deeds.queued.push(command);
    }

    fn begin(&mut self, command: Command) {
        let now = self.now();
        self.with_model(|model, changed| model.act(now, command.action, changed));
        self.deeds.begun.push((command, Instant::now()));
    }

    /// Tells whose effect is there, and begins what waited for it. Whether something was begun.
    pub(super) fn tell_done(&mut self) -> bool {
        let model = &self.model;
        let is_there = |(command, since): &(Command, Instant)| {
            node_of(command.action).is_none_or(|node| is_done(command.action, &model.node(node), since.elapsed()))
        };
        let (done, begun): (Vec<_>, _) = std::mem::take(&mut self.deeds.begun).into_iter().partition(is_there);
        self.deeds.begun = begun;
        for (command, _) in done {
            // Who has stopped waiting needs no word.
            let _ = command.done.send(());
        }
        let begun = self.deeds.begun.len();
        let queued = std::mem::take(&mut self.deeds.queued);
        queued.into_iter().for_each(|command| self.obey(command));
        self.deeds.begun.len() > begun
    }
}

/// Whose state shows that a deed on a node has its effect.
fn node_of(action: Action) -> Option<NodeId> {
    match action {
        Action::Stop { node, .. }
        | Action::Kill { node }
        | Action::Start { node }
        | Action::Pause { node }
        | Action::Unpause { node }
        | Action::Disconnect { node }
        | Action::Reconnect { node }
        | Action::StopKubelet { node }
        | Action::StartKubelet { node } => Some(node),
        _ => None,
    }
}

fn is_done(action: Action, node: &NodeState, after: Duration) -> bool {
    match action {
        Action::Stop { .. } | Action::Kill { .. } => node.power == Power::Off,
        Action::Start { .. } => node.power == Power::On || (node.power == Power::Booting && after >= NODE_STARTED),
        Action::Pause { .. } => node.frozen,
        Action::Unpause { .. } => !node.frozen,
        Action::Disconnect { .. } => !node.connected,
        Action::Reconnect { .. } => node.connected,
        Action::StopKubelet { .. } => !node.kubelet,
        Action::StartKubelet { .. } => node.kubelet || after >= KUBELET_STARTED,
        _ => true,
    }
}
