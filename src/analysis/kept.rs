//! Kept connections that failed their client, or that the server ended, also while nobody used
//! them: how many, how, and for how long requests on them had no answer.
//!
//! Each is one connection: the prober keeps none on which a request failed.

use super::findings::{KeptConnections, KeptEnd, Period};
use crate::stats::Seconds;
use crate::timeline::attempts::ConnectionEnd;
use crate::timeline::{Attempt, Outcome};

/// What ended the kept connection of an attempt; `None`: nothing did, or it had one of its own.
fn end_of(attempt: &Attempt) -> Option<KeptEnd> {
    match (attempt.outcome, attempt.ended) {
        _ if !attempt.reused => None,
        (Outcome::Timeout(_), _) => Some(KeptEnd::Timeout),
        (Outcome::Reset(_), Some(ConnectionEnd::Reset)) => Some(KeptEnd::Reset),
        (Outcome::Reset(_), Some(ConnectionEnd::Closed)) => Some(KeptEnd::Closed),
        (Outcome::Reset(_), None) => Some(KeptEnd::ResetOrClosed),
        (outcome, Some(_)) if outcome.is_answer() => Some(KeptEnd::Answered),
        _ => None,
    }
}

/// Counts one attempt of a period.
#[inline]
pub(super) fn count(
    kept: &mut Vec<KeptConnections>,
    period: Period,
    attempt: &Attempt,
    sent: Seconds,
    done: Seconds,
) {
    if let Some(end) = end_of(attempt) {
        add(kept, period, end, sent, done);
    }
}

/// Counts a connection that ended by `done`, and whose last request was sent at `sent`.
pub(super) fn add(
    kept: &mut Vec<KeptConnections>,
    period: Period,
    end: KeptEnd,
    sent: Seconds,
    done: Seconds,
) {
    let known = kept.iter_mut().find(|one| one.period == period && one.end == end);
    let Some(one) = known else {
        let longest = done - sent;
        let one = KeptConnections { period, end, connections: 1, first: sent, last: done, longest };
        return kept.push(one);
    };
    one.connections += 1;
    one.last = one.last.max(done);
    one.longest = one.longest.max(done - sent);
}

/// Connections that were kept and that no request uses. The prober opens another only where none of
/// them is left: then all that are still known here have ended.
#[derive(Default)]
pub(super) struct Idle(Vec<LastRequest>);

struct LastRequest {
    sent: Seconds,
    done: Seconds,
}

impl Idle {
    /// When the last request on each of those was sent that have ended by this attempt.
    pub(super) fn ended(
        &mut self,
        attempt: &Attempt,
        sent: Seconds,
        done: Seconds,
    ) -> Vec<Seconds> {
        match attempt.outcome {
            // It used no connection, and opened none.
            Outcome::NotSent => return Vec::new(),
            // Nobody knows which connection it used.
            outcome if !outcome.is_ok() && !outcome.is_failure() => {
                self.0.clear();
                return Vec::new();
            }
            _ => {}
        }
        let free = |last: &LastRequest| last.done <= sent;
        if !attempt.reused {
            // Whether the server keeps a new connection is not recorded: its second request shows
            // it.
            return self.0.extract_if(.., |last| free(last)).map(|last| last.sent).collect();
        }
        if let Some(latest) = self.0.iter().rposition(free) {
            self.0.remove(latest);
        }
        if attempt.outcome.is_ok() && attempt.ended.is_none() {
            self.0.push(LastRequest { sent, done });
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::{attempt, s};
    use crate::timeline::Phase;

    #[test]
    fn each_end_is_counted_apart() {
        let period = Period::Fault { step: 0 };
        let mut kept = Vec::new();
        let mut take = |outcome, ended, reused, ms: f64| {
            let attempt = Attempt { reused, ended, ..attempt(0, outcome, 1000) };
            count(&mut kept, period, &attempt, s(1.0), s(1.0 + ms / 1000.0));
        };
        let (timeout, reset) = (Outcome::Timeout(Phase::FirstByte), Outcome::Reset(Phase::Send));
        take(timeout, None, true, 200.0);
        take(timeout, None, true, 201.0);
        take(timeout, None, false, 900.0);
        take(reset, Some(ConnectionEnd::Reset), true, 3.0);
        take(reset, Some(ConnectionEnd::Closed), true, 3.0);
        take(reset, None, true, 3.0);
        for answer in [Outcome::Ok, Outcome::Status(503), Outcome::WrongBody] {
            take(answer, Some(ConnectionEnd::Closed), true, 3.0);
        }
        take(Outcome::Ok, None, true, 3.0);
        let found: Vec<_> = kept.iter().map(|one| (one.end, one.connections)).collect();
        use KeptEnd::*;
        let wanted = [(Timeout, 2), (Reset, 1), (Closed, 1), (ResetOrClosed, 1), (Answered, 3)];
        assert_eq!(found, wanted);
        assert_eq!((kept[0].longest, kept[0].last), (s(0.201), s(1.201)));
    }

    #[test]
    fn a_connection_that_is_gone_when_it_is_needed_has_ended_while_it_was_idle() {
        let mut idle = Idle::default();
        let mut at = |seconds: f64, outcome, reused, ended| {
            let attempt = Attempt { reused, ended, ..attempt(0, outcome, 1000) };
            idle.ended(&attempt, s(seconds), s(seconds + 0.1))
        };
        assert_eq!(at(1.0, Outcome::Ok, false, None), []);
        assert_eq!(at(2.0, Outcome::Ok, false, None), [], "the server may have ended it itself");
        assert_eq!(at(3.0, Outcome::Ok, true, None), []);
        assert_eq!(at(3.05, Outcome::Ok, false, None), [], "the other is in use");
        assert_eq!(at(9.0, Outcome::Ok, false, None), [s(3.0)]);
        assert_eq!(at(10.0, Outcome::Ok, true, Some(ConnectionEnd::Closed)), []);
        assert_eq!(at(11.0, Outcome::Ok, false, None), [], "it was not kept");
        assert_eq!(at(12.0, Outcome::Timeout(Phase::FirstByte), true, None), []);
        assert_eq!(at(13.0, Outcome::Ok, false, None), [], "its client ended it");
        assert_eq!(at(14.0, Outcome::Ok, true, None), []);
        assert_eq!(at(15.0, Outcome::NotSent, false, None), [], "it opened none");
        assert_eq!(at(16.0, Outcome::Ok, false, None), [s(14.0)]);
    }
}
