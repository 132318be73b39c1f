//! One probe of a prober: its slots, its deadlines, its idle connections and its records.

use std::collections::VecDeque;
use std::time::Duration;

use super::kind::Protocol;
use super::names::NameService;
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
pub(super) struct ProbeState {
    /// How its attempts go.
    pub protocol: Box<dyn Protocol>,
    /// Whom.
    pub destination: Destination,
    /// The name servers that are asked, where they are not those of the prober's network.
    pub names: Option<NameService>,
    /// What a cache knows of the name that is asked for; `None`: there is no cache.
    cache: Option<Moment>,
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

impl ProbeState {
    /// Prepares a probe. Errors when it can't be carried out.
    pub(super) fn new(spec: ProbeSpec, start: Moment) -> Result<Self, String> {
        let reused = spec.header.reused;
        let protocol = spec.question.prepare(reused)?;
        let lookup = protocol.lookup();
        let names = match (&spec.destination, lookup) {
            (Destination::Address(server), Some(_)) => Some(NameService::of_server(*server)),
            _ => None,
        };
        Ok(Self {
            names,
            cache: lookup.filter(|lookup| lookup.cached).map(|_| Moment(0)),
            protocol,
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
    pub(super) fn port(&self) -> u16 {
        match &self.destination {
            Destination::Address(address) => address.port(),
            Destination::Name { port, .. } => *port,
            Destination::Resolver => 0,
        }
    }

    /// Whether the cache still knows the answer.
    pub(super) fn knows(&self, now: Moment) -> bool {
        self.cache.is_some_and(|until| now < until)
    }

    /// Puts an answer that holds for so long into the cache, if there is one.
    pub(super) fn learn(&mut self, now: Moment, holds: Duration) {
        if let Some(until) = &mut self.cache {
            *until = now.plus(holds);
        }
    }

    /// Whether a slot is so late that its client would have given up.
    pub(super) fn too_late(&self, slot: Slot, now: Moment) -> bool {
        now.0 - slot.due.0 > self.timeout_ns.max(MIN_PATIENCE_NS)
    }

    /// Records an attempt that was never sent: it could not be, or (`Ok`) the cache knew the answer.
    pub(super) fn record_unsent(&mut self, slot: Slot, now: Moment, outcome: Outcome) {
        let late_us = now.0.saturating_sub(slot.due.0) / 1000;
        let (phases, reused) = (Phases::default(), outcome.is_ok());
        let attempt =
            Attempt { slot: slot.number, late_us, outcome, phases, backend: None, reused };
        self.recorder.record(attempt, None);
    }

    /// Notes when an attempt must have ended.
    pub(super) fn expect_end(&mut self, deadline: Moment, slot: u64, key: u64) {
        self.deadlines.push_back((deadline, slot, key));
    }

    /// The first deadline of an attempt that is still `alive` (given slot and line).
    pub(super) fn next_deadline(
        &mut self,
        mut alive: impl FnMut(u64, u64) -> bool,
    ) -> Option<(Moment, u64)> {
        while let Some(&(deadline, slot, key)) = self.deadlines.front() {
            if alive(slot, key) {
                return Some((deadline, key));
            }
            self.deadlines.pop_front();
        }
        None
    }

    /// Keeps a connection; false when there are enough.
    pub(super) fn keep(&mut self, key: u64) -> bool {
        let room = self.idle.len() < MAX_IDLE;
        if room {
            self.idle.push(key);
        }
        room
    }

    /// Takes the connection that was used last.
    pub(super) fn take_idle(&mut self) -> Option<u64> {
        self.idle.pop()
    }

    /// Forgets an idle connection.
    pub(super) fn forget_idle(&mut self, key: u64) {
        self.idle.retain(|&idle| idle != key);
    }
}
