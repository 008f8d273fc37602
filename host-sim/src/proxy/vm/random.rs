//! Random numbers for guests and for waiting times, derived from the run's seed.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014) is
//! small, and good enough for jitter and for seeding a guest's hash maps.

/// A generator of random numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Random {
    state: u64,
}

/// 2^64 divided by the golden ratio: the algorithm's increment.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    /// Creates a generator. Each combination of a seed and two numbers has a sequence of its
    /// own.
    pub(crate) fn new(seed: u64, stream: u64, part: u64) -> Random {
        let mut random = Random { state: seed };
        for number in [stream, part] {
            random.state = random.next() ^ number;
        }
        random
    }

    /// Returns the next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Fills `out` with random bytes.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk
                .iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_differ_and_are_reproducible() {
        let first = |seed, stream, part| Random::new(seed, stream, part).next();
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        assert_ne!(first(1, 2, 3), first(1, 2, 4));
        assert_ne!(first(1, 2, 3), first(1, 3, 2));
        assert_ne!(first(1, 2, 3), first(2, 2, 3));
    }
}
