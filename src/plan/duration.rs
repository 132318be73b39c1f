//! How long a run takes, and when a fault is undone if its run has died.

use std::time::Duration;

use crate::experiment::{Condition, Experiment, Step};
use crate::fault::{UndoAfter, injection_timeout, undo_timeout};

/// How long a run takes, without making the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunLength {
    /// The steady state, all steps, the recovery.
    pub at_least: Duration,
    /// Where everything takes as long as it may.
    pub at_most: Duration,
}

impl RunLength {
    pub(crate) fn of(experiment: &Experiment) -> Self {
        let steady = experiment.steady_state.iter().map(|condition| match condition {
            Condition::Probe { hold, .. } => *hold,
            _ => Duration::ZERO,
        });
        let healing = experiment.steady_state_timeout;
        Self {
            at_least: steady.max().unwrap_or_default() * 2
                + experiment.method.iter().map(Step::lasts).sum::<Duration>(),
            at_most: experiment.workload_timeout
                + healing * 2
                + all_of(&experiment.method, healing),
        }
    }
}

/// When a step's fault is undone if its run has died: not while the run may still be busy with it.
/// `healing` is how long a run waits for what was harmed to be back.
pub(crate) fn undo_after(step: &Step, healing: Duration, margin: Duration) -> UndoAfter {
    let confirmed = held_at_most(step, healing) + margin;
    UndoAfter { requested: injection_at_most(step) + confirmed, confirmed }
}

fn injection_at_most(step: &Step) -> Duration {
    match step {
        Step::Fault { fault, .. } => injection_timeout(fault),
        Step::Pause { .. } => Duration::ZERO,
    }
}

/// From its confirmation to the first call of its undo.
fn held_at_most(step: &Step, healing: Duration) -> Duration {
    match step {
        // It is undone after what is done to its nodes meanwhile.
        Step::Fault { hold, meanwhile, .. } if step.is_shared() => {
            all_of(meanwhile, healing).max(*hold) + healing
        }
        Step::Fault { hold, .. } | Step::Pause { hold } => *hold,
    }
}

/// How long a step's fault lasts at most, from the call that arms its undo timer to the first of
/// its undo.
fn lasts_at_most(step: &Step, healing: Duration) -> Duration {
    injection_at_most(step) + held_at_most(step, healing)
}

fn all_of(steps: &[Step], healing: Duration) -> Duration {
    steps.iter().map(|step| whole(step, healing)).sum()
}

/// A step from its begin until it and all beside it has ended.
fn whole(step: &Step, healing: Duration) -> Duration {
    let lasts = lasts_at_most(step, healing);
    match step {
        Step::Pause { .. } => lasts,
        Step::Fault { fault, meanwhile, .. } => {
            healing
                + (lasts + undo_timeout(fault))
                    .max(injection_timeout(fault) + all_of(meanwhile, healing))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Fault, NodeSelector};

    const HEALING: Duration = Duration::from_secs(60);

    fn step(name: Option<&str>, of: Option<&str>, secs: u64, meanwhile: Vec<Step>) -> Step {
        let fault = Fault::NodeKill {
            target: NodeSelector { of: of.map(str::to_owned), ..NodeSelector::default() },
        };
        Step::Fault {
            name: name.map(str::to_owned),
            fault,
            hold: Duration::from_secs(secs),
            meanwhile,
        }
    }

    #[test]
    fn a_fault_that_ends_in_its_own_time_waits_for_none_beside_it() {
        let alone = lasts_at_most(&step(None, None, 5, Vec::new()), HEALING);
        assert!(alone > Duration::from_secs(5));
        assert_eq!(
            lasts_at_most(
                &step(Some("a"), None, 5, vec![step(None, None, 90, Vec::new())]),
                HEALING
            ),
            alone
        );
    }

    #[test]
    fn one_that_is_undone_after_others_waits_for_their_undos() {
        let inner = step(None, Some("a"), 90, Vec::new());
        let outer = lasts_at_most(
            &step(Some("a"), None, 5, vec![Step::Pause { hold: HEALING }, inner.clone()]),
            HEALING,
        );
        let Step::Fault { fault, .. } = &inner else { panic!() };
        let beside = HEALING + HEALING + lasts_at_most(&inner, HEALING) + undo_timeout(fault);
        assert_eq!(outer, injection_timeout(fault) + beside + HEALING);
    }
}
