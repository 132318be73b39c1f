//! The prober against outages that are known exactly: a gated server stamps its own closing and opening.
//!
//! Here only raw attempts are looked at: the truth lies between the neighbouring attempts on both edges.

use std::time::Duration;

use outage::probe::testing::{Closed, Found, GatedServer, http_probe, probe_while};
use outage::probe::{NameService, ProbeSpec};
use outage::timeline::{Attempt, Moment};

use libtest_mimic::Trial;

use super::test;

/// All tests against known outages.
pub fn tests() -> Vec<Trial> {
    vec![
        test(
            "outages::fifty_outages_lie_between_their_neighbouring_attempts",
            fifty_outages_lie_between_their_neighbouring_attempts,
        ),
        test("outages::one_of_two_back_ends", one_of_two_back_ends),
        test("outages::one_of_ten_back_ends", one_of_ten_back_ends),
    ]
}

const RATE: f64 = 100.0;
const PERIOD: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_millis(200);
/// From sending a request until the server decides on it, on a machine that is not overloaded: a fifth of a period.
const ON_THE_WAY: Duration = Duration::from_millis(2);
const SERVERS: usize = 5;
const OUTAGES: usize = 10;

struct Outage {
    closed: Moment,
    opened: Moment,
    /// When the server decided not to answer the first request.
    first_unanswered: Option<Moment>,
}

/// Something that is not in step with the probes.
fn uneven(n: u64, limit_us: u64) -> Duration {
    Duration::from_micros(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % limit_us)
}

/// Outages of back end 0 of each server, at moments of their own.
fn outages(server: &GatedServer, back_ends: usize, number: u64) -> Vec<Outage> {
    std::thread::sleep(Duration::from_millis(150) + uneven(number + 77, 30_000));
    let one = |n: u64| {
        let manner = if n.is_multiple_of(2) { Closed::Hang } else { Closed::Drop };
        let closed = server.close(0, manner);
        std::thread::sleep(Duration::from_millis(80) + uneven(number * 100 + n, 40_000));
        // On a busy machine the prober may have been kept from asking: an outage lasts until somebody has noticed it.
        while back_ends == 1 && server.first_unanswered(0).is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let opened = server.open(0);
        std::thread::sleep(Duration::from_millis(280) + uneven(number * 1000 + n, 40_000));
        Outage { closed, opened, first_unanswered: server.first_unanswered(0) }
    };
    (0..OUTAGES as u64).map(one).collect()
}

fn run(back_ends: usize) -> Vec<(Found, Vec<Outage>)> {
    let servers: Vec<GatedServer> = (0..SERVERS).map(|_| GatedServer::start(back_ends).unwrap()).collect();
    let probe = |(n, server): (usize, &GatedServer)| http_probe(&format!("p{n}"), server.address(), RATE, TIMEOUT);
    let probes: Vec<ProbeSpec> = servers.iter().enumerate().map(probe).collect();
    let mut truth = Vec::new();
    let found = probe_while(probes, NameService::parse("", ""), || {
        truth = std::thread::scope(|scope| {
            let threads: Vec<_> =
                servers.iter().zip(0..).map(|(server, n)| scope.spawn(move || outages(server, back_ends, n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
    });
    found.into_iter().zip(truth).collect()
}

/// Attempts that say something, by slot.
fn by_slot(found: &Found) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> =
        found.attempts.iter().filter(|a| a.outcome.is_ok() || a.outcome.is_failure()).cloned().collect();
    attempts.sort_by_key(|attempt| attempt.slot);
    attempts
}

/// The failures of one outage: those that were sent around it. Outages lie far apart.
fn failures(found: &Found, attempts: &[Attempt], outage: &Outage) -> Vec<usize> {
    let (from, to) = (outage.closed.minus(ON_THE_WAY * 20), outage.opened.plus(ON_THE_WAY * 20));
    let of_outage = |attempt: &Attempt| {
        let sent = found.span.sent(attempt);
        !attempt.outcome.is_ok() && from <= sent && sent <= to
    };
    (0..attempts.len()).filter(|&at| of_outage(&attempts[at])).collect()
}

fn fifty_outages_lie_between_their_neighbouring_attempts() {
    let (mut seen, mut overloaded) = (0, 0);
    for (found, truth) in run(1) {
        let attempts = by_slot(&found);
        for outage in &truth {
            let failed = failures(&found, &attempts, outage);
            let (&first, &last) = (failed.first().expect("a failure"), failed.last().expect("a failure"));
            assert!((first..=last).all(|at| failed.contains(&at)), "no success inside");
            let unanswered = outage.first_unanswered.expect("a failure");
            let answered = found.span.done(&attempts[last + 1]);
            for (before, truth, decided) in [(first - 1, outage.closed, unanswered), (last, outage.opened, answered)] {
                let [from, to] = [before, before + 1].map(|at| found.span.sent(&attempts[at]));
                assert!(from <= truth && truth <= decided, "{truth:?} is not in {from:?} to {decided:?}");
                assert!(to <= decided && decided <= found.span.done(&attempts[before + 1]), "who failed first is known");
                let late = attempts[before..before + 2].iter().any(|attempt| attempt.late_us > 1000);
                let skipped = attempts[before + 1].slot != attempts[before].slot + 1;
                if late || skipped || decided.since(to) > ON_THE_WAY {
                    overloaded += 1;
                } else {
                    assert!(truth <= to.plus(ON_THE_WAY) && to.plus(ON_THE_WAY).since(from) <= PERIOD.mul_f64(1.3));
                }
            }
            seen += 1;
        }
    }
    println!("{seen} outages; {overloaded} of {} edges seen by an overloaded machine", seen * 2);
    assert_eq!(seen, 50);
}

/// One of several back ends is gated: what is recorded of who answered is true, and the truth lies between its own neighbours.
fn one_of(back_ends: usize) {
    let (mut failed, mut asked) = (0, 0);
    for (found, truth) in run(back_ends) {
        let attempts = by_slot(&found);
        let names: Vec<Option<&str>> =
            attempts.iter().map(|a| a.backend.map(|backend| &*found.backends[backend as usize])).collect();
        // An answer that came too late has a name, too.
        assert!(attempts.iter().zip(&names).all(|(attempt, name)| !attempt.outcome.is_ok() || name.is_some()));
        assert_eq!(found.backends.len(), back_ends);
        for outage in &truth {
            let during = |at: usize| {
                let (sent, done) = (found.span.sent(&attempts[at]), found.span.done(&attempts[at]));
                outage.closed < sent && done < outage.opened
            };
            let inside = (0..attempts.len()).filter(|&at| found.span.sent(&attempts[at]) > outage.closed && during(at));
            assert!(inside.clone().all(|at| names[at] != Some("backend-0")), "the gated one answered");
            let failures = failures(&found, &attempts, outage);
            failed += failures.len();
            asked +=
                (0..attempts.len()).filter(|&at| (outage.closed..outage.opened).contains(&found.span.sent(&attempts[at]))).count();
            let Some(&first) = failures.first() else { continue };
            let before = (0..first).rev().find(|&at| names[at] == Some("backend-0"));
            let before = before.map_or(found.span.start, |at| found.span.sent(&attempts[at]));
            assert!(before <= outage.closed && outage.closed <= found.span.done(&attempts[first]));
        }
    }
    let (share, expected) = (failed as f64 / asked as f64, 1.0 / back_ends as f64);
    assert!((expected * 0.5..expected * 1.6).contains(&share), "{failed} of {asked} failed");
}

fn one_of_two_back_ends() {
    one_of(2);
}

fn one_of_ten_back_ends() {
    one_of(10);
}
