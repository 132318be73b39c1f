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

/// The interval of the closed form, and what the machines came to.
fn both(tuning: &Tuning, kind: usize, trials: u32, seed: u64) -> ((f64, f64), Distribution) {
    let kind = KINDS[kind];
    let prediction = predict(tuning, "v1.34.4", KubeletEnd::of_fault(kind, None)).unwrap();
    let hold = 2.0 * prediction.detection.most.as_f64() + 1.0;
    let detection = forecast_one(tuning, kind, hold, trials, seed).detection;
    ((prediction.detection.least.as_f64(), prediction.detection.most.as_f64()), detection)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Where the status is the heartbeat, for any settings whose grace leaves room for a heartbeat
    /// and a pass.
    #[test]
    fn status_detections_lie_inside(h in 0.3..10.0f64, p in 0.1..8.0f64, room in 1.0..5.0f64, kind in 0..KINDS.len(), seed: u64) {
        let grace = 1.1 * h + 1.2 + p + room * p;
        let ((least, most), detection) = both(&tuning(Some(h), 10.0, p, grace), kind, 40, seed);
        let seen = detection.summary();
        prop_assert_eq!((seen.n, seen.never), (40, 0));
        prop_assert!(least <= seen.min.unwrap() && seen.max.unwrap() <= most, "{least} {seen:?} {most}");
    }

    /// Where the lease is. A status that happened to be posted (every five minutes) just before the
    /// fault costs one period more.
    #[test]
    fn lease_detections_lie_inside(h in 0.5..15.0f64, p in 0.1..8.0f64, room in 1.0..5.0f64, kind in 0..KINDS.len(), seed: u64) {
        let grace = 1.1 * h + p + room * p;
        let ((least, most), detection) = both(&tuning(None, h, p, grace), kind, 40, seed);
        let seen = detection.summary();
        prop_assert_eq!((seen.n, seen.never), (40, 0));
        prop_assert!(least <= seen.min.unwrap() && seen.max.unwrap() <= most + p + 0.002, "{least} {seen:?} {most}");
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

/// The defaults: nearly all inside; the few whose status was posted just before, at most one period
/// later.
#[test]
fn the_defaults_lie_inside_but_for_the_status_every_five_minutes() {
    let ((least, most), detection) = both(&Tuning::default(), 2, 4000, 1);
    let seen = detection.summary();
    assert!(
        least <= seen.min.unwrap() && seen.max.unwrap() <= most + 5.01,
        "{least} {seen:?} {most}"
    );
    let late: u32 = detection.bins(0.1).iter().filter(|bin| bin.from > most).map(|bin| bin.n).sum();
    let share = f64::from(late) / 4000.0;
    assert!(share < 0.02, "{share}");
}

#[test]
fn the_interval_is_nearly_filled() {
    for (tuning, beyond) in [(tuned(), 0.0), (Tuning::default(), 5.0)] {
        let ((least, most), detection) = both(&tuning, 2, 4000, 2);
        let (seen, slack) = (detection.summary(), 0.06 * (most - least));
        assert!(seen.min.unwrap() < least + slack, "{least} {seen:?}");
        assert!(
            seen.max.unwrap() > most - slack && seen.max.unwrap() <= most + beyond,
            "{seen:?} {most}"
        );
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
    // Kolmogorov and Smirnov: 13 draws stay within 0.361 of their distribution, 19 times in 20.
    let below = |x: f64| {
        let bins = detection.bins(0.01);
        f64::from(bins.iter().filter(|bin| bin.to <= x).map(|bin| bin.n).sum::<u32>()) / 4000.0
    };
    let distance = |i: usize| (below(measured[i]) - (i as f64 + 0.5) / 13.0).abs() + 0.5 / 13.0;
    let furthest = (0..13).map(distance).fold(0.0, f64::max);
    assert!(furthest < 0.361, "{furthest}");
}
