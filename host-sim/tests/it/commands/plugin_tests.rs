use std::path::PathBuf;

use crate::commands::{CommandOutput, host_sim_in, module};

/// The folder with the tests of the small plugins.
fn samples() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/plugins")
}

fn test(text: &str, arguments: &[&str]) -> CommandOutput {
    test_of("probe", text, arguments)
}

fn test_of(guest: &str, text: &str, arguments: &[&str]) -> CommandOutput {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("it.scenario.yaml"), text).unwrap();
    let given = ["test", "it.scenario.yaml", "--module", &module(guest)];
    host_sim_in(folder.path(), &[&given, arguments].concat())
}

#[test]
fn the_small_plugins_do_what_their_tests_expect() {
    let output = host_sim_in(&samples(), &["test", "."]);
    assert_eq!(output.code, 0, "{}", output.all());
    assert!(output.stdout.lines().count() > 20, "{}", output.all());
}

#[test]
fn a_failed_expectation_names_its_request_its_field_and_the_log() {
    let text = "plugin: {configuration: plugin expiry}\n\
                requests:\n\
                - {path: /, expect: {status: 200, body: {contains: in}}}\n\
                - {name: later, path: /, headers: {x-expires: 4102444800}, expect: {status: 200}}\n";
    insta::assert_snapshot!(test(text, &[]).all());
}

/// Tests a request that the witness handles by a script, with `expect`.
fn scripted(script: &str, expect: &str) -> CommandOutput {
    let text = format!(
        "mocks: [{{answer: {{body: four}}}}]\n\
         requests: [{{path: /, body: five5, headers: {{x-witness: \"{script}\"}}, {expect}}}]\n",
    );
    test_of("witness", &text, &[])
}

#[test]
fn a_message_that_does_not_fit_its_headers_fails_its_test() {
    let rows = [
        (
            "resb@1 setbody 1 0 99 longer",
            "response: expected a message that fits its headers, got content-length is 4, \
             but 6 bytes were sent: only the first 4 arrive",
        ),
        (
            "resb@1 setbody 1 0 99 s",
            "content-length is 4, but 1 bytes were sent: the rest never arrives",
        ),
        (
            "resh set 2 content-length abc",
            "content-length is \"abc\": the message cannot be read",
        ),
        (
            "resh set 2 :status 204",
            "a response with status 204 has no body, but 4 bytes were sent: none of them arrives",
        ),
        (
            "resh set 2 :status 103",
            "the status is \"103\": the response cannot be read",
        ),
        (
            "reqb@1 setbody 0 0 99 longer",
            "upstream: expected a message that fits its headers, got content-length is 5, \
             but 6 bytes were sent: only the first 5 arrive",
        ),
        (
            "reqb@1 setbody 0 0 99 s",
            "content-length is 5, but 1 bytes were sent: the rest never arrives",
        ),
        (
            "reqh set 0 transfer-encoding chunked",
            "transfer-encoding is set beside content-length",
        ),
    ];
    for (script, miss) in rows {
        let output = scripted(script, "expect: {metrics: {none: 0}}");
        assert_eq!(output.code, 1, "{}", output.all());
        assert!(output.stdout.contains(miss), "{}", output.all());
        let unasked = scripted(script, "name: unasked");
        assert_eq!(unasked.code, 0, "{}", unasked.all());
    }
}

#[test]
fn a_broken_response_is_no_surprise_to_a_test_that_expects_it() {
    let rows = [
        ("resb@1 setbody 1 0 99 s", "{reset: true, body: s}", 0),
        ("resh set 2 content-length 1,2", "{reset: true}", 0),
        ("resb@1 setbody 1 0 99 s", "{reset: false}", 1),
        ("resb@1 setbody 1 0 99 same", "{reset: true}", 1),
        ("resb@1 setbody 1 0 99 longer", "{reset: true}", 1),
        (
            "resb@1 setbody 1 0 99 longer",
            "{fits: false, body: long}",
            0,
        ),
        ("resb@1 setbody 1 0 99 same", "{fits: false}", 1),
        ("reqb@1 setbody 0 0 99 s", "{fits: false, status: 504}", 0),
        ("reqb@1 setbody 0 0 99 s", "{reset: true, status: 504}", 1),
    ];
    for (script, expect, code) in rows {
        let output = scripted(script, &format!("expect: {expect}"));
        assert_eq!(output.code, code, "{script} {expect}: {}", output.all());
    }
}

#[test]
fn a_plugin_that_would_crash_envoy_fails_its_test() {
    let rows = [
        (
            "resh local 418 a b -1;resh local 419 c d -1",
            "sent a local reply to a stream that it had already ended, which crashes Envoy",
        ),
        (
            "resh close 0;resh close 0",
            "closed a stream that it had already ended",
        ),
        (
            "log local 418 a b -1",
            "sent a local reply from proxy_on_log or proxy_on_done",
        ),
        (
            "done close 0",
            "closed the stream from proxy_on_log or proxy_on_done",
        ),
        (
            "reqh resume response",
            "resumed the response before there was one",
        ),
    ];
    for (script, why) in rows {
        let output = scripted(script, "expect: {status: 418}");
        assert_eq!(output.code, 1, "{}", output.all());
        assert!(output.stdout.contains(why), "{}", output.all());
    }
}

#[test]
fn a_mock_with_a_wrong_length_is_read_as_envoy_reads_it() {
    let error = "{status: 502, body: {contains: protocol error}}";
    let rows = [
        (
            "{headers: {content-length: 9}, body: abc}",
            "{reset: true, body: abc}",
        ),
        (
            "{headers: {content-length: 2}, body: abc}",
            "{status: 200, body: ab}",
        ),
        (
            "{headers: {content-length: 2}, body: abc, chunks: 3}",
            "{status: 200, body: ab}",
        ),
        ("{headers: {content-length: [3, 3]}, body: abc}", error),
        ("{headers: {content-length: -3}, body: abc}", error),
        ("{headers: {content-length: 3}, status: 204}", error),
        (
            "{headers: {content-length: 0}, status: 204}",
            "{status: 204}",
        ),
        (
            "{headers: {content-length: 3}, status: 304}",
            "{status: 304}",
        ),
    ];
    for (answer, expect) in rows {
        let text = format!(
            "plugin: {{configuration: plugin cookies}}\n\
             mocks: [{{answer: {answer}}}]\n\
             requests: [{{path: /, expect: {expect}}}]\n"
        );
        let output = test(&text, &[]);
        assert_eq!(output.code, 0, "{answer}: {}", output.all());
    }
}

#[test]
fn each_request_is_a_case_of_junit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.xml");
    let text = "plugin: {configuration: plugin cookies}\n\
                requests:\n\
                - {name: good, path: /, expect: {status: 200}}\n\
                - {path: /, expect: {status: 404}}\n";
    let output = test(text, &["--junit", file.to_str().unwrap()]);
    assert_eq!(output.code, 1, "{}", output.all());
    let text = std::fs::read_to_string(file).unwrap();
    for part in [
        r#"tests="2""#,
        r#"failures="1""#,
        r#"name="good""#,
        r#"name="requests[1]""#,
        "status: expected 404, got 200",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_plugin_test_that_cannot_run_says_why() {
    for (text, code, part) in [
        ("requests: []", 2, "requests: is empty"),
        (
            "requests: [{path: /, status: 1}]",
            2,
            "unknown field `status`",
        ),
        (
            "plugin: {configuration: plugin strict}\nrequests: [{path: /}]",
            1,
            "[error] the argument has no key",
        ),
    ] {
        let output = test(text, &[]);
        assert_eq!(output.code, code, "{}", output.all());
        assert!(output.stdout.contains(part), "{}", output.all());
    }
}

#[test]
fn a_configuration_may_be_an_object_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("conf"), "plugin cookies").unwrap();
    let probe = module("probe");
    for (name, configuration, cookies) in [
        ("text", "plugin cookies", "[a=1; Path=/, b=2; Path=/]"),
        ("file", "'@conf'", "[a=1; Path=/, b=2; Path=/]"),
        ("object", "{plugin: cookies}", "{absent: true}"),
    ] {
        let text = format!(
            "plugin: {{module: {}, configuration: {configuration}}}\n\
             requests: [{{path: /, expect: {{headers: {{set-cookie: {cookies}}}}}}}]",
            probe
        );
        std::fs::write(folder.path().join("it.scenario.yaml"), text).unwrap();
        let output = host_sim_in(folder.path(), &["test", "it.scenario.yaml"]);
        assert_eq!(output.code, 0, "{name}: {}", output.all());
    }
}

#[test]
fn a_refused_update_fails_unless_it_is_expected() {
    for (expect, code, part) in [
        (
            "{status: 200}",
            1,
            "refused: expected false, got true: Failed to configure base Wasm plugin",
        ),
        ("{status: 200, refused: true}", 0, "ok 1"),
    ] {
        let text = format!(
            "plugin: {{configuration: plugin cookies}}\n\
             requests: [{{configuration: plugin strict, path: /, expect: {expect}}}]"
        );
        let output = test(&text, &[]);
        assert_eq!(output.code, code, "{}", output.all());
        assert!(output.stdout.contains(part), "{}", output.all());
    }
    let text = "plugin: {configuration: plugin strict key=1}\n\
                requests: [{configuration: plugin cookies, expect: {refused: true}}]";
    let output = test(text, &[]);
    let part = "refused: expected true, got false";
    assert!(output.stdout.contains(part), "{}", output.all());
}

#[test]
fn an_update_is_for_one_plugin_of_a_chain() {
    let folder = tempfile::tempdir().unwrap();
    let probe = module("probe");
    let text = format!(
        "plugins:\n\
         - {{module: {probe}, configuration: plugin cookies}}\n\
         - {{module: {probe}, configuration: plugin redirect a.example}}\n\
         requests:\n\
         - {{plugin: 1, configuration: plugin redirect b.example, path: /,\n   \
            expect: {{headers: {{location: 'https://b.example/'}}}}}}\n"
    );
    std::fs::write(folder.path().join("chain.yaml"), text).unwrap();
    let output = host_sim_in(folder.path(), &["request", "--from", "chain.yaml"]);
    assert_eq!(output.code, 0, "{}", output.all());
    let part = "probe 2: new configuration accepted";
    assert!(output.stdout.contains(part), "{}", output.all());
}

#[test]
fn requests_of_a_file_are_shown_one_by_one() {
    let expect = ["request", "--from", "expiry.scenario.yaml"];
    let output = host_sim_in(&samples(), &expect);
    assert_eq!(output.code, 0, "{}", output.all());
    for part in ["GET /  (until 1970)", "[info] the token has expired"] {
        assert!(output.stdout.contains(part), "{}", output.all());
    }
    let own = [&expect[..], &["GET", "/own", "-H", "x-expires: 1"]].concat();
    let output = host_sim_in(&samples(), &own);
    assert!(output.stdout.contains("GET /own"), "{}", output.all());
    assert!(!output.stdout.contains("until 1970"), "{}", output.all());
}

/// Runs a scenario with load, with a small plugin in front.
fn run(plugin: &str, traffic: &str) -> CommandOutput {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "plugin: {{module: none.wasm, configuration: plugin {plugin}}}\n\
         duration: 1s\nclusters: {{a: {{}}}}\ntraffic: [{{{traffic}, requests: [{{path: /}}]}}]\n"
    );
    std::fs::write(folder.path().join("it.yaml"), text).unwrap();
    let probe = module("probe");
    let given = ["run", "it.yaml", "--json", "--module", &probe];
    host_sim_in(folder.path(), &given)
}

#[test]
fn a_rate_of_one_sends_one_request_in_a_second_and_an_empty_run_is_an_error() {
    for traffic in ["rate: 1", "rate: 1, arrivals: constant"] {
        let requests = &run("cookies", traffic).json()["total"]["requests"];
        assert!(requests.as_u64().unwrap() >= 1, "{traffic}: {requests}");
    }
    let output = run("cookies", "rate: 0.5, arrivals: constant");
    assert_eq!(output.code, 2, "{}", output.all());
    assert!(
        output.stderr.contains("sent no request"),
        "{}",
        output.all()
    );
}

#[test]
fn a_refusal_of_a_plugin_is_no_fallback() {
    let outcomes = &run("basic", "rate: 50").json()["total"]["outcomes"];
    assert_eq!(
        (&outcomes["fallback"], &outcomes["success"]),
        (&0.into(), &0.into())
    );
    assert!(outcomes["rejected"].as_u64().unwrap() > 10, "{outcomes}");
}

#[test]
fn a_scenario_shows_the_lines_of_every_level_of_a_refused_configuration() {
    let output = run("strict", "rate: 1");
    assert_eq!(output.code, 1, "{}", output.all());
    for line in [
        "refuses its configuration",
        "the argument is \"\"",
        "the argument has no key",
    ] {
        assert!(output.stderr.contains(line), "{}", output.all());
    }
}

#[test]
fn bench_names_the_module_and_check_the_configuration_of_another_plugin() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("conf"), "plugin cookies").unwrap();
    std::fs::write(
        folder.path().join("other.json"),
        r#"{"token": "x", "zones": []}"#,
    )
    .unwrap();
    let probe = module("probe");
    let bench = ["bench", "--requests", "50", "--config", "conf", "--module"];
    let output = host_sim_in(folder.path(), &[&bench[..], &[probe.as_str()]].concat());
    assert!(
        output.stdout.contains("probe") && !output.stdout.contains("spillway"),
        "{}",
        output.all()
    );
    let output = host_sim_in(folder.path(), &["check", "other.json"]);
    assert_eq!(output.code, 2, "{}", output.all());
    assert!(
        output.stderr.contains("is no policy of this filter"),
        "{}",
        output.all()
    );
}
