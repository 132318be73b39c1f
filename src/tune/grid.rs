//! The settings that are tried: round values, as people set them.

use std::time::Duration;

use crate::timeline::{Tuning, TuningSource};

/// Intervals of the heartbeat, in seconds: a lease is renewed every quarter of whole seconds.
const INTERVALS: [u64; 8] = [1, 2, 3, 4, 5, 6, 8, 10];
/// From here on the lease of 40 s beats as often by itself.
const SLOWEST_STATUS: u64 = 8;
/// How long a pass over thousands of nodes takes has not been measured, so none is shorter.
const PERIODS: [u64; 3] = [1, 2, 5];
const GRACES: [u64; 26] = [
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 25, 30, 35, 40, 45, 50, 60,
];

/// All combinations in which a heartbeat and a pass fit into the grace period.
///
/// A heartbeat is either the lease, with the status left at every five minutes, or the status, with
/// the lease left at 40 s. A lease that is renewed often comes with an update frequency as short,
/// because the kubelet waits for an answer that long.
pub(super) fn all() -> impl Iterator<Item = Tuning> {
    let beats = INTERVALS.into_iter().flat_map(|interval| {
        let status = (interval <= SLOWEST_STATUS).then(|| by_status(interval));
        std::iter::once(by_lease(interval)).chain(status).map(move |tuning| (interval, tuning))
    });
    beats.flat_map(|(interval, tuning)| {
        GRACES.into_iter().filter(move |grace| *grace > interval).flat_map(move |grace| {
            let fits = move |period: &u64| *period <= grace;
            PERIODS.into_iter().filter(fits).map(move |period| Tuning {
                node_monitor_period: seconds(period),
                node_monitor_grace_period: seconds(grace),
                ..tuning
            })
        })
    })
}

fn by_lease(interval: u64) -> Tuning {
    Tuning {
        node_status_update_frequency: seconds(interval),
        node_status_report_frequency: seconds(300),
        node_lease_duration: seconds(4 * interval),
        source: TuningSource::Config,
        ..Tuning::default()
    }
}

fn by_status(interval: u64) -> Tuning {
    Tuning {
        node_status_report_frequency: seconds(interval),
        node_lease_duration: seconds(40),
        ..by_lease(interval)
    }
}

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}
