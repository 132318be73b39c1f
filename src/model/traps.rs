//! Settings that will surprise: warnings before a fault, as pure functions over settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::agenda::NEVER;
use super::cluster::ZoneCount;
use super::detection::{
    Beat, Heartbeat, KubeletEnd, REPORT, UPDATE, heartbeat, predict, status_interval,
};
use super::settings::CONNECTION_GIVEN_UP;
use super::topology::Controller;
use crate::stats::Seconds;
use crate::timeline::{Tuning, format_duration};

/// When Kubernetes' clients notice that a connection is dead: `HTTP2_READ_IDLE_TIMEOUT_SECONDS` of
/// silence, then `HTTP2_PING_TIMEOUT_SECONDS` without an answer
/// (`apimachinery/pkg/util/net/http.go`).
const HTTP2_HEALTH_CHECK: Duration = Duration::from_nanos(CONNECTION_GIVEN_UP);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum About {
    NodeStatusUpdateFrequency,
    NodeStatusReportFrequency,
    NodeMonitorPeriod,
    NodeMonitorGracePeriod,
    /// How long a fault is held.
    Hold,
    /// How many nodes a fault hits.
    Targets,
    Pods,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Trap {
    pub name: String,
    pub about: About,
    /// Whether it is wrong for certain, not only a risk.
    pub certain: bool,
    /// What is so: a lowercase fragment.
    pub text: String,
    pub why: String,
    pub hint: String,
    pub source: String,
}

impl Trap {
    fn new(
        name: &str,
        about: About,
        text: String,
        why: impl Into<String>,
        hint: impl Into<String>,
        source: &str,
    ) -> Self {
        let (why, hint) = (why.into(), hint.into());
        Self { name: name.into(), about, certain: false, text, why, hint, source: source.into() }
    }

    fn certain(self) -> Self {
        Self { certain: true, ..self }
    }
}

/// The traps of a tuning on a cluster with so many API servers. What is not set is the default of
/// this version (`v1.34.4`).
pub(crate) fn traps_of_tuning(tuning: &Tuning, kubernetes: &str, api_servers: u32) -> Vec<Trap> {
    if tuning.is_partly_unknown() {
        return Vec::new();
    }
    let tuning = &tuning.completed(kubernetes);
    let period = tuning.node_monitor_period.unwrap_or_default();
    let grace = tuning.node_monitor_grace_period.unwrap_or_default();
    let all = [
        status_that_does_not_beat(tuning),
        grace_against_heartbeats(tuning, grace),
        one_request_outlasts_grace(tuning, grace),
        period_above_grace(period, grace),
        connection_noticed_late(grace, api_servers),
    ];
    all.into_iter().flatten().collect()
}

/// The update frequency was made shorter than its default, and yet the lease is what beats.
fn status_that_does_not_beat(tuning: &Tuning) -> Option<Trap> {
    let update = tuning.node_status_update_frequency?;
    let Beat { kind, interval } = heartbeat(tuning);
    let report = status_interval(tuning);
    // A lease that beats as often as the status is looked at, or faster than one that is posted as
    // often, was asked for.
    let lease_is_meant = interval <= update || report == update;
    if kind == Heartbeat::Status || update >= UPDATE || lease_is_meant {
        return None;
    }
    let text = format!(
        "the status is checked every {} and posted only every {}",
        written(update),
        written(report)
    );
    // Any other value was set.
    let cause = match report == REPORT {
        true => {
            "5m by default, which the flag --node-status-update-frequency does not change".into()
        }
        false => format!("which is set to {}", written(report)),
    };
    let why = format!(
        "an unchanged status is posted every nodeStatusReportFrequency, {cause}; the heartbeat is \
         the lease, every {}",
        written(interval)
    );
    let hint = match report == REPORT {
        true => {
            "set nodeStatusUpdateFrequency in a KubeletConfiguration, where the report frequency \
             follows it, or set nodeStatusReportFrequency too"
        }
        false => {
            "leave nodeStatusReportFrequency out: it then follows the nodeStatusUpdateFrequency \
             of a KubeletConfiguration"
        }
    };
    let source = "kubernetes#80172; pkg/kubelet/apis/config/v1beta1/defaults.go";
    Some(Trap::new(
        "status-does-not-beat",
        About::NodeStatusReportFrequency,
        text,
        why,
        hint,
        source,
    ))
}

fn grace_against_heartbeats(tuning: &Tuning, grace: Duration) -> Option<Trap> {
    let Beat { kind, interval } = heartbeat(tuning);
    let what = match kind {
        Heartbeat::Lease => "the lease's renewal",
        Heartbeat::Status => "the node's status",
    };
    let beats = format!("the heartbeat interval ({what}, every {})", written(interval));
    let source = "cmd/kube-controller-manager/app/options/nodelifecyclecontroller.go: the grace period must be N times the heartbeat's";
    let about = About::NodeMonitorGracePeriod;
    if interval >= grace {
        let text = format!("the grace period of {} is not longer than {beats}", written(grace));
        let hint =
            format!("a grace period of {} or more, or a shorter heartbeat", written(interval * 4));
        let why = "healthy nodes become NotReady between two heartbeats, repeatedly";
        return Some(Trap::new("grace-below-heartbeat", about, text, why, hint, source).certain());
    }
    if interval * 2 > grace {
        let text = format!("the grace period of {} is shorter than twice {beats}", written(grace));
        let hint = format!("a grace period of {} or more", written(interval * 4));
        let why = "one lost heartbeat is enough to mark a healthy node NotReady";
        return Some(Trap::new("grace-below-two-heartbeats", about, text, why, hint, source));
    }
    None
}

/// The kubelet waits for a heartbeat's answer for as long as the shorter of its update frequency and
/// its lease, and sends no other of its kind until then.
fn one_request_outlasts_grace(tuning: &Tuning, grace: Duration) -> Option<Trap> {
    let update = tuning.node_status_update_frequency?;
    let timeout = update.min(tuning.node_lease_duration?);
    let Beat { kind, interval } = heartbeat(tuning);
    if kind == Heartbeat::Status || interval >= grace || timeout + interval < grace {
        return None;
    }
    let text = format!(
        "one renewal of the lease without an answer takes {}, and the grace period is {}",
        written(timeout),
        written(grace)
    );
    let why = "a single request that is lost makes a healthy node NotReady";
    let hint = format!(
        "set nodeStatusUpdateFrequency to {} (with nodeStatusReportFrequency 5m, so that the status is \
         not posted as often)",
        written(interval)
    );
    let source = "cmd/kubelet/app/server.go: heartbeatClientConfig.Timeout is the shorter of the update frequency and the lease";
    let about = About::NodeStatusUpdateFrequency;
    Some(Trap::new("one-request-outlasts-grace", about, text, why, hint, source))
}

fn period_above_grace(period: Duration, grace: Duration) -> Option<Trap> {
    let text = format!(
        "the monitor period of {} is longer than the grace period of {}",
        written(period),
        written(grace)
    );
    let why = "nothing is noticed between two passes: the grace period does not decide when";
    let hint = format!("a monitor period of {} or less", written(grace / 4));
    let source = "pkg/controller/nodelifecycle/node_lifecycle_controller.go, monitorNodeHealth";
    (period > grace).then(|| {
        Trap::new("period-above-grace", About::NodeMonitorPeriod, text, why, hint, source).certain()
    })
}

/// With one API server there is none to turn to: while it is gone nobody counts the grace period
/// either.
fn connection_noticed_late(grace: Duration, api_servers: u32) -> Option<Trap> {
    if api_servers < 2 || grace >= HTTP2_HEALTH_CHECK {
        return None;
    }
    let text = format!(
        "the grace period of {} is shorter than the {} after which a client gives up on a dead \
         connection",
        written(grace),
        written(HTTP2_HEALTH_CHECK)
    );
    let why = "when an API server, or the load balancer's connection to it, dies silently, many \
         healthy kubelets may keep posting into it and be marked NotReady at the same time";
    let hint = "50s or more, the default since Kubernetes 1.32, or \
         HTTP2_READ_IDLE_TIMEOUT_SECONDS and HTTP2_PING_TIMEOUT_SECONDS below it on the nodes";
    let source = "nodelifecyclecontroller.go: greater than the sum of HTTP2_PING_TIMEOUT_SECONDS and HTTP2_READ_IDLE_TIMEOUT_SECONDS";
    Some(Trap::new(
        "http2-health-check-above-grace",
        About::NodeMonitorGracePeriod,
        text,
        why,
        hint,
        source,
    ))
}

/// A fault, as far as its traps go.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FaultPlan {
    pub end: KubeletEnd,
    pub hold: Duration,
    /// How many nodes are not ready at the same time.
    pub nodes: u32,
    /// How many nodes their zone has (a cluster without zones is one).
    pub zone: u32,
    pub only_zone: bool,
    /// What is expected to move off the nodes; `None`: nothing is.
    pub pods: Option<Pods>,
}

/// Pods that should be made anew elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pods {
    /// How long they tolerate a node that is not ready (`tolerationSeconds`, 300 s by default);
    /// `None`: for ever.
    pub toleration: Option<Duration>,
    pub controller: Controller,
}

pub(crate) fn traps_of_fault(plan: &FaultPlan, tuning: &Tuning, kubernetes: &str) -> Vec<Trap> {
    let Ok(prediction) = predict(&tuning.completed(kubernetes), kubernetes, plan.end) else {
        return Vec::new();
    };
    let latest = Duration::from_secs_f64(prediction.detection.most.as_f64().max(0.0));
    let mut all: Vec<Trap> = undone_too_early(plan, latest).into_iter().collect();
    if let Some(pods) = plan.pods {
        all.extend(evicted_too_late(plan, pods, latest));
        all.extend(zone_without_evictions(plan));
        all.extend(not_replaced(pods.controller));
    }
    all
}

fn undone_too_early(plan: &FaultPlan, latest: Duration) -> Option<Trap> {
    let text = format!(
        "the fault may be undone before it is detected: detection takes up to {:.1} here",
        Seconds::from(latest).ceil(1)
    );
    let why = "what was not detected cannot be measured";
    let hint = format!("`for: {}` or longer", written(Duration::from_secs(latest.as_secs() + 5)));
    let source = "the heartbeat's interval, the monitor period and the grace period (src/model/detection.rs)";
    (plan.hold < latest)
        .then(|| Trap::new("hold-below-detection", About::Hold, text, why, hint, source))
}

fn evicted_too_late(plan: &FaultPlan, pods: Pods, latest: Duration) -> Option<Trap> {
    let evicted = pods.toleration.map(|toleration| toleration + latest);
    if evicted.is_some_and(|evicted| evicted <= plan.hold) {
        return None;
    }
    let text = match pods.toleration {
        Some(toleration) => format!(
            "pods stay for {} after the node is not ready, and the fault is held for {}",
            written(toleration),
            written(plan.hold)
        ),
        None => "pods tolerate a NotReady node forever".to_owned(),
    };
    let why = "they leave their Service's endpoints when the node is detected, but are not \
         recreated elsewhere";
    let hint = match evicted {
        Some(evicted) => {
            let held = written(Duration::from_secs(evicted.as_secs() + 5));
            format!("a lower tolerationSeconds, or `for: {held}` or longer")
        }
        None => "a toleration with tolerationSeconds".to_owned(),
    };
    let source =
        "plugin/pkg/admission/defaulttolerationseconds: 300 s for not-ready and unreachable";
    Some(Trap::new("eviction-after-the-fault", About::Pods, text, why, hint, source))
}

fn zone_without_evictions(plan: &FaultPlan) -> Option<Trap> {
    let source = "node_lifecycle_controller.go: ComputeZoneState, handleDisruption, ReducedQPSFunc";
    let hint = "fewer nodes at the same time, or more nodes that stay";
    if plan.only_zone && plan.nodes >= plan.zone {
        let text = format!("all {} nodes are NotReady at the same time", plan.zone);
        let why = "when no zone is healthy, Kubernetes removes its taints and evicts nothing: it \
             assumes that the control plane itself is at fault";
        return Some(Trap::new(
            "no-eviction-when-all-are-dead",
            About::Targets,
            text,
            why,
            hint,
            source,
        ));
    }
    let ready = plan.zone.saturating_sub(plan.nodes);
    let zone = ZoneCount { ready, not_ready: plan.nodes };
    if zone.interval() != NEVER {
        return None;
    }
    let share = f64::from(plan.nodes) / f64::from(plan.zone);
    let text = format!(
        "{} of {} nodes of a zone are NotReady at the same time ({:.0}%)",
        plan.nodes,
        plan.zone,
        share * 100.0
    );
    let why = "from 55% on, and with more than two of them, nothing is evicted in a zone of up to 50 nodes";
    Some(Trap::new("no-eviction-in-a-disrupted-zone", About::Targets, text, why, hint, source))
}

fn not_replaced(controller: Controller) -> Option<Trap> {
    let (id, text, why, hint, source) = match controller {
        Controller::None => (
            "bare-pod",
            "a pod on the node has no controller: it is deleted and not replaced",
            "only a controller (a Deployment, a StatefulSet, a Job) replaces pods",
            "make it a Deployment",
            "pkg/controller/tainteviction: pods are deleted, no more",
        ),
        Controller::StatefulSet => (
            "stateful-pod-stays-terminating",
            "a StatefulSet's pod on a dead node stays Terminating and is not replaced",
            "its name is taken until its kubelet confirms its end: two pods of the same name must never run",
            "it is replaced when the node is back, or is deleted, or has the taint node.kubernetes.io/out-of-service",
            "pkg/controller/statefulset/stateful_set_control.go: a terminating pod is waited for",
        ),
        Controller::Other => (
            "unknown-controller",
            "what replaces the pods of this kind of object is not modelled: here nothing does",
            "the model knows Deployment, ReplicaSet, StatefulSet, DaemonSet and Job",
            "measure it in a kind cluster (`kubectl outage run`)",
            "src/workload/pods.rs",
        ),
        Controller::ReplicaSet | Controller::DaemonSet => return None,
    };
    Some(Trap::new(id, About::Pods, text.to_owned(), why, hint, source))
}

fn written(duration: Duration) -> String {
    match duration.subsec_nanos().is_multiple_of(1_000_000) {
        true => format_duration(duration),
        false => Seconds::from(duration).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "v1.34.4";

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn tuned(update: u64, period: u64, grace: u64) -> Tuning {
        Tuning {
            node_status_update_frequency: seconds(update),
            node_monitor_period: seconds(period),
            node_monitor_grace_period: seconds(grace),
            ..Tuning::default()
        }
    }

    fn names(traps: &[Trap]) -> Vec<&str> {
        traps.iter().map(|trap| trap.name.as_str()).collect()
    }

    fn of_tuning(tuning: &Tuning, api_servers: u32) -> Vec<Trap> {
        traps_of_tuning(tuning, NOW, api_servers)
    }

    #[test]
    fn defaults_and_the_article_s_settings_have_none_with_one_api_server() {
        for (tuning, version) in [
            (Tuning::default(), NOW),
            (Tuning::default(), "v1.31.0"),
            (tuned(1, 1, 4), NOW),
            (tuned(10, 5, 40), NOW),
        ] {
            assert_eq!(names(&traps_of_tuning(&tuning, version, 1)), [""; 0], "{tuning:?}");
        }
    }

    #[test]
    fn the_flag_makes_nodes_flap_and_is_reported_why() {
        let flag = Tuning { node_status_report_frequency: seconds(300), ..tuned(1, 1, 4) };
        let traps = of_tuning(&flag, 1);
        assert_eq!(names(&traps), ["status-does-not-beat", "grace-below-heartbeat"]);
        assert!(
            traps[1].certain && traps[1].text.contains("every 10s") && traps[0].why.contains("5m"),
            "{traps:?}"
        );
        // With a long grace period it is only not what was asked for.
        let patient = Tuning { node_monitor_grace_period: seconds(50), ..flag };
        assert_eq!(names(&of_tuning(&patient, 1)), ["status-does-not-beat"]);
    }

    #[test]
    fn a_longer_lease_alone_is_no_trap() {
        assert_eq!(
            names(&of_tuning(&Tuning { node_lease_duration: seconds(60), ..Tuning::default() }, 1)),
            [""; 0]
        );
    }

    #[test]
    fn two_heartbeats_fit_into_a_grace_period() {
        assert_eq!(names(&of_tuning(&tuned(3, 1, 5), 1)), ["grace-below-two-heartbeats"]);
        assert_eq!(names(&of_tuning(&tuned(2, 1, 4), 1)), [""; 0]);
    }

    #[test]
    fn a_period_above_the_grace_period() {
        assert_eq!(names(&of_tuning(&tuned(1, 10, 4), 1)), ["period-above-grace"]);
        assert_eq!(names(&of_tuning(&tuned(1, 4, 4), 1)), [""; 0]);
    }

    #[test]
    fn dead_connections_matter_where_there_is_another_api_server() {
        assert_eq!(names(&of_tuning(&tuned(10, 5, 40), 3)), ["http2-health-check-above-grace"]);
        assert_eq!(names(&of_tuning(&Tuning::default(), 3)), [""; 0]);
        assert_eq!(
            names(&traps_of_tuning(&Tuning::default(), "v1.31.0", 3)),
            ["http2-health-check-above-grace"]
        );
    }

    fn plan(
        hold: u64,
        nodes: u32,
        zone: u32,
        toleration: Option<Duration>,
        controller: Controller,
    ) -> FaultPlan {
        let pods = Some(Pods { toleration, controller });
        FaultPlan {
            end: KubeletEnd::AtOnce,
            hold: Duration::from_secs(hold),
            nodes,
            zone,
            only_zone: true,
            pods,
        }
    }

    fn of_fault(plan: FaultPlan) -> Vec<String> {
        traps_of_fault(&plan, &tuned(1, 1, 4), NOW).into_iter().map(|trap| trap.name).collect()
    }

    #[test]
    fn a_fault_that_is_over_before_it_is_seen() {
        assert_eq!(
            of_fault(FaultPlan { pods: None, ..plan(3, 1, 3, None, Controller::ReplicaSet) }),
            ["hold-below-detection"]
        );
        assert_eq!(
            of_fault(FaultPlan { pods: None, ..plan(7, 1, 3, None, Controller::ReplicaSet) }),
            [""; 0]
        );
        assert_eq!(
            of_fault(FaultPlan {
                end: KubeletEnd::Never,
                ..plan(3, 1, 3, None, Controller::ReplicaSet)
            }),
            [""; 0]
        );
    }

    #[test]
    fn evictions_that_never_happen() {
        assert_eq!(
            of_fault(plan(30, 1, 3, seconds(300), Controller::ReplicaSet)),
            ["eviction-after-the-fault"]
        );
        assert_eq!(of_fault(plan(400, 1, 3, seconds(300), Controller::ReplicaSet)), [""; 0]);
        assert_eq!(
            of_fault(plan(400, 1, 3, None, Controller::ReplicaSet)),
            ["eviction-after-the-fault"]
        );
        let pods_of = |controller| of_fault(plan(400, 1, 3, seconds(300), controller));
        assert_eq!(pods_of(Controller::None), ["bare-pod"]);
        assert_eq!(pods_of(Controller::StatefulSet), ["stateful-pod-stays-terminating"]);
        assert!(pods_of(Controller::DaemonSet).is_empty());
        assert_eq!(pods_of(Controller::Other), ["unknown-controller"]);
        // Two are few, whatever their share.
        assert_eq!(of_fault(plan(400, 2, 3, seconds(300), Controller::ReplicaSet)), [""; 0]);
        assert_eq!(
            of_fault(plan(400, 3, 5, seconds(300), Controller::ReplicaSet)),
            ["no-eviction-in-a-disrupted-zone"]
        );
        assert_eq!(of_fault(plan(400, 3, 6, seconds(300), Controller::ReplicaSet)), [""; 0]);
        assert_eq!(of_fault(plan(400, 40, 51, seconds(300), Controller::ReplicaSet)), [""; 0]);
        assert_eq!(
            of_fault(plan(400, 3, 3, seconds(300), Controller::ReplicaSet)),
            ["no-eviction-when-all-are-dead"]
        );
        assert_eq!(
            of_fault(FaultPlan {
                only_zone: false,
                ..plan(400, 3, 3, seconds(300), Controller::ReplicaSet)
            }),
            [""; 0]
        );
    }

    proptest! {
        /// Each says what, why, what to do and where it is written, for whatever settings.
        #[test]
        fn every_trap_is_whole(update in 0u64..400, period in 0u64..100, grace in 0u64..400, servers in 0u32..5) {
            for trap in of_tuning(&tuned(update, period, grace), servers) {
                for text in [&trap.text, &trap.why, &trap.hint, &trap.source] {
                    prop_assert!(text.len() > 10, "{trap:?}");
                }
                prop_assert!(trap.name.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit()));
            }
        }
    }
}
