//! A node's own processes, observed inside the node: the parts of its control plane in /proc, and
//! its etcd member's metrics.
//!
//! The API can't tell which component is frozen, died a moment ago, or still believes that it
//! leads: it is what fails. Both checks are cheap, and each change carries the time of the check
//! before it.

mod etcd;
mod process;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::timeline::{Event, Moment, Record};

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);
/// Between two heartbeats while nothing changes.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// A longer time between two checks means that the node was frozen.
const FROZEN: Duration = Duration::from_secs(1);
/// Between two requests to etcd. An answer costs it some 5 ms, so it is asked less often while
/// nothing changes.
const ASK: Duration = Duration::from_millis(500);
/// The same for a while after a change.
const ASK_WHEN_ACTIVE: Duration = Duration::from_millis(250);
/// How long after a change etcd is asked more often.
const ACTIVE: Duration = Duration::from_secs(5);
/// Where kubeadm lets etcd serve its metrics.
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2381);

/// What an observer reports, by its own clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Observation {
    /// A state, first seen or changed.
    Record(Record),
    /// Everything up to this moment was reported.
    ObservedUntil(Moment),
}

/// Looks at one node, from within it.
#[derive(Clone, Debug)]
pub(crate) struct Observer {
    node: String,
    proc: PathBuf,
    metrics: SocketAddr,
}

impl Observer {
    /// Of the node of this name, in which this process is.
    pub(crate) fn of(node: &str) -> Self {
        Self { node: node.to_owned(), proc: "/proc".into(), metrics: METRICS }
    }

    /// Observes until `stop` is set.
    pub(crate) fn run(&self, stop: &AtomicBool, report: &(dyn Fn(Observation) + Sync)) {
        std::thread::scope(|scope| {
            // One is enough: it says only that something has changed.
            let (changes, changed) = sync_channel(1);
            scope.spawn(move || self.ask_etcd(stop, &changed, report));
            self.look_at_processes(stop, &changes, report);
        });
    }

    fn look_at_processes(
        &self,
        stop: &AtomicBool,
        etcd: &SyncSender<()>,
        report: &(dyn Fn(Observation) + Sync),
    ) {
        let mut table = process::Table::new(&self.proc);
        let (mut last, mut last_report) = (None, None);
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let changes = table.look();
            let at = Moment::now();
            if let Some(gap) = last.and_then(|last| self.gap(last, at)) {
                report(Observation::Record(gap));
            }
            let has_changes = !changes.is_empty();
            for event in changes.into_iter().map(|change| change.event(&self.node)) {
                report(Observation::Record(Record { at, since: last, event }));
            }
            if has_changes {
                let _ = etcd.try_send(());
            }
            if has_changes || last_report.is_none_or(|last| at.since(last) >= HEARTBEAT) {
                report(Observation::ObservedUntil(at));
                last_report = Some(at);
            }
            last = Some(at);
            std::thread::sleep(LOOK.saturating_sub(began.elapsed()));
        }
    }

    /// The node was frozen between two checks.
    fn gap(&self, last: Moment, at: Moment) -> Option<Record> {
        let reason = "the node was frozen".to_owned();
        let event = Event::ObserverGap { node: self.node.clone(), until: Some(at), reason };
        (at.since(last) > FROZEN).then_some(Record { at, since: Some(last), event })
    }

    fn ask_etcd(
        &self,
        stop: &AtomicBool,
        changed: &Receiver<()>,
        report: &(dyn Fn(Observation) + Sync),
    ) {
        let (mut known, mut last, mut last_change) = (None, None, Instant::now());
        while !stop.load(Ordering::Relaxed) {
            // The answer holds for some moment between the two.
            let (began, asked) = (Instant::now(), Moment::now());
            let member = etcd::ask(self.metrics);
            // Who had no processor to ask in time has not seen that nobody answers.
            if !member.answers && began.elapsed() > etcd::PATIENCE * 2 {
                continue;
            }
            let is_news = known.as_ref() != Some(&member);
            if is_news {
                report(Observation::Record(Record {
                    at: Moment::now(),
                    since: last,
                    event: member.event(&self.node),
                }));
            }
            if is_news || !member.is_well() {
                last_change = began;
            }
            (known, last) = (Some(member), Some(asked));
            // A change elsewhere on the node is a reason to ask immediately.
            match changed.recv_timeout(pause_after(last_change).saturating_sub(began.elapsed())) {
                Ok(()) => {
                    changed.try_iter().for_each(drop);
                    last_change = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// From one question to the next, when something has changed last at `last_change`.
fn pause_after(last_change: Instant) -> Duration {
    if last_change.elapsed() < ACTIVE { ASK_WHEN_ACTIVE } else { ASK }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::timeline::{Component, ProcessState};

    #[test]
    fn it_says_how_things_are_and_then_what_changes() {
        let node = process::tests::Fake::new();
        node.process(7, "etcd", "S");
        let observer = Observer {
            node: "cp".into(),
            proc: node.path().into(),
            metrics: ([127, 0, 0, 1], 9).into(),
        };
        let (stop, seen) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let states = || {
            let read = |seen: &Observation| match seen {
                Observation::Record(Record {
                    since,
                    event: Event::Process { component: Component::Etcd, pid, state, .. },
                    ..
                }) => Some((since.is_some(), *pid, *state)),
                _ => None,
            };
            seen.lock().unwrap().iter().filter_map(read).collect::<Vec<_>>()
        };
        let until = |count| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while states().len() < count && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| observer.run(&stop, &|what| seen.lock().unwrap().push(what)));
            until(1);
            node.process(7, "etcd", "T");
            until(2);
            node.ends(7);
            until(3);
            stop.store(true, Ordering::Relaxed);
        });
        let expected = [
            (false, Some(7), ProcessState::Running),
            (true, Some(7), ProcessState::Stopped),
            (true, None, ProcessState::Gone),
        ];
        assert_eq!(states(), expected);
        let seen = seen.into_inner().unwrap();
        let silent = |seen: &Observation| {
            matches!(
                seen,
                Observation::Record(Record { event: Event::EtcdMember { answers: false, .. }, .. })
            )
        };
        assert_eq!(
            seen.iter().filter(|seen| silent(seen)).count(),
            1,
            "nobody listens there, and it is reported once"
        );
        assert!(seen.iter().any(|seen| matches!(seen, Observation::ObservedUntil(_))));
    }

    #[test]
    fn etcd_is_polled_rarely_while_quiet_and_immediately_after_a_change() {
        let quiet = Instant::now().checked_sub(ACTIVE).unwrap();
        assert!(
            pause_after(quiet) >= ASK_WHEN_ACTIVE * 2
                && pause_after(Instant::now()) == ASK_WHEN_ACTIVE
        );
        let etcd = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let observer = Observer { metrics: etcd.local_addr().unwrap(), ..Observer::of("cp") };
        let (stop, (changes, changed)) = (AtomicBool::new(false), sync_channel(1));
        std::thread::scope(|scope| {
            let (observer, stop) = (&observer, &stop);
            scope.spawn(move || observer.ask_etcd(stop, &changed, &|_| {}));
            let asked_after_a_change = || {
                drop(etcd.accept().unwrap());
                changes.send(()).unwrap();
                let began = Instant::now();
                drop(etcd.accept().unwrap());
                began.elapsed()
            };
            // A machine may be slow now and then.
            let fastest = (0..5).map(|_| asked_after_a_change()).min().unwrap();
            assert!(fastest < ASK_WHEN_ACTIVE / 2, "{fastest:?}");
            stop.store(true, Ordering::Relaxed);
            drop(changes);
        });
    }

    #[test]
    fn a_frozen_node_is_a_gap() {
        let observer = Observer::of("cp");
        assert_eq!(observer.gap(Moment(0), Moment(900_000_000)), None);
        let gap = observer.gap(Moment(5), Moment(2_000_000_000)).unwrap();
        assert_eq!(
            (gap.since, matches!(gap.event, Event::ObserverGap { until: Some(_), .. })),
            (Some(Moment(5)), true)
        );
    }
}
