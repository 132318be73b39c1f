//! The runs of a study, each recorded before it begins and after it has ended.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::planned::Planned;
use super::result::{StudyRuns, runs_dir_of};
use crate::cli::command::Command;
use crate::cli::exit;
use crate::cli::failure::Failure;
use crate::cli::judge::Judged;
use crate::cli::series::{Cell, Ends, Keeper, Series};
use crate::series::order::{Plan, Slot};
use crate::study::journal::{Journal, Recorded};

/// What became of a study's runs.
pub(super) struct Ended {
    pub folder: PathBuf,
    pub codes: Vec<u8>,
}

/// Makes the runs that are left.
pub(super) async fn carry_out(
    command: &Command<'_>,
    planned: &Planned<'_>,
    journal: Journal,
    until: Option<Instant>,
) -> Ended {
    let (folder, plan) = (journal.folder().to_owned(), planned.order(journal.header.seed));
    let cells = planned.study.cells.iter();
    let cells = cells.map(|cell| Cell { name: &cell.name, parsed: &cell.parsed }).collect();
    let runs_dir = runs_dir_of(&folder);
    let mut series = Series::new(command, cells, &planned.clusters, plan.order(), Ends::Series);
    for entry in journal.entries.iter().filter(|entry| entry.is_done()) {
        let took = entry.end.as_ref().and_then(|end| end.took);
        series.schedule.done(entry.slot, took.map(|took| Duration::from_secs_f64(took.as_f64())));
    }
    (series.runs_dir, series.name, series.until) = (runs_dir.as_path(), journal.id(), until);
    (series.may_continue, series.made) = (true, journal.made.clone());
    // Only a budget asks how much is known of a cell.
    if let Some(Ok(recorded)) = until.map(|_| Recorded::read(&folder)) {
        let runs = StudyRuns::read(&recorded);
        for cell in 0..planned.study.cells.len() {
            series.schedule.cell(cell).values = runs.detections(cell);
        }
    }
    let mut record = Record { journal, plan };
    let ended = series.carry_out(&mut record).await;
    let mut codes = ended.codes;
    match ended.open {
        0 => {
            let finished = record.journal.finish(jiff::Timestamp::now());
            codes.extend(finished.err().map(|error| Failure::from(error).report()));
        }
        open if !ended.is_cut_short => {
            let all = planned.runs() as usize;
            complain!("time budget used up: {open} of {all} runs not started");
            codes.extend((open == all).then_some(exit::INCONCLUSIVE));
        }
        _ => {}
    }
    Ended { folder, codes }
}

/// The study's record on disk.
struct Record<'a> {
    journal: Journal,
    plan: Plan<'a>,
}

impl Keeper for Record<'_> {
    fn seed(&self, slot: Slot, _retries: u32) -> u64 {
        let attempts = self.journal.entries.iter().filter(|entry| entry.slot == slot).count();
        self.plan.run_seed(slot, attempts as u32)
    }

    fn made(&mut self, cluster: usize) -> Result<(), Failure> {
        Ok(self.journal.made(cluster)?)
    }

    fn begins(&mut self, slot: Slot, run: &str) -> Result<(), Failure> {
        Ok(self.journal.begin(run, slot)?)
    }

    fn ended(
        &mut self,
        _slot: Slot,
        run: &str,
        judged: Option<Judged>,
        took: Duration,
    ) -> Result<(), Failure> {
        let done = judged.is_some_and(|judged| judged.is_over());
        Ok(self.journal.end(run, done, done.then_some(took))?)
    }
}
