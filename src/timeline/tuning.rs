//! The settings of failure detection, and what Kubernetes makes of those that are not set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::go_duration::format_duration;

/// The settings that decide when a dead node is noticed, as the cluster really has them. `None`:
/// could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuning {
    /// The kubelet's `nodeStatusUpdateFrequency`.
    pub node_status_update_frequency: Option<Duration>,
    /// The kubelet's `nodeStatusReportFrequency`: the longest time between two status posts of an
    /// unchanged node.
    pub node_status_report_frequency: Option<Duration>,
    /// The kubelet's `nodeLeaseDurationSeconds`; the lease is renewed every quarter of it.
    pub node_lease_duration: Option<Duration>,
    /// The controller manager's `--node-monitor-period`.
    pub node_monitor_period: Option<Duration>,
    /// The controller manager's `--node-monitor-grace-period`.
    pub node_monitor_grace_period: Option<Duration>,
    pub source: TuningSource,
}

/// A setting that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unequal {
    pub name: &'static str,
    pub has: String,
    pub wanted: String,
}

type Setting = fn(&Tuning) -> Option<Duration>;

const SETTINGS: [(&str, Setting); 5] = [
    ("nodeStatusUpdateFrequency", |tuning| tuning.node_status_update_frequency),
    ("nodeStatusReportFrequency", |tuning| tuning.node_status_report_frequency),
    ("nodeLeaseDurationSeconds", |tuning| tuning.node_lease_duration),
    ("node-monitor-period", |tuning| tuning.node_monitor_period),
    ("node-monitor-grace-period", |tuning| tuning.node_monitor_grace_period),
];

/// Where the settings of failure detection come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TuningSource {
    #[default]
    Unknown,
    /// Read from the running kubelets and the controller manager's pod.
    Cluster,
    /// The defaults of the cluster's version.
    Defaults,
    /// Read from a kind config: asked for, not observed.
    Config,
    /// The kubelets' as above; the controller manager's cannot be read, as in a cluster whose
    /// control plane is somebody else's. Those that nobody gives are unknown, whatever the defaults.
    Kubelets,
}

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

/// Kubernetes' defaults: the kubelet's in pkg/kubelet/apis/config/v1beta1/defaults.go, the
/// controller manager's in its command's app/options/nodelifecyclecontroller.go.
pub(crate) mod defaults {
    use std::time::Duration;

    pub(crate) const UPDATE: Duration = Duration::from_secs(10);
    /// The lease (a quarter of 40 s) is what beats.
    pub(crate) const REPORT: Duration = Duration::from_secs(300);
    pub(crate) const LEASE: Duration = Duration::from_secs(40);
    pub(crate) const PERIOD: Duration = Duration::from_secs(5);
    /// Of the admission plugin DefaultTolerationSeconds.
    pub(crate) const TOLERATION: Duration = Duration::from_secs(300);

    /// A grace period, and since when it is the default.
    pub(crate) struct Grace {
        pub value: Duration,
        pub source: &'static str,
    }

    /// The grace period of 1.`minor`.
    pub(crate) fn grace(minor: u32) -> Grace {
        let (seconds, source) = match minor {
            32.. => (50, "Kubernetes' default since 1.32"),
            _ => (40, "Kubernetes' default up to 1.31"),
        };
        Grace { value: Duration::from_secs(seconds), source }
    }
}

impl Default for Tolerations {
    fn default() -> Self {
        Self { not_ready: defaults::TOLERATION, unreachable: defaults::TOLERATION }
    }
}

impl Tuning {
    /// What Kubernetes of this version (`v1.34.4`) has when nothing is set; today's where the
    /// version is not understood.
    pub fn defaults(kubernetes: &str) -> Self {
        let grace = defaults::grace(minor_version(kubernetes).unwrap_or(u32::MAX)).value;
        Self {
            node_status_update_frequency: Some(defaults::UPDATE),
            node_status_report_frequency: Some(defaults::REPORT),
            node_lease_duration: Some(defaults::LEASE),
            node_monitor_period: Some(defaults::PERIOD),
            node_monitor_grace_period: Some(grace),
            source: TuningSource::Defaults,
        }
    }

    /// What of these settings the actual ones do not have; what is not set or was not read is taken
    /// to agree.
    pub fn unequal(&self, actual: &Tuning) -> Vec<Unequal> {
        let differing = SETTINGS.iter().filter_map(|(name, setting)| {
            let (wanted, has) = (setting(self)?, setting(actual)?);
            let (shown_has, shown) = (format_duration(has), format_duration(wanted));
            (wanted != has).then_some(Unequal { name, has: shown_has, wanted: shown })
        });
        differing.collect()
    }

    /// Whether the controller manager's settings are unknown: no default may stand for them.
    pub fn is_partly_unknown(&self) -> bool {
        self.source == TuningSource::Kubelets
            && (self.node_monitor_period.is_none() || self.node_monitor_grace_period.is_none())
    }

    /// Takes those of the controller manager that are unknown from others.
    pub(crate) fn learn(&mut self, given: Tuning) {
        if self.is_partly_unknown() {
            self.node_monitor_period = self.node_monitor_period.or(given.node_monitor_period);
            let grace = self.node_monitor_grace_period.or(given.node_monitor_grace_period);
            self.node_monitor_grace_period = grace;
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
