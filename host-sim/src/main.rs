//! The command line.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use host_sim::command::{Failure, bench, check, compare, run, schema, test};

/// Runs a proxy-wasm module as Envoy would, under a virtual clock.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario and show what came of it
    Run(run::Arguments),
    /// Run scenarios and check what they expect
    Test(test::Arguments),
    /// Show several policies side by side, on the same traffic
    Compare(compare::Arguments),
    /// Check policies for errors, and for what can have no effect
    Check(check::Arguments),
    /// Measure what the plugin costs per request
    Bench(bench::Arguments),
    /// Print a JSON Schema: of policies, scenarios, or what `run` and `compare` print as JSON
    Schema(schema::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Check(arguments) => check::run(&arguments, &mut io::stdout(), &mut io::stderr()),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Schema(arguments) => schema::run(&arguments, &mut io::stdout()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure);
            failure.code()
        }
    }
}

fn tell(failure: &Failure) {
    let text = failure.to_string();
    if !text.is_empty() {
        eprintln!("host-sim: {text}");
    }
}
