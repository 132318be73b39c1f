//! Who led the parts of the control plane: lines of the chain, and at length.

use std::fmt::{self, Write};

use super::line::Line;
use crate::analysis::{Findings, LeaderFinding, LeaderGap, LeaderLoss, OldLeader, When};
use crate::stats::Seconds;
use crate::timeline::ProcessState;

pub(super) fn state(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Running => "runs",
        ProcessState::Stopped => "is frozen",
        ProcessState::Gone => "is gone",
    }
}

/// What an etcd member says of itself.
pub(super) fn word(answers: bool, has_leader: bool, is_leader: bool) -> &'static str {
    match (answers, has_leader, is_leader) {
        (false, ..) => "does not answer",
        (_, _, true) => "leads",
        (_, true, false) => "follows",
        (_, false, false) => "knows of no leader",
    }
}

/// What changed from the first fault on.
pub(super) fn lines(found: &Findings) -> Vec<Line> {
    let Some(first) = found.faults.first().map(|fault| fault.requested) else { return Vec::new() };
    found.leaders.iter().flat_map(|leaders| of_part(leaders, first)).collect()
}

fn of_part(leaders: &LeaderFinding, first: Seconds) -> Vec<Line> {
    let (part, mut lines) = (leaders.component.name(), Vec::new());
    for gap in leaders.gaps.iter().filter(|gap| gap.until.is_none_or(|until| until.latest > first))
    {
        lines.push(Line::of(
            gap.from,
            "leader lost",
            format!("{part} on {}: {}", gap.node, gap.loss.words()),
        ));
        lines.extend(gap.until.map(|until| led_again(gap, until, part)));
    }
    for old in leaders.old.iter().filter(|old| old.until.is_none_or(|until| until.latest > first)) {
        let beside = format!("{part} on {} still runs, although {} leads", old.node, old.next);
        lines.push(Line::of(old.from, "two leaders", beside));
        let gave_up = |until| {
            Line::of(
                until,
                "old leader gone",
                format!("{part} on {}, after {}", old.node, old.length),
            )
        };
        lines.extend(old.until.map(gave_up));
    }
    lines
}

/// The same process goes on, or another leads: on the same node, it is a new one.
fn led_again(gap: &LeaderGap, until: When, part: &str) -> Line {
    let same_node = gap.next.as_ref() == Some(&gap.node);
    let goes_on = same_node
        && !matches!(gap.loss, LeaderLoss::Gone | LeaderLoss::GivenBack | LeaderLoss::Unseen);
    let next = if same_node { "the same node" } else { gap.next.as_deref().unwrap_or_default() };
    Line::of(
        until,
        if goes_on { "leads again" } else { "new leader" },
        format!("{part} on {next}, after {} without a leader", gap.length),
    )
}

/// All that is known of each part, for `describe run`; nothing where nothing is.
pub(super) fn describe(found: &Findings, out: &mut String) -> fmt::Result {
    if found.leaders.is_empty() {
        return Ok(());
    }
    writeln!(out, "Leaders:")?;
    for leaders in &found.leaders {
        writeln!(out, "  {}: {}", leaders.component.name(), held(leaders))?;
        leaders.gaps.iter().try_for_each(|gap| of_gap(gap, out))?;
        leaders.old.iter().try_for_each(|old| of_old(old, out))?;
        for blind in &leaders.blind {
            let until = blind.until.map_or("the end".into(), |until| format!("{until:+.3}"));
            writeln!(out, "    not seen {:+.3} to {until}: {}", blind.from, blind.why)?;
        }
    }
    Ok(())
}

/// `a, b from +16.500`.
fn held(leaders: &LeaderFinding) -> String {
    let from = |tenure: &crate::analysis::findings::LeaderTerm| match tenure.from {
        Some(from) => format!("{} from {:+.3}", tenure.node, from.latest),
        None => tenure.node.clone(),
    };
    leaders.held.iter().map(from).collect::<Vec<_>>().join(", ")
}

fn of_gap(gap: &LeaderGap, out: &mut String) -> fmt::Result {
    let end = gap.until.map_or("to the end".into(), |until| format!("to {:+.3}", until.latest));
    let lost = gap.loss.words();
    writeln!(
        out,
        "    none from {:+.3} {end}, for {} ({lost} on {})",
        gap.from.latest, gap.length, gap.node
    )
}

fn of_old(old: &OldLeader, out: &mut String) -> fmt::Result {
    let end = old.until.map_or("to the end".into(), |until| format!("to {:+.3}", until.latest));
    writeln!(
        out,
        "    two from {:+.3} {end}, for {}: {} kept running alongside {}",
        old.from.latest, old.length, old.node, old.next
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{analyse, testing};
    use crate::stats::Between;
    use crate::timeline::Component;

    fn when(earliest: f64, latest: f64) -> When {
        When { earliest: testing::s(earliest), latest: testing::s(latest) }
    }

    fn found() -> Findings {
        let mut found = analyse(&testing::article().build());
        let (from, until) = (when(0.1, 0.15), when(16.5, 16.5));
        let gap = LeaderGap {
            node: "a".into(),
            loss: LeaderLoss::Frozen,
            from,
            until: Some(until),
            next: Some("b".into()),
            length: Between::new(testing::s(16.35), testing::s(16.4)),
        };
        let (from, until) = (when(20.0, 20.05), Some(when(20.2, 20.25)));
        let length = Between::new(testing::s(0.15), testing::s(0.25));
        let old = OldLeader { node: "a".into(), next: "b".into(), from, until, length };
        let tenure = |node: &str, from| crate::analysis::findings::LeaderTerm {
            node: node.into(),
            from,
            until: None,
        };
        let blind = crate::analysis::findings::Unobserved {
            from: testing::s(22.0),
            until: None,
            why: "no observer on b".into(),
        };
        let (held, blind) =
            (vec![tenure("a", None), tenure("b", Some(when(16.5, 16.5)))], vec![blind]);
        let (component, control_planes) = (Component::Scheduler, vec!["a".into(), "b".into()]);
        found.leaders = vec![LeaderFinding {
            component,
            control_planes,
            held,
            gaps: vec![gap],
            old: vec![old],
            blind,
        }];
        found
    }

    #[test]
    fn the_chain_tells_who_led() {
        let said: Vec<String> = lines(&found())
            .iter()
            .map(|line| format!("{:+.3} {}: {}", line.at, line.label, line.text))
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        +0.150s leader lost: kube-scheduler on a: it was frozen
        +16.500s new leader: kube-scheduler on b, after 16.35s to 16.4s without a leader
        +20.050s two leaders: kube-scheduler on a still runs, although b leads
        +20.250s old leader gone: kube-scheduler on a, after 150ms to 250ms
        ");
    }

    #[test]
    fn a_description_has_it_at_length() {
        let mut out = String::new();
        describe(&found(), &mut out).unwrap();
        insta::assert_snapshot!(out, @r"
        Leaders:
          kube-scheduler: a, b from +16.500s
            none from +0.150s to +16.500s, for 16.35s to 16.4s (it was frozen on a)
            two from +20.050s to +20.250s, for 150ms to 250ms: a kept running alongside b
            not seen +22.000s to the end: no observer on b
        ");
    }
}
