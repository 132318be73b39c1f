//! Random choices of a run, all from one recorded seed.

/// A small generator: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Not for secrets.
#[derive(Clone, Debug)]
pub struct Seed(u64);

impl Seed {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A seed that differs from run to run.
    pub fn fresh() -> u64 {
        use std::hash::{BuildHasher, Hasher};
        // The standard library's hasher is keyed by the system's randomness.
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    }

    /// The next number of 64 random bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `items`; `None` of none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.draw() % (items.len().max(1) as u64);
        items.get(index as usize)
    }

    /// A share from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_chooses_the_same() {
        let choose = |seed| (0..20).map(|_| 0).scan(Seed::new(seed), |s, _| s.choose(&[1, 2, 3]).copied()).collect::<Vec<_>>();
        assert_eq!(choose(7), choose(7));
        assert_ne!(choose(7), choose(8));
        assert_eq!(Seed::new(1).choose::<u8>(&[]), None);
    }

    #[test]
    fn shares_are_spread_over_the_unit() {
        let mut seed = Seed::new(1);
        let mean = (0..1000).map(|_| seed.share()).sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
