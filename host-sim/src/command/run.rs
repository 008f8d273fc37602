//! `host-sim run`: runs one scenario and shows the results.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::Failure;
use crate::command::module::ModuleArgument;
use crate::command::progress::Progress;
use crate::report::text::Paint;
use crate::report::{html, json, text};
use crate::scenario::Scenario;
use crate::scenario::play::{Run, play};

/// What to run, and what to show.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The scenario file
    pub scenario: PathBuf,
    #[command(flatten)]
    pub module: ModuleArgument,
    /// Seed of all random numbers [default: the scenario's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// Also write a page with plots
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Also write the main plots as an SVG picture
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
}

/// Runs the scenario and prints its report.
///
/// # Errors
///
/// If the scenario cannot be run, or an expectation is not met.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = Scenario::read(&arguments.scenario)?;
    let module = arguments.module.for_scenario(&scenario)?;
    let seed = arguments.seed.unwrap_or(scenario.plan.seed);
    let mut progress = Progress::new(scenario.plan.duration);
    #[expect(
        clippy::disallowed_methods,
        reason = "the command reports how long it took"
    )]
    let began = Instant::now();
    let run = play(&scenario, module.as_ref(), seed, &mut |now| {
        progress.set(now);
    })?;
    progress.end();
    let took = began.elapsed();
    if let Some(path) = &arguments.report {
        write(path, &html::page(&run))?;
    }
    if let Some(path) = &arguments.picture {
        write(path, &html::picture(&run))?;
    }
    let shown = match arguments.json {
        true => json::report(&run),
        false => text::report(&run, Paint::new(coloured())),
    };
    print(&shown)?;
    if std::io::stderr().is_terminal() {
        let took = took.as_secs_f64();
        let each_us = took * 1e6 / run.record.total.requests.max(1) as f64;
        eprintln!(
            "\n{} took {took:.2} s, {each_us:.1} us per request",
            run.duration
        );
    }
    verdict(&run)
}

fn verdict(run: &Run) -> Result<(), Failure> {
    match run.held() {
        true => Ok(()),
        false => Err(Failure::Failed),
    }
}

/// Returns whether to use colours on stdout: on a terminal, unless `NO_COLOR` is set
/// (<https://no-color.org>).
pub(super) fn coloured() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal() && !unwanted
}

/// Writes an output file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| unwritable(path, &error))
}

/// Returns the failure to write an output file.
pub(super) fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("{}: cannot be written: {error}", path.display()))
}

/// Prints to stdout. A reader that closes the pipe early (`head`) is not an error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Usage(format!("cannot write to stdout: {error}")))
        }
        _ => Ok(()),
    }
}
