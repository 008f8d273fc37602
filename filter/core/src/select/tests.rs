//! Which policy is selected for a request.

use alloc::format;
use alloc::string::String;

use super::*;
use crate::random::Random;
use crate::testing::{TestRequest, config};

mod clusters;
mod paths;

/// The name of the selected policy, and the pattern that matched.
fn selected<'a>(
    policies: &'a [Policy],
    request: &TestRequest,
) -> Option<(&'a str, Option<&'a str>)> {
    let selected = Selector::new(policies).select(policies, request)?;
    Some((&policies[selected.policy].name, selected.pattern))
}

/// Policies with these conditions, named `0`, `1` and so on.
fn policies(matches: &[&str]) -> Vec<Policy> {
    let policies: Vec<String> = matches
        .iter()
        .enumerate()
        .map(|(n, fields)| format!(r#"{{"name":"{n}","match":{{{fields}}}}}"#))
        .collect();
    config(&format!(r#"{{"policies":[{}]}}"#, policies.join(","))).policies
}

/// Whether a policy with these conditions is selected for the request.
fn holds_for(fields: &str, request: &TestRequest) -> bool {
    selected(&policies(&[fields]), request).is_some()
}

fn to(authority: &str) -> TestRequest {
    TestRequest::cluster("c").with(":authority", authority)
}

fn path(path: &str) -> TestRequest {
    TestRequest::cluster("c").with(":path", path)
}

#[test]
fn a_policy_without_conditions_applies_to_every_request() {
    assert!(holds_for("", &TestRequest::default()));
    assert!(holds_for("", &TestRequest::cluster("c")));
}

#[test]
fn the_first_policy_that_holds_is_selected_however_it_is_indexed() {
    let fields = [
        r#""clusters": ["a"], "methods": ["POST"]"#,
        r#""authorities": ["a.example"]"#,
        r#""routes": ["a"]"#,
        r#""methods": ["PUT"]"#,
        r#""clusters": ["b", "a"]"#,
        r#""authorities": ["*.example"]"#,
        "",
    ];
    let policies = policies(&fields);
    let base = || TestRequest::cluster("a").with(":method", "GET");
    let rows = [
        (
            TestRequest::cluster("a")
                .with_route("a")
                .with(":method", "POST")
                .with(":authority", "a.example"),
            "0",
        ),
        (base().with_route("a").with(":authority", "a.example"), "1"),
        (base().with_route("a"), "2"),
        (TestRequest::cluster("a").with(":method", "PUT"), "3"),
        (base(), "4"),
        (TestRequest::cluster("b"), "4"),
        (
            TestRequest::cluster("z").with(":authority", "b.example"),
            "5",
        ),
        (TestRequest::cluster("z"), "6"),
        (TestRequest::default(), "6"),
    ];
    for (request, expected) in rows {
        let chosen = selected(&policies, &request).map(|(name, _)| name);
        assert_eq!(chosen, Some(expected), "{request:?}");
    }
}

#[test]
fn all_conditions_must_hold_and_within_a_list_any_may() {
    let fields = r#""clusters": ["a", "b"], "routes": ["r"], "methods": ["GET", "PUT"],
        "authorities": ["x", "y"], "paths": [{"exact": "/1"}, {"exact": "/2"}],
        "headers": [{"name": "h", "present": true}, {"name": "i", "exact": "1"}]"#;
    let whole = [
        ("cluster", "b"),
        ("route", "r"),
        (":method", "PUT"),
        (":authority", "y"),
        (":path", "/2"),
        ("h", ""),
        ("i", "1"),
    ];
    let request = |skipped: Option<&str>, changed: Option<&str>| {
        let mut request = TestRequest::default();
        for (name, value) in whole {
            let value = if changed == Some(name) { "no" } else { value };
            if skipped == Some(name) {
                continue;
            }
            match name {
                "cluster" => request.cluster = Some(value.into()),
                "route" => request = request.with_route(value),
                _ => request = request.with(name, value),
            }
        }
        request
    };
    assert!(holds_for(fields, &request(None, None)));
    for (name, _) in whole {
        assert!(!holds_for(fields, &request(Some(name), None)), "{name}");
        let other_value = holds_for(fields, &request(None, Some(name)));
        assert_eq!(other_value, name == "h", "{name}");
    }
}

#[test]
fn disabled_policies_are_skipped() {
    let policies = config(
        r#"{"policies":[
            {"name":"off","mode":"disabled","match":{"clusters":["a"]}},
            {"name":"off-too","mode":"disabled"},
            {"name":"on","match":{"clusters":["a"]}}]}"#,
    )
    .policies;
    let name = |cluster| selected(&policies, &TestRequest::cluster(cluster)).map(|(name, _)| name);
    assert_eq!(name("a"), Some("on"));
    assert_eq!(name("b"), None);
}

#[test]
fn authorities_are_compared_without_case_and_match_any_port() {
    let rows: &[(&str, &str, bool)] = &[
        ("a.example", "a.example", true),
        ("A.Example", "a.eXample", true),
        ("a.example", "a.example:8080", true),
        ("a.example:8080", "a.example:8080", true),
        ("a.example:8080", "a.example:80", false),
        ("a.example:8080", "a.example", false),
        ("a.example", "b.a.example", false),
        ("a.example", "a.example.", false),
        ("a.example", "a.example:", false),
        ("a.example", "a.example:http", false),
        ("a.example", "", false),
        ("*.example", "a.example", true),
        ("*.example", "a.b.EXAMPLE:443", true),
        ("*.example", "example", false),
        ("*.example", ".example", false),
        ("*.example", "a.example.com", false),
        ("*.example:8080", "a.example:8080", true),
        ("*.example:8080", "a.example", false),
        ("[::1]", "[::1]", true),
        ("[::1]", "[::1]:80", true),
        ("[::1]:80", "[::1]:80", true),
        ("[::1]", "[::2]:80", false),
        // Without brackets the last group is no port.
        ("::1", "::1", true),
        ("2001:db8:", "2001:db8::80", false),
        ("2001:db8:", "2001:db8:80", false),
        ("10.0.0.1", "10.0.0.1:80", true),
    ];
    for (pattern, authority, expected) in rows {
        let fields = format!(r#""authorities": ["{pattern}"]"#);
        assert_eq!(
            holds_for(&fields, &to(authority)),
            *expected,
            "{pattern} {authority}"
        );
        // The same when the policy is not filed by its authority.
        let unfiled = format!(r#""authorities": ["{pattern}", "*.elsewhere"]"#);
        assert_eq!(holds_for(&unfiled, &to(authority)), *expected);
    }
    assert!(!holds_for(
        r#""authorities": ["a"]"#,
        &TestRequest::cluster("a")
    ));
}

#[test]
fn paths_are_compared_without_their_query() {
    let rows: &[(&str, &str, &str, bool)] = &[
        ("exact", "/pay", "/pay", true),
        ("exact", "/pay", "/pay?x=1", true),
        ("exact", "/pay", "/pay#top", true),
        ("exact", "/pay", "/pay/", false),
        ("exact", "/pay", "/PAY", false),
        ("exact", "/", "/?", true),
        ("exact", "/", "*", false),
        ("prefix", "/api/", "/api/", true),
        ("prefix", "/api/", "/api/x?y", true),
        ("prefix", "/api/", "/api", false),
        ("prefix", "/api", "/apis", true),
        ("prefix", "/a/b", "/a?/b", false),
        ("prefix", "/{x}", "/y", false),
        ("template", "/users/{id}/orders", "/users/7/orders", true),
        (
            "template",
            "/users/{id}/orders",
            "/users/7/orders?a=/b",
            true,
        ),
        ("template", "/users/{id}/orders", "/users//orders", false),
        ("template", "/users/{id}/orders", "/users/7/8/orders", false),
        ("template", "/users/{id}/orders", "/users/7/orders/", false),
        ("template", "/users/{id}/orders", "/users/7", false),
        ("template", "/{a}", "/", false),
        ("template", "/{a}", "/%2f", true),
        ("template", "/{a}/{b}", "/{a}/{b}", true),
        ("template", "/plain", "/plain", true),
        ("template", "/plain/", "/plain/", true),
        ("template", "/", "/", true),
    ];
    for (kind, pattern, requested, expected) in rows {
        let fields = format!(r#""paths": [{{"{kind}": "{pattern}"}}]"#);
        let policies = policies(&[&fields]);
        let expected = expected.then_some(("0", Some(*pattern)));
        assert_eq!(
            selected(&policies, &path(requested)),
            expected,
            "{kind} {pattern} {requested}"
        );
    }
    assert!(!holds_for(
        r#""paths": [{"prefix": "/"}]"#,
        &TestRequest::cluster("c")
    ));
}

#[test]
fn the_first_pattern_that_matches_is_returned() {
    let policies =
        policies(&[r#""paths": [{"exact": "/a/b"}, {"template": "/a/{x}"}, {"prefix": "/"}]"#]);
    let rows = [("/a/b", "/a/b"), ("/a/c", "/a/{x}"), ("/z", "/")];
    for (requested, expected) in rows {
        assert_eq!(
            selected(&policies, &path(requested)),
            Some(("0", Some(expected)))
        );
    }
}

#[test]
fn headers_are_present_or_missing_or_have_one_matching_value() {
    let rows: &[(&str, &[&str], bool)] = &[
        (r#""exact": "gold""#, &["gold"], true),
        (r#""exact": "gold""#, &["silver", "gold"], true),
        (r#""exact": "gold""#, &["Gold"], false),
        (r#""exact": "gold""#, &["gold,silver"], false),
        (r#""exact": "gold""#, &[], false),
        (r#""exact": """#, &[""], true),
        (r#""exact": """#, &[], false),
        (r#""present": true"#, &[""], true),
        (r#""present": true"#, &[], false),
        (r#""present": false"#, &["x"], false),
        (r#""present": false"#, &[], true),
    ];
    for (test, values, expected) in rows {
        let fields = format!(r#""headers": [{{"name": "X-Tenant", {test}}}]"#);
        let mut request = TestRequest::cluster("c");
        for value in *values {
            request = request.with("x-tenant", value);
        }
        assert_eq!(holds_for(&fields, &request), *expected, "{test} {values:?}");
    }
}

#[test]
fn bytes_that_are_not_utf8_match_nothing() {
    let request = TestRequest::cluster(b"\xff")
        .with(":authority", b"\xfe:\xff80")
        .with(":path", b"/\xff/x")
        .with(":method", b"\x80");
    for fields in [
        r#""clusters": ["a"]"#,
        r#""authorities": ["a", "*.b"]"#,
        r#""authorities": ["a"]"#,
        r#""methods": ["GET"]"#,
        r#""paths": [{"exact": "/a"}]"#,
    ] {
        assert!(!holds_for(fields, &request), "{fields}");
    }
    assert!(holds_for(r#""paths": [{"template": "/{a}/x"}]"#, &request));
}

/// Conditions from a small set of names, so that many requests match.
fn random_match(random: &mut Random) -> String {
    const LISTS: [&[&str]; 6] = [
        &[
            r#""clusters": ["a"]"#,
            r#""clusters": ["b", "a"]"#,
            r#""clusters": ["c", "c"]"#,
        ],
        &[r#""routes": ["r"]"#, r#""routes": ["s", "r"]"#],
        &[
            r#""authorities": ["a.x"]"#,
            r#""authorities": ["b.x", "A.X:80"]"#,
            r#""authorities": ["*.x"]"#,
            r#""authorities": ["[::1]", "*.y"]"#,
            r#""authorities": ["[::1]"]"#,
        ],
        &[r#""methods": ["GET"]"#, r#""methods": ["PUT", "POST"]"#],
        &[
            r#""paths": [{"exact": "/1"}]"#,
            r#""paths": [{"prefix": "/"}]"#,
            r#""paths": [{"template": "/{a}"}]"#,
            r#""paths": [{"template": "/2/{a}"}, {"exact": "/1"}]"#,
            r#""paths": [{"prefix": "/2/"}, {"prefix": "/2"}, {"exact": "/2/3"}]"#,
        ],
        &[
            r#""headers": [{"name": "h", "present": false}]"#,
            r#""headers": [{"name": "h", "exact": "1"}]"#,
        ],
    ];
    let mut fields = Vec::new();
    for list in LISTS {
        if random.chance(3_000) {
            fields.push(list[random.between(0, list.len() as u64 - 1) as usize]);
        }
    }
    fields.join(", ")
}

fn random_request(random: &mut Random) -> TestRequest {
    let mut one_of = |values: &[&'static str]| -> Option<&'static str> {
        let at = random.between(0, values.len() as u64) as usize;
        values.get(at).copied()
    };
    let mut request = TestRequest {
        cluster: one_of(&["a", "b", "c", "d"]).map(Into::into),
        route: one_of(&["r", "s", "t"]).map(Into::into),
        ..TestRequest::default()
    };
    let headers: [(&str, &[&str]); 4] = [
        (
            ":authority",
            &["a.x", "A.x:80", "b.X", "q.x:1", "[::1]:80", "[::1]", "b.y"],
        ),
        (":method", &["GET", "PUT", "POST", "HEAD"]),
        (":path", &["/1", "/1?q", "/2", "/2/3", "/2/3#x", "/1/", ""]),
        ("h", &["1", "2"]),
    ];
    for (name, values) in headers {
        if let Some(value) = one_of(values) {
            request = request.with(name, value);
        }
    }
    request
}

#[test]
fn the_index_never_changes_the_selected_policy() {
    let mut random = Random::new(1);
    let mut found = 0;
    for round in 0..300 {
        let count = random.between(1, if round % 3 == 0 { 60 } else { 12 });
        let matches: Vec<String> = (0..count).map(|_| random_match(&mut random)).collect();
        let matches: Vec<&str> = matches.iter().map(String::as_str).collect();
        let mut policies = policies(&matches);
        for policy in &mut policies {
            if random.chance(1_000) {
                policy.mode = Mode::Disabled;
            }
        }
        for _ in 0..50 {
            let request = random_request(&mut random);
            let naive = policies
                .iter()
                .filter(|policy| policy.mode != Mode::Disabled)
                .find_map(|policy| {
                    let pattern = holds(&policy.matcher, &request)?;
                    Some((&*policy.name, pattern.map(|p| &*p.text)))
                });
            found += usize::from(naive.is_some());
            assert_eq!(
                selected(&policies, &request),
                naive,
                "round {round}: {matches:?} {request:?}"
            );
        }
    }
    assert!((5_000..14_500).contains(&found), "{found}");
}

#[test]
fn of_ten_thousand_policies_only_the_one_that_can_match_is_tried() {
    let rows = [
        ("clusters", "cluster"),
        ("routes", "route"),
        ("authorities", ":authority"),
    ];
    for (list, question) in rows {
        let matches: Vec<String> = (0..10_000)
            .map(|n| format!(r#""{list}": ["name{n}", "other{n}"], "methods": ["GET"]"#))
            .collect();
        let matches: Vec<&str> = matches.iter().map(String::as_str).collect();
        let policies = policies(&matches);
        let selector = Selector::new(&policies);
        let rows = [
            ("name7777", "GET", Some(7_777), 3),
            ("other0", "GET", Some(0), 3),
            ("name9999", "PUT", None, 3),
            ("unknown", "GET", None, 1),
        ];
        for (name, method, expected, questions) in rows {
            let request = TestRequest {
                cluster: Some(name.into()),
                ..TestRequest::default()
            };
            let request = request
                .with_route(name)
                .with(":authority", name)
                .with(":method", method);
            let selected = selector.select(&policies, &request);
            assert_eq!(selected.map(|s| s.policy), expected, "{list} {name}");
            let asked = request.reads.take();
            assert!(asked.len() <= questions, "{list} {name}: {asked:?}");
            assert_eq!(asked[0], question);
        }
    }
}

#[test]
fn values_that_no_policy_needs_are_not_read() {
    let rows: &[(&str, &[&str])] = &[
        ("", &[]),
        (r#""methods": ["GET"]"#, &[":method"]),
        (r#""paths": [{"prefix": "/"}]"#, &[":path"]),
        (r#""headers": [{"name": "h", "present": false}]"#, &["h"]),
        (r#""routes": ["r"]"#, &["route"]),
    ];
    for (fields, expected) in rows {
        let policies = policies(&[fields]);
        let request = TestRequest::cluster("c");
        Selector::new(&policies).select(&policies, &request);
        let mut asked = request.reads.take();
        asked.dedup();
        assert_eq!(asked, *expected, "{fields}");
    }
}
