//! How often responses were asked for of late, in a fixed amount of memory.
//!
//! This is the frequency sketch of TinyLFU (Einziger, Friedman, Manes: "TinyLFU: A Highly
//! Efficient Cache Admission Policy", ACM Transactions on Storage 13(4), 2017): a count-min
//! sketch of small counters with conservative update, in which all counters are halved after
//! a number of requests. A response that others must make room for is admitted only if it is
//! asked for more often than they are. So a scan over many URLs, each asked for once, pushes
//! out nothing that is asked for twice.
//!
//! An estimate is never lower than the true count since the last halving, up to 15. The keys are
//! seeded hashes, so clients cannot aim at counters.

use alloc::vec;
use alloc::vec::Vec;

/// Largest count. The order among responses that are asked for more often does not matter.
const COUNT_MAX: u8 = 15;

/// Counters for each response of the store, and for each request between two halvings. So most
/// keys of a scan find one of their counters at 0.
const COUNTERS: usize = 4;

/// The sketch.
#[derive(Debug)]
pub(super) struct Sketch {
    counts: Vec<u8>,
    /// Number of requests counted since the last halving.
    added: usize,
}

impl Sketch {
    /// Creates a sketch for a store of so many responses, a power of two.
    pub(super) fn new(responses: usize) -> Sketch {
        Sketch {
            counts: vec![0; responses.saturating_mul(COUNTERS)],
            added: 0,
        }
    }

    /// Counts a request.
    pub(super) fn add(&mut self, key: u64) {
        let more = self.estimate(key).saturating_add(1).min(COUNT_MAX);
        for place in self.places(key) {
            if let Some(count) = self.counts.get_mut(place) {
                *count = more.max(*count);
            }
        }
        self.added = self.added.saturating_add(1);
        if self.added >= self.counts.len() / COUNTERS {
            self.added = 0;
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
    }

    /// Returns the number of recent requests.
    pub(super) fn estimate(&self, key: u64) -> u8 {
        let [first, second] = self.places(key).map(|place| {
            let count = self.counts.get(place);
            count.copied().unwrap_or(0)
        });
        first.min(second)
    }

    /// Returns the two counters of a key.
    fn places(&self, key: u64) -> [usize; 2] {
        let mask = self.counts.len().saturating_sub(1);
        [key >> 32, key].map(|half| {
            let half = usize::try_from(half & u64::from(u32::MAX)).unwrap_or(0);
            half & mask
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Each row: how often a key is asked for, and its estimate.
    #[test]
    fn an_estimate_is_the_true_count_up_to_a_limit() {
        for (asked, expected) in [(0, 0), (1, 1), (2, 2), (15, 15), (16, 15), (40, 15)] {
            let mut sketch = Sketch::new(1_024);
            for _ in 0..asked {
                sketch.add(0x1234_5678_9abc_def0);
            }
            assert_eq!(sketch.estimate(0x1234_5678_9abc_def0), expected, "{asked}");
        }
    }

    #[test]
    fn counts_are_halved_after_each_sample() {
        let mut sketch = Sketch::new(16);
        for _ in 0..15 {
            sketch.add(7);
        }
        assert_eq!(sketch.estimate(7), 15);
        sketch.add(7);
        assert_eq!(sketch.estimate(7), 7);
    }

    #[test]
    fn few_keys_of_a_scan_seem_to_be_asked_for_twice() {
        let (mut sketch, mut random) = (Sketch::new(16_384), Random::new(1));
        let keys: Vec<u64> = (0..16_000).map(|_| random.word()).collect();
        keys.iter().for_each(|key| sketch.add(*key));
        let twice = keys.iter().filter(|key| sketch.estimate(**key) > 1).count();
        assert!(twice < 1_500, "{twice}");
        assert!(keys.iter().all(|key| sketch.estimate(*key) > 0));
    }
}
