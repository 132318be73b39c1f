//! The program as a whole: the table of layers, the command line without a cluster, recorded
//! timelines, and the real thing on kind.

#![allow(clippy::disallowed_methods)] // a program of its own, with an environment and arguments

mod agent;
mod anycluster;
mod apps;
mod cases;
mod chain;
mod ci;
mod dependencies;
mod docs;
mod embedded;
mod endings;
mod fuzz;
mod gated;
mod ha;
mod inotify;
mod kills;
mod kind;
mod kubeconfig;
mod lab;
mod lane;
mod large;
mod layers;
mod model;
mod offline;
mod outages;
mod page;
mod program;
#[path = "../safety/mod.rs"]
mod safety;
mod study;
mod suite;
mod undo_timer;

use std::process::ExitCode;

use lane::{Test, any_runs, run, test};

/// The kind cluster that most tests of level 4 share; kind.rs has another for the rest.
pub(crate) const CLUSTER: &str = "outage-test";

fn main() -> ExitCode {
    // Each in a folder of its own. The longest first.
    let alone = [
        cases::tests(),
        layers(),
        offline::tests(),
        endings::tests(),
        docs::tests(),
        dependencies::tests(),
        ci::tests(),
        fuzz::tests(),
        kubeconfig::tests(),
        agent::tests(),
        page::tests(),
    ];
    // A model beats in real time: they mostly wait, and need a core each.
    let models = [embedded::tests(), large::tests(), endings::in_the_model(), study::tests()];
    // Nobody may notice a fault.
    let suites = [suite::tests(), kills::tests()];
    // A cluster is shared, so one after the other, on two at a time. They are waited for most of the
    // time: the others run beside them, fewer at a time.
    let kind::Tests { beside: [first, second], last } = kind::tests();
    let second: Vec<Test> = second.into_iter().chain(ha::tests()).collect();
    let fewer = usize::from([&first, &second, &last].into_iter().any(|tests| any_runs(tests)));
    // Milliseconds are measured: nothing runs beside them.
    let measured = run(1, outages::tests());
    let on_kind = std::thread::spawn(|| {
        let second = std::thread::spawn(|| run(1, second));
        let first = run(1, first);
        let second = second.join().expect(LANE);
        first | second | run(1, last)
    });
    let failed = [
        measured,
        run(3 - fewer, alone.into_iter().flatten().collect()),
        run(2 - fewer, models.into_iter().flatten().collect()),
        run(1, suites.into_iter().flatten().collect()),
        on_kind.join().expect(LANE),
    ];
    if failed.contains(&true) { ExitCode::from(101) } else { ExitCode::SUCCESS }
}

/// Why a lane does not panic.
const LANE: &str = "a test that panics has failed, and no more";

fn layers() -> Vec<Test> {
    vec![
        test("layers::imports_follow_the_table", layers::imports_follow_the_table),
        test("layers::faults_are_named_by_their_kind", layers::faults_are_named_by_their_kind),
        test("layers::adapters_keep_their_crates", layers::adapters_keep_their_crates),
        test("layers::the_checks_can_fail", layers::the_checks_can_fail),
    ]
}
