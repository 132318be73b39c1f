//! Rules on what a probe's clients must have seen, or not: failures, and for how long.

use super::finding::Finding;
use super::validity;
use crate::analysis::findings::Burst;
use crate::analysis::{Disturbance, FaultFinding, Findings, InEffect, Period, ProbeFinding};
use crate::experiment::ErrorTime;
use crate::stats::Seconds;
use crate::timeline::counted;

/// Judges a probe. One that asks several (`PROBE@NODE`, `PROBE@SERVICE`) is judged by the worst of
/// them, which is named.
pub(super) fn each_probe(
    found: &Findings,
    name: &str,
    judge: impl Fn(&ProbeFinding) -> Finding,
) -> Finding {
    let of_one = |probe: &ProbeFinding| {
        probe
            .name
            .split_once('@')
            .filter(|(probe, _)| *probe == name)
            .map(|(_, one)| one.to_owned())
    };
    let judged = found.probes.iter().filter_map(|probe| match of_one(probe) {
        Some(one) => {
            let finding = judge(probe);
            let measured = finding.measured.map(|measured| format!("{measured} (on {one})"));
            Some(Finding { measured, ..finding })
        }
        None => (probe.name == name).then(|| judge(probe)),
    });
    Finding::worst(judged, format!("the run has no attempts of {name}"))
}

/// Judges a probe, whose prober must have been on time.
pub(super) fn with_probe(
    found: &Findings,
    name: &str,
    judge: impl Fn(&ProbeFinding) -> Finding,
) -> Finding {
    each_probe(found, name, |probe| {
        validity::either_way(probe, |probe, _| judge(probe))
            .inconclusive_if(validity::of_lateness(probe))
    })
}

/// A burst in which nothing failed for more than this share of the bound was not a failure that
/// lasted.
const INTERRUPTED: f64 = 0.2;

/// That errors lasted at least so long in each fault (of those that overlap, in all of them
/// together): the longest burst of them, from its first to its last failure. Several short bursts
/// do not add up to a lasting one.
pub(super) fn lasted(found: &Findings, name: &str, bound: Seconds) -> Finding {
    each_probe(found, name, |probe| {
        let overlap =
            |step| found.faults.iter().find(|fault| fault.step == step).map(|fault| fault.overlap);
        validity::either_way(probe, |probe, taken_off| {
            let steps = probe.in_effect.iter().filter_map(|held| overlap(held.step));
            let judged = steps.map(|step| lasted_in(found, probe, step, bound, taken_off));
            Finding::worst(judged, "no fault was in effect")
        })
        .pass_inconclusive_if(validity::of_lateness(probe))
        .fail_inconclusive_if(validity::of_unreadable_faults(found, probe))
    })
}

/// `taken_off`: times in which nothing counts as a failure.
fn lasted_in(
    found: &Findings,
    probe: &ProbeFinding,
    step: u32,
    bound: Seconds,
    taken_off: &[Disturbance],
) -> Finding {
    let Some(window) = probe.window(Period::Fault { step }) else {
        let why = validity::of_successes(found, probe);
        return Finding::failed("shorter than expected").measured("none seen").inconclusive_if(why);
    };
    let (count, longest) = (
        window.bursts.len(),
        window.bursts.iter().enumerate().max_by_key(|(_, burst)| burst.length.least),
    );
    let Some((place, burst)) = longest else { return Finding::unknown("the window has no burst") };
    let endless = window.open && place + 1 == count;
    let length =
        if endless { format!("at least {}", burst.length.least) } else { burst.length.to_string() };
    let of = if count > 1 { format!(", the longest of {count} bursts") } else { String::new() };
    let finding = match burst.length.least {
        least if least - within(taken_off, burst) >= bound => Finding::passed(""),
        _ if window.length.most < bound => Finding::failed("shorter than expected"),
        _ if window.bursts.iter().any(|burst| burst.length.most >= bound) => Finding::unknown(
            format!("the bound lies within the measured range, {:.3}", burst.length),
        ),
        _ => Finding::unknown(format!(
            "only {count} bursts together lasted that long, {:.3}",
            window.length
        )),
    };
    let until = Some(burst.last_failure);
    let open = interrupted(burst, bound)
        .or_else(|| validity::of_unreadable(probe, burst.first_failure, until));
    finding.measured(format!("for {length}{of}")).pass_inconclusive_if(open)
}

/// How much of a burst these times are.
fn within(times: &[Disturbance], burst: &Burst) -> Seconds {
    let inside = |times: &Disturbance| {
        let (from, until) =
            (times.from.max(burst.first_failure), times.until.min(burst.last_failure));
        (until - from).or_zero()
    };
    times.iter().fold(Seconds::ZERO, |sum, times| sum + inside(times))
}

/// Why a burst may be two failures and nothing between them.
fn interrupted(burst: &Burst, bound: Seconds) -> Option<String> {
    let gap = burst
        .longest_gap
        .filter(|gap| (gap.to - gap.from).as_f64() > bound.as_f64() * INTERRUPTED)?;
    let (from, to) = (gap.from, gap.to);
    Some(format!("nothing failed from {from:+.3} to {to:+.3}, and {} succeeded", gap.successes))
}

/// That nothing succeeded while a fault was in effect: each one, or that of the step with this
/// name.
pub(super) fn no_success(found: &Findings, name: &str, during: Option<&str>) -> Finding {
    let meant = |step: u32| {
        let of_step = |fault: &FaultFinding| fault.step == step && fault.name.as_deref() == during;
        during.is_none() || found.faults.iter().any(of_step)
    };
    each_probe(found, name, |probe| {
        let step = |probe: &ProbeFinding, held: &InEffect| {
            let (ok, all) = (held.tally.ok, held.tally.judged());
            let finding = match held.first_success {
                Some(first) => Finding::failed(format!("an attempt sent at {first:+.3} succeeded")),
                None => Finding::passed(""),
            };
            let measured = (all > 0).then(|| format!("{ok} of {all}"));
            let issue = validity::of_step(probe, held).or_else(|| validity::of_lateness(probe));
            Finding { measured, ..finding }.pass_inconclusive_if(issue)
        };
        validity::either_way(probe, |probe, _| {
            let steps = probe.in_effect.iter().filter(|held| meant(held.step));
            Finding::worst(steps.map(|held| step(probe, held)), "no fault was in effect")
        })
    })
}

/// That errors lasted no longer, from the first to the last failure or in bursts alone, before the
/// undo of a fault.
pub(super) fn error_window(
    found: &Findings,
    fault: &FaultFinding,
    probe: &ProbeFinding,
    counts: ErrorTime,
    bound: Seconds,
) -> Finding {
    let Some(window) = probe.window(Period::Fault { step: fault.overlap }) else {
        return Finding::passed("none seen").pass_inconclusive_if(
            validity::of_successes(found, probe).or_else(|| validity::of_hit(fault, probe)),
        );
    };
    let length = match counts {
        ErrorTime::FirstToLast => window.length,
        ErrorTime::FailingTime => window.failing_time(),
    };
    let measured = match (counts, window.bursts.len()) {
        (ErrorTime::FailingTime, bursts @ 2..) => {
            let (failing, all) = (window.words(length), window.words(window.length));
            format!("for {failing} in {bursts} bursts, {all} from first to last")
        }
        _ => format!("for {}{}", window.words(window.length), window.bursts_text()),
    };
    if !window.open {
        return Finding::bounded(length, bound, measured)
            .pass_inconclusive_if(validity::of_successes(found, probe));
    }
    let why = "not known to have ended before the undo";
    let finding = if length.least > bound { Finding::failed(why) } else { Finding::unknown(why) };
    finding.measured(measured)
}

/// That no window of one length had more than this share of failures.
pub(super) fn error_rate(
    found: &Findings,
    probe: &ProbeFinding,
    window: Seconds,
    bound: f64,
) -> Finding {
    let Some(rate) = probe.error_rates.iter().find(|rate| rate.window == window) else {
        return Finding::unknown(validity::no_attempt(probe));
    };
    let all = window.as_f64() / probe.interval.as_f64();
    let share = |failed: u64, all: f64| failed as f64 / all;
    let most = share(rate.most_failed, rate.attempts as f64);
    let finding = if most <= bound {
        Finding::passed("").pass_inconclusive_if(of_failures(found, probe, rate.failed))
    } else if share(rate.failed, all.max(rate.attempts as f64)) > bound {
        Finding::failed("more than expected")
    } else if rate.most_failed > rate.failed {
        Finding::unknown(format!("attempts without a result could make it {}", percent(most)))
    } else {
        let lasted = rate.until - rate.from;
        Finding::unknown(format!(
            "only {lasted} were measured after the fault, less than one window"
        ))
    };
    if rate.failed == 0 {
        return finding.measured("0%");
    }
    let noun = if probe.is_canary() { "attempt" } else { "request" };
    finding.measured(format!(
        "{} of {} from {:+.3} to {:+.3}",
        percent(share(rate.failed, rate.judged as f64)),
        counted(rate.judged, noun),
        rate.from,
        rate.until
    ))
}

pub(super) fn failed_share(found: &Findings, probe: &ProbeFinding, bound: f64) -> Finding {
    let since = probe.since_fault();
    let Some(share) = since.failed_share() else {
        return Finding::unknown(validity::no_attempt(probe));
    };
    let measured = format!("{} ({} of {})", percent(share), since.failed, since.judged());
    if share > bound {
        return Finding::failed("more than expected")
            .measured(measured)
            .inconclusive_if(validity::of_unreadable_faults(found, probe));
    }
    Finding::passed(measured).pass_inconclusive_if(of_failures(found, probe, since.failed))
}

/// Why it proves nothing that no more attempts failed.
fn of_failures(found: &Findings, probe: &ProbeFinding, failed: u64) -> Option<String> {
    let mut faults = found.faults.iter().filter(|_| failed == 0);
    validity::of_successes(found, probe)
        .or_else(|| faults.find_map(|fault| validity::of_hit(fault, probe)))
}

/// A probe whose back ends no fault hit may still be expected to see no error, so that is not a
/// reason to leave it open.
pub(super) fn no_errors(found: &Findings, probe: &ProbeFinding) -> Finding {
    let since = probe.since_fault();
    let measured = format!("{} of {} failed", since.failed, since.judged());
    if since.failed > 0 {
        return Finding::failed("some attempts failed").measured(measured);
    }
    let missed = |below| format!("an outage under {below} could have been missed");
    Finding { note: probe.blind_below.map(missed), ..Finding::passed(measured) }
        .pass_inconclusive_if(validity::of_successes(found, probe))
}

pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}
