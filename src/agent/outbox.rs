//! What an agent has found, kept until its runner has it.
//!
//! Memory is bounded. Where attempts don't fit, the new ones are lost: how an outage began is worth
//! more than how long it went on. What is lost is counted, and takes a record of its own and a gap
//! among the attempts.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::protocol::{FromAgent, Message};
use crate::timeline::attempts::{AttemptEncoder, put_gap};
use crate::timeline::{AttemptReader, Event, Moment, ProbeSpan, Record};

/// What a message takes beside its bytes.
const OVERHEAD: usize = 64;

/// Between the thread that decides and those of the connection.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Encoded; the first of them has the number `first`.
    kept: VecDeque<Arc<[u8]>>,
    first: u64,
    bytes: usize,
    limit: usize,
    probes: BTreeMap<String, Probe>,
    lost: u64,
    connection: Option<Connection>,
    connections: u64,
    closed: bool,
}

struct Connection {
    id: u64,
    stream: UnixStream,
    /// The number of the message that is sent next.
    next: u64,
    replies: VecDeque<Arc<[u8]>>,
    /// Whether the writer has handed all that it took to the system.
    idle: bool,
}

struct Probe {
    span: ProbeSpan,
    previous_slot: u64,
    lost: Option<Lost>,
}

/// Attempts in a row for which there was no room.
struct Lost {
    attempts: u64,
    from: Moment,
    until: Moment,
    /// Names of back ends among them: those that follow are counted from them.
    backends: Vec<u8>,
}

/// There is no room for what can't be done without.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.changed.notify_all();
        result
    }

    pub(super) fn set_limit(&self, bytes: usize) {
        self.state().limit = bytes;
    }

    /// How many attempts there was no room for.
    pub(super) fn lost(&self) -> u64 {
        self.state().lost
    }

    /// Keeps a message, in order. Errors when what is not attempts has no room, either.
    pub(super) fn push(&self, message: FromAgent) -> Result<(), Full> {
        self.change(|state| match message {
            FromAgent::Attempts { probe, records } => {
                state.push_attempts(probe, records);
                Ok(())
            }
            _ if state.bytes > state.limit.saturating_mul(2) => Err(Full),
            message => {
                if let FromAgent::Span(span) = &message {
                    let probe = Probe { span: span.clone(), previous_slot: 0, lost: None };
                    state.probes.insert(span.probe.name.clone(), probe);
                }
                state.keep(message);
                Ok(())
            }
        })
    }

    /// Keeps the last message, after what is to be said of lost attempts.
    pub(super) fn push_last(&self, bye: FromAgent) {
        self.change(|state| {
            for name in state.probes.keys().cloned().collect::<Vec<_>>() {
                if let Some(records) = state.admit_loss(&name) {
                    state.keep(FromAgent::Attempts { probe: name, records });
                }
            }
            state.keep(bye);
        });
    }

    /// From now on this is the connection to the runner, which has received so many messages. The
    /// one before is closed. Returns its number; `None` when that runner can't be served.
    pub(super) fn attach(&self, stream: UnixStream, received: u64) -> Option<u64> {
        self.change(|state| {
            let end = state.first + state.kept.len() as u64;
            if state.closed || !(state.first..=end).contains(&received) {
                return None;
            }
            state.acknowledge(received);
            state.connections += 1;
            let (id, replies) = (state.connections, VecDeque::new());
            let connection = Connection { id, stream, next: received, replies, idle: true };
            if let Some(before) = state.connection.replace(connection) {
                let _ = before.stream.shutdown(std::net::Shutdown::Both);
            }
            Some(id)
        })
    }

    /// Sends something that is not kept, before all that is, if this still is the connection.
    pub(super) fn reply(&self, connection: u64, message: &FromAgent) {
        self.change(|state| {
            if let Some(current) = state.current(connection) {
                current.replies.push_back(message.encode().into());
            }
        });
    }

    /// The runner has so many messages. Only a connection that is the current one is believed.
    pub(super) fn acknowledge(&self, connection: u64, received: u64) {
        self.change(|state| {
            if state.current(connection).is_some() {
                state.acknowledge(received);
            }
        });
    }

    /// The next frame for a connection, when there is one; `None` when it is no longer served.
    pub(super) fn next(&self, connection: u64) -> Option<Arc<[u8]>> {
        let mut state = self.state();
        loop {
            let (first, kept) = (state.first, state.kept.len() as u64);
            let closed = state.closed;
            let current = state.current(connection)?;
            if let Some(reply) = current.replies.pop_front() {
                return Some(reply);
            }
            let place = current.next.max(first);
            if place < first + kept {
                (current.next, current.idle) = (place + 1, false);
                return state.kept.get((place - first) as usize).cloned();
            }
            current.idle = true;
            if closed {
                return None;
            }
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// A connection has broken.
    pub(super) fn detach(&self, connection: u64) {
        self.change(|state| {
            if state.current(connection).is_some() {
                state.connection = None;
            }
        });
    }

    /// Whether this connection is the one to the runner.
    pub(super) fn is_current(&self, connection: u64) -> bool {
        self.state().current(connection).is_some()
    }

    /// Whether the runner has all.
    pub(super) fn is_delivered(&self) -> bool {
        self.state().kept.is_empty()
    }

    /// Ends: waits for a moment until what is kept was handed to the system, where somebody reads
    /// it, and closes the connection.
    pub(super) fn close(&self, within: Duration) {
        let deadline = std::time::Instant::now() + within;
        let mut state = self.state();
        state.closed = true;
        self.changed.notify_all();
        loop {
            let end = state.first + state.kept.len() as u64;
            let is_sent = |current: &Connection| current.idle && current.next >= end;
            let rest = deadline.saturating_duration_since(std::time::Instant::now());
            if state.connection.as_ref().is_none_or(is_sent) || rest.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, rest);
            state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        if let Some(connection) = state.connection.take() {
            let _ = connection.stream.shutdown(std::net::Shutdown::Both);
        }
        self.changed.notify_all();
    }
}

impl State {
    fn current(&mut self, connection: u64) -> Option<&mut Connection> {
        self.connection.as_mut().filter(|current| current.id == connection)
    }

    fn keep(&mut self, message: FromAgent) {
        let number = self.first + self.kept.len() as u64;
        let frame: Arc<[u8]> = FromAgent::Kept(number, Box::new(message)).encode().into();
        self.bytes += frame.len() + OVERHEAD;
        self.kept.push_back(frame);
    }

    fn acknowledge(&mut self, received: u64) {
        while self.first < received
            && let Some(frame) = self.kept.pop_front()
        {
            self.bytes -= frame.len() + OVERHEAD;
            self.first += 1;
        }
    }

    fn push_attempts(&mut self, name: String, mut records: Vec<u8>) {
        let fits = self.bytes + records.len() + OVERHEAD <= self.limit;
        if fits && let Some(mut gap) = self.admit_loss(&name) {
            gap.append(&mut records);
            records = gap;
        }
        // A probe says that it has begun before it finds anything.
        let Some(probe) = self.probes.get_mut(&name) else { return };
        let mut reader = AttemptReader::records_after(&records, probe.previous_slot);
        if fits {
            reader.by_ref().for_each(drop);
        } else {
            self.lost += probe.lose(&mut reader);
        }
        probe.previous_slot = reader.previous_slot();
        if fits {
            self.keep(FromAgent::Attempts { probe: name, records });
        }
    }

    /// Records what was lost of a probe, and returns the gap that takes its place.
    fn admit_loss(&mut self, name: &str) -> Option<Vec<u8>> {
        let probe = self.probes.get_mut(name)?;
        let Lost { attempts, from, until, backends: mut gap } = probe.lost.take()?;
        put_gap(&mut gap, probe.previous_slot);
        let event = Event::AttemptsLost { probe: name.to_owned(), attempts };
        self.keep(FromAgent::Record(Record { at: until, since: Some(from), event }));
        Some(gap)
    }
}

impl Probe {
    fn lose(&mut self, reader: &mut AttemptReader<'_>) -> u64 {
        let mut attempts = 0;
        for attempt in reader.by_ref() {
            let (sent, done) = (self.span.sent(&attempt), self.span.done(&attempt));
            let none = Lost { attempts: 0, from: sent, until: done, backends: Vec::new() };
            let lost = self.lost.get_or_insert(none);
            (lost.from, lost.until) = (lost.from.min(sent), lost.until.max(done));
            attempts += 1;
        }
        if let Some(lost) = &mut self.lost {
            lost.attempts += attempts;
            let mut encoder = AttemptEncoder::default();
            reader.backends().iter().for_each(|name| encoder.backend(name, &mut lost.backends));
        }
        attempts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::control::header;
    use crate::timeline::{Attempt, AttemptWriter, ProbeFile};

    fn span() -> ProbeSpan {
        ProbeSpan {
            format: ProbeSpan::FORMAT.into(),
            probe: header("web", "worker", None),
            start: Moment(1_000_000_000),
            interval_ns: 1_000_000,
            timeout_ns: 500_000,
            clock_uncertainty_ns: 0,
        }
    }

    /// Finds attempts without end, ten at a time, with a back end's name in each ten.
    struct Finder {
        encoder: AttemptEncoder,
        next: u64,
    }

    impl Finder {
        fn find(&mut self, outbox: &Outbox) {
            let mut records = Vec::new();
            self.encoder.backend(&format!("web-{}", self.next / 10), &mut records);
            for slot in self.next..self.next + 10 {
                let backend = Some((self.next / 10) as u32);
                let attempt = Attempt { slot, backend, ..Attempt::default() };
                self.encoder.attempt(&attempt, &mut records);
            }
            self.next += 10;
            outbox.push(FromAgent::Attempts { probe: "web".into(), records }).unwrap();
        }
    }

    fn kept(outbox: &Outbox, from: u64) -> Vec<FromAgent> {
        let state = outbox.state();
        let frames = state.kept.iter().zip(state.first..).filter(|(_, number)| *number >= from);
        let message = |(frame, number): (&Arc<[u8]>, u64)| {
            let mut frames = crate::agent::protocol::Frames::default();
            frames.push(frame);
            match frames.message().unwrap() {
                Some(FromAgent::Kept(kept, message)) if kept == number => *message,
                other => panic!("{other:?}"),
            }
        };
        frames.map(message).collect()
    }

    fn begun(limit: usize) -> (Outbox, Finder, UnixStream) {
        let (outbox, (runner, agent)) = (Outbox::default(), UnixStream::pair().unwrap());
        outbox.set_limit(limit);
        outbox.attach(agent, 0).unwrap();
        outbox.push(FromAgent::Span(span())).unwrap();
        (outbox, Finder { encoder: AttemptEncoder::default(), next: 0 }, runner)
    }

    #[test]
    fn what_has_no_room_is_counted_and_its_place_is_a_gap() {
        let (outbox, mut finder, _runner) = begun(4000);
        while outbox.lost() == 0 {
            finder.find(&outbox);
        }
        let held = finder.next - 10;
        finder.find(&outbox);
        assert_eq!(outbox.lost(), 20);
        let mut all = kept(&outbox, 0);
        let received = all.len() as u64;
        outbox.acknowledge(1, received);
        finder.find(&outbox);
        // Once more, to the end.
        outbox.set_limit(0);
        finder.find(&outbox);
        outbox.push_last(FromAgent::Bye { error: None });
        all.extend(kept(&outbox, received));
        let lost: Vec<_> = all
            .iter()
            .filter_map(|message| match message {
                FromAgent::Record(record) => Some(record.clone()),
                _ => None,
            })
            .collect();
        let record = |attempts, first: u64, last: u64| Record {
            at: span().due(last),
            since: Some(span().due(first)),
            event: Event::AttemptsLost { probe: "web".into(), attempts },
        };
        assert_eq!(lost, [record(20, held, held + 19), record(10, held + 30, held + 39)]);
        assert_eq!(outbox.lost(), 30);
        // What the runner writes is read with the right slots and back ends.
        let mut file = Vec::new();
        let mut writer = AttemptWriter::new(&mut file, &span()).unwrap();
        for message in &all {
            if let FromAgent::Attempts { records, .. } = message {
                writer.append(records).unwrap();
            }
        }
        writer.finish().unwrap();
        let file = ProbeFile::new(file).unwrap();
        let mut reader = file.attempts();
        let read: Vec<_> = reader.by_ref().map(|one| (one.slot, one.backend)).collect();
        let expected = (0..held).chain(held + 20..held + 30);
        assert!(read.into_iter().eq(expected.map(|slot| (slot, Some((slot / 10) as u32)))));
        assert_eq!(reader.backends().len() as u64, finder.next / 10);
        assert!(reader.truncated());
    }

    #[test]
    fn acknowledged_messages_make_room() {
        let (outbox, mut finder, _runner) = begun(2000);
        for _ in 0..1000 {
            finder.find(&outbox);
            let end = outbox.change(|state| state.first + state.kept.len() as u64);
            outbox.acknowledge(1, end);
        }
        assert_eq!((outbox.lost(), outbox.state().bytes), (0, 0));
        // Nobody but the connection to the runner is believed.
        finder.find(&outbox);
        outbox.acknowledge(7, u64::MAX);
        assert!(!outbox.is_delivered());
    }

    #[test]
    fn other_messages_than_attempts_end_an_agent_without_room() {
        let (outbox, _, _runner) = begun(1000);
        let note = || FromAgent::Note { warning: false, text: "x".repeat(100) };
        assert!((0..100).any(|_| outbox.push(note()) == Err(Full)));
        outbox.push_last(FromAgent::Bye { error: Some("its memory is full".into()) });
        assert!(matches!(kept(&outbox, 0).last(), Some(FromAgent::Bye { .. })));
    }
}
