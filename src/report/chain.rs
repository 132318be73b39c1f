//! What happened, by time: one line a moment, each with its uncertainty.

use std::collections::BTreeMap;

use super::line::Line;
use super::text::count;
use crate::analysis::findings::{
    Burst, Ending, EndpointFinding, KeptConnections, KeptEnd, LateFinding,
};
use crate::analysis::{Completion, FaultFinding, Findings, Period, ServiceFinding, When, Window};
use crate::prediction::{Predictions, Quantity};
use crate::stats::{Between, Seconds};
use crate::timeline::{Component, Event, FaultKind, Impact, Timeline, few};

/// All moments of a run, sorted.
pub fn lines(timeline: &Timeline, found: &Findings, predictions: &Predictions) -> Vec<Line> {
    let mut lines = Vec::new();
    for fault in &found.faults {
        of_fault(fault, found, predictions, &mut lines);
    }
    let many = found.probes.iter().filter(|probe| !probe.control).count() > 1;
    for probe in found.probes.iter().filter(|probe| !probe.control) {
        let asked = Asked {
            name: if many { format!("{}: ", probe.name) } else { String::new() },
            canary: probe.is_canary(),
        };
        for (number, window) in probe.windows.iter().enumerate() {
            let before = number.checked_sub(1).map(|before| &probe.windows[before]);
            of_window(window, before, &asked, &mut lines);
        }
        lines.extend(probe.kept.iter().map(|kept| of_kept(kept, &asked.name)));
        lines.extend(probe.late.iter().filter_map(|late| caught_up(late, found, &asked.name)));
    }
    lines.extend(pending(found));
    lines.extend(super::leaders::lines(found));
    lines.extend(other_nodes(found));
    lines.extend(steady(found, predictions));
    let shown = lines.iter().map(|line| line.at).max();
    lines.extend(cut_short(timeline, found, shown));
    // What a watch showed is as uncertain as the watches were late.
    for line in &mut lines {
        line.uncertainty = line.uncertainty.max(found.delivered_within(line.at));
    }
    lines.sort_by_key(|line| line.at);
    // What the faults of one step have in common is one line.
    let mut seen = Vec::new();
    lines.retain(|line| {
        let news = !seen.contains(line);
        seen.push(line.clone());
        news
    });
    lines
}

fn of_fault(
    fault: &FaultFinding,
    found: &Findings,
    predictions: &Predictions,
    lines: &mut Vec<Line>,
) {
    let words = fault.kind.traits().words;
    let hit = found.probes.iter().filter(|_| fault.knows_hits());
    let hit = hit.filter_map(|probe| fault.service_of(probe)).fold(Vec::new(), distinct);
    let hit: Vec<String> = hit
        .iter()
        .map(|s| {
            format!(
                ", {} of {} of {}",
                s.hit.len(),
                count(s.endpoints.into(), "endpoint"),
                s.service
            )
        })
        .collect();
    lines.push(Line::new(
        fault.requested,
        words.request,
        format!("{}{}", target(fault), hit.concat()),
    ));
    lines.extend(
        fault.also_hit.iter().map(|seen| Line::new(seen.at, "also hit", seen.what.clone())),
    );
    lines.extend(fault.waits.iter().map(|seen| Line::new(seen.at, "waits", seen.what.clone())));
    lines.extend(effect(fault));
    lines.extend(detected(fault, predictions));
    let noticed = fault.notices.iter().find(|notice| notice.what == "NodeNotReady");
    lines.extend(noticed.map(|notice| {
        Line::new(notice.at, "event", format!("NodeNotReady{}", stamped(notice.own_time)))
    }));
    for service in &fault.services {
        let predicted =
            predictions.between(Quantity::EndpointRemoval(&service.service), fault.step).ok();
        of_service(service, predicted_text(predicted, fault.requested, ""), lines);
    }
    lines.extend(of_pods(fault, found));
    if let Some(gone) = fault.gone() {
        let ready = fault.node.ready_again.filter(|when| when.latest >= gone.latest);
        let ready = ready.map_or(String::new(), |when| {
            let late = found.delivered_within(when.latest);
            let late = late.map_or(String::new(), |late| format!(" ≤ {late}"));
            format!(", Ready at {:+.3}{late}", when.latest)
        });
        let by_timer = fault.undone_earliest.map_or("", |_| " by the node's own timer");
        // Who undid what nobody saw has started nothing.
        let what = fault.seen().map_or("no effect was seen", |_| words.undo);
        lines.push(Line::of(gone, "undone", format!("{what}{by_timer}{ready}")));
    }
    lines.extend(
        fault.not_undone.as_ref().map(|seen| Line::new(seen.at, "NOT UNDONE", seen.what.clone())),
    );
}

/// Pods that were restarted, and replacements of those that a fault hit.
fn of_pods(fault: &FaultFinding, found: &Findings) -> Vec<Line> {
    let step = || {
        found
            .faults
            .iter()
            .filter(|other| other.step == fault.step)
            .flat_map(|fault| &fault.services)
    };
    let replaced = fault.services.iter().filter_map(|service| {
        let hit: usize = step()
            .filter(|other| other.service == service.service)
            .map(|other| other.hit.len())
            .sum();
        let text = format!("{} ready", count(hit as u64, "replacement endpoint"));
        service
            .replaced
            .map(|when| Line::of(when, "rescheduled", format!("{}: {text}", service.service)))
    });
    let restarted = found.pods.iter().filter(|pod| pod.pod == fault.target).filter_map(|pod| {
        pod.restarted.map(|when| {
            Line::of(when, "restarted", format!("{}: container restarted in place", pod.pod))
        })
    });
    replaced.chain(restarted).collect()
}

/// New pods for which the scheduler found no node, one line for those of which it said the same.
fn pending(found: &Findings) -> Vec<Line> {
    let mut by_reason: BTreeMap<&str, Vec<(&str, When)>> = BTreeMap::new();
    for pod in &found.pods {
        if let (Some(why), Some(appeared)) = (&pod.unschedulable, pod.appeared) {
            by_reason.entry(why).or_default().push((&pod.pod, appeared));
        }
    }
    let line = |(why, pods): (&str, Vec<(&str, When)>)| {
        let names: Vec<&str> = pods.iter().map(|(name, _)| *name).collect();
        Some(Line::of(pods.first()?.1, "pending", format!("{}: {why}", few(&names))))
    };
    by_reason.into_iter().filter_map(line).collect()
}

fn distinct<'a>(
    mut list: Vec<&'a ServiceFinding>,
    service: &'a ServiceFinding,
) -> Vec<&'a ServiceFinding> {
    if !list.iter().any(|known| known.service == service.service) {
        list.push(service);
    }
    list
}

fn target(fault: &FaultFinding) -> String {
    if matches!(fault.kind.traits().impact, Impact::Kubelet | Impact::KubeletSlow) {
        return format!("the kubelet of {}", fault.target);
    }
    Component::on(fault.component, &fault.target)
}

/// Kubernetes' own stamp, in whole seconds.
fn stamped(own: Option<Seconds>) -> String {
    own.map_or(String::new(), |own| {
        format!(", stamped {own:+.1} to {:+.1}", own + Seconds::from_f64(1.0))
    })
}

/// The container engine's event where there is one, else what the fault itself saw.
fn effect(fault: &FaultFinding) -> Option<Line> {
    let (label, impact) = (fault.kind.traits().words.effect, fault.kind.traits().impact);
    let engine_text =
        if impact == Impact::MachineFrozen { "container paused" } else { "container died" };
    // `docker stop` kills what has not ended in time: 128 + 9.
    let killed = fault.kind == FaultKind::NodeStop
        && fault.engine_saw().is_some_and(|seen| seen.exit_code == Some(137));
    match (fault.engine_saw(), &fault.confirmed) {
        (Some(seen), _) if killed => Some(Line::new(
            seen.at,
            label,
            format!("{engine_text}: it had not shut down in time, and was killed"),
        )),
        (Some(seen), _) => Some(Line::new(seen.at, label, engine_text)),
        (None, Some(confirmed)) => Some(Line::new(confirmed.at, label, confirmed.what.clone())),
        (None, None) => None,
    }
}

fn detected(fault: &FaultFinding, predictions: &Predictions) -> Option<Line> {
    // What is done to its object makes no node NotReady.
    let by_it = fault.kind.traits().impact != Impact::Objects;
    let detected = fault.node.detected.as_ref().filter(|_| by_it)?;
    let line = Line::of(
        detected.at,
        "detected",
        format!("Ready is {}, as the watch saw it", detected.status),
    );
    let predicted = predicted_text(
        predictions.between(Quantity::Detection, fault.step).ok(),
        fault.requested,
        "",
    );
    Some(Line { predicted, ..line })
}

/// What was predicted, counted from `since`.
fn predicted_text(predicted: Option<Between>, since: Seconds, after: &str) -> Option<String> {
    let predicted =
        predicted.map(|length| Between::new(length.least + since, length.most + since))?;
    Some(format!("predicted {predicted:.1}{after}"))
}

fn of_service(service: &ServiceFinding, predicted: Option<String>, lines: &mut Vec<Line>) {
    let which = match &service.hit[..] {
        [one] => format!("endpoint {}", one.pod.as_ref().unwrap_or(&one.address)),
        all => format!("the last of {} endpoints", all.len()),
    };
    let left = service
        .removed
        .map(|when| Line::of(when, "unready", format!("{which} left {}", service.service)));
    lines.extend(left.map(|line| Line { predicted, ..line }));
    lines.extend(left_late(service).map(|when| {
        Line::of(when, "unready", format!("{which} left {}, after the undo", service.service))
    }));
    lines.extend(service.back.map(|when| {
        let replaced = service.hit.iter().filter(|one| one.replacement.is_some()).count();
        let text = match &service.hit[..] {
            [EndpointFinding { replacement: Some(pod), .. }] => {
                format!("{}: replacement endpoint {pod} ready", service.service)
            }
            all if replaced == all.len() => {
                format!("{}: {replaced} replacement endpoints ready", service.service)
            }
            _ if replaced > 0 => {
                format!("{which} is back in {}, {replaced} of them as another pod", service.service)
            }
            _ => format!("{which} is back in {}", service.service),
        };
        Line::of(when, "ready again", text)
    }));
}

/// When the last endpoint left, where that was only after the undo.
pub(super) fn left_late(service: &ServiceFinding) -> Option<When> {
    let left: Option<Vec<When>> = service.hit.iter().map(|endpoint| endpoint.left).collect();
    left.filter(|_| service.removed.is_none())?.into_iter().max_by_key(|when| when.latest)
}

/// Bursts of a window that have lines of their own.
const MOST_BURSTS: usize = 5;

/// How a probe's attempts are spoken of.
struct Asked {
    name: String,
    canary: bool,
}

impl Asked {
    fn noun(&self) -> &'static str {
        if self.canary { "attempt" } else { "request" }
    }

    /// Until when the client of a failure had to wait.
    fn waited(&self, until: Seconds) -> String {
        if self.canary {
            format!("given up at {until:+.3}")
        } else {
            format!("its client waited until {until:+.3}")
        }
    }
}

/// Kept connections that ended in one way.
fn of_kept(kept: &KeptConnections, name: &str) -> Line {
    let KeptConnections { end, connections, first, last, longest, .. } = kept;
    let (label, what) = match end {
        KeptEnd::Timeout => ("hung", "had no answer for"),
        KeptEnd::Reset => ("reset", "reset (RST)"),
        KeptEnd::Closed => ("closed", "closed by the server without an answer (FIN)"),
        KeptEnd::ResetOrClosed => ("closed", "reset or closed without an answer"),
        KeptEnd::Answered => {
            ("closed", "closed by the server with its answer (`Connection: close`)")
        }
        KeptEnd::Idle => ("closed", "closed while idle"),
    };
    let (the_last, at_most) = if *connections > 1 { ("the last ", "up to ") } else { ("", "") };
    let when = match end {
        KeptEnd::Timeout => format!(
            " {at_most}{longest}, {the_last}until {last:+.3}; the probe's timeout ended this: without one, a client waits longer"
        ),
        KeptEnd::Idle => {
            format!(", {the_last}by {last:+.3}, at most {longest} after the last request on it")
        }
        _ => format!(", {the_last}at {last:+.3}, {at_most}{longest} after the request"),
    };
    let connections = count(*connections, "kept connection");
    Line::new(*first, label, format!("{name}{connections} {what}{when}"))
}

/// What a control plane that was back did of what had timed out.
fn caught_up(late: &LateFinding, found: &Findings, name: &str) -> Option<Line> {
    let last = late.last?;
    let undone = found
        .faults
        .iter()
        .filter(|fault| fault.step == late.step)
        .filter_map(|fault| fault.undone)
        .max();
    let after = undone
        .map_or(String::new(), |undone| format!(", {:.1} after the undo", last.latest - undone));
    let text = format!(
        "{name}{} of {} timed-out attempts succeeded late{after}",
        late.succeeded, late.timed_out
    );
    Some(Line::of(last, "caught up", text))
}

/// Nodes that Kubernetes took for dead although no fault hit them.
fn other_nodes(found: &Findings) -> impl Iterator<Item = Line> {
    found.other_nodes.iter().filter_map(|other| {
        let text = format!("{} became NotReady, although no fault hit it", other.node);
        other.left_ready.map(|when| Line::of(when, "other node", text))
    })
}

/// `before`: the window before it. One that was still open when the undo was requested goes on.
fn of_window(window: &Window, before: Option<&Window>, asked: &Asked, lines: &mut Vec<Line>) {
    let all = window.bursts.len();
    let after = matches!(window.period, Period::AfterUndo { .. });
    for (number, burst) in window.bursts.iter().enumerate() {
        if number + 1 > MOST_BURSTS && number + 1 < all {
            continue;
        }
        let again = match before.filter(|_| after) {
            _ if number > 0 => " again",
            Some(before) if before.open => " go on",
            Some(_) => " again",
            None => "",
        };
        let in_flight =
            if number == 0 && window.in_flight > 0 { ", in flight at the request" } else { "" };
        let skipped = if all > MOST_BURSTS && number + 1 == all {
            format!(" of burst {all}")
        } else {
            String::new()
        };
        let undo = if number == 0 && after { " after the undo was requested" } else { "" };
        let text =
            format!("{}first failed {}{skipped} sent{undo}{in_flight}", asked.name, asked.noun());
        let first = Line::new(burst.first_failure, &format!("errors{again}"), text);
        lines.push(first.within(burst.first_failure - burst.start.when.earliest));
        lines.push(if window.open && number + 1 == all {
            failing(window, asked)
        } else {
            healed(burst, again.trim_end_matches(" go on"), asked)
        });
    }
}

fn failing(window: &Window, asked: &Asked) -> Line {
    let until = if matches!(window.period, Period::Fault { .. }) {
        "the undo"
    } else {
        "the end of the data"
    };
    let text =
        format!("{}last failed {} sent; no recovery seen before {until}", asked.name, asked.noun());
    Line::new(window.last_failure, "still failing", text)
}

fn healed(burst: &Burst, again: &str, asked: &Asked) -> Line {
    let which = if burst.failed == 1 {
        "it was the only one".into()
    } else {
        format!("last failed {} sent", asked.noun())
    };
    let text = format!("{}{which} ({})", asked.name, asked.waited(burst.waited_until));
    let last = Line::new(burst.last_failure, &format!("healed{again}"), text);
    last.within(burst.end.when.latest - burst.last_failure)
}

fn steady(found: &Findings, predictions: &Predictions) -> Option<Line> {
    let line = came_back(found)?;
    let last = found.last_undone_fault().filter(|_| found.recovery.is_some());
    let predicted = last.and_then(|last| predictions.between(Quantity::Recovery, last.step).ok());
    Some(Line { predicted: predicted_text(predicted, Seconds::ZERO, " after the undo"), ..line })
}

fn came_back(found: &Findings) -> Option<Line> {
    let steady = found.steady_after.as_ref()?;
    Some(match (steady.held_since, found.recovered()) {
        // It holds from the last node's first sign of life: the state before that was stale.
        (Some(since), Some(back)) if back.latest > since && heard_after(found, since) => {
            Line::of(back, "steady", sign_of_life(found, since))
        }
        (Some(since), None) if !found.unheard.is_empty() => Line::new(
            since,
            "steady?",
            format!("no sign of life from {} after the undo", few(&found.unheard)),
        ),
        (Some(since), _) => {
            Line::new(since, "steady", format!("confirmed at {:+.3}", steady.confirmed))
        }
        (None, _) => Line::new(steady.confirmed, "not steady", steady.conditions.join("; ")),
    })
}

fn heard_after(found: &Findings, moment: Seconds) -> bool {
    heard_since(found, moment).next().is_some()
}

/// The faults on nodes that were heard again only after that.
fn heard_since(found: &Findings, moment: Seconds) -> impl Iterator<Item = &FaultFinding> {
    let late = move |fault: &&FaultFinding| {
        fault.node.heard_again.is_some_and(|heard| heard.latest > moment)
    };
    found.faults.iter().filter(late)
}

/// A node that stayed Ready has not been away for Kubernetes: when it is heard of next depends on
/// its heartbeats alone.
fn sign_of_life(found: &Findings, since: Seconds) -> &'static str {
    let mut late = heard_since(found, since);
    match late.all(|fault| fault.node.detected.is_none() && fault.node.ready_before == Some(true)) {
        true => "next heartbeat of the node, which was Ready throughout",
        false => "first sign of life of the node",
    }
}

/// How a run ended that did not come to its planned end. `shown` is the last moment above it:
/// attempts have files of their own, which may go on for longer than the records.
fn cut_short(timeline: &Timeline, found: &Findings, shown: Option<Seconds>) -> Option<Line> {
    let zero = crate::analysis::Zero::of(timeline).0;
    let at = |wanted: fn(&Event) -> bool| {
        timeline.records.iter().find(|r| wanted(&r.event)).map(|r| zero.at(r.at))
    };
    let last = || timeline.records.last().map(|record| zero.at(record.at)).max(shown);
    let cut = at(|e| matches!(e, Event::Interrupted { .. } | Event::Failed { .. }));
    let Ending { state, why, .. } = found.completion.ending()?;
    match found.completion {
        Completion::Running if cut.is_some() => {
            Some(Line::new(last()?, "so far", "the run was cut short and is undoing its faults"))
        }
        Completion::Running => Some(Line::new(last()?, "so far", why)),
        Completion::Died => Some(Line::new(last()?, "end of data", why)),
        _ => Some(Line::new(cut?, state, why)),
    }
}
