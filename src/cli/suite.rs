//! `run`: experiments one after the other, those of one cluster in a row, and one table at the end.

use std::time::Duration;

use super::command::Command;
use super::compare::History;
use super::judge::{self, Judged};
use super::outputs::print_report;
use super::series::clusters::Clusters;
use super::series::{Cell, Ends, Keeper, Over, Series};
use super::{exit, failure::Failure, print};
use crate::compare::Comparisons;
use crate::engine::seed;
use crate::experiment::Parsed;
use crate::report::not_run::NotRun;
use crate::report::suite::{self, ExperimentStatus, Part, SuiteReport};
use crate::series::order::{self, Slot};

struct Suite<'a> {
    command: &'a Command<'a>,
    history: &'a History,
    experiments: Vec<Experiment<'a>>,
    parts: Vec<Part<Judged>>,
    codes: Vec<u8>,
}

/// One of the suite, and its runs so far.
struct Experiment<'a> {
    parsed: &'a Parsed,
    /// The seed of its first run; those of the others count up from it.
    seed: u64,
    runs: Vec<Judged>,
}

/// How often each experiment is run, and how often an inconclusive run is made again.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub repeat: u32,
    pub retries: u32,
}

/// Carries experiments out, prints the report, and returns the gravest code.
pub(super) async fn carry_out(
    command: &Command<'_>,
    history: &History,
    experiments: &[Parsed],
    Times { repeat, retries }: Times,
) -> u8 {
    let mut suite =
        Suite { command, history, experiments: Vec::new(), parts: Vec::new(), codes: Vec::new() };
    let mut wanted = Vec::new();
    for parsed in experiments {
        match command.wanted(parsed) {
            Ok(spec) => {
                let seed = command.execution.seed.unwrap_or_else(|| seed::fresh() >> 32);
                suite.experiments.push(Experiment { parsed, seed, runs: Vec::new() });
                wanted.push(spec);
            }
            Err(error) => suite.refuse(parsed, &error.into()),
        }
    }
    let clusters = Clusters::new(wanted, false);
    let parsed = suite.experiments.iter().map(|one| one.parsed);
    let cells = parsed.map(|parsed| Cell { name: &parsed.experiment.name, parsed }).collect();
    let order = order::in_turn(&clusters.of, repeat);
    let mut series = Series::new(command, cells, &clusters, order, Ends::Cell);
    series.schedule.retries = retries;
    let ended = series.carry_out(&mut suite).await;
    suite.codes.extend(ended.codes);
    suite.finish()
}

impl Suite<'_> {
    /// Prints the report; the gravest code.
    fn finish(mut self) -> u8 {
        self.codes.push(self.report());
        judge::explain_codes(&judge::views(&self.parts), self.command.fail_on);
        let runs = self.parts.iter().flat_map(Part::runs).map(Judged::recorded).collect::<Vec<_>>();
        let mut compared = self.parts.iter().filter_map(|part| part.baseline.as_ref());
        let why_not = compared.find_map(Comparisons::why_not_saved);
        self.codes.push(self.history.save(&runs, why_not));
        // What the model does not have is not a failure of those that it has; where that is all,
        // nothing was done.
        let skipped = self
            .parts
            .iter()
            .all(|part| matches!(part.status, ExperimentStatus::NotRun(NotRun::Skipped, _)));
        if skipped { exit::REFUSED } else { exit::gravest(self.codes) }
    }

    /// The exit code is what writing alone asks for.
    fn report(&self) -> u8 {
        let Command { outputs, env, .. } = self.command;
        let views = judge::views(&self.parts);
        if outputs.stdout.is_for_people() && views.len() > 1 {
            // Each run's report has been printed at its end.
            print(&format!("\n{}", suite::render(&SuiteReport::new(&views), &env.style())));
        }
        outputs.write_for_programs(&views, env)
    }

    /// It cannot be carried out.
    fn refuse(&mut self, parsed: &Parsed, failure: &Failure) {
        self.codes.push(failure.report());
        let status = ExperimentStatus::NotRun(NotRun::Refused, failure.line());
        self.part(parsed, status, 0);
    }

    fn part(&mut self, parsed: &Parsed, status: ExperimentStatus<Judged>, not_started: u32) {
        let (experiment, claims) =
            (parsed.experiment.name.clone(), parsed.experiment.claims.clone());
        if let ExperimentStatus::NotRun(state, why) = &status {
            self.command.events.not_run(&experiment, *state, why);
        }
        let runs = match &status {
            ExperimentStatus::Ran(runs) => &runs[..],
            ExperimentStatus::NotRun(..) => &[],
        };
        let shard = self.command.shard;
        let baseline = self.history.compare(runs).filter(|_| !runs.is_empty());
        self.codes.extend(baseline.iter().filter(|all| all.is_worse()).map(|_| exit::FAIL));
        let errors = Vec::new();
        self.parts.push(Part { experiment, claims, status, not_started, baseline, shard, errors });
    }
}

impl Keeper for Suite<'_> {
    fn seed(&self, Slot { cell, repetition }: Slot, retries: u32) -> u64 {
        let seed = self.experiments[cell].seed.wrapping_add(u64::from(repetition - 1));
        match retries {
            0 => seed,
            retries => order::seed_of_retry(seed, retries),
        }
    }

    fn ended(
        &mut self,
        slot: Slot,
        _run: &str,
        judged: Option<Judged>,
        _took: Duration,
    ) -> Result<(), Failure> {
        self.experiments[slot.cell].runs.extend(judged);
        Ok(())
    }

    /// Its report is printed at once.
    fn over(&mut self, cell: usize, Over { why, not_started }: Over) {
        let Experiment { parsed, ref mut runs, .. } = self.experiments[cell];
        let runs = std::mem::take(runs);
        let has_run = !runs.is_empty();
        let status = match why {
            Some((state, why)) if !has_run => ExperimentStatus::NotRun(state, why),
            _ => ExperimentStatus::Ran(runs),
        };
        self.part(parsed, status, not_started);
        let Command { outputs, env, .. } = self.command;
        if !has_run {
            return;
        }
        let part = judge::views(&self.parts[self.parts.len() - 1..]);
        if outputs.stdout.is_for_people() {
            print_report(&part, outputs.stdout, env);
        }
        if not_started > 0 {
            complain!("{}: {}", parsed.experiment.name, suite::not_started(not_started));
        }
    }
}
