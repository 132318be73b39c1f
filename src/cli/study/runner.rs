//! The runs of a study, one after the other, each recorded before it begins and after it has ended.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::planned::Planned;
use super::result::{StudyRuns, runs_dir_of};
use crate::cli::command::Command;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::engine::environment::handle::ClusterHandle;
use crate::engine::session::{Session, Start};
use crate::stats::Seconds;
use crate::study::budget::{self, Known};
use crate::study::journal::{Journal, Recorded};
use crate::study::plan::Slot;
use crate::timeline::counted;

pub(super) struct Runner<'a> {
    command: &'a Command<'a>,
    planned: &'a Planned<'a>,
    journal: Journal,
    order: Vec<Slot>,
    known: Vec<Known>,
    /// When the budget is spent.
    until: Option<Instant>,
    /// The cluster that is being visited.
    visited: Option<usize>,
    handle: Option<ClusterHandle>,
    times: Times,
}

/// What the clusters cost.
#[derive(Default)]
struct Times {
    /// How long each cluster took to be created.
    created: Vec<Duration>,
    /// How long each change of settings took.
    retuned: Vec<Duration>,
}

/// What became of a study's runs.
pub(super) struct Ended {
    pub folder: PathBuf,
    pub codes: Vec<u8>,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        command: &'a Command<'a>,
        planned: &'a Planned<'a>,
        journal: Journal,
        until: Option<Instant>,
    ) -> Self {
        let order = planned.order(journal.header.seed).order();
        let cells = 0..planned.clusters.len();
        let mut known: Vec<Known> = cells.map(|cell| known(&journal, planned, cell)).collect();
        // Only a budget asks how much is known of a cell.
        if let Some(Ok(recorded)) = until.map(|_| Recorded::read(journal.folder())) {
            let runs = StudyRuns::read(&recorded);
            for (cell, known) in known.iter_mut().enumerate() {
                known.values = runs.detections(cell);
            }
        }
        Self {
            command,
            planned,
            journal,
            order,
            known,
            until,
            visited: None,
            handle: None,
            times: Times::default(),
        }
    }

    /// Makes the runs that are left; stops where one is interrupted or refused, or leaves something
    /// that could not be undone.
    pub(super) async fn carry_out(mut self) -> Ended {
        let mut codes = Vec::new();
        loop {
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            let Some(slot) = budget::next(&self.order, &self.known, left) else { break };
            if self.command.abort.signal().is_some() {
                codes.push(exit::INTERRUPTED);
                break;
            }
            let ended = self.one(slot).await;
            match ended {
                // The report says how it was judged.
                Ok(code) if exit::ends_series(code) => codes.push(code),
                // It would be made again and again.
                Ok(code) if self.is_open(&&slot) => codes.push(code),
                Ok(_) => continue,
                Err(failure) => codes.push(failure.report()),
            }
            break;
        }
        let open = self.open();
        let left = self.leave().await;
        codes.extend(left.err().map(|failure| failure.report()));
        self.report_times();
        match open {
            0 => {
                let finished = self.journal.finish(jiff::Timestamp::now());
                codes.extend(finished.err().map(|error| Failure::from(error).report()));
            }
            open if codes.is_empty() => {
                complain!(
                    "time budget used up: {open} of {} runs not started",
                    self.planned.runs()
                );
                if open == self.order.len() {
                    codes.push(exit::INCONCLUSIVE);
                }
            }
            _ => {}
        }
        Ended { folder: self.journal.folder().to_owned(), codes }
    }

    fn open(&self) -> usize {
        self.order.iter().filter(|slot| self.is_open(slot)).count()
    }

    fn is_open(&self, slot: &&Slot) -> bool {
        !self.known[slot.cell].done.contains(&slot.repetition)
    }

    async fn one(&mut self, slot: Slot) -> Result<u8, Failure> {
        let (command, planned) = (self.command, self.planned);
        let (begun, cell) = (Instant::now(), &planned.study.cells[slot.cell]);
        let attempt = self.journal.entries.iter().filter(|entry| entry.slot == slot).count() as u32;
        let seed = planned.order(self.journal.header.seed).run_seed(slot, attempt);
        self.announce(slot, seed);
        self.visit(planned.clusters[slot.cell]).await?;
        let handle = self.handle.as_ref().expect("is visited");
        command.refuse_unnamed(&cell.parsed, handle)?;
        let mut start = Start::now(seed, Some((slot.repetition, planned.study.repeat)));
        start.more_follow = self.open() > 1;
        let run = start.id.clone();
        self.journal.begin(&run, slot)?;
        let runs_dir = runs_dir_of(self.journal.folder());
        let session = Session {
            parsed: &cell.parsed,
            runs_dir: &runs_dir,
            environment: &command.environment,
        };
        match command.once(&session, handle, start).await {
            Ok((code, judged)) => {
                let took = begun.elapsed();
                let done = judged.as_ref().is_some_and(|judged| judged.is_over());
                self.journal.end(&run, done, done.then_some(took))?;
                if done {
                    let known = known(&self.journal, planned, slot.cell);
                    let values = std::mem::take(&mut self.known[slot.cell].values);
                    self.known[slot.cell] = Known { values, ..known };
                }
                if let Some(judged) = judged {
                    let summary = judged.summary();
                    complain!("   {}: {}", summary.word(), summary.summary);
                    let value = summary.detection.filter(|_| summary.counts());
                    self.known[slot.cell].values.extend(value.map(|value| value.most.as_f64()));
                }
                Ok(code)
            }
            Err(failure) => {
                self.journal.end(&run, false, None)?;
                Err(failure)
            }
        }
    }

    fn announce(&self, slot: Slot, seed: u64) {
        let (open, planned) = (self.open(), self.planned);
        let cell = &planned.study.cells[slot.cell].name;
        let left: Duration = self
            .order
            .iter()
            .filter(|slot| self.is_open(slot))
            .map(|it| self.known[it.cell].lasts)
            .sum();
        let left = match self.until {
            Some(until) => left.min(until.saturating_duration_since(Instant::now())),
            None => left,
        };
        let left = Seconds::from_f64(left.as_secs_f64().round()).to_minutes();
        complain!(
            "run {} of {}: {cell}, {} of {} (seed {seed}), about {left} left",
            planned.runs() as usize - open + 1,
            planned.runs(),
            slot.repetition,
            planned.study.repeat
        );
    }

    /// The cluster of the next run: the same, whole again and with the run's settings, or another.
    async fn visit(&mut self, cluster: usize) -> Result<(), Failure> {
        let host = self.planned.hosts[cluster];
        if self.visited.is_some_and(|visited| visited != host) {
            self.leave().await?;
        }
        let (begun, was_there) = (Instant::now(), self.handle.is_some());
        self.visited = Some(host);
        let handle = self.command.ready(&mut self.handle, &self.planned.specs[host]).await?;
        if handle.is_made_here() && !handle.is_model() {
            self.times.created.extend((!was_there).then(|| begun.elapsed()));
            if !self.journal.made.contains(&host) {
                self.journal.made(host)?;
            }
        }
        if let (Some(config), Some(handle)) = (self.planned.retuned(cluster), &mut self.handle) {
            let took = self.command.retune(handle, config, &self.journal.id()).await?;
            self.times.retuned.extend(took);
        }
        Ok(())
    }

    /// Says what changing settings in place has cost, and what a cluster for each would have.
    fn report_times(&self) {
        let Times { created, retuned } = &self.times;
        let mean = |all: &[Duration]| all.iter().sum::<Duration>() / all.len().max(1) as u32;
        let words = |time: Duration| Seconds::from_f64(time.as_secs_f64().round()).to_minutes();
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

    /// Leaves a cluster, which has its own settings again and is kept for the next round. One that the
    /// study has made and needs no more is deleted, if that was asked for.
    async fn leave(&mut self) -> Result<(), Failure> {
        let (Some(cluster), Some(mut handle)) = (self.visited.take(), self.handle.take()) else {
            return Ok(());
        };
        let host_of = |slot: &Slot| self.planned.hosts[self.planned.clusters[slot.cell]];
        let needed = |slot: &Slot| host_of(slot) == cluster && self.is_open(&slot);
        let deletes = self.command.execution.delete_cluster && self.journal.made.contains(&cluster);
        match deletes && !self.order.iter().any(needed) {
            true => self.command.delete(&handle).await,
            false => self.command.give_back(&mut handle).await,
        }
    }
}

/// What is known of a cell from the study's journal and the runs that it lists.
fn known(journal: &Journal, planned: &Planned<'_>, cell: usize) -> Known {
    let ends = || {
        let entries = journal.entries.iter().filter(move |entry| entry.slot.cell == cell);
        entries.filter_map(|entry| Some((entry, entry.end.as_ref().filter(|end| end.done)?)))
    };
    let took: Vec<f64> = ends().filter_map(|(_, end)| Some(end.took?.as_f64())).collect();
    let lasts = match took.len() {
        0 => planned.lasts(cell),
        count => Duration::from_secs_f64(took.iter().sum::<f64>() / count as f64),
    };
    Known {
        done: ends().map(|(entry, _)| entry.slot.repetition).collect(),
        values: Vec::new(),
        lasts,
    }
}
