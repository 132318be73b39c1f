//! Plans as data.

use super::*;
use crate::cli::load::{Setting, checked};
use crate::experiment;

fn plan_of(name: &str, trials: u32) -> Document {
    let parsed = checked(experiment::load(name).unwrap(), Setting::OWN).unwrap().swap_remove(0);
    let target = absent(&parsed, "some-cluster", None).map_err(|failure| failure.text()).unwrap();
    let args = crate::cli::args::tests::run(&["run", name]);
    let plan = planned(&parsed, target, &args, trials);
    futures_util::FutureExt::now_or_never(plan)
        .expect("nothing is asked")
        .map_err(|failure| failure.text())
        .unwrap()
}

#[test]
fn a_plan_is_data_and_the_same_as_text() {
    let plan = plan_of("worker-stop-fast", TRIALS);
    insta::assert_snapshot!(json::pretty(&vec![&plan]));
    insta::assert_snapshot!(plan.text(80));
}

#[test]
fn every_built_in_experiment_has_a_plan_that_says_how_each_fault_is_undone() {
    for name in experiment::built_in_names() {
        let plan = plan_of(name, 10);
        assert!(!plan.steps.is_empty(), "{name}");
        for step in &plan.steps {
            assert!(!step.undo.is_empty(), "{name}");
            if let Some(timer) = &step.undo_timer {
                assert!(timer.seconds_after_confirmation > step.hold_seconds, "{name}");
                assert!(timer.seconds_after_request > timer.seconds_after_confirmation, "{name}");
            }
        }
        assert!(plan.at_most_seconds > plan.at_least_seconds, "{name}");
    }
}
