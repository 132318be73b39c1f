//! How a quantity is spread over many trials.

use hdrhistogram::Histogram;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stats::Share;

/// Values are kept in millionths: microseconds of a time.
const SCALE: f64 = 1e6;
/// Values are kept up to a bit more than a day.
const LARGEST: u64 = 100_000_000_000;
/// To three significant digits: 4 ms of 4 s. The least and the largest are exact.
const DIGITS: u8 = 3;
/// Nobody asks for more columns; a width that came of nearly equal values would fill the memory.
const MOST_BINS: f64 = 10_000.0;

/// A distribution: its size does not grow with the number of trials.
#[derive(Clone, Debug)]
pub struct Distribution {
    values: Histogram<u32>,
    never: u32,
    min: f64,
    max: f64,
}

impl Default for Distribution {
    fn default() -> Self {
        let values = Histogram::new_with_max(LARGEST, DIGITS)
            .unwrap_or_else(|_| unreachable!("these bounds are allowed"));
        Self { values, never: 0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

/// A distribution in a few numbers. Quantiles are of the trials that had a value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// In how many trials it came about.
    pub n: u32,
    /// In how many it did not.
    pub never: u32,
    /// The least; absent where there is none.
    pub min: Option<f64>,
    /// The 5 % quantile.
    pub p05: Option<f64>,
    /// The median.
    pub median: Option<f64>,
    /// The 95 % quantile.
    pub p95: Option<f64>,
    /// The maximum.
    pub max: Option<f64>,
}

impl Summary {
    /// In which share of the trials it came about; `None`: there were none.
    pub fn chance(&self) -> Option<f64> {
        let all = self.n + self.never;
        (all > 0).then(|| f64::from(self.n) / f64::from(all))
    }
}

/// A column of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Bin {
    /// From this on.
    pub from: f64,
    /// To below this.
    pub to: f64,
    /// How many trials.
    pub n: u32,
}

impl Distribution {
    /// Adds a trial's value: not negative; `None` where it did not come about.
    pub fn add(&mut self, value: Option<f64>) {
        let Some(value) = value else {
            self.never += 1;
            return;
        };
        self.values.saturating_record((value.max(0.0) * SCALE).round() as u64);
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
    }

    /// Adds another's trials.
    pub fn merge(&mut self, other: &Distribution) {
        self.values += &other.values;
        self.never += other.never;
        (self.min, self.max) = (self.min.min(other.min), self.max.max(other.max));
    }

    /// In how many trials it came about.
    pub fn n(&self) -> u32 {
        self.values.len() as u32
    }

    /// In how many it did not.
    pub fn never(&self) -> u32 {
        self.never
    }

    /// The value below which this share of the trials lies, to three digits; `None` for no trials.
    pub fn quantile(&self, p: f64) -> Option<f64> {
        let value = || self.values.value_at_quantile(p.clamp(0.0, 1.0)) as f64 / SCALE;
        (!self.values.is_empty()).then(|| value().clamp(self.min, self.max))
    }

    /// The shares of its trials below a value and up to it, of those that had a value; to three digits.
    pub fn share(&self, value: f64) -> Share {
        let value = (value.max(0.0) * SCALE).round() as u64;
        let least = self.values.lowest_equivalent(value);
        let of_all = |count: u64| count as f64 / self.values.len().max(1) as f64;
        let below = least.checked_sub(1).map_or(0, |most| self.values.count_between(0, most));
        Share { below: of_all(below), up_to: of_all(self.values.count_between(0, value)) }
    }

    /// It in a few numbers.
    pub fn summary(&self) -> Summary {
        let exact = |value: f64| value.is_finite().then_some(value);
        Summary {
            n: self.n(),
            never: self.never,
            min: exact(self.min),
            p05: self.quantile(0.05),
            median: self.quantile(0.5),
            p95: self.quantile(0.95),
            max: exact(self.max),
        }
    }

    /// It in columns of this width (in the values' own unit), from the first that has any trial to
    /// the last. They are wider where this would be too many, or finer than values are kept.
    pub fn bins(&self, width: f64) -> Vec<Bin> {
        let width = width.max((self.max - self.min) / MOST_BINS).max(1.0 / SCALE);
        let mut bins: Vec<Bin> = Vec::new();
        for value in self.values.iter_recorded() {
            let most = value.value_iterated_to() as f64 / SCALE;
            let at = (most.clamp(self.min, self.max) / width).floor();
            let mut next = bins.last().map_or(at, |bin| (bin.from / width).round() + 1.0);
            while next <= at {
                bins.push(Bin { from: next * width, to: (next + 1.0) * width, n: 0 });
                next += 1.0;
            }
            if let Some(bin) = bins.last_mut() {
                bin.n += value.count_since_last_iteration() as u32;
            }
        }
        bins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Distribution {
        let mut distribution = Distribution::default();
        values.iter().for_each(|value| distribution.add(Some(*value)));
        distribution
    }

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let values: Vec<f64> = (0..=1000).map(|i| 3.0 + f64::from(i) / 500.0).collect();
        let summary = of(&values).summary();
        assert_eq!(
            (summary.n, summary.never, summary.min, summary.max),
            (1001, 0, Some(3.0), Some(5.0))
        );
        assert!(
            (summary.median.unwrap() - 4.0).abs() < 0.005
                && (summary.p95.unwrap() - 4.9).abs() < 0.005
        );
    }

    #[test]
    fn shares_are_below_and_up_to() {
        let half = of(&[1.0, 2.0, 2.0, 4.0]);
        assert_eq!(half.share(2.0), Share { below: 0.25, up_to: 0.75 });
        assert_eq!(half.share(3.0), Share { below: 0.75, up_to: 0.75 });
        assert_eq!(half.share(0.0), Share { below: 0.0, up_to: 0.0 });
        assert_eq!(half.share(9.0), Share { below: 1.0, up_to: 1.0 });
    }

    #[test]
    fn nothing_has_no_quantiles() {
        let mut none = Distribution::default();
        none.add(None);
        let summary = none.summary();
        assert_eq!((summary.n, summary.never, summary.median, summary.max), (0, 1, None, None));
        assert!(none.bins(1.0).is_empty());
        assert_eq!(
            (summary.chance(), Distribution::default().summary().chance()),
            (Some(0.0), None)
        );
    }

    #[test]
    fn two_together_are_as_one() {
        let mut both = of(&[1.0, 2.0]);
        both.merge(&of(&[0.5, 9.0]));
        assert_eq!(both.summary(), of(&[1.0, 2.0, 0.5, 9.0]).summary());
    }

    #[test]
    fn bins_have_no_holes() {
        let bins = of(&[0.5, 0.6, 3.2]).bins(1.0);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [2, 0, 0, 1]);
        assert_eq!((bins[0].from, bins[3].to), (0.0, 4.0));
    }

    #[test]
    fn nearly_constant_values_have_few_bins() {
        for width in [0.0, 1e-17] {
            let constant = of(&[4.0; 100]).bins(width);
            assert_eq!(constant.len(), 1, "{constant:?}");
            assert!(constant[0].n == 100 && (constant[0].from - 4.0).abs() < 1e-5);
            let nearly = of(&[40.0, 40.0 + 1e-14, 40.0001]).bins(width);
            assert!(nearly.len() <= 102 && nearly.iter().map(|bin| bin.n).sum::<u32>() == 3);
        }
        let far = of(&[0.001, 80_000.0]).bins(1e-9);
        assert!((9_999..=10_002).contains(&far.len()), "{}", far.len());
    }
}
