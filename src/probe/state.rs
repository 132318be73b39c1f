//! One probe of a prober: its slots, its deadlines, its idle connections and its records.

use std::collections::VecDeque;
use std::time::Duration;

use super::pacer::{Pacer, Slot};
use super::protocol::Protocol;
use super::recorder::Recorder;
use super::spec::{Destination, ProbeSpec};
use crate::resolver::NameService;
use crate::timeline::attempts::Phases;
use crate::timeline::{Attempt, Moment, Outcome, ProbeSpan};

/// A slot may be this late at least before it is given up, however short the timeout.
const MIN_PATIENCE_NS: u64 = 20_000_000;
/// Idle connections above this are closed.
const MAX_IDLE: usize = 256;

/// When the attempt of a slot, which uses the channel of this key, must have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub at: Moment,
    pub slot: u64,
    pub key: u64,
}

#[derive(Debug)]
pub(super) struct ProbeState {
    pub protocol: Box<dyn Protocol>,
    pub destination: Destination,
    /// The name servers that are asked, where they are not those of the prober's network.
    pub names: Option<NameService>,
    /// Until when the cached answer of a DNS probe is valid; `None`: there is no cache.
    cache: Option<Moment>,
    pub reused: bool,
    /// The time that the whole of an attempt may take.
    pub timeout_ns: u64,
    pub recorder: Recorder,
    pub pacer: Pacer,
    pub span: ProbeSpan,
    /// Soonest first, as all attempts have the same timeout. Attempts that ended earlier are in it,
    /// too.
    deadlines: VecDeque<Deadline>,
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

    pub(super) fn port(&self) -> u16 {
        match &self.destination {
            Destination::Address(address) => address.port(),
            Destination::Name { port, .. } => *port,
            Destination::Resolver => 0,
        }
    }

    pub(super) fn has_cached_answer(&self, now: Moment) -> bool {
        self.cache.is_some_and(|until| now < until)
    }

    /// Caches an answer for as long as it is valid, if there is a cache.
    pub(super) fn cache_answer(&mut self, now: Moment, valid_for: Duration) {
        if let Some(until) = &mut self.cache {
            *until = now.plus(valid_for);
        }
    }

    /// Whether a slot is so late that its client would have given up.
    pub(super) fn too_late(&self, slot: Slot, now: Moment) -> bool {
        now.0 - slot.due.0 > self.timeout_ns.max(MIN_PATIENCE_NS)
    }

    /// Records an attempt that was never sent: it could not be, or (`Ok`) the cache knew the
    /// answer.
    pub(super) fn record_unsent(&mut self, slot: Slot, now: Moment, outcome: Outcome) {
        let late_us = now.0.saturating_sub(slot.due.0) / 1000;
        let (phases, reused) = (Phases::default(), outcome.is_ok());
        let slot = slot.number;
        let attempt = Attempt { slot, late_us, outcome, phases, reused, ..Attempt::default() };
        self.recorder.record(attempt, None);
    }

    /// Notes when an attempt must have ended.
    pub(super) fn expect_end(&mut self, deadline: Deadline) {
        self.deadlines.push_back(deadline);
    }

    /// The first deadline of an attempt that is still `alive`.
    pub(super) fn next_deadline(
        &mut self,
        mut alive: impl FnMut(Deadline) -> bool,
    ) -> Option<Deadline> {
        while let Some(&deadline) = self.deadlines.front() {
            if alive(deadline) {
                return Some(deadline);
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

    pub(super) fn take_idle(&mut self) -> Option<u64> {
        self.idle.pop()
    }

    pub(super) fn forget_idle(&mut self, key: u64) {
        self.idle.retain(|&idle| idle != key);
    }
}
