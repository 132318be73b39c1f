//! Rules on what a probe's clients must have seen: that it failed, and for long enough.

use super::rules::Finding;
use super::{Outcome, doubt};
use crate::analysis::{FaultFinding, Findings, Period, ProbeFinding};
use crate::stats::Seconds;

/// Judges a probe; of one that asks several servers (`PROBE@NODE`) the gravest, and says whose that is.
pub fn each_probe(found: &Findings, name: &str, judge: impl Fn(&ProbeFinding) -> Finding) -> Finding {
    let of_node =
        |probe: &ProbeFinding| probe.name.split_once('@').filter(|(probe, _)| *probe == name).map(|(_, node)| node.to_owned());
    let judged = found.probes.iter().filter_map(|probe| match of_node(probe) {
        Some(node) => {
            let finding = judge(probe);
            Some(Finding { measured: finding.measured.map(|measured| format!("{measured} (on {node})")), ..finding })
        }
        None => (probe.name == name).then(|| judge(probe)),
    });
    judged.max_by_key(|finding| finding.outcome).unwrap_or_else(|| Finding::unknown(format!("the run has no attempts of {name}")))
}

/// That errors lasted at least so long in each fault (of those that overlap, in all of them together), from the first to the last failure.
pub fn lasted(found: &Findings, name: &str, bound: Seconds) -> Finding {
    each_probe(found, name, |probe| {
        let overlap = |step| found.faults.iter().find(|fault| fault.step == step).map(|fault| fault.overlap);
        let steps = probe.in_effect.iter().filter_map(|held| overlap(held.step));
        let judged = steps.map(|step| lasted_in(found, probe, step, bound)).max_by_key(|finding| finding.outcome);
        let own = doubt::of_failures(found, probe).or_else(|| doubt::of_a_failure(found, probe));
        judged.unwrap_or_else(|| Finding::unknown("no fault was in effect")).doubted_pass(own)
    })
}

fn lasted_in(found: &Findings, probe: &ProbeFinding, step: u32, bound: Seconds) -> Finding {
    let Some(window) = probe.window(Period::Fault { step }) else {
        let why = doubt::of_successes(found, probe);
        return Finding { measured: Some("none seen".into()), ..Finding::failed("shorter than expected") }.doubted(why);
    };
    let (least, most) = (window.length.least, window.length.most);
    let measured = Some(if window.open { format!("for {least} at least") } else { format!("for {}", window.length) });
    let (outcome, why) = match (least >= bound, most < bound) {
        (true, _) => (Outcome::Pass, None),
        (_, true) => (Outcome::Fail, Some("shorter than expected".to_owned())),
        _ => (Outcome::Inconclusive, Some(format!("the bound lies inside what was measured, {:.3}", window.length))),
    };
    Finding { outcome, measured, why, predicted: None }
}

/// That nothing succeeded while a fault was in effect: each one, or that of the step with this name.
pub fn no_success(found: &Findings, name: &str, during: Option<&str>) -> Finding {
    let meant = |step: u32| {
        let of_step = |fault: &FaultFinding| fault.step == step && fault.name.as_deref() == during;
        during.is_none() || found.faults.iter().any(of_step)
    };
    each_probe(found, name, |probe| {
        let steps = probe.in_effect.iter().filter(|held| meant(held.step)).map(|held| {
            let (ok, all) = (held.tally.ok, held.tally.judged());
            let measured = (all > 0).then(|| format!("{ok} of {all}"));
            let why = held.first_success.map(|first| format!("one that was sent at {first:+.3} succeeded"));
            let outcome = if why.is_some() { Outcome::Fail } else { Outcome::Pass };
            let doubt = doubt::of_step(probe, held).or_else(|| doubt::of_failures(found, probe));
            Finding { outcome, measured, why, predicted: None }.doubted_pass(doubt)
        });
        let judged = steps.max_by_key(|finding| finding.outcome);
        judged.unwrap_or_else(|| Finding::unknown("no fault was in effect"))
    })
}
