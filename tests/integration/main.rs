//! The program as a whole: the table of layers, the command line without a cluster, recorded timelines, and the real thing on kind.

mod agent;
mod chain;
mod dead_man;
mod embedded;
mod gated;
mod ha;
mod kind;
mod layers;
mod offline;
mod outages;
mod program;
mod suite;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let mut arguments = Arguments::from_args();
    // The tests share one cluster and measure time: one after the other.
    arguments.test_threads = Some(1);
    let tests = [
        layers(),
        offline::tests(),
        agent::tests(),
        outages::tests(),
        embedded::tests(),
        suite::tests(),
        kind::tests(),
        ha::tests(),
    ]
    .into_iter()
    .flatten()
    .collect();
    libtest_mimic::run(&arguments, tests).exit();
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
        test("layers::adapters_keep_their_crates", layers::adapters_keep_their_crates),
        test("layers::the_checks_can_fail", layers::the_checks_can_fail),
    ]
}
