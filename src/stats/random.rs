//! Chance, from a seed alone: the same draws on every machine and in every version. Not for
//! secrets.

/// SplitMix64 (Steele, Lea and Flood, 2014): small, fast, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from 0 (inclusive) to 1 (exclusive).
    pub fn share(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from `least` to `most`, both inclusive for all that matters.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least
            + ((u128::from(self.draw()) * u128::from(most.saturating_sub(least) + 1)) >> 64) as u64
    }

    /// Evenly below `length`.
    pub fn below(&mut self, length: u64) -> u64 {
        if length == 0 { 0 } else { self.between(0, length - 1) }
    }

    /// One of `items`; `None` of none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.draw() % (items.len().max(1) as u64);
        items.get(index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first draws of the seed 1234567 are the published ones; what was recorded with a seed
    /// rests on them.
    #[test]
    fn the_draws_of_a_seed_stay() {
        let mut random = Random::new(1_234_567);
        let draws: Vec<u64> = (0..3).map(|_| random.draw()).collect();
        assert_eq!(
            draws,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn the_same_seed_chooses_the_same() {
        let choose = |seed| {
            (0..20)
                .map(|_| 0)
                .scan(Random::new(seed), |s, _| s.choose(&[1, 2, 3]).copied())
                .collect::<Vec<_>>()
        };
        assert_eq!(choose(7), choose(7));
        assert_ne!(choose(7), choose(8));
        assert_eq!(Random::new(1).choose::<u8>(&[]), None);
    }

    #[test]
    fn shares_are_spread_over_the_unit() {
        let mut random = Random::new(1);
        let mean = (0..1000).map(|_| random.share()).sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }

    #[test]
    fn bounds_are_kept() {
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| (3..=5).contains(&random.between(3, 5)) && random.below(2) < 2));
        assert_eq!((random.below(0), random.between(4, 4)), (0, 4));
    }
}
