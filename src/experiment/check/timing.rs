//! Durations that make no sense together.

use std::time::Duration;

use super::Check;
use crate::experiment::Numbered;
use crate::experiment::decode::duration::written;
use crate::experiment::decode::known;
use crate::experiment::feasibility::FEWEST_TO_JUDGE;
use crate::experiment::schema::{Bound, Cluster, Condition, During, Expectation, Step};

/// How many attempts of one probe may be under way at the same time: each holds a port, and a
/// machine has some 28 000.
const MAX_IN_FLIGHT: f64 = 20_000.0;

/// How many attempts of a canary may be under way at the same time: each may be a pod.
const MAX_CANARIES: f64 = 50.0;

/// With fewer attempts a steady state shows little.
const FEWEST_ATTEMPTS: f64 = 10.0;

/// A run waits no longer between the steady state and its first fault.
const LONGEST_PHASE: Duration = Duration::from_secs(10);

/// Injecting and undoing a fault takes no longer.
const LONGEST_WORK: Duration = Duration::from_secs(300);

/// With fewer attempts a single failure is more than 5% of a window.
const FEWEST_IN_WINDOW: f64 = 20.0;

/// The longest window of an error rate.
const LONGEST_WINDOW: Duration = Duration::from_secs(3600);

/// Each attempt of a canary passes through the whole control plane.
const FEWEST_CANARIES: f64 = 2.0;

pub(super) fn check(check: &Check) {
    probes(check);
    steady_state(check);
    expectations(check);
    error_rates(check);
    latency(check);
    latency_before(check);
    successes(check);
    tuning(check);
    meanwhile(check);
}

/// What is to be done beside a fault begins while it lasts.
fn meanwhile(check: &Check) {
    for outer in check.steps() {
        let (mut begin, lasts) = (Duration::ZERO, outer.step.holds());
        for (index, step) in outer.step.meanwhile().iter().enumerate() {
            if begin >= lasts && matches!(step, Step::Fault { .. }) {
                let message = format!(
                    "this starts {} into a fault that lasts only {}",
                    written(begin),
                    written(lasts)
                );
                let at = check.at(&format!("{}.for", outer.place));
                let problem =
                    check.warning(&format!("{}.meanwhile[{index}].fault", outer.place), message);
                let problem = problem.related(check.cx.file(), at, "the fault's duration");
                check.report(problem.hint(
                    "make that fault last longer, or move this into a separate step after it",
                ));
            }
            begin += step.lasts();
        }
    }
}

fn probes(check: &Check) {
    for (index, probe) in known(&check.draft.probes) {
        let place = format!("spec.probes[{index}].timeout");
        let in_flight = probe.rate * probe.timeout.as_secs_f64();
        let (limit, too_many) = match probe.ask.canary() {
            Some(_) => (
                MAX_CANARIES,
                format!("canary operations would be in flight, the limit is {MAX_CANARIES}"),
            ),
            None => (
                MAX_IN_FLIGHT,
                "attempts would be in flight, more than a machine has ports for".into(),
            ),
        };
        if in_flight > limit {
            let problem = check.error(&place, format!("up to {in_flight:.0} {too_many}"));
            check.report(problem.hint("lower the timeout or the rate"));
            continue;
        }
        for (step, hold) in faults(check).into_iter().filter(|(_, hold)| *hold <= probe.timeout) {
            let message = format!(
                "the timeout is not shorter than the fault ({}): attempts outlast it",
                written(hold)
            );
            let at = check.at(&format!("{step}.for"));
            let problem = check.warning(&place, message).related(check.cx.file(), at, "this fault");
            check.report(problem.hint(match probe.ask.canary() {
                Some(_) => {
                    "give the canary a shorter `timeout`, or make the fault last several timeouts"
                }
                None => "a timeout well below 1s shows when errors start and stop",
            }));
        }
    }
}

/// Where each fault is, and how long it lasts.
fn faults(check: &Check) -> Vec<(String, Duration)> {
    check
        .steps()
        .into_iter()
        .filter_map(|step| Some((step.place.clone(), step.fault()?.1)))
        .collect()
}

fn steady_state(check: &Check) {
    let Some(timeout) = check.draft.steady_state_timeout else { return };
    for (index, condition) in known(&check.draft.steady_state) {
        let Condition::Probe { name, hold, .. } = condition else { continue };
        let place = format!("spec.steadyState[{index}].probe.for");
        if *hold >= timeout {
            let message = format!(
                "this takes {}, but the steady state times out after {}",
                written(*hold),
                written(timeout)
            );
            check.report(check.error(&place, message).hint("raise `steadyStateTimeout`"));
        }
        let probe = known(&check.draft.probes).find(|(_, probe)| probe.name == *name);
        let Some((_, probe)) = probe else { continue };
        let fewest = if probe.ask.canary().is_some() { FEWEST_CANARIES } else { FEWEST_ATTEMPTS };
        if probe.rate * hold.as_secs_f64() < fewest {
            let message = format!("fewer than {fewest} attempts of `{name}` in {}", written(*hold));
            check.report(
                check.warning(&place, message).hint("use a longer `for`, or a higher probe rate"),
            );
        }
    }
}

/// A bound that lies behind the end of the longest fault can't be broken while the fault lasts.
fn expectations(check: &Check) {
    if check.draft.method.iter().any(Option::is_none) {
        return;
    }
    let Some((step, longest)) = faults(check).into_iter().max_by_key(|(_, hold)| *hold) else {
        return;
    };
    for (index, expectation) in known(&check.draft.expect) {
        let (field, bound) = match expectation {
            Expectation::Detection { after: None, within, .. } => ("detection.within", within),
            Expectation::EndpointRemoval { within, .. } => ("endpointRemoval.within", within),
            Expectation::ErrorWindow { at_most: Some(at_most), .. } => {
                ("errorWindow.atMost", at_most)
            }
            _ => continue,
        };
        let Bound::Fixed(bound) = bound else { continue };
        if *bound > longest {
            let message = format!(
                "the fault is undone after {}, before this limit is reached",
                written(longest)
            );
            let at = check.at(&format!("{step}.for"));
            let problem = check.warning(&format!("spec.expect[{index}].{field}"), message);
            check.report(
                problem
                    .related(check.cx.file(), at, "the fault's duration")
                    .hint("make the fault last longer"),
            );
        }
    }
}

/// The verdict needs some attempts in the fault.
fn successes(check: &Check) {
    for (index, expectation) in known(&check.draft.expect) {
        let Expectation::NoSuccess { probe: name, during } = expectation else { continue };
        let probe = known(&check.draft.probes).find(|(_, probe)| probe.name == *name);
        let meant = |step: &Numbered| during.is_none() || step.name() == during.as_deref();
        let steps = check.steps().into_iter().filter(meant);
        let shortest = steps.filter_map(|step| Some((step.fault()?.1, step.place.clone()))).min();
        let (Some((_, probe)), Some((hold, step))) = (probe, shortest) else { continue };
        // The most that there can be: an attempt may be due right at the start.
        if ((probe.rate * hold.as_secs_f64()).ceil() as u64) < FEWEST_TO_JUDGE {
            let message = format!(
                "`{name}` makes fewer than {FEWEST_TO_JUDGE} attempts in a fault of {}: this cannot pass",
                written(hold)
            );
            let at = check.at(&format!("{step}.for"));
            let place = format!("spec.expect[{index}].noSuccess.probe");
            let problem = check.warning(&place, message);
            let problem = problem.related(check.cx.file(), at, "the fault's duration");
            check.report(problem.hint("make the fault last longer, or use a higher probe rate"));
        }
    }
}

/// A window must have attempts, and time.
fn error_rates(check: &Check) {
    for (index, expectation) in known(&check.draft.expect) {
        let Expectation::ErrorRate { probe: name, window, .. } = expectation else { continue };
        let place = format!("spec.expect[{index}].errorRate.window");
        if *window > LONGEST_WINDOW {
            let message = format!("the longest window is {}", written(LONGEST_WINDOW));
            check.report(
                check
                    .error(&place, message)
                    .hint("to judge everything from the first fault on, use `failedShare`"),
            );
            continue;
        }
        let probe = known(&check.draft.probes).find(|(_, probe)| probe.name == *name);
        let Some((_, probe)) = probe else { continue };
        let longest = longest_after_fault(check);
        if let Some(longest) = longest.filter(|longest| window > longest) {
            let message = format!(
                "the run ends less than {} after its first fault: it has no whole window",
                written(longest)
            );
            let hint =
                "use a shorter `window`; `failedShare` judges everything from the first fault on";
            check.report(check.warning(&place, message).hint(hint));
        }
        let attempts = (probe.rate * window.as_secs_f64() + 1e-9).floor();
        let hint = "use a longer `window`, or a higher probe rate";
        if attempts < 2.0 {
            let message = format!("`{name}` makes fewer than 2 attempts in {}", written(*window));
            check.report(check.error(&place, message).hint(hint));
        } else if attempts < FEWEST_IN_WINDOW {
            let message = format!(
                "`{name}` makes only {attempts} attempts in {}: one failure is {:.0}%",
                written(*window),
                100.0 / attempts
            );
            check.report(check.warning(&place, message).hint(hint));
        }
    }
}

/// A length that a run does not exceed after the first fault; `None`: not all is known.
fn longest_after_fault(check: &Check) -> Option<Duration> {
    let healing = check.draft.steady_state_timeout?;
    let steps = check.draft.method.iter().map(Option::as_ref).collect::<Option<Vec<_>>>()?;
    let method: Duration = steps.into_iter().map(Step::lasts).sum();
    Some(method + healing + (healing + LONGEST_WORK) * faults(check).len() as u32)
}

/// A quantile of fewer attempts than the steady state, and what is between it and the first fault,
/// has.
fn latency_before(check: &Check) {
    let holds = known(&check.draft.steady_state).filter_map(|(_, condition)| match condition {
        Condition::Probe { hold, .. } => Some(*hold),
        _ => None,
    });
    let Some(hold) = holds.max() else { return };
    let steps = check.steps();
    let pauses = steps.iter().map_while(|step| match step.step {
        Step::Pause { hold } => Some(*hold),
        Step::Fault { .. } => None,
    });
    let most = hold + LONGEST_PHASE + pauses.sum::<Duration>();
    for (index, expectation) in known(&check.draft.expect) {
        let Expectation::Latency { probe, quantile, during: During::Before, .. } = expectation
        else {
            continue;
        };
        let found = known(&check.draft.probes).find(|(_, found)| found.name == *probe);
        let Some((_, probe)) = found else { continue };
        if probe.rate * most.as_secs_f64() < quantile.fewest() as f64 {
            let attempts = (probe.rate * hold.as_secs_f64()).round();
            let message = format!(
                "{} needs {} attempts, but `{}` makes only {attempts} in a steady state of {}",
                quantile.name(),
                quantile.fewest(),
                probe.name,
                written(hold)
            );
            let problem = check.warning(&format!("spec.expect[{index}].latency"), message);
            check.report(problem.hint(
                "raise the probe's `rate` or `for` in the steady state, or use a lower `quantile`",
            ));
        }
    }
}

/// A limit that no answer can exceed, and a quantile of fewer attempts than it needs.
fn latency(check: &Check) {
    for (index, expectation) in known(&check.draft.expect) {
        let Expectation::Latency { probe, quantile, at_most, during } = expectation else {
            continue;
        };
        let place = format!("spec.expect[{index}].latency");
        let found = known(&check.draft.probes).find(|(_, found)| found.name == *probe);
        let Some((number, probe)) = found else { continue };
        if *at_most >= probe.timeout {
            let timeout = written(probe.timeout);
            let message =
                format!("no answer takes this long: attempts of `{}` time out", probe.name);
            let at = check.at(&format!("spec.probes[{number}]"));
            let problem = check.warning(&format!("{place}.atMost"), message);
            check.report(
                problem
                    .related(check.cx.file(), at, format!("after {timeout}"))
                    .hint("lower the limit, or raise the probe's `timeout`"),
            );
        }
        let steps = check.steps();
        let meant = |name: Option<&str>| match during {
            During::Fault => true,
            During::Step(step) => name == Some(step),
            During::Before | During::After => false,
        };
        let steps = steps.iter().filter(|step| meant(step.name()));
        let Some(hold) = steps.filter_map(|step| Some(step.fault()?.1)).min() else { continue };
        let attempts = (probe.rate * hold.as_secs_f64()).round() as u64;
        if attempts < quantile.fewest() {
            let message = format!(
                "{} needs {} attempts, but `{}` makes only {attempts} during the fault",
                quantile.name(),
                quantile.fewest(),
                probe.name
            );
            let problem = check.warning(&place, message);
            check.report(problem.hint(
                "raise the probe's `rate`, make the fault last longer, or use a lower `quantile`",
            ));
        }
    }
}

fn tuning(check: &Check) {
    let Some(Cluster::Kind { tuning: Some(tuning), .. }) = &check.draft.cluster else { return };
    let Some(grace) = tuning.node_monitor_grace_period else { return };
    let place = "spec.cluster.kind.tuning.nodeMonitorGracePeriod";
    let pairs = [
        ("the heartbeat interval", tuning.node_status_update_frequency),
        ("the monitor period", tuning.node_monitor_period),
    ];
    for (what, period) in
        pairs.into_iter().filter_map(|(what, period)| Some((what, period.filter(|p| grace <= *p)?)))
    {
        let message = format!("the grace period is not longer than {what} ({})", written(period));
        check.report(check.warning(place, message).hint("healthy nodes would be marked NotReady"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{GOOD, changed, of};

    #[test]
    fn attempts_under_way_are_bounded() {
        let diagnostics =
            changed("rate: 50/s\n    timeout: 200ms", "rate: 1000/s\n    timeout: 30s");
        assert!(
            diagnostics.contains("14:14: error: up to 30000 attempts would be in flight"),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_timeout_as_long_as_the_fault_is_odd() {
        let diagnostics = changed("timeout: 200ms", "timeout: 20s");
        assert!(
            diagnostics.contains("14:14: warning: the timeout is not shorter than the fault (15s)"),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_canary_needs_a_fault_of_several_timeouts() {
        let diagnostics =
            changed("  steadyState:\n", "  - {name: c, canary: autoscaling}\n  steadyState:\n");
        assert!(
            diagnostics.contains("warning: the timeout is not shorter than the fault (15s)"),
            "{diagnostics}"
        );
        assert!(
            diagnostics.contains("(give the canary a shorter `timeout`")
                && !diagnostics.contains("below a second"),
            "{diagnostics}"
        );
    }

    #[test]
    fn what_is_done_meanwhile_begins_while_the_fault_lasts() {
        let with = |pause: &str| {
            let inner = format!(
                "- pause: {pause}\n    - {{fault: {{nodeDrain: {{target: {{role: worker}}}}}}, for: 1s}}"
            );
            changed("    for: 15s\n", &format!("    for: 15s\n    meanwhile:\n    {inner}\n"))
        };
        assert_eq!(with("14s"), "");
        for late in ["15s", "40s"] {
            let diagnostics = with(late);
            let wanted = format!(
                "24:15: warning: this starts {late} into a fault that lasts only 15s (make that fault"
            );
            assert!(diagnostics.starts_with(&wanted), "{diagnostics}");
        }
    }

    #[test]
    fn a_latency_needs_a_limit_that_answers_can_exceed_and_enough_attempts() {
        let with = |latency: &str| {
            let more = format!("  expect:\n  - latency: {{probe: web, {latency}}}\n");
            changed("  expect:\n", &more)
        };
        assert_eq!(with("atMost: 100ms"), "");
        let beyond = with("atMost: 200ms");
        assert!(
            beyond.contains("warning: no answer takes this long: attempts of `web` time out"),
            "{beyond}"
        );
        let few = with("quantile: p99.9, atMost: 100ms");
        assert!(
            few.contains(
                "warning: p99.9 needs 1000 attempts, but `web` makes only 750 during the fault"
            ),
            "{few}"
        );
        assert_eq!(with("quantile: p99.9, atMost: 100ms, during: after"), "");
        let before = with("quantile: p99.9, atMost: 100ms, during: before");
        let wanted =
            "warning: p99.9 needs 1000 attempts, but `web` makes only 250 in a steady state of 5s";
        assert!(before.contains(wanted), "{before}");
        assert_eq!(with("quantile: p99, atMost: 100ms, during: before"), "");
        let unknown = with("atMost: 100ms, during: befor");
        assert!(
            unknown.contains("error: no step is named `befor` (did you mean `before`?)"),
            "{unknown}"
        );
    }

    #[test]
    fn a_steady_state_must_fit_its_timeout() {
        let diagnostics = changed("successRatio: 1.0, for: 5s", "successRatio: 1.0, for: 2m");
        assert!(
            diagnostics
                .contains("17:48: error: this takes 2m, but the steady state times out after 2m"),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_steady_state_needs_some_attempts() {
        let diagnostics = changed("successRatio: 1.0, for: 5s", "successRatio: 1.0, for: 100ms");
        assert!(
            diagnostics.contains("17:48: warning: fewer than 10 attempts of `web` in 100ms"),
            "{diagnostics}"
        );
    }

    #[test]
    fn canaries_are_few_and_each_counts() {
        let canary = "  - {name: c, canary: scheduling, rate: 5/s, timeout: 11s}\n  steadyState:\n  - probe: {name: c, successRatio: 1.0, for: 300ms}\n";
        let diagnostics = changed("  steadyState:\n", canary);
        assert!(
            diagnostics
                .contains("error: up to 55 canary operations would be in flight, the limit is 50"),
            "{diagnostics}"
        );
        assert!(
            diagnostics.contains("warning: fewer than 2 attempts of `c` in 300ms"),
            "{diagnostics}"
        );
    }

    #[test]
    fn a_bound_behind_the_end_of_the_fault_is_odd() {
        let diagnostics = changed(
            "errorWindow: {probe: web, atMost: 8s}",
            "errorWindow: {probe: web, atMost: 16s}",
        );
        assert!(
            diagnostics
                .contains("warning: the fault is undone after 15s, before this limit is reached"),
            "{diagnostics}"
        );
        assert_eq!(changed("atMost: 8s", "atMost: 15s"), "");
    }

    #[test]
    fn no_success_needs_attempts_in_the_fault() {
        let expected = "noSuccess: {probe: web}";
        let slow = |hold: &str| {
            let experiment = GOOD.replace("errorWindow: {probe: web, atMost: 8s}", expected);
            of(&experiment.replace("rate: 50/s", "rate: 1/s").replace("for: 15s", hold))
        };
        let few = "warning: `web` makes fewer than 3 attempts in a fault of 2s: this cannot pass";
        assert!(slow("for: 2s").contains(few), "{}", slow("for: 2s"));
        assert!(!slow("for: 2900ms").contains("this cannot pass"), "{}", slow("for: 2900ms"));
    }

    #[test]
    fn a_window_has_attempts_enough() {
        let rate = |window: &str| {
            let rate = format!("errorRate: {{probe: web{window}, atMost: 5%}}");
            changed("errorWindow: {probe: web, atMost: 8s}", &rate)
        };
        assert_eq!((rate(""), rate(", window: 400ms")), (String::new(), String::new()));
        let few = "warning: `web` makes only 19 attempts in 380ms: one failure is 5% (use a longer `window`, or a higher probe rate)";
        assert!(rate(", window: 380ms").contains(few), "{}", rate(", window: 380ms"));
        assert!(
            rate(", window: 30ms").contains("error: `web` makes fewer than 2 attempts in 30ms")
        );
        let whole = "warning: the run ends less than ";
        assert!(rate(", window: 1h").contains(whole), "{}", rate(", window: 1h"));
        assert_eq!(rate(", window: 5m"), "", "recovery may take that long");
        assert!(rate(", window: 61m").contains("error: the longest window is 1h"));
    }

    #[test]
    fn a_grace_period_shorter_than_the_heartbeat_is_odd() {
        let tuning = "{config: kind.yaml, tuning: {nodeStatusUpdateFrequency: 5s, nodeMonitorGracePeriod: 4s}}";
        let diagnostics = changed("{config: kind.yaml}", tuning);
        assert!(
            diagnostics.contains(
                "warning: the grace period is not longer than the heartbeat interval (5s)"
            ),
            "{diagnostics}"
        );
    }
}
