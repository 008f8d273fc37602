use std::path::PathBuf;

use crate::commands::{CommandOutput, host_sim_in, target};

/// The folder with the tests of the small plugins.
fn samples() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/plugins")
}

fn test(text: &str, arguments: &[&str]) -> CommandOutput {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("it.scenario.yaml"), text).unwrap();
    let probe = std::path::absolute(target().join("wasm32-wasip1/release/probe.wasm")).unwrap();
    let given = [
        "test",
        "it.scenario.yaml",
        "--module",
        probe.to_str().unwrap(),
    ];
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
    let probe = std::path::absolute(target().join("wasm32-wasip1/release/probe.wasm")).unwrap();
    for (name, configuration, cookies) in [
        ("text", "plugin cookies", "[a=1; Path=/, b=2; Path=/]"),
        ("file", "'@conf'", "[a=1; Path=/, b=2; Path=/]"),
        ("object", "{plugin: cookies}", "{absent: true}"),
    ] {
        let text = format!(
            "plugin: {{module: {}, configuration: {configuration}}}\n\
             requests: [{{path: /, expect: {{headers: {{set-cookie: {cookies}}}}}}}]",
            probe.display()
        );
        std::fs::write(folder.path().join("it.scenario.yaml"), text).unwrap();
        let output = host_sim_in(folder.path(), &["test", "it.scenario.yaml"]);
        assert_eq!(output.code, 0, "{name}: {}", output.all());
    }
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
