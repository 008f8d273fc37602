//! Responses that are larger than the share of a set.

use super::*;

/// Each row: the bytes of the store, the length of a response, and in how many records it is.
#[test]
fn a_large_response_is_divided_among_sets() {
    let rows = [
        (1_048_576, 30_000, 1),
        (1_048_576, 33_000, 3),
        (1_048_576, 120_000, 8),
        (8_388_608, 1_000_000, 62),
    ];
    for (bytes, len, expected) in rows {
        let memory = Memory::default();
        let mut worker = Worker::new(bytes, &memory);
        worker.store = StaleStore::new(Bounds {
            stale_bytes: bytes,
            recording_bytes: 4_194_304,
            interval: INTERVAL,
            ignores_query: false,
        });
        worker.store.set_seed(SEED);
        assert_eq!(worker.store("/a", len, at_ms(0)), Ok(Some(0)), "{len}");
        let stored = worker.lookup("/a", at_ms(1));
        assert_eq!(stored.map(|it| it.body.len()), Some(len));
        let slots = |memory: &Memory| {
            let names = memory.names().into_iter();
            names
                .filter(|name| name.matches('/').count() == 2)
                .collect::<Vec<_>>()
        };
        assert_eq!(slots(&memory).len(), expected, "{len}");
        let (actual, indexed) = stored_bytes(&memory);
        assert_eq!(actual, indexed);
        // A smaller one replaces it.
        assert_eq!(worker.store("/a", 10, at_ms(100)), Ok(Some(0)), "{len}");
        let stored = worker.lookup("/a", at_ms(101));
        assert_eq!(stored.map(|it| it.body.len()), Some(10));
    }
}

#[test]
fn a_response_without_one_of_its_parts_is_absent() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_048_576, &memory);
    let mut old = Memory::default();
    for len in [60_000, 60_001] {
        let ms = (len - 60_000) * 100;
        assert_eq!(worker.store("/a", len, at_ms(ms as u64)), Ok(Some(0)));
        if len == 60_000 {
            old = Memory::default();
            for name in memory.names() {
                old.overwrite(&name, &memory.bytes(&name).expect("a record"));
            }
        }
    }
    assert!(worker.lookup("/a", at_ms(101)).is_some());
    let slots = memory.names().into_iter();
    let slots: Vec<_> = slots
        .filter(|name| name.matches('/').count() == 2)
        .collect();
    assert_eq!(slots.len(), 4);
    for slot in slots {
        let now = memory.bytes(&slot).expect("a part");
        let before = old.bytes(&slot).expect("a part");
        for damaged in [&b""[..], &before[..], &now[1..]] {
            if *damaged == *now {
                continue;
            }
            memory.overwrite(&slot, damaged);
            assert_eq!(worker.lookup("/a", at_ms(102)), None, "{slot}");
        }
        memory.overwrite(&slot, &now);
    }
    assert!(worker.lookup("/a", at_ms(103)).is_some());
    worker.invalidate("/a");
    assert_eq!(worker.lookup("/a", at_ms(104)), None);
}
