//! One probe of a prober: its slots, its deadlines, its idle connections and its records.

use std::collections::VecDeque;

use super::drive::Ask;
use super::pacer::{Pacer, Slot};
use super::recorder::Recorder;
use super::spec::{Destination, ProbeSpec};
use crate::timeline::attempts::Phases;
use crate::timeline::{Attempt, Moment, Outcome, ProbeSpan};

/// A slot may be this late at least before it is given up, however short the timeout.
const MIN_PATIENCE_NS: u64 = 20_000_000;
/// Idle connections above this are closed.
const MAX_IDLE: usize = 256;

/// A probe being carried out.
#[derive(Debug)]
pub struct Lane {
    /// What is asked.
    pub ask: Ask,
    /// Whom.
    pub destination: Destination,
    /// Whether connections are kept.
    pub reused: bool,
    /// The time that the whole of an attempt may take.
    pub timeout_ns: u64,
    /// The attempts so far.
    pub recorder: Recorder,
    /// The slots.
    pub pacer: Pacer,
    /// What the records are about.
    pub span: ProbeSpan,
    /// When attempts must have ended, soonest first: all have the same time. Those that ended earlier are in it, too.
    deadlines: VecDeque<(Moment, u64, u64)>,
    /// Open connections that nobody uses, the latest last.
    idle: Vec<u64>,
}

impl Lane {
    /// Prepares a probe. Errors when it can't be carried out.
    pub fn new(spec: ProbeSpec, start: Moment) -> Result<Self, String> {
        let reused = spec.header.reused;
        Ok(Self {
            ask: Ask::new(&spec.question, reused)?,
            destination: spec.destination,
            reused,
            timeout_ns: spec.timeout_ns,
            recorder: Recorder::default(),
            pacer: Pacer::new(start, spec.interval_ns),
            span: ProbeSpan {
                format: ProbeSpan::FORMAT.into(),
                probe: spec.header,
                start,
                interval_ns: spec.interval_ns.max(1),
                timeout_ns: spec.timeout_ns,
                clock_uncertainty_ns: 0,
            },
            deadlines: VecDeque::new(),
            idle: Vec::new(),
        })
    }

    /// The port that is asked.
    pub fn port(&self) -> u16 {
        match &self.destination {
            Destination::Address(address) => address.port(),
            Destination::Name { port, .. } => *port,
        }
    }

    /// Whether a slot is so late that its client would have given up.
    pub fn too_late(&self, slot: Slot, now: Moment) -> bool {
        now.0 - slot.due.0 > self.timeout_ns.max(MIN_PATIENCE_NS)
    }

    /// Records an attempt that was never sent, or could not be.
    pub fn record_unsent(&mut self, slot: Slot, now: Moment, outcome: Outcome) {
        let late_us = now.0.saturating_sub(slot.due.0) / 1000;
        let attempt = Attempt { slot: slot.number, late_us, outcome, phases: Phases::default(), backend: None, reused: false };
        self.recorder.record(attempt, None);
    }

    /// Notes when an attempt must have ended.
    pub fn expect_end(&mut self, deadline: Moment, slot: u64, key: u64) {
        self.deadlines.push_back((deadline, slot, key));
    }

    /// The first deadline of an attempt that is still `alive` (given slot and line).
    pub fn next_deadline(&mut self, mut alive: impl FnMut(u64, u64) -> bool) -> Option<(Moment, u64)> {
        while let Some(&(deadline, slot, key)) = self.deadlines.front() {
            if alive(slot, key) {
                return Some((deadline, key));
            }
            self.deadlines.pop_front();
        }
        None
    }

    /// Keeps a connection; false when there are enough.
    pub fn keep(&mut self, key: u64) -> bool {
        let room = self.idle.len() < MAX_IDLE;
        if room {
            self.idle.push(key);
        }
        room
    }

    /// Takes the connection that was used last.
    pub fn take_idle(&mut self) -> Option<u64> {
        self.idle.pop()
    }

    /// Forgets an idle connection.
    pub fn forget_idle(&mut self, key: u64) {
        self.idle.retain(|&idle| idle != key);
    }
}
