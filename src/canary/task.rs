//! The task that starts operations at the rate of the canary, follows them, and reports their
//! outcomes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch as mode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::in_flight::{End, InFlight, Resolution};
use super::operation::{self, Operation, Progress};
use crate::agent::AgentMessage;
use crate::cluster::{Cluster, ClusterError};
use crate::experiment::Canary;
use crate::timeline::attempts::AttemptEncoder;
use crate::timeline::{Event, Moment, Outcome, Phase, ProbeHeader, ProbeSpan, Record};
use crate::watch::{self, SILENCE, Watches};

/// Operations in flight at one time: above it the one that timed out first is given up for a new
/// one.
const MAX_IN_FLIGHT: usize = 60;
/// How long the watch may take to deliver its first list.
const FIRST_LIST: Duration = Duration::from_secs(15);
/// Between two attempts to delete a pod.
const REMOVAL_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
pub(crate) struct CanarySpec {
    pub header: ProbeHeader,
    pub canary: Canary,
    pub namespace: String,
    /// Nanoseconds between two attempts; at least 1.
    pub interval_ns: u64,
    /// The time that the whole of an attempt may take.
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Asking,
    /// Nothing new is started; what is in flight is waited for.
    Finishing,
    Over,
}

/// A running canary. Dropped, it ends immediately.
#[derive(Debug)]
pub(crate) struct CanaryHandle {
    mode: mode::Sender<Mode>,
    task: AbortOnDropHandle<()>,
}

impl CanaryHandle {
    /// Starts nothing new, and waits until the last attempts have their outcomes, and late ones
    /// have succeeded: for a timeout and some seconds at most.
    pub(crate) async fn finish(&mut self) {
        self.mode.send_replace(Mode::Finishing);
        let _ = (&mut self.task).await;
    }

    /// Ends it. What is in flight is recorded as cut.
    pub(crate) async fn stop(mut self) {
        self.mode.send_replace(Mode::Over);
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }
}

/// Creates what the canary needs through `cluster`, and starts it; its objects are watched through
/// all of `watchers`. What the watch reports goes to `records`, the attempts to `out`. Errors when
/// something can't be created, and when the watch delivers nothing.
pub(crate) async fn start(
    cluster: &Cluster,
    watchers: &[Cluster],
    spec: CanarySpec,
    records: UnboundedSender<Record>,
    out: UnboundedSender<AgentMessage>,
) -> Result<CanaryHandle, ClusterError> {
    let name = spec.header.name.clone();
    let operation = Operation {
        canary: spec.canary,
        client: cluster.canary_client(&spec.namespace, &name).await?,
    };
    operation.prepare().await?;
    // Unbounded: a watch never waits for its reader, and reports only changes of the few objects of
    // this canary.
    let (changes, watched) = mpsc::unbounded_channel();
    let watch = operation::watch_name(spec.canary);
    let watches =
        watch::watch_canary(watch, watchers, &spec.namespace, &name, operation.objects(), changes);
    if watches.baseline(FIRST_LIST).await.is_err() {
        let why = "the API server returned no list".to_owned();
        return Err(ClusterError::TooSlow {
            what: format!("the watch of the {watch} did not start"),
            within: FIRST_LIST,
            why,
        });
    }
    let (mode, current) = mode::channel(Mode::Asking);
    let clock = Clock { instant: Instant::now(), moment: Moment::now() };
    let span = span(&spec, clock.moment);
    let _ = out.send(AgentMessage::Started(span.clone()));
    let task = Task {
        in_flight: InFlight::new(spec.timeout, SILENCE),
        next: 0,
        finished_by: None,
        encoder: AttemptEncoder::default(),
        answers: JoinSet::new(),
        removals: JoinSet::new(),
        removing: BTreeSet::new(),
        _watches: watches,
        operation,
        span,
        clock,
        watched,
        records,
        out,
        mode: current,
    };
    Ok(CanaryHandle { mode, task: AbortOnDropHandle::new(tokio::spawn(task.work())) })
}

fn span(spec: &CanarySpec, start: Moment) -> ProbeSpan {
    ProbeSpan {
        format: ProbeSpan::FORMAT.into(),
        probe: spec.header.clone(),
        start,
        interval_ns: spec.interval_ns,
        timeout_ns: spec.timeout.as_nanos() as u64,
        clock_uncertainty_ns: 0,
    }
}

/// The runtime's clock and the timeline's, read together once.
#[derive(Clone, Copy, Debug)]
struct Clock {
    instant: Instant,
    moment: Moment,
}

impl Clock {
    fn now(&self) -> Moment {
        self.moment.plus(self.instant.elapsed())
    }

    fn instant(&self, moment: Moment) -> Instant {
        self.instant + moment.since(self.moment)
    }
}

/// The API server's answer to an attempt.
struct Answer {
    slot: u64,
    /// The number of the change, where it has one.
    answer: Result<Option<i64>, Outcome>,
}

struct Task {
    operation: Operation,
    span: ProbeSpan,
    clock: Clock,
    in_flight: InFlight,
    next: u64,
    /// When late successes are no longer waited for.
    finished_by: Option<Instant>,
    encoder: AttemptEncoder,
    answers: JoinSet<Answer>,
    removals: JoinSet<u64>,
    removing: BTreeSet<u64>,
    watched: UnboundedReceiver<Record>,
    records: UnboundedSender<Record>,
    out: UnboundedSender<AgentMessage>,
    mode: mode::Receiver<Mode>,
    _watches: Watches,
}

impl Task {
    async fn work(mut self) {
        while !self.is_over() {
            let due = self.clock.instant(self.span.due(self.next));
            let expiry = self.in_flight.next_expiry().map(|at| self.clock.instant(at));
            let asks = *self.mode.borrow() == Mode::Asking;
            tokio::select! {
                () = sleep_until(due), if asks => self.send(),
                () = until(expiry) => self.expire(),
                () = until(self.finished_by) => break,
                Some(Ok(answer)) = self.answers.join_next() => self.answered(answer),
                Some(record) = self.watched.recv() => self.learn(record),
                Some(Ok(slot)) = self.removals.join_next() => drop(self.removing.remove(&slot)),
                changed = self.mode.changed() => if changed.is_err() { break } else { self.finish() },
            }
        }
        let cut = self.in_flight.cut(self.clock.now());
        self.report(cut);
        let probes = vec![self.span.probe.name.clone()];
        let _ = self.out.send(AgentMessage::Ended { probes, error: None });
    }

    fn is_over(&self) -> bool {
        match *self.mode.borrow() {
            Mode::Asking => false,
            Mode::Finishing => self.in_flight.len() == 0,
            Mode::Over => true,
        }
    }

    fn finish(&mut self) {
        let timeout = Duration::from_nanos(self.span.timeout_ns);
        self.finished_by = Some(Instant::now() + timeout + SILENCE + Duration::from_secs(1));
    }

    /// Starts what is due; a slot whose successor is due already is not sent any more.
    fn send(&mut self) {
        let now = self.clock.now();
        while self.span.due(self.next) <= now {
            let slot = self.next;
            self.next += 1;
            let room = self.in_flight.len() < MAX_IN_FLIGHT || self.give_up_one();
            if room && self.span.due(self.next) > now {
                self.ask(slot, now);
            } else {
                let end =
                    End { slot, sent: now, accepted: None, done: now, outcome: Outcome::NotSent };
                self.report(vec![Resolution::Ended(end)]);
            }
        }
    }

    fn ask(&mut self, slot: u64, now: Moment) {
        self.in_flight.sent(slot, now);
        let (operation, limit) =
            (self.operation.clone(), Duration::from_nanos(self.span.timeout_ns));
        self.answers.spawn(async move {
            let answer = timeout(limit, operation.ask(slot)).await;
            Answer { slot, answer: answer.unwrap_or(Err(Outcome::Timeout(Phase::Accepted))) }
        });
    }

    fn give_up_one(&mut self) -> bool {
        let given_up = self.in_flight.give_up_one();
        given_up.into_iter().for_each(|slot| self.remove(slot));
        given_up.is_some()
    }

    fn answered(&mut self, Answer { slot, answer }: Answer) {
        let resolved =
            self.in_flight.answered(slot, self.clock.now(), answer, self.operation.first_phase());
        self.report(resolved.into_iter().collect());
    }

    fn expire(&mut self) {
        let resolved = self.in_flight.expire(self.clock.now());
        self.report(resolved);
    }

    /// Takes a record of the watch. What becomes of single pods is in the attempts; the rest is for the
    /// timeline, too.
    fn learn(&mut self, record: Record) {
        if let Event::WatchGap { until, .. } = &record.event {
            self.in_flight.watch_down(record.since.unwrap_or(record.at), *until);
        }
        let at = record.bracket();
        match self.operation.progress(&record.event) {
            Some(Progress::WaitsFor(slot, phase)) => {
                self.in_flight.waits_for(slot, at.latest, phase)
            }
            Some(Progress::Done(slot)) => {
                let resolved = self.in_flight.completed(slot, at);
                self.report(resolved);
                self.remove(slot);
            }
            Some(Progress::DoneUpTo(change)) => {
                let resolved = self.in_flight.completed_up_to(change, at);
                self.report(resolved);
            }
            None => {}
        }
        if !matches!(record.event, Event::Pod { .. }) {
            let _ = self.records.send(record);
        }
    }

    fn report(&mut self, resolutions: Vec<Resolution>) {
        let mut records = Vec::new();
        for resolution in resolutions {
            match resolution {
                Resolution::Ended(end) => {
                    self.encoder.attempt(&end.attempt(self.span.due(end.slot)), &mut records)
                }
                Resolution::Late { slot, at } => {
                    let event = Event::LateSuccess { probe: self.span.probe.name.clone(), slot };
                    let since = Some(at.earliest).filter(|earliest| *earliest < at.latest);
                    let _ = self.records.send(Record { at: at.latest, since, event });
                }
            }
        }
        if !records.is_empty() {
            let _ = self
                .out
                .send(AgentMessage::Attempts { probe: self.span.probe.name.clone(), records });
        }
    }

    /// Deletes a pod, sooner or later. What is left goes with the namespace.
    fn remove(&mut self, slot: u64) {
        if !self.removing.insert(slot) {
            return;
        }
        let client = self.operation.client.clone();
        self.removals.spawn(async move {
            while !client.remove_pod(slot).await {
                sleep(REMOVAL_PAUSE).await;
            }
            slot
        });
    }
}

/// Waits for ever without a moment.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
