//! The rule on how long a probe's attempts take.
//!
//! An attempt that failed counts as slower than any answer: else the slowest would be left out
//! where it matters most.

use std::time::Duration;

use super::finding::Finding;
use super::of_probes::each_probe;
use super::{Outcome, validity};
use crate::analysis::findings::Latency;
use crate::analysis::{Disturbance, FaultFinding, Findings, Period, ProbeFinding};
use crate::experiment::During;
use crate::stats::{Quantile, Seconds};

/// What `latency` asks for.
pub(super) struct Limit<'a> {
    quantile: Quantile,
    at_most: Seconds,
    during: &'a During,
}

impl<'a> Limit<'a> {
    pub(super) fn new(quantile: Quantile, at_most: Duration, during: &'a During) -> Self {
        Self { quantile, at_most: at_most.into(), during }
    }

    /// When, in words.
    pub(super) fn when(&self) -> String {
        match self.during {
            During::Before => "before the fault".into(),
            During::Fault => "during the fault".into(),
            During::After => "after the undo".into(),
            During::Step(step) => format!("during {step}"),
        }
    }

    /// Whether it is judged in this period; `faults` are those of the run.
    fn means(&self, period: Period, faults: &[FaultFinding]) -> bool {
        match (self.during, period) {
            (During::Before, Period::Before) | (During::Fault, Period::Fault { .. }) => true,
            (During::Step(name), Period::Fault { step }) => faults
                .iter()
                .any(|fault| fault.name.as_ref() == Some(name) && fault.overlap == step),
            (During::After, Period::AfterUndo { step }) => {
                faults.last().is_some_and(|last| last.overlap == step)
            }
            _ => false,
        }
    }
}

pub(super) fn latency(found: &Findings, name: &str, limit: &Limit<'_>) -> Finding {
    each_probe(found, name, |probe| {
        let judge = |all: &[Latency]| {
            let meant = all.iter().filter(|one| limit.means(one.period, &found.faults));
            let judged = meant.map(|one| of_period(probe, one, limit));
            Finding::worst(judged, format!("no attempt of {name} {}", limit.when()))
        };
        let finding = judge(&probe.latency);
        let disturbed = probe.undisturbed_latency.as_ref().filter(|quiet| {
            finding.outcome != Outcome::Inconclusive
                && judge(&quiet.latency).outcome != finding.outcome
        });
        let why = disturbed.and_then(|quiet| quiet.disturbances.first()).map(Disturbance::words);
        finding.inconclusive_if(why).inconclusive_if(validity::of_lateness(probe))
    })
}

fn of_period(probe: &ProbeFinding, seen: &Latency, limit: &Limit<'_>) -> Finding {
    let (quantile, all) = (limit.quantile, seen.judged());
    let failed = match seen.failed {
        0 => format!("{all} attempts"),
        failed => format!("{all} attempts, {failed} failed"),
    };
    if quantile.rank(all).is_none() {
        let (name, fewest) = (quantile.name(), quantile.fewest());
        return Finding::unknown(format!("{name} needs {fewest} attempts, there were only {all}"));
    }
    // What the prober is late to send it may be as late to notice.
    let late = probe.lateness.p99;
    let finding = match seen.all.get(quantile) {
        None => Finding::failed("a failed attempt counts as slower than any answer")
            .measured(format!("no answer ({failed})")),
        Some(took) if took <= limit.at_most => Finding::passed(format!("{took} ({failed})")),
        Some(took) if took - late <= limit.at_most => Finding::unknown(format!(
            "the prober itself was {late} late (p99), which may explain the excess"
        ))
        .measured(format!("{took} ({failed})")),
        Some(took) => {
            Finding::failed("slower than expected").measured(format!("{took} ({failed})"))
        }
    };
    let start = seen.from.or(probe.asked.map(|asked| asked.earliest)).unwrap_or_default();
    let unreadable = validity::of_unreadable(probe, start, seen.until);
    finding
        .pass_inconclusive_if(validity::of_attempts(probe, probe.tally(seen.period), seen.until))
        .inconclusive_if(unreadable)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{found, one};
    use super::*;
    use crate::analysis::testing::{Run, attempt, file, span};
    use crate::experiment::Expectation;
    use crate::timeline::{Attempt, FaultPhase, Outcome as Answer, Phase};
    use Outcome::{Fail, Inconclusive, Pass};

    fn latency(quantile: Quantile, at_most: u64, during: During) -> Expectation {
        let at_most = Duration::from_millis(at_most);
        Expectation::Latency { probe: "web".into(), quantile, at_most, during }
    }

    /// An attempt every 20 ms from -5 s to +25 s, and a fault from 0 to 15 s; `took` is asked for
    /// the milliseconds of each, by the moment of its sending.
    fn probed(took: impl Fn(i64) -> Attempt) -> Findings {
        let attempts = (0..1500).map(|slot| {
            let attempt = took(slot as i64 * 20 - 5000);
            Attempt { slot, ..attempt }
        });
        let file = file(&span("web", 20, 1000), &[], attempts.collect());
        found(Run::new().endpoints(1, 1).kill(15_000).probe(file))
    }

    fn answered(ms: u64) -> Attempt {
        attempt(0, Answer::Ok, ms * 1000)
    }

    /// 200 ms in the fault, 5 ms before and after.
    fn slow() -> Findings {
        probed(|ms| answered(if (0..15_000).contains(&ms) { 200 } else { 5 }))
    }

    #[test]
    fn a_quantile_is_judged_in_its_period() {
        let found = slow();
        let during = |during| one(&found, latency(Quantile::P99, 100, during)).0;
        assert_eq!(
            [during(During::Before), during(During::Fault), during(During::After)],
            [Pass, Fail, Pass]
        );
        let at_most = |ms| one(&found, latency(Quantile::P99, ms, During::Fault)).0;
        assert_eq!([at_most(199), at_most(201)], [Fail, Pass]);
        let (outcome, why) = one(&found, latency(Quantile::P99, 100, During::Step("x".into())));
        assert_eq!((outcome, why.as_str()), (Inconclusive, "no attempt of web during x"));
    }

    #[test]
    fn a_failed_attempt_counts_as_slower_than_any_answer() {
        let found = probed(|ms| match ms {
            0..=999 => attempt(0, Answer::Timeout(Phase::Connect), 1_000_000),
            _ => answered(5),
        });
        let (outcome, why) = one(&found, latency(Quantile::P99, 900, During::Fault));
        assert_eq!(
            (outcome, why.as_str()),
            (Fail, "a failed attempt counts as slower than any answer")
        );
        assert_eq!(one(&found, latency(Quantile::P90, 900, During::Fault)).0, Pass);
    }

    #[test]
    fn too_few_attempts_decide_nothing() {
        let (outcome, why) = one(&slow(), latency(Quantile::P999, 100, During::Fault));
        assert_eq!(outcome, Inconclusive);
        assert_eq!(why, "p99.9 needs 1000 attempts, there were only 770");
    }

    #[test]
    fn the_prober_s_own_lateness_decides_nothing() {
        let found = probed(|_| Attempt { late_us: 8000, ..answered(200) });
        let at_most = |ms| one(&found, latency(Quantile::P50, ms, During::Fault));
        assert_eq!([at_most(191).0, at_most(195).0, at_most(201).0], [Fail, Inconclusive, Pass]);
        let (_, why) = at_most(195);
        assert_eq!(why, "the prober itself was 8ms late (p99), which may explain the excess");
    }

    #[test]
    fn what_was_slow_while_the_prober_stalled_decides_nothing() {
        // Timeouts that are noticed late, and answers that are as late.
        let found = probed(|ms| match ms {
            2000..=2199 => attempt(0, Answer::Timeout(Phase::FirstByte), 2_000_000),
            2200..=2400 => answered(900),
            _ => answered(5),
        });
        let (outcome, why) = one(&found, latency(Quantile::P99, 300, During::Fault));
        assert_eq!((outcome, why.starts_with("the prober stalled")), (Inconclusive, true), "{why}");
        assert_eq!(one(&found, latency(Quantile::P50, 300, During::Fault)).0, Pass);
    }

    #[test]
    fn only_a_latency_asks_for_that_of_a_prober_that_is_well() {
        let wanted = |expect| super::super::wanted(&[expect]).undisturbed_latency;
        assert!(wanted(latency(Quantile::P99, 300, During::Fault)));
        assert!(!wanted(Expectation::NoErrors { probe: "web".into() }));
    }

    #[test]
    fn a_run_that_was_cut_short_has_no_quantile() {
        let attempts = (0..500).map(|slot| Attempt { slot, ..answered(5) }).collect();
        let file = file(&span("web", 20, 1000), &[], attempts);
        let run = Run::new()
            .endpoints(1, 1)
            .fault_phase(0, "nodeKill", FaultPhase::Requested, "")
            .fault_phase(290, "nodeKill", FaultPhase::Confirmed, "")
            .probe(file);
        let found = crate::analysis::analyse(&run.build());
        let during = |during| one(&found, latency(Quantile::P99, 100, during)).0;
        assert_eq!([during(During::Fault), during(During::After)], [Inconclusive; 2]);
    }
}
