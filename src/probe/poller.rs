//! Waiting for sockets, to the nanosecond: epoll on Linux, poll elsewhere.

use std::io;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

#[cfg(target_os = "linux")]
pub(super) use self::epoll::Poller;
#[cfg(not(target_os = "linux"))]
pub use self::poll::Poller;

pub(super) struct Source<'a> {
    pub socket: std::os::fd::BorrowedFd<'a>,
    pub key: u64,
    pub interest: Interest,
}

/// What a socket is waited for to become; an error always counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    Readable,
    /// Where a poller waits for both at the same time, readable as well.
    Writable,
}

/// Shorter waits are not worth going to sleep for.
const MIN_WAIT_NS: u64 = 3_000;
/// The kernel may stretch a wait by a thousandth; one this long is ended that much earlier, and the
/// rest waited for.
const LONG_WAIT_NS: u64 = 20_000_000;

/// How long to sleep when `ns` are left.
fn sleep_ns(ns: u64) -> u64 {
    match ns {
        0..=MIN_WAIT_NS => 0,
        LONG_WAIT_NS.. => ns - ns / 1000,
        _ => ns,
    }
}

#[derive(Default)]
struct Polled<'a> {
    fds: Vec<PollFd<'a>>,
    keys: Vec<u64>,
}

impl<'a> Polled<'a> {
    fn of(sources: impl Iterator<Item = Source<'a>>) -> Self {
        let mut polled = Self::default();
        sources.for_each(|source| polled.push(source));
        polled
    }

    fn push(&mut self, Source { socket, key, interest }: Source<'a>) {
        let flags = match interest {
            Interest::Writable => PollFlags::OUT,
            Interest::Readable => PollFlags::IN,
        };
        self.fds.push(PollFd::from_borrowed_fd(socket, flags));
        self.keys.push(key);
    }

    /// Waits for at most `ns`; appends the keys of those that are ready.
    fn wait(&mut self, ns: u64, ready: &mut Vec<u64>) -> io::Result<()> {
        if again(rustix::event::poll(&mut self.fds, Some(&timespec(sleep_ns(ns)))))? > 0 {
            let all = self.fds.iter().zip(&self.keys);
            ready.extend(all.filter(|(fd, _)| !fd.revents().is_empty()).map(|(_, key)| key));
        }
        Ok(())
    }
}

/// A wait that a signal ended found nothing.
fn again(result: Result<usize, Errno>) -> io::Result<usize> {
    match result {
        Err(Errno::INTR) => Ok(0),
        other => Ok(other?),
    }
}

fn timespec(ns: u64) -> rustix::time::Timespec {
    rustix::time::Timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ }
}

#[cfg(target_os = "linux")]
mod epoll {
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};

    use rustix::buffer::spare_capacity;
    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

    use super::{Interest, Polled, Source, again, timespec};

    /// The key of the epoll itself, which no channel has.
    const ADDED: u64 = u64::MAX;
    const BATCH: usize = 256;

    /// Waits with epoll, edge-triggered: each event of a socket is reported once.
    ///
    /// `epoll_wait` knows whole milliseconds only, and `epoll_pwait2` came with Linux 5.11: ppoll
    /// waits on the epoll itself.
    pub(crate) struct Poller {
        epoll: OwnedFd,
        events: Vec<Event>,
        /// Whether it has ever been given a socket: to poll an epoll costs more than a socket.
        used: bool,
    }

    impl Poller {
        /// Makes one. Errors when descriptors run out.
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self {
                epoll: epoll::create(CreateFlags::CLOEXEC)?,
                events: Vec::with_capacity(BATCH),
                used: false,
            })
        }

        /// Waits for a socket from now until it is closed.
        pub(crate) fn add(&mut self, source: &Source<'_>) -> io::Result<()> {
            self.used = true;
            let write = match source.interest {
                Interest::Writable => EventFlags::OUT,
                Interest::Readable => EventFlags::empty(),
            };
            let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET | write;
            Ok(epoll::add(&self.epoll, source.socket, EventData::new_u64(source.key), flags)?)
        }

        /// Waits for at most `ns`, never for less while nothing happens; appends the keys of ready
        /// sockets. `some` have not been added, and are waited for this time.
        pub(crate) fn wait<'a>(
            &mut self,
            ns: u64,
            some: impl Iterator<Item = Source<'a>>,
            _: impl Iterator<Item = Source<'a>>,
            ready: &mut Vec<u64>,
        ) -> io::Result<()> {
            let added =
                Source { socket: self.epoll.as_fd(), key: ADDED, interest: Interest::Readable };
            let mut polled = Polled::of(some);
            if self.used {
                polled.push(added);
            }
            polled.wait(ns, ready)?;
            if ready.pop_if(|key| *key == ADDED).is_some() {
                self.events.clear();
                again(epoll::wait(
                    &self.epoll,
                    spare_capacity(&mut self.events),
                    Some(&timespec(0)),
                ))?;
                ready.extend(self.events.iter().map(|event| event.data.u64()));
            }
            Ok(())
        }
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod poll {
    #![cfg_attr(target_os = "linux", allow(dead_code))]
    use std::io;

    use super::{Polled, Source};

    /// Waits with poll, which is given all sockets every time.
    #[derive(Debug)]
    pub(super) struct Poller;

    impl Poller {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        /// Nothing to do: every wait is given all sockets.
        pub(super) fn add(&mut self, _: &Source<'_>) -> io::Result<()> {
            Ok(())
        }

        /// Waits for at most `ns`; appends the keys of ready sockets.
        pub(super) fn wait<'a>(
            &mut self,
            ns: u64,
            _: impl Iterator<Item = Source<'a>>,
            all: impl Iterator<Item = Source<'a>>,
            ready: &mut Vec<u64>,
        ) -> io::Result<()> {
            Polled::of(all).wait(ns, ready)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Moment;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn both_ways_of_waiting_find_the_ready_socket() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"x").unwrap();
        let (_c, d) = UnixStream::pair().unwrap();
        let source = |socket, key| Source { socket, key, interest: Interest::Readable };
        let sources = || [source(b.as_fd(), 7), source(d.as_fd(), 8)].into_iter();
        let mut epoll = Poller::new().unwrap();
        let mut poll = poll::Poller::new().unwrap();
        for source in sources() {
            epoll.add(&source).unwrap();
            poll.add(&source).unwrap();
        }
        let mut ready = Vec::new();
        let none = std::iter::empty;
        epoll.wait(1_000_000_000, none(), sources(), &mut ready).unwrap();
        poll.wait(1_000_000_000, none(), sources(), &mut ready).unwrap();
        assert_eq!(ready, [7, 7]);
        // What was not added is waited for beside what was.
        let (mut e, f) = UnixStream::pair().unwrap();
        e.write_all(b"x").unwrap();
        let mut epoll = Poller::new().unwrap();
        epoll.add(&source(b.as_fd(), 7)).unwrap();
        ready.clear();
        epoll.wait(1_000_000_000, [source(f.as_fd(), 9)].into_iter(), none(), &mut ready).unwrap();
        assert_eq!(ready, [9, 7]);
    }

    /// How much longer than asked a wait took.
    fn wait_over(poller: &mut Poller, ns: u64) -> u64 {
        let before = Moment::now();
        poller.wait(ns, std::iter::empty(), std::iter::empty(), &mut Vec::new()).unwrap();
        Moment::now().0 - before.0 - ns
    }

    #[test]
    fn a_wait_lasts_as_long_as_was_asked() {
        let mut poller = Poller::new().unwrap();
        for ns in [0, 2_000, 50_000, 1_300_000] {
            let before = Moment::now();
            poller.wait(ns, std::iter::empty(), std::iter::empty(), &mut Vec::new()).unwrap();
            assert!(Moment::now().0 - before.0 >= sleep_ns(ns));
        }
        let mut over: Vec<u64> = (0..51).map(|_| wait_over(&mut poller, 400_000)).collect();
        over.sort_unstable();
        // Whole milliseconds would be 600 us too many. A busy machine is late now and then, not
        // always.
        assert!(over[5] < 300_000, "{over:?}");
        assert_eq!((sleep_ns(1_000_000), sleep_ns(100_000_000)), (1_000_000, 99_900_000));
    }
}
