//! When a dead node is noticed: the closed form of the kubelet's heartbeats and the controller's
//! passes.
//!
//! The controller stamps a heartbeat with its own clock at its own pass, and finds the node dead at
//! the first pass at which more than the grace period has gone by. Its loop sleeps the monitor
//! period after each pass, so n = ceil(grace / period) passes always suffice. With a heartbeat every
//! h, NotReady comes between `n p - h` and `n p + p` after the kubelet's last breath where the lease
//! is the heartbeat, and up to `n p + 2 p` where the node's status is: a changed status makes the
//! controller forget the lease that it knew, so that its next pass takes the old lease for a renewal
//! (`tryUpdateNodeHealth`). Where the lease is the heartbeat, a status is posted all the same, every
//! five minutes: of the failures just after one, some are found up to `n p + 2 p` too. Where that is
//! rare, the interval leaves them out and [`Late`] has them; no trial of the machines lies outside
//! both (`tests/closed_form.rs`).
//!
//! Only settings go in, never a measurement of the run.

use std::fmt;
use std::time::Duration;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::{Between, Seconds};
pub(super) use crate::timeline::defaults::{Grace, LEASE, PERIOD, REPORT, UPDATE};
use crate::timeline::{Cut, FaultFacts, Impact, Tuning, defaults, minor_version};

/// How a fault ends the heartbeats of the node that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubeletEnd {
    /// At once: a freeze.
    AtOnce,
    /// So long after the request at the latest: a call that takes its time, such as one inside the node.
    Within { delay: Duration },
    /// Not at all: the node goes on reporting.
    Never,
    /// Some heartbeats may get through.
    Unknown,
    /// They come late, and some may not come in time.
    Late,
    /// When a command of the user's takes effect, or they go on if it has another.
    ByCommand,
}

impl KubeletEnd {
    pub fn of_fault(fault: FaultFacts) -> Self {
        match fault.traits.last_heartbeat {
            _ if fault.traits.by_command => KubeletEnd::ByCommand,
            _ if fault.cut == Some(Cut::Partly) => KubeletEnd::Unknown,
            None if fault.traits.impact == Impact::KubeletSlow => KubeletEnd::Late,
            None => KubeletEnd::Never,
            Some(Duration::ZERO) => KubeletEnd::AtOnce,
            Some(delay) => {
                KubeletEnd::Within { delay: fault.grace.map_or(delay, |grace| grace.min(delay)) }
            }
        }
    }

    /// The longest time from the call to the last heartbeat.
    fn delay(self) -> Duration {
        match self {
            KubeletEnd::Within { delay } => delay,
            _ => Duration::ZERO,
        }
    }
}

/// The kubelet waits between 1 and 1.04 times its setting from one heartbeat to the next.
pub(super) const JITTER: f64 = 1.04;
/// The API keeps a status post's time in whole seconds, so that the controller does not see the second post in one.
const WHOLE_SECOND: Duration = Duration::from_secs(1);
/// A pass takes so long, and the controller's loop sleeps the period *after* it: measured 1.0007 to 1.0011 s for 1 s.
const PASS_LEAST: f64 = 0.000_7;
pub(super) const PASS_MOST: f64 = 0.001_1;

/// A share of failures that an interval may leave out, if `late` has it.
const RARELY: f64 = 0.05;
/// From a leader's last breath until another leads: its lease (15 s), renewed up to 2 s before.
const TAKEOVER_LEAST: f64 = 13.0;
/// The same at most: etcd elects a leader (2 s), a follower looks (every 4.4 s) and sees the last
/// renewal, waits for the lease (15 s), and looks again.
const TAKEOVER_MOST: f64 = 2.0 + 4.4 + 15.0 + 4.4;

/// What the controller counts as the node's heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Heartbeat {
    /// The renewal of the node's Lease.
    Lease,
    /// The post of the node's status.
    Status,
}

/// A number that a prediction is based on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Constant {
    /// What it is, as Kubernetes names it.
    pub name: String,
    /// Its value.
    pub value: Seconds,
    /// Where it comes from.
    pub source: String,
}

/// Failures that are detected later than most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Late {
    /// Their share of all failures is at most this, 0 to 1.
    pub share: f64,
    /// The longest time to their detection.
    pub most: Seconds,
    /// Why they take longer: a clause.
    pub why: String,
}

/// `up to 1.9% within 60.1s: a clause`.
impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = (self.share * 1000.0).ceil() / 10.0;
        write!(f, "up to {share}% within {:.1}: {}", self.most.ceil(1), self.why)
    }
}

/// When a dead node will be detected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// From the request of the fault until Ready is no longer True.
    pub detection: Between,
    /// The failures that are detected later than that; `None`: none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    /// The heartbeat that counts.
    pub heartbeat: Heartbeat,
    /// How often, as configured.
    pub heartbeat_interval: Seconds,
    /// The number of the controller's passes within which the grace period has certainly passed.
    pub passes: u32,
    /// The controller's grace period.
    pub grace: Seconds,
    /// The controller's monitor period.
    pub period: Seconds,
    /// What it is based on, with sources.
    pub constants: Vec<Constant>,
}

/// Why no fault by commands is predicted.
pub(super) const BY_COMMAND: &str = "it is not known in advance when a command takes effect";

/// Why no fault that slows a kubelet down is predicted.
pub(super) const SLOW_KUBELET: &str =
    "how late a throttled kubelet's heartbeats come is not known in advance";

/// Why nothing can be predicted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unpredictable {
    /// The fault leaves the heartbeats alone.
    #[error("this fault does not stop the node's heartbeats")]
    StillBeating,
    /// The fault may let heartbeats through.
    #[error(
        "which heartbeats a cut in one direction, or from some nodes, lets through is not known"
    )]
    PartlyCut,
    /// The kubelet lacks CPU time.
    #[error("{SLOW_KUBELET}")]
    SlowKubelet,
    /// Commands inject the fault.
    #[error("{BY_COMMAND}")]
    ByCommand,
    /// The version is needed for a default and not understood.
    #[error(
        "the grace period is not known, and its default depends on the version, which `{0}` does not tell"
    )]
    Version(String),
    /// Healthy nodes lose their heartbeat.
    #[error(
        "heartbeats come every {interval}, later than the grace period of {grace}: healthy nodes \
         are marked NotReady"
    )]
    Flapping { interval: Seconds, grace: Seconds },
    #[error(
        "the controller manager's settings cannot be read: pass --node-monitor-period and \
         --node-monitor-grace-period"
    )]
    Unread,
    #[error("the monitor period is zero")]
    NoPeriod,
    /// Nothing is ever found dead, or immediately.
    #[error("the monitor period of {period} is longer than the grace period of {grace}")]
    PeriodAboveGrace { period: Seconds, grace: Seconds },
    /// A setting of next to nothing.
    #[error("{name} is {value}, and cannot be below {least}")]
    TooShort { name: &'static str, value: Seconds, least: Seconds },
    /// A setting that is a slip of the pen.
    #[error("{name} is {value}, and cannot be above {most}")]
    TooLong { name: &'static str, value: Seconds, most: Seconds },
}

/// The sign of life that comes first after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    pub kind: Heartbeat,
    /// From one to the next.
    pub interval: Duration,
}

/// The heartbeat that really beats, and its interval: the status or the lease, whichever is sooner.
///
/// The kubelet looks every `nodeStatusUpdateFrequency` but posts an unchanged status only every `nodeStatusReportFrequency` (five
/// minutes, or equal to the former where that one is set in the config *file*; the flag of the same name leaves it at five minutes).
pub fn heartbeat(tuning: &Tuning) -> Beat {
    let (lease, status) = (lease_interval(tuning), status_interval(tuning));
    match status <= lease {
        true => Beat { kind: Heartbeat::Status, interval: status },
        false => Beat { kind: Heartbeat::Lease, interval: lease },
    }
}

/// How often the lease is renewed, as configured.
pub(super) fn lease_interval(tuning: &Tuning) -> Duration {
    tuning.node_lease_duration.unwrap_or(LEASE) / 4
}

/// How often an unchanged status is posted: at the first update that the report frequency has passed
/// at.
pub(super) fn status_interval(tuning: &Tuning) -> Duration {
    let update = tuning.node_status_update_frequency.unwrap_or(UPDATE);
    let report = tuning
        .node_status_report_frequency
        .or(tuning.node_status_update_frequency)
        .unwrap_or(REPORT);
    let updates = report.as_nanos().div_ceil(update.as_nanos().max(1)).max(1);
    update.saturating_mul(u32::try_from(updates).unwrap_or(u32::MAX))
}

/// When a node that fails in this way will be noticed. `kubernetes` is the API server's version, for the defaults of what is not
/// known. Errors say why nothing can be predicted.
pub fn predict(
    tuning: &Tuning,
    kubernetes: &str,
    end: KubeletEnd,
) -> Result<Prediction, Unpredictable> {
    match end {
        KubeletEnd::Never => return Err(Unpredictable::StillBeating),
        KubeletEnd::Unknown => return Err(Unpredictable::PartlyCut),
        KubeletEnd::Late => return Err(Unpredictable::SlowKubelet),
        KubeletEnd::ByCommand => return Err(Unpredictable::ByCommand),
        KubeletEnd::AtOnce | KubeletEnd::Within { .. } => {}
    }
    if tuning.is_partly_unknown() {
        return Err(Unpredictable::Unread);
    }
    let mut constants = Vec::new();
    let grace = grace_period(tuning, kubernetes, &mut constants)?;
    let period = named("--node-monitor-period", tuning.node_monitor_period, PERIOD, &mut constants);
    let Beat { kind: beat, interval } = heartbeat(tuning);
    constants.push(heartbeat_constant(tuning, beat, interval));
    if period.is_zero() {
        return Err(Unpredictable::NoPeriod);
    }
    if interval >= grace {
        return Err(Unpredictable::Flapping { interval: interval.into(), grace: grace.into() });
    }
    let passes = grace.as_nanos().div_ceil(period.as_nanos()) as u32;
    let after_status = share_after_status(tuning);
    let extra = if beat == Heartbeat::Status || after_status > RARELY { 2 } else { 1 };
    let delay = end.delay();
    if !delay.is_zero() {
        let source = "this kind of fault ended the heartbeats within this of its request, measured on kind with Kubernetes 1.34.4";
        constants.push(Constant {
            name: "last heartbeat".into(),
            value: delay.into(),
            source: source.into(),
        });
    }
    let unseen = if beat == Heartbeat::Status && interval < WHOLE_SECOND {
        WHOLE_SECOND.as_secs_f64()
    } else {
        0.0
    };
    let (pass, wait) = (period.as_secs_f64(), grace.as_secs_f64());
    // Where passes are many, their own time adds up to a whole pass.
    let fewest = (wait / (pass + PASS_MOST)).floor() + 1.0;
    let earliest =
        (fewest * (pass + PASS_LEAST)).max(wait) - JITTER * interval.as_secs_f64() - unseen;
    let within = |passes: u32| f64::from(passes) * (pass + PASS_MOST) + delay.as_secs_f64();
    let late = (extra == 1).then(|| Late {
        share: after_status,
        most: within(passes + 2).into(),
        why: "the node's status was posted just before, and its lease counts once more".into(),
    });
    Ok(Prediction {
        detection: Between::new(earliest.into(), within(passes + extra).into()),
        late,
        heartbeat: beat,
        heartbeat_interval: interval.into(),
        passes,
        grace: grace.into(),
        period: period.into(),
        constants,
    })
}

/// The share of failures before which the status was posted later than the lease was renewed.
pub(super) fn share_after_status(tuning: &Tuning) -> f64 {
    let renewal = JITTER * lease_interval(tuning).as_secs_f64();
    (renewal / 2.0 / status_interval(tuning).as_secs_f64()).min(1.0)
}

impl Prediction {
    /// The same where the fault hits the leading controller manager with this probability: then
    /// another must be elected, which gives every node its whole grace period again.
    pub fn with_leader_hit(self, share: f64) -> Self {
        let most = self.latest().as_f64() + TAKEOVER_MOST;
        if share >= 1.0 {
            let least = TAKEOVER_LEAST + self.grace.as_f64();
            return Self { detection: Between::new(least.into(), most.into()), late: None, ..self };
        }
        let why = "the leader of the controller managers, or of etcd, was on the node: another is \
                   elected first";
        Self { late: Some(Late { share, most: most.into(), why: why.into() }), ..self }
    }

    /// The longest time to detection.
    pub fn latest(&self) -> Seconds {
        self.late.as_ref().map_or(self.detection.most, |late| late.most.max(self.detection.most))
    }
}

fn named(
    name: &str,
    set: Option<Duration>,
    default: Duration,
    constants: &mut Vec<Constant>,
) -> Duration {
    let source = if set.is_some() { "the cluster's setting" } else { "Kubernetes' default" };
    let value = set.unwrap_or(default);
    constants.push(Constant { name: name.into(), value: value.into(), source: source.into() });
    value
}

pub(super) fn default_grace(kubernetes: &str) -> Result<Grace, Unpredictable> {
    let unknown = || Unpredictable::Version(kubernetes.to_owned());
    Ok(defaults::grace(minor_version(kubernetes).ok_or_else(unknown)?))
}

fn grace_period(
    tuning: &Tuning,
    kubernetes: &str,
    constants: &mut Vec<Constant>,
) -> Result<Duration, Unpredictable> {
    let name = "--node-monitor-grace-period";
    if let Some(grace) = tuning.node_monitor_grace_period {
        return Ok(named(name, Some(grace), grace, constants));
    }
    let Grace { value, source } = default_grace(kubernetes)?;
    constants.push(Constant { name: name.into(), value: value.into(), source: source.into() });
    Ok(value)
}

fn heartbeat_constant(tuning: &Tuning, beat: Heartbeat, interval: Duration) -> Constant {
    let (name, known) = match beat {
        Heartbeat::Status => {
            ("nodeStatusReportFrequency", tuning.node_status_report_frequency.is_some())
        }
        Heartbeat::Lease => ("nodeLeaseDurationSeconds / 4", tuning.node_lease_duration.is_some()),
    };
    let source = match (known, beat) {
        (true, _) => "the kubelet's setting",
        (false, Heartbeat::Lease) => "Kubernetes' default",
        (false, Heartbeat::Status) => {
            "nodeStatusUpdateFrequency, which sets it in the kubelet's config file"
        }
    };
    Constant { name: name.into(), value: interval.into(), source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::FaultKind;

    fn seconds(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(n))
    }

    fn tuned() -> Tuning {
        Tuning {
            node_status_update_frequency: seconds(1),
            node_status_report_frequency: seconds(1),
            node_lease_duration: seconds(40),
            node_monitor_period: seconds(1),
            node_monitor_grace_period: seconds(4),
            ..Tuning::default()
        }
    }

    fn facts(kind: FaultKind, grace: Option<Duration>) -> FaultFacts {
        FaultFacts { traits: kind.traits(), grace, component: None, cut: None }
    }

    fn range(tuning: &Tuning, version: &str, end: KubeletEnd) -> (f64, f64) {
        let prediction = predict(tuning, version, end).unwrap();
        (prediction.detection.least.as_f64(), prediction.detection.most.as_f64())
    }

    /// Pauses of a worker, measured on kind with 1.34.4 and 1.36.3: all lie inside.
    #[test]
    fn tuned_holds_what_was_measured() {
        let (least, most) = range(&tuned(), "v1.34.4", KubeletEnd::AtOnce);
        assert!((least - 2.96).abs() < 0.01 && (most - 6.0).abs() < 0.02, "{least} {most}");
        for measured in [3.22, 3.89, 4.05, 4.64, 5.27, 5.76, 3.62, 5.79] {
            assert!(least <= measured && measured <= most, "{measured}");
        }
    }

    #[test]
    fn defaults_follow_the_version() {
        let (least, most) = range(&Tuning::default(), "v1.34.4", KubeletEnd::AtOnce);
        for measured in [44.3, 45.9, 47.3, 53.0] {
            assert!(least <= measured && measured <= most, "{measured}");
        }
        assert!((most - 55.0).abs() < 0.1 && (least - 39.6).abs() < 0.1);
        let (least, most) = range(&Tuning::default(), "v1.31.9", KubeletEnd::AtOnce);
        assert!((most - 45.0).abs() < 0.1 && (least - 29.6).abs() < 0.1);
    }

    #[test]
    fn commands_have_a_reason_of_their_own() {
        let end = KubeletEnd::of_fault(facts(FaultKind::Command, None));
        let why = predict(&tuned(), "v1.34.4", end).unwrap_err().to_string();
        assert_eq!(why, BY_COMMAND);
    }

    #[test]
    fn an_orderly_stop_takes_longer_but_no_longer_than_its_grace() {
        let at_once = range(&tuned(), "v1.34.4", KubeletEnd::AtOnce);
        let orderly =
            range(&tuned(), "v1.34.4", KubeletEnd::of_fault(facts(FaultKind::NodeStop, None)));
        assert_eq!(at_once.0, orderly.0);
        assert!((orderly.1 - at_once.1 - 0.6).abs() < 1e-6);
        let grace = Duration::from_millis(100);
        let short = KubeletEnd::of_fault(facts(FaultKind::NodeStop, Some(grace)));
        assert!((range(&tuned(), "v1.34.4", short).1 - at_once.1 - 0.1).abs() < 1e-6);
    }

    /// The flag leaves the report frequency at five minutes: only the lease beats, and 4 s of grace are less than its 10 s.
    #[test]
    fn the_flag_makes_nodes_flap() {
        let flag = Tuning { node_status_report_frequency: seconds(300), ..tuned() };
        let lease = Beat { kind: Heartbeat::Lease, interval: Duration::from_secs(10) };
        assert_eq!(heartbeat(&flag), lease);
        assert!(matches!(
            predict(&flag, "v1.34.4", KubeletEnd::AtOnce),
            Err(Unpredictable::Flapping { .. })
        ));
    }

    #[test]
    fn the_article_s_defaults_beat_by_status_too() {
        let article = Tuning {
            node_status_update_frequency: seconds(10),
            node_monitor_period: seconds(5),
            node_monitor_grace_period: seconds(40),
            ..Tuning::default()
        };
        let status = Beat { kind: Heartbeat::Status, interval: Duration::from_secs(10) };
        assert_eq!(heartbeat(&article), status);
        let (least, most) = range(&article, "v1.34.4", KubeletEnd::AtOnce);
        assert!((least - 29.6).abs() < 0.01 && (most - 50.0).abs() < 0.1, "{least} {most}");
    }

    #[test]
    fn what_cannot_be_predicted_has_a_reason() {
        assert_eq!(
            predict(&tuned(), "v1.34.4", KubeletEnd::Never),
            Err(Unpredictable::StillBeating)
        );
        assert_eq!(
            KubeletEnd::of_fault(facts(FaultKind::ComponentStop, None)),
            KubeletEnd::Never,
            "the kubelet goes on"
        );
        assert_eq!(
            predict(&Tuning::default(), "?", KubeletEnd::AtOnce),
            Err(Unpredictable::Version("?".into()))
        );
        let zero = Tuning { node_monitor_period: seconds(0), ..tuned() };
        assert_eq!(predict(&zero, "v1.34.4", KubeletEnd::AtOnce), Err(Unpredictable::NoPeriod));
    }

    #[test]
    fn what_is_found_later_is_told() {
        let late = |tuning: &Tuning| predict(tuning, "v1.34.4", KubeletEnd::AtOnce).unwrap().late;
        assert_eq!(late(&tuned()), None, "the interval has them");
        let rare = late(&Tuning::default()).unwrap();
        assert!((rare.most.as_f64() - 60.0).abs() < 0.1 && rare.share < 0.02, "{rare:?}");
        let often = Tuning { node_status_report_frequency: seconds(60), ..Tuning::default() };
        assert_eq!(late(&often), None, "too many to be left out");
        assert!((range(&often, "v1.34.4", KubeletEnd::AtOnce).1 - 60.0).abs() < 0.1);
    }

    #[test]
    fn a_leader_that_is_hit_is_replaced_first() {
        let predicted = || predict(&tuned(), "v1.34.4", KubeletEnd::AtOnce).unwrap();
        let (maybe, surely) = (predicted().with_leader_hit(0.5), predicted().with_leader_hit(1.0));
        assert_eq!(maybe.detection, predicted().detection);
        assert_eq!(maybe.latest(), surely.detection.most);
        assert!((surely.detection.least.as_f64() - 17.0).abs() < 1e-6, "{:?}", surely.detection);
    }

    #[test]
    fn every_constant_says_its_source() {
        let prediction =
            predict(&Tuning::default(), "v1.34.4-gke.100", KubeletEnd::AtOnce).unwrap();
        assert!(prediction.constants.iter().all(|c| !c.source.is_empty()));
        assert_eq!(prediction.constants[0].source, "Kubernetes' default since 1.32");
    }
}
