//! The command line.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use host_sim::command::{check, schema};

/// Runs a proxy-wasm module as Envoy would, under a virtual clock.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Arguments),
    /// Prints the JSON Schema of the policy.
    Schema,
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let (mut out, mut talk) = (io::stdout().lock(), io::stderr().lock());
    let result = match command {
        Command::Check(arguments) => check::run(&arguments, &mut out, &mut talk),
        Command::Schema => schema::run(&mut out).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        // A reader that stopped reading, such as head, is no fault of the run.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            drop((out, talk));
            eprintln!("host-sim: cannot write: {error}");
            ExitCode::from(2)
        }
    }
}
