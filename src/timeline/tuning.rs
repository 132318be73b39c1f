//! What Kubernetes makes of settings of failure detection that are not set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::header::{Tuning, TuningSource};

/// How long the API server lets pods that say nothing of it stay on a lost node (admission plugin
/// DefaultTolerationSeconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tolerations {
    /// `--default-not-ready-toleration-seconds`.
    pub not_ready: Duration,
    /// `--default-unreachable-toleration-seconds`.
    pub unreachable: Duration,
}

impl Default for Tolerations {
    fn default() -> Self {
        let default = Duration::from_secs(300);
        Self { not_ready: default, unreachable: default }
    }
}

impl Tuning {
    /// What Kubernetes of this version (`v1.34.4`) has when nothing is set; today's where the
    /// version is not understood.
    pub fn defaults(kubernetes: &str) -> Self {
        // The kubelet's report frequency is 5 min by default, and the lease (a quarter of 40 s) is
        // what beats.
        let grace = if minor_version(kubernetes).is_some_and(|minor| minor < 32) { 40 } else { 50 };
        Self {
            node_status_update_frequency: Some(Duration::from_secs(10)),
            node_status_report_frequency: Some(Duration::from_secs(300)),
            node_lease_duration: Some(Duration::from_secs(40)),
            node_monitor_period: Some(Duration::from_secs(5)),
            node_monitor_grace_period: Some(Duration::from_secs(grace)),
            source: TuningSource::Defaults,
        }
    }

    /// These settings, those that are not set as Kubernetes of this version has them. The source
    /// stays.
    pub fn completed(&self, kubernetes: &str) -> Self {
        let defaults = Self::defaults(kubernetes);
        // The kubelet lets the report frequency follow the update frequency when only that one is
        // set (in its config file).
        let report = self.node_status_report_frequency.or(self.node_status_update_frequency);
        Self {
            node_status_update_frequency: self
                .node_status_update_frequency
                .or(defaults.node_status_update_frequency),
            node_status_report_frequency: report.or(defaults.node_status_report_frequency),
            node_lease_duration: self.node_lease_duration.or(defaults.node_lease_duration),
            node_monitor_period: self.node_monitor_period.or(defaults.node_monitor_period),
            node_monitor_grace_period: self
                .node_monitor_grace_period
                .or(defaults.node_monitor_grace_period),
            source: self.source,
        }
    }
}

/// The minor version of `v1.34.4`: 34. `None` if it is not a 1.x.
pub fn minor_version(kubernetes: &str) -> Option<u32> {
    let minor = kubernetes.trim_start_matches('v').strip_prefix("1.")?;
    minor.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn the_minor_version_is_read_whatever_follows_it() {
        for version in ["v1.34.4", "1.34", "v1.34+", "v1.34.4-gke.100", "v1.34-alpha.1"] {
            assert_eq!(minor_version(version), Some(34), "{version}");
        }
        for version in ["", "v2.34.0", "v1", "v1.x", "34"] {
            assert_eq!(minor_version(version), None, "{version}");
        }
    }

    #[test]
    fn the_grace_period_is_the_versions() {
        for (version, grace) in
            [("v1.31.9", 40), ("v1.32.0", 50), ("v1.34.4", 50), ("v1.29+", 40), ("1.27.3-eks", 40)]
        {
            assert_eq!(
                Tuning::defaults(version).node_monitor_grace_period,
                seconds(grace),
                "{version}"
            );
        }
    }

    #[test]
    fn the_report_frequency_follows_the_update_frequency_unless_it_is_set() {
        let asked = Tuning { node_status_update_frequency: seconds(1), ..Tuning::default() };
        assert_eq!(asked.completed("v1.34.4").node_status_report_frequency, seconds(1));
        let both = Tuning { node_status_report_frequency: seconds(300), ..asked };
        assert_eq!(both.completed("v1.34.4").node_status_report_frequency, seconds(300));
        assert_eq!(
            Tuning::default().completed("v1.34.4").node_status_report_frequency,
            seconds(300)
        );
    }
}
