//! 10 000 trials of a worker that is stopped for 15 s and started again, with tuned and with
//! default settings.
//!
//! `cargo bench --bench predict`. Goal: less than a second each.

use std::time::{Duration, Instant};

use outage::model::{
    Action, Controller, NodeId, PodSpec, Routing, Scenario, Settings, Step, Topology, forecast,
};
use outage::timeline::Tuning;

const TRIALS: u32 = 10_000;
const ROUNDS: u64 = 5;

fn main() {
    let second = |n| Some(Duration::from_secs(n));
    let tuned = Tuning {
        node_status_update_frequency: second(1),
        node_monitor_period: second(1),
        node_monitor_grace_period: second(4),
        ..Tuning::default()
    };
    for (name, tuning) in [("tuned", tuned), ("defaults", Tuning::default())] {
        let settings = Settings::of(&tuning, "v1.34.4").expect("settings that can be");
        let mut best = Duration::MAX;
        for seed in 0..ROUNDS {
            let begun = Instant::now();
            let forecast = forecast(&scenario(), &settings, TRIALS, seed);
            best = best.min(begun.elapsed());
            assert_eq!(
                forecast.faults[0].detection.n() + forecast.faults[0].detection.never(),
                TRIALS
            );
            if seed == 0 {
                println!("{name}: detection {:?}", forecast.faults[0].detection.summary());
                println!(
                    "{name}: endpoint removal {:?}",
                    forecast.faults[0].endpoint_removal.summary()
                );
                println!("{name}: error window {:?}", forecast.faults[0].error_window.summary());
                println!("{name}: failed share {:?}", forecast.faults[0].failed_share.summary());
                println!("{name}: rescheduling {:?}", forecast.faults[0].rescheduling.summary());
                println!("{name}: recovery {:?}", forecast.faults[0].recovery.summary());
            }
        }
        println!(
            "{name}: {TRIALS} trials in {best:.0?}, {:.0} a second",
            f64::from(TRIALS) / best.as_secs_f64()
        );
    }
}

fn scenario() -> Scenario {
    let stop = Action::Stop { node: NodeId(1), grace: Duration::from_secs(10) };
    Scenario {
        topology: Topology::kind("bench", 1, 2),
        pods: vec![NodeId(1), NodeId(2)],
        pod: PodSpec::default(),
        controller: Controller::ReplicaSet,
        routing: Routing::Any,
        asked_from: NodeId(0),
        timeout: Duration::from_millis(200),
        leads: None,
        steps: vec![Step::Fault {
            action: stop,
            hold: Duration::from_secs(15),
            meanwhile: Vec::new(),
        }],
        taints: Vec::new(),
        horizon: Duration::from_secs(120),
    }
}
