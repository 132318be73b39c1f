//! Where a run's seed comes from, when nobody gives one.

use std::hash::{BuildHasher, Hasher};

pub(crate) use crate::stats::Random as Seed;

/// A seed that differs from run to run.
pub(crate) fn fresh() -> u64 {
    // The standard library's hasher is keyed by the system's randomness.
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
