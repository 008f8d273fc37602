//! Wildcards in the names of clusters.

use super::*;

#[test]
fn a_wildcard_in_a_cluster_stands_for_any_run_within_a_field() {
    let rows: &[(&str, &str, bool)] = &[
        ("a*", "a", true),
        ("a*", "abc", true),
        ("a*", "", false),
        ("a*", "b", false),
        ("*", "", true),
        ("*", "a|b", false),
        ("*|*", "a|b", true),
        ("*|*", "|", true),
        ("**", "abc", true),
        ("*a*b", "xaxbxb", true),
        ("*a*b", "xaxbx", false),
        ("*ab", "aab", true),
        ("*ab*ab", "ab", false),
        ("*ab*ab", "abab", true),
        ("a*c", "a*c", true),
        ("a*c", "a\u{fc}c", true),
        ("A*", "a", false),
        (
            "outbound|*||checkout.*",
            "outbound|8080||checkout.shop.svc",
            true,
        ),
        ("outbound|*||checkout.*", "outbound|||checkout.", true),
        (
            "outbound|*||checkout.*",
            "outbound|8080|v2|checkout.shop.svc",
            false,
        ),
        (
            "outbound|*||checkout.*",
            "outbound|8080||cart.shop.svc",
            false,
        ),
        (
            "outbound|*||checkout.*",
            "outbound|8080||checkout.shop|svc",
            false,
        ),
        (
            "outbound|*|*|checkout.*",
            "outbound|8080|v2|checkout.shop.svc",
            true,
        ),
        (
            "outbound|443||*.example.com",
            "outbound|443||*.example.com",
            true,
        ),
        (
            "outbound|443||*.example.com",
            "outbound|443||a.b.example.com",
            true,
        ),
    ];
    for (pattern, cluster, expected) in rows {
        let fields = format!(r#""clusters": ["{pattern}"]"#);
        let request = TestRequest::cluster(cluster);
        assert_eq!(
            holds_for(&fields, &request),
            *expected,
            "{pattern} {cluster}"
        );
        // The same beside an exact name.
        let both = format!(r#""clusters": ["x-y", "{pattern}"]"#);
        assert_eq!(holds_for(&both, &request), *expected);
        assert!(holds_for(&both, &TestRequest::cluster("x-y")));
    }
    assert!(!holds_for(r#""clusters": ["*"]"#, &TestRequest::default()));
}

#[test]
fn a_wildcard_agrees_with_a_search_of_every_run() {
    fn naive(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', after)) => {
                let run = name.iter().take_while(|byte| **byte != b'|').count();
                (0..=run).any(|length| naive(after, &name[length..]))
            }
            Some((byte, after)) => name.first() == Some(byte) && naive(after, &name[1..]),
        }
    }
    let texts = |alphabet: &[u8], length: u32| -> Vec<String> {
        let mut all = alloc::vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            last = last
                .iter()
                .flat_map(|text| {
                    alphabet
                        .iter()
                        .map(move |c| format!("{text}{}", *c as char))
                })
                .collect();
            all.extend_from_slice(&last);
        }
        all
    };
    let names = texts(b"ab|", 5);
    let mut held = 0;
    for pattern in texts(b"ab|*", 5) {
        for name in &names {
            let holds = cluster_holds(&pattern, name.as_bytes());
            assert_eq!(
                holds,
                naive(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
            held += u32::from(holds);
        }
    }
    assert!(held > 1_000, "{held}");
}

#[test]
fn a_hostile_cluster_name_takes_no_exponential_time() {
    let pattern = "*a".repeat(500);
    assert!(!cluster_holds(&pattern, "a".repeat(499).as_bytes()));
    let pattern = format!("{pattern}b");
    assert!(!cluster_holds(&pattern, "a".repeat(5_000).as_bytes()));
}

#[test]
fn the_first_policy_wins_whether_it_has_a_wildcard_or_not() {
    let exact = r#""clusters": ["a-1"]"#;
    let wild = r#""clusters": ["a-*"]"#;
    let name = |fields: [&str; 2], cluster| {
        let policies = policies(&fields);
        let selected = selected(&policies, &TestRequest::cluster(cluster));
        selected.map(|(name, _)| String::from(name))
    };
    assert_eq!(name([exact, wild], "a-1").as_deref(), Some("0"));
    assert_eq!(name([wild, exact], "a-1").as_deref(), Some("0"));
    assert_eq!(name([exact, wild], "a-2").as_deref(), Some("1"));
    assert_eq!(name([wild, exact], "b"), None);
}
