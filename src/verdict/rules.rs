//! One rule for each kind of expectation.

use std::time::Duration;

use super::faults::{facts, missing, moment};
use super::finding::{Finding, Limits};
use super::latency::Limit;
use super::of_probes::{self, percent};
use super::run::{Run, is_of_dead_node};
use super::{Assertion, Outcome, cut_short, latency, leaders, pods_and_objects, validity};
use crate::analysis::{FaultFinding, Findings, When};
use crate::experiment::feasibility::{infeasible, judged_for_detection};
use crate::experiment::{Bound, During, ErrorTime, Expectation};
use crate::prediction::Quantity;
use crate::stats::{Between, Seconds};
use crate::timeline::few;

/// Judges one expectation. `issue`: why the whole run is inconclusive.
pub(super) fn assertion(
    run: &Run<'_>,
    expectation: &Expectation,
    issue: Option<&str>,
) -> Assertion {
    let (subject, bound) = words(expectation);
    let finding = if run.found.faults.is_empty() {
        let ending = run.found.completion.ending().filter(|_| run.found.cut_at.is_some());
        Finding::unknown(ending.map_or("no fault was injected".into(), |ending| ending.issue))
    } else {
        cut_short::judge(run, expectation, |expectation| rule(run, expectation))
    };
    let finding = match unfit(run.found, expectation) {
        Some(unfit) if finding.outcome == Outcome::Inconclusive => {
            let why = finding.why.iter().cloned().chain([unfit]).collect::<Vec<_>>().join("; ");
            finding.inconclusive_if(Some(why))
        }
        _ => finding,
    };
    let finding = if awaits_nothing(expectation) {
        finding.pass_inconclusive_if(validity::of_effect(run.found))
    } else {
        finding
    };
    let Finding { outcome, measured, why, predicted, note } =
        finding.inconclusive_if(issue.map(str::to_owned));
    let text = format!("{subject} {bound}");
    let bound = predicted.map_or(bound.clone(), |limit| format!("{bound} {:.1}", limit.ceil(1)));
    Assertion { name: expectation.name(), text, subject, bound, outcome, measured, note, why }
}

/// Why no run of these faults can meet it, as `validate` says it; of a run with all of its faults.
fn unfit(found: &Findings, expectation: &Expectation) -> Option<String> {
    let faults: Vec<_> = found.faults.iter().map(facts).collect();
    let whole = !faults.is_empty() && found.cut_at.is_none();
    infeasible(expectation, &faults).filter(|_| whole).map(|infeasible| infeasible.why)
}

/// Whether it passes by what does not happen for as long as a fault lasts.
fn awaits_nothing(expectation: &Expectation) -> bool {
    use Expectation::{Latency, LeaderGap, NoErrors, NoSuccess, NotDetected, NotRescheduled};
    match expectation {
        Latency { during, .. } => matches!(during, During::Fault | During::Step(_)),
        NoErrors { .. } | NoSuccess { .. } | NotDetected => true,
        NotRescheduled { .. } | LeaderGap { .. } => true,
        _ => false,
    }
}

fn words(expectation: &Expectation) -> (String, String) {
    let length = |bound: &Bound| match bound {
        Bound::Fixed(length) => Seconds::from(*length).to_string(),
        Bound::Predicted => "predicted".into(),
    };
    let within = |bound: &Bound| format!("within {}", length(bound));
    let no_less = |least: &Option<Duration>| {
        least.map_or(String::new(), |least| format!("at least {}, ", Seconds::from(least)))
    };
    let between = |least: &Option<Duration>, most: &Duration| {
        format!("{}at most {}", no_less(least), Seconds::from(*most))
    };
    match expectation {
        Expectation::Detection { of, after, within: bound, at_least } => {
            let of = of.as_ref().map_or(String::new(), |of| format!(" of {of}"));
            let after =
                after.as_ref().map_or(String::new(), |after| format!(" after the undo of {after}"));
            (format!("detection{of}"), format!("{}{}{after}", no_less(at_least), within(bound)))
        }
        Expectation::EndpointRemoval { service: Some(service), within: bound } => {
            (format!("endpoints of {service} removed"), within(bound))
        }
        Expectation::EndpointRemoval { service: None, within: bound } => {
            ("endpoints removed".into(), within(bound))
        }
        Expectation::ErrorWindow { probe, at_most, at_least, counts } => {
            let bounds =
                at_least.map(|least| format!("at least {}", Seconds::from(least))).into_iter();
            let bounds =
                bounds.chain(at_most.as_ref().map(|most| format!("at most {}", length(most))));
            let what = match counts {
                ErrorTime::FirstToLast => "errors",
                ErrorTime::FailingTime => "failing time",
            };
            (format!("{what} of {probe}"), bounds.collect::<Vec<_>>().join(", "))
        }
        Expectation::ErrorRate { probe, window, at_most } => {
            let window = Seconds::from(*window).to_minutes();
            (
                format!("error rate of {probe}"),
                format!("at most {} in any {window}", percent(*at_most)),
            )
        }
        Expectation::FailedShare { probe, at_most } => {
            (format!("failures of {probe}"), format!("at most {}", percent(*at_most)))
        }
        Expectation::NoErrors { probe } => (format!("errors of {probe}"), "at most 0".into()),
        Expectation::NoSuccess { probe, during } => {
            let during = during
                .as_ref()
                .map_or("during the fault".to_owned(), |step| format!("during {step}"));
            (format!("successes of {probe} {during}"), "at most 0".into())
        }
        Expectation::Latency { probe, quantile, at_most, during } => {
            let when = Limit::new(*quantile, *at_most, during).when();
            let subject = format!("{} latency of {probe} {when}", quantile.name());
            (subject, format!("at most {}", Seconds::from(*at_most)))
        }
        Expectation::NodesUntouched => ("other nodes".into(), "always Ready".into()),
        Expectation::NotDetected => ("detection".into(), "none before the undo".into()),
        Expectation::Rescheduled { service, within } => {
            (format!("pods of {service} rescheduled"), format!("within {}", Seconds::from(*within)))
        }
        Expectation::NotRescheduled { pods } => {
            (format!("new pods {pods}"), "none before the undo".into())
        }
        Expectation::Restarted { pods, within } => {
            (format!("pods {pods} restarted"), format!("within {}", Seconds::from(*within)))
        }
        Expectation::ObjectsKept => ("objects kept".into(), "all of them".into()),
        Expectation::LeaderChange { component, within } => (
            format!("new leader of {}", component.name()),
            format!("within {}", Seconds::from(*within)),
        ),
        Expectation::LeaderGap { component, at_most, at_least } => {
            (format!("{} without a leader", component.name()), between(at_least, at_most))
        }
        Expectation::OldLeader { component, at_most, at_least } => (
            format!("old leader of {} alongside the new one", component.name()),
            between(at_least, at_most),
        ),
        Expectation::Recovery { within: bound } => ("recovery".into(), within(bound)),
    }
}

fn rule(run: &Run<'_>, expectation: &Expectation) -> Finding {
    let found = run.found;
    match expectation {
        Expectation::Detection { of, after, within, at_least } => {
            detection_of(run, of.as_deref(), after.as_deref(), (*at_least, *within))
        }
        Expectation::EndpointRemoval { service, within } => {
            let first = || {
                found
                    .probes
                    .iter()
                    .find_map(|probe| probe.service.clone().filter(|_| !probe.control))
            };
            match service.as_ref().map(ToString::to_string).or_else(first) {
                Some(service) => {
                    run.each_fault(*within, Quantity::EndpointRemoval(&service), |fault, limit| {
                        removal(found, fault, &service, limit)
                    })
                }
                None => Finding::unknown("no probe targets a Service"),
            }
        }
        Expectation::ErrorWindow { probe, at_most, at_least, counts } => {
            let most = at_most.map(|at_most| {
                of_probes::with_probe(found, probe, |probe| {
                    run.each_fault(at_most, Quantity::ErrorWindow(&probe.name), |fault, limit| {
                        of_probes::error_window(found, fault, probe, *counts, limit)
                    })
                })
            });
            let least = at_least.map(|at_least| of_probes::lasted(found, probe, at_least.into()));
            Finding::worst(least.into_iter().chain(most), "no bound is given")
        }
        Expectation::FailedShare { probe, at_most } => {
            of_probes::with_probe(found, probe, |probe| {
                of_probes::failed_share(found, probe, *at_most)
            })
        }
        Expectation::ErrorRate { probe, window, at_most } => {
            of_probes::with_probe(found, probe, |probe| {
                of_probes::error_rate(found, probe, (*window).into(), *at_most)
            })
        }
        Expectation::NoErrors { probe } => {
            of_probes::with_probe(found, probe, |probe| of_probes::no_errors(found, probe))
        }
        Expectation::NoSuccess { probe, during } => {
            of_probes::no_success(found, probe, during.as_deref())
        }
        Expectation::Latency { probe, quantile, at_most, during } => {
            latency::latency(found, probe, &Limit::new(*quantile, *at_most, during))
        }
        Expectation::NodesUntouched => nodes_untouched(found),
        Expectation::NotDetected => pods_and_objects::not_detected(found),
        Expectation::Rescheduled { service, within } => {
            pods_and_objects::rescheduled(found, &service.to_string(), (*within).into())
        }
        Expectation::NotRescheduled { pods } => pods_and_objects::not_rescheduled(found, pods),
        Expectation::Restarted { pods, within } => {
            pods_and_objects::restarted(found, pods, (*within).into())
        }
        Expectation::ObjectsKept => pods_and_objects::objects_kept(found),
        Expectation::LeaderChange { component, within } => {
            leaders::change(found, *component, (*within).into())
        }
        Expectation::LeaderGap { component, at_most, at_least } => {
            leaders::gap(found, *component, Limits::new(*at_least, (*at_most).into()))
        }
        Expectation::OldLeader { component, at_most, at_least } => {
            leaders::old(found, *component, Limits::new(*at_least, (*at_most).into()))
        }
        Expectation::Recovery { within } => {
            let last = found.last_undone_fault().map_or(0, |fault| fault.step);
            run.judged(*within, Quantity::Recovery, last, |limit| recovery(found, limit))
        }
    }
}

fn detection(found: &Findings, fault: &FaultFinding, limits: Limits) -> Finding {
    match &fault.node.detected {
        _ if fault.node.ready_before == Some(false) => {
            Finding::unknown(format!("{} was not Ready before the fault", fault.target))
        }
        Some(detected) => moment(found, fault, detected.at, limits),
        None if fault.node.ready_before.is_none() => {
            Finding::unknown(format!("the state of {} before the fault is not known", fault.target))
        }
        None => missing(found, fault, limits.most, "nodes", "not detected"),
    }
}

fn detection_of(
    run: &Run<'_>,
    of: Option<&str>,
    after: Option<&str>,
    (least, within): (Option<Duration>, Bound),
) -> Finding {
    let found = run.found;
    let judge = |fault: &FaultFinding| {
        let judge = |most| match after {
            None => detection(found, fault, Limits::new(least, most)),
            Some(name) => detection_after(found, fault, name, Limits::new(least, most)),
        };
        run.judged(within, Quantity::Detection, fault.step, judge)
    };
    let judged = judged_for_detection(of, &found.faults, facts).into_iter();
    let judged = judged.filter(|fault| of.is_some() || !is_of_dead_node(found, fault)).map(judge);
    Finding::worst(judged, format!("{} was not injected", of.unwrap_or("the fault")))
}

/// A detection that needs another fault's undo first, counted from that one's confirmation.
fn detection_after(found: &Findings, fault: &FaultFinding, name: &str, limits: Limits) -> Finding {
    let others = || found.faults.iter().filter(|other| other.name.as_deref() == Some(name));
    let requested = others()
        .map(|other| other.undo_requested)
        .collect::<Option<Vec<_>>>()
        .and_then(|all| all.into_iter().max());
    let undone = others()
        .map(FaultFinding::gone)
        .collect::<Option<Vec<_>>>()
        .and_then(|all| all.into_iter().reduce(When::later));
    let (Some(requested), Some(undone)) = (requested, undone) else {
        return Finding::unknown(format!("the undo of {name} was not confirmed"));
    };
    let Some(detected) = &fault.node.detected else {
        return missing_since(found, fault, undone.latest, limits.most);
    };
    // The object's own time (whole seconds, cut) shows since when it had been so if the watch was
    // down.
    let earliest = found.happened(detected.at, requested).earliest;
    let earliest = detected.transition.map_or(earliest, |own| own.max(earliest));
    if detected.at.latest < requested {
        let why = format!("detected before the undo of {name} was requested");
        let early = format!("{} before it", requested - detected.at.latest);
        return Finding::failed(why).measured(early);
    }
    let least = (earliest - undone.latest).or_zero();
    let length = Between::new(least, (detected.at.latest - undone.earliest).or_zero());
    let finding = Finding::bounded(length, limits, format!("{length:.3}"));
    let unclear = earliest < requested;
    finding.inconclusive_if(unclear.then(|| {
        format!("the watch was down: it may have been detected before the undo of {name}")
    }))
}

fn missing_since(
    found: &Findings,
    fault: &FaultFinding,
    since: Seconds,
    bound: Seconds,
) -> Finding {
    let Some(until) = found.held_until(fault) else {
        return Finding::unknown("not detected, and the fault has no undo");
    };
    // A node stays Unknown for as long as it is away: only a watch that is down at the undo misses
    // that.
    let blind = found
        .watch_gaps("nodes")
        .find(|gap| gap.from < until && gap.until.is_none_or(|seen| seen > until));
    match (until - since, blind) {
        (_, Some(gap)) => Finding::unknown(format!("not detected, but {}", gap.why)),
        (left, None) if left < bound => Finding::unknown(format!(
            "not detected in the remaining {} of the fault",
            left.or_zero()
        )),
        (left, None) => {
            Finding::failed(format!("not detected in the remaining {left} of the fault"))
        }
    }
}

fn removal(found: &Findings, fault: &FaultFinding, name: &str, bound: Seconds) -> Finding {
    match fault.service(name) {
        None => Finding::unknown(format!("no endpoint of {name} was known")),
        Some(service) if service.hit.is_empty() => {
            Finding::unknown(format!("no endpoint of {name} was on {}", fault.target))
        }
        Some(service) => match service.removed {
            Some(when) => moment(found, fault, when, bound),
            None => {
                let watched = pods_and_objects::endpoints_watch(name);
                missing(found, fault, bound, &watched, "an endpoint was not removed")
            }
        },
    }
}

fn nodes_untouched(found: &Findings) -> Finding {
    let left: Vec<String> = found
        .other_nodes
        .iter()
        .filter_map(|other| {
            Some(format!("{} became NotReady at {:+.3}", other.node, other.left_ready?.latest))
        })
        .collect();
    let stayed = found
        .other_nodes
        .iter()
        .filter(|other| other.ready_before == Some(true) && other.left_ready.is_none())
        .count();
    let measured = format!("{stayed} of {} stayed Ready", found.other_nodes.len());
    if !left.is_empty() {
        return Finding::failed(few(left)).measured(measured);
    }
    let unseen = found.other_nodes.iter().find(|other| other.ready_before != Some(true));
    let blind = found.watch_gaps("nodes").find(|gap| gap.until.is_none());
    let unreadable = found.faults.first().and_then(|first| found.unreadable_since(first.requested));
    let issue = match unseen {
        _ if found.other_nodes.is_empty() => Some("every node was hit".to_owned()),
        Some(other) => Some(format!("{} was not known to be Ready before the fault", other.node)),
        None => blind.map(|gap| gap.why).or(unreadable),
    };
    Finding::passed(measured).pass_inconclusive_if(issue)
}

fn recovery(found: &Findings, bound: Seconds) -> Finding {
    if let Some(took) = found.recovery {
        let undone = found.last_undone().unwrap_or(Seconds::ZERO);
        return Finding::bounded(took, bound, took.to_string())
            .fail_inconclusive_if(found.unreadable_since(undone));
    }
    match (found.last_undone(), &found.steady_after) {
        (None, _) => Finding::unknown("the undo was not confirmed"),
        (_, None) => Finding::unknown("the run did not wait for the steady state"),
        (_, Some(steady)) if steady.held_since.is_some() => {
            let silent = few(&found.unheard);
            Finding::unknown(format!(
                "no sign of life from {silent} after the undo: the observed steady state may be stale"
            ))
        }
        (Some(undone), Some(missed)) if missed.confirmed - undone >= bound => Finding::failed(
            format!("the steady state was not restored after {}", missed.confirmed - undone),
        ),
        (Some(undone), Some(missed)) => Finding::unknown(format!(
            "the run waited only {} for the steady state",
            missed.confirmed - undone
        )),
    }
}
