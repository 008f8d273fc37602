//! Responses that vary by the headers of their requests.

use super::*;

/// Each row: how many variants there are. A look-up reads the index and one response.
#[test]
fn a_look_up_reads_two_records_however_many_variants_there_are() {
    for variants in [1, 2, 255] {
        let memory = Memory::default();
        let mut worker = Worker::new(1_048_576, &memory);
        let language = |n: usize| get("/a").with("accept-language", format!("l{n}"));
        for n in 0..variants {
            let vary = [("vary", "accept-language")];
            let put = worker.keep_with(&language(n), &vary, n, at_ms(0));
            assert_eq!(put, Ok(Some(0)));
        }
        for n in [0, variants - 1] {
            let before = memory.calls();
            let kept = worker.find_for(&language(n), at_ms(1));
            assert_eq!(kept.map(|it| it.body.len()), Some(n));
            let after = memory.calls();
            assert_eq!((after.0 - before.0, after.1 - before.1), (2, 0));
        }
        let before = memory.calls().0;
        assert_eq!(worker.find_for(&language(variants), at_ms(1)), None);
        assert_eq!(memory.calls().0 - before, 1);
        // A response reads the index before it is written and after.
        let before = memory.calls().0;
        let vary = [("vary", "accept-language")];
        let put = worker.keep_with(&language(0), &vary, 3, at_ms(200));
        assert_eq!((put, memory.calls().0 - before), (Ok(Some(0)), 2));
    }
}

#[test]
fn the_newest_of_what_varies_differently_is_found() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_048_576, &memory);
    let plain = get("/a").with("accept", "a").with("b", "1");
    let lists: [&[(&str, &str)]; 3] = [&[], &[("vary", "accept")], &[("vary", "b, accept")]];
    for (n, vary) in lists.into_iter().chain(lists).enumerate() {
        let now = at_ms(200 * n as u64);
        assert_eq!(worker.keep_with(&plain, vary, n, now), Ok(Some(0)));
        let found = worker.find_for(&plain, now).map(|it| it.body.len());
        assert_eq!(found, Some(n));
    }
    let other = get("/a").with("accept", "a").with("b", "2");
    let found = worker
        .find_for(&other, at_ms(2_000))
        .map(|it| it.body.len());
    assert_eq!(found, Some(4));
}

/// An upstream that makes up names makes room for its newest ones, and nobody else loses all.
#[test]
fn lists_of_names_are_bounded() {
    let memory = Memory::default();
    let mut worker = Worker::new(1_048_576, &memory);
    for n in 0..100_u64 {
        let (name, now) = (format!("x-{n}"), at_ms(n));
        let vary = [("vary", &*name)];
        let put = worker.keep_with(&get(&format!("/{n}")), &vary, 10, now);
        assert_eq!(put, Ok(Some(u32::from(n >= 16))));
        assert!(worker.find(&format!("/{n}"), now).is_some(), "{n}");
    }
    let long = "x".repeat(300);
    let put = worker.keep_with(&get("/long"), &[("vary", &long)], 10, at_ms(500));
    assert_eq!(put, Ok(None));
}
