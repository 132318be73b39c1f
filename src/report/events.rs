//! What was recorded, in words: a line an event.

use std::collections::BTreeMap;

use super::view::View;
use crate::analysis::Zero;
use crate::stats::Seconds;
use crate::timeline::{Change, Component, Event, FaultPhase, Ready};

/// Something that happened, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub at: Seconds,
    pub text: String,
}

impl View<'_> {
    /// What was recorded, by time: a line each.
    pub fn events(&self) -> Vec<Told> {
        let zero = Zero::of(self.timeline).0;
        let (mut sayer, mut told) = (EventWriter::default(), Vec::new());
        for record in &self.timeline.records {
            told.extend(sayer.say(&record.event).map(|text| Told { at: zero.at(record.at), text }));
        }
        told
    }
}

/// Says what happened, once: a node's heartbeats are not news.
#[derive(Debug, Default)]
pub(super) struct EventWriter<'a> {
    nodes: BTreeMap<&'a str, (Ready, &'a str)>,
}

impl<'a> EventWriter<'a> {
    /// What happened, in a line; `None` for what is not new or shown elsewhere.
    pub(super) fn say(&mut self, event: &'a Event) -> Option<String> {
        if let Event::Node { node, ready, reason, .. } = event
            && self.nodes.insert(node, (*ready, reason)) == Some((*ready, reason))
        {
            return None;
        }
        say(event)
    }
}

fn say(event: &Event) -> Option<String> {
    Some(match event {
        Event::Stage { name } => format!("stage: {name}"),
        Event::Note { warning, text } => {
            format!("{}: {text}", if *warning { "warning" } else { "note" })
        }
        Event::WorkloadReady { namespace } => {
            format!("the workload is ready in namespace {namespace}")
        }
        Event::ProbeStopped { probe, error: Some(error) } => {
            format!("probe {probe} stopped: {error}")
        }
        Event::SteadyState { before, conditions, .. } => {
            format!(
                "steady state {} the fault: {}",
                if *before { "before" } else { "after" },
                conditions.join("; ")
            )
        }
        Event::SteadyStateMissed { conditions, .. } => {
            format!("steady state not reached: {}", conditions.join("; "))
        }
        Event::Fault { fault, target, component, phase, detail, .. } => {
            fault_phase(fault.as_str(), &Component::on(*component, target), *phase, detail)
        }
        Event::Docker { container, action, .. } => format!("engine: {action} {container}"),
        Event::WatchGap { watch, reason, .. } => format!("the watch of {watch} is down: {reason}"),
        Event::Node { node, change: Change::Changed, ready, reason, .. } => {
            format!("node {node}: Ready is {ready:?} ({reason})")
        }
        Event::Endpoint { service, change, endpoint } if *change != Change::Baseline => {
            let name = endpoint.pod.as_deref().unwrap_or(&endpoint.address);
            let state = match (change, endpoint.ready) {
                (Change::Deleted, _) => "deleted",
                (_, true) => "ready",
                (_, false) => "not ready",
            };
            format!("endpoint {name} of {service}: {state}")
        }
        Event::KubeEvent { reason, regarding, change: Change::Changed, .. }
            if regarding.starts_with("Node/") && !is_chatter(reason) =>
        {
            format!("event: {reason} {regarding}")
        }
        Event::Process { node, component, pid, state } => {
            let number = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            format!("{} on {node}: {}{number}", component.name(), super::leaders::state(*state))
        }
        Event::EtcdMember { node, answers, has_leader, is_leader, .. } => {
            format!("etcd on {node}: {}", super::leaders::word(*answers, *has_leader, *is_leader))
        }
        Event::ObserverGap { node, until: None, reason } => {
            format!("observer of {node} down: {reason}")
        }
        Event::ObserverGap { node, until: Some(_), .. } => format!("observer of {node} back"),
        Event::AttemptsLost { probe, attempts } => {
            format!("prober out of memory: {attempts} attempts of {probe} lost")
        }
        Event::ClockDrift { probes, uncertainty_ns } => format!(
            "the clock of the prober of {} drifted: its times are accurate to within {:.1}ms",
            probes.join(", "),
            *uncertainty_ns as f64 / 1e6
        ),
        Event::Interrupted { signal } => format!("interrupted by {signal}"),
        Event::Failed { error, refused } => {
            format!("{}: {error}", if *refused { "refused" } else { "failed" })
        }
        Event::Ended => "the run ended".into(),
        _ => return None,
    })
}

/// What a kubelet says at each of its starts.
fn is_chatter(reason: &str) -> bool {
    reason.starts_with("NodeHas") || reason == "NodeAllocatableEnforced"
}

fn fault_phase(fault: &str, target: &str, phase: FaultPhase, detail: &str) -> String {
    let phase = match phase {
        FaultPhase::Requested => "requested",
        FaultPhase::AlsoHits => "also on this node",
        FaultPhase::Waits => "waits",
        FaultPhase::Returned => "call returned",
        FaultPhase::Confirmed => "confirmed",
        FaultPhase::UndoRequested => "undo requested",
        FaultPhase::WoreOff => "ended before the undo",
        FaultPhase::Reverted => "effect gone",
        FaultPhase::Undone => "undone",
        FaultPhase::NotUndone => "NOT UNDONE",
    };
    let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
    format!("{fault} {target}: {phase}{detail}")
}
