//! What a probe's clients saw while a step's faults were in effect, and when they were answered again after its undo.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::findings::{FaultFinding, Tally, When};
use crate::stats::Seconds;

/// A probe's attempts while all faults of a step were in effect: those that were sent after the last of them was confirmed, and had
/// ended when the first of them began to be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct InEffect {
    /// The step's number in the method.
    pub step: u32,
    /// When the last fault was confirmed.
    pub from: Seconds,
    /// When the first fault's undo was requested; `None`: never.
    pub until: Option<Seconds>,
    /// How the attempts ended; of a canary those that the API server took.
    pub tally: Tally,
    /// Of a canary: how many the API server did not take. They say nothing of who was to do what is asked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_accepted: u64,
    /// When the first attempt that succeeded was sent.
    pub first_success: Option<Seconds>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What an attempt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It succeeded.
    Done,
    /// It failed.
    NotDone,
    /// Of a canary: it failed, for the API server did not take it.
    NotAccepted,
}

/// When a probe that had failed was answered again after a step's undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    /// The step's number in the method.
    pub step: u32,
    /// When the last undo was requested.
    pub undo_requested: Seconds,
    /// The first success that lasted: after the last failure, until another fault or the end. `None`: there was none.
    pub at: Option<When>,
}

/// Follows one step through a probe's attempts, which come by the time of their sending.
#[derive(Debug)]
pub struct Follow {
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

impl Follow {
    /// One for each step of the run.
    pub fn all(faults: &[FaultFinding]) -> Vec<Self> {
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

    /// Takes an attempt that says something.
    #[inline]
    pub fn take(&mut self, sent: Seconds, done: Seconds, said: Said) {
        if sent < self.requested || sent >= self.next {
            return;
        }
        let (after, failed) = (self.undo.is_some_and(|undo| sent >= undo), said != Said::Done);
        self.away = failed || (after && self.away);
        if self.holds(sent, done) {
            *match said {
                Said::Done => &mut self.tally.ok,
                Said::NotDone => &mut self.tally.failed,
                Said::NotAccepted => &mut self.not_accepted,
            } += 1;
            if !failed {
                self.first_success = self.first_success.or(Some(sent));
            }
        }
        if failed {
            (self.last_failure, self.again) = (Some(sent), None);
        } else if self.undo.is_some_and(|undo| done >= undo) && self.again.is_none() {
            let earliest = self.last_failure.max(self.undo).unwrap_or(sent);
            self.again = Some(When { earliest: earliest.min(done), latest: done });
        }
    }

    /// Takes an attempt that says nothing.
    #[inline]
    pub fn blind(&mut self, sent: Seconds, done: Seconds) {
        self.tally.blind += u64::from(sent < self.next && self.holds(sent, done));
    }

    fn holds(&self, sent: Seconds, done: Seconds) -> bool {
        self.from.is_some_and(|from| sent >= from) && self.until.is_none_or(|until| done <= until)
    }

    /// What it came to while it was in effect; `None` where it never was.
    pub fn in_effect(&self) -> Option<InEffect> {
        let Self { step, until, tally, not_accepted, first_success, .. } = *self;
        Some(InEffect { step, from: self.from?, until, tally, not_accepted, first_success })
    }

    /// When the probe was answered again; `None` where it did not fail any more at the undo, or nothing was undone.
    pub fn recovered(&self) -> Option<Recovered> {
        let undo_requested = self.undo.filter(|_| self.away)?;
        Some(Recovered { step: self.step, undo_requested, at: self.again })
    }
}
