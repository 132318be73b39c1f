//! Which cell gets the next run of a study with a budget: at first each in its turn, then the one
//! that is known least.

use std::time::Duration;

use super::plan::Slot;
use crate::stats::{interval_of_quantile, quantile};

/// Each cell is run so often before any is preferred: of fewer nothing is known of their spread.
const FIRST: u32 = 3;

/// What is known of a cell so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The repetitions that were made.
    pub done: Vec<u32>,
    /// What was measured: detection, where it was.
    pub values: Vec<f64>,
    /// How long one run takes.
    pub lasts: Duration,
}

/// The next run; `None`: none is left that fits into the time that is left. Without a budget
/// (`left` is `None`) it is the next of the order.
pub(crate) fn next(order: &[Slot], cells: &[Known], left: Option<Duration>) -> Option<Slot> {
    let fits = |slot: &&Slot| left.is_none_or(|left| cells[slot.cell].lasts <= left);
    let mut open = order
        .iter()
        .filter(|slot| !cells[slot.cell].done.contains(&slot.repetition))
        .filter(fits)
        .copied();
    let first = open.clone().find(|slot| left.is_none() || slot.repetition <= FIRST);
    // Of one cell the earliest: `max_by` takes the last of those that are equal.
    first.or_else(|| {
        let widest = |a: &Slot, b: &Slot| width(&cells[a.cell]).total_cmp(&width(&cells[b.cell]));
        let most = open.clone().max_by(widest)?;
        open.find(|slot| slot.cell == most.cell)
    })
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
    use crate::study::plan::Plan;

    fn cells(values: [&[f64]; 2]) -> Vec<Known> {
        values
            .map(|values| Known {
                done: (1..=values.len() as u32).collect(),
                values: values.to_vec(),
                lasts: Duration::from_secs(10),
            })
            .to_vec()
    }

    const NARROW: &[f64] = &[4.0, 4.01, 4.02, 4.03, 4.04, 4.05, 4.06, 4.07];
    const WIDE: &[f64] = &[3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5];

    fn order() -> Vec<Slot> {
        Plan { clusters: &[0, 0], hosts: &[0], repeat: 10, rounds: 10, seed: 1 }.order()
    }

    fn minutes(minutes: u64) -> Option<Duration> {
        Some(Duration::from_secs(60 * minutes))
    }

    #[test]
    fn without_a_budget_the_order_is_kept() {
        let (order, mut cells) = (order(), vec![Known::default(), Known::default()]);
        for slot in &order {
            assert_eq!(next(&order, &cells, None), Some(*slot));
            cells[slot.cell].done.push(slot.repetition);
        }
        assert_eq!(next(&order, &cells, None), None);
    }

    #[test]
    fn the_widest_interval_gets_the_next_run() {
        let order = order();
        let next = |values| next(&order, &cells(values), minutes(5)).unwrap();
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
        let (order, mut cells) = (order(), cells([WIDE, NARROW]));
        assert_eq!(next(&order, &cells, Some(Duration::from_secs(9))), None);
        cells[0].lasts = Duration::from_secs(60);
        let left = Some(Duration::from_secs(30));
        assert_eq!(next(&order, &cells, left).map(|slot| slot.cell), Some(1));
    }

    #[test]
    fn a_cell_that_measures_nothing_takes_no_time_from_the_others() {
        let mut cells = cells([&[], NARROW]);
        cells[0].done = vec![1, 2, 3];
        assert_eq!(next(&order(), &cells, minutes(5)).map(|slot| slot.cell), Some(1));
    }
}
