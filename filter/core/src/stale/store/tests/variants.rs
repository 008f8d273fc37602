//! Responses that vary by the headers of their requests.

use super::*;

/// A lookup reads the indexes of the eight sets that a URI may be in, and one response.
#[test]
fn a_lookup_reads_as_many_records_for_any_number_of_variants() {
    for variants in [1, 2, 255] {
        let memory = Memory::default();
        let mut worker = Worker::new(1_048_576, &memory);
        let language = |n: usize| get("/a").with("accept-language", format!("l{n}"));
        for n in 0..variants {
            let vary = [("vary", "accept-language")];
            let put = worker.store_with(&language(n), &vary, n, at_ms(0));
            assert_eq!(put, Ok(Some(0)));
        }
        for n in [0, variants - 1] {
            let before = memory.calls();
            let stored = worker.lookup_for(&language(n), at_ms(1));
            assert_eq!(stored.map(|it| it.body.len()), Some(n));
            let after = memory.calls();
            assert_eq!((after.0 - before.0, after.1 - before.1), (9, 0));
        }
        let before = memory.calls().0;
        assert_eq!(worker.lookup_for(&language(variants), at_ms(1)), None);
        assert_eq!(memory.calls().0 - before, 8);
        // Storing reads one index: at the headers, and before and after the write.
        let before = memory.calls().0;
        let vary = [("vary", "accept-language")];
        let put = worker.store_with(&language(0), &vary, 3, at_ms(200));
        assert_eq!((put, memory.calls().0 - before), (Ok(Some(0)), 3));
    }
}

#[test]
fn a_lookup_finds_the_newest_of_several_vary_lists() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_048_576, &memory);
    let plain = get("/a").with("accept", "a").with("b", "1");
    let lists: [&[(&str, &str)]; 3] = [&[], &[("vary", "accept")], &[("vary", "b, accept")]];
    for (n, vary) in lists.into_iter().chain(lists).enumerate() {
        let now = at_ms(200 * n as u64);
        assert_eq!(worker.store_with(&plain, vary, n, now), Ok(Some(0)));
        let found = worker.lookup_for(&plain, now).map(|it| it.body.len());
        assert_eq!(found, Some(n));
    }
    let other = get("/a").with("accept", "a").with("b", "2");
    let found = worker
        .lookup_for(&other, at_ms(2_000))
        .map(|it| it.body.len());
    assert_eq!(found, Some(4));
}

/// Each response has its own list in the index.
#[test]
fn any_number_of_vary_lists_is_possible() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_048_576, &memory);
    for n in 0..100_u64 {
        let (name, now) = (format!("x-{n}"), at_ms(n));
        let vary = [("vary", &*name)];
        let put = worker.store_with(&get(&format!("/{n}")), &vary, 10, now);
        assert_eq!(put, Ok(Some(0)));
    }
    for n in 0..100 {
        assert!(worker.lookup(&format!("/{n}"), at_ms(100)).is_some(), "{n}");
        // Nor is any of them stored again, whether or not this worker knows its names.
        let vary = [("vary", &*format!("x-{n}"))];
        let put = worker.store_with(&get(&format!("/{n}")), &vary, 10, at_ms(300));
        assert_eq!(put, Ok(None), "{n}");
    }
    let long = "x".repeat(300);
    let put = worker.store_with(&get("/long"), &[("vary", &long)], 10, at_ms(500));
    assert_eq!(put, Ok(None));
}
