//! Cost of filters in a real Envoy: CPU time of the worker per request, over no filter.
//!
//! All variants run in one Envoy with one worker, each behind its own listener and in its own VMs.
//! They take short turns in random order. Nothing passes or fails here: numbers from different
//! machines are not comparable. `filter/PERFORMANCE.md` has the results and how to read them.

mod cases;
mod cores;
mod document;
mod http;
mod load;
mod machine;
mod measure;
mod native;
mod statistics;
mod table;
mod upstream;
mod variant;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;
use spillway_tests::envoy::bootstrap::cluster;
use spillway_tests::{Envoy, GrpcReply, GrpcUpstream};

use cores::Cores;
use load::{Load, MESSAGES};
use variant::{Module, Variant};

/// Measures what filters cost per request in a real Envoy.
#[derive(Parser)]
struct Arguments {
    /// A module to measure; may be given several times [default: those that `make wasm` built]
    #[arg(long = "module", value_name = "FILE")]
    modules: Vec<PathBuf>,
    /// Measure only variants whose names contain this; may be given several times
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Fewest rounds that must count; every variant has one turn in each
    #[arg(long, value_name = "NUMBER", default_value = "450", value_parser = positive)]
    rounds: usize,
    /// Most rounds, if an interval is still too wide [default: twice the fewest]
    #[arg(long, value_name = "NUMBER", value_parser = positive)]
    limit: Option<usize>,
    /// Number of requests per turn
    #[arg(long, value_name = "NUMBER", default_value = "256", value_parser = positive)]
    requests: usize,
    /// Seed of the order of the turns
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// A document to write the results into, between its markers
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

impl Arguments {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(2 * self.rounds)
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("found 0, allowed 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("cost: {problem}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), String> {
    let cores = Cores::first_two().ok_or("found one core, two are needed")?;
    let modules = match arguments.modules.as_slice() {
        [] => Module::built(),
        given => given
            .iter()
            .map(|path| Module::at(path))
            .collect::<Result<_, _>>()?,
    };
    let variants = Variant::only(Variant::all(&modules), &arguments.only);
    let text = measured(arguments, cores, &variants).await?;
    print!("{text}");
    match &arguments.write {
        Some(path) => write(path, &text).map_err(|why| format!("{}: {why}", path.display())),
        None => Ok(()),
    }
}

async fn measured(
    arguments: &Arguments,
    cores: Cores,
    variants: &[Variant],
) -> Result<String, String> {
    let upstream = upstream::start().await;
    let streams = GrpcUpstream::start().await;
    streams.reply(GrpcReply::ok(MESSAGES).apart());
    let envoy = envoy(&upstream, &streams, variants).await;
    // Only now: all of them start faster on all cores.
    let clock = cores.pin_measured(envoy.id());
    cores.pin_other(upstream.id());
    cores.pin_other(std::process::id());
    for index in (0..variants.len()).filter(|index| variants[*index].opened) {
        load::open_circuit(envoy.listener(&variant::listener(index))).await;
    }
    let mut results = Vec::new();
    for load in [Load::Unary, Load::Large, Load::Stream] {
        results.push(measure::load(load, (&envoy, &clock), variants, arguments).await?);
    }
    Ok(table::text(arguments, variants, &results))
}

/// Starts an Envoy with one worker and one listener per variant.
async fn envoy(upstream: &Envoy, streams: &GrpcUpstream, variants: &[Variant]) -> Envoy {
    let plain = Envoy::in_front_of(upstream.address())
        .concurrency(1)
        // An access log line per request would only add a constant to every variant.
        .manager(json!({"access_log": []}))
        .clusters(cluster("streams", streams.address(), true))
        .route(json!({
            "match": {"grpc": {}, "prefix": "/"},
            "route": {"cluster": "streams", "timeout": "0s"},
        }));
    let all = variants.iter().enumerate();
    all.fold(plain, |setting, (index, variant)| {
        variant.listen(setting, index)
    })
    .start()
    .await
}

fn write(path: &Path, results: &str) -> Result<(), String> {
    let document = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let document = document::with(&document, results)?;
    fs::write(path, document).map_err(|error| error.to_string())
}
