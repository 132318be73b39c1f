//! Attempts over time, in a bounded number of columns.

use super::findings::Series;
use crate::stats::Seconds;

const MOST_COLUMNS: usize = 600;

/// Counts attempts by the time of sending, which must not go back by more than a column.
#[derive(Debug)]
pub(super) struct SeriesBuilder {
    start: i64,
    step: i64,
    column: usize,
    column_end: i64,
    failed: Vec<u32>,
    judged: Vec<u32>,
}

impl SeriesBuilder {
    /// Columns from `from` on, of a round width, such that the data (which is expected to end at
    /// `to`) has about 600 of them. A column begins at 0.
    pub(super) fn new(from: Seconds, to: Seconds) -> Self {
        let step = round_step((to - from).or_zero().as_nanos() / MOST_COLUMNS as i64);
        let start = from.as_nanos().div_euclid(step).saturating_mul(step);
        Self {
            start,
            step,
            column: 0,
            column_end: start.saturating_add(step),
            failed: vec![0],
            judged: vec![0],
        }
    }

    #[inline]
    pub(super) fn count(&mut self, sent: Seconds, failed: bool) {
        if sent.as_nanos() >= self.column_end {
            self.move_to(sent.as_nanos());
        }
        self.judged[self.column] = self.judged[self.column].saturating_add(1);
        self.failed[self.column] = self.failed[self.column].saturating_add(u32::from(failed));
    }

    fn move_to(&mut self, sent: i64) {
        let mut column = (sent.saturating_sub(self.start) / self.step) as usize;
        while column >= 2 * MOST_COLUMNS {
            self.halve();
            column /= 2;
        }
        if column >= self.judged.len() {
            self.judged.resize(column + 1, 0);
            self.failed.resize(column + 1, 0);
        }
        self.column = column;
        self.column_end = self.start.saturating_add(self.step.saturating_mul(column as i64 + 1));
    }

    /// The data is longer than was expected: two columns become one.
    fn halve(&mut self) {
        let merge = |columns: &[u32]| {
            columns.chunks(2).map(|c| c.iter().fold(0, |a: u32, b| a.saturating_add(*b))).collect()
        };
        (self.judged, self.failed, self.step) =
            (merge(&self.judged), merge(&self.failed), self.step.saturating_mul(2));
    }

    pub(super) fn finish(self) -> Series {
        Series {
            start: Seconds::from_nanos(self.start),
            step: Seconds::from_nanos(self.step),
            failed: self.failed,
            judged: self.judged,
        }
    }
}

/// The least of 1, 2, 5 times a power of ten that is no less; 10 ms at least.
fn round_step(nanos: i64) -> i64 {
    let mut decade = 10_000_000;
    loop {
        for step in [decade, 2 * decade, 5 * decade] {
            if step >= nanos {
                return step;
            }
        }
        match 10i64.checked_mul(decade) {
            Some(next) if next < i64::MAX / 10 => decade = next,
            _ => return nanos,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: f64) -> Seconds {
        Seconds::from_f64(seconds)
    }

    #[test]
    fn columns_are_round_and_begin_at_zero() {
        let mut builder = SeriesBuilder::new(s(-5.03), s(55.0));
        builder.count(s(-5.03), false);
        builder.count(s(0.0), true);
        let series = builder.finish();
        assert_eq!((series.start, series.step), (s(-5.2), s(0.2)));
        assert_eq!((series.judged[0], series.judged[26], series.failed[26]), (1, 1, 1));
    }

    #[test]
    fn data_that_goes_on_is_merged_and_none_is_lost() {
        let mut builder = SeriesBuilder::new(s(0.0), s(1.0));
        for i in 0..100_000 {
            builder.count(s(f64::from(i) * 0.01), i % 2 == 0);
        }
        let series = builder.finish();
        assert!(series.judged.len() <= 2 * MOST_COLUMNS, "{}", series.judged.len());
        assert_eq!(
            (series.judged.iter().sum::<u32>(), series.failed.iter().sum::<u32>()),
            (100_000, 50_000)
        );
    }

    #[test]
    fn a_far_future_takes_no_memory() {
        let mut builder = SeriesBuilder::new(s(0.0), s(1.0));
        builder.count(Seconds::from_nanos(i64::MAX), true);
        assert!(builder.finish().judged.len() <= 2 * MOST_COLUMNS);
    }
}
