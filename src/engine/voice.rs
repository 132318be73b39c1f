//! How one fault's progress gets into the timeline.

use crate::engine::clock;
use crate::engine::recorder::Recorder;
use crate::timeline::{Component, Event, FaultPhase};

/// Records how far one fault has come.
pub(crate) struct Voice<'a> {
    /// The step.
    pub step: u32,
    /// Its name, if it has one.
    pub name: Option<&'a str>,
    /// The fault.
    pub kind: &'a str,
    /// The target.
    pub target: &'a str,
    /// The part of the control plane on it that is hit, if not the node itself.
    pub component: Option<Component>,
    /// Where it is recorded.
    pub recorder: &'a Recorder,
}

impl Voice<'_> {
    /// Records one phase.
    pub(crate) fn say(&self, phase: FaultPhase, detail: String) {
        let (step, name, component) = (self.step, self.name.map(str::to_owned), self.component);
        let (fault, target) = (self.kind.to_owned(), self.target.to_owned());
        self.recorder.record(clock::record(Event::Fault {
            step,
            name,
            fault,
            target,
            component,
            phase,
            detail,
        }));
    }
}
