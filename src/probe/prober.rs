//! The loop that asks: one thread, all probes, no blocking call but the wait for the next thing to
//! do.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::channel::{Channel, Channels, Link, Task};
use super::drive::{Driver, Turn, is_usable};
use super::pacer::Slot;
use super::poller::{Interest, Poller, Source};
use super::ports::Ports;
use super::socket::{TcpSocket, outcome_of};
use super::spec::{Destination, ProbeSpec};
use super::state::{Deadline, ProbeState};
use crate::resolver::{Lookup, NameService};
use crate::timeline::attempts::ConnectionEnd;
use crate::timeline::{Moment, Outcome, Phase, ProbeSpan};

/// Records are handed on, silent name servers noticed and the stop flag looked at this often.
const TICK_NS: u64 = 100_000_000;
/// Slots that one probe may send in one turn, after the prober fell behind.
const SLOTS_PER_TURN: usize = 32;
/// Connections and lookups at one time; the system's limit may be lower.
const MAX_CHANNELS: usize = 32_768;
/// Sockets that are waited for one by one.
const NEWEST: usize = 4;
const OTHER_DESCRIPTORS: u64 = 64;
/// The prober needs little CPU time, but without delay. (On Linux this is the calling thread's
/// alone.)
#[cfg(target_os = "linux")]
const NICE: i32 = -10;
/// The first slot is due this long after the start, so that it can be on time.
const LEAD_NS: u64 = 5_000_000;

/// Why a prober can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum ProberError {
    /// A probe can't be carried out.
    #[error("start probe {probe}: {why}")]
    Probe { probe: String, why: String },
    /// Waiting for sockets failed.
    #[error("wait for sockets: {0}")]
    Poll(#[from] io::Error),
}

/// Takes what a prober finds. Called on the prober's thread: it must not block.
pub trait Sink {
    fn started(&mut self, span: &ProbeSpan);
    /// Whole encoded records of a probe, in order; at most every 100 ms, never none.
    fn attempts(&mut self, probe: &str, records: Vec<u8>);
}

pub struct Prober {
    probes: Vec<ProbeState>,
    channels: Channels,
    poller: Poller,
    names: NameService,
    ports: Ports,
    buffer: Vec<u8>,
    /// Those that are waited for one by one, the latest last.
    newest: VecDeque<u64>,
    ready: Vec<u64>,
    again: Vec<u64>,
    max_channels: usize,
    query_id: u64,
    next_tick: Moment,
}

impl Prober {
    /// Prepares all probes; the first slots are due in some milliseconds, the probes' phases spread
    /// evenly.
    pub fn new(specs: Vec<ProbeSpec>, names: NameService) -> Result<Self, ProberError> {
        let begin = Moment(Moment::now().0 + LEAD_NS);
        let count = specs.len().max(1) as u64;
        let probes = specs.into_iter().zip(0u64..).map(|(spec, number)| {
            let start = Moment(begin.0 + spec.interval_ns / count * number);
            let probe = spec.header.name.clone();
            ProbeState::new(spec, start).map_err(|why| ProberError::Probe { probe, why })
        });
        Ok(Self {
            probes: probes.collect::<Result<_, _>>()?,
            channels: Channels::default(),
            poller: Poller::new()?,
            names,
            ports: Ports::of_this_network(seed()),
            buffer: vec![0; 64 * 1024],
            newest: VecDeque::new(),
            ready: Vec::new(),
            again: Vec::new(),
            max_channels: max_channels(),
            query_id: seed(),
            next_tick: Moment(begin.0 + TICK_NS),
        })
    }

    /// Connections to loopback come from this loopback address.
    pub fn from(self, source: Option<std::net::IpAddr>) -> Self {
        Self { ports: self.ports.from(source), ..self }
    }

    /// Asks until `stop` is set, which is noticed within 100 ms. What is in flight then is recorded
    /// as cut.
    pub fn run(mut self, stop: &AtomicBool, sink: &mut dyn Sink) -> Result<(), ProberError> {
        be_on_time();
        for probe in &self.probes {
            sink.started(&probe.span);
        }
        while !stop.load(Ordering::Relaxed) {
            let now = Moment::now();
            self.expire(now);
            self.send_due();
            self.tick(now, sink);
            self.wait()?;
            self.serve();
        }
        self.cut();
        self.flush(sink);
        Ok(())
    }

    fn send_due(&mut self) {
        for probe in 0..self.probes.len() {
            for _ in 0..SLOTS_PER_TURN {
                let now = Moment::now();
                let Some(slot) = self.probes[probe].pacer.take(now) else { break };
                if self.probes[probe].has_cached_answer(now) {
                    self.probes[probe].record_unsent(slot, now, Outcome::Ok);
                    continue;
                }
                if self.probes[probe].too_late(slot, now)
                    || self.channels.len() >= self.max_channels
                {
                    self.probes[probe].record_unsent(slot, now, Outcome::NotSent);
                } else if let Err(error) = self.send(probe, slot) {
                    self.probes[probe].record_unsent(slot, now, outcome_of(&error, Phase::Connect));
                }
            }
        }
    }

    fn send(&mut self, probe: usize, slot: Slot) -> io::Result<()> {
        if let Some(key) = self.idle_channel(probe) {
            let timeout_ns = self.probes[probe].timeout_ns;
            if let Some(channel) = self.channels.get(key) {
                let mut task = Task::new(slot, Moment::now(), timeout_ns, Phase::Send);
                task.reused = true;
                channel.task = Some(task);
                channel.before += 1;
                if let Some(answer) = &mut channel.answer {
                    answer.next();
                }
            }
            self.begin(key, probe);
            return Ok(());
        }
        let channel = self.open(probe, slot)?;
        let key = self.channels.insert(channel);
        self.begin(key, probe);
        Ok(())
    }

    /// Opens a connection, or begins to look for its address. Sent is the moment before the first
    /// packet.
    fn open(&mut self, probe: usize, slot: Slot) -> io::Result<Channel> {
        if let Some(lookup) = self.probes[probe].protocol.lookup() {
            let name = lookup.name.clone();
            return self.look_up(probe, slot, &name);
        }
        let address = match &self.probes[probe].destination {
            Destination::Resolver => return Err(io::ErrorKind::InvalidInput.into()),
            Destination::Address(address) => *address,
            Destination::Name { host, port } => match self.names.known(host) {
                Some(address) => SocketAddr::new(address, *port),
                None => return self.look_up(probe, slot, &host.clone()),
            },
        };
        let mut socket = TcpSocket::new(address, &self.ports)?;
        let sent = Moment::now();
        socket.connect(address)?;
        Ok(self.channel(
            probe,
            Link::TcpSocket(socket),
            Task::new(slot, sent, self.probes[probe].timeout_ns, Phase::Connect),
        ))
    }

    fn look_up(&mut self, probe: usize, slot: Slot, name: &str) -> io::Result<Channel> {
        self.query_id = next_random(self.query_id);
        let names = self.probes[probe].names.as_ref().unwrap_or(&self.names);
        let sent = Moment::now();
        let link = Link::Lookup(Lookup::start(names, name, (self.query_id >> 32) as u16)?);
        Ok(self.channel(
            probe,
            link,
            Task::new(slot, sent, self.probes[probe].timeout_ns, Phase::Dns),
        ))
    }

    fn channel(&self, probe: usize, link: Link, task: Task) -> Channel {
        Channel { probe, link, task: Some(task), answer: None, before: 0, registered: false }
    }

    fn begin(&mut self, key: u64, probe: usize) {
        if let Some(task) = self.channels.get(key).and_then(|channel| channel.task.as_ref()) {
            self.probes[probe].expect_end(Deadline { at: task.deadline, slot: task.slot, key });
        }
        self.drive(key);
    }

    /// An idle connection that can take a request. For TCP the check is the attempt itself.
    fn idle_channel(&mut self, probe: usize) -> Option<u64> {
        while let Some(key) = self.probes[probe].take_idle() {
            let Some(channel) = self.channels.get(key) else { continue };
            if self.probes[probe].protocol.exchange().is_none()
                || is_usable(channel, &mut self.buffer)
            {
                return Some(key);
            }
            self.channels.remove(key);
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
        let Some(channel) = self.channels.get(key) else { return };
        let probe = &self.probes[channel.probe];
        if channel.task.is_none() {
            return self.idle_event(key);
        }
        let mut driver = Driver::new(probe, &self.names, &self.ports, &mut self.buffer);
        let turn = driver.drive(channel);
        self.turn(key, turn);
    }

    fn turn(&mut self, key: u64, turn: Turn) {
        match turn {
            Turn::Done(outcome) => self.finish(key, outcome),
            Turn::Again => self.again.push(key),
            Turn::Wait | Turn::Next => self.register(key),
        }
    }

    /// Waits for a socket from now on. The newest ones that are for one answer alone are waited for
    /// one by one: nearly always that comes soon, and without two system calls.
    fn register(&mut self, key: u64) {
        let Some(channel) = self.channels.get(key) else { return };
        if std::mem::replace(&mut channel.registered, true) {
            return;
        }
        let plain = matches!(&channel.link, Link::TcpSocket(socket) if !socket.is_tls());
        if !plain || self.probes[channel.probe].reused {
            return self.add_to_poller(key);
        }
        self.newest.push_back(key);
        if self.newest.len() > NEWEST
            && let Some(oldest) = self.newest.pop_front()
        {
            self.add_to_poller(oldest);
        }
    }

    fn add_to_poller(&mut self, key: u64) {
        let Some(channel) = self.channels.get(key) else { return };
        let plain = !matches!(&channel.link, Link::TcpSocket(socket) if socket.is_tls());
        let writes = self.probes[channel.probe].reused || channel.writes() || !plain;
        if self.poller.add(&source(key, channel, writes)).is_err() {
            self.finish(key, Outcome::Prober);
        }
    }

    /// A connection that nobody uses was closed by its peer, or spoke out of turn.
    fn idle_event(&mut self, key: u64) {
        let Some(channel) = self.channels.get(key) else { return };
        let probe = &mut self.probes[channel.probe];
        // The next attempt of a TCP probe is to find it so.
        if probe.protocol.exchange().is_some() && !is_usable(channel, &mut self.buffer) {
            probe.forget_idle(key);
            self.channels.remove(key);
        }
    }

    /// Records an attempt's end. Its connection is closed, or kept for the next one.
    fn finish(&mut self, key: u64, outcome: Outcome) {
        let Some(channel) = self.channels.get(key) else { return };
        let Some(task) = channel.task.take() else { return };
        let now = Moment::now();
        let in_time = now <= task.deadline;
        let probe = &mut self.probes[channel.probe];
        let outcome =
            if in_time || outcome == Outcome::Cut { outcome } else { Outcome::Timeout(task.phase) };
        if let (Some(valid_for), true) = (task.valid_for, outcome.is_ok()) {
            probe.cache_answer(now, valid_for);
        }
        let reused = task.reused;
        let mut attempt = task.end(now, outcome);
        let answer = channel.answer.as_deref();
        let closes = answer.is_some_and(|answer| !answer.keeps_connection());
        if reused && closes && outcome.is_answer() {
            attempt.ended = Some(ConnectionEnd::Closed);
        }
        probe.recorder.record(attempt, answer.and_then(|answer| answer.backend()));
        // A wrong answer may come from another peer than the one meant (before kube-proxy has its
        // rules, say): not kept.
        let usable = outcome.is_ok()
            && probe.protocol.lookup().is_none()
            && answer.is_none_or(|answer| answer.keeps_connection());
        if !(probe.reused && usable && probe.keep(key)) {
            self.channels.remove(key);
        } else {
            if let (false, Link::TcpSocket(socket)) = (reused, &channel.link) {
                socket.prepare_to_keep(std::time::Duration::from_nanos(probe.timeout_ns));
            }
            self.register(key);
        }
    }

    /// Ends what has reached its deadline.
    fn expire(&mut self, now: Moment) {
        for probe in 0..self.probes.len() {
            while let Some(Deadline { key, .. }) =
                self.next_deadline(probe).filter(|deadline| deadline.at <= now)
            {
                let phase = self
                    .channels
                    .get(key)
                    .and_then(|channel| channel.task.as_ref())
                    .map_or(Phase::Connect, |task| task.phase);
                self.finish(key, Outcome::Timeout(phase));
            }
        }
    }

    fn next_deadline(&mut self, probe: usize) -> Option<Deadline> {
        let channels = &mut self.channels;
        self.probes[probe].next_deadline(|Deadline { slot, key, .. }| {
            channels
                .get(key)
                .and_then(|channel| channel.task.as_ref())
                .is_some_and(|task| task.slot == slot)
        })
    }

    fn wait(&mut self) -> Result<(), ProberError> {
        let mut until = self.next_tick;
        for probe in 0..self.probes.len() {
            until = until.min(self.probes[probe].pacer.due());
            until = self.next_deadline(probe).map_or(until, |deadline| until.min(deadline.at));
        }
        let ns = if self.again.is_empty() { until.0.saturating_sub(Moment::now().0) } else { 0 };
        let channels = &self.channels;
        self.newest.retain(|key| channels.find(*key).is_some());
        let newest = self.newest.iter().filter_map(|&key| {
            channels.find(key).map(|channel| source(key, channel, channel.writes()))
        });
        let all = channels.iter().map(|(key, channel)| source(key, channel, channel.writes()));
        Ok(self.poller.wait(ns, newest, all, &mut self.ready)?)
    }

    fn tick(&mut self, now: Moment, sink: &mut dyn Sink) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = Moment(now.0 + TICK_NS);
        self.flush(sink);
        let looking = |channel: &Channel| matches!(channel.link, Link::Lookup(_));
        let keys: Vec<u64> = self
            .channels
            .iter()
            .filter(|(_, channel)| looking(channel))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            let Some(channel) = self.channels.get(key) else { continue };
            let probe = &self.probes[channel.probe];
            let mut driver = Driver::new(probe, &self.names, &self.ports, &mut self.buffer);
            let turn = driver.tick(channel, now);
            self.turn(key, turn);
        }
    }

    fn flush(&mut self, sink: &mut dyn Sink) {
        for probe in &mut self.probes {
            let records = probe.recorder.take();
            if !records.is_empty() {
                sink.attempts(&probe.span.probe.name, records);
            }
        }
    }

    fn cut(&mut self) {
        let keys: Vec<u64> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.task.is_some())
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.finish(key, Outcome::Cut);
        }
    }
}

fn source(key: u64, channel: &Channel, writes: bool) -> Source<'_> {
    let interest = if writes { Interest::Writable } else { Interest::Readable };
    Source { socket: channel.socket(), key, interest }
}

/// For this thread: timers without the default slack of 50 us, and, where that is allowed (it is in
/// a node), priority over others, so that a busy machine does not look like a slow service.
fn be_on_time() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let _ = rustix::process::setpriority_process(None, NICE);
    }
}

/// Raises this process's limit of open files as far as it may, and gives how many channels that
/// allows.
fn max_channels() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current =
        if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let files = current.unwrap_or(u64::MAX).saturating_sub(OTHER_DESCRIPTORS);
    usize::try_from(files).unwrap_or(MAX_CHANNELS).clamp(1, MAX_CHANNELS)
}

/// Differs from run to run.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish() | 1
}

fn next_random(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}
