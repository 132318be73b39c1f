//! Quantiles of a few numbers.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Interval, Seconds, interval_of_quantile};

/// A quantile of sorted numbers, by linear interpolation between the two nearest: type 7 of Hyndman and Fan (1996), as R and NumPy
/// have it. `None` for none.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = p.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64))
}

/// A quantile of many measurements, by the nearest rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantile {
    P50,
    P90,
    P95,
    #[default]
    P99,
    #[serde(rename = "p99.9")]
    P999,
    Max,
}

impl Quantile {
    pub const ALL: [(&'static str, Self); 6] = [
        ("p50", Self::P50),
        ("p90", Self::P90),
        ("p95", Self::P95),
        ("p99", Self::P99),
        ("p99.9", Self::P999),
        ("max", Self::Max),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    fn per_mille(self) -> u64 {
        [500, 900, 950, 990, 999, 1000][self as usize]
    }

    /// The fewest measurements of which one is expected to lie beyond it: of fewer it would be
    /// their maximum by another name.
    pub fn fewest(self) -> u64 {
        1000u64.checked_div(1000 - self.per_mille()).unwrap_or(1)
    }

    /// Its place among so many sorted measurements, from 1; `None` of too few.
    pub fn rank(self, count: u64) -> Option<u64> {
        (count >= self.fewest()).then(|| (count * self.per_mille()).div_ceil(1000))
    }
}

/// The spread of a few measurements of one quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// The number of them.
    pub n: u32,
    /// The minimum.
    pub min: Seconds,
    /// The median (type 7 of Hyndman and Fan).
    pub median: Seconds,
    /// Its interval at 95 %, in seconds (percentile bootstrap); absent: there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The maximum.
    pub max: Seconds,
}

impl Spread {
    /// The spread of some measurements; `None` for none.
    pub fn of(values: impl IntoIterator<Item = Seconds>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().map(Seconds::as_f64).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |p| quantile(&sorted, p).map(Seconds::from_f64);
        let interval = interval_of_quantile(&sorted, 0.5).ok();
        let n = sorted.len() as u32;
        Some(Self { n, min: at(0.0)?, median: at(0.5)?, interval, max: at(1.0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&sorted, 0.5), Some(3.0));
        assert_eq!(quantile(&sorted, 1.0), Some(8.0));
        assert_eq!(quantile(&sorted, 0.25), Some(1.75));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_quantile_needs_one_measurement_beyond_it() {
        let fewest = Quantile::ALL.map(|(_, quantile)| quantile.fewest());
        assert_eq!(fewest, [2, 10, 20, 100, 1000, 1]);
        assert_eq!([99, 100, 101].map(|n| Quantile::P99.rank(n)), [None, Some(99), Some(100)]);
        assert_eq!([0, 1, 7].map(|n| Quantile::Max.rank(n)), [None, Some(1), Some(7)]);
        assert_eq!(Quantile::P50.rank(3), Some(2));
        for (name, quantile) in Quantile::ALL {
            assert_eq!((quantile.name(), serde_json::json!(quantile)), (name, name.into()));
        }
    }

    #[test]
    fn a_spread_needs_no_order() {
        let spread = Spread::of([3.0, 1.0, 2.0].map(Seconds::from_f64)).unwrap();
        assert_eq!(
            (spread.n, spread.min, spread.median, spread.max),
            (3, 1.0.into(), 2.0.into(), 3.0.into())
        );
        assert_eq!((spread.interval, Spread::of([])), (None, None));
        let six = Spread::of([3.0, 1.0, 2.0, 5.0, 4.0, 6.0].map(Seconds::from_f64)).unwrap();
        let Interval { low, high } = six.interval.unwrap();
        assert!(low < 3.5 && high > 3.5, "{low} {high}");
    }
}
