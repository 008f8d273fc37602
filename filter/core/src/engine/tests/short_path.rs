//! The short path beside the long one: the same requests, decisions, events and records.

use super::*;
use crate::random::Random;

/// Two proxies with records of their own. The workers of the second have no short path.
struct Pair {
    proxies: [Proxy; 2],
    now: Instant,
    /// Requests under way: their worker, and what each proxy holds.
    open: Vec<(usize, Held, Box<Ticket>)>,
    shorts: usize,
}

struct Proxy {
    workers: Vec<Engine<Memory>>,
    memory: Memory,
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
const SLOW: &str = r#"{"policies": [{"name": "p", "circuit_breaker": {"minimum_requests": 2,
    "slow_threshold": "100ms", "slow_rate_threshold": 60,
    "open": {"duration": "300ms", "multiplier": 1, "jitter": 0},
    "half_open": {"permits": 1}}}], "limits": {"keys": 3}}"#;
const SLOW_END: &str = r#"{"policies": [
    {"name": "a", "match": {"clusters": ["c0"]}, "circuit_breaker": {"minimum_requests": 3,
     "slow_threshold": "200ms", "slow_until": "end", "open": {"duration": "300ms"}}},
    {"name": "b", "mode": "shadow", "circuit_breaker": {"minimum_requests": 2,
     "slow_threshold": "10ms", "slow_rate_threshold": 50}},
    {"name": "c", "circuit_breaker": {"slow_threshold": "10ms", "slow_rate_threshold": 0}}]}"#;
const MIXED: &str = r#"{"policies": [
    {"name": "a", "match": {"clusters": ["c0"]}, "key": [], "circuit_breaker": {}},
    {"name": "b", "match": {"clusters": ["c1"]}, "circuit_breaker": {"minimum_requests": 2},
     "retry": {}},
    {"name": "c", "key": ["cluster", {"header": "x-tenant"}],
     "circuit_breaker": {"minimum_requests": 2, "recovery": {"duration": "1s"}}}]}"#;

const RETRY: &str = r#"{"policies": [{"name": "p", "key": [], "timeout": "1s",
    "circuit_breaker": {"minimum_requests": 3, "failure_rate_threshold": 60,
    "open": {"duration": "300ms", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 1}},
    "retry": {"max_retries": 2, "per_try_timeout": "50ms", "budget": {"percent": 50,
     "interval": "1s", "min_retry_rate": {"count": 2, "interval": "1s"}}}}]}"#;
const WATCHED: &str = r#"{"policies": [{"name": "p", "retry": {}, "circuit_breaker": {
    "minimum_requests": 2, "slow_threshold": "100ms", "slow_rate_threshold": 60,
    "open": {"duration": "300ms", "multiplier": 1, "jitter": 0}, "half_open": {"permits": 1}},
    "fallback": [{"type": "respond", "on": ["open", "failure"], "status": 200, "json": {}},
     {"type": "respond", "on": ["timeout"], "status": 299, "json": {"policy": "{policy}"}}]}]}"#;
const WATCHED_SHADOW: &str = r#"{"policies": [
    {"name": "a", "match": {"clusters": ["c0"]}, "mode": "shadow", "timeout": "2s", "retry": {},
     "circuit_breaker": {"minimum_requests": 2},
     "fallback": [{"type": "respond", "on": ["failure"], "status": 200, "json": {}}]},
    {"name": "b", "match": {"clusters": ["c1"]}, "circuit_breaker": {"minimum_requests": 2},
     "fallback": [{"type": "cluster", "on": ["open"], "cluster": "other"},
      {"type": "respond", "on": ["failure", "timeout"], "status": 200, "json": {}}]},
    {"name": "c", "circuit_breaker": {"minimum_requests": 2}, "timeout": "2s",
     "fallback": [{"type": "respond", "on": ["failure"], "json": {"path": "{path}"}}]}]}"#;

/// The policies, and how many workers each proxy has.
const CASES: [(&str, usize); 8] = [
    (RETRY, 2),
    (WATCHED, 2),
    (WATCHED_SHADOW, 1),
    (ONE, 1),
    (SHADOW, 2),
    (SLOW, 2),
    (SLOW_END, 1),
    (MIXED, 3),
];

/// Picks one of `choices` by a random word.
fn pick<T: Copy, const N: usize>(choices: [T; N], word: u64) -> T {
    choices[word as usize % N]
}

impl Proxy {
    fn new(json: &str, workers: usize, now: Instant) -> Proxy {
        let memory = Memory::default();
        let seeds = 7..7 + workers as u64;
        let worker = |seed| engine_of(config(json), seed, memory.clone(), now);
        Proxy {
            workers: seeds.map(worker).collect(),
            memory,
        }
    }
}

impl Pair {
    fn new(json: &str, workers: usize) -> Pair {
        let now = at_ms(5_000);
        let mut proxies = [0, 1].map(|_| Proxy::new(json, workers, now));
        for worker in &mut proxies[1].workers {
            for policy in &mut worker.policies.own {
                policy.needs.short = false;
            }
        }
        Pair {
            proxies,
            now,
            open: Vec::new(),
            shorts: 0,
        }
    }

    /// The two workers of this number.
    fn workers(&mut self, at: usize) -> (&mut Engine<Memory>, &mut Engine<Memory>, Instant) {
        let [short, long] = &mut self.proxies;
        (&mut short.workers[at], &mut long.workers[at], self.now)
    }

    fn arrive(&mut self, word: u64) {
        let cluster = format!("c{}", word % 3);
        let authority = pick(["a.test", "A.Test:80", "b.test"], word / 3);
        let mut request = TestRequest::cluster(cluster).with(":authority", authority);
        request = request.with(":method", pick(["GET", "GET", "HEAD", "POST"], word / 864));
        request = match word / 9 % 12 {
            0 => request.with("content-type", "application/grpc"),
            1 => request.with("x-envoy-upstream-rq-timeout-ms", "50"),
            2 => request.with("x-tenant", "t"),
            3 => {
                let request = request.with("content-type", "application/grpc");
                request.with("grpc-timeout", "100m")
            }
            4 => request.with("x-envoy-retry-on", "reset"),
            5 => {
                let request = request.with("x-envoy-expected-rq-timeout-ms", "70");
                request.with("x-envoy-attempt-count", pick(["1", "2"], word / 108))
            }
            _ => request,
        };
        let complete = (word / 108).is_multiple_of(2);
        let at = (word / 216) as usize % self.proxies[0].workers.len();
        let (short, long, now) = self.workers(at);
        let (mut slip, mut none) = (None, None);
        let short = short.request_arrived(&request, complete, &mut slip, now);
        let long = long.request_arrived(&request, complete, &mut none, now);
        assert!(none.is_none());
        match (short, long) {
            (Admission::Count(orders), Admission::Pass(ticket, with)) => {
                let slip = slip.expect("a slip");
                assert_eq!(slip.watches_clock(), ticket.watches_clock());
                assert_eq!(slip.watches_response(), ticket.watches_response());
                assert_eq!(orders, with.and_then(|it| it.orders));
                self.shorts += 1;
                self.open.push((at, Held::Slip(slip), ticket));
            }
            (Admission::Pass(one, with), Admission::Pass(other, and)) => {
                assert_eq!(format!("{with:?}"), format!("{and:?}"));
                self.open.push((at, Held::Ticket(one), other));
            }
            (Admission::Reject(one, step, note), Admission::Reject(other, and, noted)) => {
                assert_eq!((step, note), (and, noted));
                self.open.push((at, Held::Ticket(one), other));
            }
            (short, long) => panic!("{short:?} {long:?}"),
        }
    }

    /// Removes one of the requests under way.
    fn take(&mut self, word: u64) -> Option<(usize, Held, Box<Ticket>)> {
        let of = self.open.len().max(1);
        let at = word as usize % of;
        (at < self.open.len()).then(|| self.open.remove(at))
    }

    /// The client of a request has sent all of it.
    fn complete(&mut self, word: u64) {
        let Some((at, mut held, mut other)) = self.take(word) else {
            return;
        };
        let (short, long, now) = self.workers(at);
        let timed = |ticket: &Ticket| ticket.watches_clock().then_some(now);
        match &mut held {
            Held::Slip(slip) if slip.watches_clock() => short.slip_complete(slip, now),
            Held::Slip(slip) => slip.request_complete(),
            Held::Ticket(ticket) => {
                let now = timed(ticket);
                short.request_complete(ticket, now);
            }
        }
        let timed = timed(&other);
        long.request_complete(&mut other, timed);
        self.open.push((at, held, other));
    }

    /// The headers of a response have come.
    fn respond(&mut self, word: u64) {
        let Some((at, mut held, mut other)) = self.take(word / 16) else {
            return;
        };
        let response = response(word);
        let arrival = Arrival {
            ends: (word / 8).is_multiple_of(2),
            has_copy: false,
        };
        let (short, long, now) = self.workers(at);
        let long = match other.watches_response() {
            true => long.response_arrived(&mut other, &response, arrival, now),
            false => Reaction::Pass,
        };
        if let Held::Slip(slip) = held {
            let watches = slip.watches_response();
            let mut slip = Some(slip);
            let ticket = match watches {
                true => short.slip_answered(&mut slip, &response, now),
                false => None,
            };
            held = match ticket {
                Some(ticket) => Held::Ticket(ticket),
                None => Held::Slip(slip.expect("still a slip")),
            };
        }
        let short = match &mut held {
            Held::Ticket(ticket) if ticket.watches_response() => {
                short.response_arrived(ticket, &response, arrival, now)
            }
            _ => Reaction::Pass,
        };
        assert_eq!(format!("{short:?}"), format!("{long:?}"));
        self.open.push((at, held, other));
    }

    /// A request has ended, or the host has lost it.
    fn finish(&mut self, word: u64) {
        let Some((at, held, other)) = self.take(word / 16) else {
            return;
        };
        let mut response = response(word);
        response.attempts = Some(1 + word / 512 % 3);
        let told = (!(word / 64).is_multiple_of(8)).then_some(&response);
        let (short, long, now) = self.workers(at);
        match (held, told) {
            (Held::Slip(slip), told) => short.settle_slip(&mut Some(slip), told, now),
            (Held::Ticket(ticket), Some(response)) => short.settle(ticket, response, now),
            (Held::Ticket(ticket), None) => short.abandon(ticket, now),
        }
        match told {
            Some(response) => long.settle(other, response, now),
            None => long.abandon(other, now),
        }
    }

    /// Time passes, or the clock steps back. Often a tick follows.
    fn wait(&mut self, word: u64) {
        let ms = pick([0, 10, 60, 250, 11_000, 110], word);
        self.now = self.now.after(Span::from_ms(ms));
        if (word / 6).is_multiple_of(16) {
            let since = self.now.since(Instant::from_ns(0));
            self.now = Instant::from_ns(since.as_ns() - Span::from_ms(150).as_ns());
        }
        if !(word / 96).is_multiple_of(4) {
            let now = self.now;
            let workers = self.proxies.iter_mut().flat_map(|it| &mut it.workers);
            workers.for_each(|worker| worker.tick(now));
        }
    }

    fn step(&mut self, word: u64) {
        let rest = word / 12;
        match word % 12 {
            0..=3 => self.arrive(rest),
            4..=6 => self.finish(rest),
            7 => self.complete(rest),
            8 | 9 => self.respond(rest),
            _ => self.wait(rest),
        }
        self.check();
    }

    fn check(&mut self) {
        let events = |engine: &mut Engine<Memory>| -> Vec<String> {
            core::iter::from_fn(|| engine.next_event())
                .map(shown)
                .collect()
        };
        let [short, long] = &mut self.proxies;
        for (short, long) in short.workers.iter_mut().zip(&mut long.workers) {
            assert_eq!(events(short), events(long));
            assert_eq!(short.next_tick(self.now), long.next_tick(self.now));
            assert_eq!(short.has_pending(), long.has_pending());
        }
        let names = short.memory.names();
        assert_eq!(names, long.memory.names());
        for name in names {
            let (one, other) = (short.memory.bytes(&name), long.memory.bytes(&name));
            assert_eq!(one, other, "{name}");
        }
    }
}

/// The response of an upstream, or of a proxy in place of it.
fn response(word: u64) -> TestResponse {
    let mut response = TestResponse::status(pick([200, 503, 503, 404], word));
    match word / 4 % 4 {
        0 => response.details = Some("downstream_remote_disconnect"),
        1 => response.details = Some("response_timeout"),
        _ => {}
    }
    response.flags = if word / 4 % 4 == 1 { 0x4 } else { 0 };
    response
}

/// Steps that the enumerated histories are made of: a success, a failure, a failure that the
/// client ended, a request that waits, a wait with a tick and one without.
const STEPS: [&[u64]; 6] = [
    &[40 * 12, 4 + 12 * 72],
    &[40 * 12, 4 + 12 * 73],
    &[40 * 12, 4 + 12 * 65],
    &[40 * 12],
    &[10 + 12 * 109],
    &[10 + 12 * 8],
];

#[test]
fn every_short_history_is_the_same_on_both_paths() {
    for (json, workers) in CASES {
        for history in 0..6_usize.pow(4) {
            let mut pair = Pair::new(json, workers);
            for place in 0..4 {
                for word in STEPS[history / 6_usize.pow(place) % 6] {
                    pair.step(*word);
                }
            }
        }
    }
}

#[test]
fn random_histories_are_the_same_on_both_paths() {
    for (json, workers) in CASES {
        let mut shorts = 0;
        for seed in 0..60 {
            let (mut pair, mut random) = (Pair::new(json, workers), Random::new(seed));
            for _ in 0..400 {
                pair.step(random.word() >> 8);
            }
            shorts += pair.shorts;
        }
        assert!(shorts > 500, "only {shorts} took the short path: {json}");
    }
}
