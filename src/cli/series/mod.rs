//! Several runs, one after the other: which is next, its cluster, the run itself, shown while it goes
//! on, and judged. `run`, `study` and `tune --verify` differ in the order of their runs, in what ends
//! them, and in what they keep of each run.

pub(super) mod clusters;
mod run;
pub(super) mod turns;

use std::time::{Duration, Instant};

use clusters::Clusters;
use turns::{Activity, Turn};

use super::command::Command;
use super::exit;
use super::failure::Failure;
use super::judge::Judged;
use super::output;
use crate::engine::environment::handle::{ClusterHandle, Nodes};
use crate::engine::environment::provision::ClusterSpec;
use crate::engine::session::{self, AfterRun, Session, Start};
use crate::experiment::Parsed;
use crate::plan::RunLength;
use crate::report::not_run::NotRun;
use crate::series::order::Slot;
use crate::series::schedule::{Schedule, TimeLeft};
use crate::stats::Seconds;
use crate::timeline::{Retry, Shard, counted};

/// What a command keeps of the runs of its series.
pub(super) trait Keeper {
    /// The seed of a run, which was made again `retries` times before.
    fn seed(&self, slot: Slot, retries: u32) -> u64;

    /// A cluster was created.
    fn made(&mut self, _cluster: usize) -> Result<(), Failure> {
        Ok(())
    }

    /// A run is about to begin.
    fn begins(&mut self, _slot: Slot, _run: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// A run has ended. `None`: it did not begin, or cannot be read. `took` is with the preparation
    /// of its cluster.
    fn ended(
        &mut self,
        slot: Slot,
        run: &str,
        judged: Option<Judged>,
        took: Duration,
    ) -> Result<(), Failure>;

    /// No more runs of a cell are made.
    fn over(&mut self, _cell: usize, _over: Over) {}
}

/// Why no more runs of a cell are made.
pub(super) struct Over {
    /// What its last run, or its cluster, was refused for; `None`: it was not.
    pub why: Option<(NotRun, String)>,
    /// How many of its runs were not started, less the one that was refused.
    pub not_started: u32,
}

/// What a run ends that is refused or interrupted, or leaves something that could not be undone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// The runs of its cell: another experiment may be possible.
    Cell,
    /// All of them.
    Series,
}

/// A variant of an experiment, or one of several experiments.
pub(super) struct Cell<'a> {
    pub name: &'a str,
    pub parsed: &'a Parsed,
}

/// What is to be run, and how far it is.
pub(super) struct Series<'a> {
    command: &'a Command<'a>,
    cells: Vec<Cell<'a>>,
    clusters: &'a Clusters,
    ends: Ends,
    /// Which runs are left. What was made before is done already.
    pub schedule: Schedule,
    /// Where runs are recorded.
    pub runs_dir: &'a std::path::Path,
    /// What changed settings are recorded under.
    pub name: String,
    /// When the budget is spent.
    pub until: Option<Instant>,
    /// Whether what is not run now may be run later, and needs its cluster then.
    pub may_continue: bool,
    /// The clusters that were created for it.
    pub made: Vec<usize>,
    /// The cluster that is being visited.
    visited: Option<usize>,
    handle: Option<ClusterHandle>,
    /// The run that was made first in the place of the present one.
    first_try: String,
    /// The cell whose run has left the cluster as it found it.
    whole_for: Option<usize>,
    times: Times,
    codes: Vec<u8>,
    /// Which of several series it is that run at the same time; `None`: it is the only one.
    pub beside: Option<Shard>,
}

/// What the clusters cost.
#[derive(Default)]
struct Times {
    /// How long each cluster took to be created.
    created: Vec<Duration>,
    /// How long each change of settings took.
    retuned: Vec<Duration>,
}

/// What became of a series.
pub(super) struct Ended {
    pub codes: Vec<u8>,
    /// How many of its runs are left.
    pub open: usize,
    /// Whether it ended early, and not because its budget was spent.
    pub is_cut_short: bool,
}

impl<'a> Series<'a> {
    /// All runs of `order`, recorded with the others, without a budget and without retries.
    pub(super) fn new(
        command: &'a Command<'a>,
        cells: Vec<Cell<'a>>,
        clusters: &'a Clusters,
        order: Vec<Slot>,
        ends: Ends,
    ) -> Self {
        let at_least = cells.iter().map(|cell| RunLength::of(&cell.parsed.experiment).at_least);
        let schedule = Schedule::new(order, at_least.collect());
        Self {
            command,
            cells,
            clusters,
            ends,
            schedule,
            runs_dir: &command.env.runs_dir,
            name: String::new(),
            until: None,
            may_continue: false,
            made: Vec::new(),
            visited: None,
            handle: None,
            first_try: String::new(),
            whole_for: None,
            times: Times::default(),
            codes: Vec::new(),
            beside: None,
        }
    }

    /// Makes the runs that are left.
    pub(super) async fn carry_out(mut self, keeper: &mut impl Keeper) -> Ended {
        let mut is_cut_short = false;
        while let Some(slot) = self.schedule.next(self.budget()) {
            let turn = self.turn(slot).await;
            is_cut_short = match self.command.abort.signal() {
                Some(_) => {
                    self.codes.push(exit::INTERRUPTED);
                    true
                }
                None => {
                    let label = self.beside.map(|_| self.cells[slot.cell].name.to_owned());
                    output::labelled(label, self.one(slot, turn, keeper)).await
                }
            };
            if is_cut_short {
                break;
            }
        }
        if !self.may_continue {
            while let Some(cell) = self.schedule.open_cell(|_| true) {
                let why = (NotRun::NotStarted, "the suite was interrupted".to_owned());
                match self.schedule.is_begun(cell) {
                    true => self.over(cell, None, keeper),
                    false => self.refuse(cell, why, keeper),
                }
            }
        }
        let label = self.beside.map(|queue| format!("queue {queue}"));
        let left = output::labelled(label, self.leave()).await;
        self.codes.extend(left.err().map(|failure| failure.report()));
        self.report_times();
        if self.beside.is_none() {
            self.command.warned.tell_repeated();
        }
        Ended { codes: self.codes, open: self.schedule.open().count(), is_cut_short }
    }

    fn budget(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Waits for the turn of a run, or of the kind cluster that it needs first.
    async fn turn(&self, slot: Slot) -> Turn<'a> {
        let activity = match self.looks_for_kind_cluster(slot.cell) {
            true => Activity::Preparing,
            false => self.activity(slot),
        };
        self.command.turns.take(activity).await
    }

    /// A run that is made again is made alone: what ran beside it may be why it was inconclusive.
    fn activity(&self, slot: Slot) -> Activity {
        match self.schedule.retries_of(slot) {
            0 => Activity::Measuring,
            _ => Activity::Alone,
        }
    }

    /// Whether the next run's kind cluster is not the one of the run before.
    fn looks_for_kind_cluster(&self, cell: usize) -> bool {
        let host = self.clusters.host(cell);
        let is_kind = matches!(self.clusters.specs[host], ClusterSpec::Kind { .. });
        is_kind && (self.visited != Some(host) || self.handle.is_none())
    }

    /// One run. Whether it ends the series.
    async fn one(&mut self, slot: Slot, turn: Turn<'a>, keeper: &mut impl Keeper) -> bool {
        let (begun, cell) = (Instant::now(), slot.cell);
        let seed = keeper.seed(slot, self.schedule.retries_of(slot));
        self.announce(slot, seed);
        if let Err(failure) = self.visit(cell, keeper).await {
            self.refuse_all(cell, &failure, keeper);
            return self.ends == Ends::Series;
        }
        let _turn = match turn.activity {
            Activity::Preparing => {
                drop(turn);
                self.command.turns.take(self.activity(slot)).await
            }
            Activity::Measuring | Activity::Alone => turn,
        };
        if let Some(why) = self.unfit(cell).await {
            self.refuse(cell, (NotRun::Skipped, why), keeper);
            return false;
        }
        let (code, why) = match self.run(slot, seed, begun, keeper).await {
            Ok(Made { is_inconclusive: true, is_over: true, .. }) if self.schedule.retry(slot) => {
                return false;
            }
            Ok(Made { code, is_over, .. }) => {
                if is_over {
                    self.schedule.done(slot, Some(begun.elapsed()));
                }
                (code, None)
            }
            Err(failure) => (failure.report(), Some((NotRun::Refused, failure.line()))),
        };
        self.codes.push(code);
        let is_left = self.schedule.open().any(|one| one == slot);
        if self.ends == Ends::Series {
            // It would be made again and again.
            return is_left || exit::ends_series(code);
        }
        if is_left {
            // What was in its way need not be in that of the next.
            self.schedule.done(slot, None);
        }
        if exit::ends_series(code) || self.schedule.open().all(|one| one.cell != cell) {
            self.over(cell, why, keeper);
        }
        false
    }

    /// One run, judged.
    async fn run(
        &mut self,
        slot: Slot,
        seed: u64,
        begun: Instant,
        keeper: &mut impl Keeper,
    ) -> Result<Made, Failure> {
        let (command, parsed) = (self.command, self.cells[slot.cell].parsed);
        let handle = self.handle.as_ref().expect("is visited");
        command.refuse_unnamed(parsed, handle)?;
        let repeat = self.schedule.repeat();
        let mut start = Start::now(seed, (repeat > 1).then_some((slot.repetition, repeat)));
        let run = start.id.clone();
        let number = self.schedule.retries_of(slot);
        if number == 0 {
            self.first_try.clone_from(&run);
        }
        start.retry = (number > 0).then(|| Retry { of: self.first_try.clone(), number });
        start.shard = command.shard;
        start.workload = self.after_run(slot);
        keeper.begins(slot, &run)?;
        let session =
            Session { parsed, runs_dir: self.runs_dir, environment: &command.environment };
        self.whole_for = None;
        let run::Outcome { code, is_inconclusive, judged } =
            match run::run(command, &session, handle, start).await {
                Ok(ended) => ended,
                Err(failure) => {
                    keeper.ended(slot, &run, None, begun.elapsed())?;
                    return Err(failure);
                }
            };
        self.whole_for = judged.is_complete().then_some(slot.cell);
        let (summary, is_over) = (judged.summary(), judged.is_over());
        let detected = summary.detection.filter(|_| summary.counts());
        let values = &mut self.schedule.cell(slot.cell).values;
        values.extend(detected.map(|value| value.most.as_f64()));
        keeper.ended(slot, &run, Some(judged), begun.elapsed())?;
        if repeat > 1 || self.schedule.retries > 0 || self.beside.is_some() {
            complain!("   {}: {}", summary.word(), summary.summary);
        }
        Ok(Made { code, is_inconclusive, is_over })
    }

    fn after_run(&self, slot: Slot) -> AfterRun {
        match self.leaves_workload_to_another(slot) {
            true => AfterRun::MayBeTakenOver,
            // To delete a namespace may take longer than its cluster: the control plane that it needs
            // may just have been hit.
            false if self.deletes(self.clusters.host(slot.cell)) => AfterRun::GoesWithCluster,
            false => AfterRun::Deleted,
        }
    }

    /// Whether a cluster is deleted when it is not needed any more.
    fn deletes(&self, cluster: usize) -> bool {
        self.command.execution.delete_cluster && self.made.contains(&cluster)
    }

    /// Whether another run follows that may take over the workload. A cluster that is not kind's is
    /// connected to, or made, anew for another cell.
    fn leaves_workload_to_another(&self, slot: Slot) -> bool {
        let host = self.clusters.host(slot.cell);
        let is_on_kind = self.is_on_kind();
        self.schedule.open().any(|one| {
            let is_here = is_on_kind && self.clusters.host(one.cell) == host;
            one != slot && (is_here || one.cell == slot.cell)
        })
    }

    fn is_on_kind(&self) -> bool {
        self.handle.as_ref().is_some_and(|handle| matches!(handle.nodes, Nodes::Kind(_)))
    }

    /// The next run of a cell is refused, and with it the others.
    fn refuse(&mut self, cell: usize, why: (NotRun, String), keeper: &mut impl Keeper) {
        let next = self.schedule.open().find(|slot| slot.cell == cell);
        next.into_iter().for_each(|slot| self.schedule.done(slot, None));
        self.over(cell, Some(why), keeper);
    }

    /// No more runs of a cell are made.
    fn over(&mut self, cell: usize, why: Option<(NotRun, String)>, keeper: &mut impl Keeper) {
        let not_started = self.schedule.close(cell);
        keeper.over(cell, Over { why, not_started });
    }

    /// What keeps a cell from its cluster keeps the others from it.
    fn refuse_all(&mut self, cell: usize, failure: &Failure, keeper: &mut impl Keeper) {
        self.codes.push(failure.report());
        let state = match failure.code {
            exit::INTERRUPTED => NotRun::NotStarted,
            _ => NotRun::Refused,
        };
        let clusters = self.clusters;
        let is_here = |one| clusters.host(one) == clusters.host(cell);
        while let Some(other) = self.schedule.open_cell(is_here).filter(|_| self.ends == Ends::Cell)
        {
            self.refuse(other, (state, failure.line()), keeper);
        }
    }

    /// Why the model can't show an experiment, where others may be shown.
    async fn unfit(&self, cell: usize) -> Option<String> {
        let handle = self.handle.as_ref().filter(|handle| handle.is_model())?;
        if self.ends == Ends::Series {
            return None;
        }
        let fits = session::fits(handle, self.cells[cell].parsed).await;
        let failure = Failure::from(fits.err()?);
        match self.cells.len() {
            1 => _ = failure.report(),
            _ => complain!("   skipped: {}", failure.line()),
        }
        Some(failure.line())
    }

    /// `run 3 of 12: worker-stop, 2 of 4 (seed 7), about 12m left`; of a single run nothing.
    fn announce(&self, slot: Slot, seed: u64) {
        let (all, several) = (self.schedule.len(), self.cells.len() > 1);
        let number = all - self.schedule.open().count() + 1;
        let (repeat, retries) = (self.schedule.repeat(), self.schedule.retries_of(slot));
        let parts = [
            several.then(|| self.cells[slot.cell].name.to_owned()),
            (several && repeat > 1).then(|| format!("{} of {repeat}", slot.repetition)),
            (retries > 0).then(|| format!("retry {retries} of {}", self.schedule.retries)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let queue = self.beside.map_or(String::new(), |queue| format!(" in queue {queue}"));
        let head =
            (all > 1 || self.beside.is_some()).then(|| format!("run {number} of {all}{queue}"));
        let what = head.into_iter().chain(Some(parts.join(", ")).filter(|it| !it.is_empty()));
        let what = what.collect::<Vec<_>>().join(": ");
        if what.is_empty() {
            return;
        }
        let bold = |code: &str| {
            let ink = self.command.env.stderr.colour.filter(|_| several);
            ink.map_or(String::new(), |ink| ink.colour(code))
        };
        let seed = (repeat > 1 || retries > 0).then(|| format!(" (seed {seed})"));
        let left = (all > 1).then(|| format!(", {} left", self.time_left()));
        complain!(
            "{}{}{what}{}{}{}",
            if several { "\n" } else { "" },
            bold("\x1b[1m"),
            bold("\x1b[0m"),
            seed.unwrap_or_default(),
            left.unwrap_or_default(),
        );
    }

    fn time_left(&self) -> String {
        match (self.schedule.time_left(), self.budget()) {
            (TimeLeft::AtLeast(left) | TimeLeft::About(left), Some(budget)) if budget < left => {
                format!("about {}", words(budget))
            }
            (TimeLeft::AtLeast(left), _) => format!("at least {}", words(left)),
            (TimeLeft::About(left), _) => format!("about {}", words(left)),
        }
    }

    /// The cluster of the next run: the same, whole again and with the run's settings, or another.
    async fn visit(&mut self, cell: usize, keeper: &mut impl Keeper) -> Result<(), Failure> {
        let host = self.clusters.host(cell);
        let stays =
            self.visited == Some(host) && (self.is_on_kind() || self.whole_for == Some(cell));
        if !stays && let Err(failure) = self.leave().await {
            match self.ends {
                Ends::Cell => self.codes.push(failure.report()),
                Ends::Series => return Err(failure),
            }
        }
        // A kind cluster is looked at before each run: much of it may still recover.
        if stays && !self.is_on_kind() {
            return Ok(());
        }
        let (begun, was_there) = (Instant::now(), self.handle.is_some());
        self.visited = Some(host);
        let handle = self.command.ready(&mut self.handle, &self.clusters.specs[host]).await?;
        if handle.is_made_here() && !handle.is_model() {
            self.times.created.extend((!was_there).then(|| begun.elapsed()));
            if !self.made.contains(&host) {
                keeper.made(host)?;
                self.made.push(host);
            }
        }
        if let (Some(config), Some(handle)) = (self.clusters.retuned(cell), &mut self.handle) {
            let took = self.command.retune(handle, config, &self.name).await?;
            self.times.retuned.extend(took);
        }
        Ok(())
    }

    /// Leaves a cluster, which has its own settings again and is kept for the next round. One that was
    /// created for the series, and that it needs no more, is deleted, if that was asked for.
    async fn leave(&mut self) -> Result<(), Failure> {
        self.whole_for = None;
        let (Some(cluster), Some(mut handle)) = (self.visited.take(), self.handle.take()) else {
            return Ok(());
        };
        let is_needed = self.schedule.open().any(|slot| self.clusters.host(slot.cell) == cluster);
        match self.deletes(cluster) && !is_needed {
            true => self.command.delete(&handle).await,
            false => self.command.give_back(&mut handle).await,
        }
    }

    /// Says what changing settings in place has cost, and what a cluster for each would have.
    fn report_times(&self) {
        let Times { created, retuned } = &self.times;
        let mean = |all: &[Duration]| all.iter().sum::<Duration>() / all.len().max(1) as u32;
        if retuned.is_empty() {
            return;
        }
        let (times, sum) = (counted(retuned.len(), "time"), words(retuned.iter().sum()));
        let each = words(mean(retuned));
        let beside = match created.is_empty() {
            true => String::new(),
            false => format!("; creating a cluster took {}", words(mean(created))),
        };
        complain!(
            "settings were changed in the nodes {times}, which took {sum} ({each} each){beside}"
        );
    }
}

/// What became of a run that was begun.
struct Made {
    code: u8,
    is_inconclusive: bool,
    /// Whether it ended by itself.
    is_over: bool,
}

fn words(time: Duration) -> String {
    Seconds::from(time).rounded().to_minutes()
}
