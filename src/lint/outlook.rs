//! What is to be expected of a tuning: detection, cost, risk, traps.

use std::time::Duration;

use serde::Serialize;

use crate::model::{
    Beat, Cost, GlitchRisk, Heartbeat, KubeletEnd, Late, Risk, Trap, cost, heartbeat, predict,
    traps_of_tuning,
};
use crate::stats::{Between, Seconds};
use crate::timeline::Tuning;

/// The glitches whose risk is reported, in seconds.
pub(crate) const GLITCHES: [u64; 6] = [1, 2, 5, 10, 30, 60];
/// The shares of lost heartbeats whose risk is reported.
pub(crate) const LOSSES: [f64; 3] = [0.001, 0.01, 0.1];

/// The settings that decide when a dead node is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The kubelet's `nodeStatusUpdateFrequency`.
    pub node_status_update_frequency: Seconds,
    /// The kubelet's `nodeStatusReportFrequency`.
    pub node_status_report_frequency: Seconds,
    /// The kubelet's `nodeLeaseDurationSeconds`.
    pub node_lease_duration: Seconds,
    /// The controller manager's `--node-monitor-period`.
    pub node_monitor_period: Seconds,
    /// The controller manager's `--node-monitor-grace-period`.
    pub node_monitor_grace_period: Seconds,
}

/// The risk of losing heartbeats each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LossRisk {
    /// The share of heartbeats that is lost.
    pub loss: f64,
    /// The probability that, on one day, any healthy node becomes NotReady.
    pub probability_per_day: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outlook {
    /// The version of Kubernetes whose defaults were taken.
    pub kubernetes: String,
    pub settings: Settings,
    pub heartbeat: Heartbeat,
    /// How often, as configured.
    pub heartbeat_interval: Seconds,
    /// From a node's last breath until it is NotReady.
    pub detection: Option<Between>,
    /// The nodes for which it takes longer; `None`: none.
    pub late: Option<Late>,
    /// Why detection is not predicted.
    pub why_not: Option<String>,
    pub cost: Cost,
    /// What they would cost with Kubernetes' defaults.
    pub default_cost: Cost,
    /// The risk of glitches: all heartbeats of a node lost for a while.
    pub glitches: Vec<GlitchRisk>,
    /// The risk of lost heartbeats, for as many nodes as the cost.
    pub losses: Vec<LossRisk>,
    /// What will surprise.
    pub traps: Vec<Trap>,
}

/// The outlook of a tuning at so many nodes, on a cluster with so many API servers.
pub(crate) fn outlook(tuning: &Tuning, kubernetes: &str, api_servers: u32, nodes: u32) -> Outlook {
    let tuning = tuning.completed(kubernetes);
    let Beat { kind, interval } = heartbeat(&tuning);
    let prediction = predict(&tuning, kubernetes, KubeletEnd::AtOnce);
    let risk = Risk::of(&tuning, kubernetes).ok();
    let glitch = |risk: &Risk| {
        GLITCHES.iter().map(|seconds| risk.glitch(Duration::from_secs(*seconds))).collect()
    };
    let lost = |risk: &Risk| {
        LOSSES
            .iter()
            .map(|loss| LossRisk { loss: *loss, probability_per_day: risk.day(*loss, nodes) })
            .collect()
    };
    Outlook {
        kubernetes: kubernetes.to_owned(),
        settings: settings(&tuning),
        heartbeat: kind,
        heartbeat_interval: interval.into(),
        why_not: prediction.as_ref().err().map(ToString::to_string),
        detection: prediction.as_ref().ok().map(|prediction| prediction.detection),
        late: prediction.ok().and_then(|prediction| prediction.late),
        cost: cost(&tuning, nodes),
        default_cost: cost(&Tuning::defaults(kubernetes), nodes),
        glitches: risk.as_ref().map(glitch).unwrap_or_default(),
        losses: risk.as_ref().map(lost).unwrap_or_default(),
        traps: traps_of_tuning(&tuning, kubernetes, api_servers),
    }
}

pub(crate) fn settings(tuning: &Tuning) -> Settings {
    let seconds = |setting: Option<Duration>| Seconds::from(setting.unwrap_or_default());
    Settings {
        node_status_update_frequency: seconds(tuning.node_status_update_frequency),
        node_status_report_frequency: seconds(tuning.node_status_report_frequency),
        node_lease_duration: seconds(tuning.node_lease_duration),
        node_monitor_period: seconds(tuning.node_monitor_period),
        node_monitor_grace_period: seconds(tuning.node_monitor_grace_period),
    }
}
