//! The bound on bytes, whatever workers do at the same time; and who goes first.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::exchange::Request;
use crate::random::Random;
use crate::stale::index::SLOTS;
use crate::stale::{CacheScope, Outline};
use crate::testing::{Asking, BeforeWrite, Memory, at_ms};

mod variants;

const SEED: u64 = 7;
const INTERVAL: Span = Span::from_ms(100);
const RECORDING_BYTES: u32 = 65_536;

fn shelf(stale_bytes: u32) -> StaleStore {
    let mut shelf = StaleStore::new(Bounds {
        stale_bytes,
        recording_bytes: RECORDING_BYTES,
        interval: INTERVAL,
    });
    shelf.hash_by(SEED);
    shelf
}

/// One worker with its store, over memory that it shares with others.
struct Worker {
    shelf: StaleStore,
    memory: Memory,
    buffer: Vec<u8>,
}

impl Worker {
    fn new(stale_bytes: u32, memory: &Memory) -> Worker {
        Worker {
            shelf: shelf(stale_bytes),
            memory: memory.clone(),
            buffer: Vec::new(),
        }
    }

    fn enter(&mut self, request: &Asking, now: Instant) -> Handle {
        let under = CacheScope {
            policy: 0,
            key: b"",
        };
        let outline = Outline::of(request);
        assert!(self.shelf.ask(request, &outline, under));
        let headers = request.copy_headers();
        let handle = self.shelf.enter(0, Purpose::Get, headers, now);
        handle.expect("room")
    }

    fn begin(&mut self, path: &str, now: Instant) -> Result<(Handle, bool), NotStored> {
        self.begin_with(&get(path), &[], now)
    }

    fn begin_with(
        &mut self,
        request: &Asking,
        response: &[(&str, &str)],
        now: Instant,
    ) -> Result<(Handle, bool), NotStored> {
        let handle = self.enter(request, now);
        let mut headers = Headers::default();
        headers.push(b":status", b"200");
        for (name, value) in response {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let begun = self.shelf.begin(handle, &headers, terms(now));
        begun.map(|begun| (handle, begun))
    }

    /// Records a response and stores it.
    fn keep(&mut self, path: &str, len: usize, now: Instant) -> Result<Option<u32>, NotStored> {
        self.keep_with(&get(path), &[], len, now)
    }

    fn keep_with(
        &mut self,
        request: &Asking,
        response: &[(&str, &str)],
        len: usize,
        now: Instant,
    ) -> Result<Option<u32>, NotStored> {
        let (handle, begun) = self.begin_with(request, response, now)?;
        let pushed = match begun {
            true => self.shelf.push(handle, &vec![b'b'; len]),
            false => Ok(()),
        };
        let put = pushed.and_then(|()| {
            self.shelf
                .put(&mut self.memory, handle, now, &mut self.buffer)
        });
        self.shelf.leave(handle);
        put
    }

    fn find(&mut self, path: &str, now: Instant) -> Option<StoredResponse> {
        self.find_for(&get(path), now)
    }

    fn find_for(&mut self, request: &Asking, now: Instant) -> Option<StoredResponse> {
        let handle = self.enter(request, now);
        let found = self
            .shelf
            .find(&mut self.memory, handle, now, &mut self.buffer);
        let kept = found.map(|(kept, _)| kept);
        self.shelf.leave(handle);
        kept
    }

    fn forget(&mut self, path: &str) {
        let uri = Outline::of(&get(path)).uri(Some(b"c"), SEED);
        self.shelf.forget(&mut self.memory, uri, &mut self.buffer);
    }
}

fn terms(now: Instant) -> Terms {
    Terms {
        vouched: true,
        unix_secs: 0,
        now,
    }
}

fn get(path: &str) -> Asking {
    Asking::cluster("c")
        .with(":method", "GET")
        .with(":path", path)
}

/// What lies in all slots, and what the accounts say.
fn lying(memory: &Memory) -> (usize, usize) {
    let mut memory = memory.clone();
    let names = memory.names();
    let slots = names.iter().filter(|name| name.matches('/').count() == 2);
    let lies = slots.map(|name| memory.bytes(name).map_or(0, |it| it.len()));
    let lies = lies.sum();
    let told = (0..SHARDS_MAX).map(|shard| Index::read(&mut memory, shard).0.bytes_without(SLOTS));
    (lies, told.sum())
}

#[test]
fn what_was_kept_is_found_by_every_worker() {
    let memory = Memory::default();
    let (mut first, mut second) = (Worker::new(65_536, &memory), Worker::new(65_536, &memory));
    assert_eq!(first.keep("/a", 100, at_ms(0)), Ok(Some(0)));
    let kept = second.find("/a", at_ms(1)).expect("an answer");
    assert_eq!((kept.body.len(), kept.at()), (100, at_ms(0)));
    assert_eq!(second.find("/b", at_ms(1)), None);
}

#[test]
fn the_newest_of_several_is_found_and_an_old_one_is_replaced() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    for (at, len) in [(0, 10), (100, 20), (200, 15)] {
        assert_eq!(worker.keep("/a", len, at_ms(at)), Ok(Some(0)));
    }
    assert_eq!(
        worker.find("/a", at_ms(300)).map(|it| it.body.len()),
        Some(15)
    );
    assert_eq!(memory.names(), ["stale/0", "stale/0/0"]);
}

#[test]
fn the_same_response_is_not_stored_again_at_once() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    let rows = [
        (0, true),
        (0, false),
        (99, false),
        (100, true),
        (199, false),
        (200, true),
    ];
    for (at, kept) in rows {
        let put = worker.keep("/a", 10, at_ms(at)).expect("room");
        assert_eq!(put.is_some(), kept, "{at}");
    }
    // Except for one that was changed meanwhile, once.
    for (at, stored) in [
        (201, true),
        (202, false),
        (299, false),
        (300, true),
        (301, true),
    ] {
        worker.forget("/a");
        assert_eq!(worker.find("/a", at_ms(at)), None);
        let put = worker.keep("/a", 10, at_ms(at)).expect("room");
        assert_eq!(put.is_some(), stored, "{at}");
    }
}

/// A client that changes one URL as fast as it can has no other stored more often.
#[test]
fn a_change_lets_no_other_url_be_stored_again() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    let mut stored = 0;
    for ms in 0..1_000 {
        worker.forget("/hostile");
        stored += usize::from(worker.keep("/a", 10, at_ms(ms)) == Ok(Some(0)));
    }
    assert_eq!(stored, 10);
    // Nor its own much more often.
    stored = 0;
    for ms in 1_000..2_000 {
        worker.forget("/a");
        stored += usize::from(worker.keep("/a", 10, at_ms(ms)) == Ok(Some(0)));
    }
    assert_eq!(stored, 20);
}

/// A change finds what is stored of its URI among the rest, and reads little where nothing is.
#[test]
fn a_change_makes_only_its_own_uri_forgotten() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_048_576, &memory);
    for n in 0..50 {
        let vary = [("vary", "accept")];
        for accept in ["a", "b"] {
            let request = get(&format!("/{n}")).with("accept", accept);
            let put = worker.keep_with(&request, &vary, 10, at_ms(0));
            assert_eq!(put, Ok(Some(0)));
        }
    }
    let before = memory.calls();
    worker.forget("/none");
    assert_eq!(
        (memory.calls().0 - before.0, memory.calls().1),
        (1, before.1)
    );
    worker.forget("/7");
    for n in 0..50 {
        for accept in ["a", "b"] {
            let request = get(&format!("/{n}")).with("accept", accept);
            assert_eq!(worker.find_for(&request, at_ms(1)).is_some(), n != 7, "{n}");
        }
    }
}

#[test]
fn a_response_that_does_not_come_to_its_end_delays_no_other() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    let (aborted, begun) = worker.begin("/a", at_ms(0)).expect("room");
    assert!(begun);
    worker.shelf.leave(aborted);
    let (hangs, begun) = worker.begin("/a", at_ms(1)).expect("room");
    assert!(begun);
    assert_eq!(worker.keep("/a", 10, at_ms(2)), Ok(Some(0)));
    // One that ends later is the same response once more.
    let put = |worker: &mut Worker, at| {
        worker
            .shelf
            .put(&mut worker.memory, hangs, at_ms(at), &mut worker.buffer)
    };
    assert_eq!(put(&mut worker, 50), Ok(None));
}

#[test]
fn what_was_used_last_stays() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    for number in 0..3 {
        let path = format!("/{number}");
        assert_eq!(worker.keep(&path, 1_000, at_ms(number)), Ok(Some(0)));
    }
    // Uses are noted each second.
    assert!(worker.find("/0", at_ms(2_000)).is_some());
    assert_eq!(worker.keep("/3", 1_000, at_ms(3_000)), Ok(Some(1)));
    let there = |worker: &mut Worker| {
        let found = (0..4).filter(|n| worker.find(&format!("/{n}"), at_ms(3_000)).is_some());
        found.collect::<Vec<_>>()
    };
    assert_eq!(there(&mut worker), [0, 2, 3]);
    // One that is larger lets several go.
    assert_eq!(worker.keep("/4", 3_000, at_ms(4_000)), Ok(Some(3)));
    assert_eq!(there(&mut worker), [0; 0]);
}

#[test]
fn what_is_too_large_is_dropped_at_once() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    let (stream, _) = worker.begin("/a", at_ms(0)).expect("room");
    let chunk = [0; 1_050];
    for _ in 0..3 {
        assert_eq!(worker.shelf.push(stream, &chunk), Ok(()));
    }
    assert_eq!(worker.shelf.fits(stream, 1_050), Some(false));
    assert_eq!(worker.shelf.push(stream, &chunk), Err(NotStored::TooLarge));
    assert_eq!(worker.shelf.fits(stream, 1), None);
    worker.shelf.leave(stream);
    // One that says so itself is not even begun.
    let told = [("content-length", "4096")];
    let begun = worker.begin_with(&get("/b"), &told, at_ms(0));
    assert_eq!(begun, Err(NotStored::TooLarge));
    assert_eq!(memory.names(), [""; 0]);
}

#[test]
fn all_that_is_recorded_at_once_is_bounded_and_the_quietest_makes_room() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_073_741_824, &memory);
    let streams: Vec<Handle> = (0..20)
        .map(|n| worker.begin(&format!("/{n}"), at_ms(0)).expect("room").0)
        .collect();
    // The first one stands still; the others go on in turn.
    let chunk = [0; 1_000];
    for _ in 0..14 {
        for stream in &streams[1..] {
            let _ = worker.shelf.push(*stream, &chunk);
            assert!(worker.shelf.pending.bytes() <= RECORDING_BYTES as usize);
        }
    }
    let there = |worker: &Worker, stream: &Handle| worker.shelf.fits(*stream, 0).is_some();
    let left = streams.iter().filter(|it| there(&worker, it)).count();
    assert!(
        (1..19).contains(&left) && !there(&worker, &streams[0]),
        "{left}"
    );
    let dropped = core::iter::from_fn(|| worker.shelf.next_dropped()).count();
    assert_eq!(dropped, 20 - left);
    // Another one has room at once, whatever the others hold.
    assert_eq!(worker.keep("/new", 1_000, at_ms(0)), Ok(Some(0)));
    streams.iter().for_each(|it| worker.shelf.leave(*it));
    assert_eq!(worker.shelf.pending.bytes(), 0);
    // One that is larger than all is not recorded, and no other goes for it.
    let (small, _) = worker.begin("/small", at_ms(500)).expect("room");
    let (large, _) = worker.begin("/large", at_ms(500)).expect("room");
    let pushed = worker.shelf.push(large, &vec![0; RECORDING_BYTES as usize]);
    assert_eq!(
        (pushed, there(&worker, &small)),
        (Err(NotStored::Full), true)
    );
}

#[test]
fn shards_share_the_bytes() {
    let rows = [
        (4_096, 1, 4_096),
        (1_048_576, 1, 1_048_576),
        (2_097_151, 1, 2_097_151),
        (8_388_608, 8, 1_048_576),
        (1_073_741_824, 16, 67_108_864),
    ];
    for (bytes, shards, each) in rows {
        let shelf = shelf(bytes);
        assert_eq!((shelf.shards, shelf.shard_bytes), (shards, each), "{bytes}");
    }
}

#[test]
fn any_number_of_resources_lies_in_the_same_slots() {
    let memory = Memory::default();
    let mut worker = Worker::new(2_097_152, &memory);
    for number in 0..20_000_u64 {
        let path = format!("/{number}");
        worker.keep(&path, 300, at_ms(number)).expect("room");
    }
    // Some slots of the second shard may be used later.
    assert!(memory.names().len() <= 2 * (SLOTS + 1));
    let (lies, told) = lying(&memory);
    assert!(lies <= told && told <= 2_097_152, "{lies} {told}");
}

/// Another worker keeps an answer just before the first one's write.
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
        let _ = rival.keep(&self.path, self.len, self.now);
    }
}

const BYTES: u32 = 4_096;

/// Several workers keep, find and forget at random, and come before each other's writes; at no
/// time lies there more than the account says, nor does that say more than there is room for;
/// and what is found is something that was kept under its name.
#[test]
fn no_more_lies_there_than_there_is_room_for_whatever_workers_do() {
    let mut found = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut draw = |below: u64| random.between(0, below - 1);
        let memory = Memory::default();
        let mut workers = [(); 3].map(|()| Worker::new(BYTES, &memory));
        let mut sizes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for step in 0..120 {
            let now = at_ms(step * 150);
            let path = format!("/{}", draw(8));
            let worker = &mut workers[usize::try_from(draw(3)).expect("small")];
            match draw(10) {
                0 => worker.forget(&path),
                1..=3 => {
                    if let Some(kept) = worker.find(&path, now) {
                        let known = sizes.get(&path);
                        let known = known.is_some_and(|it| it.contains(&kept.body.len()));
                        assert!(known, "seed {seed} step {step} {path}");
                        found += 1;
                    }
                }
                _ => {
                    let len = usize::try_from(draw(3_500)).expect("small");
                    // In a collection of the rival's own, or of the same resource.
                    if draw(3) == 0 {
                        let other = format!("/{}", draw(8));
                        let len = usize::try_from(draw(3_500)).expect("small");
                        sizes.entry(other.clone()).or_default().push(len);
                        memory.before_write(Box::new(Rival {
                            memory: memory.clone(),
                            path: other,
                            len,
                            now,
                        }));
                    }
                    if draw(6) == 0 {
                        memory.lose(usize::try_from(draw(10)).expect("small"));
                    }
                    sizes.entry(path.clone()).or_default().push(len);
                    let _ = worker.keep(&path, len, now);
                    memory.lose(0);
                }
            }
            let (lies, told) = lying(&memory);
            assert!(lies <= told, "seed {seed} step {step}: {lies} of {told}");
            assert!(told <= BYTES as usize, "seed {seed} step {step}: {told}");
        }
    }
    assert!(found > 1_000, "{found}");
}

#[test]
fn a_damaged_account_empties_its_slots() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    worker.keep("/a", 1_000, at_ms(0)).expect("room");
    worker.keep("/b", 1_000, at_ms(0)).expect("room");
    memory.overwrite("stale/0", b"nonsense");
    assert_eq!(worker.find("/a", at_ms(1)), None);
    assert_eq!(lying(&memory).0, 0);
    assert_eq!(worker.keep("/a", 1_000, at_ms(200)), Ok(Some(0)));
    assert!(worker.find("/a", at_ms(201)).is_some());
    // A slot alone is only missing.
    memory.overwrite("stale/0/0", b"nonsense");
    assert_eq!(worker.find("/a", at_ms(202)), None);
}

#[test]
fn what_no_configuration_looks_into_any_more_is_emptied() {
    let memory = Memory::default();
    let mut worker = Worker::new(2_097_152, &memory);
    for number in 0..50 {
        worker
            .keep(&format!("/{number}"), 100, at_ms(0))
            .expect("room");
    }
    let before = lying(&memory).0;
    let mut shared = memory.clone();
    clear(&mut shared, 1, &mut Vec::new());
    let after = lying(&memory);
    assert!(
        after.0 > 0 && after.0 < before && after.0 == after.1,
        "{before} {after:?}"
    );
    clear(&mut shared, 0, &mut Vec::new());
    assert_eq!(lying(&memory), (0, 0));
}

#[test]
fn losing_every_write_keeps_nothing_and_breaks_nothing() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    memory.lose(100);
    assert_eq!(worker.keep("/a", 10, at_ms(0)), Err(NotStored::GivenUp));
    memory.lose(0);
    assert_eq!(worker.find("/a", at_ms(1)), None);
    assert_eq!(worker.keep("/a", 10, at_ms(200)), Ok(Some(0)));
}
