//! What a rule finds, and a length against its bounds.

use std::time::Duration;

use super::Outcome;
use crate::stats::{Between, Seconds};

pub(super) struct Finding {
    pub(super) outcome: Outcome,
    pub(super) measured: Option<String>,
    pub(super) why: Option<String>,
    /// The prediction that was the bound.
    pub(super) predicted: Option<Seconds>,
    /// What the measurement can't show.
    pub(super) note: Option<String>,
}

impl Finding {
    fn new(outcome: Outcome, why: Option<String>) -> Self {
        Self { outcome, measured: None, why, predicted: None, note: None }
    }

    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self::new(Outcome::Inconclusive, Some(why.into()))
    }

    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::new(Outcome::Fail, Some(why.into()))
    }

    pub(super) fn passed(measured: impl Into<String>) -> Self {
        Self::new(Outcome::Pass, None).measured(measured)
    }

    pub(super) fn measured(self, measured: impl Into<String>) -> Self {
        Self { measured: Some(measured.into()), ..self }
    }

    /// The worst of several; `otherwise` says why there is none. The last among equals.
    pub(super) fn worst(all: impl Iterator<Item = Self>, otherwise: impl Into<String>) -> Self {
        all.max_by_key(|finding| finding.outcome).unwrap_or_else(|| Self::unknown(otherwise))
    }

    pub(super) fn bounded(length: Between, limits: impl Into<Limits>, measured: String) -> Self {
        let limits = limits.into();
        let (outcome, why) = if limits.least <= length.least && length.most <= limits.most {
            (Outcome::Pass, None)
        } else if length.least > limits.most {
            (Outcome::Fail, Some("longer than expected".into()))
        } else if length.most < limits.least {
            (Outcome::Fail, Some("shorter than expected".into()))
        } else {
            (
                Outcome::Inconclusive,
                Some(format!("the bound lies within the measured range, {length:.3}")),
            )
        };
        Self::new(outcome, why).measured(measured)
    }

    /// The same, no longer decided.
    pub(super) fn inconclusive_if(self, why: Option<String>) -> Self {
        match why {
            Some(why) => Self { outcome: Outcome::Inconclusive, why: Some(why), ..self },
            None => self,
        }
    }

    pub(super) fn fail_inconclusive_if(self, why: Option<String>) -> Self {
        if self.outcome == Outcome::Fail { self.inconclusive_if(why) } else { self }
    }

    pub(super) fn pass_inconclusive_if(self, why: Option<String>) -> Self {
        if self.outcome == Outcome::Pass { self.inconclusive_if(why) } else { self }
    }
}

/// How long something may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) least: Seconds,
    pub(super) most: Seconds,
}

impl Limits {
    pub(super) fn new(least: Option<Duration>, most: Seconds) -> Self {
        Self { least: least.map_or(Seconds::ZERO, Seconds::from), most }
    }
}

impl From<Seconds> for Limits {
    fn from(most: Seconds) -> Self {
        Self::new(None, most)
    }
}
