//! Quantiles and intervals: every statistic names its method and source.
