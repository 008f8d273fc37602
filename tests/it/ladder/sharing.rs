//! Which responses a request may store and receive, and what invalidates them.

use std::time::{Duration, Instant};

use bytes::Bytes;
use host_sim::proxy::{Hostcall, Part};
use serde_json::{Value, json};
use spillway_tests::{Client, Envoy, Reply, Upstream, client, eventually, raw};

use super::simulated::{Asking, Does, Stage, good};
use crate::scene::{file, nothing_is_left, policy};

/// `fallback` entries: the last good response, for any user.
fn stale(max_age: &str) -> Value {
    json!([{"type": "stale", "on": ["open", "failure"], "max_age": max_age, "shared": true}])
}

/// Starts an upstream and an Envoy with this policy file.
async fn playing(file: Value) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address()).policy(file);
    let envoy = envoy.start().await;
    (upstream, envoy)
}

/// The response to a plain GET of this path while the upstream fails.
async fn in_an_outage(upstream: &Upstream, envoy: &Envoy, path: &str) -> (u16, String) {
    upstream.reply_on(path, Reply::status(503).body("bad"));
    let answer = envoy.get(path).await;
    (answer.status, answer.text())
}

/// Raw requests of one client: each has a body or overrides its method.
const ODD: [&str; 6] = [
    "GET /PATH HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 5\r\n\r\nquery",
    "GET /PATH HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nquery\r\n0\r\n\r\n",
    "GET /PATH HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-http-method-override: POST\r\n\r\n",
    "GET /PATH HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-method-override: POST\r\n\r\n",
    "GET /PATH HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-http-method: POST\r\n\r\n",
    "GET /PATH HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-original-url: /other\r\n\r\n",
];

#[tokio::test]
async fn a_get_with_a_body_neither_stores_nor_receives_a_response() {
    let (upstream, envoy) = playing(policy(json!({"fallback": stale("1h")}))).await;
    let send = async |at: usize, path: &str| {
        let request = ODD[at].replace("/PATH", path);
        raw::closing(envoy.address(), request.as_bytes()).await
    };
    let plain = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let address = envoy.address();
        async move { raw::closing(address, request.as_bytes()).await }
    };
    for at in 0..ODD.len() {
        let (left, got) = (format!("/left/{at}"), format!("/got/{at}"));
        upstream.reply_on(&left, Reply::status(200).body("a private result"));
        assert_eq!(send(at, &left).await.status(), Some(200), "{at}");
        upstream.reply_on(&left, Reply::status(503));
        assert_eq!(plain(&left).await.status(), Some(503), "{at}");
        upstream.reply_on(&got, Reply::status(200).body("for all"));
        assert_eq!(plain(&got).await.status(), Some(200), "{at}");
        upstream.reply_on(&got, Reply::status(503));
        assert_eq!(send(at, &got).await.status(), Some(503), "{at}");
        // It is stored for those who may receive it.
        let answer = plain(&got).await;
        assert_eq!(answer.status(), Some(200), "{at}");
        assert!(answer.text().contains("for all"), "{at}");
    }
    // The same over HTTP/2, where only the end of the stream shows it.
    let http2 = Client::http2(envoy.address());
    let with_body = || client::request("GET", "/http2", &[], "query");
    upstream.reply_on("/http2", Reply::status(200).body("a private result"));
    assert_eq!(http2.send(with_body()).await.status, 200);
    upstream.reply_on("/http2", Reply::status(503));
    assert_eq!(http2.get("/http2").await.status, 503);
    upstream.reply_on("/http2", Reply::status(200).body("for all"));
    assert_eq!(http2.get("/http2").await.status, 200);
    upstream.reply_on("/http2", Reply::status(503));
    assert_eq!(http2.send(with_body()).await.status, 503);
    assert_eq!(http2.get("/http2").await.text(), "for all");
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn an_open_circuit_serves_no_stored_response_to_a_get_with_a_body() {
    let fields = json!({"fallback": stale("1h"), "circuit_breaker": {
        "failure_rate_threshold": 0, "consecutive_failures": 1,
        "open": {"duration": "60s", "jitter": 0}}});
    let (upstream, envoy) = playing(policy(fields)).await;
    assert_eq!(envoy.get("/").await.status, 200);
    upstream.reply(Reply::status(503));
    assert_eq!(envoy.get("/trip").await.status, 503);
    let open = "\"to\":\"open\"";
    eventually(open, async || !envoy.log_lines(open).is_empty()).await;
    assert_eq!(envoy.get("/").await.text(), "ok");
    let with_body = client::request("GET", "/", &[], "query");
    assert_eq!(envoy.client().send(with_body).await.status, 503);
    nothing_is_left(&upstream, &envoy).await;
}

/// Each row: policies, the first of which stores, and whether a PUT invalidates.
#[tokio::test]
async fn an_unsafe_method_invalidates_stored_responses_of_its_path() {
    let storing = |fields: Value| {
        let mut policy = json!({"name": "stores", "fallback": stale("1h")});
        for (name, value) in fields.as_object().expect("fields") {
            policy[name] = value.clone();
        }
        policy
    };
    let gets = json!({"match": {"methods": ["GET"]}});
    let others = json!({"name": "changes", "match": {"methods": ["PUT", "POST"]}});
    let rows = [
        (
            json!([storing(json!({"key": ["cluster", "method"]}))]),
            true,
        ),
        (
            json!([storing(json!({"key": [{"header": "x-tenant"}]}))]),
            true,
        ),
        (json!([storing(gets.clone()), others]), true),
        (
            json!([storing(gets.clone()), {"name": "watched", "mode": "shadow"}]),
            true,
        ),
        (json!([storing(gets)]), true),
    ];
    for (policies, seen) in rows {
        let row = policies.to_string();
        let (upstream, envoy) = playing(file(policies)).await;
        let get = async || {
            let answer = envoy.get_with("/a?b", &[("x-tenant", "a")]).await;
            (answer.status, answer.text())
        };
        upstream.reply(Reply::status(200).body("old"));
        assert_eq!(get().await, (200, "old".into()), "{row}");
        upstream.reply(Reply::status(500));
        assert_eq!(get().await, (200, "old".into()), "{row}");
        // A change that fails changes nothing.
        let put = || client::request("PUT", "/a?b", &[("x-tenant", "b")], "new");
        assert_eq!(envoy.client().send(put()).await.status, 500, "{row}");
        assert_eq!(get().await, (200, "old".into()), "{row}");
        upstream.reply(Reply::status(204).body(""));
        assert_eq!(envoy.client().send(put()).await.status, 204, "{row}");
        upstream.reply(Reply::status(500).body("bad"));
        let expected = if seen { (500, "bad") } else { (200, "old") };
        assert_eq!(get().await, (expected.0, expected.1.into()), "{row}");
        nothing_is_left(&upstream, &envoy).await;
    }
}

#[tokio::test]
async fn safe_methods_invalidate_nothing() {
    let (upstream, envoy) = playing(policy(json!({"fallback": stale("1h")}))).await;
    for (method, there) in [
        ("PROPFIND", true),
        ("REPORT", true),
        ("SEARCH", true),
        ("OPTIONS", true),
        ("POST", false),
        ("PROPPATCH", false),
    ] {
        let path = format!("/{method}");
        assert_eq!(envoy.get(&path).await.status, 200, "{method}");
        let request = client::request(method, &path, &[], "body");
        assert_eq!(envoy.client().send(request).await.status, 200, "{method}");
        let expected = if there { (200, "ok") } else { (503, "bad") };
        let got = in_an_outage(&upstream, &envoy, &path).await;
        assert_eq!(got, (expected.0, expected.1.into()), "{method}");
    }
    nothing_is_left(&upstream, &envoy).await;
}

/// One policy that stores a response at most once in five seconds.
fn seldom() -> Value {
    let mut file = policy(json!({"fallback": stale("1h")}));
    file["sync"] = json!({"interval": "5s"});
    file
}

#[tokio::test]
async fn an_unrelated_change_does_not_shorten_the_storing_interval() {
    let (upstream, envoy) = playing(seldom()).await;
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(envoy.client().post("/hostile", &[], "x").await.status, 200);
        assert_eq!(envoy.get("/a").await.status, 200);
        rounds += 1;
    }
    assert!(rounds > 10, "{rounds}");
    let stored = [("policy", "p")];
    envoy
        .expect_metric("spillway_stale_kept_total", &stored, 1)
        .await;
    // It may have stored its own URL again.
    for _ in 0..20 {
        assert_eq!(envoy.client().post("/a", &[], "x").await.status, 200);
        assert_eq!(envoy.get("/a").await.status, 200);
    }
    envoy
        .expect_metric("spillway_stale_kept_total", &stored, 2)
        .await;
    assert!(began.elapsed() < Duration::from_secs(5), "too slow to tell");
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn an_aborted_get_does_not_prevent_storing() {
    let (upstream, envoy) = playing(seldom()).await;
    upstream.reply_on("/a", Reply::hang_mid_body());
    let begun = envoy.client().head_of("/a", &[]).await;
    assert_eq!(begun.status, 200);
    // Neither does one that hangs.
    let hangs = envoy.client().head_of("/a", &[]).await;
    begun.abandon();
    upstream.reply_on("/a", Reply::status(200).body("good"));
    assert_eq!(envoy.get("/a").await.text(), "good");
    let got = in_an_outage(&upstream, &envoy, "/a").await;
    assert_eq!(got, (200, "good".into()));
    hangs.abandon();
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_304_renews_a_stored_response() {
    let (upstream, envoy) = playing(policy(json!({"fallback": stale("4s")}))).await;
    let tagged = |status| Reply::status(status).header("etag", "\"1\"");
    let conditional = [("if-none-match", "\"1\"")];
    for path in ["/refreshed", "/forgotten"] {
        upstream.reply_on(path, tagged(200).body("good"));
        assert_eq!(envoy.get(path).await.text(), "good");
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    upstream.reply_on("/refreshed", tagged(304).body("").header("x-new", "yes"));
    let answer = envoy.get_with("/refreshed", &conditional).await;
    assert_eq!(answer.status, 304);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for (path, there) in [("/refreshed", true), ("/forgotten", false)] {
        upstream.reply_on(path, Reply::status(503).body("bad"));
        let answer = envoy.get(path).await;
        let expected = if there { ("good", "yes") } else { ("bad", "") };
        assert_eq!((&*answer.text(), answer.header("x-new")), expected);
    }
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn routes_do_not_share_stored_responses() {
    let upstream = Upstream::start().await;
    let beta = json!([{"name": "x-version", "string_match": {"exact": "beta"}}]);
    let envoy = Envoy::in_front_of(upstream.address())
        .route(
            json!({"name": "beta", "match": {"prefix": "/", "headers": beta},
            "route": {"cluster": "upstream", "prefix_rewrite": "/beta/"}}),
        )
        .policy(policy(json!({"fallback": stale("1h")})))
        .start()
        .await;
    let by_beta = [("x-version", "beta")];
    upstream.reply_on("/beta/a", Reply::status(200).body("beta"));
    upstream.reply_on("/a", Reply::status(503).body("bad"));
    assert_eq!(envoy.get_with("/a", &by_beta).await.text(), "beta");
    assert_eq!(envoy.get("/a").await.text(), "bad");
    upstream.reply_on("/a", Reply::status(200).body("usual"));
    upstream.reply_on("/beta/a", Reply::status(503).body("bad"));
    assert_eq!(envoy.get("/a").await.text(), "usual");
    // Each gets its own response.
    assert_eq!(envoy.get_with("/a", &by_beta).await.text(), "beta");
    upstream.reply_on("/a", Reply::status(503).body("bad"));
    assert_eq!(envoy.get("/a").await.text(), "usual");
    nothing_is_left(&upstream, &envoy).await;
}

/// Runs twenty concurrent downloads, each of which would fit the store. Returns the memory of the
/// VM.
#[test]
fn parallel_downloads_stay_within_the_memory_limit() {
    const CHUNK: usize = 262_144;
    let mut file = policy(json!({"fallback": stale("1h")}));
    file["limits"] = json!({"stale_bytes": 1_073_741_824});
    let mut stage = Stage::start(&file.to_string(), false);
    let streams: Vec<_> = (0..20)
        .map(|number| {
            let stream = stage.open();
            let path = format!("/{number}");
            let map = [
                (":method", "GET"),
                (":path", &*path),
                (":scheme", "http"),
                (":authority", "site"),
            ];
            let map = map.into_iter().collect();
            stage.host.request(stream, Part::Headers { map, end: true });
            let map = [(":status", "200")].into_iter().collect();
            stage.succeeds(stream);
            stage
                .host
                .response(stream, Part::Headers { map, end: false });
            stream
        })
        .collect();
    let data = Bytes::from(vec![b'b'; CHUNK]);
    for _ in 0..160 {
        for stream in &streams {
            let data = data.clone();
            stage
                .host
                .response(*stream, Part::Body { data, end: false });
        }
        while stage.host.next_effect().is_some() {}
    }
    let bytes = stage.host.vm_bytes();
    assert!(bytes < 40 << 20, "{bytes}");
    for stream in streams {
        stage.host.response(stream, Part::bare_end());
        stage.host.close(stream);
    }
    while stage.host.next_effect().is_some() {}
    let overflowed = "spillway.policy.p.stale_overflowed_total";
    assert!(stage.host.metrics().value(overflowed) >= 19);
    // Others are not affected.
    let get = Asking {
        method: "GET",
        path: "/",
        headers: Vec::new(),
        body: "",
    };
    stage.ask(&get, |_| {
        Does::Answers(good("good", "text/x", false, false))
    });
    let stored = "spillway.policy.p.stale_kept_total";
    assert!(stage.host.metrics().value(stored) >= 1);
    stage.nothing_is_left();
}

/// The cost of one stale response: reads of shared data, and wasm instructions.
#[test]
fn the_cost_of_a_stored_response_does_not_depend_on_its_variants() {
    let mut costs = Vec::new();
    for variants in [1, 255] {
        let mut stage = Stage::start(&policy(json!({"fallback": stale("1h")})).to_string(), false);
        let names: Vec<String> = (0..variants).map(|n| format!("l{n}")).collect();
        let get = |language| Asking {
            method: "GET",
            path: "/",
            headers: vec![("accept-language", language)],
            body: "",
        };
        for name in &names {
            stage.ask(&get(name), |_| {
                let mut parts = good("good", "text/x", false, false);
                if let Some(Part::Headers { map, .. }) = parts.first_mut() {
                    map.add(b"vary", b"accept-language");
                }
                Does::Answers(parts)
            });
        }
        let before = cost(&stage);
        let failed = stage.ask(&get(&names[variants - 1]), |_| {
            let map = [(":status", "503")].into_iter().collect();
            Does::Answers(vec![Part::Headers { map, end: true }])
        });
        assert_eq!((failed.status, &*failed.body), (200, "good"));
        let after = cost(&stage);
        costs.push((after.0 - before.0, after.1 - before.1));
        stage.nothing_is_left();
    }
    // The indexes of the sets that the URL may be in, and the response.
    assert_eq!([costs[0].0, costs[1].0], [9, 9]);
    // With more variants the indexes are longer. Reading all 255 responses would cost some 250
    // times as much.
    assert!(costs[1].1 < 500_000, "{costs:?}");
}

fn cost(stage: &Stage) -> (u64, u64) {
    let counts = stage.host.counts();
    let reads = counts.hostcall(Hostcall::GetSharedData);
    (reads, counts.fuel())
}
