//! `host-sim compare`: several policies on the same traffic, side by side.
//!
//! Each policy gets its own run of the scenario from the same seed. The traffic is the same, except
//! where it depends on responses: clients that wait for one, or retry. The scenario's own policy is
//! ignored. So are its `updates`, which would replace the compared policies, and its expectations,
//! which are about one policy.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::command::module::ModuleArgument;
use crate::command::progress::Progress;
use crate::command::run::{coloured, print, write};
use crate::command::{Failure, read_file};
use crate::report::comparison::{Compared, Comparison};
use crate::report::text::Paint;
use crate::report::{html, json, text};
use crate::scenario::play::play;
use crate::scenario::{Scenario, Stage};

/// What to compare, and what to show.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Two to six policy files; `none` stands for a proxy without a plugin (write ./none for a file
    /// of this name)
    #[arg(required = true, num_args = 2..=6, value_name = "POLICY")]
    pub policies: Vec<Policy>,
    /// The scenario file; its own policy, updates and expectations are ignored
    #[arg(long, value_name = "FILE")]
    pub scenario: PathBuf,
    #[command(flatten)]
    pub module: ModuleArgument,
    /// Seed of all random numbers [default: the scenario's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Print the comparison as JSON
    #[arg(long)]
    pub json: bool,
    /// Also write a page with plots
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// A policy given by the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// No plugin at all.
    None,
    /// The policy in a file.
    File(PathBuf),
}

impl From<OsString> for Policy {
    fn from(text: OsString) -> Policy {
        match text == "none" {
            true => Policy::None,
            false => Policy::File(text.into()),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::None => f.write_str("none"),
            Policy::File(path) => path.display().fmt(f),
        }
    }
}

/// Runs the scenario with each policy and prints the comparison.
///
/// # Errors
///
/// If a file cannot be read or written, a policy is rejected, or a plugin makes a call that is not
/// modelled. Returns the first error.
pub fn compare(arguments: &Arguments) -> Result<(), Failure> {
    let stage = Stage::read(&arguments.scenario)?;
    let bare = stage.bare();
    // Read all files before the first run, since runs may take long.
    let scenarios = arguments.policies.iter().map(|it| staged(&stage, it));
    let scenarios = scenarios.collect::<Result<Vec<_>, _>>()?;
    let seed = arguments.seed.unwrap_or(bare.plan.seed);
    let comparison = Comparison {
        seed,
        workers: bare.plan.workers,
        duration: bare.plan.duration,
        runs: run_all(arguments, &scenarios, seed)?,
        name: bare.name,
        description: bare.description,
    };
    if let Some(path) = &arguments.report {
        write(path, &html::comparison(&comparison))?;
    }
    print(&match arguments.json {
        true => json::comparison(&comparison),
        false => text::comparison(&comparison, Paint::new(coloured())),
    })
}

/// Returns the scenario with this policy.
fn staged(stage: &Stage, policy: &Policy) -> Result<Scenario, Failure> {
    match policy {
        Policy::None => Ok(stage.bare()),
        Policy::File(path) => Ok(stage.with(read_file(path)?)),
    }
}

fn run_all(
    arguments: &Arguments,
    scenarios: &[Scenario],
    seed: u64,
) -> Result<Vec<Compared>, Failure> {
    // Load the module once, since compiling it takes longer than most runs.
    let with_plugin = scenarios.iter().find(|it| it.plugin.is_some());
    let module = with_plugin.map(|it| arguments.module.for_scenario(it));
    let module = module.transpose()?.flatten();
    let mut runs = Vec::new();
    let titles = titles(&arguments.policies);
    for ((policy, title), scenario) in arguments.policies.iter().zip(titles).zip(scenarios) {
        let mut progress = Progress::new(scenario.plan.duration);
        let run = play(scenario, module.as_ref(), seed, &mut |now| {
            progress.set(now);
        });
        progress.end();
        runs.push(Compared {
            title,
            policy: policy.to_string(),
            run: run.map_err(|error| Failure::from(error).of_policy(policy))?,
        });
    }
    Ok(runs)
}

/// Returns the names of the policies in reports: the stems of their files, the whole paths if stems
/// are equal, and a number if a policy is given more than once.
fn titles(policies: &[Policy]) -> Vec<String> {
    let stems: Vec<_> = policies.iter().map(stem).collect();
    let title = |(index, policy): (usize, &Policy)| {
        let same = policies
            .iter()
            .zip(&stems)
            .filter(|(other, stem)| *other != policy && **stem == stems[index]);
        let title = match same.count() {
            0 => stems[index].clone(),
            _ => policy.to_string(),
        };
        match policies[..index].iter().filter(|it| *it == policy).count() {
            0 => title,
            before => format!("{title} ({})", before + 1),
        }
    };
    policies.iter().enumerate().map(title).collect()
}

fn stem(policy: &Policy) -> String {
    match policy {
        Policy::None => policy.to_string(),
        Policy::File(path) => {
            let stem = path.file_stem().unwrap_or(path.as_os_str());
            stem.to_string_lossy().into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_a_unique_name() {
        let rows: [(&[&str], &[&str]); 5] = [
            (&["none", "p/demo.json"], &["none", "demo"]),
            (
                &["a/x.json", "b/x.json", "y.json"],
                &["a/x.json", "b/x.json", "y"],
            ),
            (&["x.json", "x.json"], &["x", "x (2)"]),
            (
                &["x.json", "a/x.json", "x.json"],
                &["x.json", "a/x.json", "x.json (2)"],
            ),
            (
                &["none", "none.json", "none"],
                &["none", "none.json", "none (2)"],
            ),
        ];
        for (given, expected) in rows {
            let given: Vec<_> = given
                .iter()
                .map(|it| Policy::from(OsString::from(it)))
                .collect();
            assert_eq!(titles(&given), expected);
        }
    }
}
