//! Tests, and lanes in which they run beside each other: each lane so many at a time, in order.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};

type Body = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

pub(crate) struct Test {
    name: String,
    body: Body,
    ignored: bool,
}

impl Test {
    pub(crate) fn new(
        name: String,
        body: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Self {
        Self { name, body: Box::new(body), ignored: false }
    }

    pub(crate) fn ignored(self, ignored: bool) -> Self {
        Self { ignored, ..self }
    }

    /// In its lane, and with its duration printed.
    fn into_trial(self, turns: &'static Turns) -> Trial {
        let (name, body) = (self.name.clone(), self.body);
        let run = move || {
            let _turn = turns.take();
            let began = Instant::now();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            println!("{:7.1} s  {name}", began.elapsed().as_secs_f64());
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        Trial::test(self.name, run).with_ignored_flag(self.ignored)
    }
}

/// A test that needs nothing.
pub(crate) fn test(name: &str, body: fn()) -> Test {
    Test::new(name.to_owned(), move || {
        body();
        Ok(())
    })
}

/// So many may run at a time, in the order in which they came.
struct Turns {
    at_once: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    came: usize,
    over: usize,
}

struct Turn<'a>(&'a Turns);

impl Turns {
    fn take(&self) -> Turn<'_> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let own = queue.came;
        queue.came += 1;
        let too_early = |queue: &mut Queue| own >= queue.over + self.at_once;
        drop(self.changed.wait_while(queue, too_early).unwrap_or_else(PoisonError::into_inner));
        Turn(self)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner).over += 1;
        self.0.changed.notify_all();
    }
}

/// Whether there is one that these arguments do not leave out.
pub(crate) fn any_runs(tests: &[Test]) -> bool {
    let arguments = Arguments::from_args();
    tests.iter().any(|test| {
        let trial = Trial::test(&test.name, || Ok(())).with_ignored_flag(test.ignored);
        !arguments.is_filtered_out(&trial) && !arguments.is_ignored(&trial)
    })
}

/// Runs a lane to its end; whether a test failed.
pub(crate) fn run(at_once: usize, tests: Vec<Test>) -> bool {
    let turns = Turns { at_once, queue: Mutex::default(), changed: Condvar::new() };
    let turns: &'static Turns = Box::leak(Box::new(turns));
    // A single thread would print the name of a test before it is run, and another lane the rest of
    // the line.
    let arguments = Arguments { test_threads: Some(at_once + 1), ..Arguments::from_args() };
    let trials = tests.into_iter().map(|test| test.into_trial(turns)).collect();
    libtest_mimic::run(&arguments, trials).has_failed()
}
