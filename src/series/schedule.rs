//! Which run is next. Without a budget it is the next of the order; with one, at first each in its
//! turn, then one of the cell that is known least.

use std::time::Duration;

use super::order::Slot;
use crate::stats::{interval_of_quantile, quantile};

/// Each cell is run so often before any is preferred: of fewer nothing is known of their spread.
const FIRST: u32 = 3;

/// What is to be made, and what was.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    order: Vec<Slot>,
    cells: Vec<Known>,
    /// How often a run is made again that was inconclusive.
    pub retries: u32,
    /// Those that were made again, each as often as it is here.
    retried: Vec<Slot>,
}

/// What is known of a cell so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The repetitions that were made.
    done: Vec<u32>,
    /// What was measured: detection, where it was.
    pub values: Vec<f64>,
    /// The shortest time that one run takes.
    at_least: Duration,
    /// How long each took.
    took: Vec<Duration>,
    /// Whether no more of its runs are made.
    closed: bool,
}

impl Known {
    /// How long one run takes.
    fn lasts(&self) -> Duration {
        match self.took.len() as u32 {
            0 => self.at_least,
            count => self.took.iter().sum::<Duration>() / count,
        }
    }
}

/// How long the runs take that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeLeft {
    About(Duration),
    /// Of some of them it is only known how long they take at least.
    AtLeast(Duration),
}

impl Schedule {
    /// `at_least`: the shortest time that a run of each cell takes.
    pub(crate) fn new(order: Vec<Slot>, at_least: Vec<Duration>) -> Self {
        let known = |at_least| Known { at_least, ..Known::default() };
        let cells = at_least.into_iter().map(known).collect();
        Self { order, cells, retries: 0, retried: Vec::new() }
    }

    pub(crate) fn cell(&mut self, cell: usize) -> &mut Known {
        &mut self.cells[cell]
    }

    /// How many runs there are in all.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// How often each cell is run.
    pub(crate) fn repeat(&self) -> u32 {
        self.order.iter().map(|slot| slot.repetition).max().unwrap_or(0)
    }

    /// Those that are left, in their order.
    pub(crate) fn open(&self) -> impl Iterator<Item = Slot> + Clone {
        let is_open = |slot: &&Slot| {
            let cell = &self.cells[slot.cell];
            !cell.closed && !cell.done.contains(&slot.repetition)
        };
        self.order.iter().filter(is_open).copied()
    }

    /// The first cell of these that has runs left.
    pub(crate) fn open_cell(&self, is_wanted: impl Fn(usize) -> bool) -> Option<usize> {
        self.open().map(|slot| slot.cell).find(|cell| is_wanted(*cell))
    }

    /// The next run; `None`: none is left that fits into the time that is left. Without a budget
    /// (`left` is `None`) it is the next of the order.
    pub(crate) fn next(&self, left: Option<Duration>) -> Option<Slot> {
        let fits = |slot: &Slot| left.is_none_or(|left| self.cells[slot.cell].lasts() <= left);
        let mut open = self.open().filter(fits);
        let first = open.clone().find(|slot| left.is_none() || slot.repetition <= FIRST);
        // Of one cell the earliest: `max_by` takes the last of those that are equal.
        first.or_else(|| {
            let width = |slot: &Slot| width(&self.cells[slot.cell]);
            let most = open.clone().max_by(|a, b| width(a).total_cmp(&width(b)))?;
            open.find(|slot| slot.cell == most.cell)
        })
    }

    /// A run was made, and how long it took, where that is known.
    pub(crate) fn done(&mut self, slot: Slot, took: Option<Duration>) {
        let cell = self.cell(slot.cell);
        cell.done.push(slot.repetition);
        cell.took.extend(took);
    }

    /// A run was inconclusive. Whether it is made again: then it stays the next.
    pub(crate) fn retry(&mut self, slot: Slot) -> bool {
        let again = self.retries_of(slot) < self.retries;
        self.retried.extend(again.then_some(slot));
        again
    }

    /// Whether one of its runs was made.
    pub(crate) fn is_begun(&self, cell: usize) -> bool {
        !self.cells[cell].done.is_empty()
    }

    /// How often a run was made again so far.
    pub(crate) fn retries_of(&self, slot: Slot) -> u32 {
        self.retried.iter().filter(|one| **one == slot).count() as u32
    }

    /// No more runs of this cell are made. How many of them were left.
    pub(crate) fn close(&mut self, cell: usize) -> u32 {
        let left = self.open().filter(|slot| slot.cell == cell).count();
        self.cell(cell).closed = true;
        left as u32
    }

    pub(crate) fn time_left(&self) -> TimeLeft {
        let sum = self.open().map(|slot| self.cells[slot.cell].lasts()).sum();
        match self.open().all(|slot| !self.cells[slot.cell].took.is_empty()) {
            true => TimeLeft::About(sum),
            false => TimeLeft::AtLeast(sum),
        }
    }
}

/// How wide the interval of the median is, as a share of it, so that slow cells are not preferred.
fn width(cell: &Known) -> f64 {
    let mut sorted = cell.values.clone();
    sorted.sort_by(f64::total_cmp);
    let Some(median) = quantile(&sorted, 0.5).filter(|median| *median > 0.0) else { return 0.0 };
    let width = match interval_of_quantile(&sorted, 0.5) {
        Ok(interval) => interval.high - interval.low,
        // Too few for an interval: the true median lies beyond all of them more often.
        Err(_) => {
            let range = sorted[sorted.len() - 1] - sorted[0];
            2.0 * range.max(median / sorted.len() as f64)
        }
    };
    width / median
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::order::Plan;

    const NARROW: &[f64] = &[4.0, 4.01, 4.02, 4.03, 4.04, 4.05, 4.06, 4.07];
    const WIDE: &[f64] = &[3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5];
    const RUN: Duration = Duration::from_secs(10);

    /// Two cells with ten runs each, of which those with these values were made.
    fn schedule(values: [&[f64]; 2], retries: u32) -> Schedule {
        let order =
            Plan { clusters: &[0, 0], hosts: &[0], repeat: 10, rounds: 10, seed: 1 }.order();
        let mut schedule = Schedule { retries, ..Schedule::new(order, vec![RUN; 2]) };
        for (cell, values) in values.into_iter().enumerate() {
            schedule.cell(cell).values = values.to_vec();
            for repetition in 1..=values.len() as u32 {
                schedule.done(Slot { cell, repetition }, None);
            }
        }
        schedule
    }

    fn minutes(minutes: u64) -> Option<Duration> {
        Some(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn without_a_budget_the_order_is_kept() {
        let mut schedule = schedule([&[], &[]], 0);
        for slot in schedule.order.clone() {
            assert_eq!(schedule.next(None), Some(slot));
            schedule.done(slot, None);
        }
        assert_eq!(schedule.next(None), None);
    }

    #[test]
    fn the_widest_interval_gets_the_next_run() {
        let next = |values| schedule(values, 0).next(minutes(5)).unwrap();
        assert_eq!(next([NARROW, WIDE]), Slot { cell: 1, repetition: 9 });
        assert_eq!(next([WIDE, NARROW]), Slot { cell: 0, repetition: 9 });
        // A cell with few runs is known less than one with an interval.
        assert_eq!(next([&WIDE[2..6], WIDE]).cell, 0);
        // Each has three before one is preferred, and none more than it is to have.
        assert_eq!(next([WIDE, &NARROW[..2]]), Slot { cell: 1, repetition: 3 });
        let full: Vec<f64> = WIDE.iter().chain(&WIDE[..2]).copied().collect();
        assert_eq!(next([&full, NARROW]).cell, 1);
    }

    #[test]
    fn what_does_not_fit_into_the_time_left_is_not_begun() {
        let mut schedule = schedule([WIDE, NARROW], 0);
        assert_eq!(schedule.next(Some(RUN - Duration::from_secs(1))), None);
        schedule.cell(0).took = vec![6 * RUN];
        assert_eq!(schedule.next(Some(3 * RUN)).map(|slot| slot.cell), Some(1));
    }

    #[test]
    fn a_cell_that_measures_nothing_takes_no_time_from_the_others() {
        let mut schedule = schedule([&[], NARROW], 0);
        (1..=3).for_each(|repetition| schedule.done(Slot { cell: 0, repetition }, None));
        assert_eq!(schedule.next(minutes(5)).map(|slot| slot.cell), Some(1));
    }

    #[test]
    fn an_inconclusive_run_stays_the_next_as_often_as_it_is_retried() {
        let mut schedule = schedule([&[], &[]], 2);
        let first = schedule.next(None).unwrap();
        for retries in 1..=2 {
            assert!(schedule.retry(first));
            assert_eq!((schedule.next(None), schedule.retries_of(first)), (Some(first), retries));
        }
        assert!(!schedule.retry(first), "twice is all");
        schedule.done(first, None);
        let second = schedule.next(None).unwrap();
        assert_eq!((second != first, schedule.retries_of(second)), (true, 0));
    }

    #[test]
    fn a_closed_cell_has_no_more_runs_and_takes_no_more_time() {
        let mut schedule = schedule([WIDE, NARROW], 0);
        assert_eq!(schedule.time_left(), TimeLeft::AtLeast(4 * RUN));
        schedule.done(Slot { cell: 1, repetition: 9 }, Some(2 * RUN));
        assert_eq!(schedule.close(0), 2);
        assert_eq!(schedule.time_left(), TimeLeft::About(2 * RUN));
        assert_eq!(schedule.next(None), Some(Slot { cell: 1, repetition: 10 }));
        assert_eq!(schedule.close(0), 0);
    }
}
