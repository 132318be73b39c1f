//! Lanes of what the analysis found: stages and steady state, faults, leaders, and what was not
//! observed.

use std::collections::BTreeMap;

use super::lane::{Extent, Lane, Span, Tone, not_observed, predicted};
use crate::analysis::{FaultFinding, LeaderFinding, Warning, When, Zero};
use crate::prediction::Quantity;
use crate::report::view::View;
use crate::stats::Seconds;
use crate::timeline::{Component, Event};

pub(super) fn of_findings(view: &View<'_>, all: Extent) -> Vec<Lane> {
    let faults = view.findings.faults.iter().map(|fault| of_fault(fault, all));
    // Without an observer nothing is known but what the first lease said.
    let seen = |leaders: &&LeaderFinding| {
        let blind = leaders.blind.iter().any(|time| time.until.is_none());
        !(blind && leaders.gaps.is_empty() && leaders.old.is_empty())
    };
    let led = view.findings.leaders.iter().filter(seen);
    let leaders = led.map(|leaders| of_leaders(leaders, all));
    [run(view, all)].into_iter().chain(faults).chain(leaders).chain(gaps(view, all)).collect()
}

fn run(view: &View<'_>, all: Extent) -> Lane {
    let (found, zero) = (view.findings, Zero::of(view.timeline).0);
    let mut spans: Vec<Span> = Vec::new();
    for record in &view.timeline.records {
        if let Event::Stage { name } = &record.event {
            let at = zero.at(record.at);
            spans.iter_mut().next_back().into_iter().for_each(|span| span.to = at);
            spans.push(Span::new(at, all.to, Tone::Plain, name));
        }
    }
    spans.retain(|span| span.from < all.to);
    let first = found.faults.first().map_or(all.to, |fault| fault.requested);
    let steady = [(&found.steady_before, first), (&found.steady_after, all.to)];
    spans.extend(steady.into_iter().filter_map(|(steady, to)| {
        let steady = steady.as_ref()?;
        let (from, tone, text) = match steady.held_since {
            Some(since) => (since, Tone::Good, "steady state"),
            None => (steady.confirmed, Tone::Bad, "steady state not reached"),
        };
        Some(Span { row: 1, ..Span::new(from, to, tone, text) })
    }));
    let recovery = found.last_undone_fault().zip(found.last_undone()).and_then(|(last, undone)| {
        let between = view.predictions.between(Quantity::Recovery, last.step).ok()?;
        Some(predicted("steady state back", undone, between))
    });
    let back = found.recovered().and_then(|when| {
        Some(Span { row: 1, ..Span::bracket(when, "the steady state came back")? })
    });
    Lane {
        group: "run",
        name: "stages".into(),
        note: "and steady state".into(),
        spans,
        predicted: recovery.into_iter().collect(),
        brackets: back.into_iter().collect(),
        ..Lane::default()
    }
}

/// Requested, in effect, being undone.
fn of_fault(fault: &FaultFinding, all: Extent) -> Lane {
    let words = fault.kind.traits().words;
    let seen = fault.seen().map(|seen| seen.at);
    let undo = fault.undo_requested.unwrap_or(all.to);
    let over = fault.over().unwrap_or(all.to);
    let mut spans = Vec::new();
    let mut add = |from: Seconds, to: Seconds, tone, text: &str| {
        if to > from {
            spans.push(Span::new(from, to, tone, text));
        }
    };
    match seen {
        Some(seen) => {
            add(fault.requested, seen.min(over), Tone::Changing, words.request);
            let until = fault.wore_off.as_ref().map_or(undo, |wore_off| wore_off.at).min(over);
            add(seen, until.max(seen), Tone::Fault, &format!("in effect: {}", words.effect));
            add(undo.max(seen), over, Tone::Changing, "being undone");
        }
        None => {
            add(fault.requested, undo, Tone::Unknown, "requested, not seen to take effect");
            add(undo, over, Tone::Changing, "being undone");
        }
    }
    if let Some(failed) = &fault.not_undone {
        add(failed.at, all.to, Tone::Bad, "NOT UNDONE");
    } else if fault.undone.is_some() {
        add(over, all.to, Tone::Good, "undone");
    }
    let target = Component::on(fault.component, &fault.target);
    Lane { group: "faults", name: fault.kind.to_string(), note: target, spans, ..Lane::default() }
}

fn of_leaders(leaders: &LeaderFinding, all: Extent) -> Lane {
    let latest = |when: Option<When>| when.map_or(all.to, |when| when.latest);
    let mut lane =
        Lane { group: "leaders", name: leaders.component.name().into(), ..Lane::default() };
    let held = leaders.held.iter().map(|term| {
        let from = term.from.map_or(all.from, |when| when.latest);
        Span::new(from, latest(term.until), Tone::Good, format!("{} leads", term.node))
    });
    let gaps = leaders.gaps.iter().map(|gap| {
        Span::new(
            gap.from.latest,
            latest(gap.until),
            Tone::Bad,
            format!("no leader: {}", gap.loss.words()),
        )
    });
    let blind = leaders.blind.iter().map(|blind| not_observed(blind, all));
    let old = leaders.old.iter().map(|old| {
        let text = format!("{} still runs, although {} leads", old.node, old.next);
        Span { row: 1, ..Span::new(old.from.latest, latest(old.until), Tone::Degraded, text) }
    });
    lane.spans = held.chain(gaps).chain(blind).chain(old).collect();
    let changes = leaders.gaps.iter().flat_map(|gap| {
        let back = gap.until.and_then(|until| Span::bracket(until, "a leader came back"));
        [Span::bracket(gap.from, "the leader was lost"), back]
    });
    lane.brackets = changes.flatten().collect();
    lane
}

/// Watches that were down after the first fault, and records that could not be read. Watches that were
/// down at the same times, as all are while the API server is away, have one lane.
fn gaps(view: &View<'_>, all: Extent) -> Vec<Lane> {
    let mut watches: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    for warning in &view.findings.warnings {
        if let Warning::WatchGap { watch, from, until, reason } = warning {
            let text = format!("watch down: {reason}");
            let span = Span::new(*from, until.unwrap_or(all.to), Tone::Unknown, text);
            watches.entry(watch).or_default().push(span);
        }
    }
    let mut together: Vec<(Vec<&str>, Vec<Span>)> = Vec::new();
    for (watch, spans) in watches {
        match together.iter_mut().find(|(_, others)| are_alike(others, &spans)) {
            Some((names, others)) => {
                names.push(watch);
                for (all, one) in others.iter_mut().zip(&spans) {
                    (all.from, all.to) = (all.from.min(one.from), all.to.max(one.to));
                }
            }
            None => together.push((vec![watch], spans)),
        }
    }
    let watches = together.into_iter().map(|(names, spans)| match &names[..] {
        [one] => Lane { name: format!("watch of {one}"), spans, ..Lane::default() },
        all => Lane {
            name: format!("{} watches", all.len()),
            note: format!("of {}", all.join(", ")),
            spans,
            ..Lane::default()
        },
    });
    let unread = view.findings.unreadable.iter();
    let unread = unread.map(|time| not_observed(&time.unobserved(all.from), all)).collect();
    let unread = Lane { name: "records".into(), spans: unread, ..Lane::default() };
    watches.chain([unread]).map(|lane| Lane { group: "gaps", ..lane }).collect()
}

/// Whether two watches were down at the same times, give or take a second.
fn are_alike(some: &[Span], others: &[Span]) -> bool {
    let near = |a: Seconds, b: Seconds| (a - b).as_f64().abs() <= 1.0;
    let mut pairs = some.iter().zip(others);
    some.len() == others.len() && pairs.all(|(a, b)| near(a.from, b.from) && near(a.to, b.to))
}
