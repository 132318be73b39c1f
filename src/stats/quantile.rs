//! Quantiles of a few numbers.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Seconds;

/// A quantile of sorted numbers, by linear interpolation between the two nearest: type 7 of Hyndman and Fan (1996), as R and NumPy
/// have it. `None` for none.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = p.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[low] + (sorted[high] - sorted[low]) * (place - low as f64))
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
    /// The maximum.
    pub max: Seconds,
}

impl Spread {
    /// The spread of some measurements; `None` for none.
    pub fn of(values: impl IntoIterator<Item = Seconds>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().map(Seconds::as_f64).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |p| quantile(&sorted, p).map(Seconds::from_f64);
        Some(Self { n: sorted.len() as u32, min: at(0.0)?, median: at(0.5)?, max: at(1.0)? })
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
    fn a_spread_needs_no_order() {
        let spread = Spread::of([3.0, 1.0, 2.0].map(Seconds::from_f64)).unwrap();
        assert_eq!(
            (spread.n, spread.min, spread.median, spread.max),
            (3, 1.0.into(), 2.0.into(), 3.0.into())
        );
        assert_eq!(Spread::of([]), None);
    }
}
