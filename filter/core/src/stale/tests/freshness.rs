//! How long a stored response may be used.

use super::*;

/// Each row: the headers of the response; for how many seconds after its request it may be used
/// if the policy allows a thousand; its age at that time.
#[test]
fn a_response_is_used_as_long_as_its_headers_and_the_policy_allow() {
    let date = "date: Sun, 06 Nov 1994 08:49:37 GMT";
    let old = "date: Sun, 06 Nov 1994 08:48:37 GMT";
    let rows: &[(&[&str], u64, u64)] = &[
        // The policy alone.
        (&["cache-control: public"], 1_000, 1_000),
        (&["cache-control: public, max-age=5"], 1_000, 1_000),
        // It was old when it arrived.
        (&["cache-control: public", "age: 300"], 700, 1_000),
        (&["cache-control: public", "age: 1001"], 0, 1_001),
        (&["cache-control: public", old], 940, 1_000),
        (&["cache-control: public", old, "age: 100"], 900, 1_000),
        (&["cache-control: public", old, "age: 10"], 940, 1_000),
        (&["cache-control: public", "age: soon"], 1_000, 1_000),
        // stale-if-error counts from the end of freshness.
        (
            &["cache-control: public, max-age=5, stale-if-error=10"],
            15,
            15,
        ),
        (
            &["cache-control: public, max-age=5, stale-if-error=0"],
            5,
            5,
        ),
        (&["cache-control: public, stale-if-error=10"], 10, 10),
        (
            &["cache-control: public, stale-if-error=86400"],
            1_000,
            1_000,
        ),
        (
            &[
                "cache-control: public, max-age=5, stale-if-error=10",
                "age: 8",
            ],
            7,
            15,
        ),
        // Expires counts without max-age.
        (
            &[
                "cache-control: public, stale-if-error=10",
                date,
                "expires: Sun, 06 Nov 1994 08:49:57 GMT",
            ],
            30,
            30,
        ),
        (
            &[
                "cache-control: public, stale-if-error=10, max-age=1",
                date,
                "expires: Sun, 06 Nov 1994 08:49:57 GMT",
            ],
            11,
            11,
        ),
        (
            &["cache-control: public, stale-if-error=10", "expires: 0"],
            10,
            10,
        ),
        // s-maxage forbids stale use, unless stale-if-error allows it.
        (&["cache-control: s-maxage=20, max-age=500"], 20, 20),
        (&["cache-control: s-maxage=20, stale-if-error=30"], 50, 50),
        (&["cache-control: s-maxage=0"], 0, 0),
        (&["cache-control: s-maxage=x"], 0, 0),
    ];
    let config = config(1_000_000, false);
    for (response, secs, age) in rows {
        let stored = stored_for(&[], response, false).expect("stored");
        let at = |ms: u64| at_ms(10_000 + ms);
        let given = |ms| stored.is_usable(&config, at(ms));
        let last = secs * 1_000;
        // The limit of the headers excludes its end, that of the policy includes it.
        let by_policy = *age == 1_000;
        assert_eq!(given(last), by_policy, "{response:?} at {secs} s");
        assert!(!given(last + 1), "{response:?} after {secs} s");
        if *secs > 0 {
            assert!(given(0) && given(last - 1), "{response:?} before {secs} s");
        }
        assert_eq!(stored.age(at(last)), Span::from_secs(*age), "{response:?}");
        assert!(
            !stored.is_usable(&config, at_ms(9_999)),
            "{response:?} before its request"
        );
    }
}

#[test]
fn a_vouched_response_is_used_only_while_the_policy_vouches() {
    let vouched = stored_for(&[], &[], true).expect("stored");
    let public = stored_for(&[], &["cache-control: public"], true).expect("stored");
    for (stored, expected) in [(vouched, [false, true]), (public, [true, true])] {
        let given =
            [false, true].map(|shared| stored.is_usable(&config(1_000, shared), at_ms(10_000)));
        assert_eq!(given, expected);
    }
}
