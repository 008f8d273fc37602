//! Requests that change a resource, and what is stored of it.

use alloc::vec;

use super::stale::{SHARED, bench, get, request};
use super::*;

/// Each row: a request, and whether the stored response is still there after it.
#[test]
fn a_changed_resource_is_evicted() {
    let rows = [
        ("POST", "/a", 200, false),
        ("PUT", "/a", 204, false),
        ("DELETE", "/a", 303, false),
        ("PATCH", "/a", 400, true),
        ("POST", "/a", 503, true),
        ("POST", "/b", 200, true),
        ("OPTIONS", "/a", 200, true),
        ("PROPFIND", "/a", 207, true),
        ("REPORT", "/a", 207, true),
        ("SEARCH", "/a", 200, true),
        ("HEAD", "/a", 200, true),
    ];
    for (method, path, status, there) in rows {
        let mut bench = bench(SHARED);
        bench.good(&get(), &[], "good");
        let change = request(method, path);
        let mut ticket = bench.pass(&change);
        let _step = bench.head(&mut ticket, &TestResponse::status(status));
        bench.settle(ticket, &TestResponse::status(status));
        assert_eq!(
            bench.bad(&get()).is_some(),
            there,
            "{method} {path} {status}"
        );
    }
}

/// Each row: the key of the policy that stores, another policy before it, further headers of each
/// request, and whether a PUT to the same URL removes the response.
#[test]
fn a_change_evicts_a_response_whatever_its_cache_key() {
    let other = r#""match": {"methods": ["PUT"]}"#;
    type Row = (
        &'static str,
        Option<&'static str>,
        &'static [(&'static str, &'static str)],
        bool,
    );
    let rows: [Row; 9] = [
        (r#""key": ["cluster", "method"]"#, None, &[], true),
        (
            r#""key": [{"header": "x-tenant"}]"#,
            None,
            &[("x-tenant", "b")],
            true,
        ),
        (r#""key": ["route"]"#, None, &[], true),
        (
            r#""match": {"methods": ["GET"]}"#,
            Some(r#""mode": "shadow""#),
            &[],
            true,
        ),
        (r#""key": ["cluster"]"#, Some(other), &[], true),
        (
            r#""key": ["cluster"]"#,
            Some(other),
            &[("content-type", "application/grpc")],
            false,
        ),
        // It has no policy.
        (r#""match": {"methods": ["GET"]}"#, None, &[], true),
        (
            r#""match": {"methods": ["GET"]}"#,
            None,
            &[("content-type", "application/grpc")],
            false,
        ),
        // Too long for a key.
        (
            r#""key": [{"header": "x-tenant"}]"#,
            None,
            &[("x-tenant", "LONG")],
            true,
        ),
    ];
    for (fields, another, more, forgotten) in rows {
        let storing = format!("{SHARED}, {fields}");
        let policies = match another {
            Some(other) if other.contains("PUT") => vec![other, &*storing],
            Some(other) => vec![&*storing, other],
            None => vec![&*storing],
        };
        let mut bench = Bench::new(&policies);
        let get = get().with("x-tenant", "a").with_route("r");
        bench.good(&get, &[], "good");
        let long = "l".repeat(600);
        let put = more.iter().fold(request("PUT", "/a"), |it, (name, value)| {
            it.with(name, if *value == "LONG" { &*long } else { value })
        });
        if let Admission::Pass(mut ticket, _) = bench.admit(&put) {
            let _step = bench.head(&mut ticket, &TestResponse::status(200));
            bench.settle(ticket, &TestResponse::status(200));
        }
        assert_eq!(
            bench.bad(&get).is_none(),
            forgotten,
            "{fields} {another:?} {more:?}"
        );
    }
}

/// Each row: the policy's outcomes, how the change ends, and whether it counts as a change.
#[test]
fn a_changed_resource_is_evicted_whatever_the_outcome() {
    let direct = TestResponse {
        details: Some("direct_response"),
        attempts: Some(0),
        ..TestResponse::status(204)
    };
    let rows = [
        (
            r#"{"ignore_status": ["204"]}"#,
            TestResponse::status(204),
            true,
        ),
        (
            r#"{"failure_status": ["204", "5xx"]}"#,
            TestResponse::status(204),
            true,
        ),
        (r#"{"ignore_status": ["204"]}"#, direct, false),
        (
            r#"{"ignore_status": ["4xx"]}"#,
            TestResponse::status(404),
            false,
        ),
    ];
    for (outcome, ending, forgotten) in rows {
        let mut bench = bench(&format!(r#""outcome": {outcome}, {SHARED}"#));
        bench.good(&get(), &[], "good");
        let mut ticket = bench.pass(&request("PUT", "/a"));
        let _step = bench.head(&mut ticket, &ending);
        bench.settle(ticket, &ending);
        assert_eq!(
            bench.bad(&get()).is_none(),
            forgotten,
            "{outcome} {ending:?}"
        );
    }
}

#[test]
fn a_change_without_a_policy_is_not_counted() {
    let mut bench = bench(&format!(r#"{SHARED}, "match": {{"methods": ["GET"]}}"#));
    for (abandoned, status) in [(false, 200), (true, 200), (false, 503)] {
        let mut ticket = bench.pass(&request("PUT", "/a"));
        assert!(
            bench
                .head(&mut ticket, &TestResponse::status(status))
                .is_none()
        );
        assert!(ticket.note().is_none());
        match abandoned {
            true => bench.engine.abandon(ticket, bench.now),
            false => bench.settle(ticket, &TestResponse::status(status)),
        }
    }
    assert!(bench.events().is_empty());
}
