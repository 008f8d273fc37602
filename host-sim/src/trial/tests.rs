use std::path::Path;

use super::file::File;
use super::*;
use crate::scenario::error::deserialize;

fn problems(text: &str) -> Vec<String> {
    let file: File = deserialize(text).unwrap();
    let found = Trial::of(file, Path::new(""), text)
        .err()
        .unwrap_or_default();
    found
        .iter()
        .map(|it| format!("{} {}", it.path, it.what))
        .collect()
}

#[test]
fn every_problem_of_a_file_has_its_path() {
    for (text, expected) in [
        ("{}", "requests is empty; a plugin test needs a request"),
        (
            "{requests: [{path: x}]}",
            r#"requests[0].path is "x", allowed a path such as /, or a URL"#,
        ),
        (
            "{workers: 99, requests: [{}]}",
            "workers is 99, allowed 1 to 64",
        ),
        (
            "{requests: [{worker: 1}]}",
            "requests[0].worker is 1, but there are 1 workers",
        ),
        (
            "{requests: [{path: /, chunks: 0}]}",
            "requests[0].chunks is 0, allowed 1 to 1000",
        ),
        (
            "{requests: [{path: /, headers: [x]}]}",
            r#"requests[0].headers has "x", which is not name: value"#,
        ),
        (
            "{mocks: [{call: 0}], requests: [{}]}",
            "mocks[0].call is 0, allowed 1 and above",
        ),
        (
            "{mocks: [{answer: {status: 99}}], requests: [{}]}",
            "mocks[0].answer.status is 99, allowed 200 to 599",
        ),
        (
            "{mocks: [{answer: {body: '@nowhere'}}], requests: [{}]}",
            "mocks[0].answer.body cannot read nowhere: No such file or directory (os error 2)",
        ),
        (
            "{start: noon, requests: [{}]}",
            r#"start is "noon", allowed a time such as 2026-01-01T00:00:00Z"#,
        ),
        (
            "{properties: {a.b: [1]}, requests: [{}]}",
            "properties.a.b is no text, number or truth",
        ),
        (
            "{stubs: {compress: well}, requests: [{}]}",
            r#"stubs.compress is "well", allowed ok, not_found or 0 to 12"#,
        ),
        (
            "{requests: [{plugin: 0}]}",
            "requests[0].plugin has no effect without configuration",
        ),
        (
            "{requests: [{expect: {refused: true}}]}",
            "requests[0].expect.refused has no effect without configuration",
        ),
        (
            "{plugins: [{}, {}], requests: [{plugin: 2, configuration: x}]}",
            "requests[0].plugin is 2, allowed 0 to 1",
        ),
        (
            "{requests: [{configuration: '@nowhere'}]}",
            "requests[0].configuration cannot read nowhere: No such file or directory (os error 2)",
        ),
        (
            "{stubs: {compres: ok}, requests: [{}]}",
            "stubs.compres needs no stub or does not exist, allowed compress, uncompress, \
             set_envoy_filter_state, verify_signature, sign, declare_property, expr_create, \
             expr_evaluate, expr_delete, envoy_resolve_dns",
        ),
        (
            "{mocks: [{answer: {body: x, messages: [y]}}], requests: [{}]}",
            "mocks[0].answer.body cannot be combined with grpc_status or messages",
        ),
        (
            "{mocks: [{answer: {chunks: 2, grpc_status: 5}}], requests: [{}]}",
            "mocks[0].answer.chunks cannot be combined with grpc_status or messages",
        ),
        (
            "{mocks: [{answer: {grpc_message: y}}], requests: [{}]}",
            "mocks[0].answer.grpc_message needs grpc_status or messages",
        ),
        (
            "{plugin: {}, plugins: [{}], requests: [{}]}",
            "plugins cannot be combined with plugin",
        ),
        (
            "{requests: [{expect: {headers: {a: {regex: '('}}}}]}",
            "requests[0].expect.headers.a.regex is not a regular expression: unclosed group",
        ),
        (
            "{requests: [{expect: {upstream: {trailers: {a: {regex: '('}}}}}]}",
            "requests[0].expect.upstream.trailers.a.regex is not a regular expression: unclosed \
             group",
        ),
        (
            "{workers: 0, requests: [{}]}",
            "workers is 0, allowed 1 to 64",
        ),
        (
            "{mocks: [{path: x}], requests: [{}]}",
            r#"mocks[0].path is "x", which does not begin with /"#,
        ),
        (
            "{requests: [{path: /, headers: {':path': /other}}]}",
            r#"requests[0].headers has ":path", allowed :authority and names without : and spaces"#,
        ),
        (
            "{mocks: [{answer: {headers: [':status: 201']}}], requests: [{}]}",
            r#"mocks[0].answer.headers has ":status", allowed :authority and names without : and spaces"#,
        ),
        (
            "{requests: [{path: /, headers: {'': a}}]}",
            r#"requests[0].headers has "", allowed :authority and names without : and spaces"#,
        ),
        (
            "{requests: [{path: /, trailers: {a b: a}}]}",
            r#"requests[0].trailers has "a b", allowed :authority and names without : and spaces"#,
        ),
        (
            "{requests: [{expect: {callouts: [{body: {regex: '['}}]}}]}",
            "requests[0].expect.callouts[0].body.regex is not a regular expression: unclosed \
             character class",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn fields_of_a_request_need_a_path() {
    let text = "{requests: [{method: PUT, headers: {a: 1}, body: x, chunks: 2, trailers: [x]}]}";
    let expected = ["method", "headers", "body", "chunks", "trailers"];
    let expected = expected.map(|it| format!("requests[0].{it} has no effect without path"));
    assert_eq!(problems(text), expected);
    assert_eq!(problems("{requests: [{wait: 1s, headers: {}}]}"), [""; 0]);
}

#[test]
fn a_request_has_the_headers_that_the_proxy_adds() {
    let text = "requests: [{path: /, headers: {Host: a, x: 1}, body: abc, chunks: 2, \
                trailers: {t: 1}}, {path: /, body: {n: 1}}]";
    let trial = Trial::of(deserialize(text).unwrap(), Path::new(""), text).unwrap();
    let shown: Vec<_> = trial
        .steps
        .iter()
        .filter_map(|it| it.request.as_ref())
        .collect();
    let pairs = |request: &Request| {
        let pairs = request.headers.iter();
        let pairs = pairs.map(|(n, v)| format!("{}={}", lossy(n), lossy(v)));
        pairs.collect::<Vec<_>>().join(" ")
    };
    let id = "x-request-id=00000000-0000-4000-8000-000000000000";
    let first =
        format!(":authority=a :path=/ :method=POST :scheme=http x=1 x-forwarded-proto=http {id}");
    assert_eq!(pairs(shown[0]), first);
    assert_eq!(shown[0].chunks, ["ab", "c"]);
    assert!(
        pairs(shown[1]).contains("content-length=7"),
        "{}",
        pairs(shown[1])
    );
    assert_eq!(shown[1].chunks, [r#"{"n":1}"#]);
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_file_with_requests_is_a_plugin_test() {
    for (text, expected) in [
        ("requests: []", true),
        ("{\"requests\": 1}", true),
        ("traffic: [{requests: []}]", false),
        ("[", false),
    ] {
        assert_eq!(Trial::is_in(text), expected, "{text}");
    }
}
