//! The command line.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use host_sim::command::{
    Failure, bench, check, compare, deploy, import, replay, request, run, schema, serve, test,
};

/// Runs a proxy-wasm module as Envoy would, under a virtual clock.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run one scenario and show the results
    Run(run::Arguments),
    /// Run scenarios and check their expectations
    Test(test::Arguments),
    /// Send one request through a plugin and show everything that happens
    Request(Box<request::Arguments>),
    /// Run a local proxy with the plugin in it, in real time
    Serve(serve::Arguments),
    /// Show several policies side by side, on the same traffic
    Compare(compare::Arguments),
    /// Show what a policy would have done to recorded traffic, from an access log
    Replay(replay::Arguments),
    /// Check policies for errors, and for settings that have no effect
    Check(check::Arguments),
    /// Turn the configuration of another circuit breaker into policies
    Import(import::Arguments),
    /// Write the configuration that deploys a policy: of Envoy, Istio or Envoy Gateway
    Deploy(deploy::Arguments),
    /// Measure what the plugin costs per request
    Bench(bench::Arguments),
    /// Print a JSON Schema: of policies, of scenarios, of plugin tests, or of the JSON output of
    /// `run`, `compare`, `replay` and `request`
    Schema(schema::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Request(arguments) => request::request(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Check(arguments) => check::run(&arguments, &mut io::stdout(), &mut io::stderr()),
        Command::Import(arguments) => import::run(&arguments, &mut io::stdout(), &mut io::stderr()),
        Command::Deploy(arguments) => deploy::run(&arguments, &mut io::stdout(), &mut io::stderr()),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Schema(arguments) => schema::run(&arguments, &mut io::stdout()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print(&failure);
            failure.code()
        }
    }
}

fn print(failure: &Failure) {
    let text = failure.to_string();
    if !text.is_empty() {
        eprintln!("host-sim: {text}");
    }
}
