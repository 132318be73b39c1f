//! Lanes of what watches and observers recorded: nodes with their taints and heartbeats, the
//! endpoints of Services, pods, and the processes of the control plane.

use std::collections::BTreeMap;

use super::lane::{Extent, Lane, Span, Tone, not_observed, predicted};
use crate::analysis::{When, Zero, endpoints};
use crate::prediction::Quantity;
use crate::report::leaders;
use crate::report::view::View;
use crate::stats::Seconds;
use crate::timeline::{Change, Component, Event, NodeRole, ProcessState, Ready, Record};

/// Lanes of a kind.
const MOST_LANES: usize = 24;
/// Heartbeats that are closer than this part of the run are one.
const FINEST_TICK: i64 = 1500;

pub(super) fn lanes(view: &View<'_>, all: Extent) -> Vec<Lane> {
    let zero = Zero::of(view.timeline).0;
    let mut history = History::default();
    for record in &view.timeline.records {
        if zero.at(record.at) > all.to {
            break;
        }
        history.take(record, zero);
    }
    let services = history.service_lanes(view, all);
    let first = view.findings.faults.first().map_or(all.from, |fault| fault.requested);
    let groups = [
        Group { name: "nodes", watch: "nodes", lanes: nodes(history.nodes, view, all), quiet: 8 },
        Group { name: "Services", watch: "endpoints", lanes: services, quiet: 8 },
        Group { name: "pods", watch: "pods", lanes: lanes_of(history.pods, all), quiet: 6 },
        Group {
            name: "control plane",
            watch: "",
            lanes: lanes_of(history.components, all),
            quiet: 2,
        },
    ];
    groups.into_iter().flat_map(|group| group.bounded(view, all, first)).collect()
}

/// Things of a kind, which one watch follows.
struct Group {
    name: &'static str,
    watch: &'static str,
    lanes: Vec<Lane>,
    /// How many are shown that did not change.
    quiet: usize,
}

impl Group {
    /// Those that changed after the first fault, and some others. What is left out is counted.
    fn bounded(self, view: &View<'_>, all: Extent, first: Seconds) -> Vec<Lane> {
        let changed = |lane: &Lane| lane.spans.iter().any(|span| span.from > first);
        let gaps: Vec<Span> =
            view.findings.watch_gaps(self.watch).map(|gap| not_observed(&gap, all)).collect();
        let (mut shown, mut quiet, mut left) = (Vec::new(), 0, 0);
        let (some, others): (Vec<_>, Vec<_>) = self.lanes.into_iter().partition(changed);
        for mut lane in some.into_iter().chain(others) {
            let is_quiet = !changed(&lane);
            if shown.len() < MOST_LANES && !(is_quiet && quiet >= self.quiet) {
                lane.spans.extend_from_slice(&gaps);
                shown.push(Lane { group: self.name, ..lane });
                quiet += usize::from(is_quiet);
            } else {
                left += 1;
            }
        }
        if left > 0
            && let Some(last) = shown.last_mut()
        {
            last.note = format!("{} ({left} more not shown)", last.note).trim().into();
        }
        shown
    }
}

/// One thing, state after state.
#[derive(Default)]
struct Track {
    spans: Vec<Span>,
    brackets: Vec<Span>,
}

impl Track {
    fn set(&mut self, row: usize, when: When, state: Option<(Tone, String)>) {
        let last = self.spans.iter_mut().rfind(|span| span.row == row && span.to == OPEN);
        let unchanged = match (&last, &state) {
            (Some(span), Some((tone, text))) => span.tone == *tone && span.text == *text,
            (last, state) => last.is_none() && state.is_none(),
        };
        if unchanged {
            return;
        }
        last.into_iter().for_each(|span| span.to = when.latest);
        let what = state.as_ref().map_or("gone", |(_, text)| text);
        let bracket = Span::bracket(when, what).map(|bracket| Span { row, ..bracket });
        self.brackets.extend(bracket.filter(|_| !self.spans.is_empty()));
        self.spans.extend(
            state.map(|(tone, text)| Span { row, ..Span::new(when.latest, OPEN, tone, text) }),
        );
    }

    fn finish(mut self, all: Extent) -> (Vec<Span>, Vec<Span>) {
        let open = self.spans.iter_mut().filter(|span| span.to == OPEN);
        open.for_each(|span| span.to = all.to);
        (self.spans, self.brackets)
    }
}

/// The end of a state that still is.
const OPEN: Seconds = Seconds::from_nanos(i64::MAX);

#[derive(Default)]
struct History<'a> {
    nodes: BTreeMap<&'a str, NodeTrack>,
    services: BTreeMap<&'a str, ServiceTrack<'a>>,
    pods: BTreeMap<(&'a str, &'a str), Track>,
    /// By component and node.
    components: BTreeMap<(&'a str, &'a str), Track>,
}

#[derive(Default)]
struct ServiceTrack<'a> {
    ready: BTreeMap<&'a str, bool>,
    /// How many were ready, from when on.
    counts: Vec<(When, usize)>,
}

#[derive(Default)]
struct NodeTrack {
    track: Track,
    beats: Vec<Seconds>,
    reported: Option<jiff::Timestamp>,
}

impl<'a> History<'a> {
    fn take(&mut self, record: &'a Record, zero: Zero) {
        let when = zero.when(record.bracket());
        match &record.event {
            Event::Node { node, change, ready, reason, taints, heartbeat, .. } => {
                let seen = self.nodes.entry(node).or_default();
                let (tone, word) = match ready {
                    Ready::True => (Tone::Good, "Ready".to_owned()),
                    Ready::False => (Tone::Bad, format!("NotReady ({reason})")),
                    Ready::Unknown => (Tone::Bad, format!("Ready is Unknown ({reason})")),
                };
                let there = *change != Change::Deleted;
                seen.track.set(0, when, there.then_some((tone, word)));
                let taints: Vec<&str> =
                    taints.iter().filter_map(|taint| named_taint(taint)).collect();
                let taints =
                    (there && !taints.is_empty()).then(|| format!("taint {}", taints.join(", ")));
                seen.track.set(1, when, taints.map(|text| (Tone::Degraded, text)));
                if seen.reported.is_some() && seen.reported < *heartbeat {
                    seen.beats.push(when.latest);
                }
                seen.reported = *heartbeat;
            }
            Event::Lease { namespace, name, change: Change::Changed, .. }
                if namespace == "kube-node-lease" =>
            {
                self.nodes.entry(name).or_default().beats.push(when.latest);
            }
            Event::Endpoint { service, change, endpoint } => {
                let ServiceTrack { ready, counts } = self.services.entry(service).or_default();
                match change {
                    Change::Deleted => ready.remove(endpoints::key(endpoint)),
                    _ => ready.insert(endpoints::key(endpoint), endpoint.ready),
                };
                counts.push((when, ready.values().filter(|ready| **ready).count()));
            }
            Event::Pod { pod, change, phase, ready, identity, node } => {
                let on = node.as_ref().map_or(String::new(), |node| format!(" on {node}"));
                let state = match (phase.as_str(), ready) {
                    _ if *change == Change::Deleted => None,
                    _ if identity.ending => Some((Tone::Changing, "terminating".to_owned())),
                    ("Running", true) => Some((Tone::Good, format!("ready{on}"))),
                    ("Running", false) => Some((Tone::Degraded, format!("not ready{on}"))),
                    ("Pending", _) => match &identity.unschedulable {
                        Some(why) => Some((Tone::Bad, format!("pending: {why}"))),
                        None => Some((Tone::Changing, "pending".into())),
                    },
                    ("Succeeded", _) => Some((Tone::Plain, "succeeded".into())),
                    _ => Some((Tone::Bad, phase.to_lowercase())),
                };
                self.pods.entry((pod, "")).or_default().set(0, when, state);
            }
            Event::Process { node, component, state, .. } => {
                let tone = match state {
                    ProcessState::Running => Tone::Good,
                    ProcessState::Stopped | ProcessState::Gone => Tone::Bad,
                };
                let track = self.components.entry((component.name(), node)).or_default();
                track.set(0, when, Some((tone, leaders::state(*state).to_owned())));
            }
            Event::EtcdMember { node, answers, has_leader, is_leader, .. } => {
                let tone = if *has_leader { Tone::Good } else { Tone::Bad };
                let word = leaders::word(*answers, *has_leader, *is_leader);
                let track = self.components.entry((Component::Etcd.name(), node)).or_default();
                track.set(1, when, Some((tone, word.to_owned())));
            }
            Event::ObserverGap { node, until: Some(_), .. } => {
                let own = self.components.iter_mut().filter(|((_, on), _)| on == node);
                own.for_each(|(_, track)| {
                    track.brackets.extend(Span::bracket(when, "not observed: any change happened"))
                });
            }
            _ => {}
        }
    }

    fn service_lanes(&mut self, view: &View<'_>, all: Extent) -> Vec<Lane> {
        let fault = view.findings.faults.first();
        let lane = |(service, ServiceTrack { counts, .. }): (&str, ServiceTrack<'_>)| {
            let known = fault.and_then(|fault| Some(fault.service(service)?.endpoints as usize));
            let most = known.or(counts.iter().map(|(_, ready)| *ready).max()).unwrap_or(0);
            let mut track = Track::default();
            for (when, ready) in counts {
                let tone = match ready {
                    0 => Tone::Bad,
                    ready if ready < most => Tone::Degraded,
                    _ => Tone::Good,
                };
                let text = if ready < most {
                    format!("{ready} of {most} ready")
                } else {
                    format!("{ready} ready")
                };
                track.set(0, when, Some((tone, text)));
            }
            let predicted = fault.and_then(|fault| {
                let removal = Quantity::EndpointRemoval(service);
                let between = view.predictions.between(removal, fault.step).ok()?;
                Some(predicted("endpoints removed", fault.requested, between))
            });
            let (spans, brackets) = track.finish(all);
            let predicted = predicted.into_iter().collect();
            Lane {
                name: service.to_owned(),
                note: "endpoints".into(),
                spans,
                brackets,
                predicted,
                ..Lane::default()
            }
        };
        std::mem::take(&mut self.services).into_iter().map(lane).collect()
    }
}

/// A role's taint says nothing of what happened.
fn named_taint(taint: &str) -> Option<&str> {
    let taint = taint.strip_prefix("node.kubernetes.io/").unwrap_or(taint);
    (!taint.starts_with(NodeRole::CONTROL_PLANE_LABEL)).then_some(taint)
}

fn nodes(nodes: BTreeMap<&str, NodeTrack>, view: &View<'_>, all: Extent) -> Vec<Lane> {
    let finest = (all.to - all.from).as_nanos() / FINEST_TICK;
    let facts = &view.timeline.header.cluster.nodes;
    let lane = |(node, NodeTrack { track, beats, .. }): (&str, NodeTrack)| {
        let role = facts.iter().find(|facts| facts.name == node).map(|facts| facts.role.name());
        let hit = view.findings.faults.iter().find(|fault| fault.target == node);
        let predicted = hit.and_then(|fault| {
            let between = view.predictions.between(Quantity::Detection, fault.step).ok()?;
            Some(predicted("detection", fault.requested, between))
        });
        let mut ticks: Vec<Seconds> = Vec::new();
        for beat in beats {
            if ticks.last().is_none_or(|last| (beat - *last).as_nanos() >= finest) {
                ticks.push(beat);
            }
        }
        let (spans, brackets) = track.finish(all);
        let note = role.unwrap_or_default().to_owned();
        let predicted: Vec<Span> = predicted.into_iter().collect();
        Lane { name: node.to_owned(), note, spans, brackets, ticks, predicted, ..Lane::default() }
    };
    let mut lanes: Vec<Lane> = nodes.into_iter().map(lane).collect();
    lanes.sort_by_key(|lane| !view.findings.faults.iter().any(|fault| fault.target == lane.name));
    lanes
}

fn lanes_of(tracks: BTreeMap<(&str, &str), Track>, all: Extent) -> Vec<Lane> {
    let lane = |((name, node), track): ((&str, &str), Track)| {
        let (spans, brackets) = track.finish(all);
        let note = if node.is_empty() { String::new() } else { format!("on {node}") };
        Lane { name: name.to_owned(), note, spans, brackets, ..Lane::default() }
    };
    tracks.into_iter().map(lane).collect()
}
