//! How long detection takes, as a distribution in closed form.
//!
//! The same facts as in `risk.rs`: the pass that finds a node dead comes `T = n p + u + e` after its
//! last heartbeat arrived. A node that fails at a random moment was heard up to one interval h
//! before, evenly, so that detection takes `T - a` with a between 0 and h. Its distribution is the
//! mean of T's over an interval: `P(T - a <= t) = (G(t + h) - G(t)) / h`, with G the integral of
//! `P(T <= x)`. `tests/closed_form.rs` holds it against the machines.

use super::detection::{PASS_MOST, Unpredictable};
use super::risk::Risk;
use crate::stats::Seconds;
use crate::timeline::Tuning;

/// Steps in which the integral is kept, for each monitor period.
const STEPS: usize = 128;
/// Halvings of the interval in which a quantile is looked for: far below a millisecond.
const HALVINGS: u32 = 32;

/// How long detection takes where the failure comes at a random moment and stops the heartbeats
/// immediately.
#[derive(Clone, Debug)]
pub(crate) struct DetectionTimes {
    beat: f64,
    step: f64,
    /// n p, and what n passes take on top.
    from: f64,
    /// G at `from`, and at each step after it.
    integral: Vec<f64>,
}

impl DetectionTimes {
    pub(crate) fn of(tuning: &Tuning, kubernetes: &str) -> Result<Self, Unpredictable> {
        let risk = Risk::of(tuning, kubernetes)?;
        let step = risk.period / STEPS as f64;
        let stamped = |gap: f64| {
            let (once, twice) = (risk.found_dead(gap), risk.found_dead(gap - risk.period));
            (1.0 - risk.late) * once + risk.late * twice
        };
        let mut integral = vec![0.0];
        let (mut sum, mut before) = (0.0, 0.0);
        for index in 1..=2 * STEPS {
            let found = stamped(risk.patience + index as f64 * step);
            sum += (before + found) / 2.0 * step;
            before = found;
            integral.push(sum);
        }
        let own_time = risk.patience / risk.period * PASS_MOST;
        Ok(Self { beat: risk.beat, step, from: risk.patience + own_time, integral })
    }

    /// Within this time the share `p` (0 to 1) of failures is detected.
    pub(crate) fn quantile(&self, p: f64) -> Seconds {
        let (mut low, mut high) = (self.from - self.beat, self.from + self.span());
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            match self.share_within(middle) < p {
                true => low = middle,
                false => high = middle,
            }
        }
        Seconds::from_f64(high).or_zero()
    }

    fn span(&self) -> f64 {
        (self.integral.len() - 1) as f64 * self.step
    }

    fn share_within(&self, time: f64) -> f64 {
        (self.integral_to(time + self.beat) - self.integral_to(time)) / self.beat
    }

    fn integral_to(&self, time: f64) -> f64 {
        let over = (time - self.from).max(0.0);
        let last = self.integral[self.integral.len() - 1];
        let place = over / self.step;
        match self.integral.get(place as usize + 1) {
            Some(next) => {
                let here = self.integral[place as usize];
                here + (next - here) * place.fract()
            }
            None => last + (over - self.span()),
        }
    }
}
