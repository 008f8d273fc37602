//! What opens a circuit, for how long, and how it is reported.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use spillway_tests::{Client, Envoy, Reply, Upstream, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::scene::{
    OPEN, all_get, count, count_is, file, open_time_passes, outcomes_are, policy, rejected, scene,
    touchy, transitions_are, untouched, with,
};

#[tokio::test]
async fn the_failure_rate_opens_the_circuit_and_the_log_has_every_transition() {
    let open = json!({"duration": "30s", "jitter": 0});
    let breaker = json!({"minimum_requests": 10, "failure_rate_threshold": 50, "open": open});
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    all_get(&envoy, "/", 5, 200).await;
    upstream.reply(Reply::status(500));
    all_get(&envoy, "/", 5, 500).await;
    rejected(&envoy.get("/").await, "open");
    assert_eq!(upstream.hits(), 10);

    transitions_are(&envoy, &["closed>open"]).await;
    let mut line = envoy.transitions().remove(0);
    let lasted = line["lasted_ms"].take();
    assert!(lasted.is_u64(), "{lasted}");
    let told = json!({
        "event": "transition", "policy": "p", "key": ["upstream"],
        "from": "closed", "to": "open", "why": "failure_rate",
        "requests": 10, "failures": 5, "slow": 0, "opens": 1, "open_ms": 30_000,
        "lasted_ms": null,
    });
    assert_eq!(line, told);
    assert_eq!(
        envoy.log_lines(r"\[warning\].*\[wasm\].*transition").len(),
        1
    );

    outcomes_are(&envoy, "p", [5, 5, 0]).await;
    count_is(&envoy, "spillway_rejected_requests_total", 1).await;
    count_is(&envoy, "spillway_transitions_total", 1).await;
    count_is(&envoy, "spillway_open_circuits", 1).await;
}

#[tokio::test]
async fn too_few_requests_do_not_open_the_circuit() {
    let breaker = json!({"minimum_requests": 10});
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    upstream.reply(Reply::status(503));
    for _ in 0..9 {
        untouched(&envoy.get("/").await);
    }
    outcomes_are(&envoy, "p", [0, 9, 0]).await;
    assert_eq!(envoy.transitions(), [json!(null); 0]);
    untouched(&envoy.get("/").await);
    rejected(&envoy.get("/").await, "open");
    assert_eq!(upstream.hits(), 10);
}

#[tokio::test]
async fn failures_in_the_window_open_the_circuit_at_any_share() {
    let breaker = json!({"failure_rate_threshold": 0, "failure_count_threshold": 3});
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    for status in [503, 200, 503, 200, 200, 200, 200, 503] {
        upstream.reply(Reply::status(status));
        all_get(&envoy, "/", 1, status).await;
    }
    rejected(&envoy.get("/").await, "open");
    transitions_are(&envoy, &["closed>open"]).await;
    let line = &envoy.transitions()[0];
    assert_eq!(line["why"], "failure_count");
    assert_eq!(
        (&line["requests"], &line["failures"]),
        (&json!(8), &json!(3))
    );
}

#[tokio::test]
async fn an_open_time_of_a_millisecond_ends_at_the_next_request() {
    let open = json!({"duration": "1ms", "max_duration": "1ms", "multiplier": 1, "jitter": 0});
    let breaker = touchy(json!({"open": open, "half_open": {"permits": 1}}));
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 1, 503).await;
    upstream.reply(Reply::status(200));
    sleep(Duration::from_millis(2)).await;
    untouched(&envoy.get("/").await);
    untouched(&envoy.get("/").await);
    transitions_are(
        &envoy,
        &["closed>open", "open>half_open", "half_open>closed"],
    )
    .await;
    assert_eq!(envoy.transitions()[0]["open_ms"], 1);
    count_is(&envoy, "spillway_open_circuits", 0).await;
}

#[tokio::test]
async fn ignored_requests_do_not_add_volume() {
    let outcome = json!({"ignore_status": ["404"]});
    let breaker = json!({"minimum_requests": 4});
    let fields = json!({"outcome": outcome, "circuit_breaker": breaker});
    let (upstream, envoy) = scene(fields).await;
    upstream.reply(Reply::status(404));
    all_get(&envoy, "/", 10, 404).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 4, 503).await;
    rejected(&envoy.get("/").await, "open");
    outcomes_are(&envoy, "p", [0, 4, 10]).await;
    assert_eq!(envoy.transitions()[0]["requests"], 4);
}

#[tokio::test]
async fn the_slow_rate_opens_the_circuit_without_failures() {
    let breaker = json!({
        "minimum_requests": 4,
        "slow_threshold": "300ms",
        "slow_rate_threshold": 50,
    });
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    all_get(&envoy, "/", 2, 200).await;
    upstream.reply(Reply::status(200).after(Duration::from_millis(350)));
    all_get(&envoy, "/", 2, 200).await;
    rejected(&envoy.get("/").await, "open");

    transitions_are(&envoy, &["closed>open"]).await;
    let line = &envoy.transitions()[0];
    assert_eq!(
        (&line["why"], &line["failures"]),
        (&json!("slow_rate"), &json!(0))
    );
    assert_eq!((&line["requests"], &line["slow"]), (&json!(4), &json!(2)));
    outcomes_are(&envoy, "p", [4, 0, 0]).await;
    count_is(&envoy, "spillway_slow_requests_total", 2).await;
}

#[tokio::test]
async fn a_slow_upload_is_not_a_slow_service() {
    let breaker = json!({"slow_threshold": "300ms", "slow_rate_threshold": 50});
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    let mut stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let head = b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhalf";
    stream.write_all(head).await.expect("a connection");
    upstream.in_flight_reaches(1).await;
    sleep(Duration::from_millis(350)).await;
    stream.write_all(b"whole").await.expect("a connection");
    outcomes_are(&envoy, "p", [1, 0, 0]).await;
    assert_eq!(upstream.requests()[0].body, "halfwhole");
    assert_eq!(count(&envoy, "spillway_slow_requests_total").await, 0);
}

#[tokio::test]
async fn with_slow_until_end_a_slow_body_counts_as_slow() {
    for (until, slow) in [("headers", 0), ("end", 1)] {
        let breaker = json!({"slow_threshold": "300ms", "slow_until": until});
        let upstream = Upstream::start().await;
        let envoy = Envoy::in_front_of(upstream.address())
            .policy(policy(json!({"circuit_breaker": breaker})))
            .route_timeout(Duration::from_millis(400))
            .start()
            .await;
        upstream.reply(Reply::hang_mid_body());
        assert!(!envoy.get("/").await.complete);
        outcomes_are(&envoy, "p", [0, 1, 0]).await;
        assert_eq!(
            count(&envoy, "spillway_slow_requests_total").await,
            slow,
            "{until}"
        );
    }
}

#[tokio::test]
async fn a_latency_header_of_the_upstream_is_ignored() {
    let breaker = json!({"slow_threshold": "200ms"});
    let upstream = Upstream::start().await;
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(json!({"circuit_breaker": breaker})))
        .router(json!({"suppress_envoy_headers": true}))
        .start()
        .await;
    let said = |ms: &str, delay: u64| {
        let reply = Reply::status(200).header("x-envoy-upstream-service-time", ms);
        reply.after(Duration::from_millis(delay))
    };
    upstream.reply(said("4000", 0));
    let answer = envoy.get("/").await;
    assert_eq!(answer.header("x-envoy-upstream-service-time"), "4000");
    outcomes_are(&envoy, "p", [1, 0, 0]).await;
    assert_eq!(count(&envoy, "spillway_slow_requests_total").await, 0);
    upstream.reply(said("3", 300));
    assert_eq!(envoy.get("/").await.status, 200);
    count_is(&envoy, "spillway_slow_requests_total", 1).await;
}

#[tokio::test]
async fn consecutive_failures_open_the_circuit_at_any_volume() {
    let breaker = json!({"consecutive_failures": 3, "minimum_requests": 1000});
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 2, 503).await;
    upstream.reply(Reply::status(200));
    all_get(&envoy, "/", 1, 200).await;
    upstream.reply(Reply::status(503));
    for _ in 0..3 {
        untouched(&envoy.get("/").await);
    }
    rejected(&envoy.get("/").await, "open");
    let line = &envoy.transitions()[0];
    assert_eq!(line["why"], "consecutive_failures");
    assert_eq!(
        (&line["requests"], &line["failures"]),
        (&json!(6), &json!(5))
    );
}

#[tokio::test]
async fn a_count_window_holds_exactly_the_last_outcomes() {
    let breaker = json!({
        "window": {"type": "count", "size": 4},
        "minimum_requests": 20,
        "failure_rate_threshold": 75,
    });
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    all_get(&envoy, "/", 20, 200).await;
    upstream.reply(Reply::status(503));
    for _ in 0..3 {
        untouched(&envoy.get("/").await);
    }
    rejected(&envoy.get("/").await, "open");
    let line = &envoy.transitions()[0];
    assert_eq!(
        (&line["requests"], &line["failures"]),
        (&json!(4), &json!(3))
    );
}

#[tokio::test]
async fn a_time_window_forgets() {
    let breaker = json!({
        "window": {"type": "time", "duration": "200ms"},
        "minimum_requests": 3,
    });
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    upstream.reply(Reply::status(503));
    for _ in 0..3 {
        untouched(&envoy.get("/").await);
        sleep(Duration::from_millis(210)).await;
    }
    assert_eq!(envoy.transitions(), [json!(null); 0]);
    assert_eq!(upstream.hits(), 3);
}

#[tokio::test]
async fn without_a_circuit_breaker_nothing_ever_opens() {
    let (upstream, envoy) = scene(json!({})).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 40, 503).await;
    outcomes_are(&envoy, "p", [0, 40, 0]).await;
    assert_eq!(upstream.hits(), 40);
    assert_eq!(envoy.transitions(), [json!(null); 0]);
}

/// Each row: the tenant, the response that trips its circuit, and the open time in milliseconds.
#[tokio::test]
async fn retry_after_of_the_upstream_lengthens_the_open_duration() {
    let after = |status: u16, value: &str| Reply::status(status).header("retry-after", value);
    let rows = [
        ("none", Reply::status(503), 5_000..=5_000),
        ("longer", after(503, "20"), 20_000..=20_000),
        ("shorter", after(503, "1"), 5_000..=5_000),
        ("throttled", after(429, "20"), 20_000..=20_000),
        ("date", after(503, &http_date(20)), 18_000..=20_000),
        (
            "past",
            after(503, "Sun, 06 Nov 1994 08:49:37 GMT"),
            5_000..=5_000,
        ),
        ("capped", after(503, "3600"), 30_000..=30_000),
        ("other_status", after(500, "20"), 5_000..=5_000),
        ("nonsense", after(503, "soon"), 5_000..=5_000),
        ("ignored", after(503, "20"), 5_000..=5_000),
    ];
    let breaker = |max: &str| {
        let open = json!({"duration": "5s", "jitter": 0, "retry_after_max": max});
        json!({
            "key": [{"header": "x-tenant"}],
            "outcome": {"failure_status": ["5xx", "429"]},
            "circuit_breaker": touchy(json!({"open": open})),
        })
    };
    let deaf = json!({"name": "deaf", "match": {"paths": [{"exact": "/ignored"}]}});
    let policies = [
        with(deaf, breaker("0s")),
        with(json!({"name": "p"}), breaker("30s")),
    ];
    let upstream = Upstream::start().await;
    let setting = Envoy::in_front_of(upstream.address()).policy(file(json!(policies)));
    let envoy = setting.start().await;
    for (tenant, reply, open_ms) in rows {
        let path = format!("/{tenant}");
        upstream.reply_on(&path, reply);
        envoy.get_with(&path, &[("x-tenant", tenant)]).await;
        let answer = envoy.get_with(&path, &[("x-tenant", tenant)]).await;
        rejected(&answer, "open");
        let line = envoy.transitions().pop().expect("a transition");
        assert_eq!(line["key"], json!([tenant]));
        let told = line["open_ms"].as_u64().expect("a number");
        assert!(open_ms.contains(&told), "{tenant}: {told}");
        let wait: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!(
            (told - 1_000..=told).contains(&(wait * 1_000)),
            "{tenant}: {wait}"
        );
        assert_eq!(upstream.hits_on(&path), 1);
    }
}

#[tokio::test]
async fn a_hint_counts_only_in_the_failure_that_trips() {
    let open = json!({"duration": "5s", "jitter": 0});
    let breaker = touchy(json!({"consecutive_failures": 2, "open": open}));
    let (upstream, envoy) = scene(json!({"circuit_breaker": breaker})).await;
    upstream.reply(Reply::status(503).header("retry-after", "20"));
    all_get(&envoy, "/", 1, 503).await;
    upstream.reply(Reply::status(503));
    all_get(&envoy, "/", 1, 503).await;
    rejected(&envoy.get("/").await, "open");
    assert_eq!(envoy.transitions()[0]["open_ms"], 5_000);
}

#[tokio::test]
async fn jitter_spreads_the_open_duration_and_only_lengthens_a_hint() {
    let open = json!({"duration": "10s", "jitter": 50});
    let fields = json!({
        "key": [{"header": "x-tenant"}],
        "circuit_breaker": touchy(json!({"open": open})),
    });
    let (upstream, envoy) = scene(fields).await;
    upstream.reply(Reply::status(503));
    upstream.reply_on("/hint", Reply::status(503).header("retry-after", "20"));
    for tenant in 0..20 {
        envoy
            .get_with("/", &[("x-tenant", &format!("{tenant}"))])
            .await;
        envoy
            .get_with("/hint", &[("x-tenant", &format!("hint {tenant}"))])
            .await;
    }
    transitions_are(&envoy, &["closed>open"; 40]).await;
    let times = |hinted: bool| -> Vec<u64> {
        let lines = envoy.transitions().into_iter();
        let hint = |line: &Value| {
            line["key"][0]
                .as_str()
                .is_some_and(|key| key.contains("hint"))
        };
        lines
            .filter(|line| hint(line) == hinted)
            .map(|line| line["open_ms"].as_u64().expect("a number"))
            .collect()
    };
    let (own, hinted) = (times(false), times(true));
    assert!(
        own.iter().all(|ms| (5_000..=15_000).contains(ms)),
        "{own:?}"
    );
    assert!(
        hinted.iter().all(|ms| (20_000..=30_000).contains(ms)),
        "{hinted:?}"
    );
    for times in [own, hinted] {
        let spread = times.iter().max().expect("times") - times.iter().min().expect("times");
        assert!(spread > 2_000, "{times:?}");
    }
}

#[tokio::test]
async fn the_access_log_has_decisions_other_than_a_plain_pass() {
    let fields = json!({
        "key": [{"header": "x-tenant"}],
        "circuit_breaker": touchy(json!({})),
    });
    let (upstream, envoy) = scene(fields).await;
    let ask = async |path: &str, tenant: &str| {
        let answer = envoy.get_with(path, &[("x-tenant", tenant)]).await;
        answer.status
    };
    assert_eq!(ask("/passed", "a").await, 200);
    upstream.reply(Reply::status(503).header("retry-after", "30"));
    assert_eq!(
        (ask("/trip", "a").await, ask("/rejected", "a").await),
        (503, 503)
    );
    upstream.reply(Reply::status(503));
    assert_eq!(ask("/", "b").await, 503);
    open_time_passes(OPEN).await;
    upstream.reply(Reply::status(200));
    assert_eq!(ask("/probe", "b").await, 200);
    let rows = [
        ("/passed", "via_upstream", json!(null)),
        ("/trip", "via_upstream", json!(null)),
        (
            "/rejected",
            "spillway_open",
            json!("policy=p state=open decision=reject"),
        ),
        (
            "/probe",
            "via_upstream",
            json!("policy=p state=half_open decision=probe"),
        ),
    ];
    for (path, details, spillway) in rows {
        let entry = envoy.access(path).await;
        assert_eq!(
            (&entry["details"], &entry["spillway"]),
            (&json!(details), &spillway)
        );
    }
}

#[tokio::test]
async fn several_workers_count_all_requests_and_trip() {
    let upstream = Upstream::start().await;
    let breaker = touchy(json!({"open": {"duration": "30s"}}));
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(json!({"circuit_breaker": breaker})))
        .concurrency(2)
        .start()
        .await;
    let client = Client::unpooled(envoy.address());
    for _ in 0..40 {
        untouched(&client.get("/").await);
    }
    outcomes_are(&envoy, "p", [40, 0, 0]).await;
    upstream.reply(Reply::status(503));
    // Each worker may have to learn of it from its own request. After that none admits anything.
    let mut in_a_row = 0;
    eventually("ten rejections in a row", async || {
        let passed = client.get("/").await.header("x-circuit-state") != "open";
        in_a_row = if passed { 0 } else { in_a_row + 1 };
        in_a_row == 10
    })
    .await;
    assert!(upstream.hits() <= 42, "{}", upstream.hits());
}

/// The time in this many seconds, as an HTTP date.
fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}
