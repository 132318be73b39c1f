//! What a run is about, and the stages of its timeline.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::engine::error::RunError;
use crate::engine::recorder::Recorder;
use crate::engine::undo::ledger::RunRef;
use crate::experiment::Experiment;
use crate::timeline::{Event, Tuning};

/// Starts the watchdog of a fault that may last so long, and ends when it is there.
pub(crate) type Arm<'a> = &'a dyn Fn(Duration) -> LocalBoxFuture<'static, Result<(), RunError>>;

/// Whose workload a run has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkloadOf {
    /// It is that of the run before: its undo in the ledger. `None`: it makes its own.
    pub taken_over: Option<u64>,
    /// Whether it stays, if the run comes to its planned end.
    pub stays: bool,
}

/// What a run is about.
pub(crate) struct Job<'a> {
    /// The run, and the engine of its cluster.
    pub run_ref: RunRef<'a>,
    pub experiment: &'a Experiment,
    /// The settings that decide when a dead node is noticed.
    pub tuning: &'a Tuning,
    /// The seed of every random choice.
    pub seed: u64,
    pub workload: WorkloadOf,
    /// Grace period before the watchdog undoes an overdue fault.
    pub undo_timer_margin: Duration,
    /// Where the logs of the cluster's components go, if they are asked for.
    pub logs: Option<PathBuf>,
    /// Called before each fault with how long it may last at most: starts the watchdog that lives
    /// outside the cluster.
    pub arm: Arm<'a>,
}

/// The Services that probes ask: their endpoints must come back.
pub(crate) fn probed_services(experiment: &Experiment) -> Vec<String> {
    let mut services: Vec<String> = experiment
        .probes
        .iter()
        .filter_map(|probe| probe.ask.service().map(ToString::to_string))
        .collect();
    services.sort();
    services.dedup();
    services
}

/// A stage of the run begins.
pub(super) fn stage(recorder: &Recorder, name: &str) {
    recorder.event(Event::Stage { name: name.into() });
}
