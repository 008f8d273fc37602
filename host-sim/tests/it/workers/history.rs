//! The same traffic has the same history, whatever the number of workers.
//!
//! The outcome of a request depends on its time and number alone, not on which requests were
//! admitted, and windows are based on time. The number of workers only changes when an outcome
//! becomes known to the other workers.

use std::time::Duration;

use host_sim::proxy::StreamId;
use host_sim::record::Transition;
use host_sim::sim::clock::Time;
use host_sim::sim::queue::Queue;
use host_sim::sim::rng::{Rng, Seed};

use super::{INTERVAL, Workers, policy, transition_text};

const LENGTH: Time = Time::from_ms(22_000);

/// Traffic, and the breaker that observes it.
struct Row {
    /// Time between two requests.
    gap: Duration,
    breaker: &'static str,
    /// Status and latency of a failing service.
    ill: (&'static str, Duration),
    expected: &'static [&'static str],
}

const QUICK: Duration = Duration::from_millis(5);

const ROWS: [Row; 3] = [
    Row {
        gap: Duration::from_micros(312),
        breaker: r#"{"window": {"type": "time", "duration": "2s"},
            "open": {"duration": "1s", "multiplier": 2, "jitter": 0}}"#,
        ill: ("503", QUICK),
        expected: &[
            "closed>open failure_rate",
            "open>half_open open_elapsed",
            "half_open>open probes_failed",
            "open>half_open open_elapsed",
            "half_open>open probes_failed",
            "open>half_open open_elapsed",
            "half_open>closed probes_succeeded",
            "closed>open failure_rate",
            "open>half_open open_elapsed",
            "half_open>closed probes_succeeded",
        ],
    },
    Row {
        gap: Duration::from_micros(2_500),
        breaker: r#"{"window": {"type": "time", "duration": "1s"}, "failure_rate_threshold": 0,
            "slow_threshold": "50ms", "slow_rate_threshold": 60,
            "open": {"duration": "2s", "multiplier": 1, "jitter": 0}}"#,
        ill: ("200", Duration::from_millis(80)),
        expected: &[
            "closed>open slow_rate",
            "open>half_open open_elapsed",
            "half_open>open probes_slow",
            "open>half_open open_elapsed",
            "half_open>open probes_slow",
            "open>half_open open_elapsed",
            "half_open>closed probes_succeeded",
            "closed>open slow_rate",
            "open>half_open open_elapsed",
            "half_open>closed probes_succeeded",
        ],
    },
    Row {
        gap: Duration::from_micros(625),
        breaker: r#"{"window": {"type": "time", "duration": "500ms"}, "failure_rate_threshold": 30,
            "open": {"duration": "3s", "multiplier": 1, "jitter": 0},
            "recovery": {"duration": "2s", "start_percent": 10}}"#,
        ill: ("500", QUICK),
        expected: &[
            "closed>open failure_rate",
            "open>half_open open_elapsed",
            "half_open>open probes_failed",
            "open>half_open open_elapsed",
            "half_open>recovering probes_succeeded",
            "recovering>closed recovered",
            "closed>open failure_rate",
            "open>half_open open_elapsed",
            "half_open>recovering probes_succeeded",
            "recovering>closed recovered",
        ],
    },
];

/// Outcome of a request.
#[derive(Clone, Copy)]
struct Ending {
    status: &'static str,
    after: Duration,
}

impl Row {
    /// Returns the outcome of a request in this millisecond. The service degrades, fails, recovers,
    /// and then fails for another second.
    fn ending(&self, ms: u64, rng: &mut Rng) -> Ending {
        let ill_percent = match ms {
            3_000..4_000 => 70,
            4_000..8_300 | 15_000..16_000 => 100,
            8_300..15_000 | 16_000.. => 0,
            _ => 5,
        };
        let (status, after) = match rng.below(100) < ill_percent {
            true => self.ill,
            false => ("200", QUICK),
        };
        Ending { status, after }
    }

    fn play(&self, workers: usize, seed: u64) -> Vec<Transition> {
        let mut proxy = Workers::new(workers, &policy(self.breaker));
        let mut rng = Seed(seed).split("outcomes");
        let order = order(workers, seed);
        let mut endings: Queue<(StreamId, &str)> = Queue::default();
        let mut now = Time::ZERO;
        for number in 0.. {
            if now >= LENGTH {
                break;
            }
            while let Some(at) = endings.next_at().filter(|at| *at <= now) {
                let (_, (stream, status)) = endings.pop().unwrap();
                proxy.run_to(at);
                proxy.respond(stream, status);
            }
            proxy.run_to(now);
            // Drawn for rejected requests too, so that outcomes do not depend on admission.
            let Ending { status, after } = self.ending(now.as_ns() / 1_000_000, &mut rng);
            let worker = order[number % workers];
            if let Some(stream) = proxy.ask(worker) {
                endings.push(now + after, (stream, status));
            }
            now = now + self.gap;
        }
        proxy.changes().to_vec()
    }
}

/// Returns the workers in an order that depends on the seed.
fn order(workers: usize, seed: u64) -> Vec<usize> {
    let mut rng = Seed(seed).split("workers");
    let mut keyed: Vec<_> = (0..workers).map(|worker| (rng.word(), worker)).collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, worker)| worker).collect()
}

#[test]
fn the_same_traffic_has_the_same_history_for_any_number_of_workers() {
    for (place, row) in ROWS.iter().enumerate() {
        for seed in 1..=3 {
            let alone = row.play(1, seed);
            let words: Vec<_> = alone.iter().map(transition_text).collect();
            assert_eq!(words, row.expected, "row {place}, seed {seed}");
            for workers in [2, 8, 64] {
                let of = format!("row {place}, seed {seed}, {workers} workers");
                let together = row.play(workers, seed);
                let words: Vec<_> = together.iter().map(transition_text).collect();
                assert_eq!(words, row.expected, "{of}");
                let late = INTERVAL + row.gap * workers as u32;
                for (one, other) in alone.iter().zip(&together) {
                    let apart = other.at.since(one.at).max(one.at.since(other.at));
                    assert!(apart <= late, "{of}: {one:?} and {other:?}");
                }
            }
        }
    }
}
