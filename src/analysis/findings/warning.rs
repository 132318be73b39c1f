//! What weakens a number: each warning says what was seen, why it matters, and what to try.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::Seconds;

/// Something that weakens a number.
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
    /// The experiment's engine said so.
    Note {
        /// What it said.
        text: String,
    },
    /// A fault's effect was not seen.
    FaultNotConfirmed {
        /// The fault's kind.
        fault: String,
        /// Its target.
        target: String,
    },
    /// None of a probe's back ends was on the target.
    HitNoEndpoint {
        /// The probe.
        probe: String,
        /// The Service that it asks.
        service: String,
        /// The fault's target.
        target: String,
    },
    /// Failures before anything was harmed.
    BackgroundErrors {
        /// The probe.
        probe: String,
        /// How many failed.
        failed: u64,
        /// Of how many.
        of: u64,
    },
    /// Failures of a probe that no fault can touch.
    ControlFailed {
        /// The probe.
        probe: String,
        /// How many failed since the first fault.
        failed: u64,
        /// Of how many.
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
        /// Of how many.
        of: u64,
    },
    /// The prober's clock is another machine's.
    ClockUncertain {
        /// The probe.
        probe: String,
        /// How far it may be off.
        uncertainty: Seconds,
    },
    /// A watch was blind while something happened.
    WatchGap {
        /// What it follows.
        watch: String,
        /// From when.
        from: Seconds,
        /// Until when; `None`: to the end.
        until: Option<Seconds>,
        /// Why.
        reason: String,
    },
    /// The node's Ready condition was not True before the fault.
    NodeNotReadyBefore {
        /// The node.
        node: String,
    },
    /// Heartbeats come too seldom for the grace period.
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
            Warning::RunDied => "the timeline has no end: the run died".into(),
            Warning::Damaged { what } => what.clone(),
            Warning::AttemptsCut { probe } => {
                format!("the attempts of {probe} end in the middle of one")
            }
            Warning::Note { text } => text.clone(),
            Warning::FaultNotConfirmed { fault, target } => {
                format!("{fault} of {target} was not seen to take effect")
            }
            Warning::HitNoEndpoint { probe, service, target } => {
                format!("no ready endpoint of {service}, which {probe} asks, was on {target}")
            }
            Warning::BackgroundErrors { probe, failed, of } => {
                format!("{failed} of {of} attempts of {probe} failed before anything was harmed")
            }
            Warning::ControlFailed { probe, failed, of } => {
                format!(
                    "{failed} of {of} attempts of the control probe {probe} failed, which no fault can touch"
                )
            }
            Warning::LateProber { probe, p99, interval } => {
                format!(
                    "{probe} sent one attempt in a hundred more than {p99} late; they are {interval} apart"
                )
            }
            Warning::BlindProber { probe, blind, of } => {
                format!("{blind} of {of} attempts of {probe} could not be made by the prober")
            }
            Warning::ClockUncertain { probe, uncertainty } => {
                format!("the clock that stamps {probe} may be {uncertainty} off")
            }
            Warning::WatchGap { watch, from, until: Some(until), reason } => {
                format!("the watch of {watch} was blind from {from:+.3} to {until:+.3} ({reason})")
            }
            Warning::WatchGap { watch, from, until: None, reason } => {
                format!("the watch of {watch} was blind from {from:+.3} on ({reason})")
            }
            Warning::NodeNotReadyBefore { node } => {
                format!("{node} was not Ready before the fault")
            }
            Warning::SlowHeartbeats { node, interval, grace } => {
                format!("{node} beats every {interval}, the controller waits {grace}")
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
            Warning::FaultNotConfirmed { .. } => "what was measured may not be the fault's doing",
            Warning::HitNoEndpoint { .. } => "its clients could not notice the fault",
            Warning::BackgroundErrors { .. } => {
                "some failures after the fault may have nothing to do with it"
            }
            Warning::ControlFailed { .. } => {
                "the prober's own machine was sick: failures may be its own"
            }
            Warning::LateProber { .. } => {
                "edges of errors are known less well, and late attempts may time out by themselves"
            }
            Warning::BlindProber { .. } => "errors in that time may have gone unseen",
            Warning::ClockUncertain { .. } => {
                "edges of errors are uncertain by as much against all other moments"
            }
            Warning::WatchGap { .. } => "what happened meanwhile has an interval, not a moment",
            Warning::NodeNotReadyBefore { .. } => {
                "its detection can't be told from what was before"
            }
            Warning::SlowHeartbeats { .. } => "healthy nodes are taken for dead",
        }
    }

    /// What to try.
    pub fn advice(&self) -> &'static str {
        match self {
            Warning::RunDied => "`kubectl outage recover`, then run it again",
            Warning::Damaged { .. } | Warning::AttemptsCut { .. } => {
                "run it again, with room on the disk"
            }
            Warning::Note { .. } => "see `describe run`",
            Warning::FaultNotConfirmed { .. } => "look at the target, then run it again",
            Warning::HitNoEndpoint { .. } => "select the target by `mostEndpointsOf`",
            Warning::BackgroundErrors { .. } => "ask for a longer steady state",
            Warning::ControlFailed { .. }
            | Warning::LateProber { .. }
            | Warning::BlindProber { .. } => "a lower rate, or a less busy machine",
            Warning::ClockUncertain { .. } => "run where the cluster runs",
            Warning::WatchGap { .. } => "repeat the run",
            Warning::NodeNotReadyBefore { .. } => "ask for `nodesReady: all` in the steady state",
            Warning::SlowHeartbeats { .. } => {
                "set nodeStatusUpdateFrequency in the kubelet's config file, not by its flag"
            }
        }
    }
}
