//! Cost of a filter in a real Envoy: CPU time per request, compared with no filter and an empty
//! one.
//!
//! All variants run in one Envoy, each behind its own listener, and take turns in short rounds, so
//! that background load and CPU temperature affect all of them alike. The ratios within a round are
//! therefore more reliable than its absolute times, and medians over many rounds more reliable
//! still. Nothing passes or fails here: numbers from different computers are not comparable.

mod load;
mod measure;
mod table;
mod variant;

use std::path::PathBuf;

use clap::Parser;
use spillway_tests::{Upstream, places};

use load::Load;
use variant::Variant;

/// Measures what filters cost per request in a real Envoy with two workers.
#[derive(Parser)]
pub struct Arguments {
    /// A module to measure; may be given several times [default: spillway.wasm as built here]
    #[arg(long = "module", value_name = "FILE")]
    modules: Vec<PathBuf>,
    /// The policy to configure modules with [default: a breaker with its defaults]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Number of rounds; every variant has one turn in each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Number of requests per turn
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Number of connections per variant, each with one request at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
}

const WORKERS: usize = 2;

/// A policy with only a breaker.
const DEFAULT_POLICY: &str = r#"{"policies":[{"name":"default","circuit_breaker":{}}]}"#;

#[tokio::main]
async fn main() {
    let mut arguments = Arguments::parse();
    if arguments.modules.is_empty() {
        arguments.modules.push(places::module());
    }
    let policy = match &arguments.policy {
        Some(path) => std::fs::read_to_string(path).expect("a readable policy"),
        None => DEFAULT_POLICY.to_owned(),
    };
    let upstream = Upstream::start().await;
    let variants = Variant::all(&arguments.modules);
    let envoy = variant::envoy(&upstream, &variants, &policy).await;
    let loads: Vec<Load> = variants
        .iter()
        .map(|variant| Load::on(envoy.listener(&variant.listener), &arguments))
        .collect();
    let costs = measure::costs(&envoy, &upstream, &loads, &arguments).await;
    print!("{}", table::text(&arguments, &variants, &costs));
}
