//! What one rule finds of one expectation.

use super::Outcome;
use crate::stats::{Between, Seconds};

/// What a rule finds.
pub(super) struct Finding {
    pub outcome: Outcome,
    pub measured: Option<String>,
    pub why: Option<String>,
    /// The prediction that was the bound.
    pub predicted: Option<Seconds>,
}

impl Finding {
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Inconclusive, measured: None, why: Some(why.into()), predicted: None }
    }

    pub fn failed(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, measured: None, why: Some(why.into()), predicted: None }
    }

    /// A measured length against its bound.
    pub fn bounded(length: Between, bound: Seconds, measured: String) -> Self {
        let (outcome, why) = if length.most <= bound {
            (Outcome::Pass, None)
        } else if length.least > bound {
            (Outcome::Fail, Some("longer than expected".into()))
        } else {
            (Outcome::Inconclusive, Some(format!("the bound lies inside what was measured, {length:.3}")))
        };
        Self { outcome, measured: Some(measured), why, predicted: None }
    }

    /// The same, no longer decided.
    pub fn doubted(self, why: Option<String>) -> Self {
        match why {
            Some(why) => Self { outcome: Outcome::Inconclusive, why: Some(why), ..self },
            None => self,
        }
    }

    pub fn doubted_fail(self, why: Option<String>) -> Self {
        if self.outcome == Outcome::Fail { self.doubted(why) } else { self }
    }

    pub fn doubted_pass(self, why: Option<String>) -> Self {
        if self.outcome == Outcome::Pass { self.doubted(why) } else { self }
    }
}
