//! A few of the draws of `cargo test --test safety`, and that it draws every fault.

use super::safety::{On, Plan, assert_every_fault_is_drawn, table};
use super::{Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("kills::every_fault_is_drawn", assert_every_fault_is_drawn),
        test("kills::embedded", on_embedded),
    ]
}

/// Three kills, two signals and a suspension, one after the other.
fn on_embedded() {
    let only = ["kill", "signal", "suspended"].map(str::to_owned).to_vec();
    let plan = Plan { on: On::Embedded, seed: 1, kills: 3, jobs: 1, only, draw: None };
    let (rows, _) = plan.carry_out();
    let (_, failures) = plan.misses(&rows);
    assert!(failures.is_empty(), "{}\n{}", table(&rows), failures.join("\n"));
    assert!(rows.iter().any(|row| !row.whole.is_empty()), "no run was hit\n{}", table(&rows));
}
