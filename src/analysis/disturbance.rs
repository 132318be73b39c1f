//! When a prober was itself disturbed: its control probe failed or was slow, or it stalled. What
//! its probes saw fail then may be the prober's own, so that it is also judged without those
//! failures.

use super::findings::{
    Disturbance, DisturbanceCause, NEAR_CONTROL, ProbeFinding, Tally, Unreadable,
};
use super::run::Run;
use crate::stats::Seconds;
use crate::timeline::{Event, ProbeHeader, Record};

/// A control probe that failed more often than this in a period was on an unhealthy machine from its
/// first failure in it to its last one.
const MOST_SICK: f64 = 0.01;
/// So many stalls are told apart: of more, those that are closest together are one.
const MOST_STALLS: usize = 1000;

pub(super) fn add_stall(stalls: &mut Vec<Disturbance>, from: Seconds, until: Seconds) {
    match stalls.last_mut() {
        Some(last) if from <= last.until => {
            (last.from, last.until) = (last.from.min(from), last.until.max(until));
        }
        _ => stalls.push(Disturbance { from, until, cause: DisturbanceCause::Stall }),
    }
    if stalls.len() > MOST_STALLS {
        let gap = |first: &usize| stalls[first + 1].from - stalls[*first].until;
        let first = (0..stalls.len() - 1).min_by_key(gap).expect("there are several");
        let second = stalls.remove(first + 1);
        stalls[first].until = stalls[first].until.max(second.until);
    }
}

/// When a probe's prober was disturbed, by its own stalls and its prober's control probe.
pub(super) fn of_prober(
    probe: &ProbeFinding,
    probes: &[ProbeFinding],
    run: &Run<'_>,
) -> Vec<Disturbance> {
    if probe.control {
        return Vec::new();
    }
    let (Some(asked), timeout) = (probe.asked, probe.timeout) else { return Vec::new() };
    let unreadable = |control: &str, times: Vec<Unreadable>| {
        let disturbance = |time: Unreadable| Disturbance {
            from: time.from.unwrap_or(asked.earliest),
            until: time.until.unwrap_or(asked.latest + timeout),
            cause: DisturbanceCause::Unreadable { probe: control.to_owned() },
        };
        times.into_iter().map(disturbance).collect::<Vec<_>>()
    };
    // Whose a control probe was shows in its own file.
    let lost = &run.lost;
    let gone = lost.probes().filter(|name| probes.iter().all(|probe| probe.name != *name));
    let gone = gone.filter(|name| was_control(name, run.records));
    let gone = gone.flat_map(|name| unreadable(name, lost.attempts(name)));
    let controls = probes.iter().filter(|other| other.control && other.from == probe.from);
    let controls = controls.flat_map(|control| {
        let mut times = of_control(control);
        times.extend(unreadable(&control.name, control.unreadable.clone()));
        times
    });
    probe.disturbances.iter().cloned().chain(controls).chain(gone).collect()
}

/// Whether a probe saw failures while its prober was disturbed.
pub(super) fn met_failures(disturbance: &Disturbance, probe: &ProbeFinding) -> bool {
    let mut bursts = probe.windows.iter().flat_map(|window| &window.bursts);
    bursts.any(|burst| disturbance.overlaps(burst.first_failure, burst.waited_until))
}

/// Whether a probe whose file cannot be read was a control probe, by the timeline or its name.
fn was_control(name: &str, records: &[Record]) -> bool {
    let began = |record: &Record| matches!(&record.event, Event::ProbeStarted { probe, control: true } if probe == name);
    ProbeHeader::is_control_name(name) || records.iter().any(began)
}

fn of_control(control: &ProbeFinding) -> Vec<Disturbance> {
    let sick = |tally: Tally| tally.failed_share().is_some_and(|share| share > MOST_SICK);
    let always = sick(control.since_fault());
    let mut failed: Vec<Disturbance> = Vec::new();
    for window in &control.windows {
        let (sick, mut first) = (sick(control.tally(window.period)), true);
        for burst in &window.bursts {
            let (from, until) =
                (burst.start.when.earliest, burst.waited_until.max(burst.end.when.latest));
            match failed.last_mut() {
                // Between two failures that are close, too, other attempts may have failed.
                Some(last)
                    if always
                        || sick && !first
                        || from - last.until <= NEAR_CONTROL + NEAR_CONTROL =>
                {
                    last.until = last.until.max(until);
                }
                _ => {
                    let cause = DisturbanceCause::Control { probe: control.name.clone() };
                    failed.push(Disturbance { from, until, cause });
                }
            }
            first = false;
        }
    }
    // Where it was slow, answers to others may have come too late.
    failed.into_iter().chain(control.disturbances.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_short_stalls_do_not_cover_an_outage_between_them() {
        let ms = |ms: i64| Seconds::from_nanos(ms * 1_000_000);
        let mut stalls = Vec::new();
        for number in 0..1500 {
            // An hour, and 10 s without a stall after the first three quarters.
            let from = number * 2400 + if number >= 1125 { 10_000 } else { 0 };
            add_stall(&mut stalls, ms(from), ms(from + 50));
        }
        assert_eq!(stalls.len(), MOST_STALLS);
        let (began, ended) = (ms(1125 * 2400), ms(1125 * 2400 + 9000));
        assert!(stalls.iter().all(|stall| !stall.overlaps(began, ended)));
        let last = ms(1499 * 2400 + 10_000 + 50);
        assert_eq!(stalls.last().unwrap().until, last);
        assert!(stalls.is_sorted_by_key(|stall| stall.from));
    }
}
