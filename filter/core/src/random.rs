//! A small deterministic random number generator. The caller provides the seed.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
//! generators", OOPSLA 2014). It spreads probes and samples requests; nothing
//! secret depends on it.

/// A random sequence, determined by its seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// One hundred percent, in basis points. The policy has it too, but in a layer above.
const WHOLE_BP: u64 = 10_000;

impl Random {
    pub(crate) const fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns the next word, uniform over all 64-bit values.
    pub(crate) const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number in `low..=high`, or `low` if `high` is smaller. The bias of the
    /// multiply-and-shift is below 2^-32 for every range used here.
    pub(crate) const fn between(&mut self, low: u64, high: u64) -> u64 {
        let width = high.saturating_sub(low).saturating_add(1) as u128;
        let offset = (self.word() as u128).wrapping_mul(width) >> 64;
        low.saturating_add(offset as u64)
    }

    /// Returns true with a probability of `share_bp` basis points.
    pub(crate) const fn chance(&mut self, share_bp: u32) -> bool {
        self.between(0, WHOLE_BP.saturating_sub(1)) < share_bp as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_follows_its_share_and_is_certain_at_both_ends() {
        let mut random = Random::new(7);
        let hits = (0..100_000).filter(|_| random.chance(2_500)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| random.chance(10_000)));
        assert!((0..1_000).all(|_| !random.chance(0)));
    }

    #[test]
    fn a_range_includes_both_ends() {
        let mut random = Random::new(7);
        let seen: std::collections::BTreeSet<u64> =
            (0..1_000).map(|_| random.between(3, 6)).collect();
        assert_eq!(seen.into_iter().collect::<std::vec::Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(random.between(5, 4), 5);
    }
}
