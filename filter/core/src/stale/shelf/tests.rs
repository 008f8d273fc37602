//! The bound on bytes, whatever workers do at the same time; and who goes first.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::headers::Headers;
use crate::random::Random;
use crate::stale::Under;
use crate::testing::{Asking, BeforeWrite, Memory, at_ms};

const SEED: u64 = 7;
const INTERVAL: Span = Span::from_ms(100);

/// One worker with its shelf, over memory that it shares with others.
struct Worker {
    shelf: Shelf,
    memory: Memory,
    buffer: Vec<u8>,
}

impl Worker {
    fn new(stale_bytes: u32, memory: &Memory) -> Worker {
        Worker {
            shelf: Shelf::new(stale_bytes, INTERVAL),
            memory: memory.clone(),
            buffer: Vec::new(),
        }
    }

    /// Takes an answer down and keeps it.
    fn keep(&mut self, path: &str, len: usize, now: Instant) -> Result<Option<u32>, Unkept> {
        let mut collection = collection(path, now);
        if !self.shelf.begin(&mut collection, now)? {
            return Ok(None);
        }
        let pushed = self.shelf.push(&mut collection, &vec![b'b'; len]);
        let put = pushed.and_then(|()| {
            self.shelf
                .put(&mut self.memory, &collection, now, &mut self.buffer)
        });
        self.shelf.drop_collection(&collection);
        put.map(Some)
    }

    fn find(&mut self, path: &str, now: Instant) -> Option<Kept> {
        let asked = asked(path, now);
        self.shelf
            .find(&mut self.memory, &asked, now, &mut self.buffer)
    }

    fn forget(&mut self, path: &str) {
        let asked = asked(path, at_ms(0));
        self.shelf
            .forget(&mut self.memory, &asked, &mut self.buffer);
    }
}

fn asked(path: &str, now: Instant) -> Asked {
    let under = Under {
        policy: "p",
        key_make: 0,
        key: b"",
    };
    let request = Asking::cluster("c")
        .with(":method", "GET")
        .with(":path", path);
    Asked::new(&request, under, SEED, now).expect("a GET")
}

fn collection(path: &str, now: Instant) -> Collection {
    let mut headers = Headers::default();
    headers.push(b":status", b"200");
    Collection::new(&asked(path, now), &headers, true, 0, SEED).expect("one to keep")
}

/// What lies in all slots, and what the accounts say.
fn lying(memory: &Memory) -> (usize, usize) {
    let mut memory = memory.clone();
    let names = memory.names();
    let slots = names.iter().filter(|name| name.matches('/').count() == 2);
    let lies = slots.map(|name| memory.bytes(name).map_or(0, |it| it.len()));
    let lies = lies.sum();
    let told =
        (0..SHARDS_MAX).map(|shard| Account::read(&mut memory, shard).0.bytes_without(SLOTS));
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
fn the_same_answer_is_not_kept_again_at_once() {
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
    // But for one that was changed meanwhile.
    worker.forget("/a");
    assert_eq!(worker.find("/a", at_ms(200)), None);
    assert_eq!(worker.keep("/a", 10, at_ms(201)), Ok(Some(0)));
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
fn what_is_too_large_is_let_go_at_once() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    let mut stream = collection("/a", at_ms(0));
    assert_eq!(worker.shelf.begin(&mut stream, at_ms(0)), Ok(true));
    let piece = [0; 1_000];
    for _ in 0..3 {
        assert_eq!(worker.shelf.push(&mut stream, &piece), Ok(()));
    }
    assert!(!worker.shelf.fits(&stream, 1_000));
    assert_eq!(
        worker.shelf.push(&mut stream, &piece),
        Err(Unkept::TooLarge)
    );
    worker.shelf.drop_collection(&stream);
    assert_eq!(worker.shelf.collecting, 0);
    // What says so itself is not even begun.
    let mut told = collection("/b", at_ms(0));
    told.length = Some(4_096);
    assert_eq!(
        worker.shelf.begin(&mut told, at_ms(0)),
        Err(Unkept::TooLarge)
    );
    assert_eq!(memory.names(), [""; 0]);
}

#[test]
fn all_that_is_taken_down_at_once_is_bounded() {
    let memory = Memory::default();
    let mut worker = Worker::new(4_096, &memory);
    let mut streams: Vec<Collection> = (0..9)
        .map(|n| collection(&format!("/{n}"), at_ms(0)))
        .collect();
    let mut taken = 0;
    for stream in &mut streams {
        assert_eq!(worker.shelf.begin(stream, at_ms(0)), Ok(true));
        taken += usize::from(worker.shelf.push(stream, &[0; 1_000]).is_ok());
    }
    assert_eq!((taken, worker.shelf.collecting), (4, 4_000));
    streams
        .iter()
        .for_each(|stream| worker.shelf.drop_collection(stream));
    assert_eq!(worker.shelf.collecting, 0);
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
        let shelf = Shelf::new(bytes, INTERVAL);
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
    assert_eq!(memory.names().len(), 2 * (SLOTS + 1));
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
    assert_eq!(worker.keep("/a", 10, at_ms(0)), Err(Unkept::GivenUp));
    memory.lose(0);
    assert_eq!(worker.find("/a", at_ms(1)), None);
    assert_eq!(worker.keep("/a", 10, at_ms(200)), Ok(Some(0)));
}
