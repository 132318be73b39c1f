//! What one combination of settings comes to.

use std::time::Duration;

use serde::Serialize;

use crate::lint::text::thousands;
use crate::lint::{self, GLITCHES, Settings};
use crate::model::{
    Beat, DetectionTimes, GlitchRisk, Heartbeat, KubeletEnd, Risk, Unpredictable, cost, heartbeat,
    predict,
};
use crate::stats::Seconds;
use crate::timeline::Tuning;

/// How long detection takes, from a node's last sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Detection {
    pub p50: Seconds,
    pub p95: Seconds,
    pub max: Seconds,
}

/// How often healthy nodes are mistaken for dead ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FalsePositives {
    /// By lost heartbeats, of all nodes, in 30 days.
    pub by_loss_a_month: f64,
    /// The probability that any node is, after one restart of the controller manager.
    pub by_restart: f64,
    /// The longest loss of all heartbeats that never is the reason.
    pub rides_out: Seconds,
    /// The risk of glitches of other lengths.
    pub glitches: Vec<GlitchRisk>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Choice {
    pub settings: Settings,
    pub heartbeat: Heartbeat,
    pub heartbeat_interval: Seconds,
    pub detection: Detection,
    /// Requests to the API server and writes to etcd, each a second, of all nodes' heartbeats.
    pub writes_per_second: f64,
    pub false_positives: FalsePositives,
    #[serde(skip)]
    pub tuning: Tuning,
}

impl Choice {
    /// Writes a second, as `100/s`.
    pub(super) fn writes(&self) -> String {
        match self.writes_per_second {
            few if few < 10.0 => format!("{few:.1}/s"),
            many => format!("{}/s", thousands(many)),
        }
    }

    /// What is not set is the default of this version. Errors say why detection is not predicted.
    pub(crate) fn of(
        tuning: &Tuning,
        kubernetes: &str,
        nodes: u32,
        loss: f64,
    ) -> Result<Self, Unpredictable> {
        let tuning = tuning.completed(kubernetes);
        let max = predict(&tuning, kubernetes, KubeletEnd::AtOnce)?.latest();
        let times = DetectionTimes::of(&tuning, kubernetes)?;
        let risk = Risk::of(&tuning, kubernetes)?;
        let Beat { kind, interval } = heartbeat(&tuning);
        Ok(Self {
            settings: lint::settings(&tuning),
            heartbeat: kind,
            heartbeat_interval: interval.into(),
            detection: Detection {
                p50: times.quantile(0.5).min(max),
                p95: times.quantile(0.95).min(max),
                max,
            },
            writes_per_second: cost(&tuning, nodes).writes_per_second,
            false_positives: FalsePositives {
                by_loss_a_month: risk.month(loss, nodes),
                by_restart: risk.restart(loss, nodes),
                rides_out: Seconds::from_f64(risk.rides_out()),
                glitches: GLITCHES.map(|length| risk.glitch(Duration::from_secs(length))).into(),
            },
            tuning,
        })
    }

    /// All that settings are compared by: the less the better, the most important first where
    /// several meet the goals.
    pub(super) fn objectives(&self) -> [f64; 7] {
        let Detection { p50, p95, max } = self.detection;
        let false_positives = &self.false_positives;
        [
            self.writes_per_second,
            -false_positives.rides_out.as_f64(),
            max.as_f64(),
            p95.as_f64(),
            p50.as_f64(),
            false_positives.by_loss_a_month,
            false_positives.by_restart,
        ]
    }

    /// As good in everything, and better in something.
    pub(super) fn dominates(&self, other: &Choice) -> bool {
        let (own, others) = (self.objectives(), other.objectives());
        own != others && own.iter().zip(&others).all(|(own, other)| own <= other)
    }
}
