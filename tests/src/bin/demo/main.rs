//! A twenty-second outage: what clients receive, and the load that the upstream is spared.
//!
//! A healthy upstream fails completely for some seconds and recovers, while requests keep arriving
//! through a real Envoy with `policies/demo.json`. Their rate does not depend on the responses (an
//! open loop), as with real clients.

mod table;
mod tally;

use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use spillway_tests::{Envoy, Reply, Upstream, client, places};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{interval, sleep_until};

use table::{HEADINGS, Row};
use tally::{Counts, Kind, Tally};

const REQUESTS_PER_SECOND: u32 = 50;
const SECONDS: u32 = 20;
const OUTAGE: Range<u32> = 4..10;

#[tokio::main]
async fn main() -> ExitCode {
    tokio::select! {
        () = show() => ExitCode::SUCCESS,
        code = interrupted() => {
            eprintln!("\ninterrupted: Envoy and the upstream are stopped");
            ExitCode::from(code)
        }
    }
}

/// Waits for a stop signal and returns the exit code that a shell expects for it. The demo is then
/// dropped, which kills Envoy.
async fn interrupted() -> u8 {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a handler of SIGINT");
    let mut terminate = signal(SignalKind::terminate()).expect("a handler of SIGTERM");
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}

async fn show() {
    let upstream = Upstream::start().await;
    let policy = places::shipped_policy("demo.json");
    let envoy = Envoy::in_front_of(upstream.address())
        .policy(policy)
        .start()
        .await;
    println!(
        "{REQUESTS_PER_SECOND} requests a second through Envoy. The upstream fails all of them \
         from second {} to second {}.\n\n{HEADINGS}",
        OUTAGE.start + 1,
        OUTAGE.end,
    );
    let tally = Arc::new(Tally::default());
    let outage_hits = tokio::select! {
        never = send(&envoy, &tally) => match never {},
        outage_hits = report(&envoy, &upstream, &tally) => outage_hits,
    };
    summary(&envoy, tally.counts(), upstream.hits(), outage_hits).await;
}

async fn send(envoy: &Envoy, tally: &Arc<Tally>) -> Infallible {
    let mut ticks = interval(Duration::from_secs(1) / REQUESTS_PER_SECOND);
    loop {
        ticks.tick().await;
        tally.sent();
        let (client, tally) = (envoy.client().clone(), tally.clone());
        tokio::spawn(async move {
            let request = client::request("GET", "/items", &[], "");
            tally.answered(Kind::of(client.try_send(request).await));
        });
    }
}

/// Prints one row per second. Returns the number of requests that the upstream received while it
/// failed.
async fn report(envoy: &Envoy, upstream: &Upstream, tally: &Tally) -> usize {
    let coloured = io::stdout().is_terminal();
    let start = tokio::time::Instant::now();
    let (mut counts_before, mut hits_before, mut moves_before) = (Counts::default(), 0, 0);
    let mut outage_hits = 0;
    for second in 0..SECONDS {
        let failing = OUTAGE.contains(&second);
        upstream.reply(Reply::status(if failing { 503 } else { 200 }));
        sleep_until(start + Duration::from_secs(u64::from(second) + 1)).await;
        let (counts, hits, states) = (tally.counts(), upstream.hits(), states(envoy));
        let row = Row {
            second: second + 1,
            failing,
            counts: counts.since(counts_before),
            hits: hits - hits_before,
            states: &states[moves_before..],
        };
        println!("{}", row.text(coloured));
        outage_hits += if failing { row.hits } else { 0 };
        (counts_before, hits_before, moves_before) = (counts, hits, states.len() - 1);
    }
    outage_hits
}

/// Every state of the circuit so far, in order.
fn states(envoy: &Envoy) -> Vec<String> {
    let entered = envoy.transitions().into_iter();
    let entered = entered.map(|it| it["to"].as_str().unwrap_or("?").to_owned());
    ["closed".to_owned()].into_iter().chain(entered).collect()
}

async fn summary(envoy: &Envoy, counts: Counts, hits: usize, outage_hits: usize) {
    let metrics = envoy.metrics().await;
    let opened = metrics.value(
        "spillway_transitions_total",
        &[("policy", "demo"), ("to", "open")],
    );
    let probes = metrics.value("spillway_probes_total", &[("policy", "demo")]);
    println!(
        "\n{} requests: {} answered by the upstream, {} by the fallback, {} errors.\n\
         The upstream got {hits}; {outage_hits} of them during the outage, out of {} sent then.\n\
         The circuit opened {opened} times and sent {probes} probes before it closed.",
        counts.sent,
        counts.good,
        counts.fallback,
        counts.errors,
        OUTAGE.len() as u32 * REQUESTS_PER_SECOND,
    );
}
