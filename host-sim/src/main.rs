//! The command line.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use host_sim::command::{Failure, bench, check, run, schema, test};

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
    Check(check::Arguments),
    /// Measure what the plugin costs per request
    Bench(bench::Arguments),
    /// Print a JSON Schema: of the policy, of scenarios, or of the report of `run --json`
    Schema(schema::Arguments),
}

fn main() -> ExitCode {
    let (mut out, mut talk) = (io::stdout(), io::stderr());
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Check(arguments) => return written(check::run(&arguments, &mut out, &mut talk)),
        Command::Schema(arguments) => {
            let printed = schema::run(&arguments, &mut out);
            return written(printed.map(|()| ExitCode::SUCCESS));
        }
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

fn written(result: io::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        // A reader that stopped reading, such as head, is no fault of the run.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("host-sim: cannot write: {error}");
            ExitCode::from(2)
        }
    }
}
