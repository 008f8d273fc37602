//! Randomness from a seed.
//!
//! Each component has its own generator, derived from the run's seed and the component's name.
//! So a second client, or one more draw in a cluster, leaves all other draws of the run
//! unchanged, and policies can be compared on identical traffic.
//!
//! The generator and the conversions from its words are fixed here, in integers and in float
//! operations that IEEE 754 defines exactly. Nothing depends on the computer or on the version
//! of a library.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seed of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// Returns the generator of the component `name`.
    pub fn split(self, name: &str) -> Rng {
        let seed = xxh3_64_with_seed(name.as_bytes(), self.0);
        Rng(Xoshiro256PlusPlus::seed_from_u64(seed))
    }
}

/// The generator of one component.
#[derive(Clone, Debug)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// Returns 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns a number below `bound`, or 0 if `bound` is 0. Deviates from uniform by less than
    /// `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.word()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// Returns one of 2^53 evenly spaced numbers from 0 to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.word() >> 11) as f64 * STEP
    }

    /// Returns an exponentially distributed number with mean 1.
    pub fn exponential(&mut self) -> f64 {
        // `1 - unit` is never 0, whose logarithm is infinite.
        -libm::log(1.0 - self.unit())
    }

    /// Returns a normally distributed number with mean 0 and deviation 1 (Box and Muller). Uses
    /// the cosine half only: saving the other half would make draws depend on each other.
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(2.0 * self.exponential());
        radius * libm::cos(2.0 * std::f64::consts::PI * self.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_have_separate_and_reproducible_sequences() {
        let words = |name| {
            let mut rng = Seed(7).split(name);
            [rng.word(), rng.word()]
        };
        assert_eq!(words("a"), words("a"));
        assert_ne!(words("a"), words("b"));
    }

    #[test]
    fn the_draws_of_a_seed_never_change() {
        let mut rng = Seed(1).split("arrivals");
        let draws = (rng.word(), rng.below(1000), rng.unit(), rng.normal());
        let expected = (
            1_398_669_691_206_964_860,
            899,
            0.3162204829792866,
            1.1187462790875011,
        );
        assert_eq!(draws, expected);
    }

    #[test]
    fn means_match_their_distributions() {
        let mut rng = Seed(3).split("means");
        let mean = |draw: &mut dyn FnMut() -> f64| (0..100_000).map(|_| draw()).sum::<f64>() / 1e5;
        assert!((mean(&mut || rng.unit()) - 0.5).abs() < 0.01);
        assert!((mean(&mut || rng.exponential()) - 1.0).abs() < 0.02);
        assert!(mean(&mut || rng.normal()).abs() < 0.02);
        assert!((mean(&mut || rng.below(10) as f64) - 4.5).abs() < 0.05);
    }
}
