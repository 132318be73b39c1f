//! A run that was cut short decides what its records show: a moment that was seen, a bound that was
//! exceeded. What needs the missing part is inconclusive.

use std::collections::BTreeSet;

use super::Outcome;
use super::finding::Finding;
use super::run::Run;
use crate::experiment::{During, Expectation};

/// Judges an expectation by its rule, as far as the records of a run that was cut short decide it.
pub(super) fn judge(
    run: &Run<'_>,
    expectation: &Expectation,
    rule: impl Fn(&Expectation) -> Finding,
) -> Finding {
    let Some(why) = missing(run, needs(expectation)) else { return rule(expectation) };
    let not_begun = missing(run, Needs::EachFault);
    match expectation {
        // A share changes with each further attempt, and so does a quantile.
        Expectation::FailedShare { .. } | Expectation::Latency { .. } => {
            rule(expectation).inconclusive_if(Some(why))
        }
        // A burst that was long enough stays so.
        Expectation::ErrorWindow { at_most: None, .. } => {
            rule(expectation).pass_inconclusive_if(not_begun).fail_inconclusive_if(Some(why))
        }
        // What has not lasted long enough may have gone on.
        _ => match rule(&without_lower_bound(expectation)) {
            failed if failed.outcome == Outcome::Fail => failed,
            open => open.inconclusive_if(Some(why)),
        },
    }
}

/// What an expectation is met by.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Needs {
    /// By something that is seen after each fault.
    EachFault,
    /// By what is not seen, or ends, before each fault's undo.
    EachUndo,
    /// By what is not seen until the recovery.
    Recovery,
}

fn needs(expectation: &Expectation) -> Needs {
    match expectation {
        Expectation::Detection { .. }
        | Expectation::EndpointRemoval { .. }
        | Expectation::Rescheduled { .. }
        | Expectation::Restarted { .. }
        | Expectation::LeaderChange { .. }
        | Expectation::ObjectsKept
        | Expectation::Latency { during: During::Before, .. }
        | Expectation::Recovery { .. } => Needs::EachFault,
        Expectation::ErrorWindow { .. }
        | Expectation::NoSuccess { .. }
        | Expectation::Latency { during: During::Fault | During::Step(_), .. }
        | Expectation::NotDetected
        | Expectation::NotRescheduled { .. } => Needs::EachUndo,
        // An old leader goes on, and a new one may be missing, when the undo has just happened.
        Expectation::LeaderGap { .. }
        | Expectation::OldLeader { .. }
        | Expectation::NoErrors { .. }
        | Expectation::ErrorRate { .. }
        | Expectation::FailedShare { .. }
        | Expectation::Latency { during: During::After, .. }
        | Expectation::NodesUntouched => Needs::Recovery,
    }
}

/// Why the records do not have what is needed; `None`: they do, or the run was not cut short.
fn missing(run: &Run<'_>, needs: Needs) -> Option<String> {
    let (found, planned) = (run.found, run.predictions.steps.len());
    let cut_at = found.cut_at?;
    let begun: BTreeSet<u32> = found.faults.iter().map(|fault| fault.step).collect();
    if begun.len() < planned {
        return Some(format!("the run was cut short after {} of {planned} faults", begun.len()));
    }
    let lasts = found.faults.iter().any(|fault| fault.undo_requested.is_none_or(|at| at >= cut_at));
    let recovered = found.steady_after.as_ref().is_some_and(|steady| steady.confirmed < cut_at);
    match needs {
        Needs::EachFault => None,
        _ if lasts => Some(format!("the run was cut short at {cut_at:+.3}, before the undo")),
        Needs::EachUndo => None,
        Needs::Recovery if recovered => None,
        Needs::Recovery => {
            Some(format!("the run was cut short at {cut_at:+.3}, before the recovery"))
        }
    }
}

fn without_lower_bound(expectation: &Expectation) -> Expectation {
    let mut expectation = expectation.clone();
    match &mut expectation {
        Expectation::ErrorWindow { at_least, .. }
        | Expectation::LeaderGap { at_least, .. }
        | Expectation::OldLeader { at_least, .. } => *at_least = None,
        _ => {}
    }
    expectation
}
