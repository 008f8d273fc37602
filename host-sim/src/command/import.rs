//! `host-sim import`: policies from the configuration of other circuit breakers.
//!
//! The policy file goes to stdout, and what became of every line of the sources to stderr. Values
//! that mean the same are taken over, those that nearly do are taken over and explained, and the
//! rest is listed with its reason. The policy file passes the filter's own parser before it is
//! printed.

mod context;
mod draft;
mod engine;
mod envoy_gateway;
mod finish;
mod gateway_api;
mod hystrix;
mod istio;
mod kube;
mod linkerd;
mod node;
mod problems;
mod report;
mod resilience4j;
mod sentinel;
mod settings;
mod source;
mod values;

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use super::Failure;
use super::check::{self, Checked};
use context::Import;
use draft::Draft;
use problems::Problems;
use report::Report;
use source::Source;

/// Imports policies.
#[derive(clap::Args)]
pub struct Arguments {
    /// What the files are written for
    #[arg(long, value_enum, value_name = "SYSTEM")]
    from: System,
    /// YAML, JSON or .properties files. They are one configuration
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the policies to a file in place of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How to print what became of every line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    report: Format,
    /// Who makes the imported retries. The filter can wait as the source says, but sends requests
    /// again as it received them
    #[arg(long, value_enum, default_value_t = Retries::Router)]
    retries_by: Retries,
    /// A Spring profile that is active, for systems that are configured by Spring
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<String>,
}

/// The systems whose configuration can be read.
#[derive(Clone, Copy, clap::ValueEnum)]
enum System {
    Resilience4j,
    Hystrix,
    Sentinel,
    Istio,
    EnvoyGateway,
    GatewayApi,
    Linkerd,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Retries {
    Router,
    Filter,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Imports all files and prints the policies and the report.
///
/// # Errors
///
/// [`Failure::Failed`] if there is nothing to import, [`Failure::Usage`] if a file cannot be read
/// or has values that its system does not allow. Also if `out` or `messages` fails.
pub fn run(
    arguments: &Arguments,
    out: &mut dyn Write,
    messages: &mut dyn Write,
) -> Result<(), Failure> {
    let mut problems = Problems::default();
    let files = arguments.files.iter().enumerate();
    let sources: Vec<Source> = files
        .map(|(number, path)| source::read(path, number, &mut problems))
        .collect();
    let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    let mut import = Import {
        sources: &sources,
        profiles: &arguments.profiles,
        by_filter: arguments.retries_by == Retries::Filter,
        draft: Draft::default(),
        report: Report::default(),
        problems,
    };
    match arguments.from {
        System::Resilience4j => resilience4j::import(&mut import),
        System::Hystrix => hystrix::import(&mut import),
        System::Sentinel => sentinel::import(&mut import),
        System::Istio => istio::import(&mut import),
        System::EnvoyGateway => envoy_gateway::import(&mut import),
        System::GatewayApi => gateway_api::import(&mut import),
        System::Linkerd => linkerd::import(&mut import),
    }
    if !import.problems.is_empty() {
        import.problems.print(&names, messages)?;
        return Err(Failure::Usage(String::new()));
    }
    finish::finish(&mut import);
    import.report.finish(&sources);
    match arguments.report {
        Format::Text => import.report.text(&names, messages)?,
        Format::Json => import.report.json(&names, messages)?,
    }
    if import.draft.is_empty() {
        return Err(nothing(&names));
    }
    write(arguments, &import.draft.file(), out)
}

fn nothing(names: &[String]) -> Failure {
    // The code of a failed policy is that of nothing to import.
    Failure::Policy(format!("nothing to import in {}", names.join(", ")))
}

fn write(arguments: &Arguments, file: &str, out: &mut dyn Write) -> Result<(), Failure> {
    if let Checked::Errors(errors) = check::check(file.as_bytes()) {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let errors = errors.join("\n  ");
        let text = format!("this is a bug: the imported policy is rejected:\n  {errors}\n{file}");
        return Err(Failure::Usage(text));
    }
    match &arguments.output {
        None => out.write_all(file.as_bytes())?,
        Some(path) => fs::write(path, file).map_err(|error| {
            Failure::Usage(format!("{} cannot be written: {error}", path.display()))
        })?,
    }
    Ok(())
}
