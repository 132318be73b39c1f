//! What forecasts say.

use super::*;

/// Recorded on kind (`tests/recorded`): detection, endpoint removal, last failure and recovery of
/// the five faults lie inside.
#[test]
fn recorded_runs_lie_inside() {
    let recorded = [
        (FaultKind::NodeStop, 4.932, 5.037, Some(4.939), 3.605),
        (FaultKind::NodeKill, 5.104, 5.171, Some(5.216), 3.741),
        (FaultKind::NodePause, 4.020, 4.175, Some(4.204), 5.887),
        (FaultKind::KubeletStop, 5.145, 5.230, None, 1.116),
        (FaultKind::NodeDisconnect, 5.726, 5.819, Some(5.886), 6.167),
    ];
    for (kind, detection, removal, last_failure, recovery) in recorded {
        let forecast = forecast_one(&tuned(), kind, 15.0, 2000, 5);
        let inside = |seen: Option<f64>, spread: &Distribution| match (
            seen,
            spread.summary().min,
            spread.summary().max,
        ) {
            (Some(seen), Some(min), Some(max)) => {
                assert!(min <= seen && seen <= max, "{kind:?} {seen} {:?}", spread.summary())
            }
            (seen, min, _) => assert!(seen.is_none() && min.is_none(), "{kind:?} {seen:?} {min:?}"),
        };
        inside(Some(detection), &forecast.detection);
        inside(Some(removal), &forecast.endpoint_removal);
        inside(last_failure, &forecast.errors_until);
        inside(Some(recovery), &forecast.recovery);
    }
}

#[test]
fn the_same_seed_gives_the_same() {
    let of = |seed| forecast_one(&tuned(), FaultKind::NodeKill, 15.0, 50, seed).detection.summary();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn half_of_two_endpoints_fails_until_the_proxy_follows() {
    let forecast = forecast_one(&tuned(), FaultKind::NodePause, 15.0, 300, 6);
    let share = forecast.failed_share.summary();
    assert!(
        (share.min.unwrap() - 0.5).abs() < 1e-6 && (share.max.unwrap() - 0.5).abs() < 1e-6,
        "{share:?}"
    );
    let after_removal = forecast.errors_until.summary().median.unwrap()
        - forecast.endpoint_removal.summary().median.unwrap();
    assert!((0.0..0.1).contains(&after_removal), "{after_removal}");
}

/// A kubelet that stops takes healthy pods away: nobody sees an error.
#[test]
fn a_stopped_kubelet_makes_no_errors() {
    let forecast = forecast_one(&tuned(), FaultKind::KubeletStop, 15.0, 100, 7);
    assert_eq!((forecast.error_window.n(), forecast.endpoint_removal.n()), (0, 100));
}

/// 15 s are less than the default grace: nothing is noticed, and errors last as long as the fault.
#[test]
fn a_fault_shorter_than_the_grace_period_is_never_noticed() {
    let forecast = forecast_one(&Tuning::default(), FaultKind::NodePause, 15.0, 100, 8);
    assert_eq!((forecast.detection.n(), forecast.detection.never()), (0, 100));
    let window = forecast.error_window.summary();
    assert!((window.median.unwrap() - 15.0).abs() < 0.25, "{window:?}");
    assert_eq!(forecast.recovery.n(), 100);
}

/// A freeze that is shorter than the client's patience fails nobody.
#[test]
fn a_freeze_shorter_than_the_timeout_fails_nobody() {
    let settings = Settings::of(&Tuning::default(), "v1.34.4").unwrap();
    let scenario = Scenario { timeout: seconds(20.0), ..one_fault(pause(1), 15.0) };
    let forecast = forecast(&scenario, &settings, 50, 9);
    assert_eq!(
        (forecast.faults[0].error_window.n(), forecast.faults[0].error_window.never()),
        (0, 50)
    );
}

/// Rescheduling comes 300 s after NotReady, or never where the fault is shorter.
#[test]
fn rescheduling_waits_for_the_toleration() {
    let short = forecast_one(&tuned(), FaultKind::NodeKill, 15.0, 50, 10).rescheduling;
    assert_eq!((short.n(), short.never()), (0, 50));
    let long = forecast_one(&tuned(), FaultKind::NodeKill, 400.0, 50, 10).rescheduling.summary();
    assert_eq!(long.n, 50);
    assert!(long.min.unwrap() > 303.0 && long.max.unwrap() < 310.0, "{long:?}");
}

/// Two faults one after the other are told apart.
#[test]
fn several_faults_have_a_forecast_each() {
    let settings = Settings::of(&tuned(), "v1.34.4").unwrap();
    let fault =
        |node| Step::Fault { action: pause(node), hold: seconds(10.0), meanwhile: Vec::new() };
    let steps = vec![fault(1), Step::Pause(seconds(30.0)), fault(2)];
    let forecast = forecast(&Scenario { steps, ..one_fault(pause(1), 1.0) }, &settings, 100, 11);
    assert_eq!(
        forecast.faults.iter().map(|f| (f.node.0, f.detection.n())).collect::<Vec<_>>(),
        [(1, 100), (2, 100)]
    );
    assert_eq!(forecast.faults[1].recovery.n(), 100);
}

/// Every number is listed, with its source.
#[test]
fn every_constant_says_its_source() {
    let constants = Settings::of(&tuned(), "v1.34.4").unwrap().constants();
    assert!(
        constants.len() > 40
            && constants.iter().all(|c| !c.name.is_empty() && !c.source.is_empty())
    );
    assert_eq!(constants[4].name, "--node-monitor-grace-period");
    assert_eq!(constants[4].value.to_string(), "4s");
}

#[test]
fn settings_that_can_t_be_are_refused() {
    let of = |tuning: Tuning| Settings::of(&tuning, "v1.34.4").unwrap_err().to_string();
    assert_eq!(
        of(tuning(Some(1.0), 10.0, 1.0, 0.0)),
        "--node-monitor-grace-period is 0s, and cannot be below 10ms"
    );
    assert_eq!(
        of(tuning(Some(1.0), 10.0, 5.0, 4.0)),
        "the monitor period of 5s is longer than the grace period of 4s"
    );
    assert_eq!(
        of(tuning(Some(1e6), 10.0, 1.0, 4.0)),
        "nodeStatusUpdateFrequency is 1000000s, and cannot be above 86400s"
    );
    assert!(Settings::of(&Tuning::default(), "?").is_err());
    assert!(Settings::of(&tuned(), "?").is_ok());
}
