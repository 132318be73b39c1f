//! What the machines do together.

use std::time::Duration;

use super::*;
use crate::timeline::{NodeRole, Ready, Tuning};

fn seconds(n: f64) -> Duration {
    Duration::from_secs_f64(n)
}

fn tuned() -> Tuning {
    Tuning {
        node_status_update_frequency: Some(seconds(1.0)),
        node_monitor_period: Some(seconds(1.0)),
        node_monitor_grace_period: Some(seconds(4.0)),
        ..Tuning::default()
    }
}

/// A cluster, what it told, and shorthands.
struct Cluster {
    model: Model,
    told: Vec<(f64, Change)>,
}

impl Cluster {
    fn of(tuning: &Tuning, planes: usize, workers: usize, seed: u64) -> Self {
        let settings = Settings::of(tuning, "v1.34.4").unwrap();
        Self { model: Model::new(settings, &Topology::kind("k", planes, workers), seed), told: Vec::new() }
    }

    fn until(&mut self, to: f64) -> &mut Self {
        let told = &mut self.told;
        self.model.advance(seconds(to), &mut |at, change| told.push((at.as_secs_f64(), change)));
        self
    }

    fn at(&mut self, at: f64, action: Action) -> &mut Self {
        let told = &mut self.told;
        self.model.act(seconds(at), action, &mut |at, change| told.push((at.as_secs_f64(), change)));
        self
    }

    /// The first time from `since` on at which something was told.
    fn first(&self, since: f64, which: impl Fn(&Change) -> bool) -> Option<f64> {
        self.told.iter().find(|(at, change)| *at >= since && which(change)).map(|(at, _)| *at)
    }

    fn unknown(&self, since: f64, node: NodeId) -> Option<f64> {
        self.first(since, |c| matches!(c, Change::NodeReady { node: n, ready: Ready::Unknown, .. } if *n == node))
    }
}

#[test]
fn scratch() {
    let mut c = Cluster::of(&tuned(), 1, 2, 1);
    let told = &mut c.told;
    let spec = PodSpec::default();
    c.model.create_owner(seconds(1.0), spec, 2, &mut |at, change| told.push((at.as_secs_f64(), change)));
    c.until(20.0);
    c.at(20.3, Action::Stop { node: NodeId(1), grace: seconds(10.0) });
    c.until(45.0);
    c.at(45.0, Action::Start { node: NodeId(1) });
    c.until(60.0);
    for (at, change) in &c.told {
        if !matches!(change, Change::Beat { .. } | Change::LeaseRenewed { .. }) {
            println!("{at:.3} {change:?}");
        }
    }
    let mut detections: Vec<f64> = (0..4000)
        .map(|seed| {
            let mut c = Cluster::of(&tuned(), 1, 2, seed);
            c.until(30.0).at(30.0, Action::Pause { node: NodeId(1) }).until(40.0);
            c.unknown(30.0, NodeId(1)).unwrap() - 30.0
        })
        .collect();
    detections.sort_by(f64::total_cmp);
    for q in [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.9999] {
        println!("{q} {:.3}", detections[(q * 4000.0) as usize]);
    }
    let mut bins = [0; 40];
    for d in detections {
        bins[(d * 5.0) as usize] += 1;
    }
    println!("{bins:?}");
    let _ = NodeRole::Worker;
}
