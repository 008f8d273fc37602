//! Which responses make room for others.

use super::*;
use crate::random::Random;

const BYTES: u32 = 8_388_608;

/// Numbers of URLs whose responses are there.
fn there(worker: &mut Worker, paths: impl Iterator<Item = usize>, now: Instant) -> Vec<usize> {
    paths
        .filter(|n| worker.lookup(&format!("/{n}"), now).is_some())
        .collect()
}

#[test]
fn ten_thousand_small_responses_have_room_in_the_default_store() {
    let memory = Memory::default();
    let mut worker = Worker::new(BYTES, &memory);
    for n in 0..12_000 {
        let lines = [
            ("content-type", "application/json"),
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ];
        let request = get(&format!("/items/{n}")).with(":authority", "shop.example.com");
        worker
            .store_with(&request, &lines, 500, at_ms(n))
            .expect("room");
    }
    let slots = memory
        .names()
        .into_iter()
        .filter(|name| name.matches('/').count() == 2);
    let taken = slots.filter(|name| memory.bytes(name).is_some_and(|it| !it.is_empty()));
    let taken = taken.count();
    assert!(taken >= 10_000, "{taken}");
    let (actual, indexed) = stored_bytes(&memory);
    assert!(
        actual <= indexed && indexed <= BYTES as usize,
        "{actual} {indexed}"
    );
    assert!(memory.names().len() <= 256 * (SLOTS + 1));
}

#[test]
fn the_index_that_a_write_touches_is_small() {
    let memory = Memory::default();
    let mut worker = Worker::new(BYTES, &memory);
    let mut most = 0;
    for n in 0..20_000 {
        let before = memory.bytes_moved();
        worker.store(&format!("/{n}"), 500, at_ms(n)).expect("room");
        most = most.max(memory.bytes_moved() - before);
    }
    // Three reads and a write of the index, and the response.
    assert!((1_000..14_000).contains(&most), "{most}");
}

#[test]
fn a_response_replaces_those_that_are_asked_for_less() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    for n in 0..3 {
        for _ in 0..=n {
            let put = worker
                .store(&format!("/{n}"), 1_000, at_ms(n))
                .expect("room");
            assert_eq!(put.unwrap_or(0), 0);
        }
    }
    // The first time it is asked for as often as the least of them.
    assert_eq!(worker.store("/3", 1_000, at_ms(1_000)), Ok(None));
    assert_eq!(worker.store("/3", 1_000, at_ms(1_100)), Ok(Some(1)));
    assert_eq!(there(&mut worker, 0..4, at_ms(1_200)), [1, 2, 3]);
    // A larger one replaces several, or none.
    for _ in 0..3 {
        assert_eq!(worker.store("/4", 3_000, at_ms(1_200)), Ok(None));
    }
    assert_eq!(there(&mut worker, 0..5, at_ms(1_300)), [1, 2, 3]);
    for ms in (2_000..4_000).step_by(100) {
        worker.store("/4", 3_000, at_ms(ms)).expect("room");
    }
    assert_eq!(there(&mut worker, 0..5, at_ms(4_000)), [4]);
}

#[test]
fn expired_responses_are_replaced_at_once() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    for n in 0..3 {
        for _ in 0..10 {
            worker
                .store(&format!("/{n}"), 1_000, at_ms(n))
                .expect("room");
        }
    }
    let later = at_ms(2).after(LIFETIME);
    assert_eq!(worker.store("/3", 3_000, at_ms(3_600_001)), Ok(None));
    let mut twice = || worker.store("/4", 3_000, later);
    assert_eq!([twice(), twice()], [Ok(None), Ok(Some(3))]);
}

#[test]
fn among_equals_the_least_recently_used_response_is_replaced() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    for n in 0..3 {
        worker
            .store(&format!("/{n}"), 1_000, at_ms(n))
            .expect("room");
    }
    // A new worker knows nothing of earlier requests, but uses are recorded once a second.
    assert!(worker.lookup("/0", at_ms(2_000)).is_some());
    let mut new = Worker::new(4_096, &memory);
    assert_eq!(new.store("/3", 1_000, at_ms(3_000)), Ok(Some(1)));
    assert_eq!(there(&mut new, 0..4, at_ms(3_001)), [0, 2, 3]);
}

/// Numbers of URLs by a Zipf distribution with the exponent 1.
struct Zipf {
    sums: Vec<f64>,
    random: Random,
}

impl Zipf {
    fn new(urls: u32) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=urls).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Zipf {
            sums: sums.collect(),
            random: Random::new(1),
        }
    }

    fn draw(&mut self) -> usize {
        let draw = self.random.word() as f64 / u64::MAX as f64;
        let all = self.sums.last().expect("a URL");
        self.sums.partition_point(|sum| *sum < draw * all)
    }
}

/// Traffic by Zipf over 20,000 URLs, with and without a scan of as many requests for URLs that
/// are asked for once. Returns the percentage of hits in an outage after it, and the writes.
fn outage(requests: u64, scan: bool) -> (usize, u32) {
    let memory = Memory::default();
    let mut worker = Worker::new(BYTES, &memory);
    let mut zipf = Zipf::new(20_000);
    for n in 0..requests {
        let path = format!("/{}", zipf.draw());
        worker.store(&path, 500, at_ms(n)).expect("room");
        if scan {
            worker
                .store(&format!("/scan/{n}"), 500, at_ms(n))
                .expect("room");
        }
    }
    let writes = memory.calls().1;
    let now = at_ms(requests);
    let found = (0..20_000).filter(|_| {
        let path = format!("/{}", zipf.draw());
        worker.lookup(&path, now).is_some()
    });
    (found.count() / 200, writes)
}

#[test]
fn four_of_five_requests_of_a_zipf_mix_are_served_in_an_outage() {
    let (hits, _) = outage(200_000, false);
    assert!(hits >= 80, "{hits}");
}

#[test]
fn a_scan_does_not_push_out_what_is_asked_for_often() {
    let (hits, writes) = outage(200_000, true);
    assert!(hits >= 75, "{hits}");
    assert!(writes < 200_000, "{writes}");
}

/// A client that invents URLs faster than all others ask.
#[test]
fn invented_urls_leave_the_hot_ones_alone() {
    let memory = Memory::default();
    let mut worker = Worker::new(BYTES, &memory);
    for n in 0..100_000_u64 {
        if n % 10 == 0 {
            let path = format!("/{}", n / 10 % 200);
            worker.store(&path, 500, at_ms(n)).expect("room");
        }
        worker
            .store(&format!("/invented/{n}"), 500, at_ms(n))
            .expect("room");
    }
    assert_eq!(there(&mut worker, 0..200, at_ms(100_000)).len(), 200);
}
