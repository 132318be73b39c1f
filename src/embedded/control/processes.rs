//! What an observer inside each control-plane node would see: the processes of its parts.

use std::collections::BTreeMap;

use tokio::sync::mpsc::UnboundedSender;

use super::registry::Registry;
use crate::model::{Component, Model, NodeId, Process};
use crate::timeline::{Event, ProcessState, Record};

const FIRST_PID: u32 = 1001;

#[derive(Debug)]
pub(super) struct Processes {
    /// Unbounded: a part changes some times a minute.
    observer: UnboundedSender<Record>,
    reported: BTreeMap<(NodeId, Component), Seen>,
    next_pid: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    process: Process,
    pid: u32,
}

impl Processes {
    pub(super) fn new(observer: UnboundedSender<Record>) -> Self {
        Self { observer, reported: BTreeMap::new(), next_pid: FIRST_PID }
    }

    /// The process that is there now; one that was gone in the meantime is another.
    fn seen(&mut self, key: (NodeId, Component), process: Process) -> Seen {
        match self.reported.get(&key) {
            Some(before) if before.process != Process::Gone || process == Process::Gone => {
                Seen { process, ..*before }
            }
            _ => {
                self.next_pid += 1;
                Seen { process, pid: self.next_pid - 1 }
            }
        }
    }

    /// Reports those that are not as they were. An observer that is gone needs nothing.
    pub(super) fn report(&mut self, model: &Model, registry: &Registry) {
        let nodes = (0..registry.nodes.len()).map(NodeId);
        let keys = nodes.flat_map(|node| Component::ALL.map(|component| (node, component)));
        for (node, component) in keys {
            let Some(process) = model.process(node, component) else { continue };
            let seen = self.seen((node, component), process);
            if self.reported.insert((node, component), seen) != Some(seen) {
                let node = registry.node(node).name.clone();
                let _ = self.observer.send(Record::now(seen.event(node, component)));
            }
        }
    }
}

impl Seen {
    fn event(self, node: String, component: Component) -> Event {
        let state = match self.process {
            Process::Runs => ProcessState::Running,
            Process::Frozen => ProcessState::Stopped,
            Process::Gone => ProcessState::Gone,
        };
        let pid = (state != ProcessState::Gone).then_some(self.pid);
        Event::Process { node, component, pid, state }
    }
}
