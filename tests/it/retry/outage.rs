//! The upstream's load during an outage at a constant request rate.

use std::time::Duration;

use serde_json::json;
use spillway_tests::Reply;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::scene;

/// Time between two requests.
const PAUSE: Duration = Duration::from_millis(5);
const PERCENT: usize = 20;
const MIN_PER_SECOND: usize = 5;

/// Sends requests at a constant rate for this long and waits for all responses. Returns their
/// number.
async fn load(envoy: &spillway_tests::Envoy, time: Duration) -> usize {
    let mut ticks = interval(PAUSE);
    let (start, mut sent) = (Instant::now(), JoinSet::new());
    let mut count = 0;
    while start.elapsed() < time {
        ticks.tick().await;
        sent.spawn(envoy.client().begin("/", &[]).answer());
        count += 1;
    }
    sent.join_all().await;
    count
}

#[tokio::test]
async fn retries_in_an_outage_are_limited_to_deposits_and_the_minimum_rate() {
    let (upstream, envoy) = scene(json!({
        "max_retries": 3,
        "budget": {
            "percent": PERCENT,
            "interval": "2s",
            "min_retry_rate": {"count": MIN_PER_SECOND, "interval": "1s"},
        },
    }))
    .await;
    let before = load(&envoy, Duration::from_secs(3)).await;
    assert_eq!(upstream.hits(), before);
    upstream.forget();
    upstream.reply(Reply::status(503));
    let start = Instant::now();
    let offered = load(&envoy, Duration::from_secs(6)).await;
    let seen = upstream.hits();
    // The deposits of the last interval before the outage, plus the minimum rate: one interval's
    // worth at the start, then each second's.
    let earned = before * PERCENT / 100;
    let seconds = start.elapsed().as_secs_f64().ceil() as usize;
    let minimum = MIN_PER_SECOND * (2 + seconds);
    println!("offered {offered}, seen {seen}, earned {earned} at most, minimum {minimum}");
    assert!(seen <= offered + earned + minimum, "{seen} of {offered}");
    // Retries did happen: three per request would be four times the load.
    assert!(
        seen >= offered + MIN_PER_SECOND * seconds / 2,
        "{seen} of {offered}"
    );
}
