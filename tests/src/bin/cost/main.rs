//! What a filter costs in a real Envoy: CPU time per request, beside no filter and an empty one.
//!
//! All variants live in one Envoy, each behind a listener of its own, and take turns in short
//! rounds: what else the machine does, or how warm it is, befalls all of them alike. So the ratios
//! of a round say more than its times, and medians over many rounds more than any of them. Nothing
//! is decided here: numbers of different machines have nothing in common.

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
    /// A module to measure, once for each time it is given [default: spillway.wasm as built here]
    #[arg(long = "module", value_name = "FILE")]
    modules: Vec<PathBuf>,
    /// The policy that modules get [default: a breaker with its defaults]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Rounds, in each of which every variant has its turn
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Requests of a turn
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// Connections that each variant keeps, and requests at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
}

const WORKERS: usize = 2;

/// A policy with a breaker and nothing else.
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
