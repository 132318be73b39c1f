use std::time::Duration;

use proptest::prelude::*;

use super::choice::Choice;
use super::goals::Goal;
use super::{Goals, Rate, Start, grid, markdown, search, text, tune};
use crate::kind_config::testing::config;
use crate::model::{
    Action, Controller, DetectionTimes, NodeId, PodSpec, Routing, Scenario, Settings, Step,
    Topology, forecast,
};
use crate::timeline::{Tolerations, Tuning};

const VERSION: &str = "v1.34.4";

fn goals(detect_within: u64) -> Goals {
    Goals {
        detect_within: Duration::from_secs(detect_within),
        false_positives: Rate::parse("1/month").unwrap(),
        loss: 0.001,
        ride_out: None,
        reschedule_within: None,
        nodes: 200,
    }
}

fn start() -> Start {
    Start {
        name: "the defaults of Kubernetes".into(),
        kubernetes: VERSION.into(),
        tuning: Tuning::defaults(VERSION),
        tolerations: Tolerations::default(),
        api_servers: 3,
    }
}

fn choices(loss: f64) -> Vec<Choice> {
    grid::all().filter_map(|tuning| Choice::of(&tuning, VERSION, 200, loss).ok()).collect()
}

/// Detections of nodes that are frozen at random moments.
fn machines(tuning: &Tuning, trials: u32, seed: u64) -> [f64; 2] {
    let hold = 3.0 * tuning.node_monitor_grace_period.unwrap().as_secs_f64() + 30.0;
    let scenario = Scenario {
        topology: Topology::kind("k", 1, 2),
        pods: Vec::new(),
        pod: PodSpec::default(),
        controller: Controller::default(),
        routing: Routing::default(),
        asked_from: NodeId(0),
        timeout: Duration::from_secs(1),
        leads: None,
        taints: Vec::new(),
        steps: vec![Step::Fault {
            action: Action::Pause { node: NodeId(1) },
            hold: Duration::from_secs_f64(hold),
            meanwhile: Vec::new(),
        }],
        horizon: Duration::from_secs(30),
    };
    let settings = Settings::of(tuning, VERSION).unwrap();
    let detection = forecast(&scenario, &settings, trials, seed).faults.remove(0).detection;
    [0.5, 0.95].map(|share| detection.quantile(share).unwrap())
}

/// What is tried comes from whole beats and passes; the closed form knows nothing of the machines.
#[test]
fn the_closed_form_agrees_with_the_machines() {
    let all: Vec<Tuning> = grid::all().collect();
    let some = all.iter().step_by(all.len() / 24).copied();
    for (seed, tuning) in some.chain([Tuning::defaults(VERSION)]).enumerate() {
        let closed = DetectionTimes::of(&tuning, VERSION).unwrap();
        let machines = machines(&tuning, 600, seed as u64);
        let period = tuning.node_monitor_period.unwrap().as_secs_f64();
        for (share, machine) in [0.5, 0.95].into_iter().zip(machines) {
            let closed = closed.quantile(share).as_f64();
            let beat = crate::model::heartbeat(&tuning).interval.as_secs_f64();
            let margin = 0.05 + 0.12 * (period + beat);
            assert!((closed - machine).abs() < margin, "{share}: {closed} {machine} {tuning:?}");
        }
    }
}

#[test]
fn quantiles_are_in_order_and_within_the_bounds() {
    for one in choices(0.001) {
        let detection = one.detection;
        assert!(detection.p50 < detection.p95 && detection.p95 <= detection.max, "{one:?}");
    }
}

#[test]
fn the_issues_goals_have_settings() {
    let tuned = tune(&start(), &goals(10));
    let found = tuned.recommendation.as_ref().unwrap();
    assert!(found.choice.detection.max.as_f64() <= 10.0, "{found:?}");
    assert!(found.choice.false_positives.by_loss_a_month <= 1.0, "{found:?}");
    assert!(!tuned.present_is_enough && tuned.unmet.is_empty());
    // Several API servers: clients give up on a dead one after 45 s only.
    assert!(found.traps.iter().any(|trap| trap.name == "http2-health-check-above-grace"));
    let shown = text::render(&tuned, 100);
    for word in ["recommended", "current", "not measured", "k3s", "EKS", "GKE", "AKS"] {
        assert!(shown.contains(word), "{word}\n{shown}");
    }
    assert!(markdown::render(&tuned).contains("| best |"));
}

/// Tables of several cluster sizes, as a terminal shows them.
#[test]
fn the_table_fits_a_terminal_and_rounds_its_bounds_outward() {
    for columns in [60, 80, 120] {
        let tuned = tune(&start(), &Goals { nodes: 3000, ..goals(7) });
        let shown = text::render(&tuned, columns);
        let table: Vec<&str> =
            shown.lines().take_while(|line| !line.starts_with("best: ")).collect();
        assert!(table.iter().all(|line| line.chars().count() <= columns), "{shown}");
        if columns == 80 {
            insta::assert_snapshot!(table.join("\n"));
        }
        let max = tuned.recommendation.unwrap().choice.detection.max;
        assert!(shown.contains(&format!("{:.1}", max.ceil(1))), "{max} {shown}");
    }
}

#[test]
fn the_present_settings_are_kept_where_they_are_the_cheapest() {
    let tuned = tune(&start(), &goals(120));
    let found = tuned.recommendation.unwrap();
    assert!(tuned.present_is_enough);
    assert!(found.choice.writes_per_second <= tuned.present.unwrap().writes_per_second);
}

/// What cannot be is named, with the best that can.
#[test]
fn impossible_goals_name_the_bound() {
    let tuned = tune(&start(), &goals(1));
    assert!(tuned.recommendation.is_none() && tuned.meet == 0);
    let [unmet] = &tuned.unmet[..] else { panic!("{:?}", tuned.unmet) };
    assert!(unmet.goal == Goal::Detection && unmet.alone);
    let fastest = choices(0.001).iter().map(|one| one.detection.max).min().unwrap();
    assert_eq!(unmet.best.detection.max, fastest);
    assert!(text::render(&tuned, 100).contains("cannot be met: detection within 1s"));

    // Each is possible, both together are not.
    let lossy = Goals { loss: 0.2, false_positives: Rate::parse("1/year").unwrap(), ..goals(10) };
    let tuned = tune(&start(), &lossy);
    let unmet: Vec<(Goal, bool)> =
        tuned.unmet.iter().map(|unmet| (unmet.goal, unmet.alone)).collect();
    assert_eq!(unmet, [(Goal::Detection, false), (Goal::FalsePositives, false)]);
}

#[test]
fn pods_are_elsewhere_in_time() {
    let wanted = Goals { reschedule_within: Some(Duration::from_secs(60)), ..goals(10) };
    let found = tune(&start(), &wanted).recommendation.unwrap();
    let toleration = found.toleration;
    assert!(toleration.rescheduled_within.as_f64() <= 60.0, "{toleration:?}");
    assert!(toleration.rescheduled_within.as_f64() > 58.0, "as long as can be: {toleration:?}");
    let kubeadm = found.patches.iter().find(|patch| patch.platform == "kubeadm").unwrap();
    assert!(kubeadm.text.as_ref().unwrap().contains("default-unreachable-toleration-seconds"));
    let never = Goals { reschedule_within: Some(Duration::from_secs(2)), ..goals(10) };
    assert_eq!(tune(&start(), &never).unmet[0].goal, Goal::Rescheduling);
}

/// The kind config that is written has the settings that were chosen, and lint has no errors in it.
#[test]
fn the_kind_config_has_the_settings_and_passes_lint() {
    let plain = config(include_str!("../../kind-configs/default.yaml"));
    for wanted in
        [goals(10), Goals { reschedule_within: Some(Duration::from_secs(40)), ..goals(6) }]
    {
        let wanted = Goals { false_positives: Rate::parse("1000/day").unwrap(), ..wanted };
        let found = tune(&start(), &wanted).recommendation.unwrap();
        let tuned = plain.with_settings(&found.choice.tuning, found.toleration.changed()).unwrap();
        let settings = |tuning: Tuning| crate::lint::settings(&tuning.completed(VERSION));
        assert_eq!(settings(tuned.tuning()), found.choice.settings, "{}", tuned.text());
        let stays = tuned.default_tolerations.unreachable.as_secs_f64();
        assert!((stays - found.toleration.recommended.as_f64()).abs() < 1e-9, "{}", tuned.text());
        let file = crate::yaml::SourceFile { name: "k.yaml".into(), text: tuned.text().to_owned() };
        let linted = crate::lint::lint(&std::sync::Arc::new(file), VERSION).unwrap();
        assert!(!linted.problems.has_errors(), "{:?}", linted.problems);
    }
}

/// Patches say what they change, and are YAML.
#[test]
fn patches_are_yaml_and_complete() {
    let found = tune(&start(), &goals(10)).recommendation.unwrap();
    assert_eq!(found.patches.len(), 7);
    for patch in &found.patches {
        let Some(text) = &patch.text else {
            assert!(patch.how.starts_with("cannot be set"), "{patch:?}");
            continue;
        };
        assert!(text.contains("node-monitor-grace-period"), "{text}");
        // A report frequency that is not set would follow the update frequency.
        assert!(text.contains("nodeStatusReportFrequency: 5m"), "{text}");
        let file = crate::yaml::SourceFile { name: "p.yaml".into(), text: text.clone() };
        let mut problems = crate::yaml::Diagnostics::default();
        crate::yaml::parse(&std::sync::Arc::new(file), &mut problems);
        assert!(
            patch.platform == "files and flags"
                || patch.platform == "k3s"
                || !problems.has_errors(),
            "{problems:?}\n{text}"
        );
    }
}

/// Where a provider has the control plane, only what it cannot do is said.
#[test]
fn a_providers_cluster_cannot_be_patched() {
    let gke = Start { kubernetes: "v1.34.4-gke.100".into(), ..start() };
    let patches = tune(&gke, &goals(10)).recommendation.unwrap().patches;
    let [patch] = &patches[..] else { panic!("{patches:?}") };
    assert!(patch.platform == "GKE" && patch.text.is_none() && patch.how.contains("cannot be set"));
}

/// 2 s for 500 settings, also of a build for debugging.
#[test]
fn the_search_is_fast() {
    let begun = std::time::Instant::now();
    let tuned = tune(&start(), &goals(10));
    let taken = begun.elapsed().as_secs_f64();
    let most = if cfg!(debug_assertions) { 20.0 } else { 2.0 };
    assert!(tuned.compared >= 500 && taken < most, "{} in {taken}", tuned.compared);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// No member is dominated, by whatever was compared; what is left out is dominated or equal.
    #[test]
    fn nothing_dominates_the_front(loss in 0.0..0.3f64) {
        let all = choices(loss);
        let front = search::front(&all);
        for member in &front {
            prop_assert!(!all.iter().any(|other| other.dominates(member)), "{member:?}");
        }
        for one in &all {
            let covered = front.iter().any(|member| {
                member.dominates(one) || member.objectives() == one.objectives()
            });
            prop_assert!(covered, "{one:?}");
        }
    }

    /// Whatever is asked for: what is recommended meets it and is on the front; where nothing is, the
    /// goals that leave no room are named.
    #[test]
    fn the_recommendation_meets_the_goals(
        detect in 2u64..90, nodes in 1u32..5000, loss in 0.0..0.2f64, count in 0.01..100.0f64, ride in 0u64..20,
    ) {
        let wanted = Goals {
            nodes,
            loss,
            false_positives: Rate::parse(&format!("{count:.2}/month")).unwrap(),
            ride_out: (ride > 0).then(|| Duration::from_secs(ride)),
            ..goals(detect)
        };
        let tuned = tune(&start(), &wanted);
        match &tuned.recommendation {
            Some(found) => {
                prop_assert!(Goal::ALL.iter().all(|goal| goal.is_met(&found.choice, &wanted)));
                prop_assert!(tuned.front.contains(&found.choice));
                prop_assert!(tuned.unmet.is_empty() && tuned.meet > 0);
            }
            None => prop_assert!(!tuned.unmet.is_empty() && tuned.meet == 0),
        }
    }
}
