//! An interval of any quantity.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A confidence interval at 95 %, two-sided: each bound is exceeded with a chance of at most 2.5 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound.
    pub high: f64,
}

impl Interval {
    pub fn contains(self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The chance beyond each bound of an interval at 95 %.
const BEYOND: f64 = 0.025;
/// Halvings, until a double has no more digits.
const HALVINGS: u32 = 100;

/// Where a chance that rises between these values reaches 2.5 %.
pub(super) fn where_rises(low: f64, high: f64, chance: impl Fn(f64) -> f64) -> f64 {
    halved(low, high, |value| chance(value) < BEYOND)
}

/// Where a chance that falls between these values reaches 2.5 %.
pub(super) fn where_falls(low: f64, high: f64, chance: impl Fn(f64) -> f64) -> f64 {
    halved(low, high, |value| chance(value) > BEYOND)
}

fn halved(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}
