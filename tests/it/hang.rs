//! A service that accepts requests and never responds: noticed while the requests wait.

use std::time::Duration;

use serde_json::{Value, json};
use spillway_tests::{Client, Envoy, Reply, Upstream, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::scene::{
    OPEN, count, count_is, nothing_is_left, open_time_passes, outcomes_are, policy, rejected,
    touchy, transitions_are, trip, untouched,
};

const THRESHOLD: Duration = Duration::from_millis(300);

/// How long the circuit may stay closed after the first request has passed the threshold.
const NOTICED: Duration = Duration::from_millis(500);

const HANGING: usize = 30;

/// Opens when half of twenty requests are slow.
fn slow_breaker() -> Value {
    json!({
        "minimum_requests": 20,
        "slow_threshold": "300ms",
        "slow_rate_threshold": 50,
        "open": {"duration": "10m", "max_duration": "10m", "jitter": 0},
    })
}

async fn scene(workers: usize, breaker: Value) -> (Upstream, Envoy) {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::hang());
    upstream.reply_on("/well", Reply::status(200));
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(json!({"circuit_breaker": breaker})))
        .concurrency(workers)
        .start()
        .await;
    (upstream, envoy)
}

/// Sends requests that hang, and asserts that the circuit opens meanwhile.
async fn opens_in_time(workers: usize, traffic: bool, leaves: bool) {
    let case = format!("{workers} workers, traffic: {traffic}, clients leave: {leaves}");
    let (upstream, envoy) = scene(workers, slow_breaker()).await;
    let address = envoy.address();
    let hanging: Vec<_> = (0..HANGING)
        .map(|_| Client::unpooled(address).begin("/hang", &[]))
        .collect();
    upstream.in_flight_reaches(HANGING).await;
    let other = traffic.then(|| {
        tokio::spawn(async move {
            let client = Client::new(address);
            loop {
                client.get("/well").await;
                sleep(Duration::from_millis(50)).await;
            }
        })
    });
    let mut waiting = Vec::new();
    if leaves {
        // By then they have waited longer than the threshold.
        sleep(THRESHOLD + Duration::from_millis(20)).await;
        for client in hanging {
            client.abandon().await;
        }
    } else {
        waiting = hanging;
    }
    transitions_are(&envoy, &["closed>open"]).await;
    if let Some(other) = other {
        other.abort();
    }
    let line = &envoy.transitions()[0];
    assert_eq!(line["why"], "slow_rate", "{case}: {line}");
    assert_eq!(line["failures"], 0, "{case}: {line}");
    assert!(
        line["slow"].as_u64() <= Some(HANGING as u64),
        "{case}: {line}"
    );
    // Measured by the filter's own clock, from the first request.
    let lasted = line["lasted_ms"].as_u64().map(Duration::from_millis);
    let lasted = lasted.expect("a time");
    assert!(lasted >= THRESHOLD, "{case}: {line}");
    assert!(lasted <= THRESHOLD + NOTICED, "{case}: {line}");
    count_is(&envoy, "spillway_open_circuits", 1).await;
    // Other workers learn of it with their next request.
    sleep(Duration::from_millis(100)).await;
    for _ in 0..2 * workers {
        rejected(&Client::unpooled(address).get("/hang").await, "open");
    }
    for client in waiting {
        client.abandon().await;
    }
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn requests_that_hang_open_the_circuit_while_they_wait() {
    for traffic in [false, true] {
        for leaves in [false, true] {
            opens_in_time(1, traffic, leaves).await;
        }
    }
}

#[tokio::test]
async fn requests_that_hang_on_four_workers_open_the_circuit_while_they_wait() {
    for traffic in [false, true] {
        for leaves in [false, true] {
            opens_in_time(4, traffic, leaves).await;
        }
    }
}

#[tokio::test]
async fn a_request_that_waited_and_then_failed_counts_once_and_as_a_failure() {
    let upstream = Upstream::start().await;
    upstream.reply(Reply::hang());
    let breaker = json!({
        "minimum_requests": 1000,
        "consecutive_failures": 3,
        "slow_threshold": "100ms",
        "slow_rate_threshold": 100,
    });
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(json!({"circuit_breaker": breaker})))
        .route_timeout(Duration::from_millis(600))
        .start()
        .await;
    let callers: Vec<_> = (0..3).map(|_| envoy.client().begin("/", &[])).collect();
    for caller in callers {
        assert_eq!(caller.answer().await.status, 504);
    }
    transitions_are(&envoy, &["closed>open"]).await;
    let line = &envoy.transitions()[0];
    assert_eq!(line["why"], "consecutive_failures");
    let counts = ["requests", "failures", "slow"].map(|name| line[name].as_u64());
    assert_eq!(counts, [Some(3); 3], "{line}");
    outcomes_are(&envoy, "p", [0, 3, 0]).await;
    count_is(&envoy, "spillway_slow_requests_total", 3).await;
}

#[tokio::test]
async fn a_probe_that_hangs_opens_the_circuit_again_while_it_waits() {
    let breaker = touchy(json!({
        "slow_threshold": "300ms",
        "half_open": {"permits": 1, "lease": "30s"},
    }));
    let (upstream, envoy) = scene(1, breaker).await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    upstream.reply(Reply::hang());
    let probe = envoy.client().begin("/hang", &[]);
    transitions_are(&envoy, &["closed>open", "open>half_open", "half_open>open"]).await;
    let line = &envoy.transitions()[2];
    assert_eq!(line["why"], "probes_slow");
    let lasted = line["lasted_ms"].as_u64().map(Duration::from_millis);
    let lasted = lasted.expect("a time");
    assert!(
        (THRESHOLD..=THRESHOLD + NOTICED).contains(&lasted),
        "{line}"
    );
    probe.abandon().await;
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn without_a_slow_rate_nothing_counts_before_it_ends() {
    let mut breaker = slow_breaker();
    breaker["slow_rate_threshold"] = json!(0);
    let (upstream, envoy) = scene(1, breaker).await;
    let hanging: Vec<_> = (0..HANGING)
        .map(|_| Client::unpooled(envoy.address()).begin("/hang", &[]))
        .collect();
    upstream.in_flight_reaches(HANGING).await;
    sleep(THRESHOLD + NOTICED).await;
    untouched(&envoy.get("/well").await);
    assert_eq!(envoy.transitions(), [json!(null); 0]);
    for client in hanging {
        client.abandon().await;
    }
    nothing_is_left(&upstream, &envoy).await;
}

/// Sends only the beginning of a POST.
async fn unfinished_upload(envoy: &Envoy) -> TcpStream {
    let mut stream = TcpStream::connect(envoy.address())
        .await
        .expect("a connection");
    let head = b"POST /upload HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhalf";
    stream.write_all(head).await.expect("a connection");
    stream
}

#[tokio::test]
async fn unfinished_uploads_do_not_hold_the_permits_of_complete_requests() {
    let upstream = Upstream::start().await;
    let breaker = touchy(json!({"half_open": {"permits": 3, "lease": "30s"}}));
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(json!({"circuit_breaker": breaker})))
        .start()
        .await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    let mut uploads = Vec::new();
    for _ in 0..10 {
        uploads.push(unfinished_upload(&envoy).await);
    }
    eventually("three probes", async || {
        count(&envoy, "spillway_probes_total").await >= 3
    })
    .await;
    untouched(&envoy.get("/well").await);
    eventually("a closed circuit", async || {
        envoy.get("/well").await.status == 200
            && envoy
                .transitions()
                .last()
                .is_some_and(|line| line["to"] == "closed")
    })
    .await;
    transitions_are(
        &envoy,
        &["closed>open", "open>half_open", "half_open>closed"],
    )
    .await;
    drop(uploads);
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn long_responses_are_judged_by_their_headers_within_the_open_time() {
    let upstream = Upstream::start().await;
    let open = json!({"duration": "1s", "multiplier": 1, "jitter": 0});
    let breaker = touchy(json!({
        "open": open,
        "failure_rate_threshold": 100,
        "half_open": {"permits": 1, "lease": "30s"},
    }));
    let envoy = Envoy::in_front_of(upstream.address())
        .full_module()
        .policy(policy(json!({"circuit_breaker": breaker})))
        .start()
        .await;
    trip(&upstream, &envoy).await;
    open_time_passes(Duration::from_secs(1)).await;
    upstream.reply_on("/stream", Reply::hang_mid_body());
    let stream = envoy.client().head_of("/stream", &[]).await;
    eventually("a closed circuit", async || {
        envoy.get("/well").await.status == 200
    })
    .await;
    transitions_are(
        &envoy,
        &["closed>open", "open>half_open", "half_open>closed"],
    )
    .await;
    let lasted = envoy.transitions()[2]["lasted_ms"].as_u64();
    assert!(lasted < Some(2_000), "{:?}", envoy.transitions()[2]);
    drop(stream);
    nothing_is_left(&upstream, &envoy).await;
}

#[tokio::test]
async fn an_ignored_status_of_the_upstream_ends_half_open() {
    let upstream = Upstream::start().await;
    let fields = json!({
        "outcome": {"ignore_status": ["404"]},
        "circuit_breaker": touchy(json!({"half_open": {"permits": 2}})),
    });
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy(fields))
        .start()
        .await;
    trip(&upstream, &envoy).await;
    open_time_passes(OPEN).await;
    upstream.reply(Reply::status(404));
    for _ in 0..3 {
        let answer = envoy.get("/").await;
        untouched(&answer);
        assert_eq!(answer.status, 404);
    }
    transitions_are(
        &envoy,
        &["closed>open", "open>half_open", "half_open>closed"],
    )
    .await;
    outcomes_are(&envoy, "p", [0, 1, 3]).await;
}
