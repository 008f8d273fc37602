//! Reloads and the end of the proxy while requests run all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use spillway_tests::{Client, Reply, Serve, eventually, places};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{lasting, scene};
use crate::scene::policy;

/// Clients that send one request after another.
const CLIENTS: usize = 8;

/// Requests until they are told to stop.
struct Load {
    clients: JoinSet<Vec<String>>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
}

impl Load {
    /// Starts clients, half of them with HTTP/2. A response is right if `is_right` says so of its
    /// status, its `x-circuit-state` and its body.
    fn start(serve: &Serve, is_right: fn(u16, &str, &str) -> bool) -> Self {
        let mut load = Self {
            clients: JoinSet::new(),
            stop: Arc::default(),
            sent: Arc::default(),
        };
        for number in 0..CLIENTS {
            let client = match number % 2 {
                0 => serve.client(),
                _ => Client::http2(serve.address()),
            };
            let (stop, sent) = (load.stop.clone(), load.sent.clone());
            load.clients.spawn(async move {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.get("/").await;
                    let state = answer.header("x-circuit-state");
                    if !answer.complete || !is_right(answer.status, state, &answer.text()) {
                        wrong.push(format!("{answer:?}"));
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                wrong
            });
        }
        load
    }

    /// Waits until this many more requests have their responses.
    async fn continues(&self, more: usize) {
        let before = self.sent.load(Ordering::Relaxed);
        eventually("further responses", async || {
            self.sent.load(Ordering::Relaxed) >= before + more
        })
        .await;
    }

    /// Ends the load and returns the wrong responses.
    async fn wrong(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await.concat()
    }
}

/// The policy `p`, whose forced state answers with this status if it is open.
fn answering(mode: &str, status: u16) -> String {
    let fallback = json!([{"type": "respond", "on": ["open"], "status": status}]);
    policy(json!({"mode": mode, "circuit_breaker": {}, "fallback": fallback})).to_string()
}

#[tokio::test]
async fn changed_policies_take_effect_under_load_and_bad_ones_do_not() {
    let (_upstream, serve) = scene(&policy(json!({"circuit_breaker": {}}))).await;
    let load = Load::start(&serve, |status, state, body| match status {
        200 => state.is_empty() && body == "ok",
        _ => (status == 210 || status == 211) && state == "forced_open",
    });
    load.continues(50).await;
    let client = Client::unpooled(serve.address());
    for (number, status) in [(1, 210), (2, 211)] {
        serve.write_policy(&answering("forced_open", status));
        serve.prints("reloaded ", number).await;
        load.continues(50).await;
        for _ in 0..4 {
            assert_eq!(client.get("/").await.status, status);
        }
    }
    let bad = [
        "{",
        r#"{"policies": [{"name": "p", "mod": 1}, {"name": "p"}]}"#,
        r#"{"policies": [{"name": "p", "circuit_breaker": {"window": {"duration": "5ms"}}}]}"#,
    ];
    for (number, text) in (1..).zip(bad) {
        serve.write_policy(text);
        serve.prints("kept the old configuration", number).await;
        load.continues(50).await;
        assert_eq!(client.get("/").await.status, 211, "{text}");
    }
    let log = serve.log();
    for error in [
        "the policy is not valid JSON",
        "policies[0].mod is not a known field",
        "policies[1] has the name \"p\"",
        "policies[0].circuit_breaker.window.duration is \"5ms\", allowed",
    ] {
        assert!(log.contains(error), "{error} is not in\n{log}");
    }
    serve.write_policy(&policy(json!({"circuit_breaker": {}})).to_string());
    serve.prints("reloaded ", 3).await;
    load.continues(50).await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(load.wrong().await, [""; 0]);
}

#[tokio::test]
async fn a_changed_module_takes_effect_under_load_and_a_bad_one_does_not() {
    let (_upstream, serve) = scene(&lasting()).await;
    let load = Load::start(&serve, |status, _, body| status == 200 && body == "ok");
    load.continues(50).await;
    serve.write_module(b"\0asm no module");
    serve.prints("kept the old configuration", 1).await;
    load.continues(50).await;
    let lite = std::fs::read(places::lite_module()).expect("the lite module");
    serve.write_module(&lite);
    serve.prints("reloaded ", 1).await;
    load.continues(50).await;
    // The new module counts, in the metrics of the old one.
    let sent = load.sent.clone();
    assert_eq!(load.wrong().await, [""; 0]);
    successes_are(&serve, sent.load(Ordering::Relaxed)).await;
}

/// Waits until the filter has counted this many successes.
async fn successes_are(serve: &Serve, count: usize) {
    let labels = [("policy", "p"), ("outcome", "success")];
    eventually(&format!("{count} successes"), async || {
        let metrics = serve.metrics().await;
        metrics.value("spillway_requests_total", &labels) == count as u64
    })
    .await;
}

#[tokio::test]
async fn every_request_in_flight_gets_its_whole_response_before_the_end() {
    for signal in ["TERM", "INT"] {
        let (upstream, serve) = scene(&lasting()).await;
        let long = "w".repeat(200_000);
        upstream.reply(Reply::status(200).body(long.clone()));
        let clients = [serve.client(), Client::http2(serve.address())];
        for client in &clients {
            assert_eq!(client.get("/").await.body.len(), long.len());
        }
        upstream.close_gate();
        let in_flight: Vec<_> = (0..20)
            .map(|number| clients[number % 2].begin("/", &[]))
            .collect();
        upstream.in_flight_reaches(20).await;
        serve.signal(signal);
        eventually("a closed port", async || is_refused(&serve).await).await;
        upstream.open_gate();
        for request in in_flight {
            let answer = request.answer().await;
            assert_eq!(
                (answer.status, answer.complete, answer.body.len()),
                (200, true, long.len())
            );
        }
        let ended = serve.ended().await;
        assert_eq!(ended.code(), Some(0), "{signal}: {ended}");
        for address in [serve.address(), serve.operators().address()] {
            TcpListener::bind(address).await.expect("a free port");
        }
    }
}

async fn is_refused(serve: &Serve) -> bool {
    tokio::net::TcpStream::connect(serve.address())
        .await
        .is_err()
}

#[tokio::test]
async fn a_request_without_an_end_delays_the_end_of_the_proxy_by_five_seconds_at_most() {
    let (upstream, serve) = scene(&lasting()).await;
    upstream.reply(Reply::hang());
    let hanging = serve.client().begin("/", &[]);
    upstream.in_flight_reaches(1).await;
    serve.signal("TERM");
    let ended = serve.ended().await;
    assert_eq!(ended.code(), Some(0), "{ended}");
    hanging.abandon().await;
    upstream.in_flight_reaches(0).await;
}

#[tokio::test]
async fn the_load_counts_every_request_once() {
    let (upstream, serve) = scene(&lasting()).await;
    let load = Load::start(&serve, |status, _, body| status == 200 && body == "ok");
    load.continues(300).await;
    let sent = load.sent.clone();
    assert_eq!(load.wrong().await, [""; 0]);
    let sent = sent.load(Ordering::Relaxed);
    assert_eq!(upstream.hits(), sent);
    successes_are(&serve, sent).await;
    let metrics = serve.metrics().await;
    assert_eq!(metrics.value("spillway_internal_errors_total", &[]), 0);
}
