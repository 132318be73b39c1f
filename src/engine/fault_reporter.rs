//! How one fault's progress gets into the timeline.

use crate::engine::clock;
use crate::engine::recorder::Recorder;
use crate::timeline::{Component, Event, FaultName, FaultPhase, Moment, Record};

/// What becomes known while a fault is made or undone: how far it is, and what was seen.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(FaultPhase, String);

/// Records how far one fault has come.
pub(crate) struct FaultReporter<'a> {
    pub step: u32,
    pub name: Option<&'a str>,
    /// The fault; `None`: something else that is undone, and of which only a note is kept.
    pub kind: Option<FaultName>,
    pub target: &'a str,
    /// The part of the control plane on it that is hit, if not the node itself.
    pub component: Option<Component>,
    pub recorder: &'a Recorder,
}

impl FaultReporter<'_> {
    pub(crate) fn report(&self, phase: FaultPhase, detail: String) {
        self.report_since(None, phase, detail);
    }

    /// The same of what may have been so since then.
    pub(crate) fn report_since(&self, since: Option<Moment>, phase: FaultPhase, detail: String) {
        let (step, name, component) = (self.step, self.name.map(str::to_owned), self.component);
        let Some(fault) = self.kind.clone() else {
            return self.recorder.event(Event::Note { warning: false, text: detail });
        };
        let target = self.target.to_owned();
        let event = Event::Fault { step, name, fault, target, component, phase, detail };
        self.recorder.record(Record { since, ..clock::record(event) });
    }
}
