//! The command line.

use std::process::ExitCode;

use clap::Parser;

/// Runs a proxy-wasm module as Envoy would, under a virtual clock.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    ExitCode::SUCCESS
}
