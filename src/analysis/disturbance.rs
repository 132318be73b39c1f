//! When a prober was itself disturbed: its control probe failed or was slow, or it stalled. What its probes saw
//! fail then may be the prober's own, so that it is also judged without those failures.

use super::findings::{Disturbance, DisturbanceCause, ProbeFinding, Unreadable};
use super::run::Run;
use crate::stats::Seconds;
use crate::timeline::{Event, ProbeHeader, Record};

/// A control probe that failed more often than this was on an unhealthy machine from its first
/// failure to its last one.
const MOST_SICK: f64 = 0.01;
/// So many stalls are told apart; the last one goes on.
const MOST_STALLS: usize = 1000;

pub(super) fn add_stall(stalls: &mut Vec<Disturbance>, from: Seconds, until: Seconds) {
    let all = stalls.len();
    match stalls.last_mut() {
        Some(last) if from <= last.until || all == MOST_STALLS => {
            (last.from, last.until) = (last.from.min(from), last.until.max(until));
        }
        _ => stalls.push(Disturbance { from, until, cause: DisturbanceCause::Stall }),
    }
}

/// When a probe saw failures while its prober was disturbed, by its own stalls and its prober's
/// control probe.
pub(super) fn of_failures(
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
    let met = |disturbance: &Disturbance| {
        let mut bursts = probe.windows.iter().flat_map(|window| &window.bursts);
        bursts.any(|burst| disturbance.overlaps(burst.first_failure, burst.waited_until))
    };
    let controls = controls.flat_map(|control| {
        let mut times = of_control(control);
        times.extend(unreadable(&control.name, control.unreadable.clone()));
        times
    });
    probe.disturbances.iter().cloned().chain(controls).chain(gone).filter(met).collect()
}

/// Whether a probe whose file cannot be read was a control probe, by the timeline or its name.
fn was_control(name: &str, records: &[Record]) -> bool {
    let began = |record: &Record| matches!(&record.event, Event::ProbeStarted { probe, control: true } if probe == name);
    ProbeHeader::is_control_name(name) || records.iter().any(began)
}

fn of_control(control: &ProbeFinding) -> Vec<Disturbance> {
    let bursts = control.windows.iter().flat_map(|window| &window.bursts);
    let cause = || DisturbanceCause::Control { probe: control.name.clone() };
    let failed = bursts.map(|burst| Disturbance {
        from: burst.start.when.earliest,
        until: burst.waited_until.max(burst.end.when.latest),
        cause: cause(),
    });
    let sick = control.since_fault().failed_share().is_some_and(|share| share > MOST_SICK);
    let failed: Vec<_> = match sick {
        true => failed
            .reduce(|all, next| Disturbance { until: all.until.max(next.until), ..all })
            .into_iter()
            .collect(),
        false => failed.collect(),
    };
    // Where it was slow, answers to others may have come too late.
    failed.into_iter().chain(control.disturbances.iter().cloned()).collect()
}
