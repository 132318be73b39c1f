//! Kept connections that failed their client, or that the server ended: how many, how, and for how
//! long requests on them had no answer.
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
    let Some(end) = end_of(attempt) else { return };
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
}
