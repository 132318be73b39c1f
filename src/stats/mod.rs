//! Quantiles, intervals and chance: every statistic names its method and source.

mod binomial;
mod bootstrap;
mod interval;
mod kolmogorov;
mod poisson;
mod quantile;
mod random;
mod seconds;
mod shift;

pub use binomial::{LEVEL, draws_to_exclude, interval_of_share, share_at_least};
pub use bootstrap::{NoInterval, interval_of_quantile};
pub use interval::Interval;
pub use kolmogorov::{KolmogorovSmirnov, KsMethod, Share, one_sample, two_samples};
pub use poisson::interval_of_count;
pub use quantile::{Quantile, Spread, quantile};
pub use random::Random;
pub use seconds::{Between, Seconds};
pub use shift::{Shift, runs_needed_against, shift};
