//! Every number that the model rests on, each with its source, in one place.
//!
//! Versions: the defaults are those of Kubernetes 1.34, except where a source names others. "Recorded" are the timelines of
//! `tests/recorded/`: kind clusters of three nodes with Kubernetes 1.34.4, on two busy cores.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::detection::{
    Grace, LEASE as LEASE_DURATION, PERIOD, REPORT, UPDATE, Unpredictable, default_grace,
};
use crate::stats::{Random, Seconds};
use crate::timeline::Tuning;

/// Nanoseconds since the model's beginning, or a length of time.
pub(super) type Nanos = u64;

const MILLISECOND: Nanos = 1_000_000;
const SECOND: Nanos = 1000 * MILLISECOND;

/// A length of time that differs from one time to the next: any between two, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    least: Nanos,
    most: Nanos,
}

impl Span {
    /// Between these two.
    pub const fn millis(least: u64, most: u64) -> Self {
        Self { least: least * MILLISECOND, most: most * MILLISECOND }
    }

    const fn micros(least: u64, most: u64) -> Self {
        Self { least: least * 1000, most: most * 1000 }
    }

    pub(super) fn draw(self, random: &mut Random) -> Nanos {
        random.between(self.least, self.most)
    }

    /// The shortest and the longest.
    pub fn bounds(self) -> (Duration, Duration) {
        (Duration::from_nanos(self.least), Duration::from_nanos(self.most))
    }
}

/// The wait of `JitterUntil`: never shorter than the setting.
pub(super) fn jittered(interval: Nanos, jitter: f64, random: &mut Random) -> Nanos {
    interval + (interval as f64 * jitter * random.share()) as Nanos
}

/// A number that the model rests on, as it is listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// What it is; Kubernetes' own name where it has one.
    pub name: String,
    /// Its value.
    pub value: Quantity,
    /// Where it comes from, with the version where it depends on it.
    pub source: String,
}

/// A parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Quantity {
    /// A length of time.
    Time(Seconds),
    /// A length of time that is drawn evenly from between two.
    Between {
        /// The shortest.
        least: Seconds,
        /// The longest.
        most: Seconds,
    },
    /// A share, 0 to 1.
    Share(f64),
    /// How many.
    Count(u32),
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Time(time) => time.fmt(f),
            Quantity::Between { least, most } => write!(f, "{least} to {most}"),
            Quantity::Share(share) => write!(f, "{share}"),
            Quantity::Count(count) => write!(f, "{count}"),
        }
    }
}

impl From<Nanos> for Quantity {
    fn from(nanos: Nanos) -> Self {
        Quantity::Time(Duration::from_nanos(nanos).into())
    }
}

impl From<Span> for Quantity {
    fn from(spread: Span) -> Self {
        Quantity::Between {
            least: Duration::from_nanos(spread.least).into(),
            most: Duration::from_nanos(spread.most).into(),
        }
    }
}

impl From<f64> for Quantity {
    fn from(share: f64) -> Self {
        Quantity::Share(share)
    }
}

impl From<u32> for Quantity {
    fn from(count: u32) -> Self {
        Quantity::Count(count)
    }
}

/// Declares the settings that no tuning changes: a constant, its listed name, and its source, once each.
macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $value:expr, $listed:literal, $source:literal;)*) => {
        $($(#[$doc])* pub(super) const $name: $kind = $value;)*

        fn fixed() -> Vec<Parameter> {
            vec![$(Parameter { name: $listed.into(), value: $name.into(), source: $source.into() }),*]
        }
    };
}

constants! {
    // The kubelet.
    JITTER: f64 = 0.04, "kubelet: jitter of both heartbeats",
        "pkg/kubelet/kubelet.go and component-helpers/apimachinery/lease/controller.go: JitterUntil(..., 0.04, true)";
    STATUS_DELAY: f64 = 0.5, "kubelet: delayAfterNodeStatusChange, of the report frequency, either way, once",
        "pkg/kubelet/kubelet_node_status.go calculateDelay, since 1.29";
    LEASE_RETRY_FIRST: Nanos = 200 * MILLISECOND, "kubelet: first wait after a failed renewal of its lease",
        "component-helpers/apimachinery/lease/controller.go backoffEnsureLease";
    LEASE_RETRY_MOST: Nanos = 7 * SECOND, "kubelet: longest wait after a failed renewal of its lease",
        "component-helpers/apimachinery/lease/controller.go maxBackoff";
    POD_STATUS_SYNC: Nanos = 10 * SECOND, "kubelet: reconciliation of its pods' status",
        "pkg/kubelet/status/status_manager.go syncPeriod";
    KUBELET_START: Span = Span::millis(550, 800), "kubelet: start until its first status post",
        "recorded: 0.68 s after the call (kubelet-stop)";
    KUBELET_STARTED_PODS: Span = Span::millis(700, 900), "kubelet: first status post until its running pods are reported ready",
        "recorded: 0.80 s (kubelet-stop)";
    // The node's machine.
    KILL_TAKES: Span = Span::millis(40, 300), "docker kill: call until the machine is dead",
        "docs of the facts: 0.3 s until the call returned; recorded: 0.04 s until the engine acted";
    INSIDE_TAKES: Span = Span::millis(50, 430), "an action inside a node (kubelet, packet filter): call until its effect",
        "recorded: within 0.086 to 0.324 s and 0.128 to 0.426 s";
    ORDERLY_KUBELET: Span = Span::millis(50, 600), "docker stop: call until the kubelet has ended",
        "measured on kind: no heartbeat later than 0.6 s after the call";
    ORDERLY_PODS: Span = Span::millis(50, 600), "docker stop: call until a pod has ended",
        "measured on kind: first client error 0.1 to 0.6 s after the call; recorded: 0.059 s (worker-stop)";
    ORDERLY_REFUSES: Span = Span::millis(60, 300), "docker stop: how long an ended pod refuses connections before they hang",
        "recorded: 0.24 to 0.26 s, nine requests (worker-stop); in another run three requests";
    BOOT: Span = Span::millis(2600, 3200), "docker start: call until the kubelet's first status post",
        "recorded: 2.91 and 2.94 s (node-kill, worker-stop)";
    BOOTED_PODS: Span = Span::millis(1900, 2300), "docker start: first status post until its pods are ready again",
        "recorded: 2.03 and 2.11 s (worker-stop, node-kill)";
    THAW: Span = Span::millis(700, 1300), "docker unpause: call until the kubelet's first status post",
        "recorded: 1.20 s (node-pause); before that: about 1 s";
    RECONNECT_MOST: Nanos = 8 * SECOND, "a connection that was cut is retried at most this much later",
        "TCP's retransmissions wait twice as long each time; recorded: 3.6 s after a cut of 15 s (node-disconnect)";
    UNDO_CONFIRMED: Nanos = 300 * MILLISECOND, "an undo: call until it is confirmed",
        "recorded: 0.15, 0.38 and 0.38 s (node-disconnect, kubelet-stop, node-pause)";
    UNDO_CONFIRMED_BOOT: Nanos = 1350 * MILLISECOND, "docker start: call until it is confirmed",
        "recorded: 1.31 and 1.41 s (node-kill, worker-stop)";
    // The node lifecycle controller.
    PASS_WORK: Span = Span::micros(700, 1100), "node lifecycle controller: a pass's own time, on top of the period",
        "measured on kind: passes come 1.0007 to 1.0011 s apart for a period of 1 s";
    NO_SCHEDULE: Span = Span::millis(10, 40), "node lifecycle controller: Ready changed until the NoSchedule taint",
        "recorded: 12 to 36 ms";
    TAINT_PASS: Nanos = 100 * MILLISECOND, "node lifecycle controller: interval of its NoExecute pass",
        "pkg/controller/nodelifecycle/scheduler/rate_limited_queue.go NodeEvictionPeriod";
    EVICTION: Nanos = 10 * SECOND, "node lifecycle controller: 1 / --node-eviction-rate",
        "cmd/kube-controller-manager/app/options/nodelifecyclecontroller.go: 0.1 a second, burst 1";
    EVICTION_REDUCED: Nanos = 100 * SECOND, "node lifecycle controller: 1 / --secondary-node-eviction-rate",
        "cmd/kube-controller-manager/app/options/nodelifecyclecontroller.go: 0.01 a second";
    LARGE_ZONE: u32 = 50, "node lifecycle controller: --large-cluster-size-threshold; up to it an unhealthy zone is not evicted at all",
        "cmd/kube-controller-manager/app/options/nodelifecyclecontroller.go";
    UNHEALTHY_ZONE: f64 = 0.55, "node lifecycle controller: --unhealthy-zone-threshold, of at least three nodes that are not ready",
        "cmd/kube-controller-manager/app/options/nodelifecyclecontroller.go";
    PODS_UNREADY: Span = Span::millis(20, 80), "node lifecycle controller: NotReady until a pod of the node is written as not ready",
        "recorded: 30 to 79 ms";
    NOT_READY_WITHIN: Nanos = 120 * SECOND, "the taint out-of-service waits so long for its node to be NotReady",
        "src/fault/object/node_taint.rs";
    POD_GC: Nanos = 20 * SECOND, "pod garbage collector: interval of its looks",
        "pkg/controller/podgc/gc_controller.go gcCheckPeriod";
    EVICTS: Span = Span::millis(5, 30), "taint manager: end of the toleration until the pod is deleted",
        "assumed as fast as other writes; not measured";
    // Endpoints and proxy.
    ENDPOINTS: Span = Span::millis(15, 80), "endpoint slice controller: pod's Ready until its slice shows it",
        "recorded: 14 to 76 ms";
    PROXY_WORK: Span = Span::millis(5, 80), "kube-proxy: slice until its rules are in force",
        "recorded: the last request that failed was sent up to 0.067 s after a watch saw the slice, in one run 0.10 s before";
    PROXY_MIN_SYNC: Nanos = SECOND, "kube-proxy: minSyncPeriod",
        "pkg/proxy/apis/config/v1alpha1/defaults.go, iptables and nftables";
    // Workload.
    REPLICAS: Span = Span::millis(10, 60), "ReplicaSet controller: a pod is missing until it is created",
        "recorded: workload created, two pods within 40 ms of one another";
    SCHEDULING: Span = Span::millis(10, 60), "scheduler: pod seen until it is bound",
        "recorded: 53 and 54 ms";
    // Leaders.
    LEASE: Nanos = 15 * SECOND, "leader election: leaseDuration",
        "component-base/config/v1alpha1/defaults.go";
    RENEW_DEADLINE: Nanos = 10 * SECOND, "leader election: renewDeadline",
        "component-base/config/v1alpha1/defaults.go";
    RETRY: Nanos = 2 * SECOND, "leader election: retryPeriod",
        "component-base/config/v1alpha1/defaults.go";
    RETRY_JITTER: f64 = 1.2, "leader election: jitter of a follower's attempts",
        "client-go/tools/leaderelection/leaderelection.go JitterFactor";
    // The control plane.
    RELIST_FIRST: Nanos = 800 * MILLISECOND, "watches: first wait before a new connection, doubled each time, plus up to as much again",
        "client-go/tools/cache/reflector.go NewExponentialBackoffManager";
    RELIST_MOST: Nanos = 30 * SECOND, "watches: longest wait before a new connection, plus up to as much again",
        "client-go/tools/cache/reflector.go NewExponentialBackoffManager";
    CONNECTION_GIVEN_UP: Nanos = 45 * SECOND, "clients: silence until a connection to an API server is given up",
        "apimachinery/pkg/util/net/http.go: HTTP2_READ_IDLE_TIMEOUT_SECONDS 30, HTTP2_PING_TIMEOUT_SECONDS 15";
    ETCD_ELECTION: Span = Span::millis(1000, 2000), "etcd: its leader is lost until another is elected",
        "etcd's --election-timeout of 1 s, drawn from once to twice of it (raft)";
    COMPONENT_START: Span = Span::millis(1000, 5000), "control plane: a component is started until it serves",
        "assumed; not measured";
}

/// The settings of a modelled cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub(super) status_update: Nanos,
    pub(super) status_report: Nanos,
    pub(super) lease_renewal: Nanos,
    pub(super) monitor_period: Nanos,
    pub(super) grace: Nanos,
    tuned: Arc<[Parameter]>,
}

const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The shortest: below it the model, as the components, would do nothing else.
const SHORTEST: Duration = Duration::from_millis(10);

impl Settings {
    /// The settings of a cluster of this tuning and version (`v1.34.4`, for the defaults of what the tuning does not say).
    ///
    /// Errors say which setting can't be. A grace period below the heartbeat's interval can be: healthy nodes flap, and do so here.
    pub fn of(tuning: &Tuning, kubernetes: &str) -> Result<Self, Unpredictable> {
        if tuning.is_partly_unknown() {
            return Err(Unpredictable::Unread);
        }
        let mut tuned = Vec::new();
        let update = known(
            &mut tuned,
            "nodeStatusUpdateFrequency",
            tuning.node_status_update_frequency,
            UPDATE,
            "1.34's default",
        )?;
        let report = match tuning.node_status_update_frequency {
            Some(update) => {
                (update, "nodeStatusUpdateFrequency, which sets it in the kubelet's config file")
            }
            None => (REPORT, "1.34's default"),
        };
        let report = known(
            &mut tuned,
            "nodeStatusReportFrequency",
            tuning.node_status_report_frequency,
            report.0,
            report.1,
        )?;
        let lease = tuning.node_lease_duration.map(|duration| duration / 4);
        let lease = known(
            &mut tuned,
            "nodeLeaseDurationSeconds / 4",
            lease,
            LEASE_DURATION / 4,
            "1.34's default",
        )?;
        let period = known(
            &mut tuned,
            "--node-monitor-period",
            tuning.node_monitor_period,
            PERIOD,
            "1.34's default",
        )?;
        let default = match tuning.node_monitor_grace_period {
            // Which version it is does not matter.
            Some(grace) => Grace { value: grace, source: "" },
            None => default_grace(kubernetes)?,
        };
        let grace = known(
            &mut tuned,
            "--node-monitor-grace-period",
            tuning.node_monitor_grace_period,
            default.value,
            default.source,
        )?;
        if period > grace {
            let (period, grace) =
                (Duration::from_nanos(period).into(), Duration::from_nanos(grace).into());
            return Err(Unpredictable::PeriodAboveGrace { period, grace });
        }
        Ok(Self {
            status_update: update,
            status_report: report,
            lease_renewal: lease,
            monitor_period: period,
            grace,
            tuned: tuned.into(),
        })
    }

    /// Every number that the model rests on: those of the tuning first.
    pub fn constants(&self) -> Vec<Parameter> {
        self.tuned.iter().cloned().chain(fixed()).collect()
    }

    pub fn grace(&self) -> Duration {
        Duration::from_nanos(self.grace)
    }

    pub fn monitor_period(&self) -> Duration {
        Duration::from_nanos(self.monitor_period)
    }
}

fn known(
    listed: &mut Vec<Parameter>,
    name: &'static str,
    set: Option<Duration>,
    default: Duration,
    source: &str,
) -> Result<Nanos, Unpredictable> {
    let value = set.unwrap_or(default);
    if value < SHORTEST {
        return Err(Unpredictable::TooShort { name, value: value.into(), least: SHORTEST.into() });
    }
    if value > LONGEST {
        return Err(Unpredictable::TooLong { name, value: value.into(), most: LONGEST.into() });
    }
    let source = if set.is_some() { "the cluster's setting" } else { source };
    let nanos = value.as_nanos() as Nanos;
    listed.push(Parameter {
        name: name.to_owned(),
        value: nanos.into(),
        source: source.to_owned(),
    });
    Ok(nanos)
}
