//! One quantity on both sides: by how much it differs, and what that shows.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::floor::Floor;
use super::quantities::Unit;
use super::sample::Values;
use crate::stats::{Interval, Shift, quantile, runs_needed_against, shift};

/// What a comparison shows of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It is less: the interval of the difference is below zero, and the difference is at least the floor.
    Better,
    /// It is not shown to differ by the floor or more.
    NoDifferenceShown,
    /// No interval can be given for so few runs.
    TooFewRuns,
    /// It was measured on one side alone, or too often not to its end, or most runs of a side count for nothing.
    NotJudged,
    /// It is more: the interval of the difference is above zero, and the difference is at least the floor.
    Worse,
}

impl Verdict {
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::NoDifferenceShown => "no difference shown",
            Self::TooFewRuns => "too few runs",
            Self::NotJudged => "not judged",
            Self::Worse => "worse",
        }
    }

    /// Whether it decides anything.
    pub fn is_decided(self) -> bool {
        matches!(self, Self::Better | Self::NoDifferenceShown | Self::Worse)
    }
}

/// What one side measured of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// The number of runs that measured it.
    pub n: u32,
    /// In how many of them it had not ended, or not come about: these count with the time for which it was looked at.
    pub unended: u32,
    /// The minimum.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The maximum.
    pub max: f64,
}

/// One quantity on both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The quantity. Of each, less is better.
    pub quantity: String,
    /// Its unit.
    pub unit: Unit,
    /// The side before, or the baseline; absent: it did not measure it.
    pub before: Option<Spread>,
    /// The side after.
    pub after: Option<Spread>,
    /// The Hodges-Lehmann estimate of the difference, after less before.
    pub estimate: Option<f64>,
    /// Its distribution-free interval at 95 %.
    pub interval: Option<Interval>,
    /// The least difference that counts.
    pub floor: Option<f64>,
    /// What that shows.
    pub verdict: Verdict,
    /// Why it is not judged, or how many runs it would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The values of a side, those that had not ended with their least.
struct Known {
    values: Vec<f64>,
    unended: usize,
}

impl Known {
    fn of(values: Option<&Values>) -> Self {
        let lists = values.map(|v| [&v.values, &v.at_least, &v.never]);
        let mut all: Vec<f64> =
            lists.iter().flatten().flat_map(|list| list.iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        Self { unended: values.map_or(0, |v| v.at_least.len() + v.never.len()), values: all }
    }

    fn spread(&self) -> Option<Spread> {
        let at = |p| quantile(&self.values, p);
        let (n, unended) = (self.values.len() as u32, self.unended as u32);
        Some(Spread { n, unended, min: at(0.0)?, median: at(0.5)?, max: at(1.0)? })
    }
}

impl Difference {
    /// `None` where it came about on neither side.
    pub(super) fn new(
        quantity: &str,
        before: Option<&Values>,
        after: Option<&Values>,
        floor: Floor,
    ) -> Option<Self> {
        let sides = || before.into_iter().chain(after);
        sides().find(|values| !values.values.is_empty() || !values.at_least.is_empty())?;
        let unit = sides().next()?.unit;
        let (from, to) = (Known::of(before), Known::of(after));
        let (spread, shift) = (from.spread(), shift(&from.values, &to.values));
        let least = spread.map(|spread| floor.at(spread.median, unit));
        let (verdict, why) = judge(&from, &to, shift, least.unwrap_or_default());
        Some(Self {
            quantity: quantity.to_owned(),
            unit,
            before: spread,
            after: to.spread(),
            estimate: shift.map(|shift| shift.estimate),
            interval: shift.and_then(|shift| shift.interval),
            floor: least,
            verdict,
            why,
        })
    }
}

impl Difference {
    /// The same where `why` forbids a verdict.
    pub(super) fn undecided(self, why: Option<&String>) -> Self {
        match why.filter(|_| self.verdict.is_decided()) {
            Some(why) => Self { verdict: Verdict::NotJudged, why: Some(why.clone()), ..self },
            None => self,
        }
    }
}

/// What had not ended took longer than is known. Where that is so after, `worse` is so all the more, and nothing else can be said;
/// where it is so before, `better`.
fn judge(from: &Known, to: &Known, shift: Option<Shift>, floor: f64) -> (Verdict, Option<String>) {
    let Some(Shift { estimate, interval }) = shift else {
        let side = if from.values.is_empty() { "before" } else { "after" };
        return (Verdict::NotJudged, Some(format!("not measured {side}")));
    };
    let Some(interval) = interval else {
        let needed = runs_needed_against(from.values.len());
        let why = needed
            .filter(|needed| *needed > to.values.len())
            .map(|needed| format!("{needed} after are needed with {} before", from.values.len()));
        return (Verdict::TooFewRuns, why);
    };
    let verdict = match estimate {
        _ if interval.low > 0.0 && estimate >= floor => Verdict::Worse,
        _ if interval.high < 0.0 && -estimate >= floor => Verdict::Better,
        _ => Verdict::NoDifferenceShown,
    };
    let unended = |known: &Known, side: &str| {
        format!("not ended in {} of {} runs {side}", known.unended, known.values.len())
    };
    match (from.unended, to.unended) {
        (0, 0) => (verdict, None),
        (0, _) if verdict == Verdict::Worse => (verdict, Some(unended(to, "after"))),
        (_, 0) if verdict == Verdict::Better => (verdict, Some(unended(from, "before"))),
        (0, _) => (Verdict::NotJudged, Some(unended(to, "after"))),
        _ => (Verdict::NotJudged, Some(unended(from, "before"))),
    }
}
