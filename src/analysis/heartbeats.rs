//! The heartbeats of nodes, as they were seen before the first fault.

use std::collections::BTreeMap;

use super::findings::HeartbeatFinding;
use crate::stats::{Seconds, quantile};
use crate::timeline::leader::NODE_LEASES;
use crate::timeline::{Change, Event, Moment, Record};

#[derive(Default)]
struct Beats {
    lease: Vec<f64>,
    status: Vec<f64>,
    last_heartbeat: Option<jiff::Timestamp>,
}

/// The median intervals of each node's heartbeats, from the records before `until`.
pub(super) fn heartbeats(records: &[Record], until: Moment) -> Vec<HeartbeatFinding> {
    let mut nodes: BTreeMap<&str, Beats> = BTreeMap::new();
    for record in records.iter().take_while(|record| record.at < until) {
        match &record.event {
            Event::Lease { namespace, name, renewed: Some(renewed), change, .. }
                if namespace == NODE_LEASES && *change != Change::Deleted =>
            {
                nodes.entry(name).or_default().lease.push(renewed.as_nanosecond() as f64 / 1e9);
            }
            // The heartbeat's own time has whole seconds: the interval is measured by arrival.
            Event::Node { node, heartbeat: Some(heartbeat), change, .. } => {
                let beats = nodes.entry(node).or_default();
                let fresh = beats.last_heartbeat.replace(*heartbeat) != Some(*heartbeat);
                if fresh && *change == Change::Changed {
                    beats.status.push(record.at.0 as f64 / 1e9);
                }
            }
            _ => {}
        }
    }
    let finding = |(node, beats): (&str, Beats)| HeartbeatFinding {
        node: node.to_owned(),
        lease: interval(beats.lease),
        status: interval(beats.status),
    };
    nodes.into_iter().map(finding).filter(|found| found.interval().is_some()).collect()
}

fn interval(mut times: Vec<f64>) -> Option<Seconds> {
    times.sort_by(f64::total_cmp);
    times.dedup();
    let mut gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_by(f64::total_cmp);
    quantile(&gaps, 0.5).map(Seconds::from_f64)
}
