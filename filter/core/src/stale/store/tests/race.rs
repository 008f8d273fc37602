//! Workers that interfere with each other's writes.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;

use super::*;
use crate::random::Random;
use crate::testing::BeforeWrite;

const BYTES: u32 = 4_096;

/// Another worker that stores a response just before the first one's write.
#[derive(Debug)]
struct Rival {
    memory: Memory,
    path: String,
    len: usize,
    now: Instant,
}

impl BeforeWrite for Rival {
    fn act(self: Box<Self>) {
        let mut rival = Worker::new(BYTES, &self.memory);
        let _ = rival.store(&self.path, self.len, self.now);
    }
}

/// Several workers store, look up and invalidate at random, and interfere with each other's
/// writes. The slots must never hold more bytes than the index says, nor the index more than the
/// limit, and a lookup must return a response that was stored under its name.
#[test]
fn concurrent_workers_never_exceed_the_limit() {
    let mut found = 0;
    for seed in 0..300 {
        let mut race = Race::new(seed);
        for step in 0..120 {
            found += u32::from(race.step(at_ms(step * 150)));
            let (actual, indexed) = stored_bytes(&race.memory);
            assert!(
                actual <= indexed,
                "seed {seed} step {step}: {actual} of {indexed}"
            );
            assert!(
                indexed <= BYTES as usize,
                "seed {seed} step {step}: {indexed}"
            );
        }
    }
    assert!(found > 1_000, "{found}");
}

/// Three workers at random.
struct Race {
    random: Random,
    memory: Memory,
    workers: [Worker; 3],
    /// Sizes of the responses that may have been stored, by path.
    sizes: BTreeMap<String, Vec<usize>>,
}

impl Race {
    fn new(seed: u64) -> Race {
        let memory = Memory::default();
        Race {
            random: Random::new(seed),
            workers: [(); 3].map(|()| Worker::new(BYTES, &memory)),
            memory,
            sizes: BTreeMap::new(),
        }
    }

    fn draw(&mut self, below: u64) -> usize {
        usize::try_from(self.random.between(0, below - 1)).expect("small")
    }

    /// Performs one random step. Returns whether it was a lookup that found a response.
    fn step(&mut self, now: Instant) -> bool {
        let path = format!("/{}", self.draw(8));
        let worker = self.draw(3);
        match self.draw(10) {
            0 => self.workers[worker].invalidate(&path),
            1..=3 => {
                let Some(stored) = self.workers[worker].lookup(&path, now) else {
                    return false;
                };
                let known = self.sizes.get(&path);
                assert!(known.is_some_and(|it| it.contains(&stored.body.len())));
                return true;
            }
            _ => {
                let len = self.draw(3_500);
                if self.draw(3) == 0 {
                    self.interfere(now);
                }
                if self.draw(6) == 0 {
                    let writes = self.draw(10);
                    self.memory.lose(writes);
                }
                self.sizes.entry(path.clone()).or_default().push(len);
                let _ = self.workers[worker].store(&path, len, now);
                self.memory.lose(0);
            }
        }
        false
    }

    /// Lets another worker store a response, perhaps of the same path, just before the next write.
    fn interfere(&mut self, now: Instant) {
        let (path, len) = (format!("/{}", self.draw(8)), self.draw(3_500));
        self.sizes.entry(path.clone()).or_default().push(len);
        self.memory.before_write(Box::new(Rival {
            memory: self.memory.clone(),
            path,
            len,
            now,
        }));
    }
}
