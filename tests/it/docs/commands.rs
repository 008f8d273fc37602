//! Commands in the documents.

use regex::Regex;
use spillway_tests::places;

use super::markdown::Block;
use super::names::sources;
use super::sandbox::Sandbox;

/// Runs the commands of a block and returns what they print.
///
/// Commands of the simulator and of `promtool` are run. Targets of `make` and tests for `cargo`
/// only have to exist, since other jobs run them. [`super::proxy`] covers `envoy` and `curl`.
///
/// # Errors
///
/// Returns the command that fails or does not exist.
pub(super) fn run(block: &Block, sandbox: &Sandbox) -> Result<String, String> {
    let mut printed = String::new();
    for line in lines(block) {
        match line.split(' ').next().unwrap_or_default() {
            "host-sim" | "promtool" => {
                let output = sandbox.run(&line);
                let stderr = String::from_utf8_lossy(&output.stderr);
                let expected = expected_code(block);
                if output.status.code() != Some(expected) {
                    let code = output.status;
                    return Err(format!("{line}: {code}, expected {expected}\n{stderr}"));
                }
                printed.push_str(&String::from_utf8_lossy(&output.stdout));
            }
            "make" | "cargo" => exists(&line, sandbox)?,
            "envoy" | "curl" => {}
            unknown => return Err(format!("nothing checks {unknown}")),
        }
    }
    Ok(printed)
}

/// The commands of a block, one per line, without comments.
pub(super) fn lines(block: &Block) -> Vec<String> {
    let text = block.text.replace("\\\n", " ");
    let lines = text
        .lines()
        .map(|line| line.split(" #").next().unwrap_or(line));
    let lines = lines.map(str::trim);
    let commands = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    commands.map(str::to_owned).collect()
}

/// The exit code of a block's commands: `sh exits-with-1` shows a command that fails.
fn expected_code(block: &Block) -> i32 {
    let code = block.argument.strip_prefix("exits-with-");
    code.map_or(0, |code| code.parse().expect("an exit code"))
}

/// Checks that a command in a sentence or a block exists. Accepts text that is not a command of
/// the project.
///
/// # Errors
///
/// Returns the target, subcommand, option, package or test that does not exist.
pub(super) fn exists(line: &str, sandbox: &Sandbox) -> Result<(), String> {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["make", target, ..] => make_target(target),
        ["host-sim", subcommand, arguments @ ..] => options(subcommand, arguments, sandbox),
        ["cargo", "test", arguments @ ..] => cargo_test(arguments),
        _ => Ok(()),
    }
}

fn make_target(target: &str) -> Result<(), String> {
    let path = places::root().join("Makefile");
    let makefile = std::fs::read_to_string(path).expect("a Makefile");
    let rule = Regex::new(&format!("(?m)^{}:.*## ", regex::escape(target)));
    match rule.expect("a pattern").is_match(&makefile) {
        true => Ok(()),
        false => Err(format!("the Makefile does not list {target}")),
    }
}

fn options(subcommand: &str, arguments: &[&str], sandbox: &Sandbox) -> Result<(), String> {
    let output = sandbox.run(&format!("host-sim {subcommand} --help"));
    if !output.status.success() {
        return Err(format!("host-sim has no {subcommand}"));
    }
    let help = String::from_utf8_lossy(&output.stdout);
    let options = arguments.iter().filter(|word| word.starts_with("--"));
    match options.into_iter().find(|option| !help.contains(**option)) {
        Some(option) => Err(format!("host-sim {subcommand} has no {option}")),
        None => Ok(()),
    }
}

fn cargo_test(arguments: &[&str]) -> Result<(), String> {
    let ["-p", package, filters @ ..] = arguments else {
        return Err(format!("nothing checks cargo test {}", arguments.join(" ")));
    };
    let folder = match *package {
        "spillway" => "filter/src",
        "spillway-core" => "filter/core/src",
        _ => return Err(format!("there is no package {package}")),
    };
    let sources = sources(folder);
    let test = |filter: &str| {
        sources
            .iter()
            .any(|text| text.contains(&format!("fn {filter}")))
    };
    match filters.iter().find(|filter| !test(filter)) {
        Some(filter) => Err(format!("{package} has no test {filter}")),
        None => Ok(()),
    }
}
