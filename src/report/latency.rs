//! How long attempts took, in words: a line where the fault made no difference, else a line a
//! period.

use super::style::Style;
use super::table::{UNBROKEN, table};
use super::text::{dim, hang, width};
use crate::analysis::findings::{BackendLatency, Latency, Quantiles};
use crate::analysis::{Findings, Period, ProbeFinding};
use crate::stats::Seconds;

/// How it is counted, for those who compare it with other tools.
const METHOD: &str = "from sending to the end of the answer; open loop, so nothing is corrected";

/// What takes more than twice as long, and this much longer, is slower.
const LEAST_SLOWER: Seconds = Seconds::from_nanos(10_000_000);
/// A backend is compared with others by this many answers at least.
const FEWEST_ANSWERS: u64 = 10;

fn is_slower(one: Option<Seconds>, other: Option<Seconds>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    one > other + other && one > other + LEAST_SLOWER
}

/// `p50 5ms, p90 7ms, p99 212ms, max 1.02s of 714`.
fn quantiles(all: &Quantiles) -> String {
    let shown = [("p50", all.p50), ("p90", all.p90), ("p99", all.p99), ("max", all.max)];
    let shown = shown.into_iter().filter_map(|(name, took)| Some(format!("{name} {}", took?)));
    let of = if all.count > 0 { " of " } else { "" };
    format!("{}{of}{}", shown.collect::<Vec<_>>().join(", "), all.count)
}

/// `p50 5ms, p90 7ms, p99 212ms, max 1.02s of 714 answered; 36 failed, 30 of them timed out`.
pub(super) fn figures(latency: &Latency) -> String {
    let failed = match (latency.failed, latency.timed_out) {
        (0, _) => String::new(),
        (failed, 0) => format!("; {failed} failed"),
        (failed, timed_out) if failed == timed_out => format!("; {failed} timed out"),
        (failed, timed_out) => format!("; {failed} failed, {timed_out} of them timed out"),
    };
    format!("{} answered{failed}", quantiles(&latency.answered))
}

/// `before`, `during`, `after`; of several faults `during nodeKill (step 2)`, or the step's name.
pub(super) fn label(found: &Findings, period: Period) -> String {
    let many = found.faults.iter().any(|fault| fault.overlap != found.faults[0].overlap);
    let of = |step: u32| {
        let fault = found.faults.iter().find(|fault| many && fault.overlap == step);
        fault.map_or(String::new(), |fault| match &fault.name {
            Some(name) => format!(" {name}"),
            None => format!(" {} (step {step})", fault.kind),
        })
    };
    match period {
        Period::Settling | Period::Before => "before".into(),
        Period::Fault { step } => format!("during{}", of(step)),
        Period::AfterUndo { step } => format!("after{}", of(step)),
    }
}

/// The slowest of the faults' periods, where none since the first fault was slower than before.
fn unchanged(probe: &ProbeFinding) -> Option<&Latency> {
    let before = &probe.latency_in(Period::Before)?.answered;
    let since = || probe.latency.iter().filter(|one| one.period != Period::Before);
    let slower = |one: &Quantiles| {
        let pairs = [(one.p50, before.p50), (one.p90, before.p90), (one.p99, before.p99)];
        pairs.into_iter().any(|(one, before)| is_slower(one, before))
    };
    let faults = since().filter(|one| matches!(one.period, Period::Fault { .. }));
    let slowest = faults.max_by_key(|one| (one.answered.p99, one.answered.max))?;
    (before.count > 0 && !since().any(|one| slower(&one.answered))).then_some(slowest)
}

/// With phases and backends, as lines of a description.
pub(super) fn describe(found: &Findings, probe: &ProbeFinding) -> Vec<String> {
    let of = |one: &Latency| {
        let phases = one.phases().map(|(name, took)| format!("  {name} {}", quantiles(took)));
        let backend =
            |one: &BackendLatency| format!("  {} {}", one.backend, quantiles(&one.answered));
        let head = format!("latency {}: {}", label(found, one.period), figures(one));
        let lines: Vec<String> =
            [head].into_iter().chain(phases).chain(one.backends.iter().map(backend)).collect();
        lines
    };
    probe.latency.iter().flat_map(of).collect()
}

/// Below a probe's failures: a line a period where one was slower than before, else one.
pub(super) fn block(found: &Findings, probe: &ProbeFinding, style: &Style) -> String {
    match unchanged(probe) {
        _ if probe.latency.iter().all(|one| one.answered.count == 0) => String::new(),
        Some(worst) => {
            let text = format!("latency not significantly higher than before: {}", figures(worst));
            hang("    ", &text, style.width)
        }
        None => {
            let method = hang("    ", METHOD, style.width);
            format!("{}{}\n", periods(found, probe, style), dim(method.trim_end(), style))
        }
    }
}

fn periods(found: &Findings, probe: &ProbeFinding, style: &Style) -> String {
    let cell = |took: Option<Seconds>| took.map_or("-".into(), |took: Seconds| took.to_string());
    let phases = probe.latency.iter().any(|one| slow_phase(one).is_some());
    let row = |one: &Latency| {
        let Quantiles { count, p50, p90, p99, max, .. } = one.answered;
        let mut row = vec![label(found, one.period)];
        row.extend([p50, p90, p99, max].map(cell));
        row.extend([count.to_string(), one.failed.to_string()]);
        row.extend(slow_phase(one).map(str::to_owned));
        row
    };
    let mut header = vec!["LATENCY", "P50", "P90", "P99", "MAX", "ANSWERED", "FAILED"];
    header.extend(phases.then_some("SLOW IN"));
    let table = table(UNBROKEN, header, probe.latency.iter().map(row));
    let fits = table.lines().all(|line| width(line) + 4 <= style.width);
    let lines = |one: &Latency| {
        hang(
            "    ",
            &format!("latency {}: {}", label(found, one.period), figures(one)),
            style.width,
        )
    };
    let mut out: String = match fits {
        true => table.lines().map(|line| format!("    {line}\n")).collect(),
        false => probe.latency.iter().map(lines).collect(),
    };
    for one in &probe.latency {
        if let Some((slow, other)) = slow_backend(one) {
            let (name, label) = (&slow.backend, label(found, one.period));
            let took = quantiles(&slow.answered);
            let text =
                format!("slow backend {name} ({label}): {took} answered; others p50 {other}");
            out.push_str(&hang("    ", &text, style.width));
        }
    }
    out
}

/// The phase that took at least half of the time of the slowest answers.
fn slow_phase(latency: &Latency) -> Option<&'static str> {
    let slow = |all: &Quantiles| all.p99.or(all.max);
    let whole = slow(&latency.answered).filter(|whole| *whole > LEAST_SLOWER)?;
    let (name, took) = latency.phases().max_by_key(|(_, all)| slow(all))?;
    slow(took).filter(|took| *took + *took >= whole).map(|_| name)
}

/// The slowest backend, and the median of the next one, where that is much faster.
fn slow_backend(latency: &Latency) -> Option<(&BackendLatency, Seconds)> {
    let mut backends: Vec<&BackendLatency> =
        latency.backends.iter().filter(|one| one.answered.count >= FEWEST_ANSWERS).collect();
    backends.sort_by_key(|one| one.answered.p50);
    let [.., other, slow] = backends[..] else { return None };
    let far = is_slower(slow.answered.p50, other.answered.p50);
    other.answered.p50.filter(|_| far).map(|other| (slow, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::analyse;
    use crate::analysis::testing::{Run, attempt, file, span};
    use crate::timeline::attempts::Phases;
    use crate::timeline::{Attempt, Outcome, Phase};

    /// An attempt every 20 ms from -5 s to +25 s, answered by two backends in turn, and a fault from
    /// 0 to 15 s.
    fn probed(took: impl Fn(i64, u32) -> Attempt) -> Findings {
        let attempt = |slot: u64| {
            let backend = (slot % 2) as u32;
            Attempt { slot, ..took(slot as i64 * 20 - 5000, backend) }
        };
        let file =
            file(&span("web", 20, 2000), &["web-0", "web-1"], (0..1500).map(attempt).collect());
        analyse(&Run::new().endpoints(2, 1).kill(15_000).probe(file).ended(27_000).build())
    }

    fn answered(backend: u32, connect_us: u64) -> Attempt {
        let phases = Phases { connect_us, first_byte_us: 4000, ..Phases::default() };
        Attempt { phases, backend: Some(backend), ..attempt(0, Outcome::Ok, 0) }
    }

    fn shown(found: &Findings, width: usize) -> String {
        let text = block(found, &found.probes[0], &Style { width, ..Style::default() });
        assert!(text.lines().all(|line| line.len() <= width), "{text}");
        text
    }

    #[test]
    fn what_the_fault_left_as_fast_is_one_line() {
        let found = probed(|_, backend| answered(backend, 1000));
        let text = "    latency not significantly higher than before: p50 5ms, p90 5ms, p99 5ms, max 5ms of 770 answered\n";
        assert_eq!(shown(&found, 100), text);
        let during = &found.probes[0].latency[1];
        assert_eq!(label(&found, during.period), "during");
        assert_eq!(figures(during), "p50 5ms, p90 5ms, p99 5ms, max 5ms of 770 answered");
    }

    #[test]
    fn what_became_slower_is_a_line_a_period_and_names_phase_and_backend() {
        let found = probed(|ms, backend| match ms {
            0..=999 => attempt(0, Outcome::Timeout(Phase::Connect), 2_000_000),
            1000..=14_999 if backend == 1 => answered(1, 1_000_000),
            _ => answered(backend, 1000),
        });
        let table = [
            "    LATENCY   P50   P90   P99   MAX   ANSWERED   FAILED   SLOW IN",
            "    before    5ms   5ms   5ms   5ms   250        0",
            "    during    5ms   1s    1s    1s    720        50       connect",
            "    after     5ms   5ms   5ms   5ms   480        0",
            "    slow backend web-1 (during): p50 1s, p90 1s, p99 1s, max 1s of 360 answered; others p50 5ms",
            "    from sending to the end of the answer; open loop, so nothing is corrected",
        ];
        assert_eq!(shown(&found, 100).lines().collect::<Vec<_>>(), table);
        let narrow = "    latency during: p50 5ms, p90 1s, p99 1s, max 1s of 720\n    answered; 50 timed out\n";
        assert!(shown(&found, 60).contains(narrow), "{}", shown(&found, 60));
        let described = describe(&found, &found.probes[0]);
        assert_eq!(
            described[0],
            "latency before: p50 5ms, p90 5ms, p99 5ms, max 5ms of 250 answered"
        );
        assert!(
            described.contains(&"  connect p50 1ms, p90 1s, p99 1s, max 1s of 720".into()),
            "{described:?}"
        );
        assert!(
            described.contains(&"  web-1 p50 1s, p90 1s, p99 1s, max 1s of 360".into()),
            "{described:?}"
        );
    }

    #[test]
    fn a_probe_that_was_never_answered_has_no_latency() {
        let found = probed(|_, _| attempt(0, Outcome::Refused, 100));
        assert_eq!(shown(&found, 80), "");
    }
}
