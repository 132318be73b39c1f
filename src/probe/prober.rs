//! The loop that asks: one thread, all probes, no blocking call but the wait for the next thing to do.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::drive::{Ask, Driver, Turn};
use super::lane::Lane;
use super::line::{Line, Lines, Link, Task};
use super::lookup::Lookup;
use super::names::NameService;
use super::pacer::Slot;
use super::poller::Poller;
use super::ports::Ports;
use super::spec::{Destination, ProbeSpec};
use super::wire::{Wire, outcome_of};
use crate::timeline::{Moment, Outcome, Phase, ProbeSpan};

/// Records are handed on, silent name servers noticed and the stop flag looked at this often.
const TICK_NS: u64 = 100_000_000;
/// Slots that one probe may send in one turn, after the prober fell behind.
const SLOTS_PER_TURN: usize = 32;
/// Connections and look-ups at one time; the system's limit may be lower.
const MAX_LINES: usize = 32_768;
/// Descriptors that are not the prober's.
const OTHER_DESCRIPTORS: u64 = 64;
/// The prober needs little of the processor, but that at once. (Linux: of the calling thread alone.)
#[cfg(target_os = "linux")]
const NICE: i32 = -10;
/// The first slot is due this long after the start, so that it can be on time.
const LEAD_NS: u64 = 5_000_000;

/// Why a prober can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum ProberError {
    /// A probe can't be carried out.
    #[error("ask as probe {probe}: {why}")]
    Probe {
        /// The probe.
        probe: String,
        /// Why not.
        why: String,
    },
    /// The system refused to wait for sockets.
    #[error("wait for sockets: {0}")]
    Poll(#[from] io::Error),
}

/// Takes what a prober finds. Called on the prober's thread: it must not block.
pub trait Sink {
    /// A probe has begun.
    fn started(&mut self, span: &ProbeSpan);
    /// Whole encoded records of a probe, in order; at most every 100 ms, never none.
    fn attempts(&mut self, probe: &str, records: Vec<u8>);
}

/// Asks until it is stopped.
pub struct Prober {
    lanes: Vec<Lane>,
    lines: Lines,
    poller: Poller,
    names: NameService,
    ports: Ports,
    buffer: Vec<u8>,
    ready: Vec<u64>,
    again: Vec<u64>,
    max_lines: usize,
    query_id: u64,
    next_tick: Moment,
}

impl Prober {
    /// Prepares all probes; the first slots are due in some milliseconds, the probes' phases spread evenly.
    pub fn new(specs: Vec<ProbeSpec>, names: NameService) -> Result<Self, ProberError> {
        let begin = Moment(Moment::now().0 + LEAD_NS);
        let count = specs.len().max(1) as u64;
        let lanes = specs.into_iter().zip(0u64..).map(|(spec, number)| {
            let start = Moment(begin.0 + spec.interval_ns / count * number);
            let probe = spec.header.name.clone();
            Lane::new(spec, start).map_err(|why| ProberError::Probe { probe, why })
        });
        Ok(Self {
            lanes: lanes.collect::<Result<_, _>>()?,
            lines: Lines::default(),
            poller: Poller::new()?,
            names,
            ports: Ports::of_this_network(seed()),
            buffer: vec![0; 64 * 1024],
            ready: Vec::new(),
            again: Vec::new(),
            max_lines: max_lines(),
            query_id: seed(),
            next_tick: Moment(begin.0 + TICK_NS),
        })
    }

    /// What is asked on loopback is asked from this address of loopback.
    pub fn from(self, source: Option<std::net::IpAddr>) -> Self {
        Self { ports: self.ports.from(source), ..self }
    }

    /// Asks until `stop` is set, which is noticed within 100 ms. What is in flight then is recorded as cut.
    pub fn run(mut self, stop: &AtomicBool, sink: &mut dyn Sink) -> Result<(), ProberError> {
        be_on_time();
        for lane in &self.lanes {
            sink.started(&lane.span);
        }
        while !stop.load(Ordering::Relaxed) {
            self.expire();
            self.send_due();
            self.tick(sink);
            self.wait()?;
            self.serve();
        }
        self.cut();
        self.flush(sink);
        Ok(())
    }

    /// Sends every slot that is due.
    fn send_due(&mut self) {
        for lane in 0..self.lanes.len() {
            for _ in 0..SLOTS_PER_TURN {
                let now = Moment::now();
                let Some(slot) = self.lanes[lane].pacer.take(now) else { break };
                if self.lanes[lane].knows(now) {
                    self.lanes[lane].record_unsent(slot, now, Outcome::Ok);
                    continue;
                }
                if self.lanes[lane].too_late(slot, now) || self.lines.len() >= self.max_lines {
                    self.lanes[lane].record_unsent(slot, now, Outcome::NotSent);
                } else if let Err(error) = self.send(lane, slot) {
                    self.lanes[lane].record_unsent(slot, now, outcome_of(&error, Phase::Connect));
                }
            }
        }
    }

    fn send(&mut self, lane: usize, slot: Slot) -> io::Result<()> {
        if let Some(key) = self.idle_line(lane) {
            let timeout_ns = self.lanes[lane].timeout_ns;
            if let Some(line) = self.lines.get(key) {
                let mut task = Task::new(slot, Moment::now(), timeout_ns, Phase::Send);
                task.reused = true;
                line.task = Some(task);
            }
            self.begin(key, lane);
            return Ok(());
        }
        let line = self.open(lane, slot)?;
        let key = self.lines.insert(line);
        self.begin(key, lane);
        Ok(())
    }

    /// Opens a connection, or begins to look for its address. Sent is the moment before the first packet.
    fn open(&mut self, lane: usize, slot: Slot) -> io::Result<Line> {
        if let Ask::Dns(name) = &self.lanes[lane].ask {
            return self.look_up(lane, slot, &name.clone());
        }
        let address = match &self.lanes[lane].destination {
            Destination::Resolver => return Err(io::ErrorKind::InvalidInput.into()),
            Destination::Address(address) => *address,
            Destination::Name { host, port } => match self.names.known(host) {
                Some(address) => SocketAddr::new(address, *port),
                None => return self.look_up(lane, slot, &host.clone()),
            },
        };
        let mut wire = Wire::socket(address, &self.ports)?;
        let sent = Moment::now();
        wire.connect(address)?;
        Ok(self.line(
            lane,
            Link::Wire(wire),
            Task::new(slot, sent, self.lanes[lane].timeout_ns, Phase::Connect),
        ))
    }

    /// Asks for a name's address.
    fn look_up(&mut self, lane: usize, slot: Slot, name: &str) -> io::Result<Line> {
        self.query_id = next_random(self.query_id);
        let names = self.lanes[lane].names.as_ref().unwrap_or(&self.names);
        let sent = Moment::now();
        let link = Link::Lookup(Lookup::start(names, name, (self.query_id >> 32) as u16)?);
        Ok(self.line(lane, link, Task::new(slot, sent, self.lanes[lane].timeout_ns, Phase::Dns)))
    }

    fn line(&self, lane: usize, link: Link, task: Task) -> Line {
        Line { lane, link, task: Some(task), registered: false }
    }

    fn begin(&mut self, key: u64, lane: usize) {
        if let Some(task) = self.lines.get(key).and_then(|line| line.task.as_ref()) {
            self.lanes[lane].expect_end(task.deadline, task.slot, key);
        }
        self.drive(key);
    }

    /// An idle connection that can take a request. For TCP the check is the attempt itself.
    fn idle_line(&mut self, lane: usize) -> Option<u64> {
        while let Some(key) = self.lanes[lane].take_idle() {
            let Some(Line { link: Link::Wire(wire), .. }) = self.lines.get(key) else { continue };
            if matches!(self.lanes[lane].ask, Ask::Tcp) || wire.check().is_ok() {
                return Some(key);
            }
            self.lines.remove(key);
        }
        None
    }

    /// Carries on what the sockets are ready for.
    fn serve(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.append(&mut self.again);
        for key in ready.drain(..) {
            self.drive(key);
        }
        self.ready = ready;
    }

    fn drive(&mut self, key: u64) {
        let Some(line) = self.lines.get(key) else { return };
        let lane = &self.lanes[line.lane];
        if line.task.is_none() {
            return self.idle_event(key);
        }
        let names = lane.names.as_ref().unwrap_or(&self.names);
        let mut driver = Driver {
            ask: &lane.ask,
            port: lane.port(),
            names,
            ports: &self.ports,
            buffer: &mut self.buffer,
        };
        let turn = driver.drive(line);
        self.turn(key, turn);
    }

    fn turn(&mut self, key: u64, turn: Turn) {
        match turn {
            Turn::Done(outcome) => self.finish(key, outcome),
            Turn::Again => self.again.push(key),
            Turn::Wait | Turn::Next => self.register(key),
        }
    }

    fn register(&mut self, key: u64) {
        let Some(line) = self.lines.get(key) else { return };
        if std::mem::replace(&mut line.registered, true) {
            return;
        }
        let lane = &self.lanes[line.lane];
        let plain = !matches!(&line.link, Link::Wire(wire) if wire.is_tls());
        let write = lane.reused || line.writes() || !plain;
        if self.poller.add(line.socket(), key, write).is_err() {
            self.finish(key, Outcome::Prober);
        }
    }

    /// A connection that nobody uses was closed by its peer, or spoke out of turn.
    fn idle_event(&mut self, key: u64) {
        let Some(Line { link: Link::Wire(wire), lane, .. }) = self.lines.get(key) else { return };
        let lane = &mut self.lanes[*lane];
        // The next attempt of a TCP probe is to find it so.
        if !matches!(lane.ask, Ask::Tcp) && wire.check().is_err() {
            lane.forget_idle(key);
            self.lines.remove(key);
        }
    }

    /// Records an attempt's end. Its connection is closed, or kept for the next one.
    fn finish(&mut self, key: u64, outcome: Outcome) {
        let Some(line) = self.lines.get(key) else { return };
        let Some(task) = line.task.take() else { return };
        let now = Moment::now();
        let in_time = now <= task.deadline;
        let lane = &mut self.lanes[line.lane];
        let outcome =
            if in_time || outcome == Outcome::Cut { outcome } else { Outcome::Timeout(task.phase) };
        if let (Some(holds), true) = (task.holds, outcome.is_ok()) {
            lane.learn(now, holds);
        }
        let reused = task.reused;
        let (attempt, answer) = task.end(now, outcome);
        lane.recorder.record(attempt, answer.backend.as_deref());
        let usable = match lane.ask {
            Ask::Tcp => outcome.is_ok(),
            Ask::Dns(_) => false,
            // Who gives a wrong answer may not be whom we asked (before kube-proxy has its rules, say): not to be asked again.
            Ask::Http { .. } => answer.keep_alive && outcome.is_ok(),
        };
        if !(lane.reused && usable && lane.keep(key)) {
            self.lines.remove(key);
        } else {
            if let (false, Link::Wire(wire)) = (reused, &line.link) {
                wire.prepare_to_keep(std::time::Duration::from_nanos(lane.timeout_ns));
            }
            self.register(key);
        }
    }

    /// Ends what has reached its deadline.
    fn expire(&mut self) {
        let now = Moment::now();
        for lane in 0..self.lanes.len() {
            while let Some((deadline, key)) = self.next_deadline(lane)
                && deadline <= now
            {
                let phase = self
                    .lines
                    .get(key)
                    .and_then(|line| line.task.as_ref())
                    .map_or(Phase::Connect, |task| task.phase);
                self.finish(key, Outcome::Timeout(phase));
            }
        }
    }

    fn next_deadline(&mut self, lane: usize) -> Option<(Moment, u64)> {
        let lines = &mut self.lines;
        self.lanes[lane].next_deadline(|slot, key| {
            lines.get(key).and_then(|line| line.task.as_ref()).is_some_and(|task| task.slot == slot)
        })
    }

    fn wait(&mut self) -> Result<(), ProberError> {
        let mut until = self.next_tick;
        for lane in 0..self.lanes.len() {
            until = until.min(self.lanes[lane].pacer.due());
            until = self.next_deadline(lane).map_or(until, |(deadline, _)| until.min(deadline));
        }
        let ns = if self.again.is_empty() { until.0.saturating_sub(Moment::now().0) } else { 0 };
        let sources = self.lines.iter().map(|(key, line)| (line.socket(), key, line.writes()));
        Ok(self.poller.wait(ns, sources, &mut self.ready)?)
    }

    fn tick(&mut self, sink: &mut dyn Sink) {
        let now = Moment::now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = Moment(now.0 + TICK_NS);
        self.flush(sink);
        let looking = |line: &Line| matches!(line.link, Link::Lookup(_));
        let keys: Vec<u64> =
            self.lines.iter().filter(|(_, line)| looking(line)).map(|(key, _)| key).collect();
        for key in keys {
            let Some(line) = self.lines.get(key) else { continue };
            let lane = &self.lanes[line.lane];
            let names = lane.names.as_ref().unwrap_or(&self.names);
            let mut driver = Driver {
                ask: &lane.ask,
                port: lane.port(),
                names,
                ports: &self.ports,
                buffer: &mut self.buffer,
            };
            let turn = driver.tick(line, now);
            self.turn(key, turn);
        }
    }

    fn flush(&mut self, sink: &mut dyn Sink) {
        for lane in &mut self.lanes {
            let records = lane.recorder.take();
            if !records.is_empty() {
                sink.attempts(&lane.span.probe.name, records);
            }
        }
    }

    fn cut(&mut self) {
        let keys: Vec<u64> =
            self.lines.iter().filter(|(_, line)| line.task.is_some()).map(|(key, _)| key).collect();
        for key in keys {
            self.finish(key, Outcome::Cut);
        }
    }
}

/// For this thread: timers that go off when they are due, not up to 50 us later; and, where that is allowed (it is in a node), to
/// go before others, so that a busy machine is not taken for a slow service.
fn be_on_time() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}

/// Raises this process's limit of open files as far as it may, and gives how many lines that allows.
fn max_lines() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current =
        if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let files = current.unwrap_or(u64::MAX).saturating_sub(OTHER_DESCRIPTORS);
    usize::try_from(files).unwrap_or(MAX_LINES).clamp(1, MAX_LINES)
}

/// Something that differs from run to run.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() | 1
}

fn next_random(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}
