//! The one task that owns a run's timeline and the order of its events. All others send to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufWriter;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use crate::agent::AgentMessage;
use crate::engine::clock;
use crate::engine::follower::{Follower, Observation, Tally};
use crate::engine::live::Live;
use crate::timeline::{
    AttemptWriter, Component, Event, FaultPhase, Moment, Outcome, ProbeSpan, Record, RunFolder,
};

/// After so long without a failure a probe counts as answered again: one that fails now and
/// then, as where one of three back ends is dead, would be reported at every attempt.
const QUIET: Duration = Duration::from_secs(3);

/// The way to the recorder.
#[derive(Clone)]
pub(crate) struct Recorder {
    records: UnboundedSender<Record>,
    attempts: UnboundedSender<AgentMessage>,
    follower: Follower,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    live: Mutex<Live>,
    changed: Notify,
}

impl Shared {
    /// A task that panicked with the lock leaves what is known as it was.
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The recorder's task: ends when all senders are gone.
pub(crate) struct Recording {
    task: JoinHandle<()>,
}

impl Recorder {
    /// Starts to record into `folder`; `follower` is shown what happens.
    pub(crate) fn start(folder: RunFolder, follower: Follower) -> (Self, Recording) {
        // Without a bound: an undo must not wait for a disk that is slow, and what comes in is
        // bounded by the rates of the probes and the changes of a small cluster.
        let (records, records_in) = mpsc::unbounded_channel();
        let (attempts, attempts_in) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            folder,
            follower: follower.clone(),
            shared: shared.clone(),
            files: BTreeMap::new(),
            states: BTreeMap::new(),
            undos: BTreeSet::new(),
        };
        let task = tokio::spawn(writer.work(records_in, attempts_in));
        (Self { records, attempts, follower, shared }, Recording { task })
    }

    /// Records something that happened now.
    pub(crate) fn event(&self, event: Event) {
        self.record(clock::record(event));
    }

    pub(crate) fn record(&self, record: Record) {
        // The recorder outlives all who send to it.
        let _ = self.records.send(record);
    }

    /// Shows something that the timeline does not keep.
    pub(crate) fn show(&self, observation: Observation) {
        self.follower.show(observation);
    }

    pub(crate) fn show_wait(&self, what: Vec<String>, until: Moment) {
        self.show(Observation::Waiting { at: clock::now(), what, until });
    }

    /// Where records are sent.
    pub(crate) fn records(&self) -> UnboundedSender<Record> {
        self.records.clone()
    }

    pub(crate) fn attempts(&self) -> UnboundedSender<AgentMessage> {
        self.attempts.clone()
    }

    /// What is known at this moment.
    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.shared.live()
    }

    /// Waits until something has come in, or for a tenth of a second: conditions also come true by
    /// time alone.
    pub(crate) async fn changed(&self) {
        let _ =
            tokio::time::timeout(Duration::from_millis(100), self.shared.changed.notified()).await;
    }

    /// Waits until `find` finds something in what is known.
    pub(crate) async fn until<T>(&self, mut find: impl FnMut(&Live) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&self.live()) {
                return found;
            }
            self.changed().await;
        }
    }
}

impl Recording {
    /// Waits until all is written. All [`Recorder`]s must be gone.
    pub(crate) async fn finish(self) {
        let _ = self.task.await;
    }
}

struct Writer {
    folder: RunFolder,
    follower: Follower,
    shared: Arc<Shared>,
    files: BTreeMap<String, ProbeFile>,
    states: BTreeMap<String, ProbeState>,
    /// Faults whose undo was requested: step, target, component.
    undos: BTreeSet<(u32, String, Option<Component>)>,
}

struct ProbeFile {
    span: ProbeSpan,
    writer: AttemptWriter<BufWriter<File>>,
}

/// Whether a probe is failing now, for those who follow.
#[derive(Default)]
struct ProbeState {
    last_failure: Option<Moment>,
    failing: bool,
}

impl Writer {
    async fn work(
        mut self,
        mut records: UnboundedReceiver<Record>,
        mut attempts: UnboundedReceiver<AgentMessage>,
    ) {
        loop {
            tokio::select! {
                Some(record) = records.recv() => self.record(record),
                Some(message) = attempts.recv() => self.message(message),
                else => break,
            }
            self.shared.changed.notify_waiters();
        }
        for file in std::mem::take(&mut self.files).into_values() {
            let finished = file.writer.finish().map_err(|e| format!("cannot write attempts: {e}"));
            self.kept(finished);
        }
        let synced = self.folder.sync().map_err(|e| e.to_string());
        self.kept(synced);
    }

    /// A timeline that can't be written ends the run; it never keeps anything from being undone.
    fn kept<T>(&self, result: Result<T, String>) -> Option<T> {
        result.map_err(|error| self.shared.live().broken.get_or_insert(error).len()).ok()
    }

    fn record(&mut self, record: Record) {
        // An undo that is tried again, as after a signal during it, was requested once.
        if let Event::Fault { phase: FaultPhase::UndoRequested, step, target, component, .. } =
            &record.event
            && !self.undos.insert((*step, target.clone(), *component))
        {
            return;
        }
        let written = self.folder.record(&record).map_err(|e| e.to_string());
        self.kept(written);
        self.shared.live().observe(&record);
        self.follower.show(Observation::Record(record));
    }

    fn message(&mut self, message: AgentMessage) {
        match message {
            AgentMessage::Started(span) => self.started(span),
            AgentMessage::Attempts { probe, records } => self.attempts(&probe, &records),
            AgentMessage::Record(record) => self.record(record),
            // Its silence is its supervisor's.
            AgentMessage::ObservedUntil(_) => {}
            AgentMessage::Note { warning, text } => {
                self.record(clock::record(Event::Note { warning, text }))
            }
            AgentMessage::Ended { probes, error } => self.ended(probes, error),
        }
    }

    fn started(&mut self, span: ProbeSpan) {
        let (probe, control) = (span.probe.name.clone(), span.probe.control);
        let made = self.folder.probe(&span).map_err(|e| e.to_string());
        if let Some(writer) = self.kept(made) {
            self.files.insert(probe.clone(), ProbeFile { span: span.clone(), writer });
        }
        self.shared.live().probe_started(span);
        self.record(clock::record(Event::ProbeStarted { probe, control }));
    }

    fn attempts(&mut self, probe: &str, bytes: &[u8]) {
        let Some(file) = self.files.get_mut(probe) else { return };
        let mut reader = file.writer.reader(bytes);
        let written = file
            .writer
            .append(bytes)
            .and_then(|()| file.writer.flush())
            .map_err(|e| format!("cannot write attempts: {e}"));
        let (mut observations, mut tallies) = (Vec::new(), Vec::new());
        let mut live = self.shared.live();
        let Some(state) = live.probes.get_mut(probe) else { return };
        let failing = self.states.entry(probe.to_owned()).or_default();
        for attempt in reader.by_ref() {
            let sent = file.span.sent(&attempt);
            state.ended(attempt.slot);
            if attempt.outcome.is_ok() || attempt.outcome.is_failure() {
                state.attempt(sent, attempt.outcome);
                observations.extend(failing.attempt(probe, sent, attempt.outcome));
                Tally::add(&mut tallies, sent, attempt.outcome);
            }
        }
        drop(live);
        self.kept(written);
        observations.push(Observation::Attempts { probe: probe.to_owned(), tallies });
        observations.into_iter().for_each(|observation| self.follower.show(observation));
    }

    /// An agent has ended: those of its probes that had begun have stopped.
    fn ended(&mut self, probes: Vec<String>, error: Option<String>) {
        for probe in
            probes.into_iter().filter(|probe| self.files.contains_key(probe)).collect::<Vec<_>>()
        {
            self.record(clock::record(Event::ProbeStopped { probe, error: error.clone() }));
        }
    }
}

impl ProbeState {
    fn attempt(&mut self, probe: &str, sent: Moment, outcome: Outcome) -> Option<Observation> {
        let probe = probe.to_owned();
        if outcome.is_failure() {
            self.last_failure = self.last_failure.max(Some(sent));
            let first = !std::mem::replace(&mut self.failing, true);
            return first.then(|| Observation::Failing { probe, sent, class: outcome.label() });
        }
        let last = self.last_failure?;
        let over = self.failing && sent.since(last) >= QUIET;
        self.failing &= !over;
        over.then_some(Observation::Answering { probe, sent: last })
    }
}
