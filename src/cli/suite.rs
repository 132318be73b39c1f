//! Several experiments: those of one cluster after one another, the cluster whole again before
//! each, and one table at the end.

use super::command::Command;
use super::compare::History;
use super::judge::{self, Judged};
use super::outputs::print_report;
use super::{exit, failure::Failure, print};
use crate::compare::Comparisons;
use crate::engine::environment::handle::ClusterHandle;
use crate::engine::environment::provision::ClusterSpec;
use crate::engine::session;
use crate::experiment::Parsed;
use crate::report::not_run::NotRun;
use crate::report::suite::{self, ExperimentStatus, Part, SuiteReport};

pub(super) struct Suite<'a> {
    command: &'a Command<'a>,
    history: &'a History,
    groups: Vec<Group<'a>>,
    all: usize,
    parts: Vec<Part<Judged>>,
    codes: Vec<u8>,
}

/// Experiments that run on one cluster.
struct Group<'a> {
    wanted: Result<ClusterSpec, Failure>,
    experiments: Vec<&'a Parsed>,
}

impl<'a> Suite<'a> {
    /// Puts experiments into their order: as they are given, but those of one cluster follow the
    /// first of them.
    pub(super) fn new(
        command: &'a Command<'a>,
        history: &'a History,
        experiments: &'a [Parsed],
    ) -> Self {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for parsed in experiments {
            let wanted = command.wanted(parsed).map_err(Failure::from);
            let same = |group: &&mut Group<'_>| matches!((&group.wanted, &wanted), (Ok(a), Ok(b)) if a == b);
            match groups.iter_mut().find(same) {
                Some(group) => group.experiments.push(parsed),
                None => groups.push(Group { wanted, experiments: vec![parsed] }),
            }
        }
        let all = experiments.len();
        Self { command, history, groups, all, parts: Vec::new(), codes: Vec::new() }
    }

    /// Carries them out, prints the report, and returns the gravest code.
    pub(super) async fn carry_out(mut self) -> u8 {
        for group in std::mem::take(&mut self.groups) {
            self.group(group).await;
        }
        self.command.warned.tell_repeated();
        self.codes.push(self.report());
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
        if outputs.stdout.is_for_people() && self.all > 1 {
            // Each run's report has been printed at its end.
            print(&format!("\n{}", suite::render(&SuiteReport::new(&views), &env.style())));
        }
        outputs.write_for_programs(&views, env)
    }

    async fn group(&mut self, group: Group<'a>) {
        let wanted = match group.wanted {
            Ok(wanted) => wanted,
            Err(failure) => return self.refuse(&group.experiments, failure),
        };
        let mut handle = None;
        for (index, parsed) in group.experiments.iter().enumerate() {
            if self.command.abort.signal().is_some() {
                self.not_started(parsed);
                continue;
            }
            self.announce(parsed);
            match self.command.ready(&mut handle, &wanted).await {
                Ok(ready) => self.one(parsed, ready).await,
                // What keeps one from its cluster keeps the others from it.
                Err(failure) => {
                    self.refuse(&group.experiments[index..], failure);
                    break;
                }
            }
        }
        if let Some(handle) =
            handle.filter(|handle| self.command.execution.delete_cluster && handle.is_made_here())
        {
            self.codes
                .extend(self.command.delete(&handle).await.err().map(|failure| failure.report()));
        }
    }

    fn announce(&self, parsed: &Parsed) {
        if self.all > 1 {
            let (number, all, name) = (self.parts.len() + 1, self.all, &parsed.experiment.name);
            let ink = self.command.env.stderr.colour;
            let bold = |code: &str| ink.map_or(String::new(), |ink| ink.colour(code));
            let (on, off) = (bold("\x1b[1m"), bold("\x1b[0m"));
            complain!("\n{on}experiment {number} of {all}: {name}{off}");
        }
    }

    async fn one(&mut self, parsed: &Parsed, handle: &ClusterHandle) {
        if let Some(why) = self.unfit(parsed, handle).await {
            return self.part(parsed, ExperimentStatus::NotRun(NotRun::Skipped, why), 0);
        }
        if let Err(error) = self.command.refuse_unnamed(parsed, handle) {
            return self.refuse(&[parsed], error.into());
        }
        let repeated = self.command.repeat(parsed, handle).await;
        self.codes.push(repeated.code);
        let status = match (repeated.runs, repeated.why) {
            (runs, None) => ExperimentStatus::Ran(runs),
            (runs, Some(_)) if !runs.is_empty() => ExperimentStatus::Ran(runs),
            (_, Some(why)) => ExperimentStatus::NotRun(NotRun::Refused, why),
        };
        self.part(parsed, status, repeated.not_started);
        let Command { outputs, env, .. } = self.command;
        let part = judge::views(&self.parts[self.parts.len() - 1..]);
        if outputs.stdout.is_for_people() && !part[0].runs().is_empty() {
            print_report(&part, outputs.stdout, env);
        }
        repeated.cut_short.iter().for_each(|text| complain!("{text}"));
    }

    /// Why the model can't show this experiment.
    async fn unfit(&self, parsed: &Parsed, handle: &ClusterHandle) -> Option<String> {
        if !handle.is_model() {
            return None;
        }
        let failure = Failure::from(session::fits(handle, parsed).await.err()?);
        let why = failure.line();
        match self.all {
            1 => _ = failure.report(),
            _ => complain!("   skipped: {why}"),
        }
        Some(why)
    }

    /// None of these can be carried out.
    fn refuse(&mut self, experiments: &[&Parsed], failure: Failure) {
        let why = failure.line();
        let (code, state) = match failure.code {
            exit::INTERRUPTED => (exit::INTERRUPTED, NotRun::NotStarted),
            code => (code, NotRun::Refused),
        };
        self.codes.push(code);
        failure.report();
        experiments
            .iter()
            .for_each(|parsed| self.part(parsed, ExperimentStatus::NotRun(state, why.clone()), 0));
    }

    /// What was never begun has not passed.
    fn not_started(&mut self, parsed: &Parsed) {
        self.codes.push(exit::INTERRUPTED);
        self.part(
            parsed,
            ExperimentStatus::NotRun(NotRun::NotStarted, "the suite was interrupted".into()),
            0,
        );
    }

    fn part(&mut self, parsed: &Parsed, status: ExperimentStatus<Judged>, not_started: u32) {
        let (experiment, claims) =
            (parsed.experiment.name.clone(), parsed.experiment.claims.clone());
        let runs = match &status {
            ExperimentStatus::Ran(runs) => &runs[..],
            ExperimentStatus::NotRun(..) => &[],
        };
        let baseline = self.history.compare(runs).filter(|_| !runs.is_empty());
        self.codes.extend(baseline.iter().filter(|all| all.is_worse()).map(|_| exit::FAIL));
        self.parts.push(Part { experiment, claims, status, not_started, baseline });
    }
}
