//! Quantiles, intervals and chance: every statistic names its method and source.

mod binomial;
mod quantile;
mod random;
mod seconds;

pub use binomial::{LEVEL, draws_to_exclude, share_at_least};
pub use quantile::{Quantile, Spread, quantile};
pub use random::Random;
pub use seconds::{Between, Seconds};
