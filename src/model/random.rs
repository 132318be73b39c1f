//! Chance, from a seed alone.

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from 0 (inclusive) to 1 (exclusive).
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from `least` to `most`, both inclusive for all that matters.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + ((u128::from(self.next()) * u128::from(most.saturating_sub(least) + 1)) >> 64) as u64
    }

    /// Evenly below `length`.
    pub(super) fn below(&mut self, length: u64) -> u64 {
        if length == 0 { 0 } else { self.between(0, length - 1) }
    }
}
