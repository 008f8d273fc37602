use super::*;
use crate::trial::transcript::{Callout as Called, Client, Entry, What};

fn seen() -> StepTranscript {
    let response = Message {
        headers: HeaderMap::from([
            (":status", "200"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-id", "ab-12"),
        ]),
        body: r#"{"user":{"name":"ann","tags":["x","y"]},"n":1}"#.into(),
        ..Message::default()
    };
    let line = What::Line {
        plugin: 0,
        level: LogLevel::Warn,
        text: "the key is old".into(),
    };
    let call = Message {
        headers: HeaderMap::from([(":method", "GET"), (":path", "/check"), ("x-a", "1")]),
        body: "who".into(),
        ..Message::default()
    };
    StepTranscript {
        client: Client {
            response: Some(response),
            ..Client::default()
        },
        entries: vec![Entry {
            at: Default::default(),
            what: line,
        }],
        callouts: vec![Called {
            cluster: "auth".into(),
            request: call.clone(),
            ..Called::default()
        }],
        upstream: vec![call],
        metrics: vec![("total".into(), 3)],
        ..StepTranscript::default()
    }
}

fn misses(expect: &str) -> Vec<String> {
    misses_in(&seen(), expect)
}

fn misses_in(seen: &StepTranscript, expect: &str) -> Vec<String> {
    let expect: Expect = crate::scenario::error::deserialize(expect).unwrap();
    judge(&expect, seen)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn what_happened_is_accepted() {
    for expect in [
        "{}",
        "{status: 200, reset: false}",
        "{headers: {x-id: ab-12, X-Id: {regex: '^[a-z]+-'}, set-cookie: [a=1, b=2]}}",
        "{headers: {x-none: {absent: true}, set-cookie: {contains: b=}}}",
        "{body: {json: {user: {tags: [x, 'y']}}, contains: ann, regex: nn, bytes: 46}}",
        "{log: [key, {level: warn}, {contains: key, regex: 'is .ld$'}]}",
        "{log: [{level: error, absent: true}, {contains: new, absent: true}]}",
        "{callouts: [{cluster: auth, path: /check, headers: {x-a: 1}, body: who}]}",
        "{upstream: {requests: 1, method: GET, path: /check, body: {contains: h}}}",
        "{metrics: {total: 3, unknown: 0}}",
    ] {
        assert_eq!(misses(expect), [""; 0], "{expect}");
    }
}

#[test]
fn anything_else_is_a_miss_with_its_field() {
    for (expect, miss) in [
        ("{status: 401}", "status: expected 401, got 200"),
        ("{reset: true}", "reset: expected true, got false"),
        (
            "{headers: {x-id: b}}",
            r#"headers.x-id: expected "b", got "ab-12""#,
        ),
        (
            "{headers: {set-cookie: a=1}}",
            r#"headers.set-cookie: expected "a=1", got "a=1", "b=2""#,
        ),
        (
            "{headers: {set-cookie: [b=2, a=1]}}",
            r#"headers.set-cookie: expected "b=2", "a=1", got "a=1", "b=2""#,
        ),
        (
            "{headers: {x-id: {absent: true}}}",
            r#"headers.x-id: expected no such header, got "ab-12""#,
        ),
        (
            "{trailers: {x: 1}}",
            r#"trailers.x: expected "1", got no such header"#,
        ),
        (
            "{headers: {x: {regex: ^1, contains: '2'}}}",
            r#"headers.x: expected a value with "2" that matches ^1, got no such header"#,
        ),
        (
            "{log: [young]}",
            r#"log[0]: expected a line with "young", got "the key is old""#,
        ),
        (
            "{log: [{level: warn, absent: true}]}",
            r#"log[0]: expected no warn line, got "the key is old""#,
        ),
        ("{callouts: []}", "callouts: expected 0, got 1 (auth/check)"),
        (
            "{callouts: [{path: /}]}",
            "callouts[0].path: expected /, got /check",
        ),
        (
            "{upstream: {requests: 0}}",
            "upstream.requests: expected 0, got 1",
        ),
        (
            "{upstream: {body: what}}",
            r#"upstream.body: expected "what", got "who""#,
        ),
        ("{metrics: {total: 4}}", "metrics.total: expected 4, got 3"),
    ] {
        assert_eq!(misses(expect), [miss], "{expect}");
    }
}

#[test]
fn nothing_is_expected_of_a_request_that_no_upstream_got() {
    let seen = StepTranscript {
        upstream: Vec::new(),
        ..seen()
    };
    let none = "upstream: expected a request, got none";
    for (expect, expected) in [
        ("{upstream: {requests: 0, body: ''}}", &[][..]),
        ("{upstream: {headers: {a: {absent: true}}}}", &[none]),
        ("{upstream: {body: ''}}", &[none]),
        (
            "{upstream: {requests: 1, body: ''}}",
            &["upstream.requests: expected 1, got 0"],
        ),
    ] {
        assert_eq!(misses_in(&seen, expect), expected, "{expect}");
    }
}

#[test]
fn a_status_expects_a_whole_response() {
    let mut seen = seen();
    seen.client.reset = true;
    for (expect, expected) in [
        ("{status: 200}", &["reset: expected false, got true"][..]),
        ("{status: 200, reset: true}", &[]),
        ("{body: {contains: ann}}", &[]),
    ] {
        assert_eq!(misses_in(&seen, expect), expected, "{expect}");
    }
}

#[test]
fn json_is_included_field_by_field_and_item_by_item() {
    let value = |json| serde_json::from_str::<Value>(json).unwrap();
    for (whole, part, expected) in [
        (r#"{"a":1,"b":2}"#, r#"{"a":1}"#, true),
        (r#"{"a":1}"#, r#"{"a":2}"#, false),
        (r#"{"a":1}"#, r#"{"b":null}"#, false),
        (r#"[{"a":1,"b":2}]"#, r#"[{"b":2}]"#, true),
        ("[1,2]", "[1]", false),
        ("{}", "[]", false),
    ] {
        assert_eq!(
            includes(&value(whole), &value(part)),
            expected,
            "{whole} {part}"
        );
    }
}
