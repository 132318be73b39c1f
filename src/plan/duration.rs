//! How long a run takes, and when a fault is undone if its run has died.

use std::time::Duration;

use super::{Endpoints, Node, candidates};
use crate::experiment::{Condition, Count, Experiment, Fault, Step};
use crate::fault::{UndoAfter, injection_timeout, undo_timeout, unverified_undo_timeout};

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
                + all_of(&experiment.method, &[], healing),
        }
    }
}

/// When a step's fault is undone if its run has died: not while the run may still be busy with it.
/// `nodes` are those of the cluster, none where nobody knows them. `healing` is how long a run
/// waits for what was hit to be back.
pub(crate) fn undo_after(
    step: &Step,
    nodes: &[Node],
    healing: Duration,
    margin: Duration,
) -> UndoAfter {
    let confirmed = held_at_most(step, nodes, healing) + margin;
    UndoAfter { requested: injection_at_most(step) + confirmed, confirmed }
}

fn injection_at_most(step: &Step) -> Duration {
    match step {
        Step::Fault { fault, .. } => injection_timeout(fault),
        Step::Pause { .. } => Duration::ZERO,
    }
}

/// From the confirmation of its last target to the first call of the undo of its last: one is
/// undone after the other.
fn held_at_most(step: &Step, nodes: &[Node], healing: Duration) -> Duration {
    match step {
        Step::Pause { hold } => *hold,
        Step::Fault { fault, hold, meanwhile, .. } => {
            let held = match step.is_shared() {
                // It is undone after what is done to its nodes during it.
                true => all_of(meanwhile, nodes, healing).max(*hold) + healing,
                false => *hold,
            };
            held + unverified_undo_timeout(fault) * (targets_at_most(fault, nodes) - 1)
        }
    }
}

/// How many nodes a fault hits at most, as far as is known; 1 at least.
fn targets_at_most(fault: &Fault, nodes: &[Node]) -> u32 {
    let targets = fault.target().map_or(1, |target| match target.count {
        Count::Exactly(count) => count,
        Count::All => {
            u32::try_from(candidates(nodes, target, &Endpoints::new()).len()).unwrap_or(u32::MAX)
        }
    });
    targets.max(1)
}

/// How long a step's fault lasts at most, from the call that arms its undo timer to the first of
/// its undo.
fn lasts_at_most(step: &Step, nodes: &[Node], healing: Duration) -> Duration {
    injection_at_most(step) + held_at_most(step, nodes, healing)
}

fn all_of(steps: &[Step], nodes: &[Node], healing: Duration) -> Duration {
    steps.iter().map(|step| whole(step, nodes, healing)).sum()
}

/// A step from its begin until it and all beside it has ended.
fn whole(step: &Step, nodes: &[Node], healing: Duration) -> Duration {
    let lasts = lasts_at_most(step, nodes, healing);
    match step {
        Step::Pause { .. } => lasts,
        Step::Fault { fault, meanwhile, .. } => {
            healing
                + (lasts + undo_timeout(fault))
                    .max(injection_timeout(fault) + all_of(meanwhile, nodes, healing))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::NodeSelector;

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
        let alone = lasts_at_most(&step(None, None, 5, Vec::new()), &[], HEALING);
        assert!(alone > Duration::from_secs(5));
        assert_eq!(
            lasts_at_most(
                &step(Some("a"), None, 5, vec![step(None, None, 90, Vec::new())]),
                &[],
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
            &[],
            HEALING,
        );
        let Step::Fault { fault, .. } = &inner else { panic!() };
        let beside = HEALING + HEALING + lasts_at_most(&inner, &[], HEALING) + undo_timeout(fault);
        assert_eq!(outer, injection_timeout(fault) + beside + HEALING);
    }

    #[test]
    fn the_last_target_waits_for_the_undos_of_the_others() {
        let undo_after = |count| {
            let target = NodeSelector { count, ..NodeSelector::default() };
            let (fault, hold) = (Fault::KubeletStop { target }, Duration::from_secs(7));
            let step = Step::Fault { name: None, fault, hold, meanwhile: Vec::new() };
            undo_after(&step, &[], HEALING, Duration::from_secs(5)).confirmed
        };
        let fault = Fault::KubeletStop { target: NodeSelector::default() };
        assert_eq!(undo_after(Count::Exactly(1)), Duration::from_secs(12));
        assert_eq!(
            undo_after(Count::Exactly(3)),
            Duration::from_secs(12) + unverified_undo_timeout(&fault) * 2
        );
    }
}
