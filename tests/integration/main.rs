//! The program as a whole: the table of layers, the command line without a cluster, recorded
//! timelines, and the real thing on kind.

#![allow(clippy::disallowed_methods)] // a program of its own, with an environment and arguments

mod agent;
mod anycluster;
mod apps;
mod cases;
mod chain;
mod dependencies;
mod docs;
mod embedded;
mod gated;
mod ha;
mod inotify;
mod kills;
mod kind;
mod kubeconfig;
mod layers;
mod offline;
mod outages;
mod page;
mod program;
mod study;
mod suite;
mod undo_timer;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    // Each in a folder of its own. The longest first.
    let alone = [
        cases::tests(),
        layers(),
        offline::tests(),
        docs::tests(),
        dependencies::tests(),
        kubeconfig::tests(),
        agent::tests(),
        page::tests(),
    ];
    // A model beats in real time, and time is measured: they mostly wait, and need a core each.
    let models = [outages::tests(), embedded::tests(), study::tests()];
    // One cluster is shared, or nobody may notice a fault: one after the other.
    let in_turn = [suite::tests(), kills::tests(), kind::tests(), ha::tests()];
    let failed = [
        run(3, alone.into_iter().flatten()),
        run(2, models.into_iter().flatten()),
        run(1, in_turn.into_iter().flatten()),
    ];
    if failed.contains(&true) { ExitCode::from(101) } else { ExitCode::SUCCESS }
}

/// Whether a test failed.
fn run(at_once: usize, tests: impl Iterator<Item = Trial>) -> bool {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(at_once);
    libtest_mimic::run(&arguments, tests.collect()).has_failed()
}

/// A test that needs nothing.
pub fn test(name: &str, body: fn()) -> Trial {
    Trial::test(name, move || {
        body();
        Ok(())
    })
}

fn layers() -> Vec<Trial> {
    vec![
        test("layers::imports_follow_the_table", layers::imports_follow_the_table),
        test("layers::faults_are_named_by_their_kind", layers::faults_are_named_by_their_kind),
        test("layers::adapters_keep_their_crates", layers::adapters_keep_their_crates),
        test("layers::the_checks_can_fail", layers::the_checks_can_fail),
    ]
}
