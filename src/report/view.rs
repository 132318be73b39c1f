//! One view of a run, from which all forms are made.

use std::path::Path;

use super::chain;
use super::claims::DecidedClaim;
use super::comparison::{self, Comparison};
use super::line::Line;
use super::text::{count, list, short_names};
use crate::analysis::findings::Ending;
use crate::analysis::{Completion, FaultFinding, Findings, ProbeFinding};
use crate::experiment::Claim;
use crate::model::{Heartbeat, Prediction, heartbeat};
use crate::prediction::{Predictions, experiment};
use crate::stats::Seconds;
use crate::timeline::{
    ClusterFacts, ClusterKind, Component, NodeRole, Retry, Timeline, format_duration,
};
use crate::verdict::{Outcome, Verdict};

/// Something that went wrong with a run itself, whatever it measured.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// In a word: `failed`, `interrupted`, `refused`, `unfinished`, `not undone`.
    pub what: &'static str,
    pub why: String,
}

/// A run as reports tell it.
#[derive(Debug)]
pub struct View<'a> {
    pub timeline: &'a Timeline,
    pub findings: &'a Findings,
    pub verdict: &'a Verdict,
    /// What the model says, from the header alone.
    pub predictions: &'a Predictions,
    /// What happened, by time.
    pub chain: Vec<Line>,
    /// Where it is recorded, where that is known.
    pub folder: Option<&'a Path>,
}

impl<'a> View<'a> {
    /// Puts a run together.
    pub fn new(
        timeline: &'a Timeline,
        findings: &'a Findings,
        verdict: &'a Verdict,
        predictions: &'a Predictions,
    ) -> Self {
        let chain = chain::lines(timeline, findings, predictions);
        Self { timeline, findings, verdict, predictions, chain, folder: None }
    }

    /// Whether it was refused before any fault was injected, so that there is nothing to judge.
    pub fn is_refused(&self) -> bool {
        self.refused().is_some()
    }

    /// Why it was refused before any fault was injected, if it was.
    pub fn refused(&self) -> Option<&str> {
        match &self.findings.completion {
            Completion::Refused { error } => Some(error),
            _ => None,
        }
    }

    /// Whether it came to its end with a fault that was seen to take effect.
    pub fn has_measured(&self) -> bool {
        let faults = &self.findings.faults;
        self.findings.completion == Completion::Complete
            && faults.iter().any(|fault| fault.confirmed.is_some())
    }

    /// What was done, a sentence for each fault.
    pub fn story(&self) -> Vec<String> {
        let of = |fault: &FaultFinding| {
            let target = Component::on(fault.component, &fault.target);
            let hit = fault.services.iter().filter(|_| fault.knows_hits());
            let hit = hit.filter(|service| !service.hit.is_empty()).map(|service| {
                let all = count(service.endpoints.into(), "endpoint");
                format!("{} of {all} of {}", service.hit.len(), service.service)
            });
            let hit: Vec<String> = hit.collect();
            let hit =
                if hit.is_empty() { String::new() } else { format!(", which had {}", list(&hit)) };
            let seen = match fault.seen() {
                Some(seen) => format!("in effect from {:+.3}", seen.at),
                None => "not seen to take effect".into(),
            };
            let over = match (&fault.not_undone, fault.undone) {
                (Some(_), _) => ", and NOT UNDONE".into(),
                (None, Some(undone)) => format!(", undone by {undone:+.3}"),
                (None, None) => String::new(),
            };
            format!(
                "Fault: {} of {target}{hit}. Requested at {:+.3}, {seen}{over}.",
                fault.kind, fault.requested
            )
        };
        self.findings.faults.iter().map(of).collect()
    }

    /// A sign beside the verdict's word.
    pub fn verdict_sign(&self) -> &'static str {
        match self.verdict.outcome {
            _ if self.is_refused() => "⊘",
            Outcome::Measured => "■",
            Outcome::Pass => "✔",
            Outcome::Inconclusive => "?",
            Outcome::Fail => "✘",
        }
    }

    /// Its verdict in a word; of one that was refused, or that still goes on, that.
    pub fn word(&self) -> &'static str {
        let header = &self.timeline.header;
        word(&self.findings.completion, self.verdict.outcome, header.retry.is_some())
    }

    /// Its state in a word: `refused`, `running`, `unfinished`, `flaky`, else its verdict.
    pub fn state(&self) -> String {
        match self.findings.completion {
            Completion::Died => "unfinished".into(),
            _ => self.word().to_lowercase(),
        }
    }

    /// What went wrong with the run itself: why it was cut short, and what could not be undone.
    pub fn failures(&self) -> Vec<Failure> {
        let completion = &self.findings.completion;
        let ending = completion.ending().filter(|_| *completion != Completion::Running);
        let cut_short = ending.map(|Ending { state, why, .. }| (state, why.to_owned()));
        let left = self.findings.faults.iter().filter_map(|fault| {
            let target = Component::on(fault.component, &fault.target);
            let why = &fault.not_undone.as_ref()?.what;
            Some(("not undone", format!("{} of {target}: {why}", fault.kind)))
        });
        cut_short.into_iter().chain(left).map(|(what, why)| Failure { what, why }).collect()
    }

    pub fn claims(&self) -> Vec<Claim> {
        experiment(&self.timeline.header).map_or(Vec::new(), |experiment| experiment.claims)
    }

    /// The same, decided.
    pub fn decided(&self) -> Vec<DecidedClaim> {
        let other = self.timeline.header.other_settings();
        let decide = |claim| match &other {
            _ if self.is_modelled() => DecidedClaim::modelled(claim, &[self.verdict]),
            Some(why) => DecidedClaim::inapplicable(claim, &[self.verdict], why),
            None => DecidedClaim::new(claim, &[self.verdict]),
        };
        self.claims().iter().map(decide).collect()
    }

    /// Whether it ran on the embedded model.
    pub fn is_modelled(&self) -> bool {
        self.timeline.header.cluster.kind == ClusterKind::Embedded
    }

    /// From the first record to the last.
    pub fn took(&self) -> Seconds {
        let timeline = self.timeline;
        let first =
            timeline.records.first().map_or(timeline.header.anchor.monotonic, |record| record.at);
        let last = timeline.records.last().map_or(first, |record| record.at);
        last.since(first).into()
    }

    /// Predictions compared with measurements.
    pub fn comparisons(&self) -> Vec<Comparison> {
        comparison::comparisons(self.findings, self.predictions)
    }

    /// What was measured outside its prediction, a text each.
    pub fn surprises(&self) -> Vec<String> {
        self.comparisons().iter().filter_map(Comparison::surprise).collect()
    }

    /// The probe whose errors sum up the run: the first that a fault may touch.
    pub fn probe(&self) -> Option<&'a ProbeFinding> {
        self.findings.probes.iter().find(|probe| !probe.control)
    }

    /// The prediction for the first fault.
    pub fn prediction(&self) -> Option<&Prediction> {
        self.predictions.steps.first()?.prediction.as_ref()
    }

    /// What it ran on: `worker-stop-fast on kind cluster fast-detection (Kubernetes v1.34.4, 3
    /// nodes)`.
    pub fn title(&self) -> String {
        let header = &self.timeline.header;
        format!("{} on {}", header.name, cluster(&header.cluster))
    }

    /// The run's id and zero, and the effective settings.
    pub fn subtitle(&self) -> String {
        let header = &self.timeline.header;
        let of = header.repetition.map_or(String::new(), |(n, of)| format!(" ({n} of {of})"));
        let retry = header.retry.as_ref();
        let retry = retry.map_or(String::new(), |Retry { of, number }| {
            format!(", retry {number} of {of}, which was inconclusive")
        });
        let shard = header.shard.map_or(String::new(), |shard| format!(", shard {shard}"));
        format!(
            "run {}{of}{retry}{shard}, +0 is {}; {}",
            header.run,
            wall(&self.findings.origin.wall),
            self.settings()
        )
    }

    /// `kubelet 1s (heartbeat every 1.02s), monitor period 1s, grace 4s`.
    pub fn settings(&self) -> String {
        let tuning = &self.timeline.header.cluster.tuning;
        let said =
            |value: Option<std::time::Duration>| value.map_or("not known".into(), format_duration);
        let beat = heartbeat(tuning).kind;
        let fault = self.findings.faults.first();
        let node = |node: &str| fault.is_none_or(|fault| fault.target == node);
        let seen = self.findings.heartbeats.iter().find(|beats| node(&beats.node));
        let seen = seen
            .and_then(|beats| if beat == Heartbeat::Status { beats.status } else { beats.lease });
        let beats = seen.map_or(String::new(), |every| format!(" (heartbeat every {every})"));
        format!(
            "kubelet {}{beats}, monitor period {}, grace {}",
            said(tuning.node_status_update_frequency),
            said(tuning.node_monitor_period),
            said(tuning.node_monitor_grace_period)
        )
    }

    /// A probe in a line: `web: 2 endpoints, on a and b; asked from c, 50/s`.
    pub fn probe_line(&self, probe: &ProbeFinding) -> String {
        let cluster = &self.timeline.header.cluster.name;
        let asked = match self.findings.faults.first().and_then(|fault| fault.service_of(probe)) {
            Some(service) => {
                let nodes: Vec<String> =
                    service.by_node.iter().filter_map(|n| n.node.clone()).collect();
                let on = if nodes.is_empty() {
                    String::new()
                } else {
                    format!(", on {}", list(&short_names(&nodes, cluster)))
                };
                format!("{}{on}", count(u64::from(service.endpoints), "endpoint"))
            }
            None => probe.target.clone(),
        };
        if probe.is_canary() {
            return format!(
                "{}: {asked}; every {} through the API, timeout {}",
                probe.name, probe.interval, probe.timeout
            );
        }
        let rate = 1e9 / probe.interval.as_nanos().max(1) as f64;
        let rate = if rate >= 10.0 { format!("{rate:.0}/s") } else { format!("{rate:.1}/s") };
        let reused = if probe.reused { ", connections reused" } else { "" };
        let control = if probe.control { " (control: no fault touches it)" } else { "" };
        format!(
            "{}{control}: {asked}; probed from {}, {rate}, timeout {}{reused}",
            probe.name, probe.from, probe.timeout
        )
    }
}

/// What passed, but only after it had been inconclusive.
pub const FLAKY: &str = "FLAKY";

/// A run's verdict in a word; of one that was refused, or that still goes on, that.
pub(super) fn word(completion: &Completion, outcome: Outcome, is_retry: bool) -> &'static str {
    match (completion, outcome) {
        (Completion::Refused { .. }, _) => "REFUSED",
        (Completion::Running, _) => "RUNNING",
        (_, Outcome::Pass) if is_retry => FLAKY,
        _ => outcome.word(),
    }
}

/// What an embedded cluster is called.
pub const EMBEDDED: &str = "the EMBEDDED MODEL of a cluster";

pub fn cluster(cluster: &ClusterFacts) -> String {
    let kind = match cluster.kind {
        ClusterKind::Kind => format!("kind cluster {}", cluster.name),
        ClusterKind::Context => format!("context {}", cluster.name),
        ClusterKind::Embedded => EMBEDDED.into(),
    };
    let real = if cluster.kind == ClusterKind::Embedded { "; no real Kubernetes" } else { "" };
    // What the model's server calls itself says no more than this line.
    let version = cluster.kubernetes.split('+').next().unwrap_or_default();
    let nodes = cluster.nodes.iter().filter(|node| node.role != NodeRole::ExternalLoadBalancer);
    // They are unknown where the user may not list them.
    let nodes = match nodes.count() {
        0 => String::new(),
        count_of_nodes => format!(", {}", count(count_of_nodes as u64, "node")),
    };
    let context = match (&cluster.context, cluster.kind) {
        (Some(context), ClusterKind::Context) => format!("{}, ", context.reached_by()),
        (Some(context), _) => format!("{context}, "),
        (None, _) => String::new(),
    };
    format!("{kind} ({context}Kubernetes {version}{nodes}{real})")
}

/// A wall time for people: `2026-11-22 06:23:41.207 UTC`.
pub fn wall(rfc3339: &str) -> String {
    match rfc3339.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string(),
        Err(_) => rfc3339.to_owned(),
    }
}
