//! Quantiles and intervals: every statistic names its method and source.

mod binomial;
mod quantile;
mod seconds;

pub use binomial::{LEVEL, draws_to_exclude, share_at_least};
pub use quantile::{Spread, quantile};
pub use seconds::{Between, Seconds};
