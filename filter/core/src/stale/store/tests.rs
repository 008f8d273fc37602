//! The limit of bytes under concurrent workers, and eviction.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::exchange::Request;
use crate::stale::clear;
use crate::stale::index::{Index, SLOTS};
use crate::stale::sets::SETS_MAX;
use crate::testing::{Memory, TestRequest, at_ms};

mod admission;
mod freshness;
mod parts;
mod race;
mod variants;

const SEED: u64 = 7;
const INTERVAL: Span = Span::from_ms(100);
const RENEWAL: Span = Span::from_secs(10);
const LIFETIME: Span = Span::from_secs(3_600);
const RECORDING_BYTES: u32 = 65_536;

fn store(stale_bytes: u32) -> StaleStore {
    let mut store = StaleStore::new(Bounds {
        stale_bytes,
        recording_bytes: RECORDING_BYTES,
        interval: INTERVAL,
        ignores_query: false,
    });
    store.set_seed(SEED);
    store
}

/// One worker with its store, over shared memory.
struct Worker {
    store: StaleStore,
    memory: Memory,
    buffer: Vec<u8>,
    /// Whether the response to the last request may be stored.
    is_due: bool,
}

impl Worker {
    fn new(stale_bytes: u32, memory: &Memory) -> Worker {
        Worker {
            store: store(stale_bytes),
            memory: memory.clone(),
            buffer: Vec::new(),
            is_due: false,
        }
    }

    fn enter(&mut self, request: &TestRequest, now: Instant) -> Handle {
        let scope = CacheScope {
            policy: 0,
            key: b"",
        };
        let outline = Outline::of(request);
        assert!(self.store.set_request(request, &outline, scope));
        self.is_due = self.store.may_be_due(now);
        let headers = request.copy_headers();
        let handle = self.store.insert(0, Purpose::Get, headers, now);
        handle.expect("room")
    }

    fn begin(&mut self, path: &str, now: Instant) -> Result<(Handle, bool), NotStored> {
        self.begin_with(&get(path), &[], now)
    }

    fn begin_with(
        &mut self,
        request: &TestRequest,
        response: &[(&str, &str)],
        now: Instant,
    ) -> Result<(Handle, bool), NotStored> {
        let handle = self.enter(request, now);
        if !self.is_due {
            return Ok((handle, false));
        }
        let mut headers = Headers::default();
        headers.push(b":status", b"200");
        for (name, value) in response {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let begun = self
            .store
            .begin(&mut self.memory, handle, &headers, terms(now));
        begun.map(|begun| (handle, begun))
    }

    /// Records a response and stores it.
    fn store(&mut self, path: &str, len: usize, now: Instant) -> Result<Option<u32>, NotStored> {
        self.store_with(&get(path), &[], len, now)
    }

    fn store_with(
        &mut self,
        request: &TestRequest,
        response: &[(&str, &str)],
        len: usize,
        now: Instant,
    ) -> Result<Option<u32>, NotStored> {
        let length = format!("{len}");
        let lines = [response, &[("content-length", &*length)]].concat();
        let (handle, begun) = self.begin_with(request, &lines, now)?;
        let pushed = match begun {
            true => self.store.push(handle, &vec![b'b'; len]),
            false => Ok(()),
        };
        let put = pushed.and_then(|()| {
            self.store
                .finish(&mut self.memory, handle, now, &mut self.buffer)
        });
        self.store.remove(handle);
        put
    }

    fn lookup(&mut self, path: &str, now: Instant) -> Option<StoredResponse> {
        self.lookup_for(&get(path), now)
    }

    fn lookup_for(&mut self, request: &TestRequest, now: Instant) -> Option<StoredResponse> {
        let handle = self.enter(request, now);
        let found = self
            .store
            .lookup(&mut self.memory, handle, now, &mut self.buffer);
        let stored = found.map(|(stored, _)| stored);
        self.store.remove(handle);
        stored
    }

    fn invalidate(&mut self, path: &str) {
        let uri = Outline::of(&get(path)).uri(Some(b"c"), SEED);
        self.store
            .invalidate(&mut self.memory, uri, &mut self.buffer);
    }
}

fn terms(now: Instant) -> Terms {
    Terms {
        vouched: true,
        unix_secs: 0,
        lifetime: LIFETIME,
        renewal: RENEWAL,
        now,
    }
}

fn get(path: &str) -> TestRequest {
    TestRequest::cluster("c")
        .with(":method", "GET")
        .with(":path", path)
}

/// Returns the bytes in all slots, and those that the indices list.
fn stored_bytes(memory: &Memory) -> (usize, usize) {
    let mut memory = memory.clone();
    let names = memory.names();
    let slots = names.iter().filter(|name| name.matches('/').count() == 2);
    let actual = slots.map(|name| memory.bytes(name).map_or(0, |it| it.len()));
    let actual = actual.sum();
    let indexed = (0..SETS_MAX).map(|set| Index::read(&mut memory, set).0.bytes());
    (actual, indexed.sum())
}

#[test]
fn every_worker_finds_a_stored_response() {
    let memory = Memory::default();
    let (mut first, mut second) = (Worker::new(65_536, &memory), Worker::new(65_536, &memory));
    assert_eq!(first.store("/a", 100, at_ms(0)), Ok(Some(0)));
    let stored = second.lookup("/a", at_ms(1)).expect("a response");
    assert_eq!((stored.body.len(), stored.at), (100, at_ms(0)));
    assert_eq!(second.lookup("/b", at_ms(1)), None);
}

/// A change finds all responses of its URI, and reads only their indexes if there are none.
#[test]
fn a_change_invalidates_only_its_own_uri() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_048_576, &memory);
    for n in 0..50 {
        let vary = [("vary", "accept")];
        for accept in ["a", "b"] {
            let request = get(&format!("/{n}")).with("accept", accept);
            let put = worker.store_with(&request, &vary, 10, at_ms(0));
            assert_eq!(put, Ok(Some(0)));
        }
    }
    let before = memory.calls();
    worker.invalidate("/none");
    assert_eq!(
        (memory.calls().0 - before.0, memory.calls().1),
        (8, before.1)
    );
    worker.invalidate("/7");
    for n in 0..50 {
        for accept in ["a", "b"] {
            let request = get(&format!("/{n}")).with("accept", accept);
            assert_eq!(
                worker.lookup_for(&request, at_ms(1)).is_some(),
                n != 7,
                "{n}"
            );
        }
    }
}

#[test]
fn an_unfinished_response_does_not_delay_others() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    let (aborted, begun) = worker.begin("/a", at_ms(0)).expect("room");
    assert!(begun);
    worker.store.remove(aborted);
    let (hangs, begun) = worker.begin("/a", at_ms(1)).expect("room");
    assert!(begun);
    assert_eq!(worker.store("/a", 10, at_ms(2)), Ok(Some(0)));
    // The one that ends later is the same response again.
    let put = |worker: &mut Worker, at| {
        worker
            .store
            .finish(&mut worker.memory, hangs, at_ms(at), &mut worker.buffer)
    };
    assert_eq!(put(&mut worker, 50), Ok(None));
}

#[test]
fn a_response_that_is_too_large_is_dropped_at_once() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    let (stream, _) = worker.begin("/a", at_ms(0)).expect("room");
    let chunk = [0; 1_050];
    for _ in 0..3 {
        assert_eq!(worker.store.push(stream, &chunk), Ok(()));
    }
    assert_eq!(worker.store.fits(stream, 1_050), Some(false));
    assert_eq!(worker.store.push(stream, &chunk), Err(NotStored::TooLarge));
    assert_eq!(worker.store.fits(stream, 1), None);
    worker.store.remove(stream);
    // If the headers say so, recording does not even begin.
    let indexed = [("content-length", "4096")];
    let begun = worker.begin_with(&get("/b"), &indexed, at_ms(0));
    assert_eq!(begun, Err(NotStored::TooLarge));
    assert_eq!(memory.names(), [""; 0]);
}

#[test]
fn recordings_are_bounded_and_inactive_ones_make_room() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_073_741_824, &memory);
    let streams: Vec<Handle> = (0..20)
        .map(|n| worker.begin(&format!("/{n}"), at_ms(0)).expect("room").0)
        .collect();
    // The first one stalls, the others continue in turn.
    let chunk = [0; 1_000];
    for _ in 0..14 {
        for stream in &streams[1..] {
            let _ = worker.store.push(*stream, &chunk);
            assert!(worker.store.pending.bytes() <= RECORDING_BYTES as usize);
        }
    }
    let there = |worker: &Worker, stream: &Handle| worker.store.fits(*stream, 0).is_some();
    let left = streams.iter().filter(|it| there(&worker, it)).count();
    assert!(
        (1..19).contains(&left) && !there(&worker, &streams[0]),
        "{left}"
    );
    let dropped = core::iter::from_fn(|| worker.store.next_dropped()).count();
    assert_eq!(dropped, 20 - left);
    // A new one has room at once.
    assert_eq!(worker.store("/new", 1_000, at_ms(0)), Ok(Some(0)));
    streams.iter().for_each(|it| worker.store.remove(*it));
    assert_eq!(worker.store.pending.bytes(), 0);
    // One that is larger than the limit is not recorded, and drops no other.
    let (small, _) = worker.begin("/small", at_ms(500)).expect("room");
    let (large, _) = worker.begin("/large", at_ms(500)).expect("room");
    let pushed = worker.store.push(large, &vec![0; RECORDING_BYTES as usize]);
    assert_eq!(
        (pushed, there(&worker, &small)),
        (Err(NotStored::Full), true)
    );
}

/// Each row: all bytes, the sets, the bytes of one, and the largest record.
#[test]
fn sets_share_the_bytes() {
    let rows = [
        (4_096, 1, 4_096, 4_096),
        (65_535, 1, 65_535, 65_535),
        (65_536, 2, 32_768, 32_768),
        (1_048_576, 32, 32_768, 131_072),
        (8_388_608, 256, 32_768, 1_048_576),
        (1_073_741_824, 256, 4_194_304, 134_217_728),
    ];
    for (bytes, count, share, bytes_max) in rows {
        let sets = store(bytes).sets;
        let found = (sets.count, sets.share, sets.bytes_max());
        assert_eq!(found, (count, share, bytes_max), "{bytes}");
    }
}

#[test]
fn any_number_of_resources_uses_the_same_slots() {
    let memory = Memory::default();
    let mut worker = Worker::new(2_097_152, &memory);
    for number in 0..20_000_u64 {
        let path = format!("/{number}");
        worker.store(&path, 300, at_ms(number)).expect("room");
    }
    assert!(memory.names().len() <= 64 * (SLOTS + 1));
    let (actual, indexed) = stored_bytes(&memory);
    assert!(
        actual <= indexed && indexed <= 2_097_152,
        "{actual} {indexed}"
    );
}

#[test]
fn a_damaged_index_empties_its_slots() {
    let memory = Memory::default();
    let mut worker = Worker::new(32_768, &memory);
    worker.store("/a", 1_000, at_ms(0)).expect("room");
    worker.store("/b", 1_000, at_ms(0)).expect("room");
    memory.overwrite("stale/0", b"nonsense");
    assert_eq!(worker.lookup("/a", at_ms(1)), None);
    assert_eq!(stored_bytes(&memory).0, 0);
    // The worker finds out when it looks again.
    assert_eq!(worker.store("/a", 1_001, at_ms(200)), Ok(Some(0)));
    assert!(worker.lookup("/a", at_ms(201)).is_some());
    // A damaged slot only misses.
    memory.overwrite("stale/0/0", b"nonsense");
    assert_eq!(worker.lookup("/a", at_ms(202)), None);
}

/// Cuts, swaps and overwrites bytes of an index in every place.
#[test]
fn a_damaged_index_is_never_misread() {
    let memory = Memory::default();
    let mut worker = Worker::new(32_768, &memory);
    let vary = [("vary", "accept")];
    let request = get("/a").with("accept", "b");
    worker
        .store_with(&request, &vary, 10, at_ms(0))
        .expect("room");
    let whole = memory.bytes("stale/0").expect("an index");
    let slot = memory.bytes("stale/0/0").expect("a response");
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x41;
        for damaged in [&flipped, &whole[..at]] {
            memory.overwrite("stale/0", damaged);
            memory.overwrite("stale/0/0", &slot);
            worker.invalidate("/b");
            assert_eq!(worker.lookup_for(&request, at_ms(1)), None, "{at}");
            assert_eq!(stored_bytes(&memory).0, 0, "{at}");
        }
    }
}

#[test]
fn sets_that_the_configuration_does_not_use_are_emptied() {
    let memory = Memory::default();
    let mut worker = Worker::new(2_097_152, &memory);
    for number in 0..50 {
        let path = format!("/{number}");
        worker.store(&path, 100, at_ms(0)).expect("room");
    }
    let before = stored_bytes(&memory).0;
    let mut shared = memory.clone();
    clear(&mut shared, 20, &mut Vec::new());
    let after = stored_bytes(&memory);
    assert!(
        after.0 > 0 && after.0 < before && after.0 == after.1,
        "{before} {after:?}"
    );
    clear(&mut shared, 0, &mut Vec::new());
    assert_eq!(stored_bytes(&memory), (0, 0));
}

#[test]
fn losing_every_write_stores_nothing_and_breaks_nothing() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    memory.lose(100);
    assert_eq!(worker.store("/a", 10, at_ms(0)), Err(NotStored::GivenUp));
    memory.lose(0);
    assert_eq!(worker.lookup("/a", at_ms(1)), None);
    assert_eq!(worker.store("/a", 10, at_ms(200)), Ok(Some(0)));
}
