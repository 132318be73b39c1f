//! How large a difference must be to count, however certain it is.

use std::str::FromStr;
use std::time::Duration;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantities::Unit;
use crate::stats::Seconds;
use crate::timeline::{format_duration, parse_duration};

/// The least difference that counts: a share of what it is compared with, and not less than a fixed one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// The share of the median before, from 0 to 1.
    pub relative: f64,
    /// Of times: not less than this.
    pub time: Seconds,
    /// Of shares: not less than this.
    pub share: f64,
}

impl Default for Floor {
    /// 10 %, and not less than 10 ms or one percentage point: less than that is what a busy machine does.
    fn default() -> Self {
        Self { relative: 0.1, time: Seconds::from_nanos(10_000_000), share: 0.01 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FloorPart {
    Relative(f64),
    Time(Duration),
}

impl FromStr for FloorPart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.strip_suffix('%').map(|number| number.parse::<f64>().ok());
        match (percent, parse_duration(text)) {
            (Some(Some(percent)), _) if (0.0..=1000.0).contains(&percent) => {
                Ok(Self::Relative(percent / 100.0))
            }
            (None, Some(time)) => Ok(Self::Time(time)),
            _ => Err("expected a share such as 10%, or a duration such as 500ms".into()),
        }
    }
}

impl Floor {
    /// The default where nothing is asked for; else what is. Of shares it is never less than by default.
    pub fn of(parts: &[FloorPart]) -> Self {
        if parts.is_empty() {
            return Self::default();
        }
        let none = Self { relative: 0.0, time: Seconds::ZERO, ..Self::default() };
        parts.iter().fold(none, |floor, part| match *part {
            FloorPart::Relative(relative) => Self { relative, ..floor },
            FloorPart::Time(time) => Self { time: time.into(), ..floor },
        })
    }

    /// It for a quantity that had this median.
    pub fn at(self, median: f64, unit: Unit) -> f64 {
        let least = match unit {
            Unit::Seconds => self.time.as_f64(),
            Unit::Share => self.share,
        };
        (self.relative * median.abs()).max(least)
    }

    /// `10% of the median before, but at least 10ms (of shares: at least 1 percentage point)`.
    pub fn words(self) -> String {
        let percent = |share: f64| (share * 1e5).round() / 1e3;
        let time = Duration::from_nanos(self.time.as_nanos().unsigned_abs());
        let parts = match (self.relative > 0.0, !time.is_zero()) {
            (true, true) => format!(
                "{}% of the median before, but at least {}",
                percent(self.relative),
                format_duration(time)
            ),
            (true, false) => format!("{}% of the median before", percent(self.relative)),
            (false, _) => format_duration(time),
        };
        format!("{parts} (of shares: at least {} percentage point)", percent(self.share))
    }
}
