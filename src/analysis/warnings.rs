//! Collects the warnings of a timeline.

use std::collections::BTreeSet;
use std::time::Duration;

use super::clock::Zero;
use super::findings::{Completion, FaultFinding, Findings, Period, ProbeFinding, Warning};
use super::unreadable;
use crate::stats::Seconds;
use crate::timeline::{Damage, Event, Extent, Impact, NodeRole, Record, Timeline, Tuning};

/// An attempt sent later than this is late at any rate.
const LATE: Seconds = Seconds::from_nanos(5_000_000);
/// A clock that is off by less than this is as good as shared.
const CLOCK: Seconds = Seconds::from_nanos(5_000_000);

/// Everything that weakens a number, worst first.
pub(super) fn warnings(timeline: &Timeline, found: &Findings, zero: Zero) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if found.completion == Completion::Died {
        warnings.push(Warning::RunDied);
    }
    warnings.extend(timeline.damage.iter().map(|damage| damaged(damage, zero)));
    // What was cut short, or still goes on, had no time to be seen; of what failed, its error says why.
    let has_time = !matches!(
        found.completion,
        Completion::Interrupted { .. }
            | Completion::Died
            | Completion::Running
            | Completion::Failed { .. }
    );
    let unseen = found.faults.iter().filter(|fault| has_time && fault.seen().is_none());
    let not_confirmed = |fault: &FaultFinding| Warning::FaultNotConfirmed {
        fault: fault.kind.to_string(),
        target: fault.target.clone(),
    };
    warnings.extend(unseen.map(not_confirmed));
    warnings.extend(found.faults.iter().flat_map(|fault| of_fault(fault, found, timeline)));
    warnings.extend(found.probes.iter().flat_map(of_probe));
    warnings.extend(gaps(timeline, found, zero));
    warnings.extend(slow_heartbeats(found, &timeline.header.cluster.tuning));
    warnings.extend(timeline.records.iter().filter_map(|record| match &record.event {
        Event::Note { warning: true, text } => Some(Warning::Note { text: text.clone() }),
        _ => None,
    }));
    warnings
}

fn damaged(damage: &Damage, zero: Zero) -> Warning {
    let time = unreadable::time_of(damage, zero);
    let is_bounded = time.from.is_some() || time.until.is_some();
    let span = if is_bounded { format!("; no data {time}") } else { String::new() };
    let what = format!("{damage}{span}");
    match damage.extent {
        Extent::Unwritten => Warning::AttemptsLost { what },
        Extent::Part | Extent::ToTheEnd => Warning::Damaged { what },
    }
}

fn of_fault(fault: &FaultFinding, found: &Findings, timeline: &Timeline) -> Vec<Warning> {
    let (target, mut warnings) = (&fault.target, Vec::new());
    let by_node = fault.kind.traits().impact != Impact::Objects;
    if by_node && fault.node.ready_before == Some(false) {
        warnings.push(Warning::NodeNotReadyBefore { node: target.clone() });
    }
    // The control plane has no endpoints, nor has its load balancer: that clients do not notice
    // their loss is what is asked.
    let nodes = &timeline.header.cluster.nodes;
    let is_worker = nodes
        .iter()
        .find(|node| node.name == *target)
        .is_none_or(|node| node.role == NodeRole::Worker);
    let balancer = !nodes.is_empty() && !nodes.iter().any(|node| node.name == *target);
    let hits_endpoints = fault.component.is_none()
        && is_worker
        && !balancer
        && !found.faults.iter().any(|other| other.is_under(fault));
    let noticed = found.probes.iter().filter(|probe| !probe.control && hits_endpoints);
    for probe in noticed {
        if let Some(service) = fault.service_of(probe).filter(|service| service.hit.is_empty()) {
            let (probe, service) = (probe.name.clone(), service.service.clone());
            warnings.push(Warning::HitNoEndpoint { probe, service, target: target.clone() });
        }
    }
    warnings
}

fn of_probe(found: &ProbeFinding) -> Vec<Warning> {
    let (probe, since, before) =
        (found.name.clone(), found.since_fault(), found.tally(Period::Before));
    let mut warnings = Vec::new();
    if found.control && since.failed > 0 {
        warnings.push(Warning::ControlFailed {
            probe: probe.clone(),
            failed: since.failed,
            of: since.judged(),
        });
    }
    if before.failed > 0 {
        warnings.push(Warning::BackgroundErrors {
            probe: probe.clone(),
            failed: before.failed,
            of: before.judged(),
        });
    }
    if since.blind_share() > 0.001 {
        warnings.push(Warning::BlindProber {
            probe: probe.clone(),
            blind: since.blind,
            of: since.judged() + since.blind,
        });
    }
    if found.lateness.p99 > found.interval.max(LATE) && !found.control {
        let (p99, interval) = (found.lateness.p99, found.interval);
        warnings.push(Warning::LateProber { probe: probe.clone(), p99, interval });
    }
    if found.clock_uncertainty > CLOCK {
        warnings.push(Warning::ClockUncertain {
            probe: probe.clone(),
            uncertainty: found.clock_uncertainty,
        });
    }
    warnings
}

/// Gaps between the first fault's request and the end of the run. A gap is recorded when it opens
/// and when it closes: the latter counts.
fn gaps(timeline: &Timeline, found: &Findings, zero: Zero) -> Vec<Warning> {
    let Some(first) = found.faults.first() else { return Vec::new() };
    let key = |record: &Record| match &record.event {
        Event::WatchGap { watch, until, .. } => {
            Some((watch.clone(), record.since.unwrap_or(record.at), until.is_some()))
        }
        _ => None,
    };
    let closed: BTreeSet<_> =
        timeline.records.iter().filter_map(key).filter(|(.., closed)| *closed).collect();
    let gap = |record: &Record| match &record.event {
        Event::WatchGap { watch, until, reason } => {
            let from = record.since.unwrap_or(record.at);
            if until.is_none() && closed.contains(&(watch.clone(), from, true)) {
                return None;
            }
            let (from, until) = (zero.at(from), until.map(|until| zero.at(until)));
            until.is_none_or(|until| until > first.requested).then(|| Warning::WatchGap {
                watch: watch.clone(),
                from,
                until,
                reason: reason.clone(),
            })
        }
        _ => None,
    };
    timeline.records.iter().filter_map(gap).collect()
}

/// The status counts as known when it was seen to beat, or when its frequency is: a watch need not
/// show every post.
fn slow_heartbeats(found: &Findings, tuning: &Tuning) -> Vec<Warning> {
    let Some(grace) = tuning.node_monitor_grace_period.map(Seconds::from) else {
        return Vec::new();
    };
    let report = tuning.node_status_report_frequency.map(|f: Duration| Seconds::from(f));
    let slow = |beats: &super::findings::HeartbeatFinding| {
        let interval = beats.status.or(report)?.min(beats.lease?);
        (interval > grace).then(|| Warning::SlowHeartbeats {
            node: beats.node.clone(),
            interval,
            grace,
        })
    };
    found.heartbeats.iter().filter_map(slow).collect()
}
