//! The same draws for the same seed, whichever of them are made, and in whatever order.

use std::time::Duration;

/// xorshift64*, begun from a hash of what it is for.
pub(crate) struct Random(u64);

impl Random {
    /// Of one draw of a scenario.
    pub(crate) fn new(seed: u64, scenario: &str, draw: usize) -> Self {
        // FNV-1a.
        let bytes = seed.to_le_bytes().into_iter().chain(scenario.bytes());
        let bytes = bytes.chain((draw as u64).to_le_bytes());
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325, mix);
        Self(hash.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let span = longest.saturating_sub(shortest).as_millis() as u64;
        shortest + Duration::from_millis(self.next() % (span + 1))
    }

    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        self.between(Duration::ZERO, longest)
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.next() % all.len() as u64) as usize]
    }
}
