use alloc::vec::Vec;

use super::*;
use crate::random::Random;

/// A naive window: a list of all outcomes, recounted each time.
struct Naive {
    shape: WindowShape,
    all: Vec<(u64, bool, bool)>,
}

impl Naive {
    fn record(&mut self, failure: bool, slow: bool, now: Instant) -> Counts {
        // After a step back of the clock the newest time counts.
        let at = self
            .all
            .last()
            .map_or(now.as_ns(), |last| last.0.max(now.as_ns()));
        self.all.push((at, failure, slow));
        let mut counts = Counts::default();
        match self.shape {
            WindowShape::Time { duration } => {
                let width = duration.as_ns() / BUCKETS;
                let oldest = (at / width).saturating_sub(BUCKETS - 1);
                for &(when, failure, slow) in &self.all {
                    if when / width >= oldest {
                        counts.add(failure, slow);
                    }
                }
            }
            WindowShape::Count { size } => {
                for &(_, failure, slow) in self.all.iter().rev().take(size as usize) {
                    counts.add(failure, slow);
                }
            }
        }
        counts
    }
}

fn agrees_with_naive(shape: WindowShape, seed: u64) {
    let mut random = Random::new(seed);
    let mut window = Window::new(&shape);
    let mut naive = Naive {
        shape,
        all: Vec::new(),
    };
    let mut now = Instant::from_ns(random.between(0, 1_000_000_000_000));
    for step in 0..400 {
        let pause_ms = match random.between(0, 9) {
            0..=3 => 0,
            4..=7 => random.between(1, 120),
            8 => random.between(120, 1_500),
            _ => random.between(1_500, 20_000),
        };
        now = now.after(Span::from_ms(pause_ms));
        let (failure, slow) = (random.chance(4_000), random.chance(2_000));
        assert_eq!(
            window.record(failure, slow, now),
            naive.record(failure, slow, now),
            "shape {shape:?}, seed {seed}, step {step}"
        );
        if random.chance(50) {
            window.clear();
            naive.all.clear();
        }
    }
}

#[test]
fn a_time_window_equals_a_naive_list_under_random_histories() {
    for seed in 0..400 {
        let duration = Span::from_ms([100, 1_000, 1_110, 10_000][seed as usize % 4]);
        agrees_with_naive(WindowShape::Time { duration }, seed);
    }
}

#[test]
fn a_count_window_equals_a_naive_list_under_random_histories() {
    for seed in 0..400 {
        let size = [1, 2, 3, 4, 5, 7, 100, 333][seed as usize % 8];
        agrees_with_naive(WindowShape::Count { size }, seed);
    }
}

#[test]
fn after_a_step_back_of_the_clock_outcomes_go_into_the_newest_bucket() {
    let shape = WindowShape::Time {
        duration: Span::from_secs(1),
    };
    let mut window = Window::new(&shape);
    window.record(true, false, Instant::from_ns(5_000_000_000));
    let counts = window.record(true, false, Instant::from_ns(1));
    assert_eq!(counts.failures, 2);
}

#[test]
fn a_count_window_takes_two_bits_per_outcome() {
    let mut window = Window::new(&WindowShape::Count { size: 10_000 });
    for _ in 0..30_000 {
        window.record(true, true, Instant::from_ns(0));
    }
    let Content::Count(last) = &window.content else {
        panic!("a count window");
    };
    assert_eq!(last.bits.len(), 2_500);
    assert_eq!(window.total.failures, 10_000);
}

/// The naive list has the time at which each waiting request passed the threshold.
#[test]
fn waiting_requests_equal_a_naive_list_counted_directly_or_merged() {
    let shapes = [
        WindowShape::Time {
            duration: Span::from_secs(10),
        },
        WindowShape::Count { size: 5 },
    ];
    for (seed, shape) in (0..200).flat_map(|seed| shapes.map(|shape| (seed, shape))) {
        let mut random = Random::new(seed);
        let (mut window, mut shared) = (Window::new(&shape), Window::new(&shape));
        let mut pending = Window::new(&shape);
        let mut waiting: Vec<Instant> = Vec::new();
        let mut now = Instant::from_ns(77_000_000_000);
        let mut newest = now;
        for _ in 0..300 {
            now = now.after(Span::from_ms(random.between(0, 900)));
            if random.chance(6_000) {
                waiting.push(now);
                window.wait(now, 1);
                pending.wait_later(now, 1);
                newest = now;
            } else if !waiting.is_empty() {
                let at = random.between(0, waiting.len() as u64 - 1) as usize;
                let since = waiting.swap_remove(at);
                window.wait(since, -1);
                pending.wait_later(since, -1);
            }
            if random.chance(2_000) {
                shared.merge(&pending);
                pending = Window::new(&shape);
                assert_eq!(shared, window, "{shape:?}, seed {seed}");
            }
            let width_ns = match shape {
                WindowShape::Time { .. } => 1_000_000_000,
                WindowShape::Count { .. } => 6_000_000_000,
            };
            let bucket = |at: Instant| at.as_ns() / width_ns;
            let recent = waiting.iter();
            let recent = recent.filter(|at| bucket(newest) - bucket(**at) < BUCKETS);
            assert_eq!(
                window.counts().slow as usize,
                recent.count(),
                "{shape:?}, seed {seed}"
            );
        }
        assert_eq!(window.outcomes(), Counts::default());
    }
}

#[test]
fn waiting_requests_leave_the_window_like_outcomes() {
    let shape = WindowShape::Time {
        duration: Span::from_secs(10),
    };
    let at = |seconds: u64| Instant::from_ns(seconds * 1_000_000_000);
    let mut window = Window::new(&shape);
    window.record(false, false, at(100));
    window.wait(at(120), 1);
    assert_eq!(
        (window.counts().requests, window.outcomes().requests),
        (1, 0)
    );
    assert_eq!(window.counts_at(at(129)).slow, 1);
    assert_eq!(window.counts_at(at(130)), Counts::default());
    window.record(false, false, at(140));
    assert_eq!((window.counts().requests, window.counts().slow), (1, 0));
    // A request that ends after its bucket was emptied removes no other one.
    window.wait(at(141), 1);
    window.wait(at(120), -1);
    assert_eq!(window.counts().slow, 1);
    // The count does not fall below zero either.
    window.wait(at(141), -1);
    window.wait(at(141), -1);
    assert_eq!(window.counts().slow, 0);
}
