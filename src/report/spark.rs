//! The share of failures over time, in a row of characters.

use crate::analysis::findings::Series;
use crate::stats::Seconds;

const BLOCKS: [char; 9] = ['▁', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 9] = ['_', '.', ':', '-', '=', '+', '*', '#', '@'];

/// A row, and what its columns are.
#[derive(Clone, Debug, PartialEq)]
pub struct Spark {
    /// One character a column; a blank where nothing was asked.
    pub row: String,
    /// The time that a column takes.
    pub step: Seconds,
    /// Where the first column begins.
    pub start: Seconds,
}

impl Spark {
    /// The series between two moments, in no more than `columns`.
    pub fn new(series: &Series, from: Seconds, to: Seconds, columns: usize, ascii: bool) -> Self {
        let base = series.step.as_nanos().max(1_000_000);
        let merge =
            merge_of(((to - from).or_zero().as_nanos() / base + 1) as usize, columns.max(1));
        let step = base.saturating_mul(merge as i64);
        // Columns begin at +0, whatever is before it.
        let start = from.as_nanos().div_euclid(step).saturating_mul(step);
        let end = to.as_nanos();
        let mut row = String::new();
        let mut at = start;
        while at < end && row.chars().count() < columns {
            let next = at.saturating_add(step);
            row.push(column(series, at, next, ascii));
            at = next;
        }
        Self { row, step: Seconds::from_nanos(step), start: Seconds::from_nanos(start) }
    }

    pub fn column(&self, moment: Seconds) -> usize {
        ((moment - self.start).or_zero().as_nanos() / self.step.as_nanos().max(1)) as usize
    }
}

/// The least of 1, 2, 5, 10, ... that brings `all` down to `columns`, with one to spare for the
/// alignment.
fn merge_of(all: usize, columns: usize) -> usize {
    let steps = (0..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10usize.pow(power.min(12))));
    steps.take(39).find(|step| all.div_ceil(*step) < columns).unwrap_or(all.max(1))
}

fn column(series: &Series, from: i64, to: i64, ascii: bool) -> char {
    let (start, step) = (series.start.as_nanos(), series.step.as_nanos().max(1));
    let index = |at: i64| {
        usize::try_from(at.saturating_sub(start).div_euclid(step))
            .unwrap_or(0)
            .min(series.judged.len())
    };
    let range = index(from)..index(to);
    let sum = |counts: &[u32]| counts[range.clone()].iter().map(|n| u64::from(*n)).sum::<u64>();
    let (failed, judged) = (sum(&series.failed), sum(&series.judged));
    if judged == 0 { ' ' } else { block(failed, judged, ascii) }
}

/// A part of a whole as a character. What is there at all is seen to be there.
pub fn block(part: u64, whole: u64, ascii: bool) -> char {
    let levels = if ascii { ASCII } else { BLOCKS };
    match part {
        0 => levels[0],
        _ => {
            levels[((part * 8).div_ceil(whole.max(1)) as usize).clamp(if ascii { 1 } else { 2 }, 8)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series() -> Series {
        let failed = (0..100u32).map(|i| if (20..40).contains(&i) { 5 } else { 0 }).collect();
        Series { start: (-2.0).into(), step: 0.1.into(), failed, judged: vec![10; 100] }
    }

    #[test]
    fn columns_are_merged_to_fit() {
        let spark = Spark::new(&series(), (-2.0).into(), 8.0.into(), 30, false);
        assert_eq!((spark.step, spark.row.chars().count()), (0.5.into(), 20));
        assert_eq!(spark.row, "▁▁▁▁▄▄▄▄▁▁▁▁▁▁▁▁▁▁▁▁");
        assert_eq!((spark.column(0.0.into()), spark.column(1.9.into())), (4, 7));
    }

    #[test]
    fn a_single_failure_is_seen() {
        let mut series = series();
        series.failed = vec![0; 100];
        series.failed[50] = 1;
        assert!(Spark::new(&series, (-2.0).into(), 8.0.into(), 30, true).row.contains('.'));
        assert!(Spark::new(&series, (-2.0).into(), 8.0.into(), 30, false).row.contains('▂'));
    }

    #[test]
    fn nothing_asked_is_blank() {
        let spark = Spark::new(&Series::default(), 0.0.into(), 1.0.into(), 10, false);
        assert!(spark.row.trim().is_empty() && spark.row.chars().count() <= 10);
    }
}
