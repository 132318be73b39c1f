//! A run in a few numbers, for tables of many.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::chain::left_late;
use super::view::{View, word};
use crate::analysis::{
    Completion, ErrorRate, FaultFinding, Period, ProbeFinding, ServiceFinding, When,
};
use crate::compare::Recorded;
use crate::stats::{Between, Seconds};
use crate::timeline::Retry;
use crate::verdict::Outcome;

/// A run in a few numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The run's id.
    pub run: String,
    /// The run that it makes again; absent: it is the first try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether it was inconclusive, and a later try took its place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retried: bool,
    /// The experiment's name.
    pub experiment: String,
    /// What it ran on, for people.
    pub cluster: String,
    /// The API server's version.
    pub kubernetes: String,
    /// When +0 was, UTC, RFC 3339.
    pub started: String,
    /// How it was judged.
    pub outcome: Outcome,
    /// Its state in a word: `refused`, `running`, `unfinished`, `flaky` (it passed as a retry), else its outcome.
    #[serde(default)]
    pub state: String,
    /// Why, in a sentence.
    pub summary: String,
    /// How it ended; whether it has.
    pub completion: Completion,
    /// From the first fault's request until the node was detected; an interval where the watch was
    /// down.
    pub detection: Option<Between>,
    /// How long clients of the first probe that a fault may touch saw errors during the first fault. Zero: none were seen.
    pub error_window: Option<Between>,
    /// The same without the times between bursts; `None`: there was one burst at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Between>,
    /// Whether these errors are not known to have ended before the undo.
    pub open: bool,
    /// From the first fault's request until the last endpoint on the target was not ready.
    pub removal: Option<Between>,
    /// The same if it left only after the undo, which the returning node itself caused.
    pub removal_after_undo: Option<Between>,
    /// From the last confirmed undo until the steady state held again.
    pub recovery: Option<Between>,
    /// The 99th percentile of that probe's answers during that fault, if 100 attempts or more were answered.
    #[serde(default)]
    pub p99: Option<Seconds>,
    /// The highest error rates of that probe, for each length of window that an expectation asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_rates: Vec<ErrorRate>,
    /// Attempts of that probe that failed since the steady state.
    pub failed: u64,
    /// The number of all attempts.
    pub attempts: u64,
    /// The predicted detection.
    pub predicted: Option<Between>,
    /// Whether it is inconclusive where its probers' own hosts were disturbed: its numbers are not
    /// the cluster's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disturbed: bool,
    /// Why it is in no statistic; absent: it is in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// What makes its numbers less reliable: a sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Summary {
    /// A run in a few numbers.
    pub fn new(view: &View<'_>) -> Self {
        let (header, found) = (&view.timeline.header, view.findings);
        let fault = found.faults.first();
        let probe = view.probe();
        let during = fault.map(|fault| Period::Fault { step: fault.overlap });
        let window = probe.zip(during).and_then(|(probe, during)| probe.window(during));
        let none = probe.zip(fault).map(|_| Between::new(Seconds::ZERO, Seconds::ZERO));
        let asked = probe.map(|probe| probe.settled()).unwrap_or_default();
        let after = |when: When| {
            let requested = fault.map_or(Seconds::ZERO, |fault| fault.requested);
            Between::new(when.earliest - requested, when.latest - requested)
        };
        let services =
            fault.zip(probe).map(|(fault, probe)| services(fault, probe)).unwrap_or_default();
        let last = |of: fn(&ServiceFinding) -> Option<When>| {
            services.iter().filter_map(|service| of(service)).reduce(When::later)
        };
        let recorded = Recorded { timeline: view.timeline, findings: found, verdict: view.verdict };
        Self {
            run: header.run.clone(),
            retry: header.retry.clone(),
            retried: false,
            experiment: header.name.clone(),
            cluster: header.cluster.name.clone(),
            kubernetes: header.cluster.kubernetes.clone(),
            started: found.origin.wall.clone(),
            outcome: view.verdict.outcome,
            state: view.state(),
            summary: view.verdict.summary.clone(),
            completion: found.completion.clone(),
            detection: fault
                .and_then(|fault| fault.node.detected.as_ref())
                .map(|detected| after(detected.at)),
            error_window: window.map(|window| window.length).or(none),
            failing: window.and_then(|window| window.failing),
            open: window.is_some_and(|window| window.open),
            removal: last(|service| service.removed).map(after),
            removal_after_undo: last(left_late).map(after),
            recovery: found.recovery,
            p99: probe
                .zip(during)
                .and_then(|(probe, during)| probe.latency_in(during)?.answered.p99),
            error_rates: probe.map(|probe| probe.error_rates.clone()).unwrap_or_default(),
            failed: asked.failed,
            attempts: asked.judged(),
            predicted: view.prediction().map(|prediction| prediction.detection),
            disturbed: recorded.is_disturbed(),
            left_out: recorded.left_out().map(str::to_owned),
            warnings: view.warnings(),
        }
    }

    /// Whether it is in the statistics of several runs: of `--repeat`, a study, a comparison.
    pub fn counts(&self) -> bool {
        self.left_out.is_none()
    }

    /// Its verdict in a word; of one that was refused, or that still goes on, that.
    pub fn word(&self) -> String {
        word(&self.completion, self.outcome, self.retry.is_some()).to_owned()
    }

    /// The removal for people, in seconds with so many decimals.
    pub fn unready(&self) -> Option<String> {
        let late = |late: Between| format!("{late:.3} (after undo)");
        self.removal.map(|removal| format!("{removal:.3}")).or(self.removal_after_undo.map(late))
    }

    /// The error window for people: `4.76s to 4.8s`, `12s (failing 3.1s)`, `none`, `15s or more`.
    pub fn errors(&self) -> Option<String> {
        let window = self.error_window?;
        let length = |length: Between| match self.open {
            true => format!("{} or more", length.least),
            false => length.to_string(),
        };
        let failing = self.failing.map(|failing| format!(" (failing {})", length(failing)));
        Some(match self.open || window.most > Seconds::ZERO {
            true => length(window) + &failing.unwrap_or_default(),
            false => "none".into(),
        })
    }
}

/// The Services whose endpoints count: the one that the probe asks; where it asks none, all that the fault hit.
fn services<'a>(fault: &'a FaultFinding, probe: &ProbeFinding) -> Vec<&'a ServiceFinding> {
    match &probe.service {
        Some(_) => fault.service_of(probe).into_iter().collect(),
        None => fault.services.iter().filter(|service| !service.hit.is_empty()).collect(),
    }
}
