//! What keeps a run, or a probe, from deciding anything.

use super::Outcome;
use super::finding::Finding;
use crate::analysis::findings::MOST_BLIND;
use crate::analysis::{Disturbance, FaultFinding, Findings, InEffect, ProbeFinding, Tally};
use crate::experiment::feasibility::FEWEST_TO_JUDGE;
use crate::stats::Seconds;
use crate::timeline::Component;

/// Why nothing that this run measured decides anything.
pub(super) fn of_run(found: &Findings) -> Option<String> {
    if let Some(ending) = found.completion.ending().filter(|_| !found.completion.is_judged()) {
        return Some(ending.issue);
    }
    if found.steady_before.as_ref().is_some_and(|steady| steady.held_since.is_none()) {
        return Some("the steady state was never reached before the fault".into());
    }
    let unconfirmed = found.faults.iter().find(|fault| fault.confirmed.is_none());
    let unconfirmed = unconfirmed.map(|fault| {
        format!(
            "{} of {} was not confirmed",
            fault.kind,
            Component::on(fault.component, &fault.target)
        )
    });
    // A fault without an undo may have had one.
    let mut endless = found.faults.iter().filter(|fault| fault.undo_requested.is_none());
    unconfirmed.or_else(|| endless.find_map(|one| found.unreadable_since(one.requested)))
}

/// Why it is not known what a probe saw in a time.
pub(super) fn of_unreadable(
    probe: &ProbeFinding,
    from: Seconds,
    until: Option<Seconds>,
) -> Option<String> {
    let time = probe.unreadable.iter().find(|time| time.overlaps(from, until))?;
    Some(format!("attempts of {} could not be read {time}", probe.name))
}

/// The same from the first fault to the last undo.
pub(super) fn of_unreadable_faults(found: &Findings, probe: &ProbeFinding) -> Option<String> {
    of_unreadable(probe, found.faults.first()?.requested, found.last_undo_requested())
}

/// Judges a probe with and without the failures that may be the prober's own: what is the same
/// either way is decided.
pub(super) fn either_way(
    probe: &ProbeFinding,
    judge: impl Fn(&ProbeFinding, &[Disturbance]) -> Finding,
) -> Finding {
    let finding = judge(probe, &[]);
    let Some(undisturbed) = &probe.undisturbed else { return finding };
    let same = judge(undisturbed, &probe.disturbances).outcome == finding.outcome;
    let stays = same || finding.outcome == Outcome::Inconclusive;
    finding.inconclusive_if(probe.disturbances.first().filter(|_| !stays).map(Disturbance::words))
}

/// Why a prober that was late all the time decides nothing.
pub(super) fn of_lateness(probe: &ProbeFinding) -> Option<String> {
    probe.was_late().then(|| {
        format!("the prober was late: 1% of its attempts by more than {}", probe.lateness.p99)
    })
}

/// Why nothing is known of what a fault did to a probe.
pub(super) fn no_attempt(probe: &ProbeFinding) -> String {
    format!("no conclusive attempt of {} after the fault", probe.name)
}

/// Why a probe's successes prove nothing.
pub(super) fn of_successes(found: &Findings, probe: &ProbeFinding) -> Option<String> {
    let since = probe.since_fault();
    let unasked = (since.judged() == 0).then(|| no_attempt(probe));
    unasked
        .or_else(|| of_unreadable_faults(found, probe))
        .or_else(|| of_attempts(probe, since, found.last_undo_requested()))
}

/// Why nothing is shown by what a step's attempts did not do: there were none, or too few.
pub(super) fn of_step(probe: &ProbeFinding, held: &InEffect) -> Option<String> {
    let thin = (held.tally.judged() < FEWEST_TO_JUDGE).then(|| too_few(probe, held.tally.judged()));
    thin.or_else(|| of_unreadable(probe, held.from, held.until))
        .or_else(|| of_acceptance(probe, held))
        .or_else(|| of_attempts(probe, held.tally, held.until))
}

/// Of a canary only what was accepted says anything.
fn too_few(probe: &ProbeFinding, seen: u64) -> String {
    let (attempts, counts) = match (seen, probe.is_canary()) {
        (0, true) => ("no attempt".into(), "was accepted"),
        (0, false) => ("no attempt".into(), "says anything"),
        (1, true) => ("only 1 attempt".into(), "was accepted"),
        (1, false) => ("only 1 attempt".into(), "says anything"),
        (seen, true) => (format!("only {seen} attempts"), "were accepted"),
        (seen, false) => (format!("only {seen} attempts"), "say anything"),
    };
    format!("{attempts} of {} {counts} while the fault was in effect", probe.name)
}

/// Why the attempts that were accepted do not stand for all: whether anybody would have acted on
/// the others is not known.
fn of_acceptance(probe: &ProbeFinding, held: &InEffect) -> Option<String> {
    let all = held.tally.judged() + held.not_accepted;
    let many = held.not_accepted as f64 > all as f64 * MOST_BLIND;
    many.then(|| {
        format!(
            "{} of {all} attempts of {} were not accepted by the API server, and show nothing about what comes after it",
            held.not_accepted, probe.name
        )
    })
}

/// Why some attempts, which had to go on until a moment, do not stand for the whole time.
pub(super) fn of_attempts(
    probe: &ProbeFinding,
    tally: Tally,
    until: Option<Seconds>,
) -> Option<String> {
    if tally.is_blind() {
        return Some(format!(
            "the prober could not make {} of {} attempts",
            tally.blind,
            tally.judged() + tally.blind
        ));
    }
    let reach = probe.asked.map(|asked| asked.latest);
    let short = matches!((reach, until), (Some(reach), Some(undo)) if reach + probe.timeout + probe.interval < undo);
    short.then(|| format!("{} stopped sending before the undo", probe.name))
}

/// Why nothing is shown by what did not happen: a fault was over before its undo.
pub(super) fn of_effect(found: &Findings) -> Option<String> {
    found.faults.iter().find_map(|fault| {
        let over = fault.wore_off.as_ref()?;
        let hit = Component::on(fault.component, &fault.target);
        Some(format!(
            "{} of {hit} ended before its undo: {} at {:+.3}",
            fault.kind, over.what, over.at
        ))
    })
}

/// Why a fault can't have been noticed by a probe's clients.
pub(super) fn of_hit(fault: &FaultFinding, probe: &ProbeFinding) -> Option<String> {
    let name = probe.service.as_ref()?;
    let service = fault.service(name);
    let missed = service.is_none_or(|service| service.hit.is_empty());
    missed.then(|| format!("the fault hit no known endpoint of {name}"))
}
