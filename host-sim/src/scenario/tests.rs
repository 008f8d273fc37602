use std::path::Path;

use super::*;
use crate::scenario::play::{Run, play};

/// Returns a scenario that ends with `more`.
fn with(more: &str) -> String {
    format!("duration: 10s\nclusters:\n  up: {{latency: 10ms}}\ntraffic:\n- rate: 100\n{more}")
}

fn problems(text: &str) -> Vec<String> {
    let Err(problems) = Scenario::parse(text, Path::new(".")) else {
        panic!("accepted: {text}")
    };
    let file = "s.yaml".into();
    let shown = ScenarioError { file, problems }.to_string();
    shown.lines().map(str::to_owned).collect()
}

fn played(text: &str) -> Run {
    let scenario = Scenario::parse(text, Path::new(".")).unwrap();
    play(&scenario, None, scenario.plan.seed, &mut |_| ()).unwrap()
}

#[test]
fn problems_have_their_path_line_and_column() {
    let rows = [
        "  colour: red\n",
        "  timeout: 5\n",
        "  arrivals: often\n",
        "  clients: 3\n",
        "  rate: many\n",
        "  requests: [{path: no}]\n",
        "  requests: [{path: \"/{x}\"}]\n",
        "  steps:\n  - {at: 5s, rate: 1, ramp: 2s}\n  - {at: 6s, rate: 1}\n",
        "faults:\n- {cluster: down, fault: reset}\n",
        "faults:\n- {cluster: up, fault: explode}\n",
        "faults:\n- {cluster: up, from: 5s, to: 2s, fault: {status: 503}}\n",
        "faults:\n- {cluster: up, share: 101, fault: {latency: {uniform: {min: 1s}}}}\n",
        "faults:\n- {cluster: up, fault: {latency: {uniform: {min: 1s}}}}\n",
        "faults:\n- {cluster: up, fault: reset, headers: {retry-after: \"5\"}}\n",
        "faults:\n- {cluster: up, fault: {status: 503}, headers: {\":status\": \"5\"}}\n",
        "routes:\n- {cluster: up, retry: {retry_on: \"5xx,often\"}}\n",
        "routes:\n- {}\n",
        "expect:\n- {at: 5s, client: p99, max: 1s}\n",
        "expect:\n- {client: p99, max: 12}\n",
        "expect:\n- {circuit: c, state: ajar, at: 5s}\n",
        "expect:\n- {metric: upstream_request, max: 12}\n",
        "expect:\n- {client: p99}\n",
        "expect:\n- {amplification: max, cluster: down, value: 2}\n",
        "policy: nowhere.json\n",
        "policy: 7\n",
        " : x\n",
    ];
    let mut report = String::new();
    for row in rows {
        report += &format!("{}{}\n\n", row, problems(&with(row)).join("\n"));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn an_impossible_response_is_rejected() {
    let answering = |fields| {
        format!(
            "duration: 1s\nclusters:\n  up: {{answer: {{{fields}}}}}\ntraffic: [{{rate: 10}}]\n"
        )
    };
    for fields in [
        "body_chunks: 2, body_time: 1s",
        "status: 101, body_time: 1s",
    ] {
        let accepted = Scenario::parse(&answering(fields), Path::new(".")).is_ok();
        assert!(accepted, "{fields}");
    }
    let rows: [(&str, &[&str]); 3] = [
        (
            "body_chunks: 0",
            &["clusters.up.answer.body_chunks: is 0, allowed 1 to 10000"],
        ),
        (
            "status: 101",
            &[
                "clusters.up.answer.body_time: is 0s; an upgraded connection (status 101) \
               needs some time",
            ],
        ),
        (
            "status: 100",
            &["clusters.up.answer.status: is 100, allowed 200 to 599"],
        ),
    ];
    for (fields, expected) in rows {
        let seen = problems(&answering(fields));
        // The column is that of the value, or of its parent if it is missing.
        let seen: Vec<_> = seen.iter().map(|it| it.split_once(": ").unwrap()).collect();
        assert!(
            seen.iter()
                .all(|(position, _)| position.starts_with("s.yaml:3:"))
        );
        let seen: Vec<_> = seen.iter().map(|(_, problem)| *problem).collect();
        assert_eq!(seen, expected, "{fields}");
    }
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = "duration: 0s\nworkers: 0\nclusters: {}\ntraffic: []\n";
    let seen = problems(text);
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// Returns clusters `a`, `b` and `c` that call these paths, and routes to them.
fn chain(calls: [&str; 3]) -> String {
    let called = |(name, path): (&str, &str)| match path {
        "" => format!("  {name}: {{}}\n"),
        path => format!("  {name}: {{calls: {{path: \"{path}\"}}}}\n"),
    };
    let clusters: String = ["a", "b", "c"].into_iter().zip(calls).map(called).collect();
    let routes: String = ["a", "b", "c"]
        .map(|name| format!("- {{match: {{prefix: /{name}}}, cluster: {name}}}\n"))
        .concat();
    format!(
        "duration: 1s\nclusters:\n{clusters}routes:\n{routes}\
         - {{match: {{path: /proxy}}, direct_response: {{status: 200}}}}\n\
         - {{match: {{path: /lost}}, cluster_header: x-to}}\n\
         traffic: [{{rate: 10}}]\n"
    )
}

#[test]
fn services_call_existing_clusters_without_cycles() {
    let rows: [([&str; 3], &[&str]); 8] = [
        (["/b/{n}", "/c", ""], &[]),
        (["/proxy", "/c", ""], &[]),
        (
            ["/x", "", ""],
            &["s.yaml:3:21: clusters.a.calls.path: is \"/x\", but no route matches it"],
        ),
        (
            ["/lost", "", ""],
            &["s.yaml:3:21: clusters.a.calls.path: reaches \"\", unknown cluster; known: a, b, c"],
        ),
        (
            ["/b", "/b", ""],
            &["s.yaml:4:14: clusters.b.calls: is a cycle: b -> b"],
        ),
        (
            ["/c", "/a", "/b"],
            &["s.yaml:3:14: clusters.a.calls: is a cycle: a -> c -> b -> a"],
        ),
        (
            ["/b", "/c", "/b"],
            &["s.yaml:4:14: clusters.b.calls: is a cycle: b -> c -> b"],
        ),
        (
            ["/{x}", "no", ""],
            &[
                "s.yaml:3:14: clusters.a.calls: has \"{x}\", unknown placeholder; known: {n}, \
                 {random:1000} and {uuid}",
                "s.yaml:4:21: clusters.b.calls.path: is \"no\", which does not begin with /",
            ],
        ),
    ];
    for (calls, expected) in rows {
        let text = chain(calls);
        match Scenario::parse(&text, Path::new(".")) {
            Ok(_) => assert!(expected.is_empty(), "accepted: {text}"),
            Err(_) => assert_eq!(problems(&text), expected, "{text}"),
        }
    }
}

#[test]
fn a_chain_with_attempt_counts_runs() {
    let text = chain(["/b", "/c", ""]) + "include_request_attempt_count: true\n";
    let text = text.replace("rate: 10", "rate: 10, requests: [{path: /a}]");
    let run = played(&text);
    let attempts = run.record.total.clusters.iter().map(|it| it.attempts);
    let calls = run.record.total.calls;
    assert_eq!(attempts.collect::<Vec<_>>(), [calls; 3]);
    assert_eq!(run.record.total.calls_succeeded, calls);
}

#[test]
fn json_is_read_like_yaml() {
    let text = r#"{"duration": "1s", "clusters": {"up": {}}, "traffic": [{"rate": 10}]}"#;
    let scenario = Scenario::parse(text, Path::new(".")).unwrap();
    assert_eq!(scenario.plan.routes[0].cluster.as_deref(), Some("up"));
    let latency = r#"{"uniform": {"min": "2s", "max": "1s"}}"#;
    let bad = text.replace(r#""up": {}"#, &format!(r#""up": {{"latency": {latency}}}"#));
    assert_eq!(
        problems(&bad),
        ["s.yaml:1:51: clusters.up.latency: has min 2s above max 1s"]
    );
}

#[test]
fn expectations_are_met_or_not() {
    let fault = "faults:\n- {cluster: up, from: 2s, to: 4s, share: 50, fault: {status: 503}}\n";
    let rows = [
        ("client: success_rate, min: 80", true),
        ("client: success_rate, min: 99", false),
        ("between: [0s, 2s], client: success_rate, equals: 100", true),
        ("between: [2s, 4s], client: success_rate, max: 70", true),
        ("between: [2s, 4s], client: error, min: 60, max: 140", true),
        ("client: p99, min: 10ms, max: 11ms", true),
        ("client: p50, max: 9ms", false),
        ("between: [20s, 30s], client: p50, max: 9ms", false),
        ("metric: upstream_requests, min: 800, max: 1200", true),
        ("metric: upstream_requests, cluster: up, max: 10", false),
        ("metric: serving_max, max: 20", true),
        ("metric: plugin.counter, equals: 0", true),
        ("amplification: max, value: 1.01", true),
        ("amplification: min, value: 1.5", false),
        ("cluster: up, amplification: min, value: 1", true),
        ("at: 3s, circuit: none, state: closed", true),
        ("at: 3s, circuit: none, state: open", false),
        ("circuit: none, enters: open, equals: 0", true),
    ];
    let statements: Vec<_> = rows
        .iter()
        .map(|(text, _)| format!("- {{{text}}}\n"))
        .collect();
    let run = played(&with(&format!("{fault}expect:\n{}", statements.concat())));
    for ((text, held), verdict) in rows.iter().zip(&run.verdicts) {
        assert_eq!(verdict.held, *held, "{text}: {verdict:?}");
        assert_eq!(verdict.text, *text);
        assert_eq!(verdict.around.is_empty(), verdict.held, "{text}");
    }
    assert!(!run.held());
}

#[test]
fn the_schema_contains_the_fields() {
    let schema = file::schema().to_string();
    for word in [
        "failure_policy",
        "lognormal",
        "reset_after_headers",
        "amplification",
        "num_retries",
        "forwards",
        "include_request_attempt_count",
    ] {
        assert!(schema.contains(word), "{word}");
    }
}
