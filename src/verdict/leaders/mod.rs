//! Rules about who leads a part of the control plane. All need a fault.

mod change;
#[cfg(test)]
mod tests;

use super::finding::{Finding, Limits};
use crate::analysis::{FaultFinding, Findings, LeaderFinding, LeaderGap, OldLeader};
use crate::stats::{Between, Seconds};
use crate::timeline::Component;

pub(super) use change::change;

fn with_leaders(
    found: &Findings,
    component: Component,
    judge: impl Fn(&LeaderFinding, &FaultFinding) -> Finding,
) -> Finding {
    let leaders = found.leaders.iter().find(|leaders| leaders.component == component);
    match (leaders, found.faults.first()) {
        (Some(leaders), Some(first)) => judge(leaders, first),
        _ => Finding::unknown(format!("the leader of {} is not known", component.name())),
    }
}

fn still_open(gap: &LeaderGap, waited: Seconds, bound: Seconds) -> Finding {
    let why = format!("no successor of {} by the end of the run, {waited} later", gap.node);
    if waited > bound { Finding::failed(why) } else { Finding::unknown(why) }
}

/// The longest time without a leader, from the first fault on.
pub(super) fn gap(found: &Findings, component: Component, limits: Limits) -> Finding {
    with_leaders(found, component, |leaders, first| {
        let after = |gap: &&LeaderGap| gap.until.is_none_or(|until| until.latest > first.requested);
        // An unobserved time may have been too long, or just long enough.
        let unseen = blind(leaders, first.requested, limits.most);
        let longer = blind(leaders, first.requested, limits.least);
        let Some(longest) = leaders.gaps.iter().filter(after).max_by_key(|gap| gap.length.most)
        else {
            let none = Finding::bounded(
                Between::new(Seconds::ZERO, Seconds::ZERO),
                limits,
                "never".into(),
            );
            return none.pass_inconclusive_if(unseen).fail_inconclusive_if(longer);
        };
        match longest.until {
            None => still_open(longest, longest.length.least, limits.most),
            Some(_) => {
                let measured = format!("for {} ({})", longest.length, longest.loss.words());
                let finding =
                    Finding::bounded(longest.length, limits, measured).pass_inconclusive_if(unseen);
                finding.fail_inconclusive_if(longer.filter(|_| longest.length.most < limits.least))
            }
        }
    })
}

/// Why a time without a leader that is longer than `bound` may have gone unseen.
fn blind(leaders: &LeaderFinding, since: Seconds, bound: Seconds) -> Option<String> {
    let long = |blind: &&crate::analysis::findings::Unobserved| match blind.until {
        None => true,
        Some(until) => until > since && until - blind.from.max(since) > bound,
    };
    leaders.blind.iter().find(long).map(|blind| blind.why.clone())
}

/// How long an old leader kept running alongside its successor.
pub(super) fn old(found: &Findings, component: Component, limits: Limits) -> Finding {
    with_leaders(found, component, |leaders, first| {
        let after = |old: &&OldLeader| old.until.is_none_or(|until| until.latest > first.requested);
        let unreadable = found.unreadable_since(first.requested);
        let Some(old) = leaders.old.iter().filter(after).max_by_key(|old| old.length.most) else {
            return Finding::unknown("no old leader was seen to run alongside a new one");
        };
        if old.until.is_some() {
            let measured = format!("{:.3}, on {}", old.length, old.node);
            return Finding::bounded(old.length, limits, measured).inconclusive_if(unreadable);
        }
        let why = match old.length.least {
            Seconds::ZERO => format!("the end of the old leader on {} was not observed", old.node),
            _ => format!("still running on {} at the end of the run", old.node),
        };
        let longer = old.length.least > limits.most;
        if longer { Finding::failed(why) } else { Finding::unknown(why) }
            .inconclusive_if(unreadable)
    })
}
