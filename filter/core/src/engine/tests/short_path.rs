//! The short path beside the long one: the same requests, decisions, events and records.

use super::*;
use crate::random::Random;

/// Two engines over records of their own. The second has no short path.
struct Pair {
    engines: [Engine<Memory>; 2],
    memories: [Memory; 2],
    now: Instant,
    /// Requests under way: what each engine holds.
    open: Vec<(Held, Box<Ticket>)>,
    shorts: usize,
}

enum Held {
    Slip(Slip),
    Ticket(Box<Ticket>),
}

const ONE: &str = r#"{"policies": [{"name": "p", "circuit_breaker": {"minimum_requests": 2,
    "failure_rate_threshold": 60, "open": {"duration": "300ms", "multiplier": 1, "jitter": 0},
    "half_open": {"permits": 1}}}], "limits": {"keys": 3}}"#;
const SHADOW: &str = r#"{"policies": [{"name": "p", "mode": "shadow", "key": ["authority"],
    "circuit_breaker": {"minimum_requests": 2, "failure_rate_threshold": 60,
    "consecutive_failures": 2, "open": {"duration": "300ms", "multiplier": 1, "jitter": 0}}}]}"#;
const MIXED: &str = r#"{"policies": [
    {"name": "a", "match": {"clusters": ["c0"]}, "key": [], "circuit_breaker": {}},
    {"name": "b", "match": {"clusters": ["c1"]}, "circuit_breaker": {"minimum_requests": 2},
     "retry": {}},
    {"name": "c", "key": ["cluster", {"header": "x-tenant"}],
     "circuit_breaker": {"minimum_requests": 2, "recovery": {"duration": "1s"}}}]}"#;

impl Pair {
    fn new(json: &str) -> Pair {
        let memories = [Memory::default(), Memory::default()];
        let now = at_ms(5_000);
        let engines = [0, 1].map(|n| engine_of(config(json), 7, memories[n].clone(), now));
        let mut pair = Pair {
            engines,
            memories,
            now,
            open: Vec::new(),
            shorts: 0,
        };
        for policy in &mut pair.engines[1].policies.own {
            policy.needs.counts_only = false;
        }
        pair
    }

    fn arrive(&mut self, word: u64) {
        let cluster = format!("c{}", word % 3);
        let mut request = TestRequest::cluster(cluster).with(
            ":authority",
            ["a.test", "A.Test:80", "b.test"][(word / 3 % 3) as usize],
        );
        match word / 9 % 8 {
            0 => request = request.with("content-type", "application/grpc"),
            1 => request = request.with("x-envoy-upstream-rq-timeout-ms", "50"),
            2 => request = request.with("x-tenant", "t"),
            _ => {}
        }
        let complete = (word / 72).is_multiple_of(2);
        let [short, long] = &mut self.engines;
        let short = short.request_arrived(&request, complete, self.now);
        let long = long.request_arrived(&request, complete, self.now);
        match (short, long) {
            (Admission::Count(slip), Admission::Pass(ticket, None)) => {
                self.shorts += 1;
                self.open.push((Held::Slip(slip), ticket));
            }
            (Admission::Pass(one, with), Admission::Pass(other, and)) => {
                assert_eq!(format!("{with:?}"), format!("{and:?}"));
                self.open.push((Held::Ticket(one), other));
            }
            (Admission::Reject(one, step, note), Admission::Reject(other, and, noted)) => {
                assert_eq!((step, note), (and, noted));
                self.open.push((Held::Ticket(one), other));
            }
            (short, long) => panic!("{short:?} {long:?}"),
        }
    }

    fn finish(&mut self, word: u64) {
        if self.open.is_empty() {
            return;
        }
        let at = (word / 16) as usize % self.open.len();
        let (held, other) = self.open.remove(at);
        let mut response = TestResponse::status([200, 503, 503, 404][(word % 4) as usize]);
        match word / 4 % 4 {
            0 => response.details = Some("downstream_remote_disconnect"),
            1 => response.details = Some("response_timeout"),
            _ => {}
        }
        response.flags = if word / 4 % 4 == 1 { 0x4 } else { 0 };
        let told = !(word / 64).is_multiple_of(8);
        let [short, long] = &mut self.engines;
        match (held, told) {
            (Held::Slip(mut slip), _) => {
                let mut other = other;
                if (word / 512).is_multiple_of(2) {
                    slip.request_complete();
                    long.request_complete(&mut other, None);
                }
                short.settle_slip(slip, told.then_some(&response), self.now);
                match told {
                    true => long.settle(other, &response, self.now),
                    false => long.abandon(other, self.now),
                }
            }
            (Held::Ticket(one), true) => {
                short.settle(one, &response, self.now);
                long.settle(other, &response, self.now);
            }
            (Held::Ticket(one), false) => {
                short.abandon(one, self.now);
                long.abandon(other, self.now);
            }
        }
    }

    fn step(&mut self, word: u64) {
        match word % 8 {
            0..=3 => self.arrive(word / 8),
            4..=6 => self.finish(word / 8),
            _ => {
                let ms = [0, 10, 60, 250, 11_000][(word / 8 % 5) as usize];
                self.now = self.now.after(Span::from_ms(ms));
                if !(word / 40).is_multiple_of(4) {
                    for engine in &mut self.engines {
                        engine.tick(self.now);
                    }
                }
            }
        }
        self.check();
    }

    fn check(&mut self) {
        let events = |engine: &mut Engine<Memory>| -> Vec<String> {
            core::iter::from_fn(|| engine.next_event())
                .map(shown)
                .collect()
        };
        let [short, long] = &mut self.engines;
        assert_eq!(events(short), events(long));
        assert_eq!(short.next_tick(self.now), long.next_tick(self.now));
        assert_eq!(short.has_pending(), long.has_pending());
        let names = self.memories[0].names();
        assert_eq!(names, self.memories[1].names());
        for name in names {
            let [one, other] = &self.memories;
            assert_eq!(one.bytes(&name), other.bytes(&name), "{name}");
        }
    }
}

/// Steps that the enumerated histories are made of: a success, a failure, a failure that
/// the client ended, a wait with a tick and one without.
const STEPS: [&[u64]; 5] = [
    &[40 * 8, 4 + 8 * 72],
    &[40 * 8, 4 + 8 * 73],
    &[40 * 8, 4 + 8 * 65],
    &[7 + 8 * 43],
    &[7 + 8 * 2],
];

#[test]
fn every_short_history_is_the_same_on_both_paths() {
    for json in [ONE, SHADOW, MIXED] {
        for history in 0..5_usize.pow(5) {
            let mut pair = Pair::new(json);
            for place in 0..5 {
                for word in STEPS[history / 5_usize.pow(place) % 5] {
                    pair.step(*word);
                }
            }
        }
    }
}

#[test]
fn random_histories_are_the_same_on_both_paths() {
    for json in [ONE, SHADOW, MIXED] {
        let mut shorts = 0;
        for seed in 0..60 {
            let (mut pair, mut random) = (Pair::new(json), Random::new(seed));
            for _ in 0..400 {
                pair.step(random.word() >> 8);
            }
            shorts += pair.shorts;
        }
        assert!(shorts > 500, "only {shorts} requests took the short path");
    }
}
