//! What weakens a number: each warning says what was seen, why it matters, and what to try.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::from_to;
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
    /// A prober had no room for attempts while its connection was broken.
    AttemptsLost {
        /// Of which probe, how many, and when.
        what: String,
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
        /// The Service that it targets.
        service: String,
        /// The fault's target.
        target: String,
    },
    /// Failures before the first fault.
    BackgroundErrors {
        /// The probe.
        probe: String,
        /// The number that failed.
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

pub struct WarningText {
    pub seen: String,
    pub matters: &'static str,
    pub advice: &'static str,
}

impl Warning {
    pub fn text(&self) -> WarningText {
        const UNKNOWN: &str = "what came after is not known";
        const BUSY: &str = "use a lower rate or a less busy host";
        let text = |seen, matters, advice| WarningText { seen, matters, advice };
        match self {
            Warning::RunDied => text(
                "the timeline is incomplete: the run did not finish".into(),
                UNKNOWN,
                "`kubectl outage recover`, then run it again",
            ),
            Warning::Damaged { what } => text(
                what.clone(),
                "what happened then is missing from the numbers",
                "restore the run's folder from a copy, or run it again",
            ),
            Warning::AttemptsLost { what } => text(
                what.clone(),
                "what happened then is missing from the numbers",
                "probe at a lower rate, or shorten the time for which the node is cut off",
            ),
            Warning::Note { text: note } => {
                text(note.clone(), "the numbers may mean something else", "see `describe run`")
            }
            Warning::FaultNotConfirmed { fault, target } => text(
                format!("{fault} of {target} was not seen to take effect"),
                "the fault may not be the cause of what was measured",
                "check the target, then run it again",
            ),
            Warning::HitNoEndpoint { probe, service, target } => text(
                format!("{target} had no ready endpoint of {service}, which {probe} targets"),
                "its clients could not be affected",
                "select the target by `mostEndpointsOf`",
            ),
            Warning::BackgroundErrors { probe, failed, of } => text(
                format!("{failed} of {of} attempts of {probe} failed before the first fault"),
                "some failures after the fault may have nothing to do with it",
                "find out why it fails without a fault (`kubectl get pods -A`)",
            ),
            Warning::ControlFailed { probe, failed, of } => text(
                format!(
                    "{failed} of {of} attempts of the control probe {probe}, which no fault can affect, failed"
                ),
                "the prober's host was unhealthy: failures may be the host's own",
                BUSY,
            ),
            Warning::LateProber { probe, p99, interval } => text(
                format!(
                    "1% of the attempts of {probe} were sent more than {p99} late; the interval is {interval}"
                ),
                "error windows are less precise, and late attempts may time out by themselves",
                BUSY,
            ),
            Warning::BlindProber { probe, blind, of } => text(
                format!("the prober could not make {blind} of {of} attempts of {probe}"),
                "errors in that time may have gone unseen",
                BUSY,
            ),
            Warning::ClockUncertain { probe, uncertainty } => text(
                format!("the clock that stamps {probe} may be {uncertainty} off"),
                "error windows may be off by as much against all other events",
                "run where the cluster runs",
            ),
            Warning::WatchGap { watch, from, until, reason } => text(
                format!("the watch of {watch} was down {} ({reason})", from_to(*from, *until)),
                "events in that time are known only to an interval",
                "repeat the run",
            ),
            Warning::NodeNotReadyBefore { node } => text(
                format!("{node} was not Ready before the fault"),
                "its detection cannot be told from its earlier state",
                "require `nodesReady: all` in the steady state",
            ),
            Warning::SlowHeartbeats { node, interval, grace } => text(
                format!("{node} sends a heartbeat every {interval}, the grace period is {grace}"),
                "healthy nodes become NotReady",
                "set nodeStatusUpdateFrequency in the kubelet's config file, not by its flag",
            ),
        }
    }
}
