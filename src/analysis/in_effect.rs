//! What a probe's clients saw while a step's faults were in effect, and when they were served again
//! after its undo.

use super::findings::{FaultFinding, InEffect, Recovered, Tally, When};
use crate::stats::Seconds;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptResult {
    Succeeded,
    Failed,
    /// Of a canary: it failed, for the API server did not take it.
    NotAccepted,
}

/// Follows one step through a probe's attempts, which come by the time of their sending.
#[derive(Debug)]
pub(super) struct StepTracker {
    step: u32,
    requested: Seconds,
    from: Option<Seconds>,
    until: Option<Seconds>,
    undo: Option<Seconds>,
    /// When another fault begins to mix in.
    next: Seconds,
    tally: Tally,
    not_accepted: u64,
    first_success: Option<Seconds>,
    /// Whether the last attempt before the undo failed, or one after it.
    away: bool,
    last_failure: Option<Seconds>,
    again: Option<When>,
}

const NEVER: Seconds = Seconds::from_nanos(i64::MAX);

impl StepTracker {
    /// One for each step of the run.
    pub(super) fn all(faults: &[FaultFinding]) -> Vec<Self> {
        let mut steps: Vec<u32> = faults.iter().map(|fault| fault.step).collect();
        steps.dedup();
        steps.into_iter().map(|step| Self::of(step, faults)).collect()
    }

    fn of(step: u32, faults: &[FaultFinding]) -> Self {
        let own = || faults.iter().filter(|fault| fault.step == step);
        let confirmed: Option<Vec<Seconds>> =
            own().map(|fault| fault.confirmed.as_ref().map(|seen| seen.at)).collect();
        let undo = own().filter_map(|fault| fault.undo_requested).max();
        let later = faults.iter().filter(|fault| fault.step != step).map(|fault| fault.requested);
        Self {
            step,
            requested: own().map(|fault| fault.requested).min().unwrap_or(NEVER),
            from: confirmed.and_then(|all| all.into_iter().max()),
            until: own().filter_map(|fault| fault.undo_requested).min(),
            undo,
            next: later.filter(|at| undo.is_some_and(|undo| *at > undo)).min().unwrap_or(NEVER),
            tally: Tally::default(),
            not_accepted: 0,
            first_success: None,
            away: false,
            last_failure: None,
            again: None,
        }
    }

    /// `is_proof`: whether a success shows that the probe is answered again.
    #[inline]
    pub(super) fn take(
        &mut self,
        sent: Seconds,
        done: Seconds,
        result: AttemptResult,
        is_proof: bool,
    ) {
        if sent < self.requested || sent >= self.next {
            return;
        }
        let (after, failed) =
            (self.undo.is_some_and(|undo| sent >= undo), result != AttemptResult::Succeeded);
        self.away = failed || (after && self.away);
        if self.holds(sent, done) {
            *match result {
                AttemptResult::Succeeded => &mut self.tally.ok,
                AttemptResult::Failed => &mut self.tally.failed,
                AttemptResult::NotAccepted => &mut self.not_accepted,
            } += 1;
            if !failed {
                self.first_success = self.first_success.or(Some(sent));
            }
        }
        if failed {
            (self.last_failure, self.again) = (Some(sent), None);
        } else if is_proof && self.undo.is_some_and(|undo| done >= undo) && self.again.is_none() {
            let earliest = self.last_failure.max(self.undo).unwrap_or(sent);
            self.again = Some(When { earliest: earliest.min(done), latest: done });
        }
    }

    /// Takes an attempt that says nothing.
    #[inline]
    pub(super) fn blind(&mut self, sent: Seconds, done: Seconds) {
        self.tally.blind += u64::from(sent < self.next && self.holds(sent, done));
    }

    fn holds(&self, sent: Seconds, done: Seconds) -> bool {
        self.from.is_some_and(|from| sent >= from) && self.until.is_none_or(|until| done <= until)
    }

    /// What it came to while it was in effect; `None` where it never was.
    pub(super) fn in_effect(&self) -> Option<InEffect> {
        let Self { step, until, tally, not_accepted, first_success, .. } = *self;
        Some(InEffect { step, from: self.from?, until, tally, not_accepted, first_success })
    }

    /// When the probe was answered again; `None` where it did not fail any more at the undo, or
    /// nothing was undone.
    pub(super) fn recovered(&self) -> Option<Recovered> {
        let undo_requested = self.undo.filter(|_| self.away)?;
        Some(Recovered { step: self.step, undo_requested, at: self.again })
    }
}
