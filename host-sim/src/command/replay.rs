//! `host-sim replay`: what a policy would have done to recorded traffic.
//!
//! The log is read several times: once for what it contains, once for what was recorded, and once
//! for each policy. The replay is deterministic, like a scenario.

mod grid;

use std::path::{Path, PathBuf};

use crate::command::module::ModuleArgument;
use crate::command::progress::Progress;
use crate::command::run::{coloured, print, write};
use crate::command::{Failure, read_file};
use crate::proxy::Module;
use crate::report::comparison::{Compared, Comparison};
use crate::report::replay::Replay;
use crate::report::text::Paint;
use crate::report::tuning::{Cell, Tuning};
use crate::report::{html, json, text};
use crate::scenario::log::{
    FieldMap, Format, Log, LogError, LogRecording, Options, Survey, recorded,
};
use crate::scenario::play::{Run, replay as play};
use crate::sim::span::Span;

use grid::Grid;

/// What to replay, and what to show.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The access log, plain or compressed with gzip or zstd; - stands for stdin
    pub log: PathBuf,
    /// The policy file
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,
    #[command(flatten)]
    pub module: ModuleArgument,
    /// Format of the log [default: the one that fits its first lines]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Name that a JSON log gives a field: status=code
    #[arg(long = "field", value_name = "FIELD=NAME")]
    pub fields: Vec<FieldMap>,
    /// How much earlier than the newest line a request may have begun
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub window: Span,
    /// Number of worker threads of the proxy
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Try settings around the policy's, and show what each would have done
    #[arg(long)]
    pub tune: bool,
    /// Print the replay as JSON
    #[arg(long)]
    pub json: bool,
    /// Also write a page with plots
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Replays the log and prints what the policy would have done.
///
/// # Errors
///
/// If a file cannot be read or written, the log has nothing to replay, the policy is rejected, or
/// the plugin makes a call that is not modelled.
pub fn replay(arguments: &Arguments) -> Result<(), Failure> {
    let policy = read_file(&arguments.policy)?;
    let in_policy = |failure: Failure| failure.of_policy(&arguments.policy.display());
    let grid = match arguments.tune {
        true => Some(Grid::new(&policy).map_err(|why| in_policy(Failure::Policy(why)))?),
        false => None,
    };
    let module = arguments.module.load(None)?;
    let log = Log::open(
        &arguments.log,
        Options {
            format: arguments.format,
            fields: arguments.fields.clone(),
            window: arguments.window,
        },
    )?;
    let stage = Stage {
        survey: Survey::new(&log, &name(&arguments.log))?,
        log,
        module,
        workers: arguments.workers as usize,
        seed: arguments.seed,
    };
    let replay = stage.replay(arguments, policy, grid)?;
    if let Some(path) = &arguments.report {
        write(path, &html::replay(&replay))?;
    }
    print(&match arguments.json {
        true => json::replay(&replay),
        false => text::replay(&replay, Paint::new(coloured())),
    })
}

/// A log on which policies are played.
struct Stage {
    log: Log,
    survey: Survey,
    module: Module,
    workers: usize,
    seed: u64,
}

impl Stage {
    fn replay(
        self,
        arguments: &Arguments,
        policy: Vec<u8>,
        grid: Option<Grid>,
    ) -> Result<Replay, Failure> {
        let before = recorded(&self.log, &self.survey, self.workers, self.seed)?;
        let name = arguments.policy.display();
        let after = self
            .play(policy)
            .map_err(|failure| failure.of_policy(&name))?;
        let tuning = grid.map(|grid| self.tune(&grid, &after)).transpose()?;
        let column = |title: &str, policy: String, run: Run| Compared {
            title: title.into(),
            policy,
            run,
        };
        Ok(Replay {
            format: self.log.format.name(),
            window: self.log.window(),
            comparison: Comparison {
                name: self.survey.name.clone(),
                description: String::new(),
                seed: self.seed,
                workers: self.workers,
                duration: self.survey.duration,
                runs: vec![
                    column("recorded", "recorded".into(), before),
                    column("replayed", name.to_string(), after),
                ],
            },
            survey: self.survey,
            tuning,
        })
    }

    fn play(&self, policy: Vec<u8>) -> Result<Run, Failure> {
        let scenario = self.survey.scenario(Some(policy), self.workers, self.seed);
        let recording = LogRecording::new(&self.log, &self.survey)?;
        let mut progress = Progress::new(self.survey.duration);
        let run = play(
            &scenario,
            Some(&self.module),
            Box::new(recording),
            &mut |now| progress.set(now),
        );
        progress.end();
        Ok(run?)
    }

    /// Plays all settings of a grid. The first is the given policy, which `given` has played.
    fn tune(&self, grid: &Grid, given: &Run) -> Result<Tuning, Failure> {
        let cell = |settings, run: &Run| {
            let record = &run.record;
            Cell::new(settings, &record.effects, record.circuits.opened())
        };
        let mut cells = vec![cell(grid.given().clone(), given)];
        for (settings, policy) in grid.others() {
            cells.push(cell(settings, &self.play(policy)?));
        }
        Ok(Tuning {
            policy: grid.policy.clone(),
            cells,
        })
    }
}

fn name(path: &Path) -> String {
    match path == Path::new("-") {
        true => "stdin".into(),
        false => path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into(),
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        Failure::Usage(error.to_string())
    }
}
