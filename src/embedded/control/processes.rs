//! What an observer inside each control-plane node would see: the processes of its parts.

use std::collections::BTreeMap;

use tokio::sync::mpsc::UnboundedSender;

use super::driver::Driver;
use crate::model::{Component, NodeId, Process};
use crate::timeline::{Event, ProcessState, Record};

/// The first process has this number.
const FIRST_PID: u32 = 1001;

/// Who is told of processes, and what they were told.
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

    /// The process that is there now; one that was gone meanwhile is another.
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
}

impl Driver {
    /// Reports the processes that are not as they were.
    pub(super) fn report_processes(&mut self) {
        let Some(mut processes) = self.processes.take() else { return };
        for node in self.nodes() {
            for component in Component::ALL {
                let Some(process) = self.model.process(node, component) else { continue };
                let seen = processes.seen((node, component), process);
                if processes.reported.insert((node, component), seen) != Some(seen) {
                    let event = self.process_event(node, component, seen);
                    // An observer that is gone is told nothing.
                    let _ = processes.observer.send(Record::now(event));
                }
            }
        }
        self.processes = Some(processes);
    }

    fn process_event(&self, node: NodeId, component: Component, seen: Seen) -> Event {
        let state = match seen.process {
            Process::Runs => ProcessState::Running,
            Process::Frozen => ProcessState::Stopped,
            Process::Gone => ProcessState::Gone,
        };
        let pid = (state != ProcessState::Gone).then_some(seen.pid);
        Event::Process { node: self.registry.node(node).name.clone(), component, pid, state }
    }
}
