use std::path::Path;

use serde_json::Value;

use crate::commands::{CommandOutput, assert_valid, host_sim, host_sim_in, module};

/// A folder with the configuration of a small plugin.
fn configured(plugin: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("conf"), format!("plugin {plugin}")).unwrap();
    folder
}

/// Runs `host-sim request` with the probe as a small plugin.
fn request(plugin: &str, arguments: &[&str]) -> CommandOutput {
    request_in(configured(plugin).path(), arguments)
}

fn request_in(folder: &Path, arguments: &[&str]) -> CommandOutput {
    let probe = module("probe");
    let given = ["request", "--config", "conf", "--module", &probe];
    host_sim_in(folder, &[&given, arguments].concat())
}

#[test]
fn everything_that_happens_is_shown() {
    let output = request(
        "auth authz",
        &[
            "POST",
            "/items?a=1",
            "-H",
            "X-Tag: t",
            "-H",
            "x-tag: u",
            "--body",
            "hello",
            "--chunks",
            "2",
            "--trailer",
            "x-sum: 9",
            "--mock",
            "authz={body: ann, delay: 20ms}",
            "--upstream",
            "{status: 201, headers: ['set-cookie: a', 'set-cookie: b'], body: made, chunks: 2, \
             trailers: {x-end: 1}}",
        ],
    );
    insta::assert_snapshot!(output.all());
}

#[test]
fn hostcalls_are_shown_with_their_arguments() {
    let output = request("auth authz", &["/", "--mock", "authz=403", "-v"]);
    insta::assert_snapshot!(output.all());
}

#[test]
fn several_modules_are_a_chain() {
    let folder = configured("cors");
    std::fs::write(folder.path().join("second"), "plugin basic").unwrap();
    let probe = module("probe");
    let second = ["--module", &probe, "--config", "second", "/"];
    let output = request_in(folder.path(), &second);
    insta::assert_snapshot!(output.all());
}

#[test]
fn json_has_everything_and_a_schema() {
    let arguments = [
        "/",
        "--json",
        "--mock",
        "authz={body: ann}",
        "--upstream",
        "201",
    ];
    let document = request("auth authz", &arguments).json();
    assert_valid(&document, "request");
    let step = &document["requests"][0];
    assert_eq!(step["response"]["status"], 201);
    assert_eq!(step["callouts"][0]["cluster"], "authz");
    let headers = step["upstream"]["headers"].as_array().unwrap();
    assert!(
        headers.contains(&serde_json::json!(["x-user", "ann"])),
        "{headers:?}"
    );
    let events = step["events"].as_array().unwrap();
    let made_call = |event: &Value| event["inside"][0]["hostcall"] == "proxy_http_call";
    assert!(events.iter().any(made_call), "{events:?}");
}

#[test]
fn what_the_flags_set_reaches_the_plugin() {
    let rows: [(&str, &[&str], &str); 9] = [
        ("expiry", &["-H", "x-expires: 1"], "  401"),
        (
            "expiry",
            &["-H", "x-expires: 60", "--start", "1970-01-01T00:00:59Z"],
            "  200",
        ),
        (
            "expiry",
            &[
                "-H",
                "x-expires: 60",
                "--start",
                "1970-01-01T00:00:59Z",
                "--wait",
                "2s",
            ],
            "  401",
        ),
        ("facts", &["--env", "MODE=a=b"], "  x-mode: a=b"),
        (
            "facts",
            &["--property", "metadata.filter_metadata.app.tier=gold"],
            "  x-tier: gold",
        ),
        ("ticks", &["--wait", "3s"], "  x-value: 3"),
        (
            "auth authz",
            &["--mock", "authz#2=200", "--mock", "authz=401"],
            "  403",
        ),
        (
            "auth authz",
            &["--mock", "authz/other=200"],
            "  answered: 404",
        ),
        (
            "cookies",
            &["--workers", "3", "--upstream", "{reset: connect}"],
            "  503  (upstream_reset",
        ),
    ];
    for (plugin, arguments, line) in rows {
        let output = request(plugin, &[&["/"], arguments].concat());
        assert_eq!(output.code, 0, "{}", output.all());
        let shown = output.stdout.contains(&format!("\n{line}"));
        assert!(shown, "{plugin} {arguments:?} {line}: {}", output.all());
    }
}

#[test]
fn a_plugin_that_never_comes_to_an_end_is_stopped() {
    for (conf, modules, code, part) in [
        ("rqh=pause;rsh=pause", 1, 0, "  504  (stream_idle_timeout"),
        ("configure=tick,60000;rqh=pause;rsh=pause", 1, 0, "  504  "),
        ("rqh=pause;rsh=pause", 2, 0, "  reset  (stream_idle_timeout"),
        (
            "rqh=call,a,/c,0|pause;call=call,a,/c,0",
            1,
            1,
            "takes more than 100000 events",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("conf"), conf).unwrap();
        let probe = module("probe");
        let second = ["--config", "conf", "--module", &probe];
        let second = if modules == 2 { &second[..] } else { &[] };
        let output = request_in(
            folder.path(),
            &[second, &["GET", "/", "--mock", "a=200"]].concat(),
        );
        assert_eq!(output.code, code, "{conf}: {}", output.stderr);
        assert!(output.all().contains(part), "{conf}: {}", output.stderr);
    }
}

#[test]
fn an_http_call_of_a_grpc_mock_gets_its_frames_and_trailers() {
    let mock = "authz={messages: [ann], grpc_status: 5, grpc_message: lost, trailers: {x-t: 1}}";
    let output = request("auth authz", &["/", "--mock", mock]);
    assert_eq!(output.code, 0, "{}", output.all());
    for part in [
        "body_size=8, trailers=3)",
        "\n  answered: 200\n  content-type: application/grpc\n",
        "\n  \\u{0}\\u{0}\\u{0}\\u{0}\\u{3}ann\n\n  x-t: 1\n  grpc-status: 5\n  grpc-message: lost\n",
    ] {
        assert!(output.stdout.contains(part), "{part}: {}", output.all());
    }
}

#[test]
fn a_mock_may_have_a_query_and_an_answer_with_its_own_signs() {
    for (mock, line) in [
        ("authz/check?a=b=403", "  answered: 404"),
        ("authz/check=403", "  answered: 403"),
        ("authz={status: 403, body: a=b}", "  answered: 403"),
    ] {
        let output = request("auth authz", &["/", "--mock", mock]);
        assert_eq!(output.code, 0, "{}", output.all());
        assert!(output.stdout.contains(line), "{mock}: {}", output.all());
    }
}

#[test]
fn a_file_keeps_its_plugins_and_its_requests() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{plugins: [{}, {}], requests: [{path: /}]}";
    std::fs::write(folder.path().join("chain.yaml"), text).unwrap();
    let rows: [(&[&str], &str); 4] = [
        (
            &["--module", "a.wasm"],
            "--module or SPILLWAY_WASM is given 1 times, but the file has 2 plugins",
        ),
        (&["-H", "a: b"], "--header needs METHOD and PATH"),
        (&["--body", "a"], "--body needs METHOD and PATH"),
        (&["--wait", "1s"], "--wait needs METHOD and PATH"),
    ];
    for (arguments, text) in rows {
        let given = ["request", "--from", "chain.yaml"];
        let output = host_sim_in(folder.path(), &[&given, arguments].concat());
        assert_eq!(output.code, 2, "{}", output.all());
        assert!(output.stderr.contains(text), "{text}: {}", output.all());
    }
}

#[test]
fn log_levels_and_fuel_are_limits() {
    let seen = |arguments: &[&str]| request("strict key=1", &[&["/"], arguments].concat()).stdout;
    assert!(seen(&[]).contains("[debug] the argument is"));
    assert!(!seen(&["--log-level", "info"]).contains("[debug]"));
    let starved = request("strict key=1", &["/", "--fuel", "10"]);
    assert_eq!(starved.code, 2, "{}", starved.all());
    assert!(starved.stdout.contains("fuel"), "{}", starved.all());
}

#[test]
fn a_refused_configuration_shows_the_lines_of_every_level() {
    let output = request("strict nothing", &["/"]);
    assert_eq!(output.code, 1, "{}", output.all());
    for line in [
        "probe refuses its configuration: Failed to configure base Wasm plugin",
        "[debug] the argument is \"nothing\"",
        "[error] the argument has no key",
    ] {
        assert!(output.stderr.contains(line), "{}", output.all());
    }
}

#[test]
fn a_hostcall_that_is_not_modelled_ends_the_report_unless_it_has_a_stub() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("m.wasm"),
        wat::parse_str(FOREIGN).unwrap(),
    )
    .unwrap();
    let run = |arguments: &[&str]| {
        host_sim_in(
            folder.path(),
            &[&["request", "--module", "m.wasm", "/"], arguments].concat(),
        )
    };
    let output = run(&[]);
    assert_eq!(output.code, 3, "{}", output.all());
    for part in [
        "proxy_on_request_headers",
        "ended early",
        "--stub compress=STATUS",
    ] {
        assert!(output.stdout.contains(part), "{}", output.all());
    }
    for (stub, status) in [
        ("compress=not_found", "-> not_found"),
        ("compress=0", "-> ok"),
    ] {
        let output = run(&["--stub", stub, "-v"]);
        assert_eq!(output.code, 0, "{}", output.all());
        assert!(output.stdout.contains(status), "{}", output.all());
    }
}

#[test]
fn a_plugin_that_would_crash_envoy_ends_the_report() {
    let script = "x-witness: resh local 418 a b -1;resh close 0";
    let request = |arguments: &[&str]| {
        let given = ["request", "--module", &module("witness"), "-H", script, "/"];
        host_sim(&[&given, arguments].concat())
    };
    let why = "closed a stream that it had already ended, which crashes Envoy";
    for arguments in [&[][..], &["--json"]] {
        let output = request(arguments);
        assert_eq!(output.code, 1, "{}", output.all());
        assert!(output.stdout.contains(why), "{}", output.all());
        assert!(output.stderr.contains(why), "{}", output.all());
    }
}

#[test]
fn a_response_that_does_not_fit_its_headers_is_shown_as_broken() {
    let rows = [
        (
            "resb@1 setbody 1 0 99 s",
            "broken: content-length is 4, but 1 bytes were sent",
            true,
        ),
        (
            "resb@1 setbody 1 0 99 longer",
            "warning: content-length is 4, but 6 bytes were sent",
            false,
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = "mocks: [{answer: {body: four}}]\nrequests: [{path: /}]\n";
    std::fs::write(folder.path().join("file.yaml"), file).unwrap();
    for (script, line, broken) in rows {
        let header = format!("x-witness: {script}");
        let module = module("witness");
        let given = [
            "request",
            "--from",
            "file.yaml",
            "--module",
            &module,
            "-H",
            &header,
            "/",
        ];
        let output = host_sim_in(folder.path(), &given);
        assert_eq!(output.code, 0, "{}", output.all());
        assert!(output.stdout.contains(line), "{}", output.all());
        let document = host_sim_in(folder.path(), &[&given[..], &["--json"]].concat()).json();
        assert_valid(&document, "request");
        assert_eq!(document["requests"][0]["response"]["broken"], broken);
    }
}

/// A plugin that compresses nothing with a foreign function.
const FOREIGN: &str = r#"(module
    (import "env" "proxy_call_foreign_function"
        (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "compress")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $call (i32.const 16) (i32.const 8) (i32.const 0) (i32.const 0)
            (i32.const 512) (i32.const 516)))
        (i32.const 0)))"#;

#[test]
fn arguments_that_make_no_sense_are_named() {
    for (arguments, text) in [
        (&[][..], "needs METHOD and PATH"),
        (&["x"], "requests[0].path is \"x\""),
        (
            &["/", "--mock", "authz"],
            "--mock is \"authz\", allowed CLUSTER=ANSWER",
        ),
        (&["/", "--mock", "authz="], "--mock is \"\": has no answer"),
        (&["/", "--mock", "a#x=200"], "--mock is \"a#x=200\""),
        (&["/", "--upstream", "{state: 1}"], "unknown field `state`"),
        (
            &["/", "--stub", "compress"],
            "--stub is \"compress\", allowed NAME=VALUE",
        ),
        (
            &["/", "--stub", "compres=ok"],
            "stubs.compres needs no stub or does not exist, allowed compress, uncompress, ",
        ),
        (
            &["/", "--mock", "authz={body: a, messages: [b]}"],
            "mocks[0].answer.body cannot be combined with grpc_status or messages",
        ),
        (
            &["/", "--stub", "compress=maybe"],
            "stubs.compress is \"maybe\"",
        ),
        (&["/", "-H", "x"], "requests[0].headers has \"x\""),
        (&["/", "--config", "conf"], "--config is given 2 times"),
        (
            &["/", "--body", "@nowhere"],
            "requests[0].body cannot read nowhere",
        ),
    ] {
        let output = request("cookies", arguments);
        assert_eq!(output.code, 2, "{}", output.all());
        assert!(output.stderr.contains(text), "{text}: {}", output.all());
    }
}
