//! `host-sim test`: runs scenarios and plugin tests, and checks their expectations.

mod check;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::command::module::ModuleArgument;
use crate::command::request::failure;
use crate::command::run::{coloured, print, write};
use crate::command::{Failure, read_file};
use crate::report::text::{Hue, Paint};
use crate::scenario::play::play;
use crate::scenario::{SUFFIX, Scenario};
use crate::trial::{self, Trial};

use check::Check;

/// What to test.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Scenarios, plugin tests, and folders with files named *.scenario.yaml or *.scenario.json
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub module: ModuleArgument,
    /// Also write the results in JUnit format
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Number of files to run at once [default: one per processor]
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
}

/// The result of one file.
struct Tested {
    path: PathBuf,
    took: Duration,
    result: Result<Vec<Check>, Failure>,
}

/// Runs all scenarios and prints a line for each.
///
/// # Errors
///
/// If there is no scenario, one cannot be run, or one has an expectation that is not met.
pub fn test(arguments: &Arguments) -> Result<(), Failure> {
    let files = collect(&arguments.paths)?;
    let results = run_all(&files, arguments);
    let paint = Paint::new(coloured());
    let mut shown = format!("1..{}\n", results.len());
    for (number, tested) in results.iter().enumerate() {
        shown += &line(number + 1, tested, paint);
    }
    print(&shown)?;
    if let Some(path) = &arguments.junit {
        write(path, &junit(&results))?;
    }
    worst(results)
}

/// The scenario files under `paths`, in the order of their names.
fn collect(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => search(path, &mut files)?,
            false => files.push(path.clone()),
        }
    }
    match files.is_empty() {
        true => Err(Failure::Usage(
            "found no scenario: their names end in .scenario.yaml".into(),
        )),
        false => Ok(files),
    }
}

fn search(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let usage = |error| Failure::Usage(format!("{}: cannot be read: {error}", folder.display()));
    let entries = std::fs::read_dir(folder).map_err(usage)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(usage)?.path());
    }
    paths.sort();
    for path in paths {
        if path.is_dir() {
            search(&path, files)?;
        } else if is_scenario(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_scenario(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    ["yaml", "yml", "json"]
        .iter()
        .any(|known| extension == *known)
        && stem.ends_with(SUFFIX)
}

/// Runs scenarios in parallel. They share nothing, so the results do not depend on each other.
fn run_all(files: &[PathBuf], arguments: &Arguments) -> Vec<Tested> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = arguments.jobs.unwrap_or(processors).clamp(1, files.len());
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = files.get(index) else {
                        return;
                    };
                    let tested = run_one(path, &arguments.module);
                    if let Ok(mut results) = results.lock() {
                        results.push((index, tested));
                    }
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, tested)| tested).collect()
}

fn run_one(path: &Path, module: &ModuleArgument) -> Tested {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command reports how long it took"
    )]
    let began = Instant::now();
    let result = checks(path, module);
    Tested {
        path: path.to_owned(),
        took: began.elapsed(),
        result,
    }
}

fn checks(path: &Path, module: &ModuleArgument) -> Result<Vec<Check>, Failure> {
    let bytes = read_file(path)?;
    if Trial::is_in(&String::from_utf8_lossy(&bytes)) {
        return plugin_test(path, module);
    }
    let scenario = Scenario::read(path)?;
    let module = module.for_scenario(&scenario)?;
    let run = play(&scenario, module.as_ref(), scenario.plan.seed, &mut |_| ())?;
    Ok(run.verdicts.iter().map(Check::of_scenario).collect())
}

/// Plays a plugin test. Each of its requests is one check.
fn plugin_test(path: &Path, module: &ModuleArgument) -> Result<Vec<Check>, Failure> {
    let trial = Trial::read(path)?;
    let modules = module.for_trial(&trial)?;
    let transcript = trial::play(&trial, &modules);
    match failure(&transcript) {
        Some(failure) => Err(failure),
        None => Ok(Check::of_plugin_test(&trial, &transcript)),
    }
}

/// Returns a line of the Test Anything Protocol, and details of failures.
fn line(number: usize, tested: &Tested, paint: Paint) -> String {
    let path = tested.path.display();
    let (held, details) = match &tested.result {
        Ok(checks) => {
            let failed = checks.iter().filter(|it| !it.held());
            let details: String = failed.map(|it| it.text(paint)).collect();
            (details.is_empty(), details)
        }
        Err(failure) => (false, format!("  {failure}\n")),
    };
    let word = match held {
        true => paint.hue(Hue::Good, "ok"),
        false => paint.hue(Hue::Bad, "not ok"),
    };
    let mut text = format!("{word} {number} - {path}\n");
    for line in details.lines() {
        text += &format!("#{}\n", line.strip_prefix(' ').unwrap_or(line));
    }
    text
}

fn junit(results: &[Tested]) -> String {
    let mut suite = TestSuite::new("host-sim");
    for tested in results {
        let checks = match &tested.result {
            Ok(checks) => checks,
            Err(failure) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_message(failure.to_string());
                suite.add_test_case(case(tested, "runs", status));
                continue;
            }
        };
        for check in checks {
            let status = match check.held() {
                true => TestCaseStatus::success(),
                false => failed(check),
            };
            suite.add_test_case(case(tested, &check.name, status));
        }
        if checks.is_empty() {
            suite.add_test_case(case(tested, "runs", TestCaseStatus::success()));
        }
    }
    let mut report = Report::new("host-sim");
    report.add_test_suite(suite);
    // Only fails if the writer fails, which a string does not.
    report.to_string().unwrap_or_default()
}

fn failed(check: &Check) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(check.failures.join("; "));
    status.set_description(check.around.join("\n"));
    status
}

fn case(tested: &Tested, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname(tested.path.display().to_string());
    case.set_time(tested.took);
    case
}

/// Returns the most severe result, which is that of the whole command.
fn worst(results: Vec<Tested>) -> Result<(), Failure> {
    let mut worst = Ok(());
    for tested in results {
        let result = match tested.result {
            Ok(checks) if checks.iter().all(Check::held) => continue,
            Ok(_) | Err(Failure::Failed | Failure::Policy(_)) => Err(Failure::Failed),
            // The message is printed already.
            Err(Failure::Usage(_)) => Err(Failure::Usage(String::new())),
            Err(Failure::Simulator(_)) => Err(Failure::Simulator(String::new())),
        };
        let severity = |result: &Result<(), Failure>| match result {
            Ok(()) => 0,
            Err(Failure::Failed | Failure::Policy(_)) => 1,
            Err(Failure::Usage(_)) => 2,
            Err(Failure::Simulator(_)) => 3,
        };
        if severity(&result) > severity(&worst) {
            worst = result;
        }
    }
    worst
}
