//! Seconds, as findings and reports carry them.

#[cfg(test)]
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

#[cfg(test)]
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A signed number of seconds: a moment after a run's +0, or a length of time. Nanoseconds inside; a number of seconds, with six
/// decimals at most, in JSON.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(from = "f64", into = "f64")]
pub struct Seconds(i64);

impl Seconds {
    pub const ZERO: Seconds = Seconds(0);

    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub fn from_f64(seconds: f64) -> Self {
        Self((seconds * 1e9).round() as i64)
    }

    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// As Kubernetes writes it: `500ms`, `41s`, `5m`, `1m30s`. For what is set, and for how long
    /// something takes in all; what is measured is shown in seconds.
    pub fn to_minutes(self) -> String {
        const MINUTE: i64 = 60_000_000_000;
        let (hours, minutes) = (self.0 / MINUTE / 60, self.0 / MINUTE % 60);
        let rest = Self(self.0 % MINUTE);
        let parts = [
            (hours > 0).then(|| format!("{hours}h")),
            (minutes > 0).then(|| format!("{minutes}m")),
            (rest.0 != 0 || self.0 < MINUTE).then(|| rest.to_string()),
        ];
        parts.into_iter().flatten().collect()
    }

    /// The last with so many decimals that is not later: how a lower bound is printed.
    pub fn floor(self, decimals: usize) -> Self {
        let unit = 10i64.pow(9u32.saturating_sub(decimals as u32));
        Self(self.0.div_euclid(unit).saturating_mul(unit))
    }

    /// The first with so many decimals that is not earlier: how an upper bound is printed.
    pub fn ceil(self, decimals: usize) -> Self {
        Self(-Self(-self.0).floor(decimals).0)
    }

    pub fn rounded(self) -> Self {
        Self::from_f64(self.as_f64().round())
    }

    /// Zero where it is negative.
    pub fn or_zero(self) -> Self {
        self.max(Self::ZERO)
    }
}

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Self {
        Self::from_f64(seconds)
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> f64 {
        (seconds.0 as f64 / 1e3).round() / 1e6
    }
}

impl From<Duration> for Seconds {
    fn from(length: Duration) -> Self {
        Self(i64::try_from(length.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl std::ops::Add for Seconds {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::ops::Sub for Seconds {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// For people: `7s`, `4.76s`, `20ms`, `0.3ms`. With a precision, always seconds with so many decimals.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(decimals) = f.precision() {
            let seconds = self.as_f64();
            return if f.sign_plus() {
                write!(f, "{seconds:+.decimals$}s")
            } else {
                write!(f, "{seconds:.decimals$}s")
            };
        }
        let (value, unit, decimals) = match self.as_f64().abs() {
            0.0 => return f.write_str("0s"),
            s if s < 0.000_95 => (self.as_f64() * 1e3, "ms", 2),
            s if s < 0.009_95 => (self.as_f64() * 1e3, "ms", 1),
            s if s < 0.999_5 => (self.as_f64() * 1e3, "ms", 0),
            s if s < 99.95 => (self.as_f64(), "s", 2),
            _ => (self.as_f64(), "s", 1),
        };
        let number = format!("{value:.decimals$}");
        let number = if number.contains('.') {
            number.trim_end_matches('0').trim_end_matches('.')
        } else {
            &number
        };
        write!(f, "{number}{unit}")
    }
}

#[cfg(test)]
impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "description": "Seconds: a moment after the run's +0, or a length of time." })
    }
}

/// A duration that is known to lie between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Between {
    /// The lower bound.
    pub least: Seconds,
    /// The upper bound.
    pub most: Seconds,
}

impl Between {
    /// A length between two, neither less than nothing.
    pub fn new(least: Seconds, most: Seconds) -> Self {
        let least = least.or_zero();
        Self { least, most: most.max(least) }
    }

    /// With so many decimals, outward: what it has been said to hold, it holds.
    fn outward(self, decimals: usize) -> Self {
        Self { least: self.least.floor(decimals), most: self.most.ceil(decimals) }
    }

    /// Whether a length can be both.
    pub fn overlaps(self, other: Between) -> bool {
        self.most >= other.least && self.least <= other.most
    }

    /// Whether a length can be both, as they are printed.
    pub fn overlaps_as_printed(self, other: Between) -> bool {
        self.outward(1).overlaps(other.outward(1))
    }
}

/// `4.76s to 4.8s`; one number where both read the same. In tenths, as predictions are printed, what
/// it holds is never outside what is read.
impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = match f.precision() {
            Some(p) => {
                let Self { least, most } = if p == 1 { self.outward(1) } else { *self };
                (format!("{least:.p$}"), format!("{most:.p$}"))
            }
            None => (self.least.to_string(), self.most.to_string()),
        };
        if least == most { f.write_str(&least) } else { write!(f, "{least} to {most}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_totals_are_in_minutes() {
        let shown = |s: f64| Seconds::from_f64(s).to_minutes();
        assert_eq!(
            [shown(0.0), shown(0.5), shown(2.5), shown(41.0)],
            ["0s", "500ms", "2.5s", "41s"]
        );
        assert_eq!([shown(300.0), shown(90.0), shown(3605.0)], ["5m", "1m30s", "1h5s"]);
    }

    #[test]
    fn people_read_them() {
        let shown = |s: f64| Seconds::from_f64(s).to_string();
        assert_eq!(
            [shown(7.0), shown(4.756), shown(0.02), shown(0.0004), shown(-1.5)],
            ["7s", "4.76s", "20ms", "0.4ms", "-1.5s"]
        );
        assert_eq!(
            [shown(0.0), shown(0.0015), shown(120.0), shown(40.0)],
            ["0s", "1.5ms", "120s", "40s"]
        );
        assert_eq!(format!("{:.3}", Seconds::from_f64(4.781)), "4.781s");
        assert_eq!(format!("{:+.3}", Seconds::from_f64(4.781)), "+4.781s");
    }

    #[test]
    fn json_has_microseconds() {
        assert_eq!(serde_json::to_string(&Seconds::from_nanos(1_234_567_891)).unwrap(), "1.234568");
        assert_eq!(
            serde_json::from_str::<Seconds>("1.5").unwrap(),
            Seconds::from_nanos(1_500_000_000)
        );
    }

    #[test]
    fn bounds_are_rounded_outward() {
        let shown =
            |least: f64, most: f64| format!("{:.1}", Between::new(least.into(), most.into()));
        assert_eq!(shown(2.96, 6.006_6), "2.9s to 6.1s");
        assert_eq!(shown(0.1 + 0.2, 40.0), "0.3s to 40.0s");
        let measured = Between::new(4.931_923.into(), 4.931_933.into());
        assert_eq!(format!("{measured:.3}"), "4.932s");
        let between = |least: f64, most: f64| Between::new(least.into(), most.into());
        assert!(between(2.96, 6.006_6).overlaps_as_printed(between(6.09, 6.1)));
        assert!(!between(2.96, 6.0).overlaps_as_printed(between(6.11, 6.2)));
    }

    #[test]
    fn one_number_is_reported_once() {
        assert_eq!(Between::new(4.76.into(), 4.8.into()).to_string(), "4.76s to 4.8s");
        assert_eq!(Between::new(1.0.into(), 1.0.into()).to_string(), "1s");
        assert_eq!(
            Between::new((-1.0).into(), (-2.0).into()),
            Between { least: Seconds::ZERO, most: Seconds::ZERO }
        );
    }
}
