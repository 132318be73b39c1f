//! A few of the inputs of `tests/fuzz`.

#[path = "../fuzz/inputs.rs"]
mod inputs;

use std::panic::{AssertUnwindSafe, catch_unwind};

use outage::cli::fuzz::TARGETS;

use super::lane::{Test, test};

pub(crate) fn tests() -> Vec<Test> {
    vec![test("fuzz::no_changed_file_makes_a_reader_panic", no_changed_file_makes_a_reader_panic)]
}

fn no_changed_file_makes_a_reader_panic() {
    for target in TARGETS {
        let (seeds, folder) = (inputs::seeds(target), tempfile::tempdir().unwrap());
        for number in 0..50 {
            let input = inputs::input(&seeds, &mut inputs::Random::new(1, number));
            let read = AssertUnwindSafe(|| (target.read)(&input, folder.path()));
            let name = target.name;
            catch_unwind(read).unwrap_or_else(|_| panic!("input {number} of {name} (seed 1)"));
        }
    }
}
