//! The closed form of `detection.rs` is a property of the machines.

use proptest::prelude::*;

use super::super::agenda::Timer;
use super::*;

const KINDS: [FaultKind; 5] = [
    FaultKind::NodeStop,
    FaultKind::NodeKill,
    FaultKind::NodePause,
    FaultKind::NodeDisconnect,
    FaultKind::KubeletStop,
];

/// The closed form, and what the machines came to.
fn both(tuning: &Tuning, kind: usize, trials: u32, seed: u64) -> (Prediction, Distribution) {
    let kind = KINDS[kind];
    let prediction = predict(tuning, "v1.34.4", KubeletEnd::of_fault(facts(kind))).unwrap();
    let hold = 2.0 * prediction.latest().as_f64() + 1.0;
    (prediction, forecast_one(tuning, kind, hold, trials, seed).detection)
}

/// Whether all lie in the interval, but for the share that it leaves out.
fn all_inside(closed: &Prediction, machines: &Distribution) -> bool {
    let seen = machines.summary();
    let (least, most) = (closed.detection.least.as_f64(), closed.detection.most.as_f64());
    let later: u32 =
        machines.bins(0.001).iter().filter(|bin| bin.from > most).map(|bin| bin.n).sum();
    // Of so few trials more may lie there by chance.
    let share = closed.late.as_ref().map_or(0.0, |late| late.share);
    let expected = share * f64::from(seen.n);
    let may_be_late = expected + 4.0 * expected.sqrt() + if share > 0.0 { 2.0 } else { 0.0 };
    seen.never == 0
        && least <= seen.min.unwrap()
        && seen.max.unwrap() <= closed.latest().as_f64()
        && f64::from(later) <= may_be_late
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// For any settings whose grace leaves room for a heartbeat and a pass: status and lease beat as
    /// they like, and the status may be posted more rarely than it is looked at, as the flag has it.
    #[test]
    fn detections_lie_inside(
        update in 0.3..10.0f64, rarer in 1.0..60.0f64, lease in 0.5..15.0f64, p in 0.1..8.0f64,
        room in 1.0..5.0f64, kind in 0..KINDS.len(), seed: u64,
    ) {
        let report = update * rarer;
        let heartbeat = (report + update).min(lease);
        let tuning = Tuning {
            node_status_report_frequency: Some(seconds(report)),
            ..tuning(Some(update), lease, p, 1.1 * heartbeat + 1.2 + p + room * p)
        };
        let (closed, machines) = both(&tuning, kind, 60, seed);
        prop_assert!(all_inside(&closed, &machines), "{closed:?} {:?}", machines.summary());
    }

    /// Where the status is the heartbeat.
    #[test]
    fn status_detections_lie_inside(h in 0.3..10.0f64, p in 0.1..8.0f64, room in 1.0..5.0f64, kind in 0..KINDS.len(), seed: u64) {
        let grace = 1.1 * h + 1.2 + p + room * p;
        let (closed, machines) = both(&tuning(Some(h), 10.0, p, grace), kind, 40, seed);
        prop_assert!(all_inside(&closed, &machines), "{closed:?} {:?}", machines.summary());
    }

    /// Where the lease is.
    #[test]
    fn lease_detections_lie_inside(h in 0.5..15.0f64, p in 0.1..8.0f64, room in 1.0..5.0f64, kind in 0..KINDS.len(), seed: u64) {
        let grace = 1.1 * h + p + room * p;
        let (closed, machines) = both(&tuning(None, h, p, grace), kind, 40, seed);
        prop_assert!(all_inside(&closed, &machines), "{closed:?} {:?}", machines.summary());
    }

    /// From a heartbeat a second on: below it the API's whole seconds hide some.
    #[test]
    fn the_bounds_are_monotone(h in 1.0..10.0f64, p in 0.1..8.0f64, room in 0.0..5.0f64, more in 0.0..5.0f64) {
        let grace = 1.1 * h + p + room * p;
        let bounds = |h, p, grace| {
            let d = predict(&tuning(Some(h), 10.0, p, grace), "v1.34.4", KubeletEnd::AtOnce).unwrap().detection;
            (d.least.as_f64(), d.most.as_f64())
        };
        let (least, most) = bounds(h, p, grace);
        let longer = bounds(h, p, grace + more);
        prop_assert!(longer.0 >= least && longer.1 >= most);
        let rarer = bounds(h + (more / 10.0 * h).min(10.0 - h), p, 2.0 * grace);
        prop_assert!(rarer.0 <= bounds(h, p, 2.0 * grace).0);
    }
}

/// Of several control planes one may carry the leader.
#[test]
fn a_control_planes_detections_lie_inside() {
    let settings = Settings::of(&tuned(), "v1.34.4").unwrap();
    let end = KubeletEnd::of_fault(facts(FaultKind::NodeKill));
    let closed = || predict(&tuned(), "v1.34.4", end).unwrap();
    let kill = |leads| Scenario {
        topology: Topology::kind("k", 3, 2),
        leads,
        ..one_fault(Action::Kill { node: NodeId(0) }, 60.0)
    };
    let detection = |leads| forecast(&kill(leads), &settings, 600, 1).faults.remove(0).detection;
    let any = detection(None);
    assert!(all_inside(&closed().with_leader_hit(5.0 / 9.0), &any), "{:?}", any.summary());
    let leader =
        detection(Some(Leads { component: Component::ControllerManager, node: NodeId(0) }));
    assert!(all_inside(&closed().with_leader_hit(1.0), &leader), "{:?}", leader.summary());
}

/// The defaults, and the settings of a public config: the kubelet's flags of 4 s, 4 s, 16 s.
#[test]
fn the_defaults_lie_inside_but_for_those_after_a_status() {
    let flags = Tuning {
        node_status_update_frequency: Some(seconds(4.0)),
        node_status_report_frequency: Some(seconds(300.0)),
        node_monitor_period: Some(seconds(4.0)),
        node_monitor_grace_period: Some(seconds(16.0)),
        ..Tuning::default()
    };
    for tuning in [Tuning::default(), flags] {
        let (closed, machines) = both(&tuning, 2, 4000, 1);
        assert!(all_inside(&closed, &machines), "{closed:?} {:?}", machines.summary());
        assert!(machines.summary().max.unwrap() > closed.detection.most.as_f64());
    }
}

#[test]
fn the_interval_is_nearly_filled() {
    for tuning in [tuned(), Tuning::default()] {
        let (closed, machines) = both(&tuning, 2, 4000, 2);
        let (least, most) = (closed.detection.least.as_f64(), closed.detection.most.as_f64());
        let (seen, slack) = (machines.summary(), 0.06 * (most - least));
        assert!(seen.min.unwrap() < least + slack, "{closed:?} {seen:?}");
        assert!(seen.max.unwrap() > closed.latest().as_f64() - 2.0 * slack, "{closed:?} {seen:?}");
    }
}

/// Medians follow grace and period up, and the lease's interval down. (Not the status' interval at
/// each step: the rarer statuses are than passes, the more of them are followed by a pass that
/// takes the old lease for a renewal.)
#[test]
fn the_machines_are_monotone() {
    let median = |h: f64, p: f64, g: f64| {
        let settings = tuning(Some(h), 10.0, p, g);
        forecast_one(&settings, FaultKind::NodePause, 30.0, 600, 3).detection.quantile(0.5).unwrap()
    };
    let grace = [4.0, 5.0, 8.0, 16.0].map(|g| median(1.0, 1.0, g));
    assert!(grace.is_sorted_by(|a, b| b - a > 0.8), "{grace:?}");
    let period = [1.0, 2.0, 4.0].map(|p| median(1.0, p, 8.0));
    assert!(period.is_sorted_by(|a, b| b - a > 0.3), "{period:?}");
    let beats = |h: f64| {
        forecast_one(&tuning(None, h, 1.0, 12.0), FaultKind::NodePause, 30.0, 600, 3)
            .detection
            .quantile(0.5)
            .unwrap()
    };
    let heartbeat = [1.0, 2.0, 4.0].map(beats);
    assert!(heartbeat.is_sorted_by(|a, b| a - b > 0.3), "{heartbeat:?}");
}

/// How much later than the first pass beyond the grace period, counted from the pass that saw the
/// last heartbeat, a freeze is found.
fn extra_passes(tuning: &Tuning, seed: u64) -> f64 {
    let settings = Settings::of(tuning, "v1.34.4").unwrap();
    let (period, grace) = (settings.monitor_period().as_secs_f64(), settings.grace().as_secs_f64());
    let mut cluster = Cluster::of(tuning, &Topology::kind("k", 1, 2), seed);
    let at = 30.0 + (seed % 997) as f64 * 0.0137;
    cluster.until(at);
    let next_pass = cluster.model.agenda.due(Timer::Pass) as f64 / 1e9;
    let beat = cluster
        .changes
        .iter()
        .rev()
        .find(|(_, c)| matches!(c, Change::Beat { node: NodeId(1), .. }))
        .unwrap()
        .0;
    let unseen = beat > next_pass - period;
    // A heartbeat every pass at least: the last one was seen by the next pass, or by the one
    // before.
    let seen = if unseen { next_pass } else { next_pass - period };
    cluster.at(at, pause(1)).until(at + 4.0 * grace);
    (cluster.became(at, 1, Ready::Unknown).unwrap() - seen - grace) / period
}

/// The tuned case: about half of the failures are found one whole period later, because the
/// controller forgot the lease.
#[test]
fn the_tuned_case_has_two_humps() {
    let extra: Vec<f64> = (0..1000).map(|seed| extra_passes(&tuned(), seed)).collect();
    let near = |hump: f64| extra.iter().filter(|e| (*e - hump).abs() < 0.01).count();
    let (first, second) = (near(0.0), near(1.0));
    assert!(first + second > 950, "{first} {second}");
    assert!((400..600).contains(&second), "{second}");
}

/// With leases alone there is nothing to forget.
#[test]
fn leases_alone_have_one_hump() {
    let extra: Vec<f64> =
        (0..300).map(|seed| extra_passes(&tuning(None, 1.0, 1.0, 4.0), seed)).collect();
    let late = extra.iter().filter(|e| **e > 0.5).count();
    assert!(late < 10, "{late}");
}

/// Detections of pauses that were measured on kind (Kubernetes 1.34.4), reception by a watch:
/// inside, and their quartiles near ours.
#[test]
fn what_was_measured_fits() {
    let measured = [3.22, 3.89, 3.95, 4.05, 4.29, 4.47, 4.64, 4.87, 5.27, 5.43, 5.56, 5.66, 5.76];
    let detection = forecast_one(&tuned(), FaultKind::NodePause, 15.0, 4000, 4).detection;
    let (least, most) = (detection.quantile(0.0).unwrap(), detection.quantile(1.0).unwrap());
    assert!(measured.iter().all(|d| least <= *d && *d <= most), "{least} {most}");
    let test = crate::stats::one_sample(&measured, |value| detection.share(value)).unwrap();
    assert!(test.p > 0.05, "{test:?}");
}

#[test]
fn a_status_is_posted_at_an_update() {
    let status = |update, report| {
        crate::model::detection::status_interval(&Tuning {
            node_status_update_frequency: Some(Duration::from_secs(update)),
            node_status_report_frequency: report,
            ..Tuning::default()
        })
    };
    let report = Some(Duration::from_secs(3));
    assert_eq!(
        [status(2, report), status(3, report), status(5, report)].map(|at| at.as_secs()),
        [4, 3, 5]
    );
    assert_eq!(status(2, None).as_secs(), 2);
}
