//! Plugins other than the filter: small ones that are built with the official SDK.

use bytes::Bytes;
use host_sim::proxy::{CallOutcome, Plugin};

use crate::proxy::{GET, OK, Proxy, body, built, headers, response};

fn plugin(line: &str, workers: usize) -> Proxy {
    Proxy::start(
        Plugin::new(built("probe"), format!("plugin {line}")),
        workers,
    )
    .unwrap()
}

#[test]
fn auth_by_http_call_admits_a_known_user() {
    let mut proxy = plugin("auth up", 1);
    proxy.get();
    assert_eq!(proxy.effects(), ["call: Http up /check"]);
    proxy.answer_call(response("200", "ann"));
    assert_eq!(proxy.effects(), ["up: :path=/x x-user=ann. rerouted"]);
}

#[test]
fn auth_by_http_call_rejects_an_unknown_user() {
    for outcome in [
        response("401", ""),
        CallOutcome::timed_out(),
        CallOutcome::Reset,
    ] {
        let mut proxy = plugin("auth up", 1);
        proxy.get();
        proxy.effects();
        proxy.answer_call(outcome);
        let seen = proxy.effects();
        assert!(
            seen[0].starts_with("client: :status=403 x-auth=denied"),
            "{seen:?}"
        );
    }
}

#[test]
fn auth_by_http_call_without_its_cluster_is_a_500() {
    for cluster in ["nowhere", "vacant"] {
        let mut proxy = plugin(&format!("auth {cluster}"), 1);
        proxy.get();
        assert!(proxy.effects()[0].starts_with("client: :status=500"));
    }
}

#[test]
fn auth_by_grpc_call_admits_and_rejects() {
    let mut proxy = plugin("grpc_auth up", 1);
    proxy.get();
    assert_eq!(proxy.effects(), ["call: Grpc up /auth.Check/Ask"]);
    proxy.answer_call(CallOutcome::Message(Bytes::from_static(b"ann")));
    assert_eq!(proxy.effects(), ["up: :path=/x x-user=ann. rerouted"]);
    proxy.get();
    proxy.effects();
    proxy.answer_call(CallOutcome::Closed {
        status: 16,
        message: "who are you".into(),
    });
    assert_eq!(proxy.effects()[1], "client: '16 who are you'.");
}

#[test]
fn bodies_are_buffered_and_rewritten() {
    let mut proxy = plugin("rewrite", 1);
    let stream = proxy.open_on(0);
    proxy.host.request(stream, headers(false, &GET));
    proxy.host.request(stream, body("he", false));
    proxy.host.request(stream, body("llo", false));
    proxy.host.request(stream, body("", true));
    assert_eq!(proxy.effects(), ["up: :path=/x rerouted", "up: 'HELLO'."]);
    proxy.host.response(
        stream,
        headers(false, &[(":status", "200"), ("content-length", "2")]),
    );
    proxy.host.response(stream, body("ok", true));
    assert_eq!(proxy.effects(), ["client: :status=200", "client: 'OK'."]);
}

#[test]
fn headers_are_edited_in_both_directions() {
    let mut proxy = plugin("headers", 1);
    let stream = proxy.open_on(0);
    let pairs = [&GET[..], &[("x-secret", "s")]].concat();
    proxy.host.request(stream, headers(true, &pairs));
    proxy.host.response(stream, headers(true, &OK));
    let expected = [
        "up: :path=/x x-seen-by=probe. rerouted",
        "client: :status=200 x-path=/x.",
    ];
    assert_eq!(proxy.effects(), expected);
}

#[test]
fn a_cache_is_filled_by_ticks() {
    let mut proxy = plugin("cache up", 1);
    proxy.run_to(1_000);
    assert_eq!(
        proxy.effects(),
        ["call: Http up /value", "call: Http up /value"]
    );
    proxy.answer_call(response("200", "main"));
    proxy.answer_call(response("200", "worker"));
    let stream = proxy.get();
    proxy.respond(stream);
    let expected = [
        "up: :path=/x.",
        "client: :status=200 server=up x-value=worker.",
    ];
    assert_eq!(proxy.effects(), expected);
}

#[test]
fn a_rate_limit_applies_across_all_workers() {
    let mut proxy = plugin("limiter 5", 4);
    for number in 0..12 {
        let stream = proxy.open_on(number % 4);
        proxy.host.request(stream, headers(true, &GET));
    }
    let passed = proxy
        .effects()
        .iter()
        .filter(|effect| effect.starts_with("up:"))
        .count();
    assert_eq!(passed, 5);
}

#[test]
fn queue_messages_reach_the_registered_thread() {
    let mut proxy = plugin("queue", 3);
    for worker in [0, 1, 2] {
        let stream = proxy.open_on(worker);
        proxy.host.request(stream, headers(true, &GET));
    }
    proxy.host.take_log();
    proxy.run_to(1);
    let lines = proxy.host.take_log();
    assert_eq!(lines.len(), 3);
    assert!(
        lines
            .iter()
            .all(|line| line.text == "queue: /x" && line.worker == Some(2)),
        "{lines:?}"
    );
}
