//! `run`: experiments one after the other, those of one cluster in a row, or in queues at the same
//! time; one table at the end, in the order in which they were named.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::command::Command;
use super::compare::History;
use super::judge::{self, Judged};
use super::output::complain_lines;
use super::outputs::print_report;
use super::series::clusters::Clusters;
use super::series::{Cell, Ends, Keeper, Over, Series};
use super::time_spent::TimeSpent;
use super::{exit, failure::Failure, print};
use crate::compare::Comparisons;
use crate::engine::seed;
use crate::experiment::{Fault, NodeSelector, Parsed};
use crate::report::hang;
use crate::report::not_run::NotRun;
use crate::report::suite::{self, ExperimentStatus, Part, SuiteReport};
use crate::series::order::{self, Recovery, Slot};
use crate::timeline::{NodeRole, Shard};

/// One of the queues, or all of them at the end.
struct Suite<'a> {
    command: &'a Command<'a>,
    history: &'a History,
    experiments: Vec<Experiment<'a>>,
    /// Each with its place among those that were named.
    parts: Vec<(usize, Part<Judged>)>,
    codes: Vec<u8>,
    /// Whether others are carried out at the same time: reports are printed at the end, in their order.
    is_parallel: bool,
}

/// One of the suite, and its runs so far.
struct Experiment<'a> {
    /// Its place among those that were named.
    place: usize,
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

/// Carries experiments out, all queues at the same time, prints the report, and returns the gravest
/// code.
pub(super) async fn carry_out(
    command: &Command<'_>,
    history: &History,
    (experiments, queues): (&[Parsed], &[Vec<usize>]),
    times: Times,
) -> u8 {
    let (begun, is_parallel) = (Instant::now(), queues.len() > 1);
    let new = || Suite {
        command,
        history,
        experiments: Vec::new(),
        parts: Vec::new(),
        codes: Vec::new(),
        is_parallel,
    };
    let of = queues.len() as u32;
    let queues = (1..).zip(queues).map(async |(number, queue)| {
        let mut suite = new();
        let members = queue.iter().map(|place| (*place, &experiments[*place]));
        let beside = is_parallel.then_some(Shard { number, of });
        suite.carry_out(members, beside, times).await;
        suite
    });
    let mut whole = new();
    for suite in join_all(queues).await {
        whole.parts.extend(suite.parts);
        whole.codes.extend(suite.codes);
    }
    if is_parallel {
        command.warned.tell_repeated();
    }
    whole.parts.sort_by_key(|(place, _)| *place);
    whole.finish(begun.elapsed(), of as usize)
}

impl<'a> Suite<'a> {
    /// Carries out the experiments of a queue.
    async fn carry_out(
        &mut self,
        members: impl Iterator<Item = (usize, &'a Parsed)>,
        beside: Option<Shard>,
        Times { repeat, retries }: Times,
    ) {
        let command = self.command;
        let mut wanted = Vec::new();
        for (place, parsed) in members {
            match command.wanted(parsed) {
                Ok(spec) => {
                    let seed = command.execution.seed.unwrap_or_else(|| seed::fresh() >> 32);
                    self.experiments.push(Experiment { place, parsed, seed, runs: Vec::new() });
                    wanted.push(spec);
                }
                Err(error) => self.refuse(place, parsed, &error.into()),
            }
        }
        let clusters = Clusters::new(wanted, false);
        let parsed = self.experiments.iter().map(|one| one.parsed);
        let recoveries: Vec<Recovery> = parsed.clone().map(recovery).collect();
        let cells = parsed.map(|parsed| Cell { name: &parsed.experiment.name, parsed }).collect();
        let order = order::in_turn(&clusters.of, &recoveries, repeat);
        let mut series = Series::new(command, cells, &clusters, order, Ends::Cell);
        (series.schedule.retries, series.beside) = (retries, beside);
        let ended = series.carry_out(self).await;
        self.codes.extend(ended.codes);
    }

    /// Prints the report; the gravest code.
    fn finish(mut self, took: Duration, queues: usize) -> u8 {
        let parts: Vec<_> = self.parts.drain(..).map(|(_, part)| part).collect();
        self.codes.push(self.report(&parts));
        judge::explain_codes(&judge::views(&parts), self.command.fail_on);
        let runs = parts.iter().flat_map(Part::runs).map(Judged::recorded).collect::<Vec<_>>();
        if runs.len() > 1 {
            let mut spent = TimeSpent::default();
            runs.iter().for_each(|run| spent.add(&run.timeline.records));
            let line = spent.describe(took, queues);
            complain_lines(&hang("", &line, self.command.env.stderr.width));
        }
        let mut compared = parts.iter().filter_map(|part| part.baseline.as_ref());
        let why_not = compared.find_map(Comparisons::why_not_saved);
        self.codes.push(self.history.save(&runs, why_not));
        // What the model does not have is not a failure of those that it has; where that is all,
        // nothing was done.
        let skipped = parts
            .iter()
            .all(|part| matches!(part.status, ExperimentStatus::NotRun(NotRun::Skipped, _)));
        if skipped { exit::REFUSED } else { exit::gravest(self.codes) }
    }

    /// The exit code is what writing alone asks for.
    fn report(&self, parts: &[Part<Judged>]) -> u8 {
        let Command { outputs, env, .. } = self.command;
        let views = judge::views(parts);
        if outputs.stdout.is_for_people() && views.len() > 1 {
            // Otherwise each experiment's report has been printed at its end.
            if self.is_parallel {
                let have_run = views.chunks(1).filter(|part| !part[0].runs().is_empty());
                have_run.for_each(|part| print_report(part, outputs.stdout, env));
            }
            print(&format!("\n{}", suite::render(&SuiteReport::new(&views), &env.style())));
        }
        outputs.write_for_programs(&views, env)
    }

    /// It cannot be carried out.
    fn refuse(&mut self, place: usize, parsed: &Parsed, failure: &Failure) {
        self.codes.push(failure.report());
        let status = ExperimentStatus::NotRun(NotRun::Refused, failure.line());
        self.part((place, parsed), status, 0);
    }

    fn part(
        &mut self,
        (place, parsed): (usize, &Parsed),
        status: ExperimentStatus<Judged>,
        not_started: u32,
    ) {
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
        let part = Part { experiment, claims, status, not_started, baseline, shard, errors };
        self.parts.push((place, part));
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

    /// Its report is printed at once, unless others run at the same time.
    fn over(&mut self, cell: usize, Over { why, not_started }: Over) {
        let Experiment { place, parsed, ref mut runs, .. } = self.experiments[cell];
        let runs = std::mem::take(runs);
        let has_run = !runs.is_empty();
        let status = match why {
            Some((state, why)) if !has_run => ExperimentStatus::NotRun(state, why),
            _ => ExperimentStatus::Ran(runs),
        };
        self.part((place, parsed), status, not_started);
        let Command { outputs, env, .. } = self.command;
        if !has_run {
            return;
        }
        let last = self.parts.last().map(|(_, part)| part.map(Judged::view));
        if outputs.stdout.is_for_people() && !self.is_parallel {
            print_report(&Vec::from_iter(last), outputs.stdout, env);
        }
        if not_started > 0 {
            complain!("{}: {}", parsed.experiment.name, suite::not_started(not_started));
        }
    }
}

/// What the cluster of an experiment has to recover from.
fn recovery(parsed: &Parsed) -> Recovery {
    let steps = parsed.experiment.steps();
    let faults = steps.iter().filter_map(|step| step.fault());
    let of_fault = |(fault, _): (&Fault, Duration)| {
        if matches!(fault, Fault::EtcdDataLoss { .. }) {
            return Recovery::EtcdData;
        }
        match fault.target() {
            Some(target) if hits_control_plane(target, parsed) => Recovery::ControlPlane,
            _ => Recovery::Workers,
        }
    };
    faults.map(of_fault).max().unwrap_or(Recovery::Workers)
}

/// Whether a selector may select a control plane, or the load balancer in front of several.
fn hits_control_plane(target: &NodeSelector, parsed: &Parsed) -> bool {
    let nodes = parsed.kind_config.iter().flat_map(|config| &config.nodes);
    let named = nodes.into_iter().find(|node| target.name.as_ref() == Some(&node.name));
    let role = target.role.or(named.map(|node| node.role));
    let leads = target.leader.is_some() || target.followers.is_some();
    leads || role.is_some_and(|role| role != NodeRole::Worker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load::{Setting, checked};
    use crate::experiment;

    #[test]
    fn experiments_are_ordered_by_what_they_hit() {
        use Recovery::{ControlPlane, EtcdData, Workers};
        for (name, expected) in [
            ("worker-stop-fast", Workers),
            ("dns-down", Workers),
            ("api-server-down", ControlPlane),
            ("leader-failover", ControlPlane),
            ("worker-down-while-control-plane-down", ControlPlane),
            ("load-balancer-down", ControlPlane),
            ("etcd-data-lost", EtcdData),
        ] {
            let parsed = checked(experiment::load(name).unwrap(), Setting::OWN).unwrap();
            assert_eq!(parsed.iter().map(recovery).collect::<Vec<_>>(), [expected], "{name}");
        }
    }
}
