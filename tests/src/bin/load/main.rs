//! `host-sim serve` under load: requests per second, latencies, errors and peak memory, over HTTP/2
//! and over HTTP/1.1.
//!
//! The upstream is an Envoy that responds at once, and the client is h2load. Half-way through, the
//! policy file is replaced. Every request must get the upstream's response, since nothing fails
//! that a policy could reject.

mod h2load;
mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use spillway_tests::{Envoy, Serve, places};

use h2load::Protocol;
use report::Report;

/// How often the filter's metric is read, every tenth of a second, before it counts as wrong.
const SETTLING: u32 = 50;

/// Loads `host-sim serve`. Fails if a request fails, or if there are too few per second.
#[derive(Parser)]
struct Arguments {
    /// Time of each protocol
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Fewest requests per second
    #[arg(long, value_name = "NUMBER", default_value_t = 5_000)]
    rate_min: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let upstream = responding().await;
    let url = format!("http://{}", upstream.address());
    let policy = places::shipped_policy("demo.json");
    let mut problems = Vec::new();
    println!("{}", report::HEADINGS);
    for protocol in [Protocol::Http2, Protocol::Http1] {
        let serve = Serve::start(&url, &policy).await;
        let time = Duration::from_secs(arguments.seconds);
        match measure(&serve, protocol, time, &policy).await {
            Ok(report) => {
                println!("{report}");
                problems.extend(report.problems(arguments.rate_min));
            }
            Err(problem) => problems.push(problem),
        }
    }
    for problem in &problems {
        eprintln!("load: {problem}");
    }
    ExitCode::from(u8::from(!problems.is_empty()))
}

/// Starts the upstream.
async fn responding() -> Envoy {
    let response = json!({"status": 200, "body": {"inline_string": "s".repeat(500)}});
    let route = json!({"match": {"prefix": "/"}, "direct_response": response});
    let host = json!({"name": "all", "domains": ["*"], "routes": [route]});
    // Its cluster is never asked.
    Envoy::in_front_of(([127, 0, 0, 1], 9).into())
        .manager(json!({"access_log": [], "route_config": {"virtual_hosts": [host]}}))
        .start()
        .await
}

/// Sends requests for this time, and replaces the policy after half of it.
async fn measure(
    serve: &Serve,
    protocol: Protocol,
    time: Duration,
    policy: &Value,
) -> Result<Report, String> {
    let mut report = Report::new(protocol);
    let begin = Instant::now();
    let mut reloaded = false;
    while begin.elapsed() < time || !reloaded {
        let address = serve.address();
        let sent = tokio::task::spawn_blocking(move || h2load::send(protocol, address));
        if !reloaded && begin.elapsed() >= time / 2 {
            let mut changed = policy.clone();
            changed["policies"][0]["circuit_breaker"]["minimum_requests"] = json!(21);
            serve.write_policy(&changed.to_string());
            serve.prints("reloaded ", 1).await;
            reloaded = true;
        }
        report.add(sent.await.map_err(|error| error.to_string())??);
    }
    report.counted = counted(serve, report.answered()).await;
    report.peak_kib = serve.peak_kib();
    Ok(report)
}

/// Successes by the filter's metric. It counts requests once they are over, so the last ones may
/// take a moment.
async fn counted(serve: &Serve, expected: u64) -> u64 {
    let mut counted = 0;
    for _ in 0..SETTLING {
        let metrics = serve.metrics().await;
        counted = metrics.value("spillway_requests_total", &[("outcome", "success")]);
        if counted == expected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    counted
}
