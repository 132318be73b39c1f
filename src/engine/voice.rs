//! How one fault's progress gets into the timeline.

use super::clock;
use super::recorder::Recorder;
use crate::timeline::{Component, Event, FaultPhase};

/// Records how far one fault has come.
pub struct Voice<'a> {
    /// The step.
    pub step: u32,
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
    pub fn say(&self, phase: FaultPhase, detail: String) {
        let (step, component) = (self.step, self.component);
        let (fault, target) = (self.kind.to_owned(), self.target.to_owned());
        self.recorder.record(clock::record(Event::Fault { step, fault, target, component, phase, detail }));
    }
}
