//! When a response that is stored already is stored again.

use super::*;

#[test]
fn a_changed_response_replaces_the_stored_one() {
    let memory = Memory::default();
    let mut worker = Worker::new(32_768, &memory);
    for (at, len) in [(0, 10), (100, 20), (200, 15)] {
        assert_eq!(worker.store("/a", len, at_ms(at)), Ok(Some(0)));
    }
    let body_len = worker.lookup("/a", at_ms(300)).map(|it| it.body.len());
    assert_eq!(body_len, Some(15));
    assert_eq!(memory.names(), ["stale/0", "stale/0/0"]);
}

/// Each row: headers of two responses, and whether the second is stored over the first.
#[test]
fn a_validator_tells_whether_a_response_has_changed() {
    type Row<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, &'a str)], bool);
    let (tag, other) = (("etag", "\"1\""), ("etag", "\"2\""));
    let date = ("last-modified", "Sun, 06 Nov 1994 08:00:00 GMT");
    let later = ("last-modified", "Sun, 06 Nov 1994 08:00:01 GMT");
    let (length, longer) = (("content-length", "10"), ("content-length", "11"));
    let rows: &[Row<'_>] = &[
        (&[], &[], false),
        (&[tag], &[tag], false),
        (&[tag], &[other], true),
        (&[tag], &[], true),
        (&[], &[tag], true),
        // A tag says more than a date, and a date more than a length.
        (&[tag, date], &[tag, later], false),
        (&[date], &[date], false),
        (&[date], &[later], true),
        (&[date, length], &[date, longer], false),
        (&[length], &[length], false),
        (&[length], &[longer], true),
    ];
    for (first, second, stored) in rows {
        let memory = Memory::default();
        let mut worker = Worker::new(65_536, &memory);
        let body_len = |lines: &[(&str, &str)]| 10 + usize::from(lines.contains(&longer));
        let mut put = |lines: &[(&str, &str)], at| {
            let (handle, begun) = worker
                .begin_with(&get("/a"), lines, at_ms(at))
                .expect("room");
            let body = vec![b'b'; body_len(lines)];
            let put = begun.then(|| {
                worker.store.push(handle, &body).and_then(|()| {
                    worker
                        .store
                        .finish(&mut worker.memory, handle, at_ms(at), &mut worker.buffer)
                })
            });
            put == Some(Ok(Some(0)))
        };
        assert_eq!(
            (put(first, 0), put(second, 100)),
            (true, *stored),
            "{first:?} {second:?}"
        );
    }
}

/// Each row: time, length of the response, and whether it is stored.
#[test]
fn the_same_response_is_not_stored_again_until_it_is_old() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    let rows = [
        (0, 10, true),
        (0, 11, false),
        (99, 11, false),
        (100, 10, false),
        // It was looked at a moment ago.
        (199, 11, false),
        (200, 11, true),
        (10_199, 11, false),
        (10_200, 11, false),
        (10_299, 11, true),
        (10_300, 12, false),
    ];
    for (at, len, stored) in rows {
        let put = worker.store("/a", len, at_ms(at)).expect("room");
        assert_eq!(put.is_some(), stored, "{at}");
    }
    // A change in between allows it once.
    let rows = [
        (10_301, true),
        (10_302, false),
        (10_398, false),
        (10_399, true),
        (10_400, true),
    ];
    for (at, stored) in rows {
        worker.invalidate("/a");
        assert_eq!(worker.lookup("/a", at_ms(at)), None);
        let put = worker.store("/a", 10, at_ms(at)).expect("room");
        assert_eq!(put.is_some(), stored, "{at}");
    }
}

#[test]
fn a_response_that_another_worker_has_stored_is_not_stored_again() {
    let memory = Memory::default();
    let (mut first, mut second) = (Worker::new(65_536, &memory), Worker::new(65_536, &memory));
    let language = get("/a").with("accept-language", "de");
    let vary = [("vary", "accept-language")];
    for (request, response) in [(get("/a"), &[][..]), (language, &vary)] {
        let put = |worker: &mut Worker, len, ms| {
            worker
                .store_with(&request, response, len, at_ms(ms))
                .expect("room")
                .is_some()
        };
        let before = memory.calls().1;
        assert!(put(&mut first, 10, 0));
        assert!(!put(&mut second, 10, 0) && !put(&mut second, 10, 9_000));
        assert_eq!(memory.calls().1 - before, 2);
        // It is as old as the one that was stored.
        assert!(put(&mut second, 10, 10_000) && put(&mut first, 12, 10_100));
    }
}

/// A client that changes one URL as fast as it can must not cause writes for another.
#[test]
fn a_change_does_not_store_other_urls_again() {
    let memory = Memory::default();
    let mut worker = Worker::new(65_536, &memory);
    let mut stored = 0;
    for ms in 0..1_000 {
        worker.invalidate("/hostile");
        stored += usize::from(worker.store("/a", 10, at_ms(ms)) == Ok(Some(0)));
    }
    assert_eq!(stored, 1);
    // Its own URL is stored at most once more per interval.
    stored = 0;
    for ms in 1_000..2_000 {
        worker.invalidate("/a");
        stored += usize::from(worker.store("/a", 10, at_ms(ms)) == Ok(Some(0)));
    }
    assert!((19..=20).contains(&stored), "{stored}");
}

/// 5,000 URLs in turn for a minute: each is stored once per renewal, and each other look costs
/// no shared memory.
#[test]
fn many_urls_in_turn_cost_few_writes() {
    let memory = Memory::default();
    let mut worker = Worker::new(8_388_608, &memory);
    let paths: Vec<_> = (0..5_000).map(|n| format!("/{n}")).collect();
    let mut stored = 0;
    let requests = 60_000;
    for request in 0..requests {
        let path = &paths[request % paths.len()];
        let put = worker
            .store(path, 500, at_ms(request as u64))
            .expect("room");
        stored += usize::from(put.is_some());
        assert_ne!(put, Some(1), "{path}");
    }
    let (reads, writes) = memory.calls();
    assert!((5_000..=30_100).contains(&stored), "{stored}");
    assert!(
        writes as usize == 2 * stored && reads < 4 * stored,
        "{reads} {writes}"
    );
}
