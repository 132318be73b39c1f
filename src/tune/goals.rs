//! What is asked of the settings.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::choice::Choice;
use crate::stats::Seconds;
use crate::timeline::format_duration;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    count: f64,
    period: Period,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Day,
    Week,
    Month,
    Year,
}

impl Period {
    const ALL: [(&'static str, Period); 4] = [
        ("day", Period::Day),
        ("week", Period::Week),
        ("month", Period::Month),
        ("year", Period::Year),
    ];

    /// Of 30 days.
    fn months(self) -> f64 {
        match self {
            Period::Day => 1.0 / 30.0,
            Period::Week => 7.0 / 30.0,
            Period::Month => 1.0,
            Period::Year => 12.0,
        }
    }
}

impl Rate {
    /// `1/month`, `0.5/week`. Errors say what is expected.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a rate such as 1/month (day, week, month or year)".to_owned();
        let (count, period) = text.split_once('/').ok_or_else(expected)?;
        let period = Period::ALL.into_iter().find(|(name, _)| *name == period.trim());
        let count =
            count.trim().parse().ok().filter(|count: &f64| count.is_finite() && *count > 0.0);
        match (count, period) {
            (Some(count), Some((_, period))) => Ok(Self { count, period }),
            _ => Err(expected()),
        }
    }

    pub(crate) fn a_month(self) -> f64 {
        self.count / self.period.months()
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = Period::ALL.iter().find(|(_, period)| *period == self.period);
        write!(f, "{}/{}", self.count, name.map_or("", |(name, _)| name))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the settings are to do. `None`: not asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Goals {
    /// Every failure is detected within this time.
    #[serde(serialize_with = "in_seconds")]
    pub detect_within: Duration,
    /// So many healthy nodes become NotReady by lost heartbeats, all nodes together.
    pub false_positives: Rate,
    /// The share of heartbeats that is lost, each for itself.
    pub loss: f64,
    /// A glitch of this length makes no healthy node NotReady.
    #[serde(serialize_with = "in_seconds_if")]
    pub ride_out: Option<Duration>,
    /// The pods of a lost node are created elsewhere within this time.
    #[serde(serialize_with = "in_seconds_if")]
    pub reschedule_within: Option<Duration>,
    pub nodes: u32,
}

fn in_seconds<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    Seconds::from(*length).serialize(serializer)
}

fn in_seconds_if<S: Serializer>(length: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
    length.map(Seconds::from).serialize(s)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Goal {
    Detection,
    FalsePositives,
    RideOut,
    Rescheduling,
}

impl Goal {
    pub(super) const ALL: [Goal; 4] =
        [Goal::Detection, Goal::FalsePositives, Goal::RideOut, Goal::Rescheduling];

    /// How well some settings do: the less the better.
    pub(super) fn measure(self, choice: &Choice) -> f64 {
        match self {
            Goal::Detection | Goal::Rescheduling => choice.detection.max.as_f64(),
            Goal::FalsePositives => choice.false_positives.by_loss_a_month,
            Goal::RideOut => -choice.false_positives.rides_out.as_f64(),
        }
    }

    /// The measure that is good enough.
    fn limit(self, goals: &Goals) -> f64 {
        let seconds = |length: Duration| length.as_secs_f64();
        match self {
            Goal::Detection => seconds(goals.detect_within),
            Goal::FalsePositives => goals.false_positives.a_month(),
            Goal::RideOut => goals.ride_out.map_or(0.0, |length| -seconds(length)),
            Goal::Rescheduling => goals
                .reschedule_within
                .map_or(f64::INFINITY, |length| seconds(length) - super::patch::PLACEMENT),
        }
    }

    pub(super) fn is_met(self, choice: &Choice, goals: &Goals) -> bool {
        self.measure(choice) <= self.limit(goals)
    }

    /// What is asked for.
    pub(crate) fn words(self, goals: &Goals) -> String {
        let length = |length: Option<Duration>| format_duration(length.unwrap_or_default());
        match self {
            Goal::Detection => format!("detection within {}", format_duration(goals.detect_within)),
            Goal::FalsePositives => format!(
                "at most {} false positives among {} nodes with {}% of heartbeats lost",
                goals.false_positives,
                goals.nodes,
                goals.loss * 100.0
            ),
            Goal::RideOut => format!("riding out a glitch of {}", length(goals.ride_out)),
            Goal::Rescheduling => {
                format!("pods elsewhere within {}", length(goals.reschedule_within))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_written() {
        for (text, a_month) in
            [("1/month", 1.0), ("2/day", 60.0), ("6/year", 0.5), ("0.7/week", 3.0)]
        {
            let rate = Rate::parse(text).unwrap();
            assert!((rate.a_month() - a_month).abs() < 1e-9, "{text}");
            assert_eq!(rate.to_string(), text);
        }
        for wrong in ["", "1", "1/fortnight", "-1/day", "0/day", "x/day", "inf/day"] {
            assert!(Rate::parse(wrong).unwrap_err().contains("1/month"), "{wrong}");
        }
    }
}
