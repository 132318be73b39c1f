//! The task that asks at its pace, learns what became of it, and tells.

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

/// So many may be alive at once: what has timed out longest is given up for a new one.
const MOST_ALIVE: usize = 60;
/// How long the watch may take to deliver its first list.
const FIRST_LIST: Duration = Duration::from_secs(15);
/// Between two attempts to take a pod away.
const REMOVAL_PAUSE: Duration = Duration::from_secs(1);

/// One canary, resolved.
#[derive(Clone, Debug)]
pub(crate) struct CanarySpec {
    /// How reports name it.
    pub header: ProbeHeader,
    /// What it asks for.
    pub canary: Canary,
    /// Where: the run's namespace.
    pub namespace: String,
    /// Nanoseconds between two attempts; at least 1.
    pub interval_ns: u64,
    /// The time that the whole of an attempt may take.
    pub timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Asking,
    /// No more is asked; what is under way is waited for.
    Finishing,
    Over,
}

/// A canary that sings. Dropped, it ends at once.
#[derive(Debug)]
pub(crate) struct CanaryHandle {
    mode: mode::Sender<Mode>,
    task: AbortOnDropHandle<()>,
}

impl CanaryHandle {
    /// Asks no more, and waits until the last attempts have their outcomes, and what had timed out has come true: for a timeout and some
    /// seconds at most.
    pub(crate) async fn finish(&mut self) {
        self.mode.send_replace(Mode::Finishing);
        let _ = (&mut self.task).await;
    }

    /// Ends it. What is under way is recorded as cut.
    pub(crate) async fn stop(mut self) {
        self.mode.send_replace(Mode::Over);
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }
}

/// Makes what the canary needs through `cluster`, and begins to ask; what becomes of it is seen through all of `eyes`. `records` is told what the watch says, `out` the attempts. Errors when something
/// can't be made, and when the watch delivers nothing.
pub(crate) async fn start(
    cluster: &Cluster,
    eyes: &[Cluster],
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
    let (said, watched) = mpsc::unbounded_channel();
    let watch = operation::watch_name(spec.canary);
    let watches =
        watch::watch_canary(watch, eyes, &spec.namespace, &name, operation.objects(), said);
    if watches.baseline(FIRST_LIST).await.is_err() {
        let why = "the API server returned no list".to_owned();
        return Err(ClusterError::TooSlow {
            what: format!("the watch of the {watch} did not begin"),
            within: FIRST_LIST,
            why,
        });
    }
    let (mode, told) = mode::channel(Mode::Asking);
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
        mode: told,
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

/// An attempt and the API server's answer to it.
type Answer = (u64, Result<Option<i64>, Outcome>);

struct Task {
    operation: Operation,
    span: ProbeSpan,
    clock: Clock,
    in_flight: InFlight,
    /// The next slot.
    next: u64,
    /// When what may still come true is no longer waited for.
    finished_by: Option<Instant>,
    encoder: AttemptEncoder,
    answers: JoinSet<Answer>,
    removals: JoinSet<u64>,
    /// Pods that are being taken away.
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
            let expire_one = self.in_flight.next_expiry().map(|at| self.clock.instant(at));
            let asks = *self.mode.borrow() == Mode::Asking;
            tokio::select! {
                () = sleep_until(due), if asks => self.send(),
                () = until(expire_one) => self.expire(),
                () = until(self.finished_by) => break,
                Some(Ok((slot, answer))) = self.answers.join_next() => self.answered(slot, answer),
                Some(record) = self.watched.recv() => self.learn(record),
                Some(Ok(slot)) = self.removals.join_next() => drop(self.removing.remove(&slot)),
                changed = self.mode.changed() => if changed.is_err() { break } else { self.finish() },
            }
        }
        let cut = self.in_flight.cut(self.clock.now());
        self.tell(cut);
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

    /// Sends what is due; what has been overtaken by its successor is not sent any more.
    fn send(&mut self) {
        let now = self.clock.now();
        while self.span.due(self.next) <= now {
            let slot = self.next;
            self.next += 1;
            let room = self.in_flight.len() < MOST_ALIVE || self.give_up_one();
            if room && self.span.due(self.next) > now {
                self.ask(slot, now);
            } else {
                let end =
                    End { slot, sent: now, accepted: None, done: now, outcome: Outcome::NotSent };
                self.tell(vec![Resolution::Ended(end)]);
            }
        }
    }

    fn ask(&mut self, slot: u64, now: Moment) {
        self.in_flight.sent(slot, now);
        let (operation, limit) =
            (self.operation.clone(), Duration::from_nanos(self.span.timeout_ns));
        self.answers.spawn(async move {
            let answer = timeout(limit, operation.ask(slot)).await;
            (slot, answer.unwrap_or(Err(Outcome::Timeout(Phase::Accepted))))
        });
    }

    fn give_up_one(&mut self) -> bool {
        let given_up = self.in_flight.give_up_one();
        given_up.into_iter().for_each(|slot| self.remove(slot));
        given_up.is_some()
    }

    fn answered(&mut self, slot: u64, answer: Result<Option<i64>, Outcome>) {
        let told =
            self.in_flight.answered(slot, self.clock.now(), answer, self.operation.first_phase());
        self.tell(told.into_iter().collect());
    }

    fn expire(&mut self) {
        let told = self.in_flight.expire(self.clock.now());
        self.tell(told);
    }

    /// Takes in what the watch said. What becomes of single pods is in the attempts; the rest is for the timeline, too.
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
                let told = self.in_flight.completed(slot, at);
                self.tell(told);
                self.remove(slot);
            }
            Some(Progress::DoneUpTo(change)) => {
                let told = self.in_flight.completed_up_to(change, at);
                self.tell(told);
            }
            None => {}
        }
        if !matches!(record.event, Event::Pod { .. }) {
            let _ = self.records.send(record);
        }
    }

    fn tell(&mut self, told: Vec<Resolution>) {
        let mut records = Vec::new();
        for told in told {
            match told {
                Resolution::Ended(end) => {
                    self.encoder.attempt(&end.attempt(self.span.due(end.slot)), &mut records)
                }
                Resolution::Late { slot, at } => {
                    let event = Event::CameTrue { probe: self.span.probe.name.clone(), slot };
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

    /// Takes a pod away, sooner or later. What is left goes with the namespace.
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

/// Waits for a moment that may never come.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
