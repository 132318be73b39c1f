//! What weakens a number: each warning says what was seen, why it matters, and what to try.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::Seconds;

/// Something that makes a number less reliable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Warning {
    /// The timeline has no end.
    RunDied,
    /// A part of the timeline could not be read.
    Damaged {
        /// What.
        what: String,
    },
    /// A probe's file ends in the middle of an attempt.
    AttemptsCut {
        /// The probe.
        probe: String,
    },
    /// A note of the engine.
    Note {
        /// Its text.
        text: String,
    },
    /// A fault's effect was not seen.
    FaultNotConfirmed {
        /// The fault's kind.
        fault: String,
        /// Its target.
        target: String,
    },
    /// None of a probe's backends was on the target.
    HitNoEndpoint {
        /// The probe.
        probe: String,
        /// The Service that it asks.
        service: String,
        /// The fault's target.
        target: String,
    },
    /// Failures before the first fault.
    BackgroundErrors {
        /// The probe.
        probe: String,
        /// How many failed.
        failed: u64,
        /// The number of all attempts.
        of: u64,
    },
    /// Failures of a probe that no fault can affect.
    ControlFailed {
        /// The probe.
        probe: String,
        /// How many failed since the first fault.
        failed: u64,
        /// The number of all attempts.
        of: u64,
    },
    /// Attempts were sent late.
    LateProber {
        /// The probe.
        probe: String,
        /// The 99th percentile of their lateness.
        p99: Seconds,
        /// The time between two attempts.
        interval: Seconds,
    },
    /// Attempts that the prober itself could not make.
    BlindProber {
        /// The probe.
        probe: String,
        /// How many since the first fault.
        blind: u64,
        /// The number of all attempts.
        of: u64,
    },
    /// The prober's clock is another machine's.
    ClockUncertain {
        /// The probe.
        probe: String,
        /// How far it may be off.
        uncertainty: Seconds,
    },
    /// A watch was down while something happened.
    WatchGap {
        /// What it follows.
        watch: String,
        /// When it began.
        from: Seconds,
        /// When it ended; `None`: it lasted to the end.
        until: Option<Seconds>,
        /// Why.
        reason: String,
    },
    /// The node's Ready condition was not True before the fault.
    NodeNotReadyBefore {
        /// The node.
        node: String,
    },
    /// Heartbeats are too rare for the grace period.
    SlowHeartbeats {
        /// The node.
        node: String,
        /// The heartbeat's interval.
        interval: Seconds,
        /// The controller's grace period.
        grace: Seconds,
    },
}

impl Warning {
    /// What was seen.
    pub fn seen(&self) -> String {
        match self {
            Warning::RunDied => "the timeline is incomplete: the run crashed".into(),
            Warning::Damaged { what } => what.clone(),
            Warning::AttemptsCut { probe } => {
                format!("the attempts file of {probe} is truncated")
            }
            Warning::Note { text } => text.clone(),
            Warning::FaultNotConfirmed { fault, target } => {
                format!("{fault} of {target} was not seen to take effect")
            }
            Warning::HitNoEndpoint { probe, service, target } => {
                format!("{target} had no ready endpoint of {service}, which {probe} asks")
            }
            Warning::BackgroundErrors { probe, failed, of } => {
                format!("{failed} of {of} attempts of {probe} failed before the first fault")
            }
            Warning::ControlFailed { probe, failed, of } => {
                format!(
                    "{failed} of {of} attempts of the control probe {probe}, which no fault can affect, failed"
                )
            }
            Warning::LateProber { probe, p99, interval } => {
                format!(
                    "1% of the attempts of {probe} were sent more than {p99} late; the interval is {interval}"
                )
            }
            Warning::BlindProber { probe, blind, of } => {
                format!("the prober could not make {blind} of {of} attempts of {probe}")
            }
            Warning::ClockUncertain { probe, uncertainty } => {
                format!("the clock that stamps {probe} may be {uncertainty} off")
            }
            Warning::WatchGap { watch, from, until: Some(until), reason } => {
                format!("the watch of {watch} was down from {from:+.3} to {until:+.3} ({reason})")
            }
            Warning::WatchGap { watch, from, until: None, reason } => {
                format!("the watch of {watch} was down from {from:+.3} on ({reason})")
            }
            Warning::NodeNotReadyBefore { node } => {
                format!("{node} was not Ready before the fault")
            }
            Warning::SlowHeartbeats { node, interval, grace } => {
                format!("{node} sends a heartbeat every {interval}, the grace period is {grace}")
            }
        }
    }

    /// Why it matters.
    pub fn matters(&self) -> &'static str {
        match self {
            Warning::RunDied | Warning::Damaged { .. } | Warning::AttemptsCut { .. } => {
                "what came after is not known"
            }
            Warning::Note { .. } => "the numbers may mean something else",
            Warning::FaultNotConfirmed { .. } => {
                "the fault may not be the cause of what was measured"
            }
            Warning::HitNoEndpoint { .. } => "its clients could not be affected",
            Warning::BackgroundErrors { .. } => {
                "some failures after the fault may have nothing to do with it"
            }
            Warning::ControlFailed { .. } => {
                "the prober's host was unhealthy: failures may be the host's own"
            }
            Warning::LateProber { .. } => {
                "error windows are less precise, and late attempts may time out by themselves"
            }
            Warning::BlindProber { .. } => "errors in that time may have gone unseen",
            Warning::ClockUncertain { .. } => {
                "error windows may be off by as much against all other events"
            }
            Warning::WatchGap { .. } => "events in that time are known only to an interval",
            Warning::NodeNotReadyBefore { .. } => {
                "its detection cannot be told from its earlier state"
            }
            Warning::SlowHeartbeats { .. } => "healthy nodes become NotReady",
        }
    }

    /// What to try.
    pub fn advice(&self) -> &'static str {
        match self {
            Warning::RunDied => "`kubectl outage recover`, then run it again",
            Warning::Damaged { .. } | Warning::AttemptsCut { .. } => {
                "free disk space, then run it again"
            }
            Warning::Note { .. } => "see `describe run`",
            Warning::FaultNotConfirmed { .. } => "check the target, then run it again",
            Warning::HitNoEndpoint { .. } => "select the target by `mostEndpointsOf`",
            Warning::BackgroundErrors { .. } => {
                "find out why it fails without a fault (`kubectl get pods -A`)"
            }
            Warning::ControlFailed { .. }
            | Warning::LateProber { .. }
            | Warning::BlindProber { .. } => "use a lower rate or a less busy host",
            Warning::ClockUncertain { .. } => "run where the cluster runs",
            Warning::WatchGap { .. } => "repeat the run",
            Warning::NodeNotReadyBefore { .. } => "require `nodesReady: all` in the steady state",
            Warning::SlowHeartbeats { .. } => {
                "set nodeStatusUpdateFrequency in the kubelet's config file, not by its flag"
            }
        }
    }
}
