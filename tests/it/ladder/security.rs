//! What clients must not obtain or cause: responses of others, expired responses, and header lines
//! of their own in responses.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Client, Reply, Strict, Upstream, eventually, raw};

use super::real::setting;
use super::simulated::{Asking, Does, Stage, good};
use crate::scene::{nothing_is_left, policy};

/// A policy that serves stale responses on failures, also those of other users if they allow it.
fn keeping(max_age: &str) -> Value {
    let ladder = json!([{"type": "stale", "on": ["failure"], "max_age": max_age, "shared": true}]);
    policy(json!({"key": [{"header": "x-tenant"}], "fallback": ladder}))
}

/// Each row: the request of one client, that of another, and whether the second may receive the
/// response made for the first. The upstream varies by language only.
#[tokio::test]
async fn a_stored_response_is_shared_only_between_equivalent_requests() {
    type Headers = &'static [(&'static str, &'static str)];
    let rows: [(Headers, Headers, bool); 11] = [
        (&[], &[], true),
        (&[("x-tenant", "a")], &[("x-tenant", "a")], true),
        (&[("x-tenant", "a")], &[("x-tenant", "b")], false),
        (&[("x-tenant", "a")], &[], false),
        (
            &[("accept-language", "de")],
            &[("accept-language", "de")],
            true,
        ),
        (
            &[("accept-language", "de")],
            &[("accept-language", "en")],
            false,
        ),
        (&[("accept-language", "de")], &[], false),
        (
            &[("authorization", "Bearer a")],
            &[("authorization", "Bearer a")],
            false,
        ),
        (&[], &[("authorization", "Bearer a")], false),
        (&[("cookie", "a=b")], &[], false),
        (&[], &[("cookie", "a=b")], false),
    ];
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    // All workers may serve a response that one of them stored.
    let envoy = setting(&upstream, &other)
        .concurrency(4)
        .balanced()
        .policy(keeping("1h"))
        .start()
        .await;
    for (number, (first, second, shared)) in rows.into_iter().enumerate() {
        let path = format!("/{number}");
        let body = format!("made for {first:?}");
        let made = Reply::status(200).body(body.clone());
        upstream.reply_on(&path, made.header("vary", "Accept-Language"));
        assert_eq!(envoy.get_with(&path, first).await.text(), body);
        upstream.reply_on(&path, Reply::status(503).body("bad"));
        for _ in 0..8 {
            let client = Client::unpooled(envoy.address());
            let answer = client.get_with(&path, second).await;
            let expected = if shared { (200, &*body) } else { (503, "bad") };
            let row = format!("{first:?} {second:?}");
            assert_eq!((answer.status, &*answer.text()), expected, "{row}");
        }
    }
    nothing_is_left(&upstream, &envoy).await;
}

/// Each row: a query, and whether it gets the response made for `?id=1&utm_source=a`. The upstream
/// gets every query as sent.
#[tokio::test]
async fn callers_share_an_answer_if_only_ignored_parameters_differ() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let ladder = json!([{"type": "stale", "on": ["failure"], "shared": true,
        "ignore_query": ["utm_*", "gclid"]}]);
    let envoy = setting(&upstream, &other)
        .policy(policy(json!({"fallback": ladder})))
        .start()
        .await;
    upstream.reply(Reply::status(200).body("good"));
    assert_eq!(envoy.get("/?id=1&utm_source=a").await.text(), "good");
    upstream.reply(Reply::status(503).body("bad"));
    for (query, shared) in [
        ("?id=1&utm_source=a", true),
        ("?utm_campaign=b&id=1&gclid=c", true),
        ("?id=1", true),
        ("?id=2&utm_source=a", false),
        ("?id=1&x=1", false),
        ("?id=1&utm_source=a;id=2", false),
        ("?id=1&%75tm_source=a", false),
        ("", false),
    ] {
        let path = format!("/{query}");
        let answer = envoy.get(&path).await;
        let expected = if shared { (200, "good") } else { (503, "bad") };
        assert_eq!((answer.status, &*answer.text()), expected, "{query}");
        let asked = upstream.requests().pop().expect("a request");
        assert_eq!(asked.uri.to_string(), path);
    }
    upstream.reply(Reply::status(200));
    let changed = envoy.client().post("/?id=7", &[], "").await;
    assert_eq!(changed.status, 200);
    upstream.reply(Reply::status(503).body("bad"));
    assert_eq!(envoy.get("/?id=1").await.text(), "bad");
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_stored_response_expires() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let envoy = setting(&upstream, &other)
        .policy(keeping("2s"))
        .start()
        .await;
    upstream.reply(Reply::status(200).body("good"));
    assert_eq!(envoy.get("/").await.text(), "good");
    upstream.reply(Reply::status(503).body("bad"));
    let answer = envoy.get("/").await;
    assert_eq!((answer.status, &*answer.text()), (200, "good"));
    // A fraction of a second counts as a whole one.
    let age = answer.header("age");
    assert!(["1", "2"].contains(&age), "{age}");
    let expected = format!("spillway; fwd=stale; ttl=-{age}");
    assert_eq!(answer.header("cache-status"), expected);
    tokio::time::sleep(Duration::from_millis(2_050)).await;
    assert_eq!(envoy.get("/").await.status, 503);
    // The age at arrival is included.
    upstream.reply(Reply::status(200).body("good").header("age", "3"));
    assert_eq!(envoy.get("/old").await.text(), "good");
    upstream.reply(Reply::status(503).body("bad"));
    assert_eq!(envoy.get("/old").await.status, 503);
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn a_stored_response_survives_a_vm_restart() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let envoy = setting(&upstream, &other)
        .http2_upstream()
        .policy(keeping("1h"))
        .trap_in("proxy_on_response_trailers")
        .start()
        .await;
    upstream.reply_on("/kept", Reply::status(200).body("good"));
    assert_eq!(envoy.get("/kept").await.text(), "good");
    upstream.reply_on("/kept", Reply::status(503).body("bad"));
    let trailers = [("x-script", "trailer=x-end")];
    // The trapped stream may end with its connection.
    let client = Client::unpooled(envoy.address());
    drop(client.get_with("/trap", &trailers).await);
    let trap = "proxy_on_response_trailers failed";
    eventually(trap, async || !envoy.log_lines(trap).is_empty()).await;
    eventually("a machine that is loaded again", async || {
        client.get("/kept").await.text() == "good"
    })
    .await;
    assert_eq!(envoy.stat("wasm.spillway.vm_reload_success").await, 1);
}

/// Exact to the millisecond, under the simulator's clock.
#[test]
fn a_stored_response_expires_exactly_at_its_maximum_age() {
    let mut stage = Stage::start(&keeping("10s").to_string(), false);
    let get = || Asking {
        method: "GET",
        path: "/",
        headers: Vec::new(),
        body: "",
    };
    let failed = |_: &_| {
        let map = [(":status", "503")].into_iter().collect();
        Does::Answers(vec![host_sim::proxy::Part::Headers { map, end: true }])
    };
    stage.run_to(1_000);
    stage.ask(&get(), |_| {
        Does::Answers(good("good", "text/x", false, false))
    });
    for (ms, status) in [
        (1_001, 200),
        (10_999, 200),
        (11_000, 200),
        (11_001, 503),
        (60_000, 503),
    ] {
        stage.run_to(ms);
        assert_eq!(stage.ask(&get(), failed).status, status, "at {ms} ms");
    }
    stage.nothing_is_left();
}

/// Bytes with which a value could break out of its place.
const HOSTILE: [&[u8]; 8] = [
    b"/%0d%0aset-cookie:%20a=b",
    b"/%0D%0A%0D%0A<script>alert(1)</script>",
    b"/\"},\"admin\":true,{\"",
    b"/<img/src=x/onerror=alert(1)>",
    b"/{policy}{retry_after}",
    b"/\xc3\xa9\xff\x80",
    b"/a\tb",
    b"/%00%1f\\\\u0000",
];

/// All placeholders of a response echo client input. Whatever that is, there is one response with
/// exactly the policy's headers and a well-formed body.
#[tokio::test]
async fn no_client_can_inject_a_header_line_into_a_response() {
    let echo = "{path} {request_id}";
    let ladder = json!([{"type": "respond", "status": 299,
        "headers": {"x-echo": echo}, "grpc_message": echo,
        "variants": {"json": {"at": echo}, "html": format!("<p>{echo}</p>"), "plain": echo}}]);
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let envoy = setting(&upstream, &other)
        .policy(policy(json!({"mode": "forced_open", "fallback": ladder})))
        .start()
        .await;
    let mut answered = 0;
    for hostile in HOSTILE {
        for accept in ["application/json", "text/html", "text/plain"] {
            let head =
                format!("host: h\r\nconnection: close\r\naccept: {accept}\r\nx-request-id: ");
            let request = [
                b"GET ",
                hostile,
                b" HTTP/1.1\r\n",
                head.as_bytes(),
                hostile,
                b"\r\n\r\n",
            ];
            let answer = raw::closing(envoy.address(), &request.concat()).await;
            let row = String::from_utf8_lossy(hostile).into_owned();
            // Envoy itself rejects some of these requests as invalid.
            if answer.status() == Some(400) {
                continue;
            }
            answered += 1;
            let strict =
                Strict::parse("GET", &answer.0).unwrap_or_else(|why| panic!("{row}: {why}"));
            assert_eq!(strict.status, 299, "{row}");
            for forbidden in ["set-cookie", "admin"] {
                assert_eq!(strict.header(forbidden), None, "{row}");
            }
            let echoed = strict.header("x-echo").expect("the echo");
            assert!(
                echoed
                    .bytes()
                    .all(|byte| byte == b' ' || byte.is_ascii_graphic()),
                "{row}"
            );
            let body = String::from_utf8(strict.body.clone()).expect("UTF-8");
            match accept {
                "application/json" => {
                    let json: Value = serde_json::from_str(&body).expect("JSON");
                    assert_eq!(json.as_object().map(|it| it.len()), Some(1), "{row}");
                }
                "text/html" => {
                    let inside = body
                        .strip_prefix("<p>")
                        .and_then(|it| it.strip_suffix("</p>"));
                    assert!(
                        inside.is_some_and(|it| !it.contains(['<', '>', '"'])),
                        "{row}: {body}"
                    );
                }
                _ => assert!(!body.contains(['\r', '\n', '\0']), "{row}: {body:?}"),
            }
            let kind = strict.header("content-type").expect("a type");
            assert!(kind.starts_with(accept), "{row}: {kind}");
        }
    }
    assert!(answered >= 12, "{answered}");
    nothing_is_left(&upstream, &envoy).await;
}

/// Stored upstream headers are served unchanged, and none of their bytes becomes another header.
#[tokio::test]
async fn stored_headers_are_unchanged() {
    let (upstream, other) = (Upstream::start().await, Upstream::start().await);
    let envoy = setting(&upstream, &other)
        .policy(keeping("1h"))
        .start()
        .await;
    let long = "l".repeat(20_000);
    let reply = Reply::status(200).body("good");
    let reply = reply
        .header("x-odd", "a: b; \"c\", =")
        .header("x-long", &long);
    upstream.reply(
        reply
            .header("x-many", "1")
            .header("x-many", "2")
            .header("x-empty", ""),
    );
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let first = raw::closing(envoy.address(), request).await;
    upstream.reply(Reply::status(503));
    let second = raw::closing(envoy.address(), request).await;
    let strict = |answer: &raw::RawAnswer| Strict::parse("GET", &answer.0).expect("an answer");
    let (first, second) = (strict(&first), strict(&second));
    assert_eq!((second.status, &second.body), (200, &first.body));
    let own = |answer: &Strict| -> Vec<(String, String)> {
        let mut own = answer.headers.clone();
        own.retain(|(name, _)| name.starts_with("x-") && !name.starts_with("x-circuit"));
        own.retain(|(name, _)| !name.starts_with("x-envoy"));
        own.sort();
        own
    };
    assert_eq!(own(&second), own(&first));
    assert_eq!(own(&second).len(), 5);
    nothing_is_left(&upstream, &envoy).await;
}
