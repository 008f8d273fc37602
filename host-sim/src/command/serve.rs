//! `host-sim serve`: a local proxy with the plugin in it.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;

use crate::command::module::{load, shipped};
use crate::command::{Failure, read_file};
use crate::proxy::Plugin;
use crate::scenario::PluginSpec;
use crate::scenario::file::{FailurePolicyName, PluginFile};
use crate::scenario::play;
use crate::serve::{self, Options, ServeError, Upstream};
use crate::trial::file::Level;

/// What to serve, and where.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where requests go: http://HOST:PORT, or h2c://HOST:PORT for HTTP/2. gRPC goes by HTTP/2
    /// anyway
    #[arg(long, value_name = "URL")]
    pub upstream: String,
    /// The policy file. A change takes effect at once
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub policy: Option<PathBuf>,
    /// The file with the configuration of a module that has no policies
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The .wasm file to run [default: the spillway.wasm of this build]
    #[arg(long, value_name = "FILE", env = "SPILLWAY_WASM")]
    pub module: Option<PathBuf>,
    /// Where clients connect. Port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10000")]
    pub listen: SocketAddr,
    /// Where operators connect, from this computer only
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:10001")]
    pub operators: SocketAddr,
    /// A cluster that the plugin may call, NAME=URL
    #[arg(long = "cluster", value_name = "CLUSTER")]
    pub clusters: Vec<String>,
    /// Number of worker threads. They take turns on one thread of this computer
    #[arg(long, value_name = "N", default_value = "2", value_parser = workers())]
    pub workers: u32,
    /// What happens to requests once the plugin has failed [default: reload with a policy,
    /// otherwise closed]
    #[arg(long, value_name = "POLICY")]
    pub failure_policy: Option<FailurePolicyName>,
    /// Lowest level of log lines
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Level,
}

fn workers() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..=64)
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
///
/// If the arguments are not valid, an address is in use, the plugin does not start, or a hostcall
/// is not modelled.
pub fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let usage = |option: &str, why: String| Failure::Usage(format!("{option}: {why}"));
    let upstream = Upstream::parse(&arguments.upstream).map_err(|why| usage("--upstream", why))?;
    let clusters = arguments.clusters.iter().map(|text| cluster(text));
    let clusters = clusters
        .collect::<Result<_, _>>()
        .map_err(|why| usage("--cluster", why))?;
    let module = match &arguments.module {
        Some(path) => path.clone(),
        None => shipped()?,
    };
    let configuration = arguments.policy.as_ref().or(arguments.config.as_ref());
    let options = Options {
        plugin: plugin(arguments, &module)?,
        has_operators: arguments.policy.is_some(),
        configuration: configuration.cloned(),
        module,
        upstream,
        clusters,
        listen: arguments.listen,
        operators: arguments.operators,
        workers: arguments.workers as usize,
        log_level: arguments.log_level.into(),
    };
    let served = serve::run(options, |traffic, operators| {
        let mut out = io::stdout().lock();
        writeln!(out, "listening on http://{traffic}")?;
        writeln!(out, "operators on http://{operators}/")?;
        out.flush()
    });
    served.map_err(|error| {
        let text = error.to_string();
        match error {
            ServeError::Refused(_) => Failure::Policy(text),
            ServeError::Address(..) | ServeError::System(_) => Failure::Usage(text),
            ServeError::Halted(halt) => Failure::of_halt(&halt, text),
        }
    })
}

/// Returns the plugin with the names and the failure policy that a plugin test gives it.
fn plugin(arguments: &Arguments, module: &Path) -> Result<Plugin, Failure> {
    let is_shipped = arguments.policy.is_some();
    let file = PluginFile {
        module: (!is_shipped).then(|| module.display().to_string()),
        failure_policy: arguments.failure_policy,
        ..PluginFile::default()
    };
    let configuration = arguments.policy.as_ref().or(arguments.config.as_ref());
    let configuration = configuration.map(|path| read_file(path)).transpose()?;
    let folder = Path::new("");
    let spec = PluginSpec::new(file, configuration, folder, "", &mut |_, _| ());
    Ok(play::plugin(&spec, &load(module)?))
}

fn cluster(text: &str) -> Result<(String, Upstream), String> {
    let (name, url) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("{text:?} is no cluster, allowed NAME=URL"))?;
    Ok((name.to_owned(), Upstream::parse(url)?))
}
