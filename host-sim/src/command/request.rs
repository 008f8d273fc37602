//! `host-sim request`: sends one request through a plugin and shows everything that happens.
//!
//! The arguments make a plugin test of one request. `--from` takes the rest of it from a file.

mod arguments;
mod flags;

use std::path::{Path, PathBuf};

use crate::command::module::ModuleArgument;
use crate::command::run::{coloured, print};
use crate::command::{Failure, read_file};
use crate::report::text::Paint;
use crate::report::transcript::{self, Detail, json};
use crate::scenario::ScenarioError;
use crate::scenario::error::deserialize;
use crate::trial::file::File;
use crate::trial::transcript::Ending;
use crate::trial::{Transcript, Trial, expect, play};

pub use arguments::Arguments;

/// Plays the request and prints what happened.
///
/// # Errors
///
/// If the arguments are not valid, a plugin does not start, an expectation of the file does not
/// hold, a hostcall is not modelled, or Envoy would crash. What happened until then is printed.
pub fn request(arguments: &Arguments) -> Result<(), Failure> {
    let trial = trial(arguments)?;
    let modules = ModuleArgument::default().for_trial(&trial)?;
    let transcript = play(&trial, &modules);
    let detail = Detail {
        hostcalls: arguments.verbose,
        paint: Paint::new(coloured()),
    };
    print(&match arguments.json {
        true => json::report(&transcript),
        false => transcript::text(&transcript, detail),
    })?;
    match failure(&transcript) {
        Some(failure) => Err(failure),
        None => judged(&trial, &transcript),
    }
}

fn judged(trial: &Trial, transcript: &Transcript) -> Result<(), Failure> {
    let misses = misses(trial, transcript);
    if misses.is_empty() {
        return Ok(());
    }
    for miss in misses {
        eprintln!("host-sim: {miss}");
    }
    Err(Failure::Failed)
}

/// Returns what does not hold, with the number and name of its request.
fn misses(trial: &Trial, transcript: &Transcript) -> Vec<String> {
    let steps = trial.steps.iter().zip(&transcript.steps).enumerate();
    let of_step = |(at, (step, seen)): (usize, (&crate::trial::Step, _))| {
        let name = step.name.as_ref().map(|name| format!(" ({name})"));
        let name = format!("requests[{at}]{}", name.unwrap_or_default());
        let misses = expect::judge(&step.expect, seen);
        misses
            .into_iter()
            .map(move |miss| format!("{name}: {miss}"))
    };
    steps.flat_map(of_step).collect()
}

/// Returns why a plugin test ended early as a failure, with the plugin's last lines.
pub(super) fn failure(transcript: &Transcript) -> Option<Failure> {
    let ending = transcript.ending.as_ref()?;
    let lines = transcript.start.iter().flat_map(|entry| entry.lines());
    let lines = lines.map(|(level, text)| format!("\n  [{}] {}", level.name(), text.trim_end()));
    Some(match ending {
        Ending::Load { .. } => Failure::Usage(ending.to_string()),
        Ending::Endless { .. } => Failure::Policy(ending.to_string()),
        Ending::Refused { .. } => Failure::Policy(format!("{ending}{}", lines.collect::<String>())),
        Ending::Halted { halt, .. } => Failure::of_halt(halt, ending.to_string()),
    })
}

fn trial(arguments: &Arguments) -> Result<Trial, Failure> {
    let (mut file, text, path) = match &arguments.from {
        None => (File::default(), String::new(), PathBuf::new()),
        Some(path) => {
            let text = String::from_utf8_lossy(&read_file(path)?).into_owned();
            let invalid = |problem| ScenarioError::new(path, vec![problem]);
            (deserialize(&text).map_err(invalid)?, text, path.clone())
        }
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    flags::apply(arguments, &mut file, folder)?;
    Trial::of(file, folder, &text).map_err(|problems| match arguments.from {
        Some(_) => Failure::from(ScenarioError::new(&path, problems)),
        None => {
            let texts = problems.iter().map(|it| format!("{} {}", it.path, it.what));
            Failure::Usage(texts.collect::<Vec<_>>().join("\n"))
        }
    })
}
