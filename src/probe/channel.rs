//! What an attempt runs on: a lookup or a connection, with the attempt that is using it.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::protocol::Answer;
use super::socket::TcpSocket;
use crate::resolver::Lookup;
use crate::timeline::attempts::{ConnectionEnd, Phases};
use crate::timeline::{Attempt, Moment, Outcome, Phase};

/// A lookup or connection. Without a task it is idle, waiting to be used again.
#[derive(Debug)]
pub(super) struct Channel {
    pub probe: usize,
    pub link: Link,
    pub task: Option<Task>,
    /// Reads the answers, once there is something to read.
    pub answer: Option<Box<dyn Answer>>,
    /// How many attempts have used the connection before.
    pub before: u32,
    /// Whether the poller knows its socket.
    pub registered: bool,
}

#[derive(Debug)]
pub(super) enum Link {
    Lookup(Lookup),
    TcpSocket(TcpSocket),
}

impl Channel {
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        match &self.link {
            Link::Lookup(lookup) => lookup.socket.as_fd(),
            Link::TcpSocket(socket) => socket.as_fd(),
        }
    }

    /// Whether it waits to write, or for the connection to open.
    pub(super) fn writes(&self) -> bool {
        self.task.as_ref().is_some_and(|task| matches!(task.phase, Phase::Connect | Phase::Send))
    }
}

#[derive(Debug)]
pub(super) struct Task {
    pub slot: u64,
    pub late_us: u64,
    pub sent: Moment,
    pub deadline: Moment,
    pub phase: Phase,
    pub written: usize,
    pub reused: bool,
    /// How the peer ended the connection, once it has.
    pub ended: Option<ConnectionEnd>,
    /// For how long the answer to a lookup is valid.
    pub valid_for: Option<Duration>,
    phases: Phases,
    marked_us: u64,
}

impl Task {
    /// An attempt that is sent at `sent`.
    pub(super) fn new(
        slot: super::pacer::Slot,
        sent: Moment,
        timeout_ns: u64,
        phase: Phase,
    ) -> Self {
        Self {
            slot: slot.number,
            late_us: sent.0.saturating_sub(slot.due.0) / 1000,
            sent,
            deadline: Moment(sent.0.saturating_add(timeout_ns)),
            phase,
            written: 0,
            reused: false,
            ended: None,
            valid_for: None,
            phases: Phases::default(),
            marked_us: 0,
        }
    }

    /// The phase ends now, and the next one begins.
    pub(super) fn enter(&mut self, next: Phase) {
        self.mark(Moment::now());
        self.phase = next;
    }

    pub(super) fn end(mut self, now: Moment, outcome: Outcome) -> Attempt {
        self.mark(now);
        let Self { slot, late_us, phases, reused, ended, .. } = self;
        let ended = ended.filter(|_| reused && !matches!(outcome, Outcome::Timeout(_)));
        Attempt { slot, late_us, outcome, phases, backend: None, reused, ended }
    }

    /// Whole microseconds since the attempt was sent are shared out, so that the phases' sum is the
    /// whole.
    fn mark(&mut self, now: Moment) {
        let us = now.0.saturating_sub(self.sent.0) / 1000;
        *self.phases.of_mut(self.phase) += us - self.marked_us.min(us);
        self.marked_us = us;
    }
}

/// All channels, by key. A key is never used twice: an event of a closed channel finds nothing.
#[derive(Debug, Default)]
pub(super) struct Channels {
    entries: Vec<(u32, Option<Channel>)>,
    free: Vec<u32>,
}

impl Channels {
    /// Adds one, and gives its key.
    pub(super) fn insert(&mut self, channel: Channel) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push((0, None));
            (self.entries.len() - 1) as u32
        });
        let (generation, entry) = &mut self.entries[index as usize];
        *entry = Some(channel);
        u64::from(*generation) << 32 | u64::from(index)
    }

    pub(super) fn find(&self, key: u64) -> Option<&Channel> {
        let (generation, channel) = self.entries.get(key as u32 as usize)?;
        channel.as_ref().filter(|_| u64::from(*generation) == key >> 32)
    }

    pub(super) fn get(&mut self, key: u64) -> Option<&mut Channel> {
        let (generation, channel) = self.entries.get_mut(key as u32 as usize)?;
        channel.as_mut().filter(|_| u64::from(*generation) == key >> 32)
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Channel> {
        self.get(key)?;
        let (generation, channel) = &mut self.entries[key as u32 as usize];
        *generation = generation.wrapping_add(1);
        self.free.push(key as u32);
        channel.take()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Channel)> {
        self.entries.iter().enumerate().filter_map(|(index, (generation, channel))| {
            Some((u64::from(*generation) << 32 | index as u64, channel.as_ref()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::pacer::Slot;
    use super::super::ports::Ports;
    use super::*;

    fn channel(port: u16) -> Channel {
        let link = Link::TcpSocket(
            TcpSocket::new(([127, 0, 0, 1], port).into(), &Ports::of_this_network(1)).unwrap(),
        );
        Channel { probe: 0, link, task: None, answer: None, before: 0, registered: false }
    }

    #[test]
    fn a_closed_channels_key_finds_nothing_even_when_its_place_is_taken() {
        let mut channels = Channels::default();
        let (first, second) = (channels.insert(channel(1)), channels.insert(channel(2)));
        assert!(channels.remove(first).is_some());
        let third = channels.insert(channel(3));
        assert!(channels.get(first).is_none() && channels.remove(first).is_none());
        assert!(channels.get(second).is_some() && channels.get(third).is_some());
        assert_eq!(channels.len(), 2);
        let keys: Vec<u64> = channels.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [third, second]);
    }

    #[test]
    fn phases_add_up_to_the_whole() {
        let slot = Slot { number: 3, due: Moment(1_000_000) };
        let mut task = Task::new(slot, Moment(1_002_999), 5_000_000, Phase::Connect);
        assert_eq!((task.late_us, task.deadline), (2, Moment(6_002_999)));
        for (at, next) in
            [(1_004_500, Phase::Send), (1_005_100, Phase::FirstByte), (1_009_700, Phase::Body)]
        {
            task.mark(Moment(at));
            task.phase = next;
        }
        let attempt = task.end(Moment(1_012_998), Outcome::Ok);
        assert_eq!(
            (attempt.phases.connect_us, attempt.phases.first_byte_us, attempt.phases.body_us),
            (1, 5, 3)
        );
        assert_eq!(attempt.duration_us(), 9);
    }
}
