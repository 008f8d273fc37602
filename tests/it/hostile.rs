//! Hostile requests: the filter neither traps nor lets them decide anything.
//!
//! The policies read as much as policies can: headers are a condition, a key and a placeholder at
//! once. A trap would show in the worker's later responses, in the host's statistics, and in its
//! log.

use serde_json::{Value, json};
use spillway_tests::{Envoy, Upstream, raw};

use crate::scene::{file, outcomes_are, policy, touchy, with};

/// Policies that use client input wherever a policy can: `forced` echoes it immediately, `failing`
/// echoes it after an upstream response, `all` uses it as a key.
fn greedy() -> Value {
    let respond = json!({
        "type": "respond",
        "on": ["open", "failure"],
        "status": 203,
        "headers": {"x-path": "{path}", "x-id": "{request_id}"},
        "json": {"path": "{path}", "id": "{request_id}"},
    });
    let key = json!([
        "cluster", "route", "authority", "method",
        {"header": "x-hostile"}, {"header": "x-request-id"}, {"header": "x-absent"},
    ]);
    let common = json!({
        "key": key,
        "circuit_breaker": touchy(json!({"open": {"duration": "60s"}})),
        "fallback": [respond],
    });
    let named =
        |name: &str, fields: Value| with(with(json!({"name": name}), common.clone()), fields);
    let mode = |mode: &str| json!([{"name": "x-mode", "exact": mode}]);
    let exact = json!([{"name": "x-hostile", "exact": "\u{ff}"}]);
    let present =
        json!([{"name": "x-hostile", "present": true}, {"name": "x-missing", "present": false}]);
    file(json!([
        named(
            "never",
            json!({"match": {
                "authorities": ["*.nowhere.test", "nowhere.test"],
                "paths": [{"template": "/a/{b}/c"}, {"exact": "/nowhere"}],
                "methods": ["NOWHERE"],
                "headers": exact,
            }})
        ),
        named(
            "forced",
            json!({"mode": "forced_open", "match": {"headers": mode("forced")}})
        ),
        named(
            "failing",
            json!({"outcome": {"failure_status": ["200"]}, "match": {"headers": mode("failing")}})
        ),
        named("present", json!({"match": {"headers": present}})),
        named("all", json!({})),
    ]))
}

async fn greedy_envoy() -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(greedy())
        .manager(json!({"preserve_external_request_id": true, "max_request_headers_kb": 96}))
        .start()
        .await;
    assert_eq!(vms(&envoy).await, VMS);
    (upstream, envoy)
}

/// Number of VMs that Envoy creates for one worker; there would be more if the filter had to be
/// reloaded.
const VMS: u64 = 4;

async fn vms(envoy: &Envoy) -> u64 {
    envoy.stat("wasm.envoy.wasm.runtime.v8.created").await
}

/// Asserts that the filter is alive and has counted no internal error.
async fn unharmed(envoy: &Envoy) {
    let answer = envoy.get("/next").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let answer = envoy.get_with("/next", &[("x-mode", "forced")]).await;
    assert_eq!(
        (answer.status, answer.header("x-circuit-fallback")),
        (203, "respond")
    );
    let metrics = envoy.metrics().await;
    assert_eq!(metrics.value("spillway_internal_errors_total", &[]), 0);
    let reloads = envoy
        .admin("/stats?filter=wasm.spillway.vm_reload")
        .await
        .text();
    assert_eq!(reloads.lines().count(), 4, "{reloads}");
    assert!(
        reloads.lines().all(|line| line.ends_with(": 0")),
        "{reloads}"
    );
    assert_eq!(vms(envoy).await, VMS);
    let traps = envoy.log_lines("Function: .* failed|Uncaught|RuntimeError|panicked|unreachable");
    assert_eq!(traps, Vec::<String>::new());
}

/// Unusual header values that Envoy accepts.
const VALUES: [&[u8]; 9] = [
    b"\xff\xfe",
    b"\xc3\x28\xa0\xa1",
    b"\xed\xa0\x80",
    b"",
    b"\"}],\\\"{path}{request_id}<script>",
    b"%00%0d%0a",
    b"\tspaced\t",
    "\u{202e}\u{fe0f}\u{10ffff}".as_bytes(),
    &[b'a'; 60 * 1024],
];

#[tokio::test]
async fn arbitrary_header_bytes_cause_no_trap() {
    let (upstream, envoy) = greedy_envoy().await;
    let modes = [("forced", 203), ("failing", 203), ("plain", 200)];
    for value in VALUES {
        for (mode, status) in modes {
            for header in ["x-hostile", "x-request-id", "content-type"] {
                let head = format!(
                    "GET /h HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-mode: {mode}\r\n{header}: "
                );
                let request = [head.as_bytes(), value, b"\r\n\r\n"];
                let answer = raw::exchange(envoy.address(), &request.concat()).await;
                let shown = String::from_utf8_lossy(&value[..value.len().min(40)]).into_owned();
                assert_eq!(answer.status(), Some(status), "{mode} {header}: {shown:?}");
                assert!(
                    answer.0.len() < 8_000,
                    "{} bytes for {mode} {header}",
                    answer.0.len()
                );
            }
        }
    }
    let rounds = VALUES.len() * 3;
    assert_eq!(upstream.hits(), 2 * rounds);
    unharmed(&envoy).await;
}

#[tokio::test]
async fn a_hostile_header_is_escaped_in_the_response() {
    let (_upstream, envoy) = greedy_envoy().await;
    let request = b"GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-mode: forced\r\nx-request-id: \xff\"}\t<\r\n\r\n";
    let answer = raw::exchange(envoy.address(), request).await.text();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
    assert!(head.contains("x-id: %FF%22}%09%3C\r\n"), "{head}");
    assert_eq!(
        body,
        "{\"id\":\"\u{fffd}\\u0022\\u007D\\u003C\",\"path\":\"/a\"}"
    );
    unharmed(&envoy).await;
}

#[tokio::test]
async fn a_request_without_a_path_causes_no_trap() {
    let (upstream, envoy) = greedy_envoy().await;
    for (mode, status) in [("forced", 203), ("failing", 404), ("plain", 404)] {
        let connect = format!(
            "CONNECT host:443 HTTP/1.1\r\nhost: host:443\r\nx-mode: {mode}\r\nx-hostile: \u{ff}\r\n\r\n"
        );
        let answer = raw::exchange(envoy.address(), connect.as_bytes()).await;
        assert_eq!(answer.status(), Some(status), "{mode}: {}", answer.text());
    }
    outcomes_are(&envoy, "failing", [0, 0, 1]).await;
    assert_eq!(upstream.hits(), 0);
    unharmed(&envoy).await;
}

#[tokio::test]
async fn unusual_targets_and_hosts_cause_no_trap() {
    let (_upstream, envoy) = greedy_envoy().await;
    let many = "/".repeat(20_000);
    let targets = [
        "*",
        "//",
        "/%",
        "/?",
        "/#",
        "/\u{ff}",
        "/\"}<",
        "/a/{b}/c",
        "/a//c",
        "http://h/x",
        "http://h",
        many.as_str(),
    ];
    let hosts = [
        "h",
        "[::1]:80",
        ":80",
        "h:",
        "h:x",
        "h:99999999999999999999",
        "\u{ff}",
    ];
    for mode in ["plain", "forced", "failing"] {
        for target in targets {
            for host in hosts {
                let method = if target == "*" { "OPTIONS" } else { "GET" };
                let request =
                    format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nx-mode: {mode}\r\n\r\n");
                let answer = raw::exchange(envoy.address(), request.as_bytes()).await;
                let shown = &target[..target.len().min(20)];
                // A host with a failed filter would respond with 503.
                let alive = answer.status().is_some_and(|status| status != 503);
                assert!(alive, "{mode} {shown} {host}: {}", answer.text());
            }
        }
    }
    unharmed(&envoy).await;
}

#[tokio::test]
async fn invalid_http_causes_no_trap() {
    let (_upstream, envoy) = greedy_envoy().await;
    let rows: [&[u8]; 5] = [
        b"\0\0garbage\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\n: nameless\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n",
    ];
    for bytes in rows {
        let answer = raw::exchange(envoy.address(), bytes).await;
        assert_eq!(answer.status(), Some(400), "{}", answer.text());
    }
    unharmed(&envoy).await;
}

#[tokio::test]
async fn the_log_line_of_a_hostile_key_is_still_json() {
    let breaker = touchy(json!({"open": {"duration": "60s"}}));
    let fields = json!({"key": [{"header": "x-tenant"}], "circuit_breaker": breaker});
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(fields))
        .start()
        .await;
    upstream.reply(spillway_tests::Reply::status(503));
    let request = raw::get_with_header("/", "x-tenant", b"\xff\"},{\\%s%n");
    assert_eq!(
        raw::exchange(envoy.address(), &request).await.status(),
        Some(503)
    );
    outcomes_are(&envoy, "p", [0, 1, 0]).await;
    let lines = envoy.transitions();
    assert_eq!(lines[0]["key"], json!(["\u{fffd}\"},{\\%s%n"]));
}
